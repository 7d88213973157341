"""Penn Action's official training sequences, as one `.npz`. Knows Penn's 13 joints; knows no encoder."""

from pathlib import Path

import numpy as np

from calibration.datasets.poseset import Booleans, Floats, PoseSet, check_offsets, load_arrays, malformed
from engines.download import file_sha256

PENN_JOINTS = (
    "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

FROM_PENN = ((12,), (10,), (8,), (7, 8), (7,), (9,), (11,), (6,), (4,), (2,), (1, 2), (1,), (3,), (5,), (0,))
"""For each of our joints the Penn joints it is the mean of."""


def joints_from_penn(xy: Floats, visible: Booleans) -> tuple[Floats, Booleans]:
    """The paper's 15 joints from Penn's 13; pelvis and neck are midpoints.

    Args:
        xy: `float32 [N, 13, 2]` px.
        visible: `bool [N, 13]`.

    Returns:
        `float32 [N, 15, 2]` px and `bool [N, 15]`.
    """
    joints = np.stack([xy[:, list(sources)].mean(1) for sources in FROM_PENN], 1)
    return joints.astype(np.float32), np.stack([visible[:, list(sources)].all(1) for sources in FROM_PENN], 1)


def read_penn(path: Path) -> PoseSet:
    """Penn Action: `xy` [N, 13, 2] px, `visible` [N, 13], `offsets` [S + 1], `action` [S], `actions`.

    Labels are actions; a group is a sequence; the phase runs from 0 to 1 in each. A joint within 1 px of the picture's
    corner or beyond counts as not annotated.

    Raises:
        BadInputError: the file is missing or an array does not have its shape.
    """
    data = load_arrays(path, ("xy", "visible", "offsets", "action", "actions"), "Penn Action", texts=("actions",))
    xy, visible = data["xy"].astype(np.float32), data["visible"].astype(np.bool_)
    if xy.ndim != 3 or xy.shape[1:] != (13, 2) or visible.shape != xy.shape[:2]:
        raise malformed(path, f"xy of shape {xy.shape}, visible of {visible.shape}", "xy [N, 13, 2], visible [N, 13]")
    if not np.isfinite(xy).all():
        raise malformed(path, "a coordinate that is not finite", "finite px")
    with np.errstate(invalid="ignore"):
        action = data["action"].astype(np.int64)
    names = tuple(str(name) for name in data["actions"].ravel())
    if action.ndim != 1 or (len(action) and not 0 <= action.min() <= action.max() < len(names)):
        raise malformed(path, f"an action outside 0..{len(names) - 1}", "an index into actions for every sequence")
    offsets = check_offsets(path, data["offsets"], len(xy), len(action))
    lengths = np.diff(offsets)
    group = np.repeat(np.arange(len(action)), lengths)
    frame = np.arange(len(xy)) - np.repeat(offsets[:-1], lengths)
    phase = frame / np.maximum(np.repeat(lengths, lengths) - 1, 1)
    joints, joints_visible = joints_from_penn(xy, visible & (xy > 1).all(2))
    hashes = {path.name: file_sha256(path)}
    return PoseSet("penn", joints, joints_visible, action[group], names, group, phase.astype(np.float32), hashes)
