"""From keypoints to the paper's joints and to the next frame's boxes."""

import numpy as np
import pytest

from engines.skeleton import JOINT_INDEX, KEYPOINTS, joints_from_keypoints
from tests.engines.pose_posts import (
    BOX,
    COLUMNS,
    ROWS,
    VISIBLE,
    Floats,
    Output,
    Posts,
    keypoint,
    peaks_with,
    post,
    random_boxes,
)

# ---- joints


def test_joints_in_the_graph_are_those_of_the_skeleton(posts: Posts) -> None:
    random = np.random.default_rng(12)
    for _ in range(20):
        heatmaps = random.uniform(0, 0.1, (3, 17, ROWS, COLUMNS)).astype(np.float32)
        for person in range(3):
            for index in range(17):
                heatmaps[person, index, random.integers(64), random.integers(48)] = random.uniform(0.1, 1)
        boxes = random_boxes(random, 3)
        boxes[random.integers(3)] = 0
        output = post(posts, heatmaps, boxes)
        np.testing.assert_allclose(output.joints, joints_from_keypoints(output.keypoints, VISIBLE), atol=1e-3)


def joint(output: Output, name: str) -> Floats:
    row: Floats = output.joints[0, JOINT_INDEX[name]]
    return row


def test_pelvis_and_neck_are_middles_with_the_lowest_confidence(posts: Posts) -> None:
    confidence = np.full(17, 0.8)
    confidence[[KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_shoulder")]] = 0.35, 0.1
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    for name, part, lowest in (("pelvis", "hip", 0.35), ("neck", "shoulder", 0.1)):
        middle = (keypoint(output, f"left_{part}") + keypoint(output, f"right_{part}")) / 2
        np.testing.assert_allclose(joint(output, name), [*middle[:2], lowest], atol=1e-4)


def test_head_is_the_mean_of_the_visible_face_points_only(posts: Posts) -> None:
    confidence = np.full(17, 0.8)
    confidence[:5] = 0.9, 0.29, 0.3, 0.1, 0.0
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    middle = (keypoint(output, "nose") + keypoint(output, "right_eye")) / 2
    np.testing.assert_allclose(joint(output, "head"), [*middle[:2], 0.3], atol=1e-4)


def test_head_without_a_visible_face_point_is_zeros(posts: Posts) -> None:
    confidence = np.full(17, 0.8)
    confidence[:5] = 0.29
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    assert (joint(output, "head") == 0).all()
    np.testing.assert_allclose(joint(output, "neck")[2], 0.8, atol=1e-6)


# ---- the next frame's boxes


@pytest.mark.parametrize(("unsure", "framed"), [(0.29, True), (0.16, True), (0.14, False)])
def test_next_box_bounds_half_sure_keypoints_with_the_mean_confidence_of_the_visible(
    posts: Posts, unsure: float, framed: bool
) -> None:
    random = np.random.default_rng(14)
    for count in (5, 6, 11, 17):
        confidence = np.full(17, unsure)
        confidence[random.permutation(17)[:count]] = random.uniform(0.31, 1, count)
        output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
        visible = confidence >= VISIBLE
        points = output.keypoints[0, visible | framed, :2].astype(np.float64)
        wanted = [*points.min(0), *points.max(0), output.keypoints[0, visible, 2].mean()]
        np.testing.assert_allclose(output.next_boxes[0], wanted, atol=1e-3)


def test_a_keypoint_of_exactly_the_least_confidence_is_visible(posts: Posts) -> None:
    confidence = np.zeros(17)
    confidence[:5] = np.float32(0.3)
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    np.testing.assert_allclose(output.next_boxes[0, 4], 0.3, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_than_five_visible_keypoints_give_no_next_box(posts: Posts, count: int) -> None:
    confidence = np.full(17, 0.29)
    confidence[:count] = 0.9
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    assert (output.next_boxes == 0).all()
    assert output.keypoints.any()
