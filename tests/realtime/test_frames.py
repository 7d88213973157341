"""Frames, the clock, and which files are pictures."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from realtime.frames import Frame, MonotonicClock, is_picture


def test_the_machines_clock_never_goes_back() -> None:
    clock = MonotonicClock()
    times = [clock.now_ns() for _ in range(1000)]
    assert times == sorted(times)


def test_a_wait_ends_at_once_when_the_loop_stops() -> None:
    stopped = threading.Event()
    stopped.set()
    waiting = threading.Thread(target=MonotonicClock().wait, args=(3600.0, stopped), daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive()


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_a_time_that_is_past_is_not_waited_for(seconds: float) -> None:
    waiting = threading.Thread(target=MonotonicClock().wait, args=(seconds, threading.Event()), daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive()


def test_a_frame_cannot_be_changed_on_its_way() -> None:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.index = 1  # type: ignore[misc]


def test_pictures_are_known_by_their_name() -> None:
    assert is_picture(Path("a.png")) and is_picture(Path("b.JPEG"))
    assert not is_picture(Path("a.json")) and not is_picture(Path("png"))
