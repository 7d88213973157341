"""The registry of weights, where a file is looked for, and which files may be loaded unasked."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from engines import weights_registry as module
from engines.download import Progress
from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, BadInputError, EngineError
from engines.weights_registry import KNOWN_SHA256, REGISTRY, default_cache, find_weights, require_trust

CONTENT = b"some weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FakeDownload:
    """Writes fixed bytes and remembers what it was asked for."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.calls: list[tuple[str, Path, str | None]] = []

    def __call__(self, url: str, path: Path, sha256: str | None, on_progress: Progress | None) -> None:
        self.calls.append((url, path, sha256))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)


def no_download(url: str, path: Path, sha256: str | None, on_progress: Progress | None) -> None:
    raise AssertionError("nothing may be downloaded here")


@pytest.fixture
def right_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes CONTENT the right content of hrnet_w32."""
    entry = replace(REGISTRY["hrnet_w32"], sha256=SHA256[:8])
    monkeypatch.setattr(module, "REGISTRY", {**REGISTRY, "hrnet_w32": entry})


def put(folder: Path, name: str = "hrnet_w32", content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REGISTRY[name].filename
    path.write_bytes(content)
    return path


def test_every_entry_names_its_file_licence_and_address() -> None:
    assert set(REGISTRY) == {"yolov5nu", "yolov5su", "hrnet_w32", "hrnet_w48"}
    for name, entry in REGISTRY.items():
        assert entry.name == name and entry.url.endswith("/" + entry.filename)
        assert entry.url.startswith("https://") and entry.source_page.startswith("https://")
        assert entry.licence == ("AGPL-3.0" if name.startswith("yolo") else "Apache-2.0")
    assert (REGISTRY["hrnet_w32"].sha256, REGISTRY["hrnet_w48"].sha256) == ("c78dce93", "b9e0b3ab")
    assert all(len(sha256) == 64 and name in REGISTRY for sha256, name in KNOWN_SHA256.items())


@pytest.mark.usefixtures("right_hash")
def test_a_name_is_taken_from_the_weights_folder_before_the_cache(tmp_path: Path) -> None:
    path = put(tmp_path / "own")
    put(tmp_path / "cache", content=b"other")
    found = find_weights("hrnet_w32", tmp_path / "own", tmp_path / "cache", fetch=no_download)
    assert (found.path, found.sha256, found.licence, found.trusted) == (path, SHA256, "Apache-2.0", True)


@pytest.mark.usefixtures("right_hash")
def test_a_name_that_the_weights_folder_lacks_is_taken_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    path = put(tmp_path / "cache")
    assert find_weights("hrnet_w32", tmp_path / "own", tmp_path / "cache", fetch=no_download).path == path


@pytest.mark.usefixtures("right_hash")
def test_a_name_found_nowhere_is_downloaded_into_the_cache(tmp_path: Path) -> None:
    fetch = FakeDownload()
    found = find_weights("hrnet_w32", cache=tmp_path / "cache", fetch=fetch)
    entry = REGISTRY["hrnet_w32"]
    assert found.path == tmp_path / "cache" / entry.filename
    assert fetch.calls == [(entry.url, found.path, SHA256[:8])]


def test_with_a_weights_folder_nothing_is_downloaded_and_the_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as refusal:
        find_weights("hrnet_w32", tmp_path, tmp_path / "cache", fetch=no_download)
    entry = REGISTRY["hrnet_w32"]
    assert refusal.value.exit_code == EXIT_ENGINE
    for words in (entry.url, entry.filename, str(tmp_path), "--weights-dir"):
        assert words in str(refusal.value)


def test_a_failed_download_says_what_to_put_where(tmp_path: Path) -> None:
    def fail(*args: object) -> None:
        raise EngineError("the host was not found", "it must be reachable", "check the network")

    with pytest.raises(EngineError) as refusal:
        find_weights("yolov5su", cache=tmp_path, fetch=fail)
    for words in (REGISTRY["yolov5su"].url, "yolov5su.pt", str(tmp_path), "--weights-dir", "the host was not found"):
        assert words in str(refusal.value)


@pytest.mark.parametrize("where", ["own", "cache"])
def test_a_file_of_wrong_hash_is_refused_naming_both_hashes(tmp_path: Path, where: str) -> None:
    (tmp_path / "own").mkdir()
    path = put(tmp_path / where)
    words = f"{path} has SHA-256 {SHA256}; hrnet_w32 has one that begins with c78dce93; delete the file"
    with pytest.raises(EngineError, match=re.escape(words)):
        find_weights("hrnet_w32", tmp_path / "own", tmp_path / "cache", fetch=no_download)


@pytest.mark.parametrize("name", ["hrnet_w23", "yolo", "", ".", "missing/file.pt"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(BadInputError, match="the names are yolov5nu, yolov5su, hrnet_w32, hrnet_w48") as refusal:
        find_weights(name, fetch=no_download)
    assert refusal.value.exit_code == EXIT_BAD_INPUT


def test_a_misspelt_name_gets_the_nearest() -> None:
    with pytest.raises(BadInputError, match=r"give hrnet_w32\.$"):
        find_weights("hrnet_w23", fetch=no_download)


def test_a_weights_folder_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="is not a folder; it must be a folder that holds"):
        find_weights("hrnet_w32", tmp_path / "none", fetch=no_download)


@pytest.mark.parametrize(("name", "trusted"), [("a.pth", True), ("a.onnx", True), ("a.pt", False), ("a.PT", False)])
def test_a_path_is_taken_as_it_is_and_only_a_pt_needs_trust(tmp_path: Path, name: str, trusted: bool) -> None:
    path = tmp_path / name
    path.write_bytes(CONTENT)
    found = find_weights(path, fetch=no_download)
    assert (found.path, found.sha256, found.licence, found.trusted) == (path, SHA256, "unknown", trusted)
    require_trust(found, trust_weights=True)
    if trusted:
        require_trust(found, trust_weights=False)
    else:
        with pytest.raises(BadInputError, match=f"unknown SHA-256 {SHA256}, and loading it runs.*--trust-weights"):
            require_trust(found, trust_weights=False)


def test_a_pt_of_known_hash_needs_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "renamed.pt"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(module, "KNOWN_SHA256", {SHA256: "yolov5nu"})
    found = find_weights(path, fetch=no_download)
    assert found.trusted and found.licence == "AGPL-3.0"


def test_a_published_pt_without_a_published_hash_needs_trust(tmp_path: Path) -> None:
    found = find_weights("yolov5su", cache=tmp_path, fetch=FakeDownload())
    assert not found.trusted and found.licence == "AGPL-3.0"


def test_a_path_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(CONTENT)
    with pytest.raises(BadInputError, match=r"ends in \.bin; weights files end in \.pt, \.pth, \.onnx"):
        find_weights(path, fetch=no_download)


def test_the_cache_follows_the_base_directory_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "posemirror"
    monkeypatch.setenv("HOME", "/home/someone")
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert default_cache() == Path("/home/someone/.cache/posemirror")
