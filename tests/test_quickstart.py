"""The engines that ship: made from the committed weights, small, and enough for the demo without the build step."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines.download import file_sha256
from engines.execution import read_chain
from engines.manifest import check_files
from engines.networks.encoders import ENCODER_NAMES
from engines.weights_registry import OWN_LICENCE, OWN_WEIGHTS, own_or_given
from realtime.opening import QUICKSTART
from tests.test_imports import NOT_LIVE, REPOSITORY

LARGEST_BYTES = 12e6
MEND = "run make quickstart, which makes the engines anew from the committed weights"

WITHOUT_THE_BUILD_STEP = """
import sys
sys.modules.update({name: None for name in %r})
sys.path.insert(0, %r)
import run_live
sys.exit(run_live.main(["--demo", "--headless", "--mute", "--max-frames", "60"]))
"""


@pytest.mark.parametrize("kind", ["detector", "pose"])
def test_the_engines_belong_to_the_committed_weights(kind: str) -> None:
    manifests = read_chain(QUICKSTART, "graded").manifests
    manifest = manifests["detect" if kind == "detector" else kind]
    assert manifest.weights_sha256 == file_sha256(OWN_WEIGHTS[kind]), MEND
    assert manifest.licence == OWN_LICENCE


@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_every_encoder_ships_and_belongs_to_its_weights(encoder: str) -> None:
    manifest = read_chain(QUICKSTART, encoder).manifests[f"encode_{encoder}"]
    weights = REPOSITORY / "engines" / "weights" / f"{encoder}.safetensors"
    assert manifest.weights_sha256 == (file_sha256(weights) if weights.is_file() else ""), MEND


def test_the_engines_are_whole_small_and_for_the_default_frame() -> None:
    infos = [read_chain(QUICKSTART, encoder) for encoder in ENCODER_NAMES]
    manifests = {name: manifest for info in infos for name, manifest in info.manifests.items()}
    for manifest in manifests.values():
        check_files(manifest, QUICKSTART)
    listed = {name for manifest in manifests.values() for name in manifest.files}
    listed |= {f"{name}.json" for name in manifests}
    assert {path.name for path in QUICKSTART.iterdir()} == listed
    assert sum(path.stat().st_size for path in QUICKSTART.iterdir()) <= LARGEST_BYTES
    assert {"detect.cut.onnx", "pose.cut.onnx"} <= listed
    assert infos[0].frame_size == (1280, 720) and infos[0].backend == "onnx"


def test_the_demo_runs_without_anything_of_the_build_step(tmp_path: Path) -> None:
    code = WITHOUT_THE_BUILD_STEP % (NOT_LIVE, str(REPOSITORY))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Engines: {QUICKSTART}" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "demo" / "demo.jsonl").read_text().splitlines()]
    assert len(rows) == 62
    assert sum(row["keypoints"] is not None for row in rows[1:-1]) >= 50
    assert (tmp_path / "demo" / "demo.mp4").stat().st_size > 10_000


def test_quickstart_names_the_own_weights_and_other_names_stay() -> None:
    assert own_or_given("quickstart", "pose") == str(OWN_WEIGHTS["pose"])
    assert own_or_given("hrnet_w32", "pose") == "hrnet_w32"
