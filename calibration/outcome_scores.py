"""From frame distances to a score of a whole performance, and how well it ranks real outcomes. Knows no network.

The paper gives no rule for a video. Ours, "mean distance to the good half": a performance is resampled to F frames; its
distance is the mean, over frames and over the reference performances (those above the median outcome among the ones
that may be looked at), of the distance between frames of equal phase. Equation 6 of that mean is its score. Ranks, and
so Spearman's rho, are the same for the distance and the score.
"""

import numpy as np
import numpy.typing as npt

from calibration.datasets.outcomes import OutcomeSet
from calibration.measures import interval, spearman
from calibration.methods import Method

Floats64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def folds_by_performer(performer: Integers, folds: int) -> Integers:
    """A fold `int64 [S]` for each sequence, so that no performer is in two; the largest are spread first."""
    names, index, count = np.unique(performer, return_inverse=True, return_counts=True)
    fold_of = np.zeros(len(names), np.int64)
    load = np.zeros(folds, np.int64)
    for name in np.argsort(-count, kind="stable"):
        fold_of[name] = load.argmin()
        load[fold_of[name]] += count[name]
    chosen: Integers = fold_of[index]
    return chosen


def sequence_distances(method: Method, data: OutcomeSet) -> Floats64:
    """The mean distance between frames of equal phase, of every performance to every other: `float64 [S, S]`."""
    frames = [method.matrix(data.xy[:, frame]).astype(np.float64) for frame in range(data.xy.shape[1])]
    mean: Floats64 = np.mean(frames, axis=0)
    return mean


def distance_to_good_half(between: Floats64, outcome: Floats64, judged: Integers, known: Integers) -> Floats64:
    """The distance of each `judged` performance to the good half of the `known` ones (indices): `float64 [J]`."""
    good = known[outcome[known] > np.median(outcome[known])]
    distance: Floats64 = between[np.ix_(judged, good)].mean(1)
    return distance


def outcome_distances(method: Method, data: OutcomeSet, folds: int) -> Floats64:
    """Every performance judged against the good half of the other folds: `float64 [S]`."""
    fold = folds_by_performer(data.performer, folds)
    between = sequence_distances(method, data)
    result = np.empty(len(fold))
    for number in range(folds):
        judged, known = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if len(judged):
            result[judged] = distance_to_good_half(between, data.outcome, judged, known)
    return result


def spearman_with_interval(
    distance: Floats64, outcome: Floats64, seed: int = 0, draws: int = 1000
) -> tuple[float, float, float]:
    """Spearman's rho of score and outcome, and its 95 % bootstrap interval."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(outcome), (draws, len(outcome)))
    low, high = interval(np.array([spearman(-distance[rows], outcome[rows]) for rows in drawn]))
    return spearman(-distance, outcome), low, high
