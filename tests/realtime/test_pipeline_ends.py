"""How the loop ends: its caller leaves, somebody raises, it is stopped; nothing hangs and nothing is left running."""

import contextlib
import threading

import pytest

from engines.errors import EngineError, SourceError
from realtime.frames import Room, no_room
from realtime.pipeline import JOIN_SECONDS, Pipeline, Shown
from tests.realtime.fakes import DEADLINE_SECONDS, FakeClock, FakeExecutor, FakeSource, finished, wait_for
from tests.realtime.watched import FITTED, Watched, indices, watched_executor, watched_source


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
