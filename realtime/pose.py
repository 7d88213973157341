"""Targets: the pose to match, read from a file, checked and written. Knows no network, picture, camera or score."""

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError, in_command, name_of
from engines.skeleton import JOINT_GROUPS, JOINT_INDEX, JOINTS, VISIBLE_CONFIDENCE, joints_from_keypoints
from engines.whole_files import write_whole
from realtime.file_kinds import refuse_other_kinds
from realtime.frames import VIDEO_SUFFIXES, is_picture
from realtime.json_values import fields, float_for_json, items, number, shown, size_px
from realtime.target_fields import (
    FORMAT,
    MAX_NAME,
    VERSION,
    check_fields,
    joint_names,
    joint_rows,
    title,
    unknown_joint,
)
from realtime.target_formats import READABLE, read_people, read_target_json

TARGET_SUFFIX = ".json"
PERSON_OPTION = "--target-person"
MAKE_ONE = "python -m realtime.targets make --person"
SCORE_WIDTH_RANGE = (0.001, 100)
MAX_HOLD_SECONDS = 3600


@dataclass(frozen=True, eq=False)
class Target:
    """A pose to match.

    Args:
        name: one line of text.
        image_size: width and height in px of the picture that the joints lie in.
        joints: `float32 [15, 3]`, x px, y px from the picture's top left corner, confidence 0..1; zeros where absent.
        ignore: names of the joints that do not count.
        score_width: cosine distance at which the score has fallen to 61 (the paper's equation 6).
        pass_score: a score of this and above holds the pose, 0..100.
        hold_seconds: how long to hold it.
        match_mirrored: the mirrored pose counts as well.
    """

    name: str
    image_size: tuple[int, int]
    joints: npt.NDArray[np.float32]
    ignore: tuple[str, ...] = ()
    score_width: float = 0.3
    pass_score: float = 80
    hold_seconds: float = 5
    match_mirrored: bool = False

    @property
    def counts(self) -> npt.NDArray[np.float32]:
        """`float32 [15]`, 1 where the joint counts, 0 where it is ignored."""
        return np.array([joint not in self.ignore for joint in JOINTS], np.float32)


def read_document(path: Path) -> object:
    """The JSON of a file of keypoints, told by its name from what users give in its place.

    Raises:
        BadInputError: it is a picture, a video or a results file; or see `realtime.target_formats.read_target_json`.
    """
    source, ending = name_of(path), path.suffix.lower()
    make = f"make a target of it with python -m realtime.targets make {in_command(path)}"
    if is_picture(path):
        raise BadInputError(f"{source} is a picture", "keypoints are read from JSON", f"{make} --out pose.json")
    if ending in VIDEO_SUFFIXES and path.is_file():
        raise BadInputError(f"{source} is a video", READABLE, f"{make} --at SECONDS --out pose.json")
    refuse_other_kinds(path, READABLE)
    return read_target_json(path)


def is_target(document: object) -> bool:
    """Whether parsed JSON is a pose.json of posemirror, by its format; all else is taken for other keypoints."""
    return isinstance(document, dict) and "format" in document


def ignore_words(names: Collection[str]) -> list[str]:
    """Joint names as `--ignore` takes them, in the order of `JOINTS`, after the groups that all of them make up."""
    groups = {group: members for group, members in JOINT_GROUPS.items() if set(members) <= set(names)}
    grouped = {name for members in groups.values() for name in members}
    return [*groups, *(name for name in JOINTS if name in names and name not in grouped)]


def parse_ignore(text: str) -> tuple[str, ...]:
    """Joint names from the command line's `legs,left_wrist`: groups opened, each joint once.

    Raises:
        BadInputError: a name that is neither a joint nor a group.
    """
    names: list[str] = []
    for word in (part.strip() for part in text.split(",")):
        if word not in JOINT_GROUPS and word not in JOINT_INDEX:
            raise unknown_joint("--ignore", word, (*JOINT_GROUPS, *JOINTS))
        names += JOINT_GROUPS.get(word, (word,))
    return tuple(dict.fromkeys(names))


def read_target(
    path: Path,
    *,
    ignore: Sequence[str] = (),
    person: int | None = None,
    person_option: str = PERSON_OPTION,
    visible_confidence: float = VISIBLE_CONFIDENCE,
    say: Callable[[str], None] = lambda sentence: None,
) -> Target:
    """A target from a pose.json, or from a file of OpenPose, COCO or MediaPipe keypoints.

    Args:
        path: the file; a picture (`is_picture`) is refused: to find the pose in it takes the networks.
        ignore: joint names that do not count, besides those that the file itself ignores.
        person: which of a file's persons, from 1 in the order of the file; None takes the one with most visible
            joints, the largest of those.
        person_option: what chooses a person, as errors name it; empty where nothing does.
        visible_confidence: a joint that counts must have at least this.
        say: tells the user whom of several was taken.

    Raises:
        BadInputError: the file cannot be read, is of another format, has a field that does not fit, or lacks a joint
            that counts. The message names file, field and value.
    """
    source = name_of(path)
    document = read_document(path)
    if is_target(document):
        choose_person(np.zeros((1, len(JOINTS), 3), np.float32), person, source, option=person_option)
        return target_from_object(document, source, ignore=ignore, visible_confidence=visible_confidence)
    people = read_people(document, source)
    if person is None and len({one.image for one in people}) > 1:
        raise BadInputError(
            f"{source} holds {len(people)} persons of different pictures",
            "a target is one person",
            f"choose one with {person_option or MAKE_ONE} 1 to {len(people)}",
        )
    joints = np.zeros((len(people), len(JOINTS), 3), np.float32)
    for row, one in zip(joints, people, strict=True):
        row[:] = joints_from_keypoints(one.keypoints, visible_confidence)
    index = choose_person(
        joints, person, source, option=person_option, ignore=ignore, visible_confidence=visible_confidence, say=say
    )
    size = people[index].image_size or _bounds(joints[index])
    return target_from_joints(
        joints[index], size, path.stem, source, ignore=ignore, visible_confidence=visible_confidence
    )


def choose_person(
    joints: npt.NDArray[np.float32],
    person: int | None,
    source: str,
    *,
    option: str = PERSON_OPTION,
    ignore: Collection[str] = (),
    visible_confidence: float = VISIBLE_CONFIDENCE,
    order: str = "in the file's order",
    say: Callable[[str], None] = lambda sentence: None,
) -> int:
    """Which of several persons is the target: the N-th, or the largest whole one.

    Args:
        joints: `float32 [P, 15, 3]`, x px, y px, confidence.
        person: from 1; None takes the person with most visible joints that count, of those the one whose visible
            joints have the largest bounds, of those the first.
        source: the file, as errors name it.
        option: what `person` came from, as errors name it; empty where nothing did.
        ignore: joint names that do not count.
        visible_confidence: a joint is visible at this and above.
        order: of the persons, in words.
        say: tells the user whom of several was taken.

    Returns:
        The row of `joints`.

    Raises:
        BadInputError: there is no person, or no N-th.
    """
    count = len(joints)
    if not count:
        raise BadInputError(f"{source} holds no person", "a target is a person's pose", "give another file")
    if person is not None:
        if not 1 <= person <= count:
            raise BadInputError(
                f"{option} is {person}",
                f"{source} holds {count} person{'s' * (count > 1)}",
                f"give a number from 1 to {count}, or leave the option out" if count > 1 else "leave the option out",
            )
        index = person - 1
    else:
        index = largest_whole(joints, ignore, visible_confidence)
    if count > 1:
        way = f": choose another with {option or MAKE_ONE} N" if person is None else ""
        say(f"took person {index + 1} of {count}, {order}{way}")
    return index


def largest_whole(joints: npt.NDArray[np.float32], ignore: Collection[str], visible_confidence: float) -> int:
    """The row of `joints` float32 [P, 15, 3] that `choose_person` takes where no number is given."""
    visible = (joints[..., 2] >= visible_confidence) & np.array([name not in ignore for name in JOINTS])
    low = np.where(visible[..., None], joints[..., :2], np.inf).min(1)
    high = np.where(visible[..., None], joints[..., :2], -np.inf).max(1)
    area = np.where(visible.any(1), np.prod(high.astype(np.float64) - low, axis=1), 0.0)
    return max(range(len(joints)), key=lambda row: (int(visible[row].sum()), float(area[row])))


def target_from_joints(
    joints: npt.NDArray[np.float32],
    image_size: tuple[int, int],
    name: str,
    source: str,
    *,
    ignore: Sequence[str] = (),
    visible_confidence: float = VISIBLE_CONFIDENCE,
) -> Target:
    """A target from joints that a network or another program found: those outside the picture count as not seen.

    A confidence above 1, as heatmap peaks can have, becomes 1.

    Args:
        joints: `float32 [15, 3]`, x px, y px, confidence.
        image_size: width and height in px of the picture they lie in.
        name: what cannot be printed is replaced, what is too long is cut.
        source: the file or camera, as errors name it.
        ignore: joint names that do not count.
        visible_confidence: a joint that counts must have at least this.

    Raises:
        BadInputError: a joint that counts is missing, or none counts.
    """
    inside = ((joints[:, :2] >= 0) & (joints[:, :2] <= image_size)).all(1) & (joints[:, 2] > 0)
    kept = np.where(inside[:, None], joints, np.float32(0)).astype(np.float32)
    kept[:, 2] = np.minimum(kept[:, 2], 1)
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)[:MAX_NAME].strip() or "target"
    target = Target(printable, image_size, kept, joint_names(ignore, "ignore"))
    _require_whole(target, source, visible_confidence)
    return target


def target_from_object(
    document: object,
    source: str,
    *,
    ignore: Sequence[str] = (),
    visible_confidence: float = VISIBLE_CONFIDENCE,
) -> Target:
    """A target from the JSON object of a pose.json, or of a results file's session row less its `width`.

    Args:
        document: the parsed JSON.
        source: the file, as errors name it.
        ignore: joint names that do not count, besides the object's own.
        visible_confidence: a joint that counts must have at least this.

    Raises:
        BadInputError: a field is missing, unknown, or does not fit; a joint that counts is missing.
    """
    entry = fields(document, source)
    check_fields(entry, source)
    size = size_px(entry["image_size"], f"{source}: image_size")
    names = joint_names(items(entry.get("ignore", []), f"{source}: ignore"), f"{source}: ignore")
    mirrored = entry.get("match_mirrored", False)
    if not isinstance(mirrored, bool):
        raise BadInputError(f"{source}: match_mirrored is {shown(mirrored)}", "it is true or false", "correct it")
    target = Target(
        name=title(entry["name"], f"{source}: name"),
        image_size=size,
        joints=joint_rows(entry["joints"], f"{source}: joints", size),
        ignore=tuple(dict.fromkeys((*names, *joint_names(ignore, "ignore")))),
        score_width=number(entry.get("score_width", Target.score_width), f"{source}: score_width", *SCORE_WIDTH_RANGE),
        pass_score=number(entry.get("pass_score", Target.pass_score), f"{source}: pass_score", 0, 100),
        hold_seconds=number(
            entry.get("hold_seconds", Target.hold_seconds), f"{source}: hold_seconds", 0, MAX_HOLD_SECONDS
        ),
        match_mirrored=mirrored,
    )
    _require_whole(target, source, visible_confidence)
    return target


def target_object(target: Target) -> dict[str, object]:
    """The JSON object of a target; reading it back gives the same float32 to the bit."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": target.name,
        "image_size": list(target.image_size),
        "joints": {
            joint: [float_for_json(value) for value in row]
            for joint, row in zip(JOINTS, target.joints, strict=True)
            if row.view(np.uint32).any()
        },
        "ignore": list(target.ignore),
        "score_width": target.score_width,
        "pass_score": target.pass_score,
        "hold_seconds": target.hold_seconds,
        "match_mirrored": target.match_mirrored,
    }


def write_target(target: Target, path: Path) -> None:
    """Writes a pose.json, whole or not at all.

    Raises:
        BadInputError: the file cannot be written.
    """
    write_whole(path, json.dumps(target_object(target), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _bounds(joints: npt.NDArray[np.float32]) -> tuple[int, int]:
    """A picture size that holds every joint with a confidence, for files that do not tell it."""
    corner = np.where(joints[:, 2:] > 0, joints[:, :2], 1).max(0)
    return max(1, math.ceil(corner[0])), max(1, math.ceil(corner[1]))


def _require_whole(target: Target, source: str, visible_confidence: float) -> None:
    """Refuses a target that lacks a joint that counts, in which none counts, or whose joints are all one point."""
    counting = [index for index, count in enumerate(target.counts) if count]
    if not counting:
        raise BadInputError(f"{source} ignores every joint", "some joints must count", "ignore fewer of them")
    missing = [JOINTS[index] for index in counting if not target.joints[index, 2] >= visible_confidence]
    if missing:
        raise BadInputError(
            f"{source} lacks {', '.join(missing)}",
            f"every joint that counts must be in the picture, with a confidence of at least {visible_confidence:g}",
            f"give another pose, or leave them out with --ignore {','.join(ignore_words({*target.ignore, *missing}))}",
        )
    if not np.ptp(target.joints[counting, :2], axis=0).any():
        raise BadInputError(f"{source} has all joints at one point", "a pose has an extent", "give another pose")
