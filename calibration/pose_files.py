"""One pose from a file: `.npz` or target `.json`, or a picture once a reader for it is given. Knows no network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from calibration.datasets.poseset import Floats, load_arrays, malformed, require_file
from engines.errors import BadInputError
from engines.skeleton import JOINT_INDEX

PictureReader = Callable[[Path], Floats]
"""Finds the person in a picture: `float32 [15, 3]`, x px, y px, confidence."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def read_pose(path: Path, read_picture: PictureReader | None = None) -> Floats:
    """The pose of a file: `float32 [15, 3]`, x px, y px, confidence (0 for a joint that is ignored or absent).

    Args:
        path: `.npz` with `joints` [15, 3] or [N, 15, 3] (the first is taken), a target's `.json`, or a picture.
        read_picture: the pose pipeline, for pictures.

    Raises:
        BadInputError: the file is missing, malformed, or of a kind that cannot be read.
    """
    kind = path.suffix.lower()
    if kind == ".json":
        return _from_target(path)
    if kind == ".npz":
        joints = load_arrays(path, ("joints",), "pose")["joints"].astype(np.float32)
        pose = joints[0] if joints.ndim == 3 and len(joints) else joints
        if pose.shape != (15, 3) or not np.isfinite(pose).all():
            raise malformed(path, f"joints of shape {joints.shape}", "finite joints [15, 3] or [N, 15, 3]")
        return pose
    if kind in PICTURES and read_picture is not None:
        return read_picture(require_file(path, "picture"))
    allowed = ".npz, .json" + (", " + ", ".join(PICTURES) if read_picture else "")
    raise BadInputError(f"{path} is of kind {kind!r}", f"a pose is read from {allowed}", "give a file of such a kind")


def _from_target(path: Path) -> Floats:
    """A `posemirror-target` file; joints that it ignores or leaves out get confidence 0."""
    try:
        content: Any = json.loads(require_file(path, "target").read_text(encoding="utf-8"))
        joints, ignored = content["joints"], set(content.get("ignore", ()))
        pose = np.zeros((15, 3), np.float32)
        for name, values in joints.items():
            if name not in ignored:
                pose[JOINT_INDEX[name]] = np.asarray(values, np.float32)
    except (KeyError, TypeError, ValueError, AttributeError, UnicodeDecodeError) as error:
        seen = f"not a target ({type(error).__name__} {error})"
        raise malformed(path, seen, "joints by name, each x, y and confidence") from error
    if not np.isfinite(pose).all():
        raise malformed(path, "a joint that is not finite", "finite px and confidences")
    return pose
