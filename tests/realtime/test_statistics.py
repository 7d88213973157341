"""Percentiles in bounded memory."""

import math

import numpy as np
import pytest

from realtime.statistics import MOST_BUCKETS, Distribution


def filled(values: "list[float] | np.ndarray") -> Distribution:
    distribution = Distribution()
    for value in values:
        distribution.add(float(value))
    return distribution


@pytest.mark.parametrize("spread", ["uniform", "lognormal", "two values", "one value", "wide"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 1.0])
def test_a_percentile_is_within_half_a_percent_of_the_exact_one(spread: str, share: float) -> None:
    generator = np.random.default_rng(3)
    values = {
        "uniform": generator.uniform(1, 100, 1999),
        "lognormal": generator.lognormal(3, 1, 2000),
        "two values": np.array([5.0] * 30 + [500.0] * 70),
        "one value": np.array([41.0]),
        "wide": 10 ** generator.uniform(-2, 7, 1000),
    }[spread]
    exact = np.sort(values)[math.ceil(share * len(values)) - 1]
    assert filled(values).percentile(share) == pytest.approx(exact, rel=0.0051)


def test_the_largest_is_exact_and_no_percentile_is_above_it() -> None:
    distribution = filled([1.0, 2.0, 1234.567])
    assert distribution.max == 1234.567
    assert distribution.percentile(1.0) <= 1234.567


def test_with_nothing_to_tell_everything_is_zero() -> None:
    assert Distribution().summary() == {"p50": 0, "p90": 0, "p95": 0, "p99": 0, "max": 0}
    assert Distribution().percentile(0.5) == 0


def test_a_stage_that_was_never_run_takes_no_time() -> None:
    assert filled([0.0] * 10).summary() == {"p50": 0, "p90": 0, "p95": 0, "p99": 0, "max": 0}


def test_a_negative_time_counts_as_none() -> None:
    distribution = filled([-5.0, -5.0, 10.0])
    assert distribution.count == 3
    assert distribution.percentile(0.5) <= 0.001
    assert distribution.summary()["max"] == 10


def test_an_hour_of_frames_takes_no_more_memory_than_a_minute() -> None:
    generator = np.random.default_rng(4)
    assert len(filled(generator.uniform(5, 60, 20_000))._buckets) <= 251  # ln(60 / 5) / ln(1.01), and one


def test_no_time_however_absurd_takes_more_memory() -> None:
    distribution = filled(10 ** np.random.default_rng(5).uniform(-30, 300, 20_000))
    distribution.add(math.inf)
    assert len(distribution._buckets) <= MOST_BUCKETS
    assert distribution.percentile(0.01) > 0


def test_the_summary_is_rounded_to_a_thousandth() -> None:
    assert filled([1 / 3]).summary() == dict.fromkeys(("p50", "p90", "p95", "p99", "max"), 0.333)
