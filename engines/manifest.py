"""The manifest beside every engine: what it is, what it was made from, which machine it fits. Opens no engine."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.download import file_sha256
from engines.errors import EngineError, in_command
from engines.options import MOST_PEOPLE, MOST_SIDE_PX
from engines.weights_registry import SHIPPED_ENGINES
from engines.whole_files import write_whole

FORMAT, VERSION = "posemirror-engine", 1
LARGEST_BYTES = 1 << 20


@dataclass(frozen=True)
class TensorRtBuild:
    """Where, with what and how a TensorRT engine was built; which TensorRT it was is the manifest's `backend`.

    `gpu` and `driver` are empty for an engine built without a GPU; `compute_capability` is such as "8.9". The rest is
    None or empty in manifests written before it was kept; `timing_cache` is none, new, "added to" or hit (TensorRT-RTX
    has none).
    """

    version: str
    compute_capability: str
    gpu: str
    driver: str
    build_seconds: float | None = None
    optimisation_level: int | None = None
    workspace_bytes: int | None = None
    timing_cache: str = ""


@dataclass(frozen=True)
class Parity:
    """How far an engine's results are from those of the float32 graphs; see `calibration/parity.py`.

    Args:
        frames: pictures compared.
        keypoint_median_px: shift of visible keypoints, px at 1280x720.
        keypoint_p99_px: the same, 99th percentile.
        box_iou: overlap of the detector's boxes, 1st percentile.
        embedding_distance: cosine distance of the embeddings, 99th percentile.
        score_points: difference of scores, 99th percentile.
        accepted: within the tolerance, or accepted by the user.
    """

    frames: int
    keypoint_median_px: float
    keypoint_p99_px: float
    box_iou: float
    embedding_distance: float
    score_points: float
    accepted: bool


@dataclass(frozen=True)
class Manifest:
    """One engine.

    Args:
        name: `detect`, `pose`, one of these with `_int8` behind it, or `encode_NAME`.
        backend: `onnx`, `tensorrt` or `tensorrt_rtx`.
        files: file name -> SHA-256; the first is the engine itself.
        graph_sha256: of the ONNX graph it was made from.
        network: the network's name.
        weights_sha256: of its weights file; empty for a network without weights.
        licence: SPDX name of the weights' licence.
        precision: `fp32`, `fp16` or `int8`.
        frame_size: (width, height) px; (0, 0) for `encode`, which sees no frame.
        image_size: (width, height) px of the network's picture; (0, 0) for `encode`.
        people: K, the rows of every output; the ONNX detector gives 8 boxes whatever K is.
        visible_confidence: the least confidence of a visible joint.
        masked: whether unseen joints are left out (`encode` only; the others say True).
        posemirror: the version that built it.
        tensorrt: for the TensorRT backends.
        parity: where it has been measured.
    """

    name: str
    backend: str
    files: dict[str, str]
    graph_sha256: str
    network: str
    weights_sha256: str
    licence: str
    precision: str
    frame_size: tuple[int, int]
    image_size: tuple[int, int]
    people: int
    visible_confidence: float
    masked: bool
    posemirror: str
    tensorrt: TensorRtBuild | None = None
    parity: Parity | None = None

    @property
    def engine_file(self) -> str:
        """The engine's file name."""
        return next(iter(self.files))


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Writes `NAME.json`, last of all files of an engine, and whole or not at all.

    Raises:
        BadInputError: it cannot be written.
    """
    content = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(manifest)}
    write_whole(directory / f"{manifest.name}.json", json.dumps(content, indent=1) + "\n")


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`.

    Raises:
        EngineError: missing, not JSON, of another format, version or engine, or with a field of the wrong kind.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise bad_manifest(path, f"is larger than {LARGEST_BYTES} bytes")
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise EngineError(
            f"{path} does not exist",
            "every engine has a manifest beside it",
            built_again(path.parent),
        ) from error
    except OSError as error:
        raise bad_manifest(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise bad_manifest(path, "is not JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise bad_manifest(path, f"is not a {FORMAT} file")
    if content.get("version") != VERSION:
        raise bad_manifest(path, f"has version {content.get('version')!r:.100}, not {VERSION}")
    manifest = parse_manifest({key: content[key] for key in content if key not in ("format", "version")}, path)
    if f"{manifest.name}.json" != path.name:
        raise bad_manifest(path, f"is the manifest of {manifest.name!r:.100}")
    return manifest


def built_again(directory: Path, options: str = "") -> str:
    """How a folder of engines is mended, as an error's last part; `options` such as `--backend onnx`.

    The shipped folder is not built over.
    """
    if directory.resolve() == SHIPPED_ENGINES:
        return f"run git checkout -- {in_command(directory)}, or make quickstart"
    return " ".join(filter(None, ("run build_engines.py", options, f"--out {in_command(directory)}")))


def bad_manifest(path: Path, fault: str) -> EngineError:
    """The error for a manifest that cannot be used."""
    return EngineError(
        f"{path} {fault}",
        "a manifest written by build_engines.py is needed",
        built_again(path.parent),
    )


def parse_manifest(content: dict[str, Any], path: Path) -> Manifest:
    """A manifest from its fields, each checked."""
    fields = {field.name: field for field in dataclasses.fields(Manifest)}
    content = {"parity": None} | content
    if set(content) != set(fields):
        wrong = sorted(set(content) ^ set(fields))[0]
        raise bad_manifest(path, f"has the field {wrong!r:.100} missing or unknown")
    checks = {
        "name": is_text, "backend": is_text, "graph_sha256": is_text, "network": is_text, "weights_sha256": is_text,
        "licence": is_text, "precision": is_text, "posemirror": is_text, "files": is_files, "frame_size": is_size,
        "image_size": is_size, "people": is_count, "visible_confidence": is_share, "masked": is_bool,
        "tensorrt": is_tensorrt, "parity": is_parity,
    }  # fmt: skip
    for name, check in checks.items():
        if not check(content[name]):
            raise bad_manifest(path, f"has {content[name]!r:.100} as {name}")
    built, parity = content["tensorrt"], content["parity"]
    return Manifest(
        **{
            **content,
            "frame_size": tuple(content["frame_size"]),
            "image_size": tuple(content["image_size"]),
            "tensorrt": TensorRtBuild(**built) if built else None,
            "parity": Parity(**parity) if parity else None,
        }
    )


def is_text(value: object) -> bool:
    """A string of sensible length."""
    return isinstance(value, str) and len(value) <= 300


def is_bool(value: object) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_count(value: object) -> bool:
    """A number of people."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_PEOPLE


def is_share(value: object) -> bool:
    """A number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_size(value: object) -> bool:
    """Width and height, px."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(side) is int and 0 <= side <= MOST_SIDE_PX for side in value)
    )


def is_files(value: object) -> bool:
    """At least one plain file name with its hash."""
    return (
        isinstance(value, dict)
        and len(value) > 0
        and all(is_text(name) and Path(name).name == name and is_text(digest) for name, digest in value.items())
    )


def is_tensorrt(value: object) -> bool:
    """None, or the fields of `TensorRtBuild`, each of its own kind; one with a default may be missing."""
    if value is None or not isinstance(value, dict):
        return value is None
    fields = {field.name: field for field in dataclasses.fields(TensorRtBuild)}
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    return needed <= set(value) <= set(fields) and all(
        is_text(one) if fields[name].type is str else one is None or is_quantity(one) for name, one in value.items()
    )


def is_quantity(value: object) -> bool:
    """A finite number of at least 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def is_parity(value: object) -> bool:
    """None, or every field of `Parity`, each of its own kind."""
    kinds = {field.name: field.type for field in dataclasses.fields(Parity)}
    return value is None or (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(
            type(value[name]) is kind or (kind is float and type(value[name]) is int) for name, kind in kinds.items()
        )
    )


def check_files(manifest: Manifest, directory: Path) -> None:
    """Compares every file of an engine with the manifest's hash.

    Raises:
        EngineError: a file is missing or has another hash.
    """
    for name, digest in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise EngineError(
                f"{path} does not exist",
                f"the manifest {manifest.name}.json lists it",
                built_again(directory),
            )
        seen = file_sha256(path)
        if seen != digest:
            raise EngineError(
                f"{path} has the hash {seen[:12]}",
                f"its manifest says {digest[:12]}",
                built_again(directory),
            )
