"""A loop whose books are looked at from every hook, and which must end with no thread left behind."""

import contextlib
import threading
from collections.abc import Callable

from realtime.pipeline import Pipeline, Shown
from realtime.sources import Source
from tests.realtime.fakes import FRAME_SIZE, FakeClock, FakeExecutor, FakeSource, finished

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
