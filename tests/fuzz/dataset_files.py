"""What calibration reads: poses and the annotations of data sets."""

import contextlib
import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.calibration.annotations import numbers, penn_arrays, write_mpii_csv
from tests.fuzz.live_files import recorded_rows
from tests.fuzz.mutations import changed_document, json_lines, near
from tests.fuzz.reader import MARK, Reader, archives, by_name, documents, pickles


def pose_archive(path: Path) -> object:
    from calibration.pose_files import read_pose

    def no_engines() -> Any:
        raise AssertionError("no picture, no engines")

    return read_pose(path, no_engines)


def read_clip(path: Path) -> object:
    from calibration.datasets.clip_poses import read_clip_poses

    return read_clip_poses(path, 4)


def mpii_person() -> dict[str, Any]:
    return {"joints": numbers(16, 2).tolist(), "joints_vis": [1] * 16, "image": "a.jpg"}


def coco_document() -> dict[str, Any]:
    one = {"id": 1, "image_id": 5, "num_keypoints": 17, "keypoints": numbers(51).tolist()}
    return {"images": [], "annotations": [one, one | {"image_id": 6}]}


def mpii_csv() -> bytes:
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


DATASETS = "calibration.datasets"
DATASET_READERS = {
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
