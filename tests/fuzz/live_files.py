"""What the live loop and its programs read: targets, routines, sessions, settings, words, pictures."""

import argparse
import contextlib
import functools
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

from tests.fuzz import mutations
from tests.fuzz.mutations import changed_bytes, changed_document, json_bytes, json_lines, near
from tests.fuzz.reader import Reader, RefusedError, documents


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


def toml_files() -> st.SearchStrategy[bytes]:
    return changed_document(SETTINGS).map(toml_bytes) | changed_bytes(toml_bytes(SETTINGS))


def word_lines() -> st.SearchStrategy[bytes]:
    word = st.sampled_from(WORDS + tuple(text for text in mutations.TEXTS if "\n" not in text)) | st.text(max_size=8)
    return st.lists(word, max_size=4).map(lambda lines: "\n".join(lines).encode(errors="surrogatepass"))


LIVE_READERS = {
    "target": Reader("pose.json", read_any_target, documents(lambda: [target_document()])),
    "foreign target": Reader("keypoints.json", read_any_target, documents(foreign_documents)),
    "routine": Reader("routine.json", read_any_routine, documents(lambda: [routine_document()])),
    "results, report": Reader("out.jsonl", read_session, st.deferred(lambda: json_lines(*recorded_rows()))),
    "settings": Reader("settings.toml", read_settings_file, toml_files()),
    "command line": Reader("words.txt", read_words, word_lines()),
    "picture, time code": Reader("code.png", read_picture_file, near(pictures) | painted_codes()),
}
