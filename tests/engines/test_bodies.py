import numpy as np
import pytest

from engines.bodies import Floats, body_box, box_of_keypoints, same_skeleton, sure_of_somebody
from engines.geometry import iou

STANDING = np.array(
    [(50, 10), (47, 8), (53, 8), (44, 10), (56, 10), (38, 30), (62, 30), (32, 55), (68, 55), (30, 78), (70, 78),
     (42, 80), (58, 80), (42, 120), (58, 120), (42, 158), (58, 158)], np.float32
)  # fmt: skip
"""Somebody about 160 px tall."""
BOX = np.array((20, 0, 80, 170, 0.81), np.float32)


def skeleton(places: Floats = STANDING, confidence: float | Floats = 0.9) -> Floats:
    return np.column_stack([places, np.broadcast_to(np.float32(confidence), 17)]).astype(np.float32)


def box(confidence: float, change: tuple[float, float, float, float] = (0, 0, 0, 0)) -> Floats:
    return np.array([*(BOX[:4] + change), confidence], np.float32)


def test_a_body_reaches_beyond_its_keypoints_in_proportion_to_their_longer_side() -> None:
    framed = box_of_keypoints(skeleton())
    assert framed is not None
    assert framed == pytest.approx([30 - 12, 8 - 18, 70 + 12, 158 + 12])
    larger = box_of_keypoints(skeleton(STANDING * 2))
    assert larger == pytest.approx(framed * 2)


def test_keypoints_of_less_than_half_the_visible_confidence_do_not_count_for_its_place() -> None:
    confidences = np.full(17, 0.9, np.float32)
    confidences[[15, 16]] = 0.14  # the ankles
    framed, shown = box_of_keypoints(skeleton(confidence=confidences)), box_of_keypoints(skeleton())
    assert framed is not None and shown is not None and framed[3] < 140 < shown[3]
    lower = box_of_keypoints(skeleton(confidence=confidences), visible_confidence=0.2)
    assert lower == pytest.approx(shown)


@pytest.mark.parametrize(("seen", "there"), [(3, False), (4, True)])
def test_three_keypoints_have_no_box(seen: int, there: bool) -> None:
    confidences = np.where(np.arange(17) < seen, 0.9, 0).astype(np.float32)
    keypoints = skeleton(confidence=confidences)
    assert (box_of_keypoints(keypoints) is not None) == there
    assert np.array_equal(body_box(BOX, keypoints), BOX[:4]) != there


def test_a_box_that_holds_the_trunk_alone_is_moved_a_quarter_of_the_way_to_the_body() -> None:
    framed = box_of_keypoints(skeleton())
    trunk = np.array((35, 10, 65, 90, 0.8), np.float32)
    assert framed is not None
    assert body_box(trunk, skeleton()) == pytest.approx(0.75 * trunk[:4] + 0.25 * framed)


def test_both_networks_have_their_say() -> None:
    framed = box_of_keypoints(skeleton())
    assert framed is not None
    for found, body in ((box(0.81), 0.9), (box(0.2), 0.9), (box(0.81), 0.5), (box(0.81, (0, 80, 0, 0)), 0.9)):
        sure = sure_of_somebody(found, skeleton(confidence=body))
        assert sure == pytest.approx(body * np.cbrt(found[4]) * np.sqrt(iou(found, framed)), rel=1e-5)
    assert sure_of_somebody(box(0.81, (500, 0, 500, 0)), skeleton()) == 0


def test_without_a_detection_the_pose_network_alone_is_asked() -> None:
    assert sure_of_somebody(box(0), skeleton()) == pytest.approx(0.9)


def test_fewer_visible_keypoints_than_five_are_nobody() -> None:
    confidences = np.where(np.arange(17) < 4, 0.9, 0.29).astype(np.float32)
    assert sure_of_somebody(box(0.9), skeleton(confidence=confidences)) == 0
    assert sure_of_somebody(box(0.9), skeleton(confidence=confidences), visible_confidence=0.25) > 0


@pytest.mark.parametrize(("moved", "same"), [(0, True), (4, True), (30, False), (200, False)])
def test_a_skeleton_beside_another_is_somebody_else(moved: float, same: bool) -> None:
    other = skeleton(STANDING + np.array((moved, 0), np.float32))
    assert same_skeleton(skeleton(), other) == same == same_skeleton(other, skeleton())


def test_what_is_near_for_an_adult_is_far_for_a_child() -> None:
    moved = np.array((10, 0), np.float32)
    assert same_skeleton(skeleton(), skeleton(STANDING + moved))
    assert not same_skeleton(skeleton(STANDING / 4), skeleton(STANDING / 4 + moved))


def test_keypoints_that_either_does_not_see_do_not_count() -> None:
    legs = np.arange(17) >= 11
    elsewhere = STANDING + np.where(legs, 300, 0).astype(np.float32)[:, None]
    sure = np.where(legs, 0, 0.9).astype(np.float32)
    assert same_skeleton(skeleton(), skeleton(elsewhere, sure))
    assert not same_skeleton(skeleton(), skeleton(elsewhere + np.array((300, 0), np.float32), sure))
    assert not same_skeleton(skeleton(), skeleton(confidence=0))
    assert not same_skeleton(skeleton(confidence=0.14), skeleton())
    assert same_skeleton(skeleton(confidence=0.14), skeleton(), visible_confidence=0.2)
