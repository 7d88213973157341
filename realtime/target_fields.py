"""The fields of a pose.json, each checked; what is wrong is named. Knows no file and no picture."""

import difflib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError
from engines.skeleton import JOINT_INDEX, JOINTS
from realtime.json_values import fields, items, number, shown

FORMAT = "posemirror-target"
VERSION = 1
REQUIRED_FIELDS = ("format", "version", "name", "image_size", "joints")
OPTIONAL_FIELDS = ("ignore", "score_width", "pass_score", "hold_seconds", "match_mirrored")
MAX_NAME = 120


def check_fields(entry: dict[str, object], source: str) -> None:
    """Format, version, no field missing, none unknown."""
    if entry.get("format") != FORMAT:
        routine = entry.get("format") == "posemirror-routine"
        raise BadInputError(
            f"{source}: format is {shown(entry.get('format'))}",
            f'a target has "{FORMAT}"',
            "give it with run_live.py --routine FILE" if routine else "give another file, or correct that value",
        )
    version = entry.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise BadInputError(
            f"{source}: version is {shown(version)}",
            f"this posemirror reads version {VERSION}",
            "write the target again with run_live.py --capture-target",
        )
    missing = [key for key in REQUIRED_FIELDS if key not in entry]
    known = REQUIRED_FIELDS + OPTIONAL_FIELDS
    unknown = [key for key in entry if key not in known]
    if missing:
        raise BadInputError(
            f"{source} lacks {', '.join(missing)}",
            f"a target needs {', '.join(REQUIRED_FIELDS)}",
            "add what is missing",
        )
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise BadInputError(
            f"{source} has the unknown field {shown(unknown[0])}",
            f"a target has {', '.join(known)}",
            f"rename it to {close[0]}" if close else "take it out",
        )


def title(value: object, where: str) -> str:
    """A target's name: one printable line."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise BadInputError(
            f"{where} is {shown(value)}", f"it must be one line of 1 to {MAX_NAME} letters", "correct that value"
        )
    return value


def joint_names(names: Sequence[object], where: str) -> tuple[str, ...]:
    """Names of joints, each once."""
    for name in names:
        if name not in JOINTS:
            raise unknown_joint(where, name, JOINTS)
    return tuple(dict.fromkeys(str(name) for name in names))


def unknown_joint(where: str, name: object, allowed: Sequence[str]) -> BadInputError:
    """The error for a name that is no joint, with the nearest one that is."""
    close = difflib.get_close_matches(str(name), allowed, n=1)
    return BadInputError(
        f"{where} names {shown(name)}, which is no joint",
        f"the names are {', '.join(allowed)}",
        f"give {close[0]}" if close else "give one of them",
    )


def joint_rows(value: object, where: str, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Joints float32 [15, 3] from name -> [x px, y px, confidence], each inside a picture of `size`."""
    joints = np.zeros((len(JOINTS), 3), np.float32)
    for name, point in fields(value, where).items():
        if name not in JOINT_INDEX:
            raise unknown_joint(where, name, JOINTS)
        triple = items(point, f"{where}.{name}", 3)
        for axis, (label, high) in enumerate((("x", size[0]), ("y", size[1]), ("confidence", 1))):
            joints[JOINT_INDEX[name], axis] = number(triple[axis], f"{where}.{name} {label}", 0, high)
    return joints
