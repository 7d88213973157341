"""One pose from a file: `.npz`, a target or other keypoints in `.json`, or a picture. Knows no encoder."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibration.datasets.poseset import Floats, load_arrays, malformed
from engines.errors import BadInputError
from engines.skeleton import JOINTS
from realtime.executor import Chain
from realtime.frames import PICTURE_SUFFIXES, Picture, is_picture
from realtime.opening import people_in_picture
from realtime.pose import choose_person, read_target


@dataclasses.dataclass(frozen=True, eq=False)
class FilePose:
    """A pose and where it was seen.

    Attributes:
        joints: `float32 [15, 3]`, x px, y px, confidence; zeros for a joint that is ignored or absent.
        picture: `uint8 [h, w, 3]` BGR that the joints lie in; None where the file was no picture.
        ignore: names of the joints that do not count.
    """

    joints: Floats
    picture: Picture | None = None
    ignore: tuple[str, ...] = ()


def read_pose(path: Path, open_engines: Callable[[], Chain], ignore: tuple[str, ...] = ()) -> FilePose:
    """The pose of a file; of several people in a picture, the largest whole one.

    Args:
        path: `.npz` with `joints` [15, 3] or [N, 15, 3] (the first is taken), a `.json` of any form that
            `realtime.pose.read_target` knows, or a picture.
        open_engines: gives the engines that find the person; called for a picture only.
        ignore: names of joints that do not count.

    Raises:
        BadInputError: the file is missing, malformed, shows nobody, or is of a kind that cannot be read.
        EngineError: the engines are missing or not for this machine.
    """
    kind = path.suffix.lower()
    picture = None
    if is_picture(path):
        picture, people = people_in_picture(path, open_engines(), "picture")
        joints = people[choose_person(people, None, str(path), ignore=ignore)]
    elif kind == ".json":
        target = read_target(path, ignore=ignore, person_option="")
        joints, ignore = target.joints, target.ignore
    elif kind == ".npz":
        found = load_arrays(path, ("joints",), "pose")["joints"].astype(np.float32)
        joints = found[0] if found.ndim == 3 and len(found) else found
        if joints.shape != (len(JOINTS), 3) or not np.isfinite(joints).all():
            raise malformed(path, f"joints of shape {found.shape}", "finite joints [15, 3] or [N, 15, 3]")
    else:
        allowed = ", ".join((".npz", ".json", *PICTURE_SUFFIXES))
        raise BadInputError(f"{path} is of kind {kind!r}", f"a pose is read from {allowed}", "give such a file")
    counts = np.array([name not in ignore for name in JOINTS], np.float32)
    return FilePose(joints * counts[:, None], picture, ignore)
