"""Real TensorRT engines on a real GPU, through the product's own builder, opening and chain. Has never run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.build_request import BuildEvents, BuildRequest
from engines.build_writing import Network, Prepared, write_engine
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from engines.device_chain import DeviceChain
from engines.errors import EngineError
from engines.execution import CpuChain, Targets, read_chain
from engines.gpu import GpuState, choose_backend
from engines.tensorrt_build import parse_compute_capability
from engines.tensorrt_engine import open_tensorrt
from tests.fixtures import bright_blob, tiny_graphs, write_engines
from tests.gpu.test_device import check_same_bits

FRAME, IMAGE = (180, 320), (96, 160)
PICTURES = [bright_blob(FRAME, 60 + 12 * index, 90, 24) for index in range(8)]


@pytest.fixture(scope="module")
def folders(gpu: GpuState, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny networks at float32 as TensorRT engines, and as ONNX graphs."""
    try:
        backend, _ = choose_backend("tensorrt", gpu)
    except EngineError as error:
        pytest.skip(str(error))
    folder: Path = tmp_path_factory.mktemp("engines")
    (folder / "trt").mkdir()
    graphs = tiny_graphs(FRAME, IMAGE, 1)
    request = BuildRequest(
        "tiny", "tiny", ["bones"], FRAME, 1, backend, "fp32", folder / "trt",
        target=parse_compute_capability(gpu.compute_capability), gpu=gpu.name, driver=gpu.driver,
    )  # fmt: skip
    for name in ("detect", "pose", "encode_bones"):
        size = (0, 0) if name.startswith("encode") else FRAME
        prepared = Prepared(name, graphs[name], Network("tiny"), image_size=IMAGE, frame_size=size)
        write_engine(prepared, request, folder / "trt", BuildEvents())
    write_engines(folder / "onnx", graphs, FRAME, IMAGE, 1)
    return folder / "trt", folder / "onnx"


@pytest.fixture
def chain(folders: tuple[Path, Path], gpu: GpuState) -> Iterator[DeviceChain]:
    opened, warnings = open_tensorrt(read_chain(folders[0], "bones"), gpu)
    assert warnings == []
    yield opened
    opened.close()


def test_engines_agree_with_onnx_runtime(chain: DeviceChain, folders: tuple[Path, Path]) -> None:
    cpu = CpuChain(read_chain(folders[1], "bones"), sampling="graph")
    boxes = cpu.detect(PICTURES[0], np.zeros(4, np.float32))
    np.testing.assert_allclose(chain.detect(PICTURES[0], np.zeros(4, np.float32)), boxes, atol=0.5)
    state = np.zeros((1, 17, 4), np.float32)
    wanted, got = (one.pose(PICTURES[0], boxes, state, 0.0) for one in (cpu, chain))
    np.testing.assert_allclose(got.keypoints, wanted.keypoints, atol=0.1)
    targets = Targets(wanted.joints, np.ones((1, 15), np.float32), np.full(1, 0.3, np.float32))
    assert chain.encode(wanted.joints, targets).score[0, 0] == pytest.approx(100, abs=0.05)


@pytest.mark.parametrize("schedule", [IN_TURN, SIDE_BY_SIDE], ids=lambda schedule: schedule.name)
def test_graphs_give_the_same_bits_as_plain_enqueueing(chain: DeviceChain, schedule: Schedule) -> None:
    check_same_bits(chain, schedule, PICTURES, 200)
