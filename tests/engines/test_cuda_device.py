"""What can be known of the CUDA layer without a GPU: its names exist, and without a driver it says so."""

import ast
import gc
import sys
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines import cuda_device
from engines.cuda_device import CudaDevice, CudaHostMemory, CudaMemory, gpu_errors
from engines.device import ABANDONED
from engines.errors import EXIT_GPU, EngineError, GpuError
from engines.gpu import find_gpu

OBJECTS = {
    "device": "Device", "_allocation_stream": "Stream", "stream": "Stream", "event": "Event", "buffer": "Buffer",
    "graph": "graph.Graph", "builder": "graph.GraphBuilder", "_pinned": "LegacyPinnedMemoryResource",
}  # fmt: skip
"""Which variable or attribute of `cuda_device.py` holds an object of which class of cuda.core."""

OWN = {"Event.event", "Stream.stream", "Stream.target"}
"""Attributes of our own wrappers of the same name."""


def used_names() -> set[str]:
    """cuda.core's names in the code, as `Class.attribute`."""
    names = set()
    for node in ast.walk(ast.parse(Path(cuda_device.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "cuda.core":
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute):
            owner = node.value
            last = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if last in OBJECTS:
                names.add(f"{OBJECTS[last]}.{node.attr}")
    return names


def test_every_name_that_is_used_exists_in_cuda_core() -> None:
    core = pytest.importorskip("cuda.core", reason="needs cuda-python")
    pytest.importorskip("cuda.core.graph", reason="needs cuda-core 1")
    names = used_names() - OWN | {"Buffer.from_handle"}
    assert {
        "Device",
        "StreamOptions",
        "Device.create_stream",
        "Buffer.copy_from",
        "graph.GraphBuilder.complete",
    } <= names
    missing = []
    for name in sorted(names):
        value = core
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is None:
            missing.append(name)
    assert missing == []


def test_without_a_driver_the_device_is_one_gpu_error() -> None:
    pytest.importorskip("cuda.core", reason="needs cuda-python")
    if not find_gpu().reason:
        pytest.skip("this machine has a GPU")
    with pytest.raises(GpuError) as caught:
        CudaDevice()
    assert caught.value.exit_code == EXIT_GPU
    assert "the GPU failed to start" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cuda_core_of_before_its_first_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    core = ModuleType("cuda.core")
    core.Device, core.__version__ = object, "0.6.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.core", core)
    assert find_gpu().reason == "cuda-core 0.6.0 is installed, and 1 or newer is needed"


def test_whatever_the_driver_raises_becomes_one_sentence() -> None:
    with pytest.raises(GpuError) as caught, gpu_errors("copy"):
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS:\n  an illegal memory access\n")
    assert str(caught.value).startswith("the GPU failed to copy (CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access)")
    with pytest.raises(EngineError), gpu_errors("copy"):
        raise EngineError("a", "b", "c")


def test_arrays_of_pinned_memory_can_be_written_and_keep_it_alive() -> None:
    core = pytest.importorskip("cuda.core", reason="needs cuda-python")
    bytes_ = np.zeros(1024, np.uint8)
    memory = CudaHostMemory.of(core.Buffer.from_handle(bytes_.ctypes.data, 1024, owner=bytes_))
    memory.part(256, 64).part(16, 8).array((2,), np.float32)[:] = 1.5, -2
    assert (bytes_.nonzero()[0] // 8 == 34).all() and memory.array((68,), np.float32)[-1] == 0
    assert bytes_[272:280].view(np.float32).tolist() == [1.5, -2]
    kept = weakref.ref(memory._content.base)
    picture = memory.array((4, 4, 3), np.uint8)
    del memory
    gc.collect()
    assert kept() is not None and kept().buffer.size == 1024 and not picture.any()
    del picture
    gc.collect()
    assert kept() is None


def test_options_are_those_of_the_real_package_and_a_buffer_can_be_divided() -> None:
    core = pytest.importorskip("cuda.core", reason="needs cuda-python")
    assert core.EventOptions(timing_enabled=True, blocking_sync=True).blocking_sync
    assert core.StreamOptions(nonblocking=True, priority=-1).priority == -1
    assert hasattr(core.Event, "__sub__")
    bytes_ = np.zeros(1024, np.uint8)
    memory = CudaMemory(core.Buffer.from_handle(bytes_.ctypes.data, 1024, owner=bytes_))
    part = memory.part(256, 100).part(16, 8)
    assert (part.address - memory.address, part.nbytes) == (272, 8)


@pytest.mark.parametrize("ends", [True, False])
def test_why_something_could_not_be_captured_is_kept_and_what_cannot_be_closed_as_well(ends: bool) -> None:
    def nothing(*_: object) -> None:
        pass

    def close() -> None:
        if not ends:
            raise RuntimeError("CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")

    def work(stream: object) -> None:
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    device: Any = CudaDevice.__new__(CudaDevice)
    builder = SimpleNamespace(begin_building=nothing, stream=SimpleNamespace(handle=1), close=close)
    device.device, device.not_captured = SimpleNamespace(create_graph_builder=lambda: builder, sync=nothing), []
    assert device.capture(work) is None
    (reason,) = device.not_captured
    assert reason.startswith("RuntimeError in test_cuda_device.py:")
    assert reason.endswith(": operation not permitted when stream is capturing")
    assert ends or ABANDONED.pop() is builder
    assert not ABANDONED
