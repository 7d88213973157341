"""From joints to a verdict: which joints are missing, how far each bone is off, what the score is. Draws nothing."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError
from engines.execution import EncodeOutput, Targets
from engines.skeleton import JOINTS, PARENT, mirror_joints
from realtime.pose import Target

Floats = npt.NDArray[np.float32]

LEAST_VISIBLE_SHARE = 0.8
"""A pose is scored when at least this share of the joints that count is visible."""

ROOT = JOINTS.index("pelvis")


def score_from_distance(distance: npt.ArrayLike, width: float) -> npt.NDArray[np.float64]:
    """Equation 6 of the paper: 100 exp(-(distance / width)^2 / 2), distance >= 0, width > 0; one or many."""
    score: npt.NDArray[np.float64] = 100 * np.exp(-0.5 * (np.asarray(distance, np.float64) / width) ** 2)
    return score


def target_rows(target: Target) -> Targets:
    """The rows that the encode engine compares with: the target, and its mirror image if that counts as well."""
    forms = [target.joints, mirror_joints(target.joints)] if target.match_mirrored else [target.joints]
    counts = [target.counts, mirrored_counts(target.counts)] if target.match_mirrored else [target.counts]
    width = np.full(len(forms), target.score_width, np.float32)
    return Targets(np.stack(forms).astype(np.float32), np.stack(counts).astype(np.float32), width)


def mirrored_counts(counts: Floats) -> Floats:
    """Which joints count in the mirror image, float32 [15]."""
    mirrored: Floats = mirror_joints(np.stack([counts, counts], -1))[:, 1]
    return mirrored


def target_as_matched(target: Target, mirrored: bool) -> Floats:
    """The target's joints float32 [15, 3], mirrored inside its own picture if its mirror image was matched."""
    if not mirrored:
        return target.joints
    joints = mirror_joints(target.joints)
    joints[:, 0] += target.image_size[0]
    return joints


def only_counted(joints: Floats, target: Target, mirrored: bool) -> Floats:
    """A copy of joints float32 [15, 3] in which those that the target ignores are unseen; `mirrored` as matched."""
    counted = joints.copy()
    counted[:, 2] *= mirrored_counts(target.counts) if mirrored else target.counts
    return counted


def stacked(targets: Sequence[Targets]) -> Targets:
    """Several targets' rows as one."""
    return Targets(
        np.concatenate([rows.joints for rows in targets]),
        np.concatenate([rows.counts for rows in targets]),
        np.concatenate([rows.width for rows in targets]),
    )


def require_masked(target: Target, encoder: str, masked: bool) -> None:
    """Refuses a target that ignores joints with an encoder that cannot leave any out."""
    if target.ignore and not masked:
        raise BadInputError(
            f"target {target.name} ignores {', '.join(target.ignore)}",
            f"the encoder {encoder} compares all 15 joints",
            "give --encoder graded, or a target that ignores none",
        )


def missing_joints(joints: Floats, counts: Floats, visible_confidence: float) -> tuple[str, ...]:
    """Names of the joints that count and are not visible in `joints` float32 [15, 3]."""
    unseen = (counts > 0) & (joints[:, 2] < visible_confidence)
    return tuple(JOINTS[index] for index in np.flatnonzero(unseen))


def enough_visible(missing: Sequence[str], counts: Floats, masked: bool) -> bool:
    """Whether a pose with these joints missing may be scored; an encoder without a mask needs every joint."""
    counted = int(counts.sum())
    share = LEAST_VISIBLE_SHARE if masked else 1.0
    return counted - len(missing) >= share * counted


def best_row(encoded: EncodeOutput, person: int) -> int:
    """The row (the target, or its mirror image) that a person comes nearest to."""
    return int(encoded.score[person].argmax())


def deviation_degrees(
    live: Floats, target: Floats, counts: Floats, visible_confidence: float
) -> dict[str, float | None]:
    """How far the bone that ends at each joint is turned from the target's, in the picture.

    Args:
        live: float32 [15, 3], px.
        target: float32 [15, 3]; already mirrored if the mirror image was matched.
        counts: float32 [15]; joints that do not count have no entry.
        visible_confidence: the least confidence of a visible joint.

    Returns:
        Joint -> degrees in (-180, 180], clockwise on the screen positive, live minus target; None where an end of the
        bone is unseen. The pelvis is the root and has none.
    """
    seen = (live[:, 2] >= visible_confidence) & (target[:, 2] >= visible_confidence)
    result: dict[str, float | None] = {}
    for joint, parent in enumerate(PARENT):
        if joint == ROOT or not counts[joint]:
            continue
        if not (seen[joint] and seen[parent]):
            result[JOINTS[joint]] = None
            continue
        ours, wanted = (pose[joint, :2] - pose[parent, :2] for pose in (live, target))
        turned = np.degrees(np.arctan2(ours[1], ours[0]) - np.arctan2(wanted[1], wanted[0]))
        # rounded before it is wrapped too: -179.999 is 180.0
        result[JOINTS[joint]] = round(180 - (180 - round(float(turned), 2)) % 360, 2)
    return result
