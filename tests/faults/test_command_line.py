"""The whole program before a camera that hangs and engines that are none: one sentence, a code, whole files."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import run_live
from engines.errors import EXIT_ENGINE, EXIT_SOURCE_LOST
from realtime import live as live_wiring
from tests.faults.stage import SeeingChain, StagedCamera, numbered
from tests.fixtures import the_sentence, tiny_graphs, write_engines
from tests.realtime.fakes import FRAME_SIZE, FakeClock, rows_of, written_clip

pytestmark = pytest.mark.usefixtures("no_display")


class TickingClock(FakeClock):
    """A clock that goes on by itself: half a second whenever it is looked at."""

    def now_ns(self) -> int:
        self.advance(0.5)
        return super().now_ns()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[StagedCamera]:
    """A camera whose first grab does not come back."""
    camera = StagedCamera(FakeClock(), lambda seconds, number: numbered(number), hangs=lambda number: True)
    monkeypatch.setattr(cv2, "VideoCapture", camera)
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (SeeingChain(), "nothing at all"))
    monkeypatch.setattr(live_wiring, "MonotonicClock", TickingClock)
    yield camera
    camera.woken.set()


@pytest.mark.parametrize("limit", [0, 4])
def test_a_camera_that_hangs_from_its_first_grab_ends_after_the_limit_that_was_given(
    hanging: StagedCamera, tmp_path: Path, target: Path, capsys: pytest.CaptureFixture[str], limit: int
) -> None:
    results = tmp_path / "out.jsonl"
    words = f"--target {target} --source 0 --headless --results {results} --reconnect-seconds {limit}"
    code = run_live.main(words.split())
    sentence = the_sentence(capsys.readouterr().err)
    assert code == EXIT_SOURCE_LOST and "camera 0 has not answered for" in sentence
    assert f"--reconnect-seconds {limit}" in sentence
    first, last = rows_of(results)
    assert (first["type"], last["type"], last["captured"]) == ("session", "summary", 0)


@pytest.fixture(scope="module")
def tiny_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    size = (FRAME_SIZE[1], FRAME_SIZE[0])
    write_engines(folder, tiny_graphs(size, (96, 160), 1), size, (96, 160), 1)
    return folder


def signed(folder: Path, engine: str) -> None:
    """The manifest's hashes follow whatever the files hold now."""
    path = folder / f"{engine}.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]}
    manifest["graph_sha256"] = manifest["files"][f"{engine}.onnx"]
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("sign", [False, True], ids=["as it is", "with its hash in the manifest"])
@pytest.mark.parametrize("engine", ["detect", "pose", "encode_bones"])
@pytest.mark.parametrize("damage", ["cut off", "empty", "text", "another engine", "weights cut off", "another GPU's"])
def test_engines_that_are_none_end_with_4_before_the_source_is_opened(
    tmp_path: Path,
    target: Path,
    tiny_engines: Path,
    capsys: pytest.CaptureFixture[str],
    damage: str,
    engine: str,
    sign: bool,
) -> None:
    folder = tmp_path / "engines"
    shutil.copytree(tiny_engines, folder)
    other = {"detect": "pose", "pose": "encode_bones", "encode_bones": "detect"}[engine]
    for path in sorted(folder.glob(f"{engine}*.onnx")):
        data = path.read_bytes()
        if damage != "weights cut off":
            path.write_bytes(
                {
                    "cut off": data[: len(data) // 2],
                    "empty": b"",
                    "text": b"no engine",
                    "another engine": (tiny_engines / f"{other}.onnx").read_bytes(),
                    "another GPU's": b"ftrt" + bytes(2000),
                }[damage]
            )
    weights = folder / f"{engine}.weights"
    if damage == "weights cut off":
        if not weights.exists() or weights.stat().st_size < 100:
            pytest.skip(f"{engine} keeps its few weights in its graph")
        weights.write_bytes(weights.read_bytes()[:50])
    if damage == "another engine" and (tiny_engines / f"{other}.weights").exists():
        shutil.copy(tiny_engines / f"{other}.weights", folder)
    if sign:
        signed(folder, engine)
    clip = written_clip(tmp_path / "clip.avi", [np.zeros((FRAME_SIZE[1], FRAME_SIZE[0], 3), np.uint8)] * 3, 25)
    code = run_live.main(
        ["--target", str(target), "--source", str(clip), "--engines", str(folder), "--encoder", "bones", "--headless"]
    )
    sentence = the_sentence(capsys.readouterr().err)
    assert code == EXIT_ENGINE and "build_engines.py" in sentence
