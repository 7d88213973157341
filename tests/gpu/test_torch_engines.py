"""Our own networks in the chain of a real GPU, run by torch where there is no TensorRT. Has never run as a whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.host_chain import Picture, frames_of
from benchmarks.torch_engine import open_torch
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from engines.device_chain import DeviceChain
from engines.execution import CpuChain, read_chain
from engines.gpu import GpuState
from engines.weights_registry import OWN_WEIGHTS
from tests.gpu.test_device import check_same_bits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def chain(gpu: GpuState) -> Iterator[DeviceChain]:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device that torch can use")
    info = read_chain(ROOT / "engines" / "quickstart", "graded")
    with open_torch(info, OWN_WEIGHTS["detector"], OWN_WEIGHTS["pose"]) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(chain: DeviceChain) -> list[Picture]:
    return frames_of(ROOT / "realtime" / "demo_clip" / "roof.mp4", chain.info.frame_size, 40)[-4:]


def test_they_find_at_float16_what_onnx_runtime_finds(chain: DeviceChain, pictures: list[Picture]) -> None:
    cpu, state = CpuChain(chain.info, sampling="graph"), np.zeros((1, 17, 4), np.float32)
    boxes = cpu.detect(pictures[0], np.zeros(4, np.float32))
    assert boxes[0, 4] > 0.3
    np.testing.assert_allclose(chain.detect(pictures[0], np.zeros(5, np.float32))[0, :4], boxes[0, :4], atol=3)
    wanted, got = (one.pose(pictures[0], boxes[:1], state, 0.0).keypoints for one in (cpu, chain))
    seen = wanted[..., 2] >= chain.info.visible_confidence
    assert np.median(np.linalg.norm((got - wanted)[..., :2], axis=-1)[seen]) < 0.3


@pytest.mark.parametrize("schedule", [IN_TURN, SIDE_BY_SIDE], ids=lambda schedule: schedule.name)
def test_graphs_give_the_same_bits_as_plain_enqueueing(
    chain: DeviceChain, pictures: list[Picture], schedule: Schedule
) -> None:
    check_same_bits(chain, schedule, pictures, 60)
