"""The skeleton: names, bones and mirror order of COCO's 17 keypoints and the paper's 15 joints. Knows no network."""

import numpy as np
import numpy.typing as npt

KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""COCO's 17 keypoints, in COCO order."""

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "pelvis", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "neck", "left_shoulder", "left_elbow", "left_wrist", "head",
)  # fmt: skip
"""The 15 joints of GCN-PSN, in the paper's order."""

JOINT_INDEX = {name: index for index, name in enumerate(JOINTS)}

BONES = (
    (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (7, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13), (10, 14),
    (3, 10),
)  # fmt: skip
"""The 14 undirected bones of GCN-PSN, as pairs of joint indices."""

PARENT = (1, 2, 3, 3, 3, 4, 5, 8, 9, 10, 3, 10, 11, 12, 10)
"""For each joint the next one toward the pelvis, which is its own parent."""

BONE_ENDS = tuple(first if PARENT[first] == second else second for first, second in BONES)
"""For each bone the joint that it ends at: the one farther from the pelvis."""

MIRRORED_JOINT = (6, 5, 4, 3, 2, 1, 0, 13, 12, 11, 10, 9, 8, 7, 14)
"""For each joint the one on the other side of the body."""

MIRRORED_KEYPOINT = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)

LEAST_KEYPOINTS = 5
"""Visible ones, from which on there is a body."""
SUREST_KEYPOINTS = 8

FACE_KEYPOINTS = (0, 1, 2, 3, 4)

JOINT_SOURCES: tuple[tuple[int, ...], ...] = (
    (16,), (14,), (12,), (11, 12), (11,), (13,), (15,), (10,), (8,), (6,), (5, 6), (5,), (7,), (9,), FACE_KEYPOINTS,
)  # fmt: skip
"""For each joint the COCO keypoints it is the mean of; the head takes only the visible ones."""

JOINT_GROUPS = {
    "legs": ("right_ankle", "right_knee", "left_knee", "left_ankle"),
}
"""Names that stand for several joints on the command line (`--ignore legs`)."""

VISIBLE_CONFIDENCE = 0.3
"""A joint is visible at this confidence and above, unless a pose network's manifest says otherwise."""


def joints_from_keypoints(
    keypoints: npt.NDArray[np.float32], visible_confidence: float = VISIBLE_CONFIDENCE
) -> npt.NDArray[np.float32]:
    """The paper's 15 joints from COCO's 17 keypoints.

    Pelvis and neck are midpoints; the head is the mean of the visible face points. A derived joint's confidence is the
    lowest of those it comes from; a head with no visible face point is all zeros.

    Args:
        keypoints: `float32 [..., 17, 3]`, x px, y px, confidence.
        visible_confidence: face points below this are left out of the head.

    Returns:
        `float32 [..., 15, 3]`, x px, y px, confidence, in the frame of reference of the keypoints.
    """
    joints = np.empty((*keypoints.shape[:-2], len(JOINTS), 3), np.float32)
    for index, sources in enumerate(JOINT_SOURCES[:-1]):
        points = keypoints[..., list(sources), :]
        joints[..., index, :2] = points[..., :2].mean(-2)
        joints[..., index, 2] = points[..., 2].min(-1)
    face = keypoints[..., list(FACE_KEYPOINTS), :]
    visible = face[..., 2] >= visible_confidence
    count = visible.sum(-1)
    joints[..., -1, :2] = (face[..., :2] * visible[..., None]).sum(-2) / np.maximum(count, 1)[..., None]
    lowest = np.where(visible, face[..., 2], np.inf).min(-1)
    joints[..., -1, 2] = np.where(count > 0, lowest, 0.0)
    return joints


def mirror_joints(joints: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The pose seen in a mirror: left and right swapped, x negated.

    Args:
        joints: `float32 [..., 15, 2 or 3]`, x, y and (optionally) confidence.

    Returns:
        A new array of the same shape.
    """
    mirrored = joints[..., list(MIRRORED_JOINT), :].copy()
    mirrored[..., 0] *= -1
    return mirrored


def sure_of_body(confidences: npt.NDArray[np.float32], visible_confidence: float) -> float:
    """How sure a pose network is that there is a body, 0..1: the mean of its eight surest keypoints.

    Args:
        confidences: `float32 [17]`, 0..1.
        visible_confidence: where fewer than five have it, there is none.
    """
    seen = int((confidences >= visible_confidence).sum()) >= LEAST_KEYPOINTS
    return float(np.sort(confidences)[-SUREST_KEYPOINTS:].mean()) if seen else 0.0
