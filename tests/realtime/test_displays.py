"""What displays have in common: the pace of a recording."""

import pytest

from realtime.displays import RecordingPace


def times(fps: float, *seconds: float) -> list[int]:
    pace = RecordingPace(fps)
    return [pace.times(one) for one in seconds]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        ([0.0, 1 / 30, 2 / 30, 3 / 30], [1, 1, 1, 1]),
        ([5.0, 5.031, 5.069, 5.098], [1, 1, 1, 1]),
        ([0.0, 2 / 30, 4 / 30], [1, 2, 2]),
        ([0.0, 0.01, 0.02, 0.033], [1, 0, 1, 0]),
        ([0.0, 1.0, 1 + 1 / 30], [1, 30, 1]),
        ([0.0, 60.0, 60 + 2 / 30], [1, 1, 2]),
        ([9.0, 0.0, 1 / 30], [1, 1, 1]),
    ],
    ids=["steady", "trembling", "every other one", "too many", "a second's silence", "a long one", "back to the start"],
)
def test_a_recording_plays_as_fast_as_its_source(seconds: list[float], written: list[int]) -> None:
    assert times(30.0, *seconds) == written


def test_a_slow_source_is_recorded_picture_by_picture() -> None:
    assert times(0.1, 0.0, 10.0, 20.0) == [1, 1, 1]
