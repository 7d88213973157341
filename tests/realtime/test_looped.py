"""A clip that never ends: every frame in turn, media time without a seam, a camera's rate when asked."""

import threading

import pytest

from realtime.looped import LoopedSource
from tests.realtime.fakes import FakeClock, FakeSource


def looped(clock: FakeClock, rate: float | None = None) -> tuple[LoopedSource, list[FakeSource]]:
    opened: list[FakeSource] = []

    def reopen() -> FakeSource:
        opened.append(FakeSource(3))
        return opened[-1]

    return LoopedSource(reopen, clock, rate=rate), opened


def test_the_frames_come_again_and_media_time_goes_on() -> None:
    source, opened = looped(FakeClock())
    captures = [source.read(threading.Event()) for _ in range(8)]
    assert [int(one.image[0, 0, 0]) for one in captures if one] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [one.seconds for one in captures if one] == pytest.approx([index / 25 for index in range(8)])
    source.close()
    assert len(opened) == 3 and all(one.closed for one in opened)


def test_without_a_rate_it_is_a_file_and_waits_for_nobody() -> None:
    clock = FakeClock()
    source, _ = looped(clock)
    source.read(threading.Event())
    assert not source.live and clock.waits == []


def test_with_a_rate_each_frame_comes_at_its_time_and_a_late_reader_adds_no_delay() -> None:
    clock = FakeClock()
    source, _ = looped(clock, rate=10.0)
    begun = clock.now_ns()
    times = []
    for index in range(6):
        capture = source.read(threading.Event())
        assert capture is not None
        times.append((capture.captured_ns - begun) / 1e9)
        if index == 2:
            clock.advance(0.15)
    assert source.live and source.fps == 10
    assert times == pytest.approx([0, 0.1, 0.2, 0.35, 0.4, 0.5])


def test_it_ends_when_it_is_stopped() -> None:
    source, _ = looped(FakeClock())
    stop = threading.Event()
    stop.set()
    assert source.read(stop) is None
