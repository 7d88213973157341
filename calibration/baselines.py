"""Classical pose distances, with no training: what an encoder must beat. Knows no network.

Each compares poses `float32 [N, 15, 2]` (px, any scale); 0 for equal poses.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.datasets.poseset import Floats
from engines.bodies import BODY_AREA_SHARE, COCO_SIGMAS
from engines.skeleton import BONES, JOINT_SOURCES

Distances = npt.NDArray[np.float64]
Features = npt.NDArray[np.number[Any]]

SMALL = 1e-9

ANGLES = (
    (0, 1, 2), (1, 2, 3), (3, 4, 5), (4, 5, 6), (7, 8, 9), (8, 9, 10), (10, 11, 12), (11, 12, 13), (9, 10, 14),
    (3, 10, 14), (2, 3, 10),
)  # fmt: skip
"""Joint angles (end, corner, end): knees, hips, elbows, shoulders, neck and waist."""

HEAD_SIGMA = 0.05
JOINT_SIGMAS = np.array([*(COCO_SIGMAS[list(keypoints)].mean() for keypoints in JOINT_SOURCES[:-1]), HEAD_SIGMA])
"""COCO's sigmas for our joints: those of the keypoints that each is the mean of. The head's, of eyes, ears or nose
alone, is about twice theirs."""


@dataclasses.dataclass(frozen=True)
class ClassicalDistance:
    """A distance that depends on poses through the product of their features.

    Attributes:
        features: poses `[N, 15, 2]` to vectors of length 1, `[N, D]`, real or complex.
        of_product: products of two vectors to their distance; all but Procrustes take 1 - product.
    """

    features: Callable[[Floats], Features]
    of_product: Callable[[Features], Distances] = lambda product: 1 - product.real

    def pairs(self, first: Floats, second: Floats) -> Distances:
        """The distance of each pair of poses: `float64 [N]`."""
        return self.of_product((self.features(first).conj() * self.features(second)).sum(1))

    def matrix(self, xy: Floats) -> Distances:
        """The distance of every pose to every other: `float64 [N, N]`."""
        features = self.features(xy)
        return self.of_product(features.conj() @ features.T)


class KeypointSimilarity:
    """1 - OKS of the box-normalised poses, with COCO's sigmas doubled as its evaluation does."""

    def pairs(self, first: Floats, second: Floats) -> Distances:
        """The distance of each pair of poses: `float64 [N]`."""
        squared = (((_box_normalised(first) - _box_normalised(second)) / 2) ** 2).sum(-1).astype(float)
        distance: Distances = 1 - np.exp(-squared / (2 * BODY_AREA_SHARE * (2 * JOINT_SIGMAS) ** 2)).mean(-1)
        return distance

    def matrix(self, xy: Floats) -> Distances:
        """The distance of every pose to every other: `float64 [N, N]`."""
        return np.stack([self.pairs(pose[None], xy) for pose in xy])


def _unit_rows(rows: Features) -> Features:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit_rows: Features = rows / np.maximum(length, SMALL)
    return unit_rows


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


def _min_max_coordinates(xy: Floats) -> Features:
    return _unit_rows(_min_max(xy).reshape(len(xy), -1))


def _centred_coordinates(xy: Floats) -> Features:
    return _unit_rows(_box_normalised(xy).reshape(len(xy), -1))


def _shape(xy: Floats) -> Features:
    """Centred, of length 1, as complex numbers `[N, 15]`, so that a turn in the picture is a factor."""
    offset = (xy - xy.mean(1, keepdims=True)).astype(float)
    return _unit_rows(offset[..., 0] + 1j * offset[..., 1])


def _bone_directions(xy: Floats) -> Features:
    bones = np.stack([xy[:, end] - xy[:, start] for start, end in BONES], 1).astype(float)
    directions = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), SMALL)
    return _unit_rows(directions.reshape(len(xy), -1))


def _joint_angles(xy: Floats) -> Features:
    """Signed angles in the picture as complex numbers of length 1, `[N, 11]`, scaled together to length 1."""
    columns = []
    for start, corner, end in ANGLES:
        one, other = xy[:, start] - xy[:, corner], xy[:, end] - xy[:, corner]
        cross = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
        columns.append(np.exp(1j * np.arctan2(cross, (one * other).sum(1))))
    return _unit_rows(np.stack(columns, 1))


CLASSICAL: dict[str, ClassicalDistance | KeypointSimilarity] = {
    "cosine, min-max": ClassicalDistance(_min_max_coordinates),
    "cosine, centred": ClassicalDistance(_centred_coordinates),
    "Procrustes": ClassicalDistance(_shape, lambda product: 1 - np.abs(product) ** 2),
    "Procrustes, upright": ClassicalDistance(_shape),
    "bone directions": ClassicalDistance(_bone_directions),
    "joint angles": ClassicalDistance(_joint_angles),
    "OKS": KeypointSimilarity(),
}
"""PoseNet's cosines of box-normalised coordinates; Procrustes analysis with and without rotation; mean cosine of the
angles between bones; mean cosine of the differences of joint angles; COCO's object keypoint similarity."""
