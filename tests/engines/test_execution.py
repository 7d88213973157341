"""The chain on a CPU: cut graphs with OpenCV before them say what the whole graphs say, and bad folders are refused."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engines import execution
from engines.download import file_sha256
from engines.errors import EXIT_ENGINE, EngineError
from engines.execution import ChainInfo, CpuChain, PoseOutput, Targets, cpu_ms, open_session, read_chain
from engines.graphs.chain import Graphs, encode_graph
from engines.host_sampling import letterbox
from engines.manifest import read_manifest, write_manifest
from engines.networks.encoders import BonesEncoder
from engines.onnx_runtime import onnxruntime
from engines.options import MOST_PEOPLE
from tests.conftest import DETECTOR_SIZE, FRAME_SIZE
from tests.fixtures import bright_blob, tiny_graphs, write_engines

FRAME, IMAGE = (360, 480), (96, 128)
PEOPLE = 2
SAMPLINGS = ("host", "graph")
NOBODY = np.zeros(4, np.float32)

Chains = dict[str, CpuChain]


@pytest.fixture(scope="module")
def tiny_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_engines(folder, tiny_graphs(FRAME, IMAGE, PEOPLE), FRAME, IMAGE, PEOPLE)
    return folder


@pytest.fixture(scope="module")
def tiny_chains(tiny_engines: Path) -> Chains:
    return {sampling: CpuChain(read_chain(tiny_engines, "bones"), sampling=sampling) for sampling in SAMPLINGS}


@pytest.fixture
def copied(tiny_engines: Path, tmp_path: Path) -> Path:
    """A folder of engines to damage."""
    return Path(shutil.copytree(tiny_engines, tmp_path / "engines"))


def pose_of(chain: CpuChain, frame: npt.NDArray[np.uint8], boxes: npt.NDArray[np.float32]) -> PoseOutput:
    boxes = boxes[: chain.info.people]
    return chain.pose(frame, boxes, np.zeros((len(boxes), 17, 4), np.float32), 1 / 30)


@pytest.mark.parametrize(("ms", "wish", "threads"), [(15.9, None, 1), (16.1, None, 3), (16.1, 1, 1), (15.9, 2, 2)])
def test_a_quick_pose_engine_gets_one_thread_and_a_slow_one_as_many_as_there_are_cores(
    tiny_engines: Path, monkeypatch: pytest.MonkeyPatch, ms: float, wish: int | None, threads: int
) -> None:
    opened: dict[str, int] = {}

    def noting(info: ChainInfo, name: str, *, cut: bool, threads: int) -> onnxruntime.InferenceSession:
        opened[name] = threads
        return open_session(info, name, cut=cut, threads=threads)

    monkeypatch.setattr(execution, "open_session", noting)
    monkeypatch.setattr(execution, "cpu_ms", lambda session: ms)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    chain = CpuChain(read_chain(tiny_engines, "bones"), threads=wish)
    assert chain.threads == threads
    assert opened == {"detect": threads, "pose": threads, "encode_bones": 1}


def test_the_cpu_time_of_a_session_is_that_of_the_quicker_of_two_runs(
    tiny_engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(read_chain(tiny_engines, "bones"), "pose", cut=True, threads=1)
    readings = iter([1.0, 1.5, 2.0, 2.25])
    monkeypatch.setattr(time, "thread_time", lambda: next(readings))
    assert cpu_ms(session) == 250


def test_host_and_graph_sampling_agree_on_small_networks(tiny_chains: Chains) -> None:
    for x, y, radius in ((240.0, 180.0, 40.0), (120.5, 250.5, 25.0), (350.0, 120.0, 60.0)):
        frame = bright_blob(FRAME, x, y, radius)
        on_host, in_graph = (tiny_chains[sampling].detect(frame, NOBODY) for sampling in SAMPLINGS)
        assert on_host.shape == (MOST_PEOPLE, 5) and on_host[0, 4] > 0.25
        np.testing.assert_allclose(on_host[0, :4], in_graph[0, :4], atol=0.5)
        np.testing.assert_allclose(on_host[0, 4], in_graph[0, 4], atol=0.01)
        first, second = (pose_of(tiny_chains[sampling], frame, in_graph) for sampling in SAMPLINGS)
        assert first.keypoints[0, :, 2].max() > 0.3
        assert np.median(np.abs(first.keypoints - second.keypoints)[..., :2]) <= 0.1
        np.testing.assert_allclose(first.keypoints[..., 2], second.keypoints[..., 2], atol=0.01)
        np.testing.assert_allclose(first.next_boxes, second.next_boxes, atol=0.5)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_chain_carries_a_frame_from_boxes_to_a_score(tiny_chains: Chains, sampling: str) -> None:
    chain = tiny_chains[sampling]
    frame = bright_blob(FRAME, 240, 180, 40)
    boxes = chain.detect(frame, NOBODY)
    pose = pose_of(chain, frame, boxes)
    again = chain.pose(frame, boxes[:PEOPLE], pose.state, 1 / 30)
    assert pose.joints.shape == (PEOPLE, 15, 3) and pose.state.shape == (PEOPLE, 17, 4)
    np.testing.assert_allclose(again.keypoints, pose.keypoints, atol=1e-3)
    targets = Targets(pose.joints, np.ones((PEOPLE, 15), np.float32), np.full(PEOPLE, 0.3, np.float32))
    output = chain.encode(pose.joints, targets)
    assert output.embedding.shape == (PEOPLE, 50) and output.distance.shape == (PEOPLE, PEOPLE)
    assert output.score[0, 0] == pytest.approx(100, abs=1e-3)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_empty_frame_gives_nobody_and_zeros_all_along(tiny_chains: Chains, sampling: str) -> None:
    chain = tiny_chains[sampling]
    frame = np.zeros((*FRAME, 3), np.uint8)
    boxes = chain.detect(frame, NOBODY)
    pose = pose_of(chain, frame, boxes)
    for array in (boxes, pose.keypoints, pose.joints, pose.next_boxes, pose.state):
        assert (array == 0).all()
    targets = Targets(np.ones((3, 15, 3), np.float32), np.ones((3, 15), np.float32), np.ones(3, np.float32))
    output = chain.encode(pose.joints, targets)
    for array in (output.embedding, output.distance, output.score):
        assert (array == 0).all()


def test_info_says_what_was_opened(tiny_chains: Chains, tiny_engines: Path) -> None:
    info = tiny_chains["host"].info
    assert (info.backend, info.directory, info.frame_size, info.people) == ("onnx", tiny_engines, (480, 360), PEOPLE)
    assert (info.encoder, info.masked, info.visible_confidence) == ("bones", True, 0.3)
    assert list(info.manifests) == ["detect", "pose", "encode_bones"]
    assert read_chain(tiny_engines, "paper").masked is False


@pytest.mark.slow
def test_host_and_graph_sampling_agree_on_real_pictures(
    shared: Path,
    tmp_path: Path,
    real_detect: Callable[[str], Graphs],
    real_pose: Callable[[str, int], Graphs],
) -> None:
    graphs = {"detect": real_detect("fp32"), "pose": real_pose("fp32", 1)}
    graphs["encode_bones"] = encode_graph(BonesEncoder(), 1, 0.3)
    write_engines(tmp_path, graphs, FRAME_SIZE, DETECTOR_SIZE, 1)
    info = read_chain(tmp_path, "bones")
    chains = {sampling: CpuChain(info, sampling=sampling) for sampling in SAMPLINGS}
    shifts = []
    for name in ("bus.jpg", "zidane.jpg"):
        frame = letterbox(cv2.imread(str(shared / "media" / name)), FRAME_SIZE)
        on_host, in_graph = (chains[sampling].detect(frame, NOBODY) for sampling in SAMPLINGS)
        assert in_graph[0, 4] > 0.5
        side_px = (in_graph[0, 2:4] - in_graph[0, :2]).max()
        # the host rounds the detector's picture to whole grey levels, which a box of 1000 px feels by 1
        np.testing.assert_allclose(on_host[:, :4], in_graph[:, :4], atol=max(0.5, 1e-3 * side_px))
        first, second = (pose_of(chains[sampling], frame, in_graph) for sampling in SAMPLINGS)
        visible = second.keypoints[..., 2] >= 0.3
        shifts.append(np.linalg.norm(first.keypoints[visible][:, :2] - second.keypoints[visible][:, :2], axis=-1))
        np.testing.assert_allclose(first.keypoints[..., 2], second.keypoints[..., 2], atol=0.05)
    assert np.median(np.concatenate(shifts)) <= 0.1


# ---- folders that do not fit


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(EngineError) as caught:
        action()
    message = str(caught.value)
    assert caught.value.exit_code == EXIT_ENGINE
    assert all(word in message for word in (*words, "build_engines.py")), message
    assert "\n" not in message and message.count("; ") >= 2


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(lambda: read_chain(tmp_path / "nowhere", "bones"), str(tmp_path / "nowhere"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    refused(lambda: read_chain(tmp_path, "bones"), "detect.json does not exist", f"--out {tmp_path}")


@pytest.mark.parametrize("name", ["detect", "pose"])
def test_a_missing_engine_is_refused_by_name(copied: Path, name: str) -> None:
    (copied / f"{name}.json").unlink()
    refused(lambda: read_chain(copied, "bones"), f"{name}.json does not exist")


def test_an_unknown_encoder_is_refused_with_those_that_were_built(copied: Path) -> None:
    refused(
        lambda: read_chain(copied, "graded"), "no encode engine named graded", "bones, paper", "give --encoder bones,"
    )


def test_an_encoder_that_no_file_holds_is_not_proposed_to_be_built_over_the_engines(copied: Path) -> None:
    with pytest.raises(EngineError) as caught:
        read_chain(copied, "grade")
    assert "--encoder grade" not in str(caught.value) and "--out" not in str(caught.value)


def test_engines_of_different_frame_sizes_are_refused_with_both_sizes(copied: Path, tmp_path: Path) -> None:
    other = (240, 320)
    write_engines(tmp_path / "other", tiny_graphs(other, IMAGE, PEOPLE), other, IMAGE, PEOPLE)
    for path in (tmp_path / "other").glob("pose*"):
        shutil.copy(path, copied)
    refused(lambda: read_chain(copied, "bones"), "frame size", "480", "360", "320", "240")


def test_an_engine_under_anothers_name_is_refused(copied: Path) -> None:
    shutil.copy(copied / "pose.json", copied / "detect.json")
    refused(lambda: read_chain(copied, "bones"), "detect.json", "pose")


@pytest.mark.parametrize("file", ["detect.onnx", "detect.cut.onnx", "detect.weights"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_changed_or_missing_file_is_refused_before_it_is_opened(copied: Path, file: str, damage: str) -> None:
    path = copied / file
    if damage == "changed":
        path.write_bytes(path.read_bytes() + b"\0")
    else:
        path.unlink()
    info = read_chain(copied, "bones")
    words = ("has the hash", "its manifest says") if damage == "changed" else ("does not exist", "detect.json")
    refused(lambda: CpuChain(info), str(path), *words)


def test_a_file_that_the_manifest_does_not_list_is_not_opened(copied: Path) -> None:
    manifest = read_manifest(copied / "detect.json")
    files = {name: digest for name, digest in manifest.files.items() if name != "detect.cut.onnx"}
    write_manifest(replace(manifest, files=files), copied)
    refused(lambda: CpuChain(read_chain(copied, "bones")), "does not list detect.cut.onnx")
    CpuChain(read_chain(copied, "bones"), sampling="graph")


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("pose", "backend", "tensorrt", "backend: onnx and tensorrt"),
        ("encode_bones", "backend", "tensorrt_rtx", "backend: onnx and tensorrt_rtx"),
        ("pose", "people", 5, "number of people: 2 and 5"),
        ("encode_bones", "visible_confidence", 0.5, "visible joint: 0.3 and 0.5"),
    ],
)
def test_engines_that_differ_are_refused_with_both_values(
    copied: Path, name: str, field: str, value: object, words: str
) -> None:
    write_manifest(replace(read_manifest(copied / f"{name}.json"), **{field: value}), copied)
    refused(lambda: read_chain(copied, "bones"), words)


def test_a_file_that_onnx_runtime_cannot_open_is_refused(copied: Path) -> None:
    for name in ("detect.onnx", "detect.cut.onnx"):
        (copied / name).write_bytes(b"not a graph")
    manifest = read_manifest(copied / "detect.json")
    files = {name: file_sha256(copied / name) for name in manifest.files}
    write_manifest(replace(manifest, files=files), copied)
    refused(lambda: CpuChain(read_chain(copied, "bones")), "ONNX Runtime", "detect.cut.onnx")
    refused(lambda: CpuChain(read_chain(copied, "bones"), sampling="graph"), "detect.onnx")
