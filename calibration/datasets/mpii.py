"""MPII Human Pose, as CSV (with activities) or as HRNet's JSON. Knows MPII's 16 joints; knows no encoder."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from calibration.datasets.poseset import Booleans, Floats, PoseSet, load_json, malformed, require_file
from engines.download import file_sha256

MPII_JOINTS = (
    "r ankle", "r knee", "r hip", "l hip", "l knee", "l ankle", "pelvis", "thorax", "upper neck", "head top", "r wrist",
    "r elbow", "r shoulder", "l shoulder", "l elbow", "l wrist",
)  # fmt: skip
"""The 16 joints in MPII's own order."""

FROM_MPII = (0, 1, 2, 6, 3, 4, 5, 10, 11, 12, 7, 13, 14, 15)
"""For each of our joints but the head, its index in MPII's order; the neck is MPII's thorax."""

HEAD_SOURCES = (8, 9)


def joints_from_mpii(xy: Floats, visible: Booleans) -> tuple[Floats, Booleans]:
    """The paper's 15 joints from MPII's 16; the head is the middle of upper neck and head top.

    Args:
        xy: `float32 [N, 16, 2]` px, in MPII's order.
        visible: `bool [N, 16]`.

    Returns:
        `float32 [N, 15, 2]` px and `bool [N, 15]`.
    """
    head = xy[:, HEAD_SOURCES].mean(1, keepdims=True)
    head_visible = visible[:, HEAD_SOURCES].all(1, keepdims=True)
    return (
        np.concatenate([xy[:, FROM_MPII], head], 1).astype(np.float32),
        np.concatenate([visible[:, FROM_MPII], head_visible], 1),
    )


def read_mpii_csv(path: Path) -> PoseSet:
    """MPII with activities: one row a person, `NAME`, `<joint>_X`, `<joint>_Y`, `Activity`; -1 marks an unseen joint.

    Labels are activities; a group is a picture.

    Raises:
        BadInputError: the file or a column is missing, or a coordinate is not a number.
    """
    columns = [f"{joint}_{axis}" for joint in MPII_JOINTS for axis in "XY"]
    try:
        with require_file(path, "MPII CSV").open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            named, rows = set(reader.fieldnames or ()), list(reader)
    except (ValueError, csv.Error) as error:
        raise malformed(path, f"not CSV ({type(error).__name__})", "UTF-8 text with a header") from error
    missing = sorted({*columns, "NAME", "Activity"} - named)
    if missing:
        raise malformed(path, f"no column {missing[0]!r}", "NAME, Activity and _X and _Y of MPII's 16 joints")
    xy = np.empty((len(rows), 16, 2), np.float32)
    for number, row in enumerate(rows):
        try:
            xy[number] = np.array([float(row[column]) for column in columns]).reshape(16, 2)
        except (TypeError, ValueError) as error:
            raise malformed(path, f"data row {number + 1}: {error}", "a number for every coordinate") from error
    return _labelled(
        "mpii", path, xy, np.any(xy != -1, axis=2), [r["Activity"] for r in rows], [r["NAME"] for r in rows]
    )


def read_mpii_json(path: Path) -> PoseSet:
    """MPII in HRNet's JSON: a list of people with `joints` 16 x 2, `joints_vis` 16 and `image`.

    There is one label, `person`: this file holds no activities. A group is a picture.

    Raises:
        BadInputError: the file is missing or not such a list.
    """
    people: Any = load_json(path, "MPII JSON", "a JSON list of people")
    if not isinstance(people, list) or not people:
        raise malformed(path, f"a {type(people).__name__}, or empty", "a list of at least one person")
    xy = np.empty((len(people), 16, 2), np.float32)
    visible = np.empty((len(people), 16), np.bool_)
    names = []
    for number, person in enumerate(people):
        try:
            xy[number] = np.asarray(person["joints"], np.float32)
            visible[number] = np.asarray(person["joints_vis"], np.float32) > 0
            names.append(str(person["image"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            seen = f"person {number}: {type(error).__name__} {error}"
            raise malformed(path, seen, "joints 16 x 2, joints_vis 16 and image") from error
    return _labelled("mpii_valid", path, xy, visible & np.all(xy > 0, axis=2), ["person"] * len(people), names)


def _labelled(name: str, path: Path, xy: Floats, visible: Booleans, labels: list[str], pictures: list[str]) -> PoseSet:
    if not np.isfinite(xy).all():
        raise malformed(path, "a coordinate that is not finite", "finite px")
    joints, joints_visible = joints_from_mpii(xy, visible)
    label_names, label = np.unique(labels, return_inverse=True)
    group = np.unique(pictures, return_inverse=True)[1]
    return PoseSet(
        name,
        joints,
        joints_visible,
        label.astype(np.int64),
        tuple(str(label_name) for label_name in label_names),
        group.astype(np.int64),
        np.zeros(len(joints), np.float32),
        {path.name: file_sha256(path)},
    )
