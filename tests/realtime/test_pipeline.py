"""The loop: nothing is lost from a file or queued from a camera, every frame is accounted for, every end is clean."""

import contextlib
import threading
from collections.abc import Callable

import numpy as np
import pytest

from engines.errors import EngineError, SourceError
from realtime.frames import Capture, Room, no_room
from realtime.mailbox import Ledger, Mailbox
from realtime.pipeline import JOIN_SECONDS, STALE_MS, Pipeline, Shown
from realtime.results import SCORED, STALE, PersonResult
from realtime.sources import Source
from tests.realtime.fakes import (
    DEADLINE_SECONDS,
    FRAME_SIZE,
    FakeClock,
    FakeExecutor,
    FakeSource,
    finished,
    result_of,
    standing,
    standing_joints,
    wait_for,
)

FITTED = (FRAME_SIZE[1], FRAME_SIZE[0])


class Watched:
    """A pipeline whose ledger is looked at from every hook; all its threads must end."""

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.most_in_flight = 0
        self.looks = 0

    def look(self, index: int = -1) -> None:
        """The ledger, as it is this moment."""
        if self.pipeline is None:
            return
        with self.pipeline._mailbox.lock:
            ledger = self.pipeline.ledger
            assert ledger.captured == ledger.shown + ledger.dropped + ledger.in_flight
            assert min(ledger.captured, ledger.shown, ledger.dropped, ledger.in_flight) >= 0
            self.most_in_flight = max(self.most_in_flight, ledger.in_flight)
            self.looks += 1

    def run(
        self,
        source: Source,
        executor: FakeExecutor,
        consume: Callable[[Shown], None] = lambda shown: None,
        *,
        clock: FakeClock | None = None,
        max_frames: int | None = None,
    ) -> list[Shown]:
        """Everything shown; asserts that the loop ends, leaves no thread behind and loses count of no frame."""
        before = set(threading.enumerate())
        pipeline = self.pipeline = Pipeline(source, executor, FITTED, clock or FakeClock(), max_frames=max_frames)
        shown: list[Shown] = []

        def work() -> None:
            with contextlib.closing(pipeline.run()) as results:
                for one in results:
                    self.look()
                    shown.append(one)
                    consume(one)

        try:
            finished(work)
        finally:
            left = {
                thread.name for thread in set(threading.enumerate()) - before if thread.name in ("capture", "worker")
            }
            assert not left, f"still running: {left}"
            self.look()
            assert pipeline.ledger.in_flight == 0
        return shown


def indices(shown: list[Shown]) -> list[int]:
    return [one.result.frame for one in shown]


def watched_source(watched: Watched, count: int | None, **options: bool) -> FakeSource:
    return FakeSource(count, before_read=watched.look, **options)  # type: ignore[arg-type]


def watched_executor(watched: Watched, depth: int = 1) -> FakeExecutor:
    return FakeExecutor(depth, on_submit=watched.look, on_collect=watched.look)


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


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_caller_who_leaves_early_ends_everything_and_what_they_held_counts_as_dropped(live: bool, depth: int) -> None:
    watched = Watched()
    before = set(threading.enumerate())
    pipeline = watched.pipeline = Pipeline(
        watched_source(watched, None, live=live), watched_executor(watched, depth), FITTED, FakeClock()
    )

    def work() -> None:
        with contextlib.closing(pipeline.run()) as results:
            for one in results:
                if one.result.frame >= 3:
                    break

    finished(work)
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name in ("capture", "worker")]
    watched.look()
    assert pipeline.ledger.in_flight == 0
    assert pipeline.ledger.dropped >= 1


def test_a_caller_who_leaves_frees_a_source_that_waits_for_its_next_frame() -> None:
    waiting = threading.Event()

    class Silent(FakeSource):
        def read(self, stop: threading.Event, room: Room = no_room):  # type: ignore[no-untyped-def]
            if self.reads == 1:
                waiting.set()
                wait_for(stop, "the stop")
                return None
            return super().read(stop, room)

    with pytest.raises(ZeroDivisionError):
        Watched().run(Silent(None, live=True), FakeExecutor(), lambda one: raised(ZeroDivisionError(), after=waiting))


def raised(error: BaseException, after: threading.Event | None = None) -> None:
    """Raises, where only an expression fits."""
    if after is not None:
        wait_for(after)
    raise error


@pytest.mark.parametrize("index", [0, 1, 5])
@pytest.mark.parametrize("live", [False, True])
def test_what_the_source_raises_reaches_the_caller(index: int, live: bool) -> None:
    watched = Watched()
    lost = SourceError("camera 0 gave no frame", "it may be lost for 30 s", "check the cable")

    def before_read(asked: int) -> None:
        watched.look()
        if asked == index:
            raise lost

    with pytest.raises(SourceError) as caught:
        watched.run(FakeSource(None, live=live, before_read=before_read), watched_executor(watched))
    assert caught.value is lost


@pytest.mark.parametrize("depth", [1, 2])
def test_frames_that_a_file_gave_before_it_failed_are_shown_first(depth: int) -> None:
    watched = Watched()

    def before_read(index: int) -> None:
        if index == 6:
            raise SourceError("the seventh picture is broken", "a", "b")

    seen: list[int] = []
    with pytest.raises(SourceError):
        watched.run(
            FakeSource(None, before_read=before_read),
            watched_executor(watched, depth),
            lambda one: seen.append(one.result.frame),
        )
    assert seen == [0, 1, 2, 3, 4, 5]


def test_what_the_source_raises_while_the_caller_is_busy_ends_everything_too() -> None:
    """The error waits for the caller, who leaves with an error of their own; nothing may wait for them for ever."""
    failed = threading.Event()

    def before_read(index: int) -> None:
        if index == 3:
            failed.set()
            raise SourceError("gone", "a", "b")

    def consume(one: Shown) -> None:
        wait_for(failed)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Watched().run(FakeSource(None, before_read=before_read), FakeExecutor(), consume)


@pytest.mark.parametrize("where", ["on_submit", "on_collect"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("index", [0, 4])
def test_what_the_engines_raise_reaches_the_caller(where: str, depth: int, index: int) -> None:
    watched = Watched()
    broken = EngineError("the engine failed", "it must not", "run it again")

    def fails(asked: int) -> None:
        watched.look()
        if asked == index:
            raise broken

    executor = FakeExecutor(depth, on_submit=watched.look, on_collect=watched.look)
    setattr(executor, f"_{where}", fails)
    with pytest.raises(EngineError) as caught:
        watched.run(watched_source(watched, None), executor)
    assert caught.value is broken


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyboardInterrupt()])
def test_what_the_caller_raises_ends_everything_and_is_raised(error: BaseException, live: bool) -> None:
    watched = Watched()

    def consume(one: Shown) -> None:
        if one.result.frame >= 2:
            raise error

    with pytest.raises(type(error)):
        watched.run(watched_source(watched, None, live=live), watched_executor(watched), consume)
    assert watched.pipeline is not None
    assert watched.pipeline.ledger.shown <= 2


def test_stopping_from_outside_ends_the_run_without_an_error_and_more_than_once_is_harmless() -> None:
    watched = Watched()

    def consume(one: Shown) -> None:
        assert watched.pipeline is not None
        if one.result.frame == 2:
            watched.pipeline.stop()
            watched.pipeline.stop()

    shown = watched.run(watched_source(watched, None), watched_executor(watched), consume)
    assert indices(shown)[:3] == [0, 1, 2]


def test_the_deadline_of_these_tests_is_longer_than_the_loops_own() -> None:
    assert DEADLINE_SECONDS > 2 * JOIN_SECONDS


def aged(age_ms: float, *, live: bool) -> Shown:
    """What is shown of a frame that takes `age_ms` in the executor."""
    clock = FakeClock()
    executor = FakeExecutor(on_collect=lambda index: clock.advance(age_ms / 1e3))
    (shown,) = Watched().run(FakeSource(1, live=live, clock=clock), executor, clock=clock)
    return shown


def test_a_live_frame_older_than_a_quarter_of_a_second_is_stale_and_loses_its_score() -> None:
    result = aged(STALE_MS + 1, live=True).result
    assert (result.status, result.score, result.distance) == (STALE, None, None)
    assert result.age_ms == 251.0
    assert result.reason == "the picture is 251 ms old"


def test_a_live_frame_of_a_quarter_of_a_second_is_still_scored() -> None:
    result = aged(STALE_MS, live=True).result
    assert (result.status, result.score, result.age_ms) == (SCORED, 50.0, 250.0)


def test_a_files_frame_is_never_stale_and_has_an_age_all_the_same() -> None:
    result = aged(60_000, live=False).result
    assert (result.status, result.score, result.reason, result.age_ms) == (SCORED, 50.0, None, 60_000.0)


def test_nobody_in_a_stale_frame_has_a_score() -> None:
    person = PersonResult(0, np.ones(5, np.float32), standing(), standing_joints(), 50.0)

    class Crowd(FakeExecutor):
        def collect(self):  # type: ignore[no-untyped-def]
            frame = self.held.popleft()
            clock.advance(1)
            return result_of(frame.index, captured_ns=frame.captured_ns, people=(person,))

    clock = FakeClock()
    (shown,) = Watched().run(FakeSource(1, live=True, clock=clock), Crowd(), clock=clock)
    assert [one.score for one in shown.result.people] == [None]


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


def frame(index: int):  # type: ignore[no-untyped-def]
    from realtime.frames import Frame

    return Frame(np.zeros((2, 2, 3), np.uint8), index, 0.0, 0)


def test_a_full_mailbox_of_a_camera_holds_the_newest_frame() -> None:
    ledger = Ledger()
    mailbox = Mailbox(True, ledger)
    assert all(mailbox.put(frame(index)) for index in range(5))
    assert ledger == Ledger(captured=4, dropped=4)
    taken = mailbox.take()
    assert taken is not None
    assert (taken.index, taken.dropped_before) == (4, 4)
    assert ledger == Ledger(captured=5, dropped=4, in_flight=1)


def test_a_closed_mailbox_takes_nothing_in_and_gives_what_is_left() -> None:
    ledger = Ledger()
    mailbox = Mailbox(False, ledger)
    mailbox.put(frame(0))
    mailbox.close()
    assert not mailbox.put(frame(1))
    taken = mailbox.take()
    assert taken is not None and taken.index == 0
    assert mailbox.take() is None
    assert ledger == Ledger(captured=1, in_flight=1)


def test_a_mailbox_closed_in_a_hurry_drops_what_is_left() -> None:
    ledger = Ledger()
    mailbox = Mailbox(False, ledger)
    mailbox.put(frame(0))
    mailbox.close(drop=True)
    assert mailbox.take() is None
    assert ledger == Ledger(captured=1, dropped=1)


def test_a_camera_gone_silent_has_its_last_frame_shown_again_without_a_score_and_not_counted() -> None:
    clock = FakeClock()
    back = threading.Event()

    def unplugged(index: int) -> None:
        if index == 1:
            wait_for(back)

    source = FakeSource(2, live=True, clock=clock, before_read=unplugged)
    pipeline = Pipeline(source, FakeExecutor(), FITTED, clock, silence_ms=5)
    shown: list[Shown] = []
    with contextlib.closing(pipeline.run()) as results:
        for one in results:
            shown.append(one)
            if one.repeated:
                clock.advance(2)
            if len(shown) == 3:
                back.set()
    first, *repeats = [one for one in shown if one.result.frame == 0]
    assert not first.repeated and first.result.status == SCORED
    assert len(repeats) >= 2
    assert all(one.repeated and one.result.status == STALE and one.result.score is None for one in repeats)
    assert repeats[1].result.reason == "camera lost: no picture for 2.0 s"
    assert pipeline.ledger.shown + pipeline.ledger.dropped == pipeline.ledger.captured == 2


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
