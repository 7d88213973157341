"""Poses with one limb bent by a known angle: the test of fine quality. Knows no network."""

import dataclasses

import numpy as np
import numpy.typing as npt

from calibration.datasets.poseset import Floats

LIMBS = {2: (1, 0), 1: (0,), 4: (5, 6), 5: (6,), 9: (8, 7), 8: (7,), 11: (12, 13), 12: (13,), 10: (14,)}
"""For each joint that bends, the joints that it moves."""

TEST_DEGREES = (0, 5, 10, 20, 30, 45, 60, 90)


@dataclasses.dataclass(frozen=True)
class BendSet:
    """Poses, their bent copies, and by how much.

    Attributes:
        original: `float32 [N, 15, 2]` px.
        bent: `float32 [N, 15, 2]`, one limb bent, then slightly turned, stretched and jittered.
        degrees: `int64 [N]`, the size of the bend.
    """

    original: Floats
    bent: Floats
    degrees: npt.NDArray[np.int64]


def bend(xy: Floats, corner: int, radians: npt.NDArray[np.float64]) -> Floats:
    """The poses `[N, 15, 2]` with the limb beyond joint `corner` turned about it in the picture by `radians` [N]."""
    bent = xy.copy()
    moved = list(LIMBS[corner])
    arm = xy[:, moved] - xy[:, corner : corner + 1]
    cosine, sine = np.cos(radians)[:, None], np.sin(radians)[:, None]
    turned = np.stack([arm[..., 0] * cosine - arm[..., 1] * sine, arm[..., 0] * sine + arm[..., 1] * cosine], -1)
    bent[:, moved] = xy[:, corner : corner + 1] + turned
    return bent


def disturbed(xy: Floats, generator: np.random.Generator, jitter: float, turn_degrees: float, stretch: float) -> Floats:
    """Poses as another camera and annotator might give them: turned, stretched per axis, and jittered.

    Args:
        xy: `float32 [N, 15, 2]` px.
        generator: source of chance.
        jitter: standard deviation of each coordinate, as a share of the longer side of the pose's box.
        turn_degrees: greatest turn in the picture, either way.
        stretch: standard deviation of the logarithm of each axis' scale.
    """
    count = len(xy)
    side = (xy.max(1) - xy.min(1)).max(1)[:, None, None]
    angle = np.deg2rad(generator.uniform(-turn_degrees, turn_degrees, count))[:, None]
    offset = xy - (xy.max(1, keepdims=True) + xy.min(1, keepdims=True)) / 2
    x, y = offset[..., 0], offset[..., 1]
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], -1)
    scaled = turned * np.exp(generator.normal(0, stretch, (count, 1, 2)))
    result: Floats = (scaled + generator.normal(0, 1, xy.shape) * jitter * side).astype(np.float32)
    return result


def bend_test(xy: Floats, generator: np.random.Generator, count: int = 800) -> BendSet:
    """`count` poses, each with one random limb bent one way by 0, 5, 10, 20, 30, 45, 60 and 90 degrees.

    Args:
        xy: `float32 [N, 15, 2]` px, the poses to draw from.
        generator: source of chance.
        count: how many poses.
    """
    chosen = xy[generator.permutation(len(xy))[:count]]
    corners = np.array(tuple(LIMBS))[generator.integers(0, len(LIMBS), len(chosen))]
    sign = generator.choice([-1.0, 1.0], len(chosen))
    original = np.repeat(chosen, len(TEST_DEGREES), 0)
    degrees = np.tile(np.array(TEST_DEGREES), len(chosen))
    radians = np.deg2rad(degrees) * np.repeat(sign, len(TEST_DEGREES))
    corner = np.repeat(corners, len(TEST_DEGREES))
    bent = original.copy()
    for joint in LIMBS:
        rows = corner == joint
        bent[rows] = bend(original[rows], joint, radians[rows])
    return BendSet(original, disturbed(bent, generator, jitter=0.005, turn_degrees=5, stretch=0.03), degrees)
