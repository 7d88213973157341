"""What somebody's clothes look like: a histogram of the colours of their torso. Knows no people, time or network.

Colours are CIE Lab, in five broad steps of lightness and finer ones of hue, each pixel shared between the two nearest
steps on every axis: a lamp switched on moves a share of the histogram to the next step, and not all of it.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_INDEX
from realtime.frames import Picture

Floats = npt.NDArray[np.float32]

LIGHTNESS_STEPS, COLOUR_STEPS, COLOUR_STEP = 5, 9, 10.0
SAMPLES = 14
CORNERS = tuple(JOINT_INDEX[name] for name in ("right_shoulder", "left_shoulder", "right_hip", "left_hip"))
BOX_LEFT, BOX_RIGHT, BOX_TOP, BOX_BOTTOM = 0.36, 0.64, 0.24, 0.48
"""Where in the box of somebody upright their torso is."""
LEAST_INSIDE = 0.6


def torso_of_joints(joints: Floats, visible_confidence: float) -> Floats | None:
    """Corners float32 [4, 2] px of the torso of `joints` float32 [15, 3]; None when a corner is not seen."""
    corners = joints[list(CORNERS)]
    return corners[:, :2] if (corners[:, 2] >= visible_confidence).all() else None


def torso_of_box(box: Floats) -> Floats:
    """Corners float32 [4, 2] px of where the torso of somebody in `box` float32 [4+] is likely to be."""
    x1, y1, x2, y2 = box[:4]
    left, right = x1 + BOX_LEFT * (x2 - x1), x1 + BOX_RIGHT * (x2 - x1)
    top, bottom = y1 + BOX_TOP * (y2 - y1), y1 + BOX_BOTTOM * (y2 - y1)
    return np.array([(left, top), (right, top), (left, bottom), (right, bottom)], np.float32)


@lru_cache(maxsize=1)
def sample_weights() -> Floats:
    """Shares float32 [N, 4] of a torso's corners in the places that are looked at."""
    across, down = np.meshgrid(np.linspace(0.12, 0.88, SAMPLES), np.linspace(0.08, 0.92, SAMPLES))
    shares = np.stack([(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down], -1)
    return shares.reshape(-1, 4).astype(np.float32)


def signature(picture: Picture, torso: Floats) -> Floats | None:
    """The histogram, float32 [405], sum 1, of the colours inside a torso.

    Args:
        picture: uint8 [H, W, 3] BGR.
        torso: float32 [4, 2] px: two upper, two lower corners, the left of the picture first in both or in neither.

    Returns:
        None where most of the torso is outside the picture.
    """
    points = (sample_weights() @ torso).round().astype(np.int64)
    height, width = picture.shape[:2]
    inside = (points >= 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
    if inside.mean() < LEAST_INSIDE:
        return None
    pixels = picture[points[inside, 1], points[inside, 0]]
    lab = cv2.cvtColor(pixels[None], cv2.COLOR_BGR2LAB)[0].astype(np.float32)
    places = np.stack(
        [
            lab[:, 0] / 255 * (LIGHTNESS_STEPS - 1),
            np.clip((lab[:, 1] - 128) / COLOUR_STEP + COLOUR_STEPS // 2, 0, COLOUR_STEPS - 1),
            np.clip((lab[:, 2] - 128) / COLOUR_STEP + COLOUR_STEPS // 2, 0, COLOUR_STEPS - 1),
        ]
    )
    counts = np.array([[LIGHTNESS_STEPS], [COLOUR_STEPS], [COLOUR_STEPS]])
    lower = np.minimum(places.astype(np.int64), counts - 2)
    share = places - lower
    sides = np.stack([1 - share, share])  # [2, 3, N]
    ups = np.arange(2)
    bins = lower[:, None] + ups[None, :, None]  # [3, 2, N]
    index = (bins[0][:, None, None] * COLOUR_STEPS + bins[1][None, :, None]) * COLOUR_STEPS + bins[2][None, None]
    weight = sides[:, 0][:, None, None] * sides[:, 1][None, :, None] * sides[:, 2][None, None]
    histogram = np.bincount(index.ravel(), weight.ravel(), LIGHTNESS_STEPS * COLOUR_STEPS * COLOUR_STEPS)
    return np.asarray(histogram / histogram.sum(), np.float32)


def difference(first: Floats | None, second: Floats | None) -> float | None:
    """How unlike two signatures are, 0 (the same) to 1 (no colour in common): Hellinger's distance."""
    if first is None or second is None:
        return None
    return float(np.sqrt(max(0.0, 1 - float(np.sqrt(first * second).sum()))))
