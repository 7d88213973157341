"""How the boxes of bodies lie to each other: before, beside, above, within. Knows boxes and nobody in them.

A box is float32 [4+]: left, top, right, bottom, px.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.geometry import shared_area

Floats = npt.NDArray[np.float32]

BODY_SHARE = 0.3
"""The width of a body without its arms, in parts of its height."""
WITHIN_SHARE, LIKE_HEIGHT = 0.75, 0.6
"""Of the smaller box that lies in the other, and of the taller height, for both to be of one body."""
HIDING_SHARE = 0.3
"""Of somebody's height that a box has to be beside, to hide them: one below a stage may reach up to the feet on it."""
FARTHER_SHARE = 0.15
"""Of somebody's height that another's feet are higher in the picture, who stands farther away and cannot hide them."""
JOINED_WIDTH, JOINED_ENDS, JOINED_GROWTH = 0.3, 0.25, 1.4
"""Of the narrower width, that a box of two bodies shares with each, and they with each other; of its height, that it
may end beside their ends; and how many times as tall it is as each."""


def middle_of(box: Floats) -> float:
    """Of a box, sideways, px."""
    return float(box[0] + box[2]) / 2


def apart(first: Floats, second: Floats) -> float:
    """How far two bodies are from touching, in heights of the larger; negative where one is before the other."""
    height = max(float(first[3] - first[1]), float(second[3] - second[1]), 1.0)
    above = float(max(first[1], second[1]) - min(first[3], second[3]))  # one on a stage, the other below it
    return max(abs(middle_of(first) - middle_of(second)) / height - BODY_SHARE, above / height)


def covered_share(box: Floats, others: Sequence[Floats]) -> float:
    """The share of a box's width that one of the others takes up as well, 0 to 1."""
    width = max(1.0, float(box[2] - box[0]))
    shared = [float(min(box[2], other[2]) - max(box[0], other[0])) for other in others]
    return min(1.0, max([0.0, *shared]) / width)


def same_body(first: Floats, second: Floats) -> bool:
    """Whether two boxes may well be one body, found twice: of like heights, one nearly within the other."""
    smaller = min(float(np.prod(box[2:4] - box[:2])) for box in (first, second))
    heights = sorted(float(box[3] - box[1]) for box in (first, second))
    return shared_area(first, second) >= WITHIN_SHARE * smaller and heights[0] >= LIKE_HEIGHT * heights[1]


def joins(box: Floats, bodies: Sequence[Floats]) -> bool:
    """Whether a box holds two bodies as one, the one above the other: somebody on a roof and somebody below it."""
    height = float(box[3] - box[1])
    beside = [body for body in bodies if shared_share(box, body, 0) >= JOINED_WIDTH and too_short(body, height)]
    return any(
        shared_share(upper, lower, 1) < HIDING_SHARE
        and shared_share(upper, lower, 0) >= JOINED_WIDTH
        and max(abs(float(box[1] - upper[1])), abs(float(box[3] - lower[3]))) < JOINED_ENDS * height
        for upper in beside
        for lower in beside
        if upper[1] < lower[1]
    )


def may_hide(box: Floats, person: Floats, height: float) -> bool:
    """Whether a body may stand before a person of that height, px: beside a part of them, and not farther away."""
    shared = float(min(box[3], person[3]) - max(box[1], person[1]))
    return shared > HIDING_SHARE * height and float(person[3] - box[3]) <= FARTHER_SHARE * height


def too_short(body: Floats, height: float) -> bool:
    """Whether a body is too short to fill a box of that height, px."""
    return float(body[3] - body[1]) * JOINED_GROWTH < height


def shared_share(first: Floats, second: Floats, axis: int) -> float:
    """How much of the shorter side of two boxes both have, 0 to 1: across (axis 0) or down (1)."""
    shared = min(first[axis + 2], second[axis + 2]) - max(first[axis], second[axis])
    shorter = min(first[axis + 2] - first[axis], second[axis + 2] - second[axis])
    return float(np.clip(shared / max(float(shorter), 1.0), 0, 1))
