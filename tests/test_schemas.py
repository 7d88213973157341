"""The JSON schemas that ship with the docs: valid, in step with the reader, and strict about broken files."""

import copy
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from engines.errors import BadInputError
from engines.skeleton import JOINTS
from realtime.pose import Target, target_from_object, target_object

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAMES = ("results", "routine", "target")
SHA256 = "56ec5228c683dca5d09c2b861a93281dae7dcbdc2bc5daa379eeeeaf47d59639"

TARGET: dict[str, object] = {
    "format": "posemirror-target",
    "version": 1,
    "name": "Warrior II",
    "image_size": [1280, 720],
    "joints": {name: [412.0 + 10 * index, 655.5 - 30 * index, 0.93] for index, name in enumerate(JOINTS)},
    "ignore": ["left_wrist"],
    "score_width": 0.3,
    "pass_score": 80,
    "hold_seconds": 5,
    "match_mirrored": False,
}
ROUTINE: dict[str, object] = {
    "format": "posemirror-routine",
    "version": 1,
    "name": "Morning",
    "repetitions": 2,
    "poses": [{"target": "warrior2.json", "hold_seconds": 5, "rest_seconds": 3}],
}
SESSION: dict[str, object] = {
    "type": "session",
    "version": "0.1.0",
    "backend": "onnx",
    "source": "clip.mp4",
    "source_size": [720, 1280],
    "frame_size": [1280, 720],
    "fit": {"scale": 0.5625, "left": 437.5, "top": 0},
    "engines": {"detect": SHA256, "pose": SHA256, "encode_bones": SHA256},
    "encoder": {"name": "bones", "weights_sha256": None},
    "targets": [{**TARGET, "width": 0.3}],
    "smoothing": True,
    "started": "2026-11-23T20:55:01.250+00:00",
}
FRAME: dict[str, object] = {
    "type": "frame",
    "frame": 12,
    "time": 0.48,
    "status": "scored",
    "reason": None,
    "score": 87.3,
    "distance": 0.158,
    "box": [300.5, 40.0, 620.25, 700.0, 0.91],
    "keypoints": [[400.0, 100.0, 0.9]] * 17,
    "joints": [[400.0, 100.0, 0.9]] * 15,
    "deviation_degrees": {"left_elbow": -12.4, "head": None},
    "missing": [],
    "target": "Warrior II",
    "phase": "hold",
    "repetition": 1,
    "hold_seconds": 1.2,
    "age_ms": 41.0,
    "stages_ms": {"wait": 1.0, "detect": 0.0, "pose": 9.7, "encode": 0.3},
}
UNSCORED = {**FRAME, "score": None, "distance": None}
NO_PERSON = {
    **UNSCORED,
    "status": "no_person",
    "reason": "nobody in view",
    "box": None,
    "keypoints": None,
    "joints": None,
}
PERSON = {"id": 0, **{key: FRAME[key] for key in ("box", "keypoints", "joints", "score")}}
QUANTILES = {"p50": 30.0, "p90": 38.0, "p95": 41.0, "p99": 60.5, "max": 80.0}
SUMMARY: dict[str, object] = {
    "type": "summary",
    "captured": 250,
    "shown": 248,
    "dropped": 2,
    "scored": 240,
    "age_ms": QUANTILES,
    "stages_ms": {"wait": QUANTILES, "pose": dict.fromkeys(QUANTILES)},
}


def schema(name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((DOCS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return document


def is_valid(name: str, document: object) -> bool:
    return jsonschema.Draft202012Validator(schema(name)).is_valid(document)


def without(document: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in document.items() if name != key}


def changed(document: dict[str, object], path: str, value: object) -> dict[str, object]:
    """A copy with the value at a dotted path replaced or added."""
    copied = copy.deepcopy(document)
    *folders, last = path.split(".")
    place: object = copied
    for key in folders:
        place = place[int(key)] if isinstance(place, list) else place[key]  # type: ignore[index]
    place[int(last) if isinstance(place, list) else last] = value  # type: ignore[index]
    return copied


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_itself_is_valid(name: str) -> None:
    document = schema(name)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(document)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("target", TARGET),
        ("target", {key: TARGET[key] for key in ("format", "version", "name", "image_size", "joints")}),
        ("routine", ROUTINE),
        ("routine", {**without(ROUTINE, "repetitions"), "poses": [{"target": "a.json"}]}),
        ("results", SESSION),
        ("results", {**SESSION, "stills": True}),
        ("results", {**SESSION, "machine": "a station", "started": "2026-11-23T20:55:01Z"}),
        ("results", FRAME),
        ("results", NO_PERSON),
        ("results", {**UNSCORED, "status": "joints_missing", "reason": "not seen: head", "missing": ["head"]}),
        ("results", {**UNSCORED, "status": "stale", "reason": "frame 300 ms old"}),
        ("results", {**FRAME, "people": [PERSON, {**PERSON, "id": 1, "score": None}]}),
        ("results", SUMMARY),
        ("results", {**SUMMARY, "age_ms": dict.fromkeys(QUANTILES)}),
    ],
)
def test_the_examples_of_the_design_validate(name: str, document: object) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "posemirror-routine"),
        ("version", 2),
        ("name", ""),
        ("name", "a\nb"),
        ("image_size", [1280]),
        ("image_size", [1280, 720, 3]),
        ("image_size", [1280, 0]),
        ("image_size", [1280, 7.5]),
        ("joints", {}),
        ("joints.head", [1, 2]),
        ("joints.head", [1, 2, 0.5, 4]),
        ("joints.head", [-1, 2, 0.5]),
        ("joints.head", [1, 2, 1.5]),
        ("joints.head", [True, 2, 1]),
        ("joints.tail", [1, 2, 1]),
        ("ignore", ["legs"]),
        ("score_width", 0),
        ("pass_score", 101),
        ("hold_seconds", -1),
        ("match_mirrored", 1),
        ("colour", "red"),
    ],
)
def test_a_broken_target_fails_the_schema_and_the_reader_alike(path: str, value: object) -> None:
    document = changed(TARGET, path, value)
    assert not is_valid("target", document)
    with pytest.raises(BadInputError):
        target_from_object(document, "file")


@pytest.mark.parametrize("key", ["format", "version", "name", "image_size", "joints"])
def test_a_target_without_a_field_it_needs_fails_the_schema_and_the_reader_alike(key: str) -> None:
    assert not is_valid("target", without(TARGET, key))
    with pytest.raises(BadInputError):
        target_from_object(without(TARGET, key), "file")


def test_what_is_written_validates_and_so_it_does_with_its_width_in_a_session() -> None:
    joints = np.random.default_rng(3).uniform(0.3, 1, (15, 3)).astype(np.float32)
    document = target_object(Target("Árvore", (1280, 720), joints, ("head",)))
    assert is_valid("target", document)
    assert is_valid("results", {**SESSION, "targets": [{**document, "width": 0.3}]})


def test_a_target_within_a_session_has_the_fields_of_the_target_schema() -> None:
    target, session = schema("target"), schema("results")["$defs"]["session_target"]  # type: ignore[index]
    assert without(session["properties"], "width") == target["properties"]
    assert [name for name in session["required"] if name != "width"] == target["required"]
    definitions = schema("results")["$defs"]
    assert {name: definitions[name] for name in target["$defs"]} == target["$defs"]  # type: ignore[index, attr-defined]


def test_the_schemas_name_the_joints_of_the_skeleton_in_order() -> None:
    for name in ("target", "results"):
        assert tuple(schema(name)["$defs"]["joint_name"]["enum"]) == JOINTS  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 2),
        ("repetitions", 0),
        ("repetitions", 1.5),
        ("poses", []),
        ("poses.0.target", ""),
        ("poses.0.hold_seconds", -1),
        ("poses.0.rest_seconds", "3"),
        ("poses.0.pause", 3),
        ("colour", "red"),
    ],
)
def test_a_broken_routine_fails(path: str, value: object) -> None:
    assert not is_valid("routine", changed(ROUTINE, path, value))


@pytest.mark.parametrize(
    ("document", "required"), [(SESSION, set(SESSION)), (FRAME, set(FRAME)), (SUMMARY, set(SUMMARY))]
)
def test_every_field_of_a_results_line_is_needed(document: dict[str, object], required: set[str]) -> None:
    for key in required:
        assert not is_valid("results", without(document, key)), key


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (SESSION, "type", "header"),
        (SESSION, "backend", "cuda"),
        (SESSION, "engines.detect", "abc"),
        (SESSION, "engines", {}),
        (SESSION, "encoder.weights_sha256", ""),
        (SESSION, "targets", []),
        (SESSION, "targets.0.width", 0),
        (SESSION, "targets.0.colour", "red"),
        (SESSION, "fit.scale", 0),
        (SESSION, "stills", "yes"),
        (SESSION, "not_captured", ""),
        (SESSION, "started", "yesterday"),
        (FRAME, "status", "fine"),
        (FRAME, "reason", "why"),
        (FRAME, "score", None),
        (FRAME, "score", 100.5),
        (FRAME, "box", None),
        (FRAME, "keypoints", [[1, 1, 1]] * 16),
        (FRAME, "joints", [[1, 1]] * 15),
        (FRAME, "deviation_degrees.tail", 3),
        (FRAME, "deviation_degrees.head", -180),
        (FRAME, "missing", ["tail"]),
        (FRAME, "phase", "wait"),
        (FRAME, "repetition", 0),
        (FRAME, "frame", 1.5),
        (FRAME, "age_ms", -1),
        (FRAME, "stages_ms.pose", None),
        (FRAME, "colour", "red"),
        (FRAME, "people", [{"id": 0}]),
        (NO_PERSON, "reason", None),
        (NO_PERSON, "score", 0),
        (NO_PERSON, "box", [0, 0, 0, 0, 0]),
        (NO_PERSON, "status", "joints_missing"),
        (SUMMARY, "shown", 2.5),
        (SUMMARY, "age_ms.p95", "slow"),
        (SUMMARY, "age_ms.mean", 3),
        (SUMMARY, "stages_ms.pose", 3),
        (SUMMARY, "colour", "red"),
    ],
)
def test_a_broken_results_line_fails(document: dict[str, object], path: str, value: object) -> None:
    assert not is_valid("results", changed(document, path, value))
