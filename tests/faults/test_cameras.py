"""Cameras that fail: what the person sees, what is scored, and how soon it is live again."""

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EXIT_SOURCE_LOST, SourceError
from realtime.coach import BLACK, FROZEN, LOST, STEP_IN
from realtime.frames import Picture
from realtime.results import SCORED, STALE
from tests.faults.stage import FRAME_SECONDS, Seen, Stage, StagedCamera, is_torn, number_of, numbered, torn
from tests.realtime.fakes import FRAME_SIZE, FakeClock

BACK_WITHIN_SECONDS = 2.0


def healthy(seconds: float, number: int) -> Picture:
    return numbered(number)


@pytest.mark.parametrize("open_seconds", [0.0, 0.4])
@pytest.mark.parametrize("away_seconds", [0.1, 0.3, 1.7, 3.3, 12.9])
def test_a_camera_unplugged_is_live_again_within_two_seconds_of_its_return(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, away_seconds: float, open_seconds: float
) -> None:
    clock, back = FakeClock(), 1.0 + away_seconds
    camera = StagedCamera(
        clock, healthy, plugged=lambda seconds: not 1.0 <= seconds < back, open_seconds=open_seconds
    )  # fmt: skip
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=back + 5).play()
    again = [at for at in stage.result_seconds if at > back]
    assert again[0] - back <= BACK_WITHIN_SECONDS
    assert not stage.scored_between(1.05, back - 0.01)
    assert stage.scored_between(back, back + BACK_WITHIN_SECONDS + 1) >= 20
    assert all(result.status == SCORED for result in stage.results)


def test_while_a_camera_is_lost_its_last_picture_is_dark_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    camera = StagedCamera(clock, healthy, hangs=lambda number: number == 20)
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=10)

    def time_passes(seen: Seen) -> None:
        if not seen.live and camera.hanging.is_set() and not camera.woken.is_set():
            clock.advance(0.5)
            if seen.words == LOST:
                camera.woken.set()

    stage.on_seen = time_passes
    stage.play()
    lost = [seen for seen in stage.seen if seen.words == LOST]
    assert lost and not any(seen.live for seen in lost)
    assert {seen.number for seen in lost} == {19}
    assert stage.results[-1].status == SCORED and len(stage.results) > 100


def test_a_grab_that_never_comes_back_ends_the_run_two_seconds_after_the_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    camera = StagedCamera(clock, healthy, hangs=lambda number: number == 20)
    stage = Stage(monkeypatch, tmp_path, camera, clock, reconnect_seconds=6)
    stage.on_seen = lambda seen: clock.advance(0.5) if not seen.live and camera.hanging.is_set() else None
    with pytest.raises(SourceError, match="camera 0 has not answered for 8 s") as caught:
        stage.play()
    assert caught.value.exit_code == EXIT_SOURCE_LOST
    assert len(stage.results) == 20, "everything captured before is in the file"
    assert LOST in stage.words_between(1.8, 9)


def test_a_camera_that_stays_away_ends_the_run_with_every_frame_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    camera = StagedCamera(clock, healthy, plugged=lambda seconds: seconds < 1)
    stage = Stage(monkeypatch, tmp_path, camera, clock, reconnect_seconds=5)
    with pytest.raises(SourceError, match="gave no frame for 5 s"):
        stage.play()
    assert 6 <= camera.seconds <= 8
    assert [result.status for result in stage.results] == [SCORED] * 24
    assert stage.ledger.shown + stage.ledger.dropped == 24


@pytest.mark.parametrize("mends", [True, False])
def test_a_frozen_camera_is_not_scored_after_a_quarter_of_a_second_and_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mends: bool
) -> None:
    """`read` succeeds all the time."""
    clock = FakeClock()

    def script(seconds: float, number: int) -> Picture:
        frozen = seconds >= 1 and not (mends and camera.openings > 1)
        return numbered(24 if frozen else number)

    camera = StagedCamera(clock, script)
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=9).play()
    assert camera.openings == 2
    assert not stage.scored_between(1.3, 3.9)
    assert stage.words_between(1.5, 3.9) == {FROZEN}
    frozen = [result for result in stage.results if result.status == STALE]
    assert all((result.reason or "").startswith("camera frozen: the same picture for") for result in frozen)
    if mends:
        assert stage.scored_between(4.0, 4.0 + BACK_WITHIN_SECONDS) >= 20
    else:
        assert not stage.scored_between(3.9, 9) and stage.words_between(4, 9) == {FROZEN}


def test_a_black_camera_gives_no_score_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its noise differs from picture to picture."""
    clock = FakeClock()

    def script(seconds: float, number: int) -> Picture:
        if seconds < 1 or seconds >= 3:
            return numbered(number)
        picture = np.zeros((FRAME_SIZE[1], FRAME_SIZE[0], 3), np.uint8)
        picture[16 * (number % 10), 8 * (number % 30)] = 1
        return picture

    stage = Stage(monkeypatch, tmp_path, StagedCamera(clock, script), clock, until_seconds=6).play()
    assert not stage.scored_between(1.05, 2.99)
    assert {result.status for result in stage.results[25:70]} == {"no_person"}
    assert stage.words_between(1.8, 2.9) == {BLACK}
    assert stage.scored_between(3, 3 + BACK_WITHIN_SECONDS) >= 20


def test_a_covered_camera_that_gives_the_same_black_picture_is_told_as_black(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    black = np.zeros((FRAME_SIZE[1], FRAME_SIZE[0], 3), np.uint8)
    camera = StagedCamera(clock, lambda seconds, number: numbered(number) if seconds < 1 else black)
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=4).play()
    assert not stage.scored_between(1.05, 4)
    assert stage.words_between(1.8, 4) == {BLACK}


def test_pictures_whose_size_changes_are_fitted_and_scored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = FakeClock()
    sizes = [FRAME_SIZE, (640, 480), (90, 160), (1, 1), (1920, 1080), FRAME_SIZE]
    shapes: set[tuple[int, ...]] = set()

    class Measuring(StagedCamera): ...

    camera = Measuring(clock, lambda seconds, number: numbered(number, sizes[min(number // 10, 5)]))
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=3)
    pose = stage.chain.pose

    def measured(frame: Picture, *arguments):  # type: ignore[no-untyped-def]
        shapes.add(frame.shape)
        return pose(frame, *arguments)

    stage.chain.pose = measured  # type: ignore[method-assign]
    stage.play()
    assert shapes == {(FRAME_SIZE[1], FRAME_SIZE[0], 3)}
    assert [stage.numbers[index] for index in range(60)] == list(range(60))
    assert stage.scored_between(0, 3) >= 70


def test_a_torn_picture_is_looked_at_by_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = FakeClock()
    camera = StagedCamera(clock, lambda seconds, number: (torn if number % 7 == 3 else numbered)(number))
    looked_at: list[Picture] = []
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=4)
    detect = stage.chain.detect

    def watched(frame: Picture, anchor):  # type: ignore[no-untyped-def]
        looked_at.append(frame)
        return detect(frame, anchor)

    stage.chain.detect = watched  # type: ignore[method-assign]
    stage.play()
    assert camera.openings == 1, "one torn picture is no lost camera"
    numbers = list(stage.numbers.values())
    assert len(numbers) > 70 and not [number for number in numbers if number % 7 == 3]
    assert looked_at and not any(is_torn(picture) for picture in looked_at)
    assert not any(seen.number % 7 == 3 for seen in stage.seen)


def test_a_camera_that_gives_only_torn_pictures_is_opened_again_and_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = FakeClock()
    camera = StagedCamera(clock, lambda seconds, number: (numbered if seconds < 1 else torn)(number))
    stage = Stage(monkeypatch, tmp_path, camera, clock, reconnect_seconds=4)
    with pytest.raises(SourceError, match="gave no frame for 4 s"):
        stage.play()
    assert camera.openings > 3
    assert max(stage.numbers.values()) < 25


@pytest.mark.parametrize("wrong_ms", [-700.0, -1e9, 0.0, 1e12, float("nan")])
def test_a_drivers_clock_that_goes_back_or_wild_is_believed_no_longer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong_ms: float
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    clock = FakeClock()

    def driver(number: int, true_ms: float) -> float:
        return true_ms - 12 if number < 20 else (wrong_ms if wrong_ms >= 0 else true_ms + wrong_ms)

    camera = StagedCamera(clock, healthy, driver_ms=driver)
    stage = Stage(monkeypatch, tmp_path, camera, clock, until_seconds=3).play()
    ages = [result.age_ms for result in stage.results]
    assert ages[:15] == pytest.approx([12] * 15) and ages[25:] == pytest.approx([0] * len(ages[25:]))
    assert all(result.status == SCORED for result in stage.results)


def test_nobody_in_view_is_said_and_nothing_is_scored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tests.faults.stage import SeeingChain

    clock = FakeClock()
    stage = Stage(
        monkeypatch, tmp_path, StagedCamera(clock, healthy), clock, chain=SeeingChain(detections=[[]]), until_seconds=4
    ).play()
    assert {(result.status, result.score, result.reason) for result in stage.results} == {
        ("no_person", None, "no person in view")
    }
    assert stage.words_between(1, 4) == {STEP_IN}
    assert all(seen.live for seen in stage.seen if seen.words == STEP_IN)


def test_a_slow_screen_drops_frames_and_shows_none_late(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each picture takes the screen as long as the camera takes for ten."""
    clock = FakeClock()
    stage = Stage(
        monkeypatch, tmp_path, StagedCamera(clock, healthy), clock, until_seconds=30, slow_grabs=10
    ).play()  # fmt: skip
    live = [seen for seen in stage.seen if seen.live]
    assert len(live) >= 20, "each is asserted not to be older than a quarter of a second"
    assert stage.ledger.shown < 0.3 * stage.ledger.captured


def test_the_stage_itself_tells_pictures_apart() -> None:
    assert [number_of(numbered(number, (64, 48))) for number in (0, 189, 190, 1000)] == [0, 189, 190, 1000]
    assert is_torn(torn(3)) and not is_torn(numbered(3)) and FRAME_SECONDS == 0.04
