"""Every name of TensorRT that the code uses exists in the real packages, old, new and RTX, though none runs here.

The names are read from the code itself. The real bindings of TensorRT are imported over stub libraries.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ENGINES = Path(__file__).resolve().parents[2] / "engines"
STUB = Path(__file__).with_name("tensorrt_stub.c")
VERSIONS = ["10.16.1.11", "11.4.0.106"]
BINDINGS = "tensorrt-cu13-bindings"

OBJECTS = {
    "tensorrt_build.py": {
        "builder": "Builder", "network": "INetworkDefinition", "parser": "OnnxParser", "config": "IBuilderConfig",
        "profile": "IOptimizationProfile", "tensor": "ITensor", "error": "ParserError",
    },
    "timing_cache.py": {"config": "IBuilderConfig", "cache": "ITimingCache"},
    "tensorrt_engine.py": {
        "runtime": "Runtime", "engine": "ICudaEngine", "context": "IExecutionContext",
        "runtime_config": "IRuntimeConfig",
    },
}  # fmt: skip
"""Which variable holds an object of which class of TensorRT, by file."""

OVERRIDDEN = {"IProgressMonitor": ("phase_start", "step_complete", "phase_finish"), "ILogger": ("log",)}
RTX_ONLY = {
    "ComputeCapability",
    "BuilderFlag.REQUIRE_USER_ALLOCATION",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "IExecutionContext.is_stream_capturable",
    "ICudaEngine.create_runtime_config",
    "IRuntimeConfig.set_execution_context_allocation_strategy",
    "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
    "DynamicShapesKernelSpecializationStrategy",
    "DynamicShapesKernelSpecializationStrategy.EAGER",
}
PYTHON_ONLY = {"ITensor.sized", "ITensor.is_input", "Runtime.close", "__name__"}

PROGRAM = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
trt = importlib.import_module(sys.argv[2])
def there(path):
    value = trt
    for part in path.split("."):
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True
print(json.dumps([trt.__version__, [path for path in json.loads(sys.argv[3]) if not there(path)]]))
"""


def dotted(node: ast.expr) -> list[str]:
    """`a.b.c` as its parts, empty for anything else; `self._engine.x` begins with `engine`."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        if before == ["self"]:
            return [node.attr.removeprefix("_")]
        return [*before, node.attr] if before else []
    return []


def names_in(path: Path) -> set[str]:
    """Names of TensorRT in one file, as `Class.attribute`."""
    objects = OBJECTS.get(path.name, {})
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and (parts := dotted(node)) and len(parts) > 1:
            if parts[0] == "trt":
                names.add(".".join(parts[1:]))
            elif parts[0] in objects:
                names.add(f"{objects[parts[0]]}.{parts[1]}")
        if (
            isinstance(node, ast.Call)
            and dotted(node.func) == ["getattr"]
            and isinstance(node.args[1], ast.Constant)
            and (owner := dotted(node.args[0]))
            and owner[0] in objects
        ):
            names.add(f"{objects[owner[0]]}.{node.args[1].value}")
    return names


def used_names() -> set[str]:
    """Names of TensorRT in all the code."""
    names = set().union(*(names_in(path) for path in sorted(ENGINES.glob("*.py"))))
    names |= {f"{owner}.{method}" for owner, methods in OVERRIDDEN.items() for method in methods if owner in names}
    return names - PYTHON_ONLY


def missing(folder: Path, module: str, names: set[str], libraries: Path | None = None) -> tuple[str, list[str]]:
    """The version of a TensorRT module in a fresh process, and those of `names` that it lacks."""
    environment = os.environ | ({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})
    command = [sys.executable, "-c", PROGRAM, str(folder), module, json.dumps(sorted(names))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    version, lacking = json.loads(done.stdout.splitlines()[-1])
    return version, lacking


@pytest.fixture(scope="module")
def wheels(request: pytest.FixtureRequest) -> Path:
    """Where the unpacked bindings are kept from run to run."""
    return request.config.cache.mkdir("tensorrt-bindings")  # type: ignore[union-attr]


def unpacked_bindings(version: str, kept: Path) -> Path:
    """The bindings of one version, downloaded with pip unless they have been before."""
    folder = kept / f"{version}-{sys.implementation.cache_tag}"
    if not (folder / "tensorrt_bindings").is_dir():
        wanted = f"{BINDINGS}=={version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(kept), wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"pip cannot fetch {wanted}: {done.stderr.strip().splitlines()[-1:]}")
        (wheel,) = kept.glob(f"tensorrt_cu13_bindings-{version}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        wheel.unlink()
    return folder


def build_stubs(folder: Path, major: str) -> None:
    """Empty libraries under TensorRT's names."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the stub libraries")
    for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        library = f"lib{name}.so.{major}"
        command = [compiler, "-w", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(folder / library), str(STUB)]
        subprocess.run(command, check=True)


def test_the_names_are_found_in_the_code() -> None:
    names = used_names()
    assert {
        "Builder", "Builder.build_serialized_network", "OnnxParser.parse_from_file", "ILogger.ERROR", "ILogger.log",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED", "IBuilderConfig.progress_monitor", "ITimingCache.combine",
        "IProgressMonitor.step_complete", "Runtime.deserialize_cuda_engine", "IExecutionContext.execute_async_v3",
        "ICudaEngine.create_execution_context", "IExecutionContext.set_tensor_address", *RTX_ONLY,
    } <= names  # fmt: skip
    assert len(names) > 45


@pytest.mark.parametrize("version", VERSIONS)
def test_every_name_that_is_used_exists_in_tensorrt(version: str, wheels: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the bindings are for Linux")
    folder = unpacked_bindings(version, wheels)
    build_stubs(tmp_path, version.split(".")[0])
    assert missing(folder, "tensorrt_bindings", used_names() - RTX_ONLY, tmp_path) == (version, [])


@pytest.mark.parametrize("version", VERSIONS)
def test_names_that_were_removed_or_never_were_are_noticed(version: str, wheels: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the bindings are for Linux")
    folder = unpacked_bindings(version, wheels)
    build_stubs(tmp_path, version.split(".")[0])
    names = {"Builder.build_engine", "IExecutionContext.execute_async", "Builder.create_network"}
    assert missing(folder, "tensorrt_bindings", names, tmp_path)[1] == [
        "Builder.build_engine",
        "IExecutionContext.execute_async",
    ]


def test_every_name_that_is_used_exists_in_tensorrt_rtx(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13 (Linux x86-64)")
    assert missing(tmp_path, "tensorrt_rtx", used_names())[1] == []


def test_the_compute_capabilities_of_tensorrt_rtx_are_known(tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13 (Linux x86-64)")
    from engines.gpu import RTX_CAPABILITIES

    names = [name[2:] for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    assert sorted(f"{name[:-1]}.{name[-1]}" for name in names) == sorted(RTX_CAPABILITIES)
