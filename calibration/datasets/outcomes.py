"""Sequences whose real outcome is known: speed climbing (SPEED21) and ski jumps. Knows no encoder."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.datasets.mpii import joints_from_mpii
from calibration.datasets.poseset import Floats, PoseSet, check_offsets, even_subset, load_arrays, malformed
from engines.download import file_sha256


@dataclasses.dataclass(frozen=True)
class OutcomeSet:
    """Sequences resampled to one length, and how well each went.

    Attributes:
        name: short name of the data set, for tables.
        xy: `float32 [S, F, 15, 2]`, px, F frames spread evenly over each sequence.
        outcome: `float64 [S]`, higher is better (style marks; minus the seconds of a climb).
        performer: `int64 [S]`, who did it; sequences of one performer stay in one fold.
        action: `int64 [S]`, what was performed; good and bad are relative to the same action.
        hashes: sha256 of every file read, by file name.
    """

    name: str
    xy: Floats
    outcome: npt.NDArray[np.float64]
    performer: npt.NDArray[np.int64]
    action: npt.NDArray[np.int64]
    hashes: dict[str, str]

    def pose_set(self) -> PoseSet:
        """Every frame as a pose; one label, groups are sequences, the phase runs from 0 to 1 in each."""
        sequences, frames = self.xy.shape[:2]
        return PoseSet(
            self.name,
            self.xy.reshape(-1, 15, 2),
            np.ones((sequences * frames, 15), np.bool_),
            np.zeros(sequences * frames, np.int64),
            (self.name,),
            np.repeat(np.arange(sequences), frames),
            np.tile(np.linspace(0, 1, frames, dtype=np.float32), sequences),
            self.hashes,
        )


def read_speed21(path: Path, frames: int = 16) -> OutcomeSet:
    """SPEED21: `xy` [N, 16, 2] in MPII's order, `offsets` [S + 1], `time_seconds` [S], `climber` [S].

    A frame with a joint that is missing (not finite or at 0) is left out before the sequence is resampled; a run with
    fewer than `frames` whole frames is left out.

    Raises:
        BadInputError: the file is missing or an array does not have its shape.
    """
    data = load_arrays(path, ("xy", "offsets", "time_seconds", "climber"), "SPEED21", texts=("climber",))
    xy, seconds = data["xy"].astype(np.float32), data["time_seconds"].astype(np.float64)
    if xy.ndim != 3 or xy.shape[1:] != (16, 2) or seconds.ndim != 1 or data["climber"].shape != seconds.shape:
        seen = f"xy of shape {xy.shape}, time_seconds of {seconds.shape}, climber of {data['climber'].shape}"
        raise malformed(path, seen, "xy [N, 16, 2], time_seconds [S] and climber [S]")
    if not (seconds > 0).all():
        raise malformed(path, "a time that is not above zero", "seconds above zero")
    offsets = check_offsets(path, data["offsets"], len(xy), len(seconds))
    joints, visible = joints_from_mpii(xy, np.isfinite(xy).all(2) & (xy != 0).any(2))
    whole: npt.NDArray[np.bool_] = np.all(visible, axis=1)
    kept, sequences = [], []
    for number in range(len(seconds)):
        usable = np.flatnonzero(whole[offsets[number] : offsets[number + 1]]) + offsets[number]
        if len(usable) >= frames:
            kept.append(number)
            sequences.append(joints[even_subset(usable.astype(np.int64), frames)])
    if not kept:
        raise malformed(path, f"no run with {frames} whole frames", "at least one")
    performer = np.unique(data["climber"], return_inverse=True)[1][kept].astype(np.int64)
    action, hashes = np.zeros(len(kept), np.int64), {path.name: file_sha256(path)}
    return OutcomeSet("speed21", np.stack(sequences), -seconds[kept], performer, action, hashes)


def read_ski_jumps(path: Path) -> OutcomeSet:
    """Ski jumps: `xy` [S, 16, 15, 2] px, phase-aligned, in our joints' order, and `style_marks` [S].

    Raises:
        BadInputError: the file is missing, an array does not have its shape, or a number is not finite.
    """
    data = load_arrays(path, ("xy", "style_marks"), "ski jumps")
    xy, marks = data["xy"].astype(np.float32), data["style_marks"].astype(np.float64)
    if xy.ndim != 4 or xy.shape[2:] != (15, 2) or marks.shape != xy.shape[:1]:
        raise malformed(
            path, f"xy of shape {xy.shape}, style_marks of {marks.shape}", "xy [S, F, 15, 2], style_marks [S]"
        )
    if not (np.isfinite(xy).all() and np.isfinite(marks).all()):
        raise malformed(path, "a number that is not finite", "finite px and marks")
    return OutcomeSet(
        "ski", xy, marks, np.arange(len(marks)), np.zeros(len(marks), np.int64), {path.name: file_sha256(path)}
    )
