"""How old a picture may be: a live one that is too old, or never came, has no score."""

import contextlib
import threading

import numpy as np
import pytest

from realtime.pipeline import STALE_MS, Pipeline, Shown
from realtime.results import SCORED, STALE, PersonResult
from tests.realtime.fakes import FakeClock, FakeExecutor, FakeSource, result_of, standing, standing_joints, wait_for
from tests.realtime.watched import FITTED, Watched


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


@pytest.mark.parametrize(
    ("lost_seconds", "reason"),
    [(30, "camera lost: no picture for 2.0 s"), (None, "no new result for 2.0 s")],
    ids=["camera", "file at its own slow pace"],
)
def test_a_source_gone_silent_has_its_last_frame_shown_again_without_a_score_and_not_counted(
    lost_seconds: float | None, reason: str
) -> None:
    clock = FakeClock()
    back = threading.Event()

    def unplugged(index: int) -> None:
        if index == 1:
            wait_for(back)

    source = FakeSource(2, live=True, clock=clock, before_read=unplugged)
    pipeline = Pipeline(source, FakeExecutor(), FITTED, clock, silence_ms=5, lost_seconds=lost_seconds)
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
    assert repeats[1].result.reason == reason
    assert pipeline.ledger.shown + pipeline.ledger.dropped == pipeline.ledger.captured == 2
