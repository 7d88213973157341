"""Every reader of the project, with the files that it is tried on. Each gives what it read or a documented error."""

import argparse
import contextlib
import functools
import io
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

from engines.errors import PosemirrorError
from tests.fuzz import mutations
from tests.fuzz.mutations import changed_bytes, changed_document, json_bytes, json_files, json_lines, near, npz_files

ROOT = Path(__file__).resolve().parents[2]


class RefusedError(Exception):
    """A documented refusal that is no `PosemirrorError`: argparse ends with code 2, a parser of one word says so."""


@dataclass(frozen=True)
class Reader:
    """What reads a file, the name such a file has, and files near good ones."""

    file_name: str
    read: Callable[[Path], object]
    files: st.SearchStrategy[bytes]


def attempt(reader: Reader, folder: Path, data: bytes) -> bool:
    """Whether a reader takes a file; False where it refuses it in one sentence. Anything else is raised."""
    path = folder / reader.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        reader.read(path)
    except PosemirrorError as error:
        sentence = str(error)
        assert "\n" not in sentence and sentence.count("; ") >= 2 and len(sentence) < 3000, sentence
        sentence.encode(errors="backslashreplace")
        return False
    except RefusedError:
        return False
    return True


def target_document() -> dict[str, Any]:
    """A whole pose.json."""
    from tests.realtime.fakes import target_json

    whole = {"ignore": ["head"], "score_width": 0.3, "pass_score": 80, "hold_seconds": 5, "match_mirrored": False}
    return target_json(**whole)


def foreign_documents() -> list[Any]:
    """OpenPose, COCO (annotations and results) and MediaPipe."""
    from tests.realtime import test_target_formats as formats

    points = formats.standing()
    landmarks = formats.mediapipe_landmarks(points)
    annotations = formats.coco_annotations(points)
    results = [{"image_id": 1, "category_id": 1, "keypoints": points.reshape(-1).tolist(), "score": 0.9}]
    return [
        formats.openpose(points, points),
        annotations,
        results,
        {"image_size": [640, 480], "landmarks": [landmarks]},
        {"image_size": [640, 480], "landmarks": landmarks},
    ]


def read_any_target(path: Path) -> object:
    from realtime.pose import read_target

    return read_target(path)


def read_any_routine(path: Path) -> object:
    """Its targets lie beside it."""
    from realtime.routine import read_routine

    (path.parent / "pose.json").write_bytes(json_bytes(target_document()))
    return read_routine(path, read_any_target)  # type: ignore[arg-type]


def routine_document() -> dict[str, Any]:
    poses = [{"target": "pose.json", "hold_seconds": 5, "rest_seconds": 3}, {"target": "pose.json"}]
    return {"format": "posemirror-routine", "version": 1, "name": "Morning", "repetitions": 2, "poses": poses}


@functools.cache
def recorded_rows() -> tuple[dict[str, Any], ...]:
    """A short session with frames of every kind, as the live loop writes it."""
    from realtime.mailbox import Ledger
    from realtime.results import PersonResult, frame_row
    from realtime.routine import Routine, Step
    from realtime.session import session_row, summary_row
    from realtime.statistics import Statistics
    from tests.realtime.fakes import FakeSource, chain_info, result_of, standing, standing_joints, standing_target

    target = standing_target()
    person = PersonResult(3, np.array([100, 20, 200, 170, 0.9], np.float32), standing(), standing_joints(), 40.0)
    nobody = {
        "status": "no_person", "reason": "no person in view", "score": None, "distance": None, "box": None,
        "keypoints": None, "joints": None, "deviation_degrees": {},
    }  # fmt: skip
    results = [
        result_of(0),
        result_of(1, seconds=0.04, **nobody),
        result_of(2, seconds=0.08, people=(person,), person=3, phase="hold", hold_seconds=0.3),
    ]
    statistics = Statistics()
    for result in results:
        statistics.add(result)
    routine = Routine("Morning", (Step(target, 5, 3),), 2)
    rows = [
        session_row(chain_info(), FakeSource(3), target, True, routine),
        *map(frame_row, results),
        summary_row(Ledger(3, 3, 0, 0), statistics, "file"),
    ]
    return tuple(json.loads(json.dumps(row)) for row in rows)


def read_session(path: Path) -> object:
    """What can be read can also be put on a page and into a table."""
    from realtime.recording import read_recording
    from realtime.report import csv_of, page

    recording = read_recording(path)
    return page(recording).encode(), csv_of(recording).encode()


SETTINGS = {
    "mirror": True, "source": "0", "ignore": ["left_wrist", "legs"], "people": 2, "smoothing": "off", "pace": False,
    "target": "pose.json", "reconnect_seconds": 30.0, "encoder": "graded",
}  # fmt: skip


def toml_bytes(document: Any) -> bytes:
    """TOML, as far as the document is one; values that it has not come as they are, which makes bad files."""

    def word(value: Any) -> str:
        if isinstance(value, float) and not np.isfinite(value):
            return {"inf": "inf", "-inf": "-inf"}.get(str(value), "nan")
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {word(inner)}" for key, inner in value.items()) + "}"
        return json.dumps(value) if not isinstance(value, list) else "[" + ", ".join(map(word, value)) + "]"

    entries = document.items() if isinstance(document, dict) else [("x", document)]
    return "\n".join(f"{key or json.dumps(key)} = {word(value)}" for key, value in entries).encode(
        errors="surrogatepass"
    )


@functools.cache
def live_parser() -> argparse.ArgumentParser:
    from realtime.live_options import parser

    return parser()


def read_settings_file(path: Path) -> object:
    """As `run_live.py --settings` does; argparse's own refusal is an exit with code 2."""
    from realtime.settings import with_settings

    words = with_settings(live_parser(), ["--settings", str(path)])
    return parsed(live_parser(), words)


def parsed(parser: argparse.ArgumentParser, words: list[str]) -> object:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            return parser.parse_args(words)
        except SystemExit as end:
            assert end.code == 2 and "error: " in said.getvalue() and "Traceback" not in said.getvalue()
            raise RefusedError from None


WORDS = (
    "0", "clip.mp4", "1280x720", "left_wrist,legs", "p95_ms=60", "4", "0.5", "auto", "out.jsonl", "127.0.0.1:8000",
    "[::1]:80", "rtsp://a:b@host/x", "graded", "on", "64x64", "99999x9",
)  # fmt: skip


def read_words(path: Path) -> object:
    """A command line of the live loop: an option a line, its value after the first space."""
    from realtime.live import run  # noqa: F401  (the options' own imports)
    from realtime.pose import parse_ignore

    known = sorted(option for action in live_parser()._actions for option in action.option_strings)
    lines = path.read_bytes().decode(errors="surrogateescape").split("\n")
    for line in lines:
        parse_ignore(line) if line.startswith("left") else None
    words = [word for index, line in enumerate(lines) for word in (known[(index * 7 + len(line)) % len(known)], line)]
    words = [word for word in words if word not in ("--help", "-h", "--version")]
    return parsed(live_parser(), words)


def manifest_document() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "engines" / "quickstart" / "detect.json").read_text())
    return content


def read_engine_manifest(path: Path) -> object:
    from engines.manifest import read_manifest

    return read_manifest(path)


class _Attack:
    """What a pickle may not do: leave a mark on the disk."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(MARK),)


MARK = Path(tempfile.gettempdir()) / "posemirror_fuzz_mark"


def pickles() -> list[bytes]:
    """Pickles that build plain values, and ones that would run code."""
    plain = {("01", 1): {"action_type": "107B", "judge_scores": [9.0, 8.5], "start_frame": 3}}
    return [pickle.dumps(value, protocol) for value in (plain, _Attack(), [np.float64(3.0)]) for protocol in (0, 2, 4)]


@functools.cache
def checkpoints() -> tuple[bytes, ...]:
    """State dicts as torch writes them, now and before, one of them nested, and pickles that would run code."""
    import torch

    files = []
    for content in ({"a.weight": torch.ones(2, 3)}, {"state_dict": {"b": torch.zeros(4, dtype=torch.float16)}}):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            files.append(file.getvalue())
    return (*files, *pickles())


@functools.cache
def safetensors_files() -> tuple[bytes, ...]:
    import torch
    from safetensors.torch import save

    good = save({"a.weight": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float16)})
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])

    def with_header(document: Any) -> bytes:
        text = json_bytes(document)
        return len(text).to_bytes(8, "little") + text + good[8 + length :]

    wrong = header | {"b": header["b"] | {"data_offsets": [0, 2**60]}}
    return good, with_header(wrong), with_header(header | {"b": header["b"] | {"shape": [2**40, 2**40]}})


def read_weights(path: Path) -> object:
    from engines.networks.state_dicts import read_state_dict

    state_dict = read_state_dict(path)
    assert not MARK.exists(), "a weights file ran code"
    return state_dict


def read_compact_detector(path: Path) -> object:
    """The network that a state dict is put into: its keys and shapes are the file's own claim."""
    from engines.networks.loading import load_detector

    return load_detector(path)


def read_encoder_weights(path: Path) -> object:
    from engines.networks.encoders import load_encoder

    return load_encoder(path)


def encoder_files() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "engines" / "weights").glob("*.safetensors"))]


@functools.cache
def onnx_files() -> tuple[bytes, ...]:
    from tests.engines.test_graph_heatmap_onnx import network

    return (network().SerializeToString(), network(batch=1).SerializeToString())


def read_heatmap_network(path: Path) -> object:
    from engines.networks.heatmap_onnx import load_heatmap_network

    return load_heatmap_network(path, 2, input_name="image", output_name="heatmaps")


def pose_archive(path: Path) -> object:
    from calibration.pose_files import read_pose

    def no_engines() -> Any:
        raise AssertionError("no picture, no engines")

    return read_pose(path, no_engines)


def penn_arrays() -> dict[str, Any]:
    from tests.calibration.test_datasets import penn_arrays as arrays

    return arrays()


def numbers(*shape: int) -> Any:
    return (np.arange(np.prod(shape), dtype=np.float32) % 97 + 2).reshape(shape)


def by_name(module: str, name: str) -> Callable[[Path], object]:
    """A reader that is imported when it is first used."""

    def read(path: Path) -> object:
        return getattr(__import__(module, fromlist=[name]), name)(path)

    return read


def read_clip(path: Path) -> object:
    from calibration.datasets.clip_poses import read_clip_poses

    return read_clip_poses(path, 4)


def mpii_person() -> dict[str, Any]:
    return {"joints": numbers(16, 2).tolist(), "joints_vis": [1] * 16, "image": "a.jpg"}


def coco_document() -> dict[str, Any]:
    one = {"id": 1, "image_id": 5, "num_keypoints": 17, "keypoints": numbers(51).tolist()}
    return {"images": [], "annotations": [one, one | {"image_id": 6}]}


def mpii_csv() -> bytes:
    from tests.calibration.test_datasets import write_mpii_csv

    with tempfile.TemporaryDirectory() as folder:
        return write_mpii_csv(Path(folder) / "mpii.csv").read_bytes()


def dive_files() -> dict[str, Any]:
    dive = {
        "action_type": "107B", "start_frame": 3, "end_frame": 90, "dive_score": 80.5, "difficulty": 3.1,
        "judge_scores": [9.0, 8.5],
    }  # fmt: skip
    return {"annotations": [[["01", 1], dive], [["01", 2], dive]], "train": [["01", 1]], "test": [["01", 2]]}


def dives_pickled(document: Any) -> bytes:
    """Three pickles in one file, as JSON could describe them: pairs become keys where they can."""

    def key(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    content = document if isinstance(document, dict) else {}
    annotations = content.get("annotations")
    pairs = annotations if isinstance(annotations, list) else []
    table: Any = annotations
    with contextlib.suppress(TypeError, ValueError):
        table = {key(one): entry for one, entry in pairs}
    lists = [content.get(part) for part in ("train", "test")]
    lists = [[key(one) for one in part] if isinstance(part, list) else part for part in lists]
    return pickle.dumps([pickle.dumps(one) for one in (table, *lists)])


def read_dives(path: Path) -> object:
    from calibration.datasets.action_quality import read_finediving

    names = ("FineDiving_coarse_annotation.pkl", "train_split.pkl", "test_split.pkl")
    parts = pickle.loads(path.read_bytes())  # our own, from `dives_pickled`
    for name, part in zip(names, parts, strict=True):
        (path.parent / name).write_bytes(part)
    return read_finediving(path.parent)


def read_pickle(path: Path) -> object:
    from calibration.datasets.pickles import read_plain_pickle

    content = read_plain_pickle(path, "annotations")
    assert not MARK.exists(), "a pickle ran code"
    return content


@functools.cache
def pictures() -> tuple[bytes, ...]:
    from realtime.time_code import draw_code

    code = draw_code(12345, 240, 200)
    return tuple(cv2.imencode(kind, code)[1].tobytes() for kind in (".png", ".jpg", ".bmp", ".webp"))


def read_picture_file(path: Path) -> object:
    """A picture as a target, and the time code that it may show."""
    from realtime.opening import picture_of
    from realtime.time_code import read_code

    return read_code(picture_of(path, "target"))


@st.composite
def painted_codes(draw: st.DrawFn) -> bytes:
    """Time codes bent, cut, noisy, inverted or tiny, as an uncompressed picture."""
    from realtime.time_code import draw_code

    picture = draw_code(draw(st.integers(0, 70_000)), draw(st.integers(40, 300)), draw(st.integers(40, 300)))
    height, width = picture.shape[:2]
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        bent = corners + noise.uniform(-0.4, 0.4, (4, 2)).astype(np.float32) * (width, height)
        picture = cv2.warpPerspective(
            picture, cv2.getPerspectiveTransform(corners, bent.astype(np.float32)), (width, height)
        )
    if draw(st.booleans()):
        picture = np.clip(picture + noise.normal(0, draw(st.sampled_from((5, 60, 200))), picture.shape), 0, 255)
    if draw(st.booleans()):
        picture = 255 - picture
    data: bytes = cv2.imencode(".bmp", picture.astype(np.uint8))[1].tobytes()
    return data


def documents(make: Callable[[], list[Any]]) -> st.SearchStrategy[bytes]:
    """JSON files near those that `make` gives, made when they are first asked for."""
    return st.deferred(lambda: json_files(*make()))


def archives(make: Callable[[], dict[str, Any]]) -> st.SearchStrategy[bytes]:
    return st.deferred(lambda: npz_files(make()))


def toml_files() -> st.SearchStrategy[bytes]:
    return changed_document(SETTINGS).map(toml_bytes) | changed_bytes(toml_bytes(SETTINGS))


def word_lines() -> st.SearchStrategy[bytes]:
    word = st.sampled_from(WORDS + tuple(text for text in mutations.TEXTS if "\n" not in text)) | st.text(max_size=8)
    return st.lists(word, max_size=4).map(lambda lines: "\n".join(lines).encode(errors="surrogatepass"))


DATASETS = "calibration.datasets"
READERS = {
    "target": Reader("pose.json", read_any_target, documents(lambda: [target_document()])),
    "foreign target": Reader("keypoints.json", read_any_target, documents(foreign_documents)),
    "routine": Reader("routine.json", read_any_routine, documents(lambda: [routine_document()])),
    "results, report": Reader("out.jsonl", read_session, st.deferred(lambda: json_lines(*recorded_rows()))),
    "settings": Reader("settings.toml", read_settings_file, toml_files()),
    "command line": Reader("words.txt", read_words, word_lines()),
    "manifest": Reader("detect.json", read_engine_manifest, documents(lambda: [manifest_document()])),
    ".pth": Reader("weights.pth", read_weights, near(checkpoints)),
    ".safetensors": Reader("weights.safetensors", read_weights, near(safetensors_files)),
    "detector's weights": Reader("detector.safetensors", read_compact_detector, near(safetensors_files)),
    "encoder's weights": Reader("encoder.safetensors", read_encoder_weights, near(encoder_files)),
    "heatmap network": Reader("network.onnx", read_heatmap_network, near(onnx_files)),
    "picture, time code": Reader("code.png", read_picture_file, near(pictures) | painted_codes()),
    "pose archive": Reader("pose.npz", pose_archive, archives(lambda: {"joints": numbers(3, 15, 3)})),
    "clip's poses": Reader("clip.npz", read_clip, archives(lambda: {"joints": numbers(9, 15, 3)})),
    "distances": Reader(
        "run.jsonl",
        by_name("calibration.score_width", "read_distances"),
        st.deferred(lambda: json_lines(*recorded_rows())),
    ),
    "Penn Action": Reader("penn.npz", by_name(f"{DATASETS}.penn", "read_penn"), archives(penn_arrays)),
    "MPII CSV": Reader("mpii.csv", by_name(f"{DATASETS}.mpii", "read_mpii_csv"), near(lambda: [mpii_csv()])),
    "MPII JSON": Reader(
        "valid.json", by_name(f"{DATASETS}.mpii", "read_mpii_json"), documents(lambda: [[mpii_person(), mpii_person()]])
    ),
    "COCO": Reader("coco.json", by_name(f"{DATASETS}.coco", "read_coco"), documents(lambda: [coco_document()])),
    "SPEED21": Reader(
        "speed.npz",
        by_name(f"{DATASETS}.outcomes", "read_speed21"),
        archives(
            lambda: {
                "xy": numbers(36, 16, 2), "offsets": np.array([0, 18, 36]), "time_seconds": numbers(2),
                "climber": np.array([0, 1]),
            }
        ),
    ),
    "ski jumps": Reader(
        "ski.npz",
        by_name(f"{DATASETS}.outcomes", "read_ski_jumps"),
        archives(lambda: {"xy": numbers(3, 16, 15, 2), "style_marks": numbers(3)}),
    ),
    "dives": Reader("dives.bin", read_dives, st.deferred(lambda: changed_document(dive_files()).map(dives_pickled))),
    "pickle": Reader("annotations.pkl", read_pickle, near(pickles)),
}  # fmt: skip
