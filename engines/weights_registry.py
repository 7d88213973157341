"""Weights files: where they come from, what proves them, which may be loaded. Knows no network and loads nothing."""

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.download import Progress, download, file_sha256
from engines.errors import BadInputError, EngineError

Download = Callable[[str, Path, str | None, Progress | None], None]
"""Fetches a URL into a path, checked against a SHA-256 (or its beginning, or None), telling its progress."""


@dataclass(frozen=True)
class WeightsEntry:
    """One published weights file.

    Args:
        name: what the command line calls it.
        filename: what it is called in a weights folder and in the cache.
        url: where its publisher keeps it.
        sha256: its SHA-256 in hex, or as many of the first digits as its publisher gives; None where none are given.
        size_bytes: None where the publisher does not say.
        licence: SPDX name of the weights' own licence.
        source_page: where a person can read about it.
    """

    name: str
    filename: str
    url: str
    sha256: str | None
    size_bytes: int | None
    licence: str
    source_page: str


@dataclass(frozen=True)
class WeightsFile:
    """A weights file on this machine; `trusted` says whether it may be loaded without the user's word for it.

    Args:
        path: the file.
        sha256: 64 hex digits.
        licence: SPDX name, or "unknown" for a file that is in no list.
        trusted: True for a hash in `KNOWN_SHA256`, and for the kinds of file whose loading runs no code.
    """

    path: Path
    sha256: str
    licence: str
    trusted: bool


def _mmpose(name: str, filename: str) -> WeightsEntry:
    """An HRNet of the MMPose model zoo; its file name ends in the first eight digits of its SHA-256 and a date."""
    return WeightsEntry(
        name=name,
        filename=filename,
        url=f"https://download.openmmlab.com/mmpose/top_down/hrnet/{filename}",
        sha256=filename.split("-")[-1].split("_")[0],
        size_bytes=None,
        licence="Apache-2.0",
        source_page="https://github.com/open-mmlab/mmpose/tree/main/configs/body_2d_keypoint/topdown_heatmap/coco",
    )


def _ultralytics(name: str, size_bytes: int | None = None) -> WeightsEntry:
    """A detector of the ultralytics releases, which give no hash."""
    return WeightsEntry(
        name=name,
        filename=f"{name}.pt",
        url=f"https://github.com/ultralytics/assets/releases/download/v8.3.0/{name}.pt",
        sha256=None,
        size_bytes=size_bytes,
        licence="AGPL-3.0",
        source_page="https://docs.ultralytics.com/models/yolov5/",
    )


REGISTRY: Mapping[str, WeightsEntry] = {
    entry.name: entry
    for entry in (
        _ultralytics("yolov5nu"),
        _ultralytics("yolov5su"),
        _mmpose("hrnet_w32", "hrnet_w32_coco_256x192-c78dce93_20200708.pth"),
        _mmpose("hrnet_w48", "hrnet_w48_coco_256x192-b9e0b3ab_20200708.pth"),
    )
}
"""Every weights file that can be asked for by name."""

KNOWN_SHA256: Mapping[str, str] = {
    "56ec5228c683dca5d09c2b861a93281dae7dcbdc2bc5daa379eeeeaf47d59639": "yolov5nu",
}
"""Whole SHA-256 of files we have looked into, and the registry name of each."""

OWN_NAME = "quickstart"
SHIPPED_ENGINES = Path(__file__).resolve().parent / OWN_NAME
OWN_WEIGHTS: Mapping[str, Path] = {
    kind: Path(__file__).resolve().parent.parent / "calibration" / "runs" / f"{kind}_compact.safetensors"
    for kind in ("detector", "pose")
}
"""The compact networks trained by this project, which `engines/quickstart` is made from."""
OWN_INT8: Mapping[str, Path] = {kind: path.with_name(f"{path.stem}_int8.onnx") for kind, path in OWN_WEIGHTS.items()}
"""Their int8 forms, made from the weights by `calibration.quantise`."""
MADE_FROM = "weights_sha256"
"""The field of an int8 network's metadata that holds the SHA-256 of the weights file it was made from."""
MADE_FROM_GRAPH = "graph_sha256"
"""The `layout_sha256` of the float32 graph it was made from, which changes with the network's layers too."""
OWN_LICENCE = "Apache-2.0"

SUFFIX_RUNS_CODE: Mapping[str, bool] = {".pt": True, ".pth": False, ".onnx": False, ".safetensors": False}
"""The kinds of weights file that are read. A `.pt` is a pickle of whole objects; a `.pth` is read weights only."""


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/posemirror`, or `~/.cache/posemirror` where that is unset or not absolute (XDG base dirs)."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "posemirror"


def find_weights(
    name_or_path: str | Path,
    weights_dir: Path | None = None,
    cache: Path | None = None,
    *,
    fetch: Download = download,
    on_progress: Progress | None = None,
) -> WeightsFile:
    """The weights file that a name of `REGISTRY`, or a path, stands for.

    A name is looked up in `weights_dir`, then in the cache; only without a `weights_dir` is it downloaded to the cache.
    Whether the file may be loaded is a second question: see `require_trust`.

    Args:
        name_or_path: a name of `REGISTRY`, or the path of a file, which is taken as it is.
        weights_dir: the user's own folder of weights (`--weights-dir`).
        cache: folder of downloads; `default_cache()` when None.
        fetch: what downloads.
        on_progress: told the bytes done and the bytes of the whole file.

    Raises:
        BadInputError: an unknown name, a path with no file, a kind of file that is not read, a `weights_dir` that is
            not a folder.
        EngineError: the file is nowhere and may not or could not be downloaded, or its hash is not the published one.
    """
    entry = REGISTRY.get(str(name_or_path))
    if entry is None:
        return _file_at(Path(name_or_path), str(name_or_path))
    if weights_dir is not None and not weights_dir.is_dir():
        raise BadInputError(
            f"--weights-dir {weights_dir} is not a folder",
            f"it must be a folder that holds {entry.filename}",
            "give another folder, or leave the option out to download",
        )
    cache = cache or default_cache()
    folders = [cache] if weights_dir is None else [weights_dir, cache]
    for folder in folders:
        if (folder / entry.filename).is_file():
            return _checked(entry, folder / entry.filename)
    if weights_dir is not None:
        raise EngineError(
            f"{entry.filename} is neither in {weights_dir} nor in {cache}",
            f"--weights-dir must hold it, since nothing is downloaded with that option ({entry.url})",
            f"download it there, put it into {weights_dir}, or leave --weights-dir out",
        )
    _fetch(entry, cache, fetch, on_progress)
    return _checked(entry, cache / entry.filename)


def own_or_given(name_or_path: str, kind: str) -> str:
    """What `find_weights` takes: for `quickstart` our own weights of a kind (detector, pose), else the same."""
    return str(OWN_WEIGHTS[kind]) if name_or_path == OWN_NAME else name_or_path


def require_trust(weights: WeightsFile, trust_weights: bool) -> None:
    """Refuses a file whose loading would run unknown code, unless the user vouches for it (`--trust-weights`).

    Raises:
        BadInputError: the file is not trusted and `trust_weights` is False.
    """
    if not (weights.trusted or trust_weights):
        raise BadInputError(
            f"{weights.path} is a {weights.path.suffix} file of unknown SHA-256 {weights.sha256}, "
            "and loading it runs the code it holds",
            "only files of known hash are loaded unasked",
            "add --trust-weights if you trust whoever made it",
        )


def _fetch(entry: WeightsEntry, cache: Path, fetch: Download, on_progress: Progress | None) -> None:
    try:
        fetch(entry.url, cache / entry.filename, entry.sha256, on_progress)
    except EngineError as error:
        raise EngineError(
            f"{entry.filename} is not in {cache}, and its download failed: {error.seen}",
            error.allowed,
            f"{error.next_step} (put {entry.filename} from {entry.url} into a folder, and give --weights-dir FOLDER)",
        ) from error


def _file_at(path: Path, given: str) -> WeightsFile:
    names = ", ".join(REGISTRY)
    if not path.is_file():
        close = difflib.get_close_matches(path.stem, REGISTRY, n=1, cutoff=0.8)
        raise BadInputError(
            f"{given} is neither a file nor the name of known weights",
            f"the names are {names}",
            f"give {close[0]}" if close else "give one of them, or the path of a weights file",
        )
    runs_code = SUFFIX_RUNS_CODE.get(path.suffix.lower())
    if runs_code is None:
        raise BadInputError(
            f"{path} ends in {path.suffix or 'nothing'}",
            f"weights files end in {', '.join(SUFFIX_RUNS_CODE)}",
            f"give such a file, or one of {names}",
        )
    sha256 = _hash(path)
    known = sha256 in KNOWN_SHA256
    licence = OWN_LICENCE if path.resolve() in (*OWN_WEIGHTS.values(), *OWN_INT8.values()) else _licence(sha256)
    return WeightsFile(path, sha256, licence, trusted=known or not runs_code)


def _checked(entry: WeightsEntry, path: Path) -> WeightsFile:
    """The file, if its hash agrees with what is published."""
    weights = _file_at(path, entry.name)
    if entry.sha256 is not None and not weights.sha256.startswith(entry.sha256):
        raise EngineError(
            f"{path} has SHA-256 {weights.sha256}",
            f"{entry.name} has one that begins with {entry.sha256}",
            f"delete the file and run again, or fetch {entry.url} anew",
        )
    return WeightsFile(path, weights.sha256, entry.licence, weights.trusted)


def _licence(sha256: str) -> str:
    if sha256 in KNOWN_SHA256:
        return REGISTRY[KNOWN_SHA256[sha256]].licence
    published = (entry.licence for entry in REGISTRY.values() if entry.sha256 and sha256.startswith(entry.sha256))
    return next(published, "unknown")


def _hash(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise BadInputError(
            f"{path} could not be read ({error.strerror or error})",
            "a weights file must be readable",
            "give yourself the right to read it, or name another file",
        ) from error
