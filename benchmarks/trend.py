"""Does a series grow? Theil-Sen slope with Sen's confidence interval. Knows no clock, process or file."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z95 = 1.959964
BINS = 60


@dataclass(frozen=True)
class Trend:
    """How fast a series grows.

    Args:
        slope: median of the slopes of all pairs of points (Theil 1950, Sen 1968).
        low, high: its 95 % confidence interval, from the variance of Kendall's score.
        first, last: medians of the first and the last tenth.
    """

    slope: float
    low: float
    high: float
    first: float
    last: float


def trend(x: npt.ArrayLike, y: npt.ArrayLike) -> Trend:
    """The trend of `y` over `x`, both [N], N >= 3, in order of `x`.

    Neighbouring points are alike, which would make the interval too narrow: medians of at most 60 stretches are used.
    """
    binned = [
        (float(np.median(part_x)), float(np.median(part_y)))
        for part_x, part_y in zip(
            *(np.array_split(np.asarray(one, np.float64), min(BINS, len(np.asarray(x)))) for one in (x, y)), strict=True
        )
    ]
    at, value = np.array(binned).T
    count = len(at)
    if count < 3:
        raise ValueError(f"{count} points tell no trend; 3 are needed")
    first, second = np.triu_indices(count, 1)
    slopes = np.sort((value[second] - value[first]) / (at[second] - at[first]))
    half = Z95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18) / 2
    low = max(0, math.floor(len(slopes) / 2 - half))
    high = min(len(slopes) - 1, math.ceil(len(slopes) / 2 + half))
    tenth = max(1, len(np.asarray(y)) // 10)
    ends = [float(np.median(np.asarray(y)[part])) for part in (slice(tenth), slice(-tenth, None))]
    return Trend(float(np.median(slopes)), float(slopes[low]), float(slopes[high]), *ends)
