"""Our own networks in the chain of a real GPU, run by torch where there is no TensorRT."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu_loop import compared, first_pose
from benchmarks.host_chain import Picture, frames_of
from benchmarks.torch_engine import open_torch
from calibration.parity import Tolerance, compare
from engines.cuda_chain import CudaChain
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from engines.device_chain import DeviceChain
from engines.execution import CpuChain, read_chain
from engines.gpu import GpuState
from tests.gpu.test_device import TARGETS, check_no_growth, check_same_bits

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "realtime" / "demo_clip" / "roof.mp4"


@pytest.fixture(scope="module")
def chain(gpu: GpuState, place: torch.device) -> Iterator[DeviceChain]:
    info = read_chain(ROOT / "engines" / "quickstart", "graded")
    with open_torch(info) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(chain: DeviceChain) -> list[Picture]:
    return frames_of(CLIP, chain.info.frame_size, 40)[-4:]


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


def test_their_results_are_within_the_tolerance_of_the_float32_graphs(chain: DeviceChain) -> None:
    parity = compare(CpuChain(chain.info, sampling="graph"), chain, frames_of(CLIP, chain.info.frame_size, 60))
    print(parity)
    assert Tolerance().exceeded(parity) == []


def test_the_loop_on_the_gpu_says_what_the_loop_on_the_cpu_says(chain: DeviceChain) -> None:
    pictures = frames_of(CLIP, chain.info.frame_size, 60)
    target = first_pose(chain.info, pictures)
    assert target is not None
    agreement = compared(chain, chain.info, target, pictures)
    apart = agreement.apart()
    print(f"{agreement.followed} followed", {name: (np.median(one), one.max()) for name, one in apart.items()})
    assert agreement.alone == [] and len(apart["scores"]) > 30
    assert np.median(apart["keypoints"]) < 0.3 and np.median(apart["scores"]) < 0.3


@pytest.mark.slow
def test_ten_thousand_frames_take_no_more_memory_on_host_or_device(chain: DeviceChain, pictures: list[Picture]) -> None:
    with CudaChain(chain.info, chain.device, chain.engines, TARGETS) as running:
        assert running.uses_graphs, running.not_captured
        check_no_growth(running, chain.device, pictures)
