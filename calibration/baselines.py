"""Classical pose distances, with no training: what an encoder must beat. Knows no network.

Every function takes two arrays of poses `float32 [N, 15, 2]` (px, any scale) and gives `float64 [N]`, 0 for equal
poses. Their definitions follow the common use: PoseNet's cosine of box-normalised coordinates, Procrustes analysis,
mean cosine of bone directions, mean cosine of signed joint angles, and COCO's object keypoint similarity.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from calibration.datasets.poseset import Floats
from engines.skeleton import BONES

Distances = npt.NDArray[np.float64]
PoseDistance = Callable[[Floats, Floats], Distances]

SMALL = 1e-9

ANGLES = (
    (0, 1, 2), (1, 2, 3), (3, 4, 5), (4, 5, 6), (7, 8, 9), (8, 9, 10), (10, 11, 12), (11, 12, 13), (9, 10, 14),
    (3, 10, 14), (2, 3, 10),
)  # fmt: skip
"""Joint angles (end, corner, end): knees, hips, elbows, shoulders, neck and waist."""

COCO_SIGMAS = np.array([89, 87, 107, 107, 107, 87, 89, 62, 72, 79, 79, 79, 72, 62, 50]) / 1000
"""COCO's per-keypoint constants for our joints; pelvis takes the hips', neck the shoulders', head about the face's."""

BODY_AREA_SHARE = 0.53
"""The share of its bounding box that COCO's evaluation gives a person without a mask."""


def _row_cosine(first: Floats, second: Floats) -> Distances:
    one, other = first.reshape(len(first), -1).astype(float), second.reshape(len(second), -1).astype(float)
    length = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine: Distances = (one * other).sum(1) / np.maximum(length, SMALL)
    return cosine


def _box_normalised(xy: Floats) -> Floats:
    """About the box's middle, the longer side 2."""
    low, high = xy.min(1, keepdims=True), xy.max(1, keepdims=True)
    side = np.maximum((high - low).max(2, keepdims=True), SMALL)
    normalised: Floats = (xy - (low + high) / 2) / side * 2
    return normalised


def _min_max(xy: Floats) -> Floats:
    low, high = xy.min(1, keepdims=True), xy.max(1, keepdims=True)
    normalised: Floats = (xy - low) / np.maximum(high - low, SMALL)
    return normalised


def _complex_shape(xy: Floats) -> npt.NDArray[np.complex128]:
    """Centred, of length 1, as complex numbers `[N, 15]`."""
    offset = (xy - xy.mean(1, keepdims=True)).astype(float)
    shape = offset[..., 0] + 1j * offset[..., 1]
    unit_shape: npt.NDArray[np.complex128] = shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), SMALL)
    return unit_shape


def cosine_of_coordinates(first: Floats, second: Floats) -> Distances:
    """1 - cosine of the 30 coordinates after per-axis min-max (equations 1 and 2)."""
    return 1 - _row_cosine(_min_max(first), _min_max(second))


def cosine_of_centred_coordinates(first: Floats, second: Floats) -> Distances:
    """1 - cosine of the 30 coordinates about the box's middle, one scale for both axes."""
    return 1 - _row_cosine(_box_normalised(first), _box_normalised(second))


def procrustes(first: Floats, second: Floats) -> Distances:
    """Full Procrustes: position, scale and rotation in the picture removed; 1 - squared cosine of the shapes."""
    agreement = np.abs((_complex_shape(first).conj() * _complex_shape(second)).sum(1))
    distance: Distances = 1 - agreement**2
    return distance


def procrustes_upright(first: Floats, second: Floats) -> Distances:
    """Procrustes without rotation: position and scale removed, squared distance of the shapes."""
    difference = np.abs(_complex_shape(first) - _complex_shape(second)) ** 2
    distance: Distances = difference.sum(1)
    return distance


def bone_directions(first: Floats, second: Floats) -> Distances:
    """1 - mean cosine of the angles between the 14 bones of both poses."""

    def directions(xy: Floats) -> Floats:
        bones = np.stack([xy[:, end] - xy[:, start] for start, end in BONES], 1)
        unit_bones: Floats = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), SMALL)
        return unit_bones

    distance: Distances = 1 - (directions(first) * directions(second)).sum(-1).mean(1)
    return distance


def joint_angles(first: Floats, second: Floats) -> Distances:
    """1 - mean cosine of the differences of 11 signed joint angles in the picture."""

    def angles(xy: Floats) -> Distances:
        columns = []
        for start, corner, end in ANGLES:
            one, other = xy[:, start] - xy[:, corner], xy[:, end] - xy[:, corner]
            cross = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
            columns.append(np.arctan2(cross, (one * other).sum(1)))
        return np.stack(columns, 1).astype(float)

    distance: Distances = 1 - np.cos(angles(first) - angles(second)).mean(1)
    return distance


def object_keypoint_similarity(first: Floats, second: Floats) -> Distances:
    """1 - OKS of the box-normalised poses, with COCO's sigmas doubled as its evaluation does."""
    squared = (((_box_normalised(first) - _box_normalised(second)) / 2) ** 2).sum(-1).astype(float)
    distance: Distances = 1 - np.exp(-squared / (2 * BODY_AREA_SHARE * (2 * COCO_SIGMAS) ** 2)).mean(1)
    return distance


CLASSICAL: dict[str, PoseDistance] = {
    "cosine, min-max": cosine_of_coordinates,
    "cosine, centred": cosine_of_centred_coordinates,
    "Procrustes": procrustes,
    "Procrustes, upright": procrustes_upright,
    "bone directions": bone_directions,
    "joint angles": joint_angles,
    "OKS": object_keypoint_similarity,
}
