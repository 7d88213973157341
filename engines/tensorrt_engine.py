"""Opening and running a TensorRT engine: the manifest is checked before the file, the file before TensorRT sees it.

One path for TensorRT 10.13 to 11 and TensorRT-RTX. Has never run on a GPU.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from engines import device as protocol
from engines.contract import check_tensors, contract
from engines.cuda_device import CudaDevice, CudaStream, gpu_errors
from engines.device import Tensor
from engines.device_chain import DeviceChain
from engines.errors import EngineError, GpuError
from engines.execution import ChainInfo
from engines.gpu import GpuState
from engines.manifest import Manifest, built_again, check_files
from engines.tensorrt_build import collecting_logger, import_tensorrt, is_rtx

BACKEND = "--backend tensorrt"
"""What builds an engine that fits."""


def check_fits(manifest: Manifest, directory: Path, gpu: GpuState, version: str) -> list[str]:
    """Whether this machine can run an engine, by its manifest; returns warnings.

    Raises:
        EngineError: built by another TensorRT, or for another compute capability.
    """
    built = manifest.tensorrt
    if built is None:
        raise EngineError(
            f"{manifest.name}.json in {directory} does not say which TensorRT built the engine",
            "a TensorRT engine's manifest has it",
            built_again(directory, BACKEND),
        )
    for what, one, other in (
        (manifest.backend, built.version, version),
        ("compute capability", built.compute_capability, gpu.compute_capability),
    ):
        if one != other:
            raise EngineError(
                f"{manifest.engine_file} was built for {what} {one}",
                f"this machine has {what} {other}",
                built_again(directory, BACKEND),
            )
    if manifest.parity is not None and not manifest.parity.accepted:
        raise EngineError(
            f"{manifest.engine_file} gives other results than the float32 graphs (keypoints "
            f"{manifest.parity.keypoint_p99_px:g} px, scores {manifest.parity.score_points:g} points)",
            "calibration.parity refused it",
            built_again(directory, f"{BACKEND} --precision fp32"),
        )
    return [
        f"{manifest.engine_file} was built with the {what} {one}, this machine has {other}"
        for what, one, other in (("GPU", built.gpu, gpu.name), ("driver", built.driver, gpu.driver))
        if one and other and one != other
    ]


def open_engine(
    manifest: Manifest, directory: Path, trt: ModuleType, gpu: GpuState, device: CudaDevice
) -> tuple["TensorRtEngine", list[str]]:
    """Opens an engine and returns it with warnings; see `check_fits`.

    Raises:
        EngineError: it does not fit this machine, its file is missing or changed, TensorRT cannot read it, or its
            tensors are not those of the contract.
    """
    warnings = check_fits(manifest, directory, gpu, trt.__version__)
    check_files(manifest, directory)
    path = directory / manifest.engine_file
    faults: list[str] = []
    runtime, engine = read_engine(path.read_bytes(), path, trt, gpu, faults)
    check_tensors(engine_tensors(engine, trt), manifest, directory)
    return TensorRtEngine(runtime, engine, contract(manifest), trt, device, faults), warnings


def read_engine(content: bytes, path: Path, trt: ModuleType, gpu: GpuState, faults: list[str]) -> tuple[Any, Any]:
    """TensorRT's runtime and engine from the bytes of the file `path`, whose hash has been checked.

    `faults` gets what TensorRT complains of, now and while the engine runs.

    Raises:
        EngineError: no working driver, or bytes that TensorRT cannot read.
    """
    logger = collecting_logger(trt, faults)
    try:
        runtime = trt.Runtime(logger)
    except TypeError as error:
        raise EngineError(
            f"{trt.__name__} {trt.__version__} cannot create a runtime ({'; '.join(faults) or error})",
            "a working NVIDIA driver is needed",
            "check nvidia-smi, or give engines built with --backend onnx",
        ) from error
    engine = runtime.deserialize_cuda_engine(content)
    if engine is None:
        raise EngineError(
            f"{trt.__name__} {trt.__version__} cannot read {path} ({last_of(faults)})",
            f"an engine built by this version for compute capability {gpu.compute_capability} is needed",
            built_again(path.parent, BACKEND),
        )
    return runtime, engine


def last_of(faults: Sequence[str]) -> str:
    """TensorRT's last complaints, in one line."""
    return " ".join(", ".join(faults[-2:]).split())[:300] or "no reason given"


def engine_tensors(engine: Any, trt: ModuleType) -> dict[str, Tensor]:
    """What TensorRT says of an engine's inputs and outputs."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return {
        name: Tensor(
            name,
            tuple(engine.get_tensor_shape(name)),
            np.dtype(trt.nptype(engine.get_tensor_dtype(name))),
            engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
        )
        for name in names
    }


def created_context(engine: Any, trt: ModuleType) -> Any:
    """An execution context that is given its memory; None where TensorRT has none.

    TensorRT-RTX is told to compile the kernels of an open size at once. By default it does that beside the first
    executions, and a CUDA graph captured meanwhile would keep the slow ones that stand in for them.
    """
    managed = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if not is_rtx(trt):
        return engine.create_execution_context(managed)
    runtime_config = engine.create_runtime_config()
    runtime_config.set_execution_context_allocation_strategy(managed)
    runtime_config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    return engine.create_execution_context(runtime_config)


class TensorRtContext:
    """An execution context whose scratch memory and tensor addresses never change; see `device.Context`."""

    def __init__(self, context: Any, scratch: protocol.Memory, faults: Sequence[str] = ()) -> None:
        self._context: Any = context
        self._faults = faults
        self._scratch: protocol.Memory | None = scratch

    def enqueue(self, stream: protocol.Stream) -> None:
        """See `device.Context`."""
        assert isinstance(stream, CudaStream)
        if not self._context.execute_async_v3(stream.handle):
            raise GpuError(
                f"TensorRT could not enqueue an engine ({last_of(self._faults)})",
                "a GPU that has failed stays unusable for this process",
                "run again, and if it repeats look at nvidia-smi and dmesg, or give --backend onnx",
            )

    def capturable(self, stream: protocol.Stream) -> bool:
        """See `device.Context`. TensorRT-RTX alone can say; TensorRT's are, with no auxiliary streams."""
        assert isinstance(stream, CudaStream)
        asks = getattr(self._context, "is_stream_capturable", None)
        return asks is None or bool(asks(stream.handle))

    def close(self) -> None:
        """See `device.Context`."""
        self._context = self._scratch = None


class TensorRtEngine:
    """An opened engine; see `device.Engine`. `faults` is where its logger writes."""

    def __init__(
        self,
        runtime: Any,
        engine: Any,
        tensors: Mapping[str, Tensor],
        trt: ModuleType,
        device: CudaDevice,
        faults: Sequence[str] = (),
    ) -> None:
        self._runtime, self._engine, self._trt, self._device = runtime, engine, trt, device
        self.tensors, self._faults = tensors, faults

    def context(self, memory: Mapping[str, protocol.Memory], targets: int) -> TensorRtContext:
        """See `device.Engine`. The engine has one optimisation profile at most, which is active from the start."""
        with gpu_errors("prepare an engine"):  # TensorRT says no in three ways: None, False, or an exception
            context = created_context(self._engine, self._trt)
            accepted = context is not None
            if accepted:
                scratch = self._device.memory(max(256, int(self._engine.device_memory_size_v2)))
                context.set_device_memory(scratch.address, scratch.nbytes)
                for name, tensor in self.tensors.items():
                    if tensor.is_input and -1 in tensor.shape:
                        accepted = accepted and bool(context.set_input_shape(name, tensor.sized(targets)))
                    accepted = accepted and bool(context.set_tensor_address(name, memory[name].address))
                accepted = accepted and not context.infer_shapes()
        if not accepted:
            raise GpuError(
                f"TensorRT refused to prepare an engine for {targets} targets ({last_of(self._faults)})",
                "enough free GPU memory and 1 to 1024 targets are needed",
                "close other programs that use the GPU, or give --backend onnx",
            )
        return TensorRtContext(context, scratch, self._faults)

    def close(self) -> None:
        """See `device.Engine`."""
        with contextlib.suppress(Exception):
            self._engine = self._runtime = None


def open_tensorrt(info: ChainInfo, gpu: GpuState) -> tuple[DeviceChain, list[str]]:
    """The engines of a folder on this machine's GPU, with warnings; closed by the caller.

    Raises:
        EngineError: no usable GPU or TensorRT, or an engine that does not fit; see `open_engine`.
    """
    if gpu.reason:
        raise EngineError(
            f"the engines in {info.directory} are of {info.backend}, and {gpu.reason}",
            "an NVIDIA GPU with its driver and cuda-python are needed to run them",
            built_again(info.directory, "--backend onnx"),
        )
    trt = import_tensorrt(info.backend)
    with contextlib.ExitStack() as stack:
        device = CudaDevice()
        stack.callback(device.close)
        engines: dict[str, protocol.Engine] = {}
        warnings: list[str] = []
        for name, manifest in info.manifests.items():
            opened, warned = open_engine(manifest, info.directory, trt, gpu, device)
            stack.callback(opened.close)
            engines["encode" if name.startswith("encode") else name] = opened
            warnings += warned
        chain = DeviceChain(info, device, engines)
        stack.pop_all()  # from here on the chain closes them
    return chain, warnings
