"""Everything in this folder needs a CUDA device and is skipped, with the reason, where there is none."""

from collections.abc import Iterator

import pytest
import torch

from engines.cuda_device import CudaDevice
from engines.gpu import GpuState, find_gpu


@pytest.fixture(scope="session")
def gpu() -> GpuState:
    """The GPU of this machine."""
    found = find_gpu()
    if found.reason:
        pytest.skip(f"needs a CUDA device: {found.reason}")
    return found


@pytest.fixture(scope="session")
def place() -> torch.device:
    """The GPU, for torch; cuda-python and TensorRT need not be there."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device that torch can use")
    return torch.device("cuda")


@pytest.fixture
def device(gpu: GpuState) -> Iterator[CudaDevice]:
    """The GPU, opened for one test."""
    with CudaDevice() as opened:
        yield opened
