"""Which poses belong together: pairs for evaluation and the paper's pair rule. Knows labels and scores, no encoder."""

import dataclasses

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError

Integers = npt.NDArray[np.int64]
Floats64 = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of rows of one data set.

    Attributes:
        first: `int64 [P]`.
        second: `int64 [P]`.
        similar: `bool [P]`, the paper's Y.
    """

    first: Integers
    second: Integers
    similar: npt.NDArray[np.bool_]


def paper_pairs(action: Integers, score: Floats64, minimum_deviations: float = 1.0) -> Pairs:
    """The paper's rule (IV-A) over whole performances: every pair that it calls similar or dissimilar.

    `high` performances score above the median of their action. Similar: both high, same action. Dissimilar: of two
    actions, at least one of them high; or of one action, one of them high, with scores that differ by at least
    `minimum_deviations` standard deviations of that action's scores. The paper says only "differ much"; one standard
    deviation is our reading. A pair with no high performance is not used: there is no good example in it.

    Args:
        action: `int64 [S]`, what was performed.
        score: `float64 [S]`, how well; higher is better.
        minimum_deviations: how many standard deviations are "much".

    Raises:
        BadInputError: fewer than two performances, shapes that differ, or a score that is not finite.
    """
    if action.ndim != 1 or action.shape != score.shape or len(action) < 2 or not np.isfinite(score).all():
        raise BadInputError(
            f"{action.shape} actions and {score.shape} scores",
            "the pair rule needs one action and one finite score for each of at least two performances",
            "check the annotation file",
        )
    median, deviation = np.empty(len(score)), np.empty(len(score))
    for name in np.unique(action):
        members = action == name
        median[members], deviation[members] = np.median(score[members]), np.std(score[members])
    high = score > median
    first, second = np.triu_indices(len(action), 1)
    same = action[first] == action[second]
    difference = np.abs(score[first] - score[second])
    differ_much = (difference > 0) & (difference >= minimum_deviations * deviation[first])
    any_high = high[first] | high[second]
    similar = same & high[first] & high[second]
    dissimilar = ~similar & any_high & (~same | differ_much)
    used = similar | dissimilar
    return Pairs(first[used].astype(np.int64), second[used].astype(np.int64), similar[used])


def label_pairs(
    positive: Integers, negative: Integers, group: Integers, count: int, generator: np.random.Generator
) -> Pairs:
    """`count` similar and `count` dissimilar pairs of poses, drawn at random with replacement.

    Similar: equal `positive` labels, different groups. Dissimilar: different `negative` labels.

    Args:
        positive: `int64 [N]`, such as action and phase.
        negative: `int64 [N]`, such as action.
        group: `int64 [N]`, such as sequence.
        count: pairs of each kind.
        generator: source of chance.

    Raises:
        BadInputError: no such pair exists.
    """
    order = np.argsort(positive, kind="stable")
    members, index = np.unique(positive, return_inverse=True, return_counts=False)
    size = np.bincount(index, minlength=len(members))
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    total = len(positive)
    similar: list[Integers] = []
    dissimilar: list[Integers] = []
    for _ in range(200):
        first = generator.integers(0, total, count)
        partner = order[start[index[first]] + (generator.random(count) * size[index[first]]).astype(np.int64)]
        other = generator.integers(0, total, count)
        similar.append(np.stack([first, partner], 1)[group[first] != group[partner]])
        dissimilar.append(np.stack([first, other], 1)[negative[first] != negative[other]])
        if min(sum(map(len, similar)), sum(map(len, dissimilar))) >= count:
            break
    else:
        raise BadInputError(
            f"too few pairs among {total} poses",
            "a label must occur in two groups, and there must be two labels",
            "use more data or coarser labels",
        )
    chosen = np.concatenate([np.concatenate(similar)[:count], np.concatenate(dissimilar)[:count]])
    return Pairs(chosen[:, 0], chosen[:, 1], np.arange(2 * count) < count)
