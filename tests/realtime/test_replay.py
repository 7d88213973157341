"""Replay: the recorded session again, from its skeletons, with the encoder that its hash names, and the same scores."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import run_live
from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, BadInputError
from engines.execution import ChainInfo, EncodeOutput, Targets, open_session
from engines.graphs.chain import encode_graph
from engines.manifest import read_manifest
from engines.networks.encoders import BonesEncoder
from realtime.displays import Outputs
from realtime.executor import CpuExecutor
from realtime.overlay import View
from realtime.pipeline import Pipeline
from realtime.recording import read_recording
from realtime.replay import Agreement, ReplaySource
from realtime.results import FrameResult
from realtime.routine import single
from realtime.session import run_session
from realtime.station import Station
from realtime.tracking import Tracker
from tests.fixtures import write_engines
from tests.realtime.fakes import (
    FRAME_SIZE,
    FakeChain,
    FakeClock,
    FakeSource,
    chain_info,
    finished,
    result_of,
    rows_of,
    standing_target,
)

Floats = np.ndarray
Detections = list[list[tuple[float, ...]]]


class EncodingChain(FakeChain):
    """People by script, whose poses tremble; scored by a real encode graph."""

    def __init__(self, info: ChainInfo, detections: Detections) -> None:
        super().__init__(detections=detections)
        self.info = info
        self.session = open_session(info, "encode_bones", cut=False, threads=1)
        self.random = np.random.default_rng(7)

    def encode(self, joints: Floats, targets: Targets) -> EncodeOutput:
        joints[..., :2] += self.random.normal(0, 4, joints[..., :2].shape).astype(np.float32)
        inputs = {"joints": joints, "targets": targets.joints, "counts": targets.counts, "width": targets.width}
        return EncodeOutput(*self.session.run(None, inputs))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    write_engines(folder, {"encode_bones": encode_graph(BonesEncoder(), 1, 0.3)}, FRAME_SIZE[::-1], (96, 160), 1)
    return folder


def leave(chain: FakeChain, result: FrameResult) -> None:
    """Out of view from the tenth frame to the fifteenth."""
    chain.confidence = 0.1 if 10 <= result.frame < 15 else 0.9


def record(path: Path, engines: Path, source: FakeSource, detections: Detections) -> Path:
    """A session's results file."""
    manifest = read_manifest(engines / "encode_bones.json")
    plain = chain_info()
    info = ChainInfo(
        **{**vars(plain), "directory": engines, "manifests": {**plain.manifests, "encode_bones": manifest}}
    )
    chain = EncodingChain(info, detections)
    target = standing_target("Árvore", match_mirrored=True, ignore=("head",))
    executor = CpuExecutor(chain, target, Tracker(1, detect_every=6), stills=source.stills)
    pipeline = Pipeline(source, executor, FRAME_SIZE[::-1], FakeClock())
    finished(
        lambda: run_session(
            pipeline, source, info, target, Outputs(results=path), smoothing=True,
            on_result=lambda result, _: leave(chain, result), routine=single(target),
        ) and None
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def recorded(engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session in which someone is there, gone, and back."""
    detections: Detections = [[(100, 20, 200, 170, 0.9)], [], [(90, 30, 230, 175, 0.9)]]
    return record(tmp_path_factory.mktemp("recorded") / "out.jsonl", engines, FakeSource(30), detections)


def replay(recording: Path, engines: Path, *more: object) -> int:
    arguments = ["--replay", recording, "--engines", engines, "--headless", *more]
    return run_live.main([str(argument) for argument in arguments])


def test_the_scores_are_the_same_to_the_bit(
    recorded: Path, engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.jsonl"
    assert replay(recorded, engines, "--results", again) == 0
    (_, *before, _), (_, *after, _) = rows_of(recorded), rows_of(again)
    same = ("frame", "time", "status", "reason", "score", "distance", "box", "keypoints", "joints", "missing", "target")
    assert [[row[key] for key in same] for row in after] == [[row[key] for key in same] for row in before]
    place = ("phase", "repetition", "hold_seconds", "deviation_degrees")
    assert [[row[key] for key in place] for row in after] == [[row[key] for key in place] for row in before]
    assert {row["status"] for row in after} >= {"scored", "no_person"}
    scored = sum(row["score"] is not None for row in before)
    assert f"Replay: {scored} scores, all identical" in capsys.readouterr().out


def test_options_that_a_replay_takes_from_its_recording_are_told_of(
    recorded: Path, engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(recorded, engines, "--encoder", "mlp", "--source", "none.mp4", "--people", 3) == 0
    assert "With --replay these options do nothing: --encoder, --people, --source." in capsys.readouterr().out
    usual = ("--source", "0", "--smoothing", "on", "--camera-buffers", 1)
    assert replay(recorded, engines, "--camera-size=640x480", "--reconnect-seconds", 5, *usual) == 0
    told = "--smoothing, --source, --reconnect-seconds, --camera-size, --camera-buffers."
    assert f"With --replay these options do nothing: {told}" in capsys.readouterr().out
    assert replay(recorded, engines, "--pace") == 0
    assert "do nothing" not in capsys.readouterr().out


def test_a_replay_can_be_replayed(recorded: Path, engines: Path, tmp_path: Path) -> None:
    assert replay(recorded, engines, "--results", tmp_path / "a.jsonl") == 0
    assert replay(tmp_path / "a.jsonl", engines, "--results", tmp_path / "b.jsonl", "--max-frames", 5) == 0
    assert len(rows_of(tmp_path / "b.jsonl")) == 7


def test_a_replay_is_drawn_without_any_picture_of_the_person(recorded: Path, engines: Path, tmp_path: Path) -> None:
    assert replay(recorded, engines, "--record", tmp_path / "out.avi") == 0
    assert (tmp_path / "out.avi").stat().st_size > 1000


@pytest.fixture
def ghost_heights(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How tall the pose to reach is in each picture that is drawn, px."""
    heights: list[float] = []

    class Watched(Station):
        def view(self, result: FrameResult, latency: str) -> tuple[Floats | None, View]:
            joints, view = super().view(result, latency)
            assert view.ghost is not None
            heights.append(float(np.ptp(view.ghost[:, 1])))
            return joints, view

    monkeypatch.setattr("realtime.replay.Station", Watched)
    return heights


TALL, SMALL = (100, 20, 200, 170, 0.9), (100, 20, 125, 58, 0.9)


def test_of_unrelated_pictures_each_is_shown_again_with_its_own_person_s_size(
    engines: Path, tmp_path: Path, ghost_heights: list[float]
) -> None:
    """And once more when the replay is replayed."""
    pictures = record(tmp_path / "pictures.jsonl", engines, FakeSource(2, stills=True), [[TALL], [SMALL]])
    again = tmp_path / "again.jsonl"
    assert replay(pictures, engines, "--record", tmp_path / "out.avi", "--results", again) == 0
    assert replay(again, engines, "--record", tmp_path / "out.avi") == 0
    tall, small, *once_more = ghost_heights
    assert small < tall / 2 and once_more == [tall, small]


def test_in_a_video_the_size_of_a_moment_ago_stays(engines: Path, tmp_path: Path, ghost_heights: list[float]) -> None:
    video = record(tmp_path / "video.jsonl", engines, FakeSource(2), [[TALL], [SMALL]])
    assert replay(video, engines, "--record", tmp_path / "out.avi") == 0
    tall, small = ghost_heights
    assert small > tall / 2


def test_scores_that_differ_are_told(recorded: Path, engines: Path, tmp_path: Path) -> None:
    agreement = Agreement()
    agreement.add(result_of(0, score=50.0), result_of(0, score=50.0))
    agreement.add(result_of(0, score=50.0), result_of(0, score=50.25))
    assert agreement.sentence == "2 scores, 1 identical to the recorded ones, the largest difference 0.2500 points"


def test_an_unknown_hash_ends_with_4(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("realtime.live.SHIPPED_ENGINES", tmp_path / "quickstart")
    assert replay(recorded, tmp_path) == EXIT_ENGINE
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and "no ONNX graph of that hash" in stderr and "build_engines.py" in stderr


def test_a_recording_cut_off_between_two_rows_is_read(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(recorded.read_text().splitlines(keepends=True)[:10]))
    recording = read_recording(path)
    assert len(recording.frames) == 9 and recording.dropped is None


@pytest.mark.parametrize("length", [1, 200, -2])
def test_of_a_recording_cut_off_within_a_row_the_rows_before_are_read(
    recorded: Path, tmp_path: Path, length: int
) -> None:
    lines = recorded.read_text().splitlines(keepends=True)
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(lines[:10]) + lines[10][:length])
    assert len(read_recording(path).frames) == 9
    path.write_text("".join(lines[:10]) + lines[10][:-1])
    assert len(read_recording(path).frames) == 10, "all but its newline is whole"


def test_blank_lines_at_the_end_are_no_rows(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "edited.jsonl"
    path.write_text(recorded.read_text() + "\n \r\n\t")
    assert len(read_recording(path).frames) == len(read_recording(recorded).frames)
    assert read_recording(path).dropped is not None


def changed(row: int, **changes: object) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        return [
            json.dumps({**json.loads(line), **changes}) + "\n" if index == row else line
            for index, line in enumerate(lines)
        ]

    return change


BAD: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "empty": (lambda lines: [], "is empty"),
    "cut off within its first row": (lambda lines: [lines[0][:200]], "line 1 ends too early"),
    "cut off, and more after it": (lambda lines: [*lines[:5], lines[5][:200] + "\n", lines[6]], "line 6 is not JSON"),
    "no JSON at the end": (lambda lines: [*lines[:5], "hello"], "line 6 ends too early"),
    "no JSON": (lambda lines: [*lines[:5], "hello\n"], "line 6 is not JSON"),
    "no object": (lambda lines: [*lines[:5], "[1]\n"], "line 6 is a list"),
    "no session": (lambda lines: lines[1:], 'line 1 has the type "frame"'),
    "two sessions": (lambda lines: [lines[0], *lines], 'line 2 has the type "session"'),
    "no target": (changed(0, targets=[]), "targets is empty"),
    "a bad target": (changed(0, targets=[{"format": "x"}]), r"targets\[0\]: format is"),
    "a bad frame size": (changed(0, frame_size=[0, 5]), "frame_size is 0"),
    "a frame too large to draw": (changed(0, frame_size=[65535, 65535]), "sides of at most 8192 px are allowed"),
    "a bad status": (changed(2, status="fine"), "status is \"fine\""),
    "too few joints": (changed(2, joints=[[1, 2, 3]]), "joints is a list of 1"),
    "joints that are none": (changed(2, joints=[["a", 2, 3]] * 15), r"joints\[0\] is \"a\""),
    "an infinite joint": (changed(2, joints=[[1e999, 2, 3]] * 15), r"joints\[0\] is Infinity"),
    "no score": (changed(2, score=None), "status is scored"),
    "a score that is no number": (changed(2, score=float("nan")), "score is NaN; it must be a number from 0 to 100"),
    "an infinite score": (changed(2, score=float("-inf")), "score is -Infinity"),
    "a blank line between two rows": (lambda lines: [*lines[:5], "\n", *lines[5:]], "line 6 is blank"),
    "blank lines alone": (lambda lines: ["\n", " \n"], "is empty"),
    "a score too high": (changed(2, score=101), "score is 101"),
    "an unknown target": (changed(2, target="Other"), "target is \"Other\""),
    "an unknown phase": (changed(2, phase="sleep"), "phase is"),
    "an unknown joint": (changed(2, deviation_degrees={"tail": 1}), "deviation_degrees is \"tail\""),
    "time that goes back": (changed(2, time=-1), "time is -1"),
    "time that goes back later": (changed(20, time=0.0), "time is 0.0"),
    "a routine of other targets": (
        changed(0, routine={"name": "x", "repetitions": 1, "poses": [{"target": "Other"}]}),
        "target is \"Other\"",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recording_is_refused_and_the_line_named(recorded: Path, tmp_path: Path, case: str) -> None:
    change, said = BAD[case]
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(change(recorded.read_text().splitlines(keepends=True))))
    with pytest.raises(BadInputError, match=said) as raised:
        read_recording(path)
    assert "\n" not in str(raised.value)


def test_a_bad_recording_ends_with_2_and_one_sentence(
    engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        assert replay(path, engines) == EXIT_BAD_INPUT
        assert capsys.readouterr().err.count("\n") == 1


def test_with_a_pace_frames_come_at_their_own_times(recorded: Path) -> None:
    clock = FakeClock()
    source = ReplaySource(read_recording(recorded), clock, pace=True)
    for _ in range(4):
        assert source.read(_never()) is not None
    assert clock.waits == pytest.approx([0, 0.04, 0.04, 0.04])
    assert source.fps == pytest.approx(25)


def _never():  # type: ignore[no-untyped-def]
    import threading

    return threading.Event()
