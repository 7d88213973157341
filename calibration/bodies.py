"""Which boxes hold a body, or a whole one, by a pose teacher's word, to judge a detector by. Knows no detector."""

import numpy as np
import numpy.typing as npt

from calibration.crops import FloatArray, Image
from calibration.evaluate_detector import iou_table, suppressed
from calibration.evaluate_pose import Predict, decode, person_window
from calibration.scene_persons import looked_at
from engines.bodies import body_box, same_skeleton, sure_of_somebody
from engines.skeleton import VISIBLE_CONFIDENCE

SURE_KEYPOINT = 0.6
LEAST_KEYPOINTS = 8
LEAST_OVERLAP = 0.5
"""IoU of a box and the bounds of the keypoints in it."""
WHOLE_BODY = (5, 6, 11, 12, 13, 14, 15, 16)
"""Shoulders, hips, knees and ankles."""


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


def show_whole_bodies(picture: Image, boxes: FloatArray, teacher: Predict) -> npt.NDArray[np.bool_]:
    """In which of the boxes `[M, 4]` or wider the pose teacher sees shoulders, hips, knees and ankles: `bool [M]`."""
    seen = [looked_at(picture, box, teacher)[1][WHOLE_BODY, 2] >= VISIBLE_CONFIDENCE for box in boxes]
    return np.array([one.all() for one in seen], np.bool_)


def confirmed(picture: Image, boxes: FloatArray, pose: Predict) -> FloatArray:
    """Who is in a picture by the word of both networks: where, how sure, and nobody twice (`engines.bodies`).

    The live loop asks the same of newcomers (`realtime.recognition`), one row after the other, and leaves out doubtful
    boxes where somebody is known.

    Args:
        picture: `uint8 [H, W, 3]`, BGR.
        boxes: `float32 [M, 5]`, the detector's.
        pose: windows to heatmaps.

    Returns:
        `float32 [N, 5]`, the surest first.
    """
    seen = []
    for box in boxes:
        x1, y1, x2, y2 = box[:4].tolist()
        window, to_picture = person_window(picture, (x1, y1, x2 - x1, y2 - y1))
        keypoints = decode(pose(window[None]))[0]
        keypoints[:, :2] = keypoints[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        keypoints[:, 2] = keypoints[:, 2].clip(0, 1)
        seen.append((sure_of_somebody(box, keypoints), body_box(box, keypoints), keypoints))
    people: list[FloatArray] = []
    skeletons: list[FloatArray] = []
    for sure, place, keypoints in sorted(seen, key=lambda one: -one[0]):
        if sure and not any(same_skeleton(keypoints, other) for other in skeletons):
            people.append(np.array([*place, sure], np.float32))
            skeletons.append(keypoints)
    return suppressed(np.array(people, np.float32).reshape(-1, 5))
