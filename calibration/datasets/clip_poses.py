"""Joins judged clips with the pose sequences that calibration.extract made of their videos. Knows no encoder."""

from pathlib import Path

import numpy as np

from calibration.datasets.action_quality import Clip, ClipSet
from calibration.datasets.outcomes import OutcomeSet
from calibration.datasets.poseset import Floats, even_subset, load_arrays, malformed
from engines.errors import BadInputError
from engines.skeleton import VISIBLE_CONFIDENCE

MAKE_AGAIN = "make it again with python -m calibration.extract"


def read_clip_poses(path: Path, frames: int) -> Floats | None:
    """One clip's poses resampled to `frames`: `float32 [frames, 15, 2]` px; None where too few frames show a person.

    The file holds `joints` float32 [F, 15, 3] (x px, y px, confidence), zeros in a frame without a person. Frames with
    fewer than 12 visible joints (80 %) are left out before resampling.

    Raises:
        BadInputError: the file is missing or has no such array.
    """
    joints = load_arrays(path, ("joints",), "poses of a clip", advice=MAKE_AGAIN)["joints"].astype(np.float32)
    if joints.ndim != 3 or joints.shape[1:] != (15, 3) or not np.isfinite(joints).all():
        raise malformed(path, f"joints of shape {joints.shape}", "finite joints [F, 15, 3]", MAKE_AGAIN)
    usable = np.flatnonzero((joints[..., 2] >= VISIBLE_CONFIDENCE).sum(1) >= 12)
    if len(usable) < frames // 2:
        return None
    chosen = usable[np.linspace(0, len(usable) - 1, frames).round().astype(np.int64)]
    return joints[even_subset(chosen, frames), :, :2]


def join_clips(clips: ClipSet, poses: Path, frames: int = 16) -> tuple[OutcomeSet, tuple[Clip, ...]]:
    """All clips whose poses lie in the folder as `VIDEO/NUMBER.npz`, as performances in the official split's order.

    Raises:
        BadInputError: no clip has poses, or one of the files is malformed.
    """
    kept, sequences = [], []
    for clip in clips.clips:
        path = poses / f"{clip.name}.npz"
        sequence = read_clip_poses(path, frames) if path.is_file() else None
        if sequence is not None:
            kept.append(clip)
            sequences.append(sequence)
    if not kept:
        raise BadInputError(
            f"no poses of {clips.name} in {poses}",
            f"one file VIDEO/NUMBER.npz for each clip, such as {clips.clips[0].name}.npz",
            "make them with python -m calibration.extract",
        )
    action = np.unique([clip.action for clip in kept], return_inverse=True)[1].astype(np.int64)
    score = np.array([clip.score for clip in kept])
    return OutcomeSet(clips.name, np.stack(sequences), score, np.arange(len(kept)), action, clips.hashes), tuple(kept)
