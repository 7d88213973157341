"""Manifests: written and read back, and every bad one refused in one sentence with exit code 4."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import EXIT_ENGINE, EngineError
from engines.manifest import (
    FORMAT,
    LARGEST_BYTES,
    VERSION,
    Manifest,
    TensorRtBuild,
    check_files,
    read_manifest,
    write_manifest,
)
from engines.weights_registry import SHIPPED_ENGINES

EXAMPLE = Manifest(
    name="detect",
    backend="onnx",
    files={"detect.onnx": "0" * 64, "detect.weights": "1" * 64},
    graph_sha256="2" * 64,
    network="yolov5nu",
    weights_sha256="3" * 64,
    licence="AGPL-3.0",
    precision="fp32",
    frame_size=(1280, 720),
    image_size=(640, 384),
    people=1,
    visible_confidence=0.3,
    masked=True,
    posemirror="0.1.0",
)
BUILT = TensorRtBuild("1.7.1.116", "8.9", "", "", 12.5, 3, 2 << 30, "added to")


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(EngineError) as caught:
        action()
    message = str(caught.value)
    assert caught.value.exit_code == EXIT_ENGINE
    assert all(word in message for word in (*words, "build_engines.py")), message
    assert "\n" not in message and message.count("; ") >= 2 and len(message) < 600


@pytest.mark.parametrize(
    "manifest",
    [EXAMPLE, replace(EXAMPLE, backend="tensorrt_rtx", tensorrt=BUILT), replace(EXAMPLE, frame_size=(0, 0), people=8)],
    ids=["onnx", "tensorrt", "no frame"],
)
def test_a_manifest_reads_back_as_it_was_written(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(manifest, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["detect.json"]
    assert read_manifest(tmp_path / "detect.json") == manifest
    assert manifest.engine_file == "detect.onnx"


def test_a_manifest_of_before_build_times_were_kept_still_opens(tmp_path: Path) -> None:
    write_manifest(replace(EXAMPLE, backend="tensorrt_rtx", tensorrt=BUILT), tmp_path)
    path = tmp_path / "detect.json"
    content = json.loads(path.read_text())
    kept = ("version", "compute_capability", "gpu", "driver")
    content["tensorrt"] = {name: content["tensorrt"][name] for name in kept}
    path.write_text(json.dumps(content))
    assert read_manifest(path).tensorrt == TensorRtBuild("1.7.1.116", "8.9", "", "")


def test_writing_over_an_older_manifest_replaces_it_whole(tmp_path: Path) -> None:
    write_manifest(replace(EXAMPLE, network="x" * 300), tmp_path)
    write_manifest(EXAMPLE, tmp_path)
    assert read_manifest(tmp_path / "detect.json") == EXAMPLE


def test_a_folder_with_a_space_is_quoted_in_the_command_that_mends_it(tmp_path: Path) -> None:
    folder = tmp_path / "my engines"
    folder.mkdir()
    mends = f"{folder / 'detect.json'} ", f"run build_engines.py --out '{folder}'."
    refused(lambda: read_manifest(folder / "detect.json"), *mends, "does not exist")
    (folder / "detect.json").write_text("{")
    refused(lambda: read_manifest(folder / "detect.json"), *mends, "is not JSON")
    refused(lambda: check_files(EXAMPLE, folder), mends[1], "detect.onnx does not exist")


def test_the_shipped_engines_are_mended_by_git_since_no_build_goes_over_them() -> None:
    with pytest.raises(EngineError, match=r"quickstart, or make quickstart\.$") as caught:
        check_files(replace(EXAMPLE, files={"gone.onnx": "0" * 64}), SHIPPED_ENGINES)
    assert "run git checkout -- " in str(caught.value)


def test_a_missing_manifest_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    refused(lambda: read_manifest(tmp_path / "detect.json"), "detect.json does not exist", f"--out {tmp_path}")


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "detect.json").mkdir()
    refused(lambda: read_manifest(tmp_path / "detect.json"), "detect.json cannot be read")


@pytest.mark.parametrize(
    "content",
    [b"", b"no json", b'{"format": ', b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1}}'],
    ids=["empty", "text", "cut off", "not UTF-8", "nested too deep", "one brace too many"],
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "detect.json").write_bytes(content)
    refused(lambda: read_manifest(tmp_path / "detect.json"), "is not JSON")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', "{}", '{"format": "posemirror-target"}'])
def test_json_of_another_format_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "detect.json").write_text(content)
    refused(lambda: read_manifest(tmp_path / "detect.json"), f"is not a {FORMAT} file")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "detect.json").write_bytes(b" " * (LARGEST_BYTES + 1))
    refused(lambda: read_manifest(tmp_path / "detect.json"), f"larger than {LARGEST_BYTES}")


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A valid manifest after `change` of its JSON."""
    write_manifest(replace(EXAMPLE, tensorrt=BUILT), tmp_path)
    path = tmp_path / "detect.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused_with_both(tmp_path: Path, version: object) -> None:
    path = changed(tmp_path, lambda content: content.update(version=version))
    refused(lambda: read_manifest(path), f"version {version!r}, not {VERSION}")


@pytest.mark.parametrize("field", ["files", "people", "tensorrt", "graph_sha256"])
def test_a_missing_field_is_refused_by_name(tmp_path: Path, field: str) -> None:
    path = changed(tmp_path, lambda content: content.pop(field))
    refused(lambda: read_manifest(path), f"field {field!r}", "missing")


def test_an_unknown_field_is_refused_by_name(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda content: content.update(colour="red"))
    refused(lambda: read_manifest(path), "field 'colour'", "unknown")


MISTYPED: list[tuple[str, object]] = [
    ("name", 3), ("name", None), ("network", "x" * 9_000), ("backend", ["onnx"]), ("licence", {}),
    ("files", {}), ("files", []), ("files", {"../detect.onnx": "0"}), ("files", {"/etc/passwd": "0"}),
    ("files", {"detect.onnx": 5}), ("frame_size", [1280]), ("frame_size", [1280, 720, 3]), ("frame_size", "1280x720"),
    ("frame_size", [1280.0, 720]), ("frame_size", [-1, 720]), ("frame_size", [100_000, 720]),
    ("image_size", [True, 192]), ("image_size", None), ("people", 0), ("people", 9), ("people", 1.0),
    ("people", True), ("people", "1"), ("visible_confidence", 1.5), ("visible_confidence", -0.1),
    ("visible_confidence", "0.3"), ("visible_confidence", float("nan")), ("visible_confidence", True),
    ("masked", 1), ("masked", "yes"), ("tensorrt", {}), ("tensorrt", "1.7"),
    ("tensorrt", {"version": 1, "compute_capability": "8.9", "gpu": "", "driver": ""}),
    ("tensorrt", {"version": "11", "compute_capability": "8.9", "gpu": "", "driver": "", "build_seconds": -1}),
    ("tensorrt", {"version": "11", "compute_capability": "8.9", "gpu": "", "driver": "", "build_seconds": "2"}),
    ("tensorrt", {"version": "11", "compute_capability": "8.9", "gpu": "", "driver": "", "more": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), MISTYPED, ids=[f"{field}={value!r:.30}" for field, value in MISTYPED])
def test_a_field_of_the_wrong_kind_is_refused_by_name_and_value(tmp_path: Path, field: str, value: object) -> None:
    path = changed(tmp_path, lambda content: content.update({field: value}))
    refused(lambda: read_manifest(path), f"as {field}", repr(value)[:100])


def test_a_manifest_under_another_engines_name_is_refused(tmp_path: Path) -> None:
    write_manifest(EXAMPLE, tmp_path)
    (tmp_path / "detect.json").rename(tmp_path / "pose.json")
    refused(lambda: read_manifest(tmp_path / "pose.json"), "pose.json is the manifest of 'detect'")


# ---- the files it lists

CONTENT = {"detect.onnx": b"graph", "detect.weights": b"weights"}


@pytest.fixture
def listed(tmp_path: Path) -> Manifest:
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    return replace(EXAMPLE, files={name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()})


def test_files_with_the_hashes_of_the_manifest_pass(tmp_path: Path, listed: Manifest) -> None:
    check_files(listed, tmp_path)


@pytest.mark.parametrize("name", CONTENT)
def test_a_file_with_another_hash_is_refused_with_both_hashes(tmp_path: Path, listed: Manifest, name: str) -> None:
    (tmp_path / name).write_bytes(b"something else")
    seen = hashlib.sha256(b"something else").hexdigest()
    refused(lambda: check_files(listed, tmp_path), str(tmp_path / name), listed.files[name][:12], seen[:12])


@pytest.mark.parametrize("name", CONTENT)
def test_a_missing_file_is_refused_by_name(tmp_path: Path, listed: Manifest, name: str) -> None:
    (tmp_path / name).unlink()
    refused(lambda: check_files(listed, tmp_path), str(tmp_path / name), "does not exist", "detect.json")


def test_a_directory_in_the_place_of_a_file_is_refused(tmp_path: Path, listed: Manifest) -> None:
    (tmp_path / "detect.onnx").unlink()
    (tmp_path / "detect.onnx").mkdir()
    refused(lambda: check_files(listed, tmp_path), "detect.onnx")
