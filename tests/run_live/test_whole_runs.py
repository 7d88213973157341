"""Runs that end well: their files, what they say, and no window where there is no display."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import run_live
from realtime import demo, displays
from realtime import live as live_wiring
from tests.realtime.fakes import FakeChain, frames_in
from tests.run_live.program import HEIGHT, WIDTH, rows_of


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


def test_the_demo_fills_in_everything_and_its_files_go_to_its_folder(
    tmp_path: Path, fake_engines: FakeChain, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED_ENGINES", tmp_path)
    assert run_live.main(["--demo", "--headless", "--max-frames", "4"]) == 0
    assert demo.CLIP.name in capfd.readouterr().out
    assert len(rows_of(tmp_path / "demo" / "demo.jsonl")) == 6 and frames_in(tmp_path / "demo" / "demo.mp4") == 4
