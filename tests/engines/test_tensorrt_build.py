"""Every graph compiles for a GPU that is not in this machine; what cannot be built is refused in one sentence."""

import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, BadInputError, EngineError, PosemirrorError
from engines.graphs.chain import Graphs, encode_graph, pose_graphs, torch_pose_network
from engines.networks.encoders import BonesEncoder, PaperEncoder
from engines.tensorrt_build import (
    BuildProgress,
    ComputeCapability,
    build_engine,
    builder_config,
    import_tensorrt,
    parse_compute_capability,
)
from tests.conftest import FRAME_SIZE
from tests.fixtures import tiny_graphs

SM89 = ComputeCapability(8, 9)
ENCODERS = {"bones": BonesEncoder, "paper": PaperEncoder}


@pytest.fixture(scope="module")
def rtx() -> ModuleType:
    return pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13 (Linux x86-64)")


@pytest.fixture
def build(rtx: ModuleType, tmp_path: Path) -> Callable[..., bytes]:
    """Builds a model for compute capability 8.9 unless told otherwise."""

    def built(
        model: ModelProto,
        target: ComputeCapability | None = SM89,
        on_progress: BuildProgress | None = None,
        cancel: threading.Event | None = None,
    ) -> bytes:
        onnx.save(model, tmp_path / "graph.onnx")
        return build_engine(
            tmp_path / "graph.onnx", rtx, compute_capability=target, on_progress=on_progress, cancel=cancel
        ).plan

    return built


def assert_holds_the_weights(plan: bytes, model: ModelProto) -> None:
    """An engine is about as large as its weights."""
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    assert len(plan) > max(10_000, 0.8 * weights)


@pytest.mark.slow
def test_detect_with_yolov5nu_compiles_at_float16(
    build: Callable[..., bytes], real_detect: Callable[[str], Graphs]
) -> None:
    model = real_detect("fp16").whole
    assert_holds_the_weights(build(model), model)


@pytest.mark.slow
@pytest.mark.parametrize("people", [1, 2])
def test_pose_with_tinypose_given_as_onnx_compiles_at_float16(
    build: Callable[..., bytes], real_pose: Callable[[str, int], Graphs], people: int
) -> None:
    model = real_pose("fp16", people).whole
    assert_holds_the_weights(build(model), model)


@pytest.mark.slow
def test_pose_with_a_full_size_hrnet_w32_compiles_at_float16(build: Callable[..., bytes]) -> None:
    hrnet = pytest.importorskip("engines.networks.hrnet")
    network = torch_pose_network(hrnet.hrnet("hrnet_w32").eval(), 1)
    model = pose_graphs(network, FRAME_SIZE, 1, "fp16", 0.3).whole
    plan = build(model)
    assert_holds_the_weights(plan, model)
    assert len(plan) > 50_000_000  # 28.5 million float16 parameters


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_encode_compiles_with_its_dynamic_number_of_targets(
    build: Callable[..., bytes], encoder: str, people: int
) -> None:
    model = encode_graph(ENCODERS[encoder](), people, 0.3).whole
    assert_holds_the_weights(build(model), model)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", ["detect", "pose"])
def test_graphs_of_small_networks_compile_for_a_portrait_frame_and_eight_people(
    build: Callable[..., bytes], name: str, precision: str
) -> None:
    model = tiny_graphs((640, 360), (320, 192), 8, precision)[name].whole
    assert_holds_the_weights(build(model), model)


@pytest.fixture(scope="module")
def small() -> ModelProto:
    return encode_graph(BonesEncoder(), 1, 0.3).whole


def test_progress_is_told_step_by_step(build: Callable[..., bytes], small: ModelProto) -> None:
    told: list[tuple[str, float]] = []
    build(small, on_progress=lambda *step: told.append(step))
    shares = [share for _, share in told]
    assert len(told) >= 3 and all(phase for phase, _ in told)
    assert shares == sorted(shares) and 0 < shares[0] < 0.5 < shares[-1] <= 1


def test_a_build_stops_soon_after_it_is_cancelled(build: Callable[..., bytes], small: ModelProto) -> None:
    cancel = threading.Event()
    told: list[str] = []

    def stop(phase: str, share: float) -> None:
        told.append(phase)
        cancel.set()

    refused(lambda: build(small, on_progress=stop, cancel=cancel), EngineError, EXIT_ENGINE, "cancelled", "nothing")
    assert len(told) < 5


def test_the_garbage_collector_rests_during_a_build_and_is_as_before_after_it(
    build: Callable[..., bytes], small: ModelProto
) -> None:
    """A collection inside TensorRT's logger that ends an older builder waits for itself for ever."""
    seen: list[bool] = []
    for was_on in (False, True):
        (gc.enable if was_on else gc.disable)()
        build(small, on_progress=lambda *_: seen.append(gc.isenabled()))
        assert gc.isenabled() is was_on
    with pytest.raises(BadInputError):
        build(small, ComputeCapability(9, 0))
    assert gc.isenabled() and seen and not any(seen)


# ---- what is refused


def refused(action: Callable[[], object], kind: type[PosemirrorError], exit_code: int, *words: str) -> None:
    with pytest.raises(kind) as caught:
        action()
    message = str(caught.value)
    assert caught.value.exit_code == exit_code
    assert all(word in message for word in words), message
    assert "\n" not in message and message.count("; ") >= 2


@pytest.mark.parametrize(
    ("text", "capability"),
    [("sm89", "8.9"), ("SM_89", "8.9"), ("8.9", "8.9"), (" 8.6 ", "8.6"), ("sm120", "12.0"), ("12.0", "12.0"),
     ("75", "7.5")],
)  # fmt: skip
def test_a_compute_capability_is_read_in_each_usual_spelling(text: str, capability: str) -> None:
    assert str(parse_compute_capability(text)) == capability


@pytest.mark.parametrize("text", ["", "sm", "rtx4090", "sm8", "8.", "8.9.1", "89a", "-8.9", "8,9", "sm1234"])
def test_nonsense_is_no_compute_capability(text: str) -> None:
    refused(lambda: parse_compute_capability(text), BadInputError, EXIT_BAD_INPUT, repr(text), "sm89")


@pytest.mark.parametrize("text", ["sm90", "sm10", "9.9"])
def test_a_compute_capability_that_rtx_does_not_build_for_is_refused_with_those_it_does(
    build: Callable[..., bytes], small: ModelProto, text: str
) -> None:
    target = parse_compute_capability(text)
    refused(lambda: build(small, target), BadInputError, EXIT_BAD_INPUT, str(target).replace(".", ""), "sm75", "sm89")


def test_a_package_that_is_not_installed_is_refused_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package in (("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt-rtx-cu13")):
        monkeypatch.setitem(sys.modules, name, None)
        refused(lambda name=name: import_tensorrt(name), EngineError, EXIT_ENGINE, name, f"pip install {package}")


def test_a_package_whose_libraries_are_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvonnxparser.so.11: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    refused(lambda: import_tensorrt("tensorrt"), EngineError, EXIT_ENGINE, "libnvonnxparser.so.11")


def one_node(operator: str, *, domain: str = "") -> ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], domain=domain)], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_an_operator_that_tensorrt_does_not_know_is_refused_with_its_reason(build: Callable[..., bytes]) -> None:
    model = one_node("Nonsense", domain="com.example")
    refused(lambda: build(model), EngineError, EXIT_ENGINE, "parser", "graph.onnx", "Nonsense", "--backend onnx")


def test_a_file_that_is_no_graph_is_refused(rtx: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"no graph")
    for path in (tmp_path / "graph.onnx", tmp_path / "missing.onnx"):
        refused(lambda path=path: build_engine(path, rtx, compute_capability=SM89), EngineError, EXIT_ENGINE, path.name)


def test_a_target_is_refused_by_the_package_that_builds_for_its_own_gpu_only() -> None:
    trt = MagicMock(__name__="tensorrt", __version__="11.4.0")
    refused(lambda: builder_config(MagicMock(), MagicMock(), trt, SM89), BadInputError, EXIT_BAD_INPUT, "sm89",
            "tensorrt-rtx-cu13")  # fmt: skip


def test_no_driver_is_one_clear_sentence(tmp_path: Path) -> None:
    class NoDriver(ModuleType):
        __version__ = "11.4.0"

        class ILogger:
            ERROR = 1

        @staticmethod
        def Builder(logger: object) -> object:  # noqa: N802
            raise TypeError("pybind11::init(): factory function returned nullptr")

    refused(
        lambda: build_engine(tmp_path / "graph.onnx", NoDriver("tensorrt"), compute_capability=None),
        EngineError, EXIT_ENGINE, "cannot create a builder", "nvidia-smi", "--for sm89",
    )  # fmt: skip
