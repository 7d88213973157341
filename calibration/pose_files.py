"""One pose from a file: `.npz`, a target or other keypoints in `.json`, or a picture. Knows no encoder."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibration.datasets.poseset import Floats, load_arrays, malformed
from engines.errors import BadInputError, name_of
from engines.skeleton import JOINTS, MIRRORED_JOINT, mirror_joints
from realtime.executor import Chain
from realtime.frames import PICTURE_SUFFIXES, Picture, is_picture
from realtime.opening import ORDER, people_in_picture
from realtime.pose import Target, choose_person, is_target, read_target
from realtime.target_formats import read_target_json

SAVE_AGAIN = "save it with numpy.savez(FILE, joints=...), rows as in engines.skeleton.JOINTS"


@dataclasses.dataclass(frozen=True, eq=False)
class FilePose:
    """A pose and where it was seen.

    Attributes:
        name: of the file, without its ending.
        joints: `float32 [15, 3]`, x px, y px, confidence; zeros for a joint that is ignored or absent.
        picture: `uint8 [h, w, 3]` BGR that the joints lie in; None where the file was no picture.
        ignore: names of the joints that do not count.
        target: what the file is; None where it was no pose.json.
    """

    name: str
    joints: Floats
    picture: Picture | None = None
    ignore: tuple[str, ...] = ()
    target: Target | None = None

    def mirrored(self) -> "FilePose":
        """The same pose as a mirror shows it, without its picture."""
        ignore = tuple(JOINTS[MIRRORED_JOINT[JOINTS.index(name)]] for name in self.ignore)
        return dataclasses.replace(self, joints=mirror_joints(self.joints), picture=None, ignore=ignore)


def read_pose(
    path: Path,
    open_engines: Callable[[], Chain],
    ignore: tuple[str, ...] = (),
    *,
    say: Callable[[str], None] = lambda sentence: None,
) -> FilePose:
    """The pose of a file; of several people in it, the largest whole one.

    Args:
        path: `.npz` with `joints` [15, 3] or [N, 15, 3] (the first is taken), a `.json` of any form that
            `realtime.pose.read_target` knows, or a picture.
        open_engines: gives the engines that find the person; called for a picture only.
        ignore: names of joints that do not count.
        say: tells the user whom of several was taken.

    Raises:
        BadInputError: the file is missing, malformed, shows nobody, or is of a kind that cannot be read.
        EngineError: the engines are missing or not for this machine.
    """

    def named(sentence: str) -> None:
        say(f"{name_of(path)}: {sentence}")

    kind = path.suffix.lower()
    picture, target = None, None
    if is_picture(path):
        picture, people = people_in_picture(path, open_engines(), "picture")
        joints = people[choose_person(people, None, str(path), option="", ignore=ignore, order=ORDER, say=named)]
    elif kind == ".json":
        read = read_target(path, ignore=ignore, person_option="", say=named)
        joints, ignore = read.joints, read.ignore
        target = read if is_target(read_target_json(path)) else None
    elif kind == ".npz":
        poses = read_joints(path)
        if not len(poses):
            raise malformed(path, "no pose", "one at least", SAVE_AGAIN)
        if len(poses) > 1:
            named(f"took the first of {len(poses)} poses")
        joints = poses[0]
    else:
        allowed = ", ".join((".npz", ".json", *PICTURE_SUFFIXES))
        raise BadInputError(f"{path} is of kind {kind!r}", f"a pose is read from {allowed}", "give such a file")
    counts = np.array([name not in ignore for name in JOINTS], np.float32)
    return FilePose(path.stem, joints * counts[:, None], picture, ignore, target)


def read_joints(path: Path) -> Floats:
    """The poses of a `.npz`: its array `joints`, [N, 15, 3] or of one pose [15, 3].

    Returns:
        `float32 [N, 15, 3]`, x px, y px, confidence.

    Raises:
        BadInputError: the file is missing, or the array is missing, of another shape or not finite.
    """
    found = load_arrays(path, ("joints",), "poses", advice=SAVE_AGAIN)["joints"].astype(np.float32)
    joints = found[None] if found.ndim == 2 else found
    if joints.ndim != 3 or joints.shape[1:] != (len(JOINTS), 3):
        raise malformed(path, f"joints of shape {found.shape}", "joints [15, 3] or [N, 15, 3]", SAVE_AGAIN)
    if not np.isfinite(joints).all():
        raise malformed(path, "a joint that is not finite", "finite px and confidences", SAVE_AGAIN)
    return joints
