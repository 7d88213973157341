"""Who may import whom, and what an import may do: nothing heavy in the live loop, no side effect anywhere."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

LIVE_ENGINES = (
    "bodies", "errors", "execution", "geometry", "gpu", "host_sampling", "manifest", "onnx_runtime", "options",
    "output_paths", "skeleton", "whole_files",
)  # fmt: skip
"""The modules of `engines` that the live loop uses."""

NOT_LIVE = (
    "torch", "torchvision", "ultralytics", "onnx", "safetensors", "matplotlib", "scipy", "pycocotools", "calibration",
    "aiohttp",
)  # fmt: skip
"""Packages of the build step, of training and of `--serve`; a station that only runs has none of them."""

ON_DEMAND = Path("realtime/web/server")
"""The one module that is imported only when `--serve` asks for it."""

NOT_AT_IMPORT = ("cuda", "tensorrt", "tensorrt_rtx")
"""Packages that touch the GPU; asked for only when a GPU is."""

FORBIDDEN = {
    "engines": ("realtime", "calibration", "run_live", "build_engines"),
    "realtime": ("calibration", "run_live", "build_engines"),
}

IMPORT_ALL = """
import json, os, signal, sys, threading
import cv2, numpy, onnxruntime, rich  # what these do to the process is not ours
before = dict(os.environ), [signal.getsignal(number) for number in signal.valid_signals()]
for name in json.loads(sys.argv[1]):
    __import__(name)
after = dict(os.environ), [signal.getsignal(number) for number in signal.valid_signals()]
roots = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"roots": roots, "threads": threading.active_count(), "same": before == after}))
"""


def live_modules() -> list[str]:
    paths = [path.relative_to(REPOSITORY).with_suffix("") for path in (REPOSITORY / "realtime").rglob("*.py")]
    realtime = [".".join(path.parts) for path in paths if path.stem != "__init__" and path != ON_DEMAND]
    return sorted(realtime) + [f"engines.{name}" for name in LIVE_ENGINES]


def files_of(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imported_roots(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: imports here are absolute"
            roots.add((node.module or "").split(".")[0])
    return roots


@pytest.fixture(scope="module")
def live() -> dict[str, object]:
    """What a fresh interpreter holds after importing everything that the live loop does."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps(live_modules())],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    result: dict[str, object] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("package", NOT_LIVE)
def test_the_live_loop_needs_no_package_of_the_build_step(live: dict[str, object], package: str) -> None:
    assert package not in live["roots"]  # type: ignore[operator]


@pytest.mark.parametrize("package", NOT_AT_IMPORT)
def test_no_import_touches_the_gpu(live: dict[str, object], package: str) -> None:
    assert package not in live["roots"]  # type: ignore[operator]


def test_no_import_prints_starts_a_thread_or_changes_the_process(live: dict[str, object]) -> None:
    assert live["threads"] == 1 and live["same"] is True


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_room_imports_no_room_above_it(package: str) -> None:
    files = files_of(package)
    assert files
    for path in files:
        wrong = imported_roots(path) & set(FORBIDDEN[package])
        assert not wrong, f"{path.relative_to(REPOSITORY)} imports {', '.join(sorted(wrong))}"


def test_the_live_program_reaches_neither_the_build_step_nor_training() -> None:
    program = REPOSITORY / "run_live.py"
    if not program.is_file():
        pytest.skip("needs run_live.py")
    assert not imported_roots(program) & {"calibration", "build_engines", *NOT_LIVE}


def test_onnx_runtime_is_imported_where_its_telemetry_is_off() -> None:
    folders = ("engines", "realtime", "calibration", "tests")
    allowed = REPOSITORY / "engines" / "onnx_runtime.py"
    direct = [path for folder in folders for path in files_of(folder) if "onnxruntime" in imported_roots(path)]
    assert direct == [allowed]
