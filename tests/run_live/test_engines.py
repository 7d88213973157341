"""Engines that are not there, are damaged or do not fit what is asked of them."""

import json
import shutil
from pathlib import Path

import pytest

from realtime import demo
from tests.run_live.program import Fails


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("no folder", "is not a folder"),
        ("empty", "detect.json does not exist"),
        ("frame size", "frame size: (640, 360) and (320, 180)"),
        ("corrupt engine", "has the hash"),
        ("corrupt weights", "has the hash"),
        ("corrupt manifest", "is not JSON"),
        ("no engine", "does not exist"),
        ("no encoder", "no encode engine named graded; it has bones, paper"),
    ],
)
def test_engines_that_do_not_fit_end_with_4(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path, fails: Fails, damage: str, said: str
) -> None:
    folder = tmp_path / "engines"
    if damage == "empty":
        folder.mkdir()
    elif damage != "no folder":
        shutil.copytree(tiny_engines, folder)
    if damage == "frame size":
        manifest = json.loads((folder / "detect.json").read_text())
        (folder / "detect.json").write_text(json.dumps({**manifest, "frame_size": [640, 360]}))
    if damage.startswith("corrupt"):
        name = {"engine": "pose.cut.onnx", "weights": "detect.weights", "manifest": "pose.json"}[damage.split()[1]]
        (folder / name).write_bytes((folder / name).read_bytes() + b"x")
    if damage == "no engine":
        (folder / "detect.cut.onnx").unlink()
    encoder = "graded" if damage == "no encoder" else "bones"
    sentence = fails(
        4, "--target", target, "--source", clip, "--engines", folder, "--encoder", encoder, "--headless"
    )  # fmt: skip
    assert said in sentence and "build_engines.py" in sentence


def test_without_any_engines_it_ends_with_4(
    tmp_path: Path, target: Path, clip: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "run build_engines.py" in fails(
        4, "--target", target, "--source", clip, "--engines", tmp_path / "none", "--headless"
    )


def test_an_encoder_without_a_mask_refuses_ignored_joints(
    target: Path, clip: Path, tiny_engines: Path, fails: Fails
) -> None:
    said = fails(
        2, "--target", target, "--source", clip, "--engines", tiny_engines, "--encoder", "paper", "--ignore", "legs",
        "--headless",
    )  # fmt: skip
    assert "the encoder paper compares all 15 joints; give --encoder graded" in said


def test_the_demo_without_engines_ends_with_4(tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED_ENGINES", tmp_path / "none")
    assert "run make demo" in fails(4, "--demo", "--headless")
