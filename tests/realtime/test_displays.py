"""What displays have in common: the pace of a recording, and what the help says."""

from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest

from realtime import displays
from realtime.displays import Displays, Outputs, RecordingPace
from realtime.keys import WINDOW_KEYS
from realtime.station import Station
from realtime.web.hub import Hub
from realtime.web.words import KEYS_TAKEN
from tests.realtime.fakes import FRAME_SIZE, FakeChain


def times(fps: float, *seconds: float) -> list[int]:
    pace, written = RecordingPace(fps), list[int]()
    for index, one in enumerate(seconds):
        pace.write(one, partial(written.append, index))
    return [written.count(index) for index in range(len(seconds))]


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


def test_filling_a_live_sources_gaps_takes_at_most_half_of_them_and_the_pace_goes_on() -> None:
    """A codec of 20 ms a picture, behind a camera of 30 fps that gives one in ten, and then each."""
    clock = [0.0]
    written: list[float] = []
    pace = RecordingPace(30.0, live=True, now=lambda: clock[0])

    def write() -> None:
        written.append(clock[0])
        clock[0] += 0.02

    counts = []
    for seconds in (0.0, 1 / 3, 2 / 3, 2 / 3 + 1 / 30, 2 / 3 + 2 / 30):
        before = len(written)
        pace.write(seconds, write)
        counts.append(len(written) - before)
    assert counts == [1, 9, 9, 1, 1]
    assert times(30.0, 0.0, 1 / 3) == [1, 10], "a file waits"


def test_a_slow_source_is_recorded_picture_by_picture() -> None:
    assert times(0.1, 0.0, 10.0, 20.0) == [1, 1, 1]


@pytest.mark.parametrize("window", [False, True])
def test_where_only_browsers_look_the_help_names_the_page_s_keys(monkeypatch: pytest.MonkeyPatch, window: bool) -> None:
    monkeypatch.setattr(displays, "open_window", lambda *_: nullcontext(SimpleNamespace()))
    station = Station(None, FRAME_SIZE, 0.3)
    with Displays(Outputs(window=window, hub=Hub()), station, FakeChain().info, 30.0):
        named = {" " if key == "space" else key for keys, _ in station.keys for key in keys.split(", ")}
    assert (station.keys == WINDOW_KEYS) == window
    if not window:
        assert named | {"p"} == KEYS_TAKEN | {"f"}
