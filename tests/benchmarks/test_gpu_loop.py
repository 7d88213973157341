"""The comparison of both loops tells of frames that the detector misses, and that the loops agree on them."""

import sys
from pathlib import Path

import pytest

from benchmarks import gpu_loop
from tests.fixtures import bright_blob, tiny_graphs, write_engines
from tests.realtime.fakes import written_clip

FRAME, IMAGE = (180, 320), (96, 160)


def test_frames_that_the_detector_misses_are_told_and_posed_on_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_engines(tmp_path / "engines", tiny_graphs(FRAME, IMAGE, 1), FRAME, IMAGE, 1)
    pictures = [bright_blob(FRAME, 60 + 6 * index, 90, 24) // (2 if index in (4, 5) else 1) for index in range(8)]
    clip = written_clip(tmp_path / "clip.avi", pictures, 25)
    words = {"--engines": tmp_path / "engines", "--clip": clip, "--encoder": "bones", "--start": 1, "--frames": 7}
    monkeypatch.setattr(sys, "argv", ["gpu_loop.py", *(str(word) for pair in words.items() for word in pair)])
    assert gpu_loop.main() == 0
    said = capsys.readouterr().out
    assert "7 frames: 7 with a pose on the CPU, 7 on the fake GPU, 2 of them followed" in said
    assert "on one alone: none" in said and "boxes differ by 0.0000 px" in said
