"""One run: whatever ends it, its files are whole and tell the same story."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import pytest

from engines.errors import SourceError
from realtime import displays, screen
from realtime.displays import Outputs, with_moments
from realtime.executor import CpuExecutor
from realtime.frames import Capture, Picture, Room, no_room
from realtime.mailbox import Ledger
from realtime.pipeline import Pipeline
from realtime.pose import Target, target_from_object
from realtime.results import MOMENTS, FrameResult
from realtime.routine import Routine, Step
from realtime.session import run_session, session_row, summary_row
from realtime.statistics import Statistics, latency_line
from realtime.tracking import Tracker
from tests.realtime.fakes import (
    FRAME_SIZE,
    SHA256,
    FakeChain,
    FakeClock,
    FakeSource,
    chain_info,
    finished,
    frames_in,
    result_of,
    rows_of,
    standing_target,
    valid_rows,
)


def run(
    source: FakeSource,
    outputs: Outputs,
    *,
    chain: FakeChain | None = None,
    target: Target | None = None,
    on_result: Callable[[FrameResult, Statistics], None] = lambda result, statistics: None,
) -> tuple[Ledger, list[Statistics]]:
    """A whole session on a chain without networks."""
    chain, target = chain or FakeChain(), target or standing_target()
    executor = CpuExecutor(chain, target, Tracker(chain.info.people))
    pipeline = Pipeline(source, executor, FRAME_SIZE[::-1], FakeClock())
    statistics: list[Statistics] = []
    finished(
        lambda: statistics.append(
            run_session(pipeline, source, chain.info, target, outputs, smoothing=True, on_result=on_result)
        )
    )
    return pipeline.ledger, statistics


def outputs_in(folder: Path) -> Outputs:
    return Outputs(record=folder / "out.mp4", results=folder / "out.jsonl")


def test_a_file_is_recorded_and_written_from_its_first_frame_to_its_last(tmp_path: Path) -> None:
    outputs = outputs_in(tmp_path)
    ledger, (statistics,) = run(FakeSource(12), outputs)
    session_, *frames, summary = rows_of(tmp_path / "out.jsonl")
    assert (session_["type"], summary["type"]) == ("session", "summary")
    assert [row["frame"] for row in frames] == list(range(12))
    assert ledger == Ledger(captured=12, shown=12)
    assert [summary[name] for name in ("captured", "shown", "dropped", "scored")] == [12, 12, 0, 12]
    assert statistics.scored == 12
    assert frames_in(tmp_path / "out.mp4") == 12


def test_frames_of_every_kind_are_written(tmp_path: Path) -> None:
    chain = FakeChain(2, detections=[[], [(100, 20, 200, 170, 0.9), (205, 20, 300, 170, 0.8)]])

    def worse(result: FrameResult, statistics: Statistics) -> None:
        if result.frame == 3:
            chain.confidence = np.array([0.9] * 11 + [0.1] * 6, np.float32)

    run(FakeSource(9), outputs_in(tmp_path), chain=chain, on_result=worse)
    frames = rows_of(tmp_path / "out.jsonl")[1:-1]
    assert {row["status"] for row in frames} == {"no_person", "scored", "joints_missing"}
    assert len(frames[2]["people"]) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_the_files_are_whole_when_something_ends_the_run(tmp_path: Path, error: BaseException) -> None:
    def ended(result: FrameResult, statistics: Statistics) -> None:
        if result.frame == 4:
            raise error

    with pytest.raises(type(error)):
        run(FakeSource(None), outputs_in(tmp_path), on_result=ended)
    *_, last, summary = rows_of(tmp_path / "out.jsonl")
    assert last["frame"] == 4
    assert summary["type"] == "summary"
    assert summary["captured"] == summary["shown"] + summary["dropped"]  # type: ignore[operator]
    assert frames_in(tmp_path / "out.mp4") == 5


def test_the_files_are_whole_when_the_source_is_lost(tmp_path: Path) -> None:
    def lost(index: int) -> None:
        if index == 6:
            raise SourceError("camera 0 gave no frame", "it may be lost for 30 s", "check the cable")

    with pytest.raises(SourceError):
        run(FakeSource(None, before_read=lost), outputs_in(tmp_path))
    *_, last, summary = rows_of(tmp_path / "out.jsonl")
    assert (last["frame"], summary["shown"], summary["dropped"]) == (5, 6, 0)
    assert frames_in(tmp_path / "out.mp4") == 6


def test_the_frame_that_ends_a_routine_is_the_last_and_was_shown(tmp_path: Path) -> None:
    target = standing_target()
    chain = FakeChain()
    source = FakeSource(None)
    executor = CpuExecutor(chain, target, Tracker(chain.info.people))
    pipeline = Pipeline(source, executor, FRAME_SIZE[::-1], FakeClock())
    routine = Routine("Once", (Step(target, hold_seconds=0.1, rest_seconds=0.0),), repetitions=1)
    finished(
        lambda: run_session(
            pipeline, source, chain.info, target, Outputs(results=tmp_path / "out.jsonl"), smoothing=True,
            on_result=lambda result, statistics: None, routine=routine,
        )
    )  # fmt: skip
    *frames, summary = rows_of(tmp_path / "out.jsonl")[1:]
    assert frames[-1]["phase"] == "done"
    assert summary["shown"] == summary["scored"] == len(frames)


class FakeWindow:
    """A screen that someone leaves after some pictures."""

    shown: list[Picture]
    leaves_after = 3
    closed = False
    lost = ""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        FakeWindow.shown, FakeWindow.closed = [], False

    def __enter__(self) -> Self:
        return self

    def show(self, picture: Picture) -> bool:
        self.shown.append(picture)
        return len(self.shown) < self.leaves_after

    def __exit__(self, *_: object) -> None:
        FakeWindow.closed = True


def test_who_leaves_the_window_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displays, "open_window", FakeWindow)
    ledger, _ = run(FakeSource(None), replace(outputs_in(tmp_path), window=True))
    assert len(FakeWindow.shown) == 3 and FakeWindow.closed
    *frames, summary = rows_of(tmp_path / "out.jsonl")[1:]
    assert [row["frame"] for row in frames] == list(range(len(frames)))
    assert 3 <= len(frames) <= 5, "what was in flight is still written"
    assert summary["shown"] == ledger.shown == len(frames) == frames_in(tmp_path / "out.mp4")
    assert FakeWindow.shown[0].shape == (FRAME_SIZE[1], FRAME_SIZE[0], 3)


def test_a_display_that_is_lost_takes_only_the_window_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class LostWindow(FakeWindow):
        def show(self, picture: Picture) -> bool:
            self.lost = "" if super().show(picture) else "the display was lost"
            return not self.lost

    said: list[str] = []
    monkeypatch.setattr(displays, "open_window", LostWindow)
    ledger, _ = run(FakeSource(8), replace(outputs_in(tmp_path), window=True, say=said.append))
    assert (said, len(LostWindow.shown), LostWindow.closed) == (["the display was lost"], 3, True)
    *frames, summary = rows_of(tmp_path / "out.jsonl")[1:]
    assert len(frames) == summary["shown"] == ledger.shown == frames_in(tmp_path / "out.mp4") == 8
    assert ["shown" in row["moments_ms"] for row in frames] == [True, True] + [False] * 6  # type: ignore[operator]


class ColouredSource(FakeSource):
    """The same frames as `FakeSource` at the same times, in noise of one colour."""

    def __init__(self, count: int, colour: tuple[int, int, int]) -> None:
        super().__init__(count)
        self._colour, self._noise = np.array(colour), np.random.default_rng(0)

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        capture = super().read(stop, room)
        if capture is None:
            return None
        noise = self._noise.integers(0, 60, capture.image.shape)
        return replace(capture, image=np.clip(self._colour + noise, 0, 255).astype(np.uint8))


def pictures_in(path: Path) -> list[Picture]:
    video, found = cv2.VideoCapture(str(path)), []
    while (picture := video.read()[1]) is not None:
        found.append(picture.astype(np.uint8))
    video.release()
    return found


def test_a_skeleton_recording_is_the_same_whatever_the_camera_sees(tmp_path: Path) -> None:
    recordings, seen = [], []
    for name, colour in (("red", (0, 0, 190)), ("green", (0, 190, 0))):
        skeleton, record = tmp_path / f"{name}.avi", tmp_path / f"{name}_seen.avi"
        run(ColouredSource(6, colour), Outputs(record=record, skeleton=skeleton))
        recordings.append(np.stack(pictures_in(skeleton)))
        seen.append(np.stack(pictures_in(record)))
    assert recordings[0].shape == (6, FRAME_SIZE[1], FRAME_SIZE[0], 3)
    assert np.array_equal(*recordings), "a pixel of the picture is in it"
    assert np.abs(seen[0].astype(int) - seen[1]).max() > 100, "the pictures themselves differ"
    assert recordings[0].max() > 200 and np.median(recordings[0]) < 60, "a skeleton on a dark ground"


class EveryOther(ColouredSource):
    """A source of which every other frame was dropped."""

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        capture = super().read(stop, room)
        return capture and replace(capture, seconds=2 * capture.seconds)


def test_recordings_of_a_source_that_drops_frames_last_as_long_as_it(tmp_path: Path) -> None:
    record, skeleton = tmp_path / "seen.avi", tmp_path / "skeleton.avi"
    run(EveryOther(4, (0, 0, 190)), Outputs(record=record, skeleton=skeleton))
    assert frames_in(record) == frames_in(skeleton) == 1 + 2 * 3


def test_a_skeleton_recording_alone_draws_nothing_over_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_over: list[float] = []
    draw = screen.draw_overlay

    def noted(ground: Picture, *rest: object) -> Picture:
        drawn_over.append(float(ground.max()))
        return draw(ground, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(screen, "draw_overlay", noted)
    run(ColouredSource(3, (0, 0, 190)), Outputs(skeleton=tmp_path / "out.mp4"))
    assert len(drawn_over) == 3 and max(drawn_over) < 100 and frames_in(tmp_path / "out.mp4") == 3


def test_without_outputs_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "draw_overlay", lambda *_: pytest.fail("drawn for nobody"))
    monkeypatch.setattr(displays, "open_window", lambda *_: pytest.fail("opened for nobody"))
    ledger, _ = run(FakeSource(5), Outputs())
    assert ledger.shown == 5


def test_results_alone_need_no_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "draw_overlay", lambda *_: pytest.fail("drawn for nobody"))
    run(FakeSource(5), Outputs(results=tmp_path / "out.jsonl"))
    assert len(rows_of(tmp_path / "out.jsonl")) == 7


def test_a_source_without_frames_has_a_first_row_and_a_last(tmp_path: Path) -> None:
    run(FakeSource(0), Outputs(results=tmp_path / "out.jsonl"))
    assert [row["type"] for row in rows_of(tmp_path / "out.jsonl")] == ["session", "summary"]


def test_a_row_tells_each_moment_of_its_picture_up_to_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(displays, "open_window", FakeWindow)
    run(FakeSource(2), Outputs(results=tmp_path / "out.jsonl", window=True))
    first, second = rows_of(tmp_path / "out.jsonl")[1:-1]
    assert list(first["moments_ms"]) == list(MOMENTS)  # type: ignore[call-overload]
    assert "detected" not in second["moments_ms"], "between detections there is no such moment"  # type: ignore[operator]
    assert (first["dropped_before"], first["duplicate"]) == (0, False)


def test_the_age_at_display_is_that_of_the_last_moment() -> None:
    result = result_of(0, age_ms=30.0, moments_ms={"delivered": 30.0})
    assert with_moments(result, {}).age_ms == 30
    shown = with_moments(result, {"drawn": 34.0, "shown": 36.5})
    assert (shown.age_ms, shown.moments_ms) == (36.5, {"delivered": 30.0, "drawn": 34.0, "shown": 36.5})


def valid(row: dict[str, object]) -> dict[str, object]:
    (again,) = valid_rows(json.dumps(row) + "\n")
    return again


def test_the_first_row_tells_everything_that_scoring_again_needs() -> None:
    target = standing_target("Árvore 木", ignore=("left_wrist",), score_width=0.25, match_mirrored=True)
    source = FakeSource(1)
    source.name = "rtsp://10.0.0.7/live"
    row = valid(session_row(chain_info(), source, target, True))
    assert row["source"] == "rtsp://10.0.0.7/live"
    assert row["engines"] == dict.fromkeys(("detect", "pose", "encode_bones"), SHA256)
    assert row["encoder"] == {"name": "bones", "weights_sha256": None}
    (written,) = row["targets"]  # type: ignore[misc]
    assert written.pop("width") == 0.25
    again = target_from_object(written, "session row")
    assert (again.name, again.ignore, again.score_width, again.match_mirrored) == (
        "Árvore 木",
        ("left_wrist",),
        0.25,
        True,
    )
    assert again.joints.tobytes() == target.joints.tobytes()


def test_the_first_row_names_the_weights_of_an_encoder_that_has_some() -> None:
    info = chain_info(encoder="paper")
    manifests = {name: replace(one, weights_sha256=SHA256) for name, one in info.manifests.items()}
    row = valid(session_row(replace(info, manifests=manifests), FakeSource(1), standing_target(), True))
    assert row["encoder"] == {"name": "paper", "weights_sha256": SHA256}


@pytest.mark.parametrize(
    ("size", "fit"),
    [
        ((320, 180), {"scale": 1.0, "left": 0, "top": 0}),
        ((640, 360), {"scale": 0.5, "left": 0, "top": 0}),
        ((180, 320), {"scale": 0.5625, "left": 109, "top": 0}),
        ((400, 180), {"scale": 0.8, "left": 0, "top": 18}),
    ],
)
def test_the_first_row_says_how_the_source_was_fitted(size: tuple[int, int], fit: dict[str, float]) -> None:
    row = valid(session_row(chain_info(), FakeSource(1, size=size), standing_target(), False))
    assert (row["source_size"], row["frame_size"], row["fit"]) == (list(size), list(FRAME_SIZE), fit)
    assert row["smoothing"] is False


@pytest.mark.parametrize("backend", ["onnx", "tensorrt", "tensorrt_rtx"])
def test_every_backend_can_be_named(backend: str) -> None:
    valid(session_row(chain_info(backend=backend), FakeSource(1), standing_target(), True))


def test_the_last_row_counts_frames_and_times() -> None:
    statistics = Statistics()
    for index in range(100):
        statistics.add(result_of(index, score=float(index), age_ms=40.0 + index))
    statistics.add(result_of(100, status="no_person", reason="no person in view", score=None, stages_ms={"wait": 2.0}))
    row = valid(summary_row(Ledger(captured=110, shown=101, dropped=9), statistics, "grab"))
    assert [row[name] for name in ("captured", "shown", "dropped", "scored")] == [110, 101, 9, 100]
    assert row["age_ms"]["p50"] == pytest.approx(89, rel=0.01)  # type: ignore[index]
    assert row["age_ms"]["max"] == 139  # type: ignore[index]
    assert set(row["stages_ms"]) == {"wait", "detect", "pose", "encode"}  # type: ignore[arg-type]
    assert statistics.best is not None and statistics.best.frame == 99
    assert latency_line(statistics, Ledger(dropped=9)).endswith("dropped 9")


def test_the_first_of_equal_frames_is_the_best_even_at_nought() -> None:
    statistics = Statistics()
    for index, score in enumerate((0.0, 0.0)):
        statistics.add(result_of(index, score=score))
    assert statistics.best is not None and statistics.best.frame == 0
