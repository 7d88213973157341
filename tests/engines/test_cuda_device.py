"""What can be known of the CUDA layer without a GPU: its names exist, and without a driver it says so."""

import ast
from pathlib import Path

import pytest

from engines import cuda_device
from engines.cuda_device import CudaDevice, gpu_errors
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
    pytest.importorskip("cuda.core.utils", reason="needs cuda-core 1")
    names = used_names() - OWN | {"Buffer.from_handle", "utils.StridedMemoryView.from_buffer"}
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


def test_whatever_the_driver_raises_becomes_one_sentence() -> None:
    with pytest.raises(GpuError) as caught, gpu_errors("copy"):
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS:\n  an illegal memory access\n")
    assert str(caught.value).startswith("the GPU failed to copy (CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access)")
    with pytest.raises(EngineError), gpu_errors("copy"):
        raise EngineError("a", "b", "c")
