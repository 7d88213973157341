"""Streams, events, pinned memory and graphs of a real GPU, and the chain on them with engines that only copy.

`python -m pytest tests/gpu` on a machine with a GPU is the first thing to do there; dated results: benchmarks/results.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines import device as protocol
from engines.cuda_chain import DEPTH, CudaChain
from engines.cuda_device import CudaDevice
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from engines.device import Tensor
from engines.device_chain import DeviceChain
from engines.execution import Targets
from engines.tensorrt_engine import contract
from tests.realtime.fakes import chain_info

FRAME_SIZE = (640, 360)
INFO = chain_info(frame_size=FRAME_SIZE)
TARGETS = Targets(np.ones((2, 15, 3), np.float32), np.ones((2, 15), np.float32), np.ones(2, np.float32))


class CopyEngine:
    """Fills every output with the first bytes of an input that is large enough: a chain without arithmetic."""

    def __init__(self, device: CudaDevice, tensors: Mapping[str, Tensor]) -> None:
        self.device, self.tensors = device, tensors

    def context(self, memory: Mapping[str, protocol.Memory], targets: int) -> "CopyContext":
        copies = []
        inputs = [tensor for tensor in self.tensors.values() if tensor.is_input]
        for name, tensor in self.tensors.items():
            if not tensor.is_input:
                size = tensor.nbytes(targets)
                source = next((one for one in reversed(inputs) if one.nbytes(targets) >= size), inputs[0])
                nbytes = min(size, source.nbytes(targets))
                copies.append((memory[name].part(0, nbytes), memory[source.name].part(0, nbytes)))
        return CopyContext(self.device, copies)

    def close(self) -> None:
        pass


class CopyContext:
    def __init__(self, device: CudaDevice, copies: list[tuple[protocol.Memory, protocol.Memory]]) -> None:
        self.device, self.copies = device, copies

    def enqueue(self, stream: protocol.Stream) -> None:
        for destination, source in self.copies:
            self.device.copy(destination, source, stream)

    def capturable(self, stream: protocol.Stream) -> bool:
        return True

    def close(self) -> None:
        pass


def copying_chain(device: CudaDevice, schedule: Schedule = IN_TURN, *, graphs: bool = True) -> CudaChain:
    engines = {
        name.partition("_")[0]: CopyEngine(device, contract(manifest)) for name, manifest in INFO.manifests.items()
    }
    return CudaChain(INFO, device, engines, TARGETS, schedule=schedule, graphs=graphs)


def noise(count: int) -> list[npt.NDArray[np.uint8]]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 120, (FRAME_SIZE[1], FRAME_SIZE[0], 3), dtype=np.uint8) for _ in range(count)]


def through(chain: CudaChain, pictures: list[npt.NDArray[np.uint8]], count: int) -> list[bytes]:
    """Every frame's numbers, as bytes."""
    outputs, buffers = [], []

    def collect() -> None:
        output = chain.collect()
        chain.frames.give_back(buffers.pop(0))
        outputs.append(b"".join(one.tobytes() for one in (output.boxes, output.pose.keypoints, output.encoded.score)))

    for index in range(count):
        if chain.in_flight == DEPTH:
            collect()
        buffer = chain.frames.take()
        assert buffer is not None
        buffer[:] = pictures[index % len(pictures)]
        buffers.append(buffer)
        chain.submit(buffer, seconds=0.04, detect=index % 3 != 1)
    while chain.in_flight:
        collect()
    return outputs


def check_same_bits(chain: DeviceChain, schedule: Schedule, pictures: list[npt.NDArray[np.uint8]], count: int) -> None:
    """Real engines give the same bits as graphs and in plain enqueueing."""
    results = []
    for graphs in (True, False):
        how = {"schedule": schedule, "graphs": graphs}
        with CudaChain(chain.info, chain.device, chain.engines, TARGETS, **how) as running:
            assert running.uses_graphs == graphs, chain.device.not_captured
            results.append(through(running, pictures, count))
    assert results[0] == results[1]


def test_bytes_go_up_and_come_back(device: CudaDevice) -> None:
    stream, event = device.stream(), device.event(timed=True)
    up, memory, down = device.host_memory(1000), device.memory(1000), device.host_memory(1000)
    up.array((1000,), np.uint8)[:] = np.arange(1000) % 251
    device.copy(memory, up, stream)
    device.copy(down.part(100, 900), memory.part(0, 900), stream)
    stream.record(event)
    event.sync()
    seen = down.array((1000,), np.uint8)
    assert not seen[:100].any() and (seen[100:] == np.arange(900) % 251).all()


@pytest.mark.parametrize("schedule", [IN_TURN, SIDE_BY_SIDE], ids=lambda schedule: schedule.name)
def test_graphs_give_the_same_bits_as_plain_enqueueing(device: CudaDevice, schedule: Schedule) -> None:
    pictures = noise(7)
    results = []
    for graphs in (True, False):
        with copying_chain(device, schedule, graphs=graphs) as chain:
            assert chain.uses_graphs == graphs, device.not_captured
            results.append(through(chain, pictures, 60))
    assert results[0] == results[1]


def test_slots_are_used_again_under_load_without_mixing_frames(device: CudaDevice) -> None:
    pictures = noise(5)
    with copying_chain(device) as chain:
        outputs = through(chain, pictures, 2000)
    assert outputs[5:20] == outputs[1985:2000]


@pytest.mark.slow
def test_ten_thousand_frames_take_no_more_memory_on_host_or_device(device: CudaDevice) -> None:
    with copying_chain(device) as chain:
        check_no_growth(chain, device, noise(3))


def check_no_growth(chain: CudaChain, device: CudaDevice, pictures: list[npt.NDArray[np.uint8]]) -> None:
    """10,000 frames leave memory of host and device, and what the device has given, as 500 left them."""
    through(chain, pictures, 500)
    before = resident_bytes(), free_device_bytes(), len(device._given) + len(device._pages)
    through(chain, pictures, 10_000)
    grown = resident_bytes() - before[0], before[1] - free_device_bytes()
    print(f"bytes more on the host: {grown[0]}, on the device: {grown[1]}")
    assert max(grown) < 4 << 20
    assert len(device._given) + len(device._pages) == before[2]


def free_device_bytes() -> int:
    """Free memory of the GPU; nobody else should be using it."""
    from cuda.bindings import driver

    error, free, _ = driver.cuMemGetInfo()
    assert error == driver.CUresult.CUDA_SUCCESS
    return int(free)


def resident_bytes() -> int:
    """Memory of this process."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
