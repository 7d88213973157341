"""Whether this machine can run TensorRT engines, and if not, why. Touches the GPU only when asked."""

import importlib.util
from dataclasses import dataclass

from engines.errors import EngineError


@dataclass(frozen=True)
class GpuState:
    """A usable GPU, or the reason there is none.

    Args:
        name: the GPU's name; empty without one.
        compute_capability: such as "8.9"; empty without one.
        reason: why there is none; empty with one.
    """

    name: str
    compute_capability: str
    reason: str


def find_gpu() -> GpuState:
    """The first CUDA device. Never raises: package, driver and device can each be missing."""
    try:
        from cuda.core import Device
    except ImportError:
        return GpuState("", "", "cuda-python is not installed")
    try:
        devices = Device.get_all_devices()
    except Exception as error:  # no driver: DynamicLibNotFoundError; a driver without a device: CUDAError
        return GpuState("", "", f"no usable NVIDIA driver ({type(error).__name__})")
    if not devices:
        return GpuState("", "", "the NVIDIA driver shows no GPU")
    capability = devices[0].compute_capability
    return GpuState(devices[0].name, f"{capability.major}.{capability.minor}", "")


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
    packages = [name for name in ("tensorrt", "tensorrt_rtx") if importlib.util.find_spec(name)]
    if builds_for_other_gpu:
        packages = [name for name in packages if name == "tensorrt_rtx"]
    missing = "" if packages else "the package tensorrt is not installed"
    reason = missing or ("" if builds_for_other_gpu else gpu.reason)
    if not reason:
        return packages[0], f"{packages[0]} for {'another GPU' if builds_for_other_gpu else gpu.name}"
    if asked == "auto":
        return "onnx", f"ONNX Runtime on the CPU, because {reason}"
    raise EngineError(
        f"TensorRT cannot be used here: {reason}",
        "an NVIDIA GPU with its driver, cuda-python and TensorRT are needed",
        "run pip install 'posemirror[gpu]', or give --backend onnx",
    )
