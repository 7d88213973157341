"""Whole actions left out: the folds, and one table of them."""

import numpy as np

from calibration.left_out import FOLDS, table


def test_no_action_is_in_two_folds() -> None:
    actions = [action for fold in FOLDS for action in fold.split(",")]
    assert len(actions) == len(set(actions)) == 15


def test_the_last_column_is_the_mean_of_the_folds_and_a_row_must_be_in_each() -> None:
    folds = [
        {"graded": np.array([[0.8, 0.5, 0.9], [0.6, 0.5, 0.9]]), "mlp": np.array([[0.5, 0.5, 0.5]])},
        {"graded": np.array([[0.9, 0.6, 1.0]])},
    ]
    lines = table(folds).splitlines()
    assert lines[0] == "| method | fold 1: AUC / R@1 / bends | fold 2 | mean of the folds |"
    assert lines[2] == (
        "| graded | 0.700 ± 0.100 / 0.500 ± 0.000 / 0.900 ± 0.000 (2) | 0.900 / 0.600 / 1.000 | 0.800 / 0.550 / 0.950 |"
    )
    assert len(lines) == 3
