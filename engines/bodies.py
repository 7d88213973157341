"""What a detector's box and a pose network's keypoints in it say together: whether somebody is there, where, and who
twice. Knows no network and no frames.
"""

import numpy as np
import numpy.typing as npt

from engines.geometry import iou
from engines.skeleton import VISIBLE_CONFIDENCE, sure_of_body

Floats = npt.NDArray[np.float32]

LEAST_CONFIDENCE = 0.25
"""Of a detector's box while somebody is followed. See the false persons an image in docs/compact_models.md."""
NEWCOMERS_SHARE = 0.32
"""Of the least confidence, that is enough while nobody is followed: a doubtful box disturbs nobody then, and the pose
network has its say about newcomers (`realtime.recognition.LEAST_NEWCOMER`)."""
BESIDE_SHARE = 0.6
"""Of the least confidence, that the host wants of a box beside somebody (`realtime.recognition.LEAST_BESIDE`)."""
FRAMED_PART = 0.5
"""Of the least confidence of a visible keypoint: from there on it counts for where a body is, and where to look next.
Arms that were unsure for one frame would else lie outside the next window, and stay unseen."""
LEAST_FRAMED = 4
"""Such keypoints, from which on their bounds say something of a body."""
MARGINS = (0.08, 0.12, 0.08)
"""How far a body reaches beyond its keypoints: to either side, above and below, in parts of the longer side of their
bounds. Near the medians for the boxes that a detector gives of people (0.07, 0.10, 0.12)."""
FRAMED_SHARE = 0.25
"""How much the keypoints' box says of where a body is; the rest is the detector's word."""
SAME_SKELETON = 0.5
"""The keypoint similarity of two skeletons from which on they are of one body, found twice."""
COCO_SIGMAS = np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
     0.089], np.float32
)  # fmt: skip
"""COCO's sigmas of the 17 keypoints: how far apart, in parts of the root of a person's area, two people label one."""
BODY_AREA_SHARE = 0.53
"""The share of its bounding box that COCO's evaluation gives a person without a mask."""


def box_of_keypoints(keypoints: Floats, visible_confidence: float = VISIBLE_CONFIDENCE) -> Floats | None:
    """The box `float32 [4]` of a body whose keypoints are `float32 [17, 3]`; None where fewer than four are there."""
    framed = keypoints[keypoints[:, 2] >= FRAMED_PART * visible_confidence, :2]
    if len(framed) < LEAST_FRAMED:
        return None
    low, high = framed.min(0), framed.max(0)
    side, above, below = (margin * float((high - low).max()) for margin in MARGINS)
    return np.array([low[0] - side, low[1] - above, high[0] + side, high[1] + below], np.float32)


def body_box(box: Floats, keypoints: Floats, visible_confidence: float = VISIBLE_CONFIDENCE) -> Floats:
    """Where a body is by the word of both networks: a quarter of the way from the box to that of its keypoints.

    A detector often gives of somebody who sits with the legs spread, or bends, the trunk alone.

    Args:
        box: `float32 [4+]`, the detector's.
        keypoints: `float32 [17, 3]`, found in it.
        visible_confidence: the least of a visible keypoint.

    Returns:
        `float32 [4]`.
    """
    framed = box_of_keypoints(keypoints, visible_confidence)
    return box[:4].copy() if framed is None else np.asarray(box[:4] + FRAMED_SHARE * (framed - box[:4]), np.float32)


def sure_of_somebody(box: Floats, keypoints: Floats, visible_confidence: float = VISIBLE_CONFIDENCE) -> float:
    """How sure both networks are that a body is in a box, 0..1.

    `sure_of_body`, times the cube root of the detector's confidence, times the root of how much the box and that
    of the keypoints overlap: where they differ it holds a part of somebody, or two. See docs/compact_models.md.

    Args:
        box: `float32 [5]`, the detector's; confidence 0 where it did not find it, and the pose network alone is asked.
        keypoints: `float32 [17, 3]` in it.
        visible_confidence: the least of a visible keypoint.
    """
    body, framed = sure_of_body(keypoints[:, 2], visible_confidence), box_of_keypoints(keypoints, visible_confidence)
    if framed is None or not box[4]:
        return body  # 0 where nothing is framed
    return float(body * box[4] ** (1 / 3) * iou(box, framed) ** 0.5)


def same_skeleton(first: Floats, second: Floats, visible_confidence: float = VISIBLE_CONFIDENCE) -> bool:
    """Whether two skeletons `float32 [17, 3]` are of one body: COCO's keypoint similarity, for the smaller of both.

    Each keypoint counts as much as the less sure of the two; a skeleton without a box (`box_of_keypoints`) is nobody's.
    """
    boxes = [box_of_keypoints(keypoints, visible_confidence) for keypoints in (first, second)]
    areas = [float(np.prod(box[2:] - box[:2])) for box in boxes if box is not None]
    weights = np.minimum(first[:, 2], second[:, 2])
    if len(areas) < 2 or not weights.any():
        return False
    apart = ((first[:, :2] - second[:, :2]) ** 2).sum(1)
    alike = np.exp(-apart / (2 * max(BODY_AREA_SHARE * min(areas), 1.0) * (2 * COCO_SIGMAS) ** 2))
    return float((alike * weights).sum()) >= SAME_SKELETON * float(weights.sum())
