"""Whether this machine can run TensorRT engines, and if not, why. Touches the GPU only when asked."""

import contextlib
import importlib.util
from dataclasses import dataclass

from engines.errors import EngineError
from engines.exits import ends_at_once

RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""What TensorRT-RTX runs on; the package tensorrt runs on 7.5 and everything newer."""

OLDEST_CUDA_CORE = 1


@dataclass(frozen=True)
class GpuState:
    """A usable GPU, or the reason there is none.

    Args:
        name: the GPU's name; empty without one.
        compute_capability: such as "8.9"; empty without one.
        reason: why there is none; empty with one.
        driver: the driver's version; empty where it cannot be asked.
    """

    name: str
    compute_capability: str
    reason: str
    driver: str = ""


def find_gpu() -> GpuState:
    """The first CUDA device. Never raises: package, driver and device can each be missing."""
    try:
        with ends_at_once():
            from cuda.core import Device, __version__
    except ImportError:
        return GpuState("", "", "cuda-python is not installed")
    if int(__version__.partition(".")[0]) < OLDEST_CUDA_CORE:  # its names were others
        return GpuState("", "", f"cuda-core {__version__} is installed, and {OLDEST_CUDA_CORE} or newer is needed")
    try:
        devices = Device.get_all_devices()
    except Exception as error:  # no driver: DynamicLibNotFoundError; a driver without a device: CUDAError
        return GpuState("", "", f"no usable NVIDIA driver ({type(error).__name__})")
    if not devices:
        return GpuState("", "", "the NVIDIA driver shows no GPU")
    capability = devices[0].compute_capability
    return GpuState(devices[0].name, f"{capability.major}.{capability.minor}", "", driver_version())


def driver_version() -> str:
    """The NVIDIA driver's version, such as 580.65.06; empty where it cannot be asked."""
    with contextlib.suppress(Exception):  # NVML may be missing in a container where CUDA works
        from cuda.core import system

        major, *rest = system.get_kernel_mode_driver_version()
        return ".".join([str(major), *(f"{part:02d}" for part in rest)])
    return ""


def fits(package: str, compute_capability: str) -> bool:
    """Whether a TensorRT package runs on a GPU of this compute capability."""
    if package == "tensorrt_rtx":
        return compute_capability in RTX_CAPABILITIES
    return tuple(map(int, compute_capability.split("."))) >= (7, 5)


def choose_backend(asked: str, gpu: GpuState, *, builds_for_other_gpu: bool = False) -> tuple[str, str]:
    """The backend to use and one sentence on why.

    Args:
        asked: `auto`, `onnx` or `tensorrt`.
        gpu: what `find_gpu` saw.
        builds_for_other_gpu: an engine is built for a named GPU (`--for`), so none is needed here.

    Raises:
        EngineError: `tensorrt` was asked for and there is no usable GPU or no TensorRT package.
    """
    if asked == "onnx":
        return "onnx", "ONNX Runtime on the CPU, as asked"
    candidates = ("tensorrt_rtx",) if builds_for_other_gpu else ("tensorrt", "tensorrt_rtx")
    packages = [name for name in candidates if importlib.util.find_spec(name)]
    mend = "check nvidia-smi"
    if not packages:
        mend = "run pip install -c constraints.txt -e '.[build,gpu]'"
        reason = f"the package {candidates[0]} is not installed"
    elif builds_for_other_gpu:
        return packages[0], f"{packages[0]} for another GPU"
    elif gpu.reason:
        reason = gpu.reason
    elif fitting := [name for name in packages if fits(name, gpu.compute_capability)]:
        return fitting[0], f"{fitting[0]} for {gpu.name}"
    else:
        reason = f"{' and '.join(packages)} cannot use compute capability {gpu.compute_capability} ({gpu.name})"
    if asked == "auto":
        return "onnx", f"ONNX Runtime on the CPU, because {reason}"
    raise EngineError(
        f"TensorRT cannot be used here: {reason}",
        "an NVIDIA GPU with its driver, cuda-python and TensorRT are needed",
        f"{mend}, or give --backend onnx",
    )
