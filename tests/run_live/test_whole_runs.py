"""Runs that end well: their files, what they say, and no window where there is no display."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import run_live
from engines.device_chain import DeviceChain
from engines.execution import read_chain
from engines.terminal import Terminal
from realtime import demo, displays
from realtime import live as live_wiring
from realtime.live_options import parser
from tests.fake_device import FakeDevice, engines_on
from tests.realtime.fakes import FakeChain, frames_in, rows_of
from tests.run_live.program import HEIGHT, WIDTH


def test_a_whole_run_ends_with_0_and_whole_files(
    tmp_path: Path, target: Path, clip: Path, fake_engines: FakeChain, capfd: pytest.CaptureFixture[str]
) -> None:
    results, record = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    arguments = ["--target", target, "--source", clip, "--results", results, "--record", record, "--max-frames", 20]
    assert run_live.main([*map(str, arguments), "--headless"]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert "on nothing at all" in said.out and "20 frames shown" in said.out and f"Wrote {results}" in said.out
    first, *frames, last = rows_of(results)
    assert first["source"] == str(clip) and first["smoothing"] is True
    assert [row["frame"] for row in frames] == list(range(20)) and last["shown"] == 20
    assert {row["status"] for row in frames} == {"scored"}
    assert frames_in(record) == 20


def test_no_window_is_made_where_there_is_no_display_and_it_is_said_why(
    target: Path,
    clip: Path,
    fake_engines: FakeChain,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(displays, "open_window", lambda *_: pytest.fail("a window, without a display"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert run_live.main(["--target", str(target), "--source", str(clip), "--max-frames", "3"]) == 0
    assert "No window: DISPLAY is not set." in capfd.readouterr().out


def test_headless_asks_for_no_display(
    target: Path,
    clip: Path,
    fake_engines: FakeChain,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(live_wiring, "display_problem", lambda: pytest.fail("asked for a display"))
    assert run_live.main(["--target", str(target), "--source", str(clip), "--max-frames", "3", "--headless"]) == 0
    assert "No window" not in capfd.readouterr().out


def test_paths_in_brackets_are_shown_as_they_are(
    tmp_path: Path, target: Path, clip: Path, fake_engines: FakeChain, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a["
    folder.mkdir()
    results = folder / "b] [red]c.jsonl"
    arguments = ["--target", target, "--source", clip, "--max-frames", 3, "--headless", "--results", results]
    assert run_live.main([*map(str, arguments)]) == 0
    assert f"Wrote {results}" in capfd.readouterr().out


def test_pictures_are_scored_each_for_itself(tmp_path: Path, target: Path, fake_engines: FakeChain) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
    results = tmp_path / "out.jsonl"
    arguments = ["--target", target, "--source", tmp_path / "?.png", "--headless", "--results", results]
    assert run_live.main([*map(str, arguments)]) == 0
    assert [row["time"] for row in rows_of(results)[1:-1]] == [0, 1, 2]
    assert fake_engines.calls.count("detect") == 3 and not np.any(fake_engines.anchors)


@pytest.mark.parametrize("captures", [True, False])
def test_a_gpu_that_captures_no_graphs_is_told_of_and_so_it_is_in_the_results(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, captures: bool,
) -> None:  # fmt: skip
    info, device = read_chain(tiny_engines, "bones"), FakeDevice(captures=captures)
    chain = DeviceChain(info, device, engines_on(device, info))
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (chain, "a fake GPU"))
    results = tmp_path / "out.jsonl"
    line = ["--target", target, "--source", clip, "--headless", "--max-frames", 3, "--results", results]
    assert run_live.main([str(word) for word in line]) == 0
    session, *_ = rows_of(results)
    said = "GPU: operations are enqueued one by one, not as one graph, because this fake captures nothing."
    assert (said in capsys.readouterr().out.splitlines()) == (not captures)
    assert session.get("not_captured") == (None if captures else "this fake captures nothing")


def test_whom_of_several_people_a_photo_gave_as_target_is_said(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chain = FakeChain(2, detections=[[(100, 20, 200, 170, 0.9), (10, 60, 60, 120, 0.8)]])
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (chain, "nothing at all"))
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    arguments = ["--target", str(photo), "--source", str(clip), "--max-frames", "2", "--headless"]
    assert run_live.main(arguments) == 0
    assert "Took person 2 of 2, from left to right: choose another with --target-person N.\n" in capfd.readouterr().out
    assert run_live.main([*arguments, "--target-person", "1"]) == 0
    assert "Took person 1 of 2, from left to right.\n" in capfd.readouterr().out


def test_the_demo_fills_in_everything_and_its_files_go_to_its_folder(
    tmp_path: Path, fake_engines: FakeChain, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED_ENGINES", tmp_path)
    assert run_live.main(["--demo", "--headless", "--max-frames", "4"]) == 0
    said = "Demo: roof.mp4 against roof.json; files go to demo/demo.mp4 and demo/demo.jsonl.\n"
    assert said in capfd.readouterr().out
    assert len(rows_of(tmp_path / "demo" / "demo.jsonl")) == 6 and frames_in(tmp_path / "demo" / "demo.mp4") == 4


def test_the_demo_says_what_it_plays_and_writes_in_place_of_its_own_files(
    tmp_path: Path,
    clip: Path,
    fake_engines: FakeChain,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED_ENGINES", tmp_path)
    given = ["--source", str(clip), "--results", "mine.jsonl", "--max-frames", "2", "--headless"]
    assert run_live.main(["--demo", *given]) == 0
    said = f"Demo: {clip} against roof.json; files go to demo/demo.mp4 and mine.jsonl.\n"
    assert said in capfd.readouterr().out and rows_of(tmp_path / "mine.jsonl")[0]["source"] == str(clip)


@pytest.mark.parametrize(
    ("source", "said"), [("97", "camera 97"), ("rtsp://me:secret@127.0.0.1:1/x", "rtsp://127.0.0.1")]
)
def test_the_demo_names_a_camera_or_a_stream_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], source: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = parser().parse_args(["--demo", "--source", source])
    assert demo.demo_arguments(arguments, Terminal()).source == source
    out = capfd.readouterr().out
    assert out.startswith(f"Demo: {said}") and "secret" not in out
