"""Numbers that say how good a distance is: AUC, recall@1, rank correlation. Knows neither poses nor networks."""

import numpy as np
import numpy.typing as npt

Floats64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def ranks(values: npt.NDArray[np.floating]) -> Floats64:
    """Ranks `float64 [N]` from 1, ties sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: Floats64 = (last - (counts - 1) / 2)[inverse]
    return mean_rank


def spearman(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Spearman's rank correlation; 0 where one side is constant (a collapsed encoder ranks nothing)."""
    one, other = ranks(first), ranks(second)
    one, other = one - one.mean(), other - other.mean()
    length = np.sqrt((one * one).sum() * (other * other).sum())
    return float((one * other).sum() / length) if length > 0 else 0.0


def area_under_curve(distance: npt.NDArray[np.floating], similar: npt.NDArray[np.bool_]) -> float:
    """The chance that a similar pair has a smaller distance than a dissimilar one; ties count half."""
    rank = ranks(-distance)
    positives = int(similar.sum())
    negatives = len(similar) - positives
    return float((rank[similar].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def recall_at_1(distance: npt.NDArray[np.floating], label: Integers, group: Integers) -> float:
    """The share of poses whose nearest neighbour of another group has their label.

    Args:
        distance: `[N, N]`, every pose against every pose.
        label: `int64 [N]`.
        group: `int64 [N]`; neighbours of the same group do not count.
    """
    others = np.where(group[:, None] == group[None], np.inf, distance)
    return float((label[others.argmin(1)] == label).mean())


def interval(values: npt.NDArray[np.floating], share: float = 0.95) -> tuple[float, float]:
    """The range that holds the given share of the values."""
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)
