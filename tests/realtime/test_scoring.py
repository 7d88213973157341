"""Scoring: the paper's score, what may be scored, and which way a bone is turned."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from engines.errors import EXIT_BAD_INPUT, BadInputError
from engines.execution import EncodeOutput
from engines.skeleton import JOINT_INDEX, JOINTS, PARENT, mirror_joints
from realtime.live_options import DEFAULT_ENCODER
from realtime.scoring import (
    best_row,
    deviation_degrees,
    enough_visible,
    mirrored_counts,
    missing_joints,
    require_masked,
    score_from_distance,
    stacked,
    target_as_matched,
    target_rows,
)
from tests.realtime.fakes import FRAME_SIZE, standing_joints, standing_target

Floats = npt.NDArray[np.float32]

ALL = np.ones(15, np.float32)


@pytest.mark.parametrize(
    ("distance", "width", "score"),
    [
        (0.0, 0.3, 100.0),
        (0.3, 0.3, 60.653066),
        (0.6, 0.3, 13.533528),
        (0.158, 0.3, 87.049881),
        (0.1, 0.2, 88.249690),
        (2.0, 0.3, 2.23e-8),
    ],
)
def test_the_score_is_equation_6_of_the_paper(distance: float, width: float, score: float) -> None:
    assert score_from_distance(distance, width) == pytest.approx(score, abs=1e-4)


def test_a_pose_is_scored_when_four_fifths_of_the_joints_that_count_are_visible() -> None:
    assert enough_visible(JOINTS[:3], ALL, masked=True)
    assert not enough_visible(JOINTS[:4], ALL, masked=True)


@pytest.mark.parametrize(("counted", "unseen"), [(15, 3), (14, 2), (11, 2), (10, 2), (9, 1), (5, 1), (4, 0), (1, 0)])
def test_four_fifths_are_of_the_joints_that_count(counted: int, unseen: int) -> None:
    counts = (np.arange(15) < counted).astype(np.float32)
    assert enough_visible(JOINTS[:unseen], counts, masked=True)
    assert not enough_visible(JOINTS[: unseen + 1], counts, masked=True)


def test_an_encoder_without_a_mask_needs_every_joint() -> None:
    assert enough_visible((), ALL, masked=False)
    assert not enough_visible(JOINTS[:1], ALL, masked=False)


def test_a_joint_below_the_least_confidence_is_missing_if_it_counts() -> None:
    joints = standing_joints()
    joints[:, 2] = 0.3
    joints[[0, 7, 14], 2] = np.nextafter(np.float32(0.3), np.float32(0))
    counts = ALL.copy()
    counts[7] = 0
    assert missing_joints(joints, ALL, 0.3) == ("right_ankle", "right_wrist", "head")
    assert missing_joints(joints, counts, 0.3) == ("right_ankle", "head")


def test_a_joint_that_is_nowhere_is_missing() -> None:
    assert missing_joints(np.zeros((15, 3), np.float32), ALL, 0.3) == JOINTS


def test_a_target_is_one_row_with_its_own_width_and_mask() -> None:
    rows = target_rows(standing_target(ignore=("left_wrist", "head"), score_width=0.25))
    assert rows.joints.shape == (1, 15, 3) and rows.counts.shape == (1, 15) and rows.width.tolist() == [0.25]
    assert {name for name, count in zip(JOINTS, rows.counts[0], strict=True) if not count} == {"left_wrist", "head"}
    assert {array.dtype for array in (rows.joints, rows.counts, rows.width)} == {np.dtype(np.float32)}


def test_the_mirror_image_is_a_second_row_whose_mask_is_mirrored_too() -> None:
    target = standing_target(ignore=("left_wrist", "right_knee"), match_mirrored=True)
    rows = target_rows(target)
    assert rows.joints.shape == (2, 15, 3)
    assert rows.width.tolist() == pytest.approx([0.3, 0.3])
    assert (rows.joints[0] == target.joints).all()
    assert (rows.joints[1] == mirror_joints(target.joints)).all()
    unseen = {name for name, count in zip(JOINTS, rows.counts[1], strict=True) if not count}
    assert unseen == {"right_wrist", "left_knee"}


def test_mirroring_a_mask_twice_gives_it_back() -> None:
    counts = np.random.default_rng(1).integers(0, 2, 15).astype(np.float32)
    assert (mirrored_counts(mirrored_counts(counts)) == counts).all()


def test_several_targets_are_stacked_in_order() -> None:
    rows = stacked(
        [target_rows(standing_target(score_width=width, match_mirrored=width > 0.3)) for width in (0.2, 0.4)]
    )
    assert rows.joints.shape == (3, 15, 3) and rows.counts.shape == (3, 15)
    assert rows.width.tolist() == pytest.approx([0.2, 0.4, 0.4])


@pytest.mark.parametrize(("scores", "row"), [([40.0, 90.0], 1), ([90.0, 40.0], 0), ([50.0, 50.0], 0), ([7.0], 0)])
def test_the_better_of_a_pose_and_its_mirror_image_counts(scores: list[float], row: int) -> None:
    score = np.array([[0.0] * len(scores), scores], np.float32)
    assert best_row(EncodeOutput(np.zeros((2, 50), np.float32), score, score), 1) == row


def test_a_target_that_ignores_joints_is_refused_with_an_encoder_that_knows_no_mask() -> None:
    with pytest.raises(BadInputError, match="ignores left_wrist") as caught:
        require_masked(standing_target(ignore=("left_wrist",)), "paper", False)
    assert caught.value.exit_code == EXIT_BAD_INPUT
    assert f"give --encoder {DEFAULT_ENCODER}, " in str(caught.value)
    require_masked(standing_target(ignore=("left_wrist",)), "bones", True)
    require_masked(standing_target(), "paper", False)


def with_arm(degrees: float) -> Floats:
    """A person whose left forearm points `degrees` clockwise on the screen from straight right."""
    joints = standing_joints()
    elbow = joints[JOINT_INDEX["left_elbow"], :2]
    turn = math.radians(degrees)
    joints[JOINT_INDEX["left_wrist"], :2] = elbow + np.array([math.cos(turn), math.sin(turn)], np.float32) * 40
    return joints


def deviation(live: Floats, target: Floats, joint: str = "left_wrist") -> float | None:
    return deviation_degrees(live, target, ALL, 0.3)[joint]


@pytest.mark.parametrize(
    ("live", "target", "expected"),
    [
        (90, 0, 90),  # y points down on a screen: from right to down is clockwise
        (-90, 0, -90),
        (10, 30, -20),
        (180, 0, 180),
        (0, 180, 180),
        (-180, 0, 180),
        (179, -179, -2),
        (-179, 179, 2),
        (170, -30, -160),
        (-30, 170, 160),
        (45, 45, 0),
    ],
)
def test_a_bone_is_off_by_its_turn_on_the_screen_clockwise_positive(
    live: float, target: float, expected: float
) -> None:
    assert deviation(with_arm(live), with_arm(target)) == pytest.approx(expected, abs=0.01)


def test_a_deviation_lies_above_minus_180_up_to_and_with_180() -> None:
    for hundredth in range(-36_000, 36_001, 97):
        value = deviation(with_arm(hundredth / 100), with_arm(0))
        assert value is not None and -180 < value <= 180
    for live in (-179.999, 179.999, -179.9951, 180.001):
        assert deviation(with_arm(live), with_arm(0)) == 180, live


def test_a_raised_forearm_of_the_example_is_the_only_bone_that_is_off() -> None:
    turned = {name: value for name, value in deviation_degrees(with_arm(-40), with_arm(-20), ALL, 0.3).items() if value}
    assert turned == {"left_wrist": pytest.approx(-20, abs=0.01)}


def test_every_joint_that_counts_has_a_deviation_but_the_pelvis() -> None:
    counts = ALL.copy()
    counts[JOINT_INDEX["head"]] = 0
    assert set(deviation_degrees(with_arm(0), with_arm(0), counts, 0.3)) == set(JOINTS) - {"pelvis", "head"}


@pytest.mark.parametrize("side", ["live", "target"])
def test_a_bone_of_which_an_end_is_unseen_is_unknown(side: str) -> None:
    poses = {"live": with_arm(0), "target": with_arm(0)}
    poses[side][JOINT_INDEX["left_elbow"], 2] = 0.29
    found = deviation_degrees(poses["live"], poses["target"], ALL, 0.3)
    assert {name for name, value in found.items() if value is None} == {"left_elbow", "left_wrist"}


def test_a_whole_pose_that_leans_is_off_by_as_much_in_every_bone() -> None:
    """The rotation of the torso is not taken out."""
    target = standing_joints()
    turn = math.radians(15)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], np.float32)
    live = target.copy()
    live[:, :2] = target[:, :2] @ matrix
    assert list(deviation_degrees(live, target, ALL, 0.3).values()) == pytest.approx([15] * 14, abs=0.02)


def test_size_and_place_do_not_turn_a_bone() -> None:
    small, large = standing_joints((0, 0, 50, 75)), standing_joints((100, 20, 300, 320))
    assert list(deviation_degrees(small, large, ALL, 0.3).values()) == pytest.approx([0] * 14, abs=0.02)


def test_the_mirror_image_of_a_pose_does_not_differ_from_its_mirrored_target() -> None:
    live = mirror_joints(with_arm(-40))
    live[:, 0] += 320
    rows = target_rows(standing_target(match_mirrored=True))
    target = mirror_joints(with_arm(-40))
    turned = deviation_degrees(live, target, rows.counts[1], 0.3)
    assert list(turned.values()) == pytest.approx([0] * 14, abs=0.01)
    assert deviation(live, with_arm(-40), "right_wrist") != pytest.approx(0, abs=1)


def test_every_bone_has_its_own_end() -> None:
    """14 bones, 14 deviations: the root has none."""
    bones = sum(PARENT[joint] != joint for joint in range(15))
    assert bones == len(deviation_degrees(with_arm(0), with_arm(0), ALL, 0.3)) == 14


def test_a_target_matched_in_the_mirror_is_drawn_mirrored_inside_its_own_picture() -> None:
    target = standing_target()
    assert target_as_matched(target, False) is target.joints
    mirrored = target_as_matched(target, True)
    left, right = JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]
    assert mirrored[left, 0] == FRAME_SIZE[0] - target.joints[right, 0]
    assert mirrored[left, 1] == target.joints[right, 1]
    assert (target.joints == standing_joints()).all()
