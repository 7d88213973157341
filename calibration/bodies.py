"""Which boxes hold a body, by a pose teacher's word: it judges the false persons of a detector. Knows no detector."""

import numpy as np
import numpy.typing as npt

from calibration.crops import FloatArray, Image
from calibration.evaluate_detector import iou_table
from calibration.evaluate_pose import Predict
from calibration.scene_persons import looked_at

SURE_KEYPOINT = 0.6
LEAST_KEYPOINTS = 8
LEAST_OVERLAP = 0.5
"""IoU of a box and the bounds of the keypoints in it."""


def holds_body(picture: Image, box: FloatArray, teacher: Predict) -> bool:
    """Whether the pose teacher is sure of eight keypoints whose bounds overlap the box by half.

    Args:
        picture: `uint8 [H, W, 3]`, BGR.
        box: `float32 [4]` or more: x1, y1, x2, y2, px.
        teacher: windows to heatmaps.
    """
    _, found, affine = looked_at(picture, box, teacher)
    sure = found[found[:, 2] >= SURE_KEYPOINT, :2]
    if len(sure) < LEAST_KEYPOINTS:
        return False
    places = (sure - affine[:, 2]) / affine[0, 0]
    bounds = np.concatenate([places.min(0), places.max(0)]).astype(np.float32)
    return bool(iou_table(bounds[None], box[None, :4])[0, 0] >= LEAST_OVERLAP)


def hold_bodies(picture: Image, boxes: FloatArray, teacher: Predict) -> npt.NDArray[np.bool_]:
    """`holds_body` of each of the boxes `[M, 4]` or wider: `bool [M]`."""
    return np.array([holds_body(picture, box, teacher) for box in boxes], np.bool_)
