"""The loop: nothing is lost from a file or queued from a camera, and every frame is accounted for."""

import threading

import pytest

from realtime.frames import Capture, Room
from realtime.mailbox import Ledger
from realtime.pipeline import Shown
from tests.realtime.fakes import FakeClock, FakeExecutor, FakeSource, wait_for
from tests.realtime.watched import FITTED, Watched, indices, watched_executor, watched_source


@pytest.mark.parametrize("depth", [1, 2])
def test_a_file_loses_nothing_and_keeps_its_order(depth: int) -> None:
    watched = Watched()
    shown = watched.run(watched_source(watched, 40), watched_executor(watched, depth))
    assert indices(shown) == list(range(40))
    assert watched.pipeline is not None
    assert watched.pipeline.ledger == Ledger(captured=40, shown=40)
    assert all(one.dropped_before == 0 for one in shown)
    assert watched.looks > 120


def test_two_frames_at_most_are_in_flight() -> None:
    """The caller keeps the first frame until the next one is done and the one after waits."""
    watched = Watched()
    collected = threading.Event()
    executor = FakeExecutor(
        on_submit=watched.look, on_collect=lambda index: collected.set() if index else watched.look()
    )
    watched.run(watched_source(watched, 10), executor, lambda one: None if one.result.frame else wait_for(collected))
    assert watched.most_in_flight == 2


def test_an_executor_that_holds_two_frames_is_given_two() -> None:
    watched = Watched()
    executor = watched_executor(watched, depth=2)
    shown = watched.run(watched_source(watched, 7), executor)
    assert executor.most_held == 2
    assert [int(one.image[0, 0, 0]) for one in shown] == indices(shown) == list(range(7))


def test_a_slow_caller_of_a_camera_gets_the_newest_frame_and_the_rest_is_dropped_not_queued() -> None:
    watched = Watched()
    first_shown, second_begun, all_read = threading.Event(), threading.Event(), threading.Event()

    def before_read(index: int) -> None:
        watched.look()
        if index == 1:
            wait_for(first_shown)
        if index == 2:
            wait_for(second_begun)
        if index == 10:
            all_read.set()

    def consume(one: Shown) -> None:
        if one.result.frame == 0:
            first_shown.set()
            wait_for(all_read)

    executor = FakeExecutor(on_submit=lambda index: second_begun.set() if index == 1 else watched.look())
    shown = watched.run(FakeSource(10, live=True, before_read=before_read), executor, consume)
    assert indices(shown) == [0, 1, 9]
    assert [one.dropped_before for one in shown] == [one.result.dropped_before for one in shown] == [0, 0, 7]
    assert watched.pipeline is not None
    assert watched.pipeline.ledger == Ledger(captured=10, shown=3, dropped=7)
    assert watched.most_in_flight == 2


def test_a_file_waits_for_a_slow_caller() -> None:
    """While the caller holds frame 0, one frame is done and one waits in the mailbox; none is read after those."""
    watched = Watched()
    third_read = threading.Event()
    source = FakeSource(10, before_read=lambda index: third_read.set() if index == 3 else None)
    reads: list[int] = []

    def consume(one: Shown) -> None:
        if one.result.frame == 0:
            wait_for(third_read)
        reads.append(source.reads - one.result.frame)

    shown = watched.run(source, watched_executor(watched), consume)
    assert indices(shown) == list(range(10))
    assert max(reads) <= 4


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_loop_stops_after_as_many_frames_as_asked_for(live: bool, depth: int, most: int) -> None:
    watched = Watched()
    source = watched_source(watched, None, live=live)
    shown = watched.run(source, watched_executor(watched, depth), max_frames=most)
    assert len(shown) == most
    assert watched.pipeline is not None
    assert watched.pipeline.ledger.shown == most


def test_more_frames_asked_for_than_there_are_is_no_fault() -> None:
    assert len(Watched().run(FakeSource(3), FakeExecutor(), max_frames=100)) == 3


def test_a_source_without_frames_shows_nothing() -> None:
    assert Watched().run(FakeSource(0), FakeExecutor()) == []


def test_a_frame_of_another_size_is_fitted_between_black_bars() -> None:
    (shown,) = Watched().run(FakeSource(1, size=(100, 180)), FakeExecutor())
    assert shown.image.shape == (*FITTED, 3)
    clear = FakeSource(2, size=(100, 180))
    bars = Watched().run(clear, FakeExecutor())[1].image
    assert not bars[:, :110].any()
    assert (bars[:, 110:210] == 1).all()
    assert not bars[:, 210:].any()


def test_the_time_a_frame_waits_for_its_turn_is_told_to_the_executor() -> None:
    clock = FakeClock()
    waited: list[float] = []

    class Timed(FakeExecutor):
        def submit(self, frame, *, wait_ms):  # type: ignore[no-untyped-def]
            waited.append(wait_ms)
            super().submit(frame, wait_ms=wait_ms)

    Watched().run(FakeSource(1, clock=clock), Timed(), clock=clock)
    assert waited == [0.0]


def test_the_same_picture_twice_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    greys = iter([5, 5, 6, 5, 5])
    source = FakeSource(5)
    read = source.read

    def repeating(stop: threading.Event, room: Room) -> Capture | None:
        capture = read(stop)
        if capture is not None:
            capture.image[:] = next(greys)
        return capture

    monkeypatch.setattr(source, "read", repeating)
    shown = Watched().run(source, FakeExecutor())
    assert [one.result.duplicate for one in shown] == [False, True, False, False, True]


def test_a_result_says_when_it_was_delivered_and_how_many_were_dropped_before_it() -> None:
    watched, clock = Watched(), FakeClock()

    def late(index: int) -> None:
        clock.advance(0.07)

    (shown,) = watched.run(FakeSource(1, clock=clock), FakeExecutor(on_collect=late), clock=clock)
    assert shown.result.moments_ms["delivered"] == shown.result.age_ms == pytest.approx(70)
    assert shown.result.dropped_before == 0
