"""Opening a TensorRT engine: whatever does not fit is one sentence with the command that mends it, exit code 4."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.contract import check_tensors, contract
from engines.cuda_device import CudaStream
from engines.download import file_sha256
from engines.errors import EXIT_ENGINE, EXIT_GPU, EngineError, GpuError, PosemirrorError
from engines.execution import ChainInfo
from engines.gpu import GpuState, choose_backend
from engines.manifest import Manifest, TensorRtBuild, write_manifest
from engines.tensorrt_engine import check_fits, created_context, open_engine, open_tensorrt
from tests.realtime.fakes import chain_info

GPU = GpuState("NVIDIA RTX 4090", "8.9", "", "580.65.06")
BUILT = TensorRtBuild("11.4.0", "8.9", "NVIDIA RTX 4090", "580.65.06")
DTYPES = {np.dtype(np.uint8): "UINT8", np.dtype(np.float32): "FLOAT"}


class FakeTensorRt:
    """As much of the package tensorrt as opening an engine needs.

    Args:
        tensors: what the engine says it has; None for an engine that cannot be read.
        driver: whether a runtime can be made.
        accepts: whether shapes and addresses are taken.
        runs: whether an execution can be enqueued.
    """

    __name__, __version__ = "tensorrt", "11.4.0"
    TensorIOMode = SimpleNamespace(INPUT="input")
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user")

    class ILogger:
        ERROR = 1

    def __init__(self, tensors: Any, *, driver: bool = True, accepts: bool = True, runs: bool = True) -> None:
        self.tensors, self.driver, self.accepts, self.runs = tensors, driver, accepts, runs
        self.read: list[bytes] = []

    def nptype(self, dtype: str) -> type:
        return {"UINT8": np.uint8, "FLOAT": np.float32}[dtype]

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        self.logger = logger
        if not self.driver:
            raise TypeError("pybind11::init(): factory function returned nullptr")

        def deserialize(content: bytes) -> Any:
            self.read.append(content)
            if self.tensors is None:
                logger.log(1, "the engine plan file is not compatible\n with this version")
                return None
            return self.engine()

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    def engine(self) -> Any:
        tensors = self.tensors
        self.context = context = SimpleNamespace(
            set_device_memory=lambda address, size: None,
            set_input_shape=lambda name, shape: self.accepts,
            set_tensor_address=lambda name, address: self.accepts,
            infer_shapes=list,
            execute_async_v3=lambda handle: self.runs,
        )
        return SimpleNamespace(
            num_io_tensors=len(tensors),
            get_tensor_name=lambda index: list(tensors)[index],
            get_tensor_shape=lambda name: tensors[name].shape,
            get_tensor_dtype=lambda name: DTYPES[np.dtype(tensors[name].dtype)],
            get_tensor_mode=lambda name: "input" if tensors[name].is_input else "output",
            create_execution_context=lambda strategy: context,
            device_memory_size_v2=1000,
        )


class NoDevice:
    """A device that gives memory without addresses."""

    def memory(self, nbytes: int) -> Any:
        return SimpleNamespace(address=4096, nbytes=nbytes)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """A manifest in `tmp_path` with the engine it describes."""
    (tmp_path / "encode_bones.engine").write_bytes(b"an engine")
    written = replace(
        chain_info(backend="tensorrt").manifests["encode_bones"],
        files={"encode_bones.engine": file_sha256(tmp_path / "encode_bones.engine")},
        tensorrt=BUILT,
    )
    write_manifest(written, tmp_path)
    return written


def refused(
    action: Callable[[], object], *words: str, code: int = EXIT_ENGINE, kind: type[PosemirrorError] = EngineError
) -> None:
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert caught.value.exit_code == code
    assert all(word in message for word in words), message
    assert "\n" not in message and message.count("; ") >= 2


def opened(manifest: Manifest, folder: Path, trt: FakeTensorRt, gpu: GpuState = GPU) -> Any:
    return open_engine(manifest, folder, trt, gpu, NoDevice())  # type: ignore[arg-type]


def test_an_engine_that_fits_is_opened_without_a_word(manifest: Manifest, tmp_path: Path) -> None:
    trt = FakeTensorRt(contract(manifest))
    engine, warnings = opened(manifest, tmp_path, trt)
    assert warnings == [] and trt.read == [b"an engine"]
    assert engine.tensors["targets"].sized(3) == (3, 15, 3)
    assert engine.tensors["distance"].nbytes(3) == 12


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "10.16.1"}, ("tensorrt 10.16.1", "tensorrt 11.4.0")),
        ({"compute_capability": "8.6"}, ("compute capability 8.6", "compute capability 8.9")),
    ],
)
def test_another_tensorrt_or_compute_capability_is_refused_before_the_file_is_read(
    manifest: Manifest, tmp_path: Path, change: dict[str, str], words: tuple[str, ...]
) -> None:
    trt = FakeTensorRt(contract(manifest))
    other = replace(manifest, tensorrt=replace(BUILT, **change))
    refused(lambda: opened(other, tmp_path, trt), *words, f"build_engines.py --backend tensorrt --out {tmp_path}")
    assert trt.read == []


def test_another_gpu_or_driver_is_a_warning_and_an_engine_built_without_a_gpu_none(
    manifest: Manifest, tmp_path: Path
) -> None:
    other = replace(manifest, tensorrt=replace(BUILT, gpu="NVIDIA L4", driver="550.54.15"))
    warnings = check_fits(other, tmp_path, GPU, "11.4.0")
    assert [("NVIDIA L4" in one, "550.54.15" in one) for one in warnings] == [(True, False), (False, True)]
    bare = replace(manifest, tensorrt=replace(BUILT, gpu="", driver=""))
    assert check_fits(bare, tmp_path, GPU, "11.4.0") == []


def test_a_manifest_without_its_tensorrt_part_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    refused(lambda: check_fits(replace(manifest, tensorrt=None), tmp_path, GPU, "11.4.0"), "encode_bones.json")


def test_a_changed_or_missing_file_is_refused_before_tensorrt_sees_it(manifest: Manifest, tmp_path: Path) -> None:
    trt = FakeTensorRt(contract(manifest))
    (tmp_path / "encode_bones.engine").write_bytes(b"another engine")
    refused(lambda: opened(manifest, tmp_path, trt), "encode_bones.engine has the hash", "build_engines.py")
    (tmp_path / "encode_bones.engine").unlink()
    refused(lambda: opened(manifest, tmp_path, trt), "encode_bones.engine does not exist", "build_engines.py")
    assert trt.read == []


def test_an_engine_that_tensorrt_cannot_read_is_refused_with_its_reason(manifest: Manifest, tmp_path: Path) -> None:
    refused(
        lambda: opened(manifest, tmp_path, FakeTensorRt(None)),
        "cannot read", "not compatible with this version", "build_engines.py",
    )  # fmt: skip


def test_a_missing_driver_is_said(manifest: Manifest, tmp_path: Path) -> None:
    trt = FakeTensorRt(contract(manifest), driver=False)
    refused(lambda: opened(manifest, tmp_path, trt), "cannot create a runtime", "driver", "nvidia-smi")


def test_an_engine_with_other_tensors_is_refused_with_both(manifest: Manifest, tmp_path: Path) -> None:
    wanted = contract(manifest)
    other = {**wanted, "joints": replace(wanted["joints"], shape=(2, 15, 3))}
    refused(lambda: opened(manifest, tmp_path, FakeTensorRt(other)), "joints", "2x15x3", "1x15x3", "build_engines.py")
    less = {name: tensor for name, tensor in wanted.items() if name != "score"}
    refused(lambda: check_tensors(less, manifest, tmp_path), "score as nothing", "output float32 1xT")


def test_a_detector_that_follows_nobody_runs_on_a_cpu_alone(tmp_path: Path) -> None:
    manifests = [chain_info(backend=backend).manifests["detect"] for backend in ("tensorrt", "onnx")]
    before = {
        name: replace(one, shape=(4,)) if name == "anchor" else one for name, one in contract(manifests[0]).items()
    }
    refused(lambda: check_tensors(before, manifests[0], tmp_path), "anchor as input float32 4", "needs input float32 5")
    check_tensors(before, manifests[1], tmp_path)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_a_context_uses_given_memory_and_compiles_at_once_what_a_graph_would_keep(name: str) -> None:
    asked: list[Any] = []
    config = SimpleNamespace(set_execution_context_allocation_strategy=asked.append)
    engine = SimpleNamespace(
        create_runtime_config=lambda: config, create_execution_context=lambda how: (how, "context")
    )
    trt: Any = SimpleNamespace(
        __name__=name,
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
        DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager"),
    )
    how, context = created_context(engine, trt)
    assert context == "context"
    if name == "tensorrt":
        assert how == "user" and not asked
    else:
        assert how is config and asked == ["user"]
        assert config.dynamic_shapes_kernel_specialization_strategy == "eager"


def test_a_context_that_is_not_accepted_is_a_gpu_error(manifest: Manifest, tmp_path: Path) -> None:
    engine, _ = opened(manifest, tmp_path, FakeTensorRt(contract(manifest), accepts=False))
    memory = {name: SimpleNamespace(address=4096) for name in engine.tensors}
    refused(lambda: engine.context(memory, 2000), "2000 targets", code=EXIT_GPU, kind=GpuError)


def test_a_context_that_raises_is_a_gpu_error_too(manifest: Manifest, tmp_path: Path) -> None:
    trt = FakeTensorRt(contract(manifest))
    engine, _ = opened(manifest, tmp_path, trt)

    def infer() -> list[str]:
        raise RuntimeError("infer_shapes error code: -1")

    memory = {name: SimpleNamespace(address=4096) for name in engine.tensors}
    trt.context.infer_shapes = infer
    refused(lambda: engine.context(memory, 2), "prepare an engine", "error code: -1", code=EXIT_GPU, kind=GpuError)


def test_an_engine_that_does_not_run_says_what_tensorrt_complained_of(manifest: Manifest, tmp_path: Path) -> None:
    trt = FakeTensorRt(contract(manifest), runs=False)
    engine, _ = opened(manifest, tmp_path, trt)
    context = engine.context({name: SimpleNamespace(address=4096) for name in engine.tensors}, 2)
    trt.logger.log(1, "Cuda Runtime (an illegal memory access\n was encountered)")
    stream = CudaStream(None, SimpleNamespace(handle=7))
    said = "could not enqueue an engine (Cuda Runtime (an illegal memory access was encountered))"
    refused(lambda: context.enqueue(stream), said, code=EXIT_GPU, kind=GpuError)


def test_no_gpu_is_said_with_the_command_that_builds_for_a_cpu(tmp_path: Path) -> None:
    info: ChainInfo = replace(chain_info(backend="tensorrt"), directory=tmp_path)
    gpu = GpuState("", "", "no usable NVIDIA driver (DynamicLibNotFoundError)")
    refused(
        lambda: open_tensorrt(info, gpu), "no usable NVIDIA driver", f"build_engines.py --backend onnx --out {tmp_path}"
    )


def test_no_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    info: ChainInfo = replace(chain_info(backend="tensorrt"), directory=tmp_path)
    refused(lambda: open_tensorrt(info, GPU), "tensorrt cannot be imported", "pip install tensorrt")


def test_a_real_engine_is_refused_in_one_sentence_where_there_is_no_gpu(tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13 (Linux x86-64)")
    from engines.gpu import find_gpu

    if not find_gpu().reason:
        pytest.skip("this machine has a GPU")
    (tmp_path / "detect.engine").write_bytes(b"nonsense" * 100)
    manifest = replace(
        chain_info(backend="tensorrt_rtx").manifests["detect"],
        files={"detect.engine": file_sha256(tmp_path / "detect.engine")},
        tensorrt=replace(BUILT, version=trt.__version__),
    )
    refused(lambda: open_engine(manifest, tmp_path, trt, GPU, NoDevice()), "tensorrt_rtx")  # type: ignore[arg-type]


# ---- which package


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which packages are there."""

    def only(*names: str) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name in names or None)

    return only


@pytest.mark.parametrize(
    ("packages", "capability", "chosen"),
    [
        (("tensorrt", "tensorrt_rtx"), "8.9", "tensorrt"),
        (("tensorrt_rtx",), "8.9", "tensorrt_rtx"),
        (("tensorrt", "tensorrt_rtx"), "9.0", "tensorrt"),
        (("tensorrt",), "12.0", "tensorrt"),
    ],
)
def test_the_package_that_is_there_and_fits_the_card_is_taken(
    installed: Callable[..., None], packages: tuple[str, ...], capability: str, chosen: str
) -> None:
    installed(*packages)
    for asked in ("auto", "tensorrt"):
        assert choose_backend(asked, GpuState("card", capability, ""))[0] == chosen


@pytest.mark.parametrize(
    ("packages", "gpu", "why"),
    [
        ((), GPU, "tensorrt is not installed"),
        (("tensorrt",), GpuState("", "", "cuda-python is not installed"), "cuda-python is not installed"),
        (("tensorrt_rtx",), GpuState("NVIDIA H100", "9.0", ""), "compute capability 9.0 (NVIDIA H100)"),
        (("tensorrt",), GpuState("Tesla V100", "7.0", ""), "compute capability 7.0 (Tesla V100)"),
    ],
)
def test_without_package_or_card_auto_says_why_and_tensorrt_is_refused(
    installed: Callable[..., None], packages: tuple[str, ...], gpu: GpuState, why: str
) -> None:
    installed(*packages)
    backend, sentence = choose_backend("auto", gpu)
    assert backend == "onnx" and why in sentence and "\n" not in sentence
    refused(lambda: choose_backend("tensorrt", gpu), why, "--backend onnx")


def test_for_another_gpu_only_tensorrt_rtx_will_do(installed: Callable[..., None]) -> None:
    nothing = GpuState("", "", "no usable NVIDIA driver")
    installed("tensorrt", "tensorrt_rtx")
    assert choose_backend("auto", nothing, builds_for_other_gpu=True)[0] == "tensorrt_rtx"
    installed("tensorrt")
    refused(lambda: choose_backend("tensorrt", nothing, builds_for_other_gpu=True), "tensorrt_rtx is not installed")
