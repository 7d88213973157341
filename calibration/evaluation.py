"""What is measured for every encoder and classical distance, on poses none was trained on. Knows no command line."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np

from calibration.datasets.outcomes import OutcomeSet, read_ski_jumps, read_speed21
from calibration.datasets.penn import read_penn
from calibration.datasets.poseset import Floats, PoseSet, even_subset
from calibration.limb_bends import BendSet, bend_test, disturbed
from calibration.measures import area_under_curve, recall_at_1, spearman
from calibration.methods import Method, everything_visible
from calibration.outcome_scores import outcome_distances, spearman_with_interval
from calibration.pairs import Pairs, label_pairs
from calibration.recipes import LabelledPoses, labelled
from engines.skeleton import mirror_joints
from realtime.scoring import score_from_distance

POSES_PER_SEQUENCE = 10
PAIRS = 20000
PAPER_WIDTH = 0.3
SHORT_COLUMNS = ("AUC", "R@1", "R@1 action", "bends")


@dataclasses.dataclass(frozen=True)
class TestSet:
    """The poses and pairs that every method is measured on.

    Attributes:
        poses: complete poses of Penn Action, at most ten a sequence.
        pairs: same action and phase quarter in another sequence, against other actions.
        bends: one limb bent by a known angle.
        speed: speed-climbing runs with their times.
        ski: ski jumps with their style marks.
    """

    poses: LabelledPoses
    pairs: Pairs
    bends: BendSet
    speed: OutcomeSet
    ski: OutcomeSet


def sparse_complete(poses: PoseSet, per_sequence: int = POSES_PER_SEQUENCE) -> PoseSet:
    """The complete poses, at most `per_sequence` of each group, spread evenly."""
    complete = poses.complete()
    rows = [even_subset(np.flatnonzero(complete.group == group), per_sequence) for group in np.unique(complete.group)]
    return complete.take(np.concatenate(rows))


def read_test_set(data: Path, actions: tuple[str, ...] = ()) -> TestSet:
    """The test set from the folder of annotations; with `actions`, only those of Penn.

    Raises:
        BadInputError: a file is missing or malformed.
    """
    penn = sparse_complete(read_penn(data / "penn_action_train.npz"))
    if actions:
        penn = penn.take(np.isin(np.array(penn.labels)[penn.label], actions))
    return test_set(penn, read_speed21(data / "speed21.npz"), read_ski_jumps(data / "skijump.npz"))


def test_set(penn: PoseSet, speed: OutcomeSet, ski: OutcomeSet) -> TestSet:
    """The test set of poses already read, with pairs and bends drawn from fixed seeds."""
    poses = labelled(penn)
    pairs = label_pairs(poses.similar, poses.action, poses.group, PAIRS, np.random.default_rng(1))
    return TestSet(poses, pairs, bend_test(poses.xy, np.random.default_rng(3)), speed, ski)


def measure(method: Method, tests: TestSet, short: bool = False) -> dict[str, float]:
    """Every number of the table for one method, by column name; with `short`, those of SHORT_COLUMNS only."""
    poses, pairs = tests.poses, tests.pairs
    first, second = poses.xy[pairs.first], poses.xy[pairs.second]
    between = method.matrix(poses.xy)
    bent = method.pairs(tests.bends.original, tests.bends.bent, everything_visible(tests.bends.bent))
    result = {
        "AUC": area_under_curve(method.pairs(first, second, everything_visible(first)), pairs.similar),
        "R@1": recall_at_1(between, poses.similar, poses.group),
        "R@1 action": recall_at_1(between, poses.action, poses.group),
        "bends": spearman(bent, tests.bends.degrees.astype(float)),
    }
    if short:
        return result
    result |= _robustness(method, first, second, pairs)
    result["mirror"] = _mirrored_share(method, poses.xy)
    result["drop 3"] = worst_score_change(method, poses.xy)
    rho, _, _ = spearman_with_interval(outcome_distances(method, tests.speed, 5), tests.speed.outcome, draws=1)
    result["climb"] = rho
    jumps = outcome_distances(method, tests.ski, len(tests.ski.outcome))
    result["ski"], result["ski low"], result["ski high"] = spearman_with_interval(jumps, tests.ski.outcome)
    return result


def _robustness(method: Method, first: Floats, second: Floats, pairs: Pairs) -> dict[str, float]:
    """AUC after 6 % jitter, 10 % outlier joints and 20 % dropped joints of the second pose."""
    generator = np.random.default_rng(7)
    jittered = second + generator.normal(0, 0.06, second.shape)
    outlier = generator.random(second.shape[:2]) < 0.1
    displaced = np.where(outlier[..., None], second + generator.normal(0, 0.5, second.shape), second)
    mask = (generator.random(second.shape[:2]) >= 0.2).astype(np.float32)
    whole = everything_visible(second)
    changed = {
        "jitter": (jittered.astype(np.float32), whole),
        "outliers": (displaced.astype(np.float32), whole),
        "dropped": (second, mask),
    }
    return {
        name: area_under_curve(method.pairs(first, poses, visible), pairs.similar)
        for name, (poses, visible) in changed.items()
    }


def _mirrored_share(method: Method, xy: Floats) -> float:
    """Mean distance of a pose to its mirror image, over that to a random pose: 0 blind to sides, 1 a stranger."""
    whole = everything_visible(xy)
    shuffled = xy[np.random.default_rng(9).permutation(len(xy))]
    mirrored = method.pairs(xy, mirror_joints(xy), whole).mean()
    return float(mirrored / max(method.pairs(xy, shuffled, whole).mean(), 1e-9))


def worst_score_change(method: Method, xy: Floats, count: int = 40) -> float:
    """By how many points dropping any 3 joints on both sides changes the score of a match, at worst.

    A match is a pose and the same pose turned by up to 3 degrees, stretched by 2 % and jittered by 1 %; all 455 triples
    of joints are dropped from each of `count` matches.
    """
    generator = np.random.default_rng(11)
    poses = xy[generator.permutation(len(xy))[:count]]
    matches = disturbed(poses, generator, jitter=0.01, turn_degrees=3, stretch=0.02)
    whole = score_from_distance(method.pairs(poses, matches, everything_visible(poses)), PAPER_WIDTH)
    worst = 0.0
    for triple in itertools.combinations(range(15), 3):
        mask = everything_visible(poses)
        mask[:, triple] = 0
        score = score_from_distance(method.pairs(poses, matches, mask), PAPER_WIDTH)
        worst = max(worst, float(np.abs(score - whole).max()))
    return worst
