"""Slopes: right on a line, unmoved by outliers, and with an interval that holds what is true."""

import numpy as np
import pytest

from benchmarks.trend import trend

MINUTES = np.linspace(0, 60, 361)


def test_a_line_has_its_slope_and_no_width() -> None:
    found = trend(MINUTES, 300 + 0.2 * MINUTES)
    assert (found.slope, found.low, found.high) == pytest.approx((0.2, 0.2, 0.2))
    assert found.last - found.first == pytest.approx(0.2 * 54, rel=0.02)


def test_outliers_do_not_move_it() -> None:
    values = 300 + 0.2 * MINUTES
    values[::25] += 5000
    assert trend(MINUTES, values).slope == pytest.approx(0.2, abs=1e-6)


def test_what_stands_still_has_no_slope() -> None:
    assert trend(MINUTES, np.full(361, 11)).slope == 0


def test_the_interval_holds_the_true_slope_in_about_95_of_100_runs() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        found = trend(MINUTES, 0.05 * MINUTES + generator.normal(0, 3, len(MINUTES)))
        held += found.low <= 0.05 <= found.high
    assert 183 <= held <= 198


def test_two_points_tell_no_trend() -> None:
    with pytest.raises(ValueError, match="3 are needed"):
        trend([0, 1], [1, 2])
