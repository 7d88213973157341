"""Where pictures lie inside each other, in plain numbers. Knows no tensors of any framework but NumPy's."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LETTERBOX_GREY = 114
CROP_HEIGHT, CROP_WIDTH = 256, 192
CROP_PADDING = 1.25
HEATMAP_HEIGHT, HEATMAP_WIDTH = 64, 48
SURE_CONFIDENCE, PIECE_SHARE = 0.5, 0.7
"""A box of less confidence is a piece of somebody whose keypoints have it, when less of their bounds lies in it."""
LEAST_FALL = 1e-9

Size = tuple[int, int]
"""(height, width) in px."""


@dataclass(frozen=True)
class LetterboxFit:
    """How a picture lies inside another: `fitted px = source px * scale + (left, top)`."""

    scale: float
    width: int
    height: int
    left: int
    top: int


def fit_letterbox(source: Size, image: Size) -> LetterboxFit:
    """The largest centred placement of a `source`-sized picture inside an `image`-sized one, its shape kept."""
    scale = min(image[0] / source[0], image[1] / source[1])
    height, width = max(1, round(source[0] * scale)), max(1, round(source[1] * scale))
    return LetterboxFit(scale, width, height, (image[1] - width) // 2, (image[0] - height) // 2)


def network_size(frame: Size, longest: int) -> Size:
    """The smallest size in multiples of 32 that holds the frame scaled to `longest` px on its long side."""
    scale = longest / max(frame)
    height, width = (math.ceil(round(side * scale) / 32) * 32 for side in frame)
    return height, width


def top_of_parabola(
    before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], cell: npt.NDArray[np.int64], cells: int
) -> npt.NDArray[np.float32]:
    """Where the top of a parabola lies, -0.5..0.5 from the highest of `cells` in a row, 0 where that is at an edge.

    `before` and `after` are how far its neighbours are below it, 0 or more. No jump where two cells are equally high.
    """
    inside = (cell > 0) & (cell < cells - 1)
    return np.asarray(inside * 0.5 * (before - after) / np.maximum(before + after, LEAST_FALL), np.float32)


def shared_area(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """What lies in both of two boxes float32 [4+], px."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:4], second[2:4])
    return float(np.prod(np.clip(high - low, 0, None)))


def iou(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Intersection over union of two boxes float32 [4+]."""
    shared = shared_area(first, second)
    areas = (float(np.prod(np.clip(box[2:4] - box[:2], 0, None))) for box in (first, second))
    return shared / max(sum(areas) - shared, 1e-6)
