"""Which poses are paired: the paper's rule on hand-made scores, and random pairs by label."""

from pathlib import Path

import numpy as np
import pytest

from calibration.datasets.outcomes import read_ski_jumps, read_speed21
from calibration.pairs import label_pairs, paper_pairs
from engines.errors import BadInputError

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here: annotations are not in the repo")


def as_dict(action: list[int], score: list[float], deviations: float = 1.0) -> dict[tuple[int, int], bool]:
    pairs = paper_pairs(np.array(action), np.array(score), deviations)
    return {(int(a), int(b)): bool(y) for a, b, y in zip(pairs.first, pairs.second, pairs.similar, strict=True)}


def test_both_above_the_median_of_one_action_are_similar() -> None:
    # Median 5; 6 and 9 are high. Deviation 3.35: 6 and 4 differ by too little to be used.
    pairs = as_dict([0, 0, 0, 0], [1.0, 4.0, 6.0, 9.0])
    assert pairs[(2, 3)] is True
    assert pairs[(0, 3)] is False
    assert pairs[(0, 2)] is False
    assert (1, 2) not in pairs
    assert (0, 1) not in pairs  # neither is high


def test_another_action_is_dissimilar_only_where_one_of_the_two_is_high() -> None:
    pairs = as_dict([0, 0, 1, 1], [1.0, 2.0, 1.0, 2.0])
    assert pairs[(1, 3)] is False
    assert pairs[(0, 3)] is False
    assert (0, 2) not in pairs


def test_how_much_is_much_can_be_chosen() -> None:
    scores = [1.0, 4.0, 6.0, 9.0]
    assert (1, 2) in as_dict([0] * 4, scores, deviations=0.5)
    assert (0, 2) not in as_dict([0] * 4, scores, deviations=2.0)


def test_equal_scores_of_one_action_make_no_pair() -> None:
    assert as_dict([0, 0, 0], [5.0, 5.0, 5.0]) == {}


@pytest.mark.parametrize(("action", "score"), [([0], [1.0]), ([0, 1], [1.0, np.nan]), ([0, 1, 2], [1.0, 2.0])])
def test_the_rule_refuses_what_it_cannot_pair(action: list[int], score: list[float]) -> None:
    with pytest.raises(BadInputError, match="the pair rule needs"):
        paper_pairs(np.array(action), np.array(score))


def test_label_pairs_keep_to_labels_and_groups() -> None:
    generator = np.random.default_rng(0)
    similar, action = np.arange(60) % 6, np.arange(60) % 3
    group = np.arange(60) // 12
    pairs = label_pairs(similar, action, group, 500, generator)
    good, bad = pairs.similar, ~pairs.similar
    assert good.sum() == bad.sum() == 500
    assert (similar[pairs.first[good]] == similar[pairs.second[good]]).all()
    assert (group[pairs.first[good]] != group[pairs.second[good]]).all()
    assert (action[pairs.first[bad]] != action[pairs.second[bad]]).all()


def test_label_pairs_refuse_a_single_label() -> None:
    one = np.zeros(5, np.int64)
    with pytest.raises(BadInputError, match="too few pairs among 5 poses"):
        label_pairs(one, one, np.arange(5), 10, np.random.default_rng(0))


@needs_data
def test_the_rule_runs_on_real_climbs_and_jumps() -> None:
    for data in (read_speed21(DATA / "speed21.npz"), read_ski_jumps(DATA / "skijump.npz")):
        pairs = paper_pairs(data.action, data.outcome)
        high = data.outcome > np.median(data.outcome)
        assert pairs.similar.sum() == high.sum() * (high.sum() - 1) // 2
        assert (~pairs.similar).sum() > 0
