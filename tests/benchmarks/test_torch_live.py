"""The program that runs a session by torch on a GPU puts its chain where TensorRT's would be; here on a fake device."""

import json
from pathlib import Path

import pytest

from benchmarks import torch_live
from benchmarks.gpu_loop import fake_chain
from engines.errors import EXIT_OK
from engines.gpu import GpuState
from realtime import opening

CLIP = Path(__file__).resolve().parents[2] / "realtime" / "demo_clip"


def test_a_session_runs_on_the_chain_in_place_of_tensorrt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("read_chain", "open_tensorrt"):  # the program puts others there
        monkeypatch.setattr(opening, name, getattr(opening, name))
    monkeypatch.setattr(opening, "find_gpu", lambda: GpuState("a fake", "9.0", ""))
    monkeypatch.setattr(torch_live, "open_torch", fake_chain)
    results = tmp_path / "results.jsonl"
    options = {"--target": CLIP / "roof.json", "--source": CLIP / "roof.mp4", "--results": results, "--max-frames": 8}
    code = torch_live.main(["--headless", *(str(word) for pair in options.items() for word in pair)])
    said = capsys.readouterr().out
    assert code == EXIT_OK and "on torch on a fake" in said, said
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    scores = [row["score"] for row in rows if row["type"] == "frame"]
    assert len(scores) == 8 and None not in scores and len(set(scores)) > 1
