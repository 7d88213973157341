"""The engines that ship: made from the committed weights, small, and enough for the demo without the build step."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from calibration.evaluate_detector import LIVE_SIZE
from engines.build import build, made_from, prepare_detect, prepare_pose
from engines.build_request import BuildEvents, BuildRequest
from engines.download import file_sha256
from engines.errors import EngineError
from engines.execution import CpuChain, read_chain
from engines.graphs.chain import NETWORK_INPUT, torch_detector_network, torch_pose_network
from engines.graphs.parts import layout_sha256
from engines.host_sampling import crop, letterbox
from engines.int8 import INT8_FORMS
from engines.manifest import check_files, read_manifest
from engines.networks.encoders import ENCODER_NAMES
from engines.networks.loading import load_detector, load_pose_network
from engines.weights_registry import (
    MADE_FROM_GRAPH,
    OWN_INT8,
    OWN_LICENCE,
    OWN_WEIGHTS,
    SHIPPED_ENGINES,
    own_or_given,
)
from realtime import demo
from realtime.executor import find_pose
from tests.fixtures import open_graph
from tests.test_imports import NOT_LIVE, REPOSITORY

LARGEST_BYTES = 12e6
TASKS = {"detector": "detect", "pose": "pose"}
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
    manifests = read_chain(SHIPPED_ENGINES, "graded").manifests
    manifest = manifests["detect" if kind == "detector" else kind]
    assert manifest.weights_sha256 == file_sha256(OWN_WEIGHTS[kind]), MEND
    assert manifest.licence == OWN_LICENCE


@pytest.mark.parametrize("kind", ["detector", "pose"])
def test_the_int8_forms_belong_to_the_committed_weights(kind: str) -> None:
    mend = f"run python -m calibration.quantise {kind}, then make quickstart"
    assert made_from(OWN_INT8[kind]) == file_sha256(OWN_WEIGHTS[kind]), f"other weights: {mend}"
    plain = {
        "detector": lambda path: torch_detector_network(load_detector(path), LIVE_SIZE[::-1]),
        "pose": lambda path: torch_pose_network(load_pose_network(path), 1),
    }[kind](OWN_WEIGHTS[kind])
    assert made_from(OWN_INT8[kind], MADE_FROM_GRAPH) == layout_sha256(plain), f"another network: {mend}"
    manifest = read_manifest(SHIPPED_ENGINES / f"{INT8_FORMS[TASKS[kind]]}.json")
    assert manifest.weights_sha256 == file_sha256(OWN_INT8[kind]), MEND
    assert (manifest.licence, manifest.precision) == (OWN_LICENCE, "int8")


@pytest.mark.parametrize("kind", ["detector", "pose"])
def test_an_int8_network_of_other_weights_is_not_built(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OWN_INT8, kind, OWN_INT8["pose" if kind == "detector" else "detector"])  # type: ignore[arg-type]
    request = BuildRequest("quickstart", "quickstart", (), (720, 1280), 1, "onnx", "fp32", tmp_path / "out")
    with pytest.raises(EngineError, match=rf"run python -m calibration\.quantise {kind}"):
        {"detector": prepare_detect, "pose": prepare_pose}[kind](request, BuildEvents())


@pytest.mark.parametrize("kind", ["detector", "pose"])
def test_the_int8_weights_are_made_of_those_of_float32_when_a_graph_is_opened(kind: str) -> None:
    """So both forms share one file. What they say is what the network says that ONNX Runtime quantised."""
    names = {"detector": ["box_logits", "class_logits"], "pose": ["heatmaps"]}[kind]
    graph = onnx.load(SHIPPED_ENGINES / f"{INT8_FORMS[TASKS[kind]]}.cut.onnx")
    assert not any(tensor.data_type == onnx.TensorProto.INT8 and np.prod(tensor.dims) > 4000
                   for tensor in graph.graph.initializer)  # fmt: skip
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in (*names, NETWORK_INPUT))
    frame = cv2.VideoCapture(str(demo.CLIP)).read()[1]
    boxes = np.array([[100, 100, 400, 600, 0.9]], np.float32)
    image = letterbox(frame, LIVE_SIZE[::-1], exact=True)[None] if kind == "detector" else crop(frame, boxes)
    session = open_graph(graph)
    others = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs() if value.name != "image"}
    *seen, picture = session.run([*names, NETWORK_INPUT], {"image": image, **others})
    wanted = open_graph(onnx.load(OWN_INT8[kind])).run(names, {NETWORK_INPUT: picture})
    for one, other in zip(seen, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-3 * np.abs(other).max())


def test_the_int8_forms_are_built_for_several_people_and_other_frames_too(tmp_path: Path) -> None:
    request = BuildRequest("quickstart", "quickstart", ("bones",), (240, 320), 3, "onnx", "fp32", tmp_path / "out")
    build(request, BuildEvents())
    plain, int8 = (CpuChain(read_chain(tmp_path / "out", "bones", int8=int8)) for int8 in (False, True))
    assert int8.info.manifests["detect"].precision == int8.info.manifests["pose"].precision == "int8"
    picture = cv2.VideoCapture(str(demo.CLIP)).read()[1]
    frame = letterbox(picture, (240, 320), grey=0)
    boxes = np.zeros((3, 5), np.float32)
    found, same = (chain.detect(frame, np.zeros(5, np.float32))[0] for chain in (plain, int8))
    assert found[4] > 0.3 and same == pytest.approx(found, abs=4)
    boxes[0] = boxes[2] = found
    past = np.zeros((3, 17, 4), np.float32)
    keypoints = int8.pose(frame, boxes, past, 0.0).keypoints
    assert keypoints[0] == pytest.approx(keypoints[2], abs=1e-3) and not keypoints[1].any() and keypoints[0].any()


@pytest.mark.parametrize("sampling", ["host", "graph"])
def test_both_forms_of_the_networks_see_the_same_person(sampling: str) -> None:
    video = cv2.VideoCapture(str(demo.CLIP))
    picture = video.read()[1]
    chains = [CpuChain(read_chain(SHIPPED_ENGINES, "bones", int8=int8), sampling=sampling) for int8 in (False, True)]
    frame = letterbox(picture, chains[0].info.frame_size[::-1], grey=0)
    one, other = (find_pose(chain, frame)[0] for chain in chains)
    apart = np.linalg.norm(one[:, :2] - other[:, :2], axis=1)
    assert 0 < np.median(apart) < 5, "int8 rounds, and 5 px of 1280 are half a hand"
    np.testing.assert_allclose(one[:, 2], other[:, 2], atol=0.3)


@pytest.mark.parametrize("encoder", ENCODER_NAMES)
def test_every_encoder_ships_and_belongs_to_its_weights(encoder: str) -> None:
    manifest = read_chain(SHIPPED_ENGINES, encoder).manifests[f"encode_{encoder}"]
    weights = REPOSITORY / "engines" / "weights" / f"{encoder}.safetensors"
    assert manifest.weights_sha256 == (file_sha256(weights) if weights.is_file() else ""), MEND


def test_the_engines_are_whole_small_and_for_the_default_frame() -> None:
    infos = [read_chain(SHIPPED_ENGINES, encoder) for encoder in ENCODER_NAMES]
    manifests = {name: manifest for info in infos for name, manifest in info.manifests.items()}
    in_int8 = read_chain(SHIPPED_ENGINES, "graded", int8=True).manifests
    manifests |= {form: in_int8[task] for task, form in INT8_FORMS.items()}
    for manifest in manifests.values():
        check_files(manifest, SHIPPED_ENGINES)
    listed = {name for manifest in manifests.values() for name in manifest.files}
    listed |= {f"{name}.json" for name in manifests}
    assert {path.name for path in SHIPPED_ENGINES.iterdir()} == listed
    assert sum(path.stat().st_size for path in SHIPPED_ENGINES.iterdir()) <= LARGEST_BYTES
    assert {"detect.cut.onnx", "pose.cut.onnx"} <= listed
    assert infos[0].frame_size == (1280, 720) and infos[0].backend == "onnx"


def test_the_demo_runs_without_anything_of_the_build_step(tmp_path: Path) -> None:
    code = WITHOUT_THE_BUILD_STEP % (NOT_LIVE, str(REPOSITORY))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Engines: {SHIPPED_ENGINES}" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "demo" / "demo.jsonl").read_text().splitlines()]
    assert len(rows) == 62
    assert sum(row["keypoints"] is not None for row in rows[1:-1]) >= 50
    assert (tmp_path / "demo" / "demo.mp4").stat().st_size > 10_000


def test_quickstart_names_the_own_weights_and_other_names_stay() -> None:
    assert own_or_given("quickstart", "pose") == str(OWN_WEIGHTS["pose"])
    assert own_or_given("hrnet_w32", "pose") == "hrnet_w32"
