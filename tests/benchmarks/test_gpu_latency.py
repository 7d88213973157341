"""The benchmark of a GPU on a fake one, and the host's own pre- and post-processing against the graphs'."""

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import gpu_latency
from benchmarks.host_chain import OUTPUTS, HostChain, bare_network, compared, on_cpu
from engines.device import Tensor
from engines.device_chain import DeviceChain
from engines.errors import EngineError
from engines.execution import ChainInfo, CpuChain, Targets, read_chain
from tests.fake_device import FakeDevice, FakeEngine, engines_on
from tests.fixtures import bright_blob, tiny_graphs, write_engines

FRAME, IMAGE, PEOPLE = (180, 320), (96, 160), 2
FRAMES = [bright_blob(FRAME, 60 + 20 * index, 90, 24) for index in range(6)]
TARGETS = Targets(np.ones((1, 15, 3), np.float32), np.ones((1, 15), np.float32), np.ones(1, np.float32))


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> ChainInfo:
    folder: Path = tmp_path_factory.mktemp("engines")
    write_engines(folder, tiny_graphs(FRAME, IMAGE, PEOPLE), FRAME, IMAGE, PEOPLE)
    return read_chain(folder, "bones")


def tensors_of(model: onnx.ModelProto) -> dict[str, Tensor]:
    sides = [(model.graph.input, True), (model.graph.output, False)]
    return {
        value.name: Tensor(
            value.name, tuple(side.dim_value for side in value.type.tensor_type.shape.dim), np.float32, is_input
        )
        for values, is_input in sides
        for value in values
    }


def test_the_host_finds_what_the_graphs_find(info: ChainInfo) -> None:
    host, graphs = HostChain(info, on_cpu(info)), CpuChain(info, sampling="graph", threads=1)
    found = 0
    for frame in [*FRAMES, np.maximum(FRAMES[0], FRAMES[5])]:
        boxes = graphs.detect(frame, np.zeros(4, np.float32))
        np.testing.assert_allclose(host.detect(frame), boxes, atol=0.5)
        pose = graphs.pose(frame, boxes[:PEOPLE], np.zeros((PEOPLE, 17, 4), np.float32), 0.0)
        keypoints = host.pose(frame, boxes[:PEOPLE])
        shift = np.linalg.norm((keypoints - pose.keypoints)[..., :2], axis=-1)
        assert np.median(shift) < 0.05  # the crops are up to half a grey level apart
        np.testing.assert_allclose(keypoints[..., 2], pose.keypoints[..., 2], atol=0.01)
        found += int((boxes[:, 4] > 0).sum())
    assert found > len(FRAMES)


def test_in_an_empty_frame_nobody_is_found_on_the_host_either(info: ChainInfo) -> None:
    boxes, keypoints, joints = HostChain(info, on_cpu(info)).joints(np.zeros((*FRAME, 3), np.uint8), 0.3)
    assert not boxes.any() and not keypoints.any() and not joints.any()


def test_both_ways_are_timed_and_compared_on_a_cpu(info: ChainInfo) -> None:
    figures = compared(info, FRAMES)
    assert figures["keypoints compared"] > 20 and figures["shift median, px"] < 0.05
    assert all(value > 0 for name, value in figures.items() if name.endswith("CPU ms"))


def test_the_whole_benchmark_runs_on_a_fake_gpu(info: ChainInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_latency, "WARM_UP", 1)
    device = FakeDevice()
    bare = {name: bare_network(info, name) for name in OUTPUTS}
    with DeviceChain(info, device, engines_on(device, info)) as chain, contextlib.ExitStack() as closing:
        run = gpu_latency.as_run(
            device, {name: FakeEngine(device, model, tensors_of(model)) for name, model in bare.items()}, closing
        )
        figures = gpu_latency.measured(chain, FRAMES, TARGETS, 3, run)
        host = HostChain(info, run).joints(FRAMES[2], 0.3)
    for one, other in zip(host, HostChain(info, on_cpu(info)).joints(FRAMES[2], 0.3), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert set(figures["variants"]) == set(gpu_latency.VARIANTS)  # type: ignore[call-overload]
    ratios = figures["on the host / in the graphs"]
    assert {"latency_ms_p50", "frames_a_second", "host_cpu_ms"} <= set(ratios)  # type: ignore[call-overload]
    assert device.contexts == 0


def test_graphs_of_other_networks_are_refused(info: ChainInfo, tmp_path: Path) -> None:
    gpu_latency.require_same(info, info)
    write_engines(tmp_path, tiny_graphs(FRAME, IMAGE, 1), FRAME, IMAGE, 1)
    with pytest.raises(EngineError, match=r"--graphs has detect with people 1, --engines 2.*build_engines.py"):
        gpu_latency.require_same(info, read_chain(tmp_path, "bones"))
