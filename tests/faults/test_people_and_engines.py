"""People who swap places, engines and GPUs that fail in the middle of a run, and faults that come in any order."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import EXIT_ENGINE, EXIT_GPU, EngineError, GpuError, PosemirrorError, SourceError
from realtime.frames import Picture
from tests.faults.stage import FRAME_SECONDS, SeeingChain, Seen, Stage, StagedCamera, numbered, torn
from tests.realtime.fakes import FRAME_SIZE, FakeClock

Box = tuple[float, float, float, float, float]


def crossing(step: int) -> list[Box]:
    """Two people who change places in 20 detections; the larger one begins at the left."""
    share = min(step, 20) / 20
    left, right = 20 + 180 * share, 200 - 180 * share
    return [(left, 20, left + 90, 170, 0.9), (right, 30, right + 80, 170, 0.8)]


def test_two_people_who_swap_places_keep_the_books_and_their_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    chain = SeeingChain(2, detections=[crossing(0)] * 10 + [crossing(step) for step in range(40)])
    camera = StagedCamera(clock, lambda seconds, number: numbered(number))
    stage = Stage(monkeypatch, tmp_path, camera, clock, chain=chain, until_seconds=6).play()
    assert len({result.person for result in stage.results}) == 1, "nobody else is scored in their place"
    assert all(len({person.id for person in result.people}) == len(result.people) for result in stage.results)
    assert max(len(result.people) for result in stage.results) == 2


@pytest.mark.parametrize(("kind", "code"), [(EngineError, EXIT_ENGINE), (GpuError, EXIT_GPU)])
def test_engines_that_fail_end_the_run_with_every_frame_before_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[PosemirrorError], code: int
) -> None:
    """A GPU's error stays: nothing is asked of it again."""
    clock, calls = FakeClock(), []

    class Failing(SeeingChain):
        def encode(self, joints, targets):  # type: ignore[no-untyped-def]
            calls.append(clock.now_ns())
            if len(calls) > 30:
                raise kind("the engine failed", "it must not", "run it again")
            return super().encode(joints, targets)

    camera = StagedCamera(clock, lambda seconds, number: numbered(number))
    stage = Stage(monkeypatch, tmp_path, camera, clock, chain=Failing())
    with pytest.raises(kind) as caught:
        stage.play()
    assert caught.value.exit_code == code
    assert len(calls) == 31 and len(stage.results) == 30


FAULTS = ("healthy", "away", "frozen", "black", "torn", "small", "hung", "slow driver")


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.tuples(st.sampled_from(FAULTS), st.integers(1, 30)), min_size=1, max_size=4),
    open_seconds=st.sampled_from([0.0, 0.4]),
    reconnect_seconds=st.sampled_from([0.0, 1.0, 30.0]),
)
def test_faults_in_any_order_keep_every_promise(
    plan: list[tuple[str, int]], open_seconds: float, reconnect_seconds: float
) -> None:
    """The stage asserts them: balanced books, no old picture as live, no score from an old or torn one, whole files."""
    clock = FakeClock()
    kinds = [kind for kind, length in plan for _ in range(length)]

    def now(seconds: float) -> str:
        index = int(seconds / FRAME_SECONDS)
        return kinds[index] if index < len(kinds) else "healthy"

    def script(seconds: float, number: int) -> Picture:
        kind = now(seconds)
        if kind == "frozen":
            return numbered(5000)
        if kind == "black":
            return numbered(number) * 0
        if kind == "slow driver":
            clock.advance(0.3)
        return torn(number) if kind == "torn" else numbered(number, (60, 90) if kind == "small" else FRAME_SIZE)

    hung: set[int] = set()
    shown: list[Seen] = []

    def hangs(number: int) -> bool:
        """Once; time passes with the pictures shown, so there has to be one."""
        if now(camera.seconds) == "hung" and not hung and shown:
            hung.add(number)
        return number in hung

    def time_passes(seen: Seen) -> None:
        shown.append(seen)
        if not seen.live and camera.hanging.is_set() and not camera.woken.is_set():
            clock.advance(0.4)
            if clock.now_ns() >= woken_at_ns:
                camera.woken.set()

    camera = StagedCamera(
        clock, script, plugged=lambda seconds: now(seconds) != "away", open_seconds=open_seconds, hangs=hangs
    )  # fmt: skip
    woken_at_ns = clock.now_ns() + round(len(kinds) * FRAME_SECONDS * 1e9)
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        try:
            stage = Stage(
                monkeypatch,
                Path(folder),
                camera,
                clock,
                until_seconds=len(kinds) * FRAME_SECONDS + 6,
                reconnect_seconds=reconnect_seconds,
            )
            stage.on_seen = time_passes
            stage.play()
        except SourceError as error:
            assert "camera 0" in str(error)
        else:
            assert stage.scored_between(len(kinds) * FRAME_SECONDS, 1e9) > 10, "it is live again at the end"
