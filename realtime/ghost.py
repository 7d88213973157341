"""The target in the user's own size and place. Knows no picture, score or word.

A limb that points at the camera looks short, so the user's limb lengths are those seen over the last seconds, not those
of one frame.
"""

import numpy as np
import numpy.typing as npt

from engines.skeleton import MIRRORED_JOINT, PARENT

Floats = npt.NDArray[np.float32]

PELVIS, NECK = 3, 10
OUTWARD = (3, 2, 4, 10, 1, 5, 9, 11, 14, 0, 6, 8, 12, 7, 13)
"""Joints in an order in which each comes after its parent."""

RISE_SECONDS, FALL_SECONDS = 0.3, 6.0
LEAST_SHARE, MOST_SHARE = 0.75, 1.33
"""How far the user's limb may differ from the target's, its size once fitted."""

SCALE_QUANTILE = 0.3
"""A limb of the target that points at the camera asks for too large a scale; so a low quantile is taken."""


def bone_lengths(joints: Floats, visible_confidence: float) -> Floats:
    """Length float32 [15] in px of the bone that ends at each joint; NaN where an end is unseen, and for the pelvis."""
    seen = joints[:, 2] >= visible_confidence
    parents = list(PARENT)
    lengths: Floats = np.hypot(*(joints[:, :2] - joints[parents, :2]).T).astype(np.float32)
    lengths[~(seen & seen[parents])] = np.nan
    lengths[PELVIS] = np.nan
    return lengths


class Proportions:
    """The user's limb lengths in px as seen lately: they grow fast and shrink slowly."""

    def __init__(self) -> None:
        self._lengths: Floats = np.full(15, np.nan, np.float32)
        self._seconds: float | None = None

    def update(self, joints: Floats, seconds: float, visible_confidence: float) -> Floats:
        """Takes one frame's joints float32 [15, 3]; gives lengths float32 [15], NaN where never seen.

        Both sides of a body are as long: each side gets the longer of the two.
        """
        passed = 0.0 if self._seconds is None else min(max(seconds - self._seconds, 0.0), 1.0)
        self._seconds = seconds
        now = bone_lengths(joints, visible_confidence)
        old = np.where(np.isnan(self._lengths), now, self._lengths)
        time = np.where(now > old, RISE_SECONDS, FALL_SECONDS)
        moved = old + (now - old) * (1 - np.exp(-passed / time))
        self._lengths = np.where(np.isnan(now), old, moved).astype(np.float32)
        both: Floats = np.fmax(self._lengths, self._lengths[list(MIRRORED_JOINT)])
        return both


def fit_ghost(target: Floats, live: Floats, lengths: Floats, visible_confidence: float) -> Floats | None:
    """The target with the user's limb lengths, at the user's place.

    Args:
        target: float32 [15, 3], as matched (mirrored if its mirror image was).
        live: float32 [15, 3], px of the frame.
        lengths: float32 [15] px, the user's limbs (`Proportions`).
        visible_confidence: the least confidence of a visible joint.

    Returns:
        float32 [15, 3] px of the frame, with the target's confidences; None where nothing can be fitted.
    """
    wanted = bone_lengths(target, visible_confidence)
    ratios = lengths / np.where(wanted > 1e-3, wanted, np.nan)
    known = ratios[np.isfinite(ratios)]
    shared = np.flatnonzero((target[:, 2] >= visible_confidence) & (live[:, 2] >= visible_confidence))
    if not len(known) or not len(shared):
        return None
    scale = float(np.quantile(known, SCALE_QUANTILE))
    scaled = np.nan_to_num(np.hypot(*(target[:, :2] - target[list(PARENT), :2]).T) * scale)
    fitted = np.where(np.isnan(lengths), scaled, np.clip(lengths, LEAST_SHARE * scaled, MOST_SHARE * scaled))
    ghost = np.zeros_like(target)
    ghost[:, 2] = target[:, 2]
    for joint in OUTWARD[1:]:
        parent = PARENT[joint]
        bone = target[joint, :2] - target[parent, :2]
        size = max(float(np.hypot(*bone)), 1e-6)
        ghost[joint, :2] = ghost[parent, :2] + bone / size * fitted[joint]
    anchors = [joint for joint in (PELVIS, NECK) if joint in shared][:1] or list(shared)
    ghost[:, :2] += (live[anchors, :2] - ghost[anchors, :2]).mean(0)
    return ghost
