"""The ghost: the target in the user's own size, place and limb lengths."""

import numpy as np
import pytest

from engines.skeleton import JOINT_INDEX, JOINTS, PARENT
from realtime.ghost import LEAST_SHARE, Proportions, bone_lengths, fit_ghost
from tests.realtime.fakes import standing_joints

BOX = (100.0, 20.0, 200.0, 170.0)


def fitted(target: np.ndarray, live: np.ndarray) -> np.ndarray:
    ghost = fit_ghost(target, live, Proportions().update(live, 0.0, 0.3), 0.3)
    assert ghost is not None
    return ghost


def test_somebody_in_the_targets_pose_is_their_own_ghost() -> None:
    live = standing_joints(BOX)
    assert fitted(live, live)[:, :2] == pytest.approx(live[:, :2], abs=0.01)


def test_the_ghost_has_the_users_size_and_stands_where_the_user_stands() -> None:
    target, live = standing_joints((0, 0, 800, 1200)), standing_joints(BOX)
    assert fitted(target, live)[:, :2] == pytest.approx(live[:, :2], abs=0.6)


def test_the_ghosts_bones_point_where_the_targets_do() -> None:
    rng = np.random.default_rng(2)
    target = standing_joints((0, 0, 400, 600))
    target[:, :2] += rng.normal(0, 30, (15, 2)).astype(np.float32)
    ghost = fitted(target, standing_joints(BOX))
    for joint, parent in enumerate(PARENT):
        if joint != parent:
            ours, theirs = ghost[joint, :2] - ghost[parent, :2], target[joint, :2] - target[parent, :2]
            assert ours @ theirs > 0.9999 * np.hypot(*ours) * np.hypot(*theirs)


def test_a_user_with_short_arms_gets_a_ghost_with_short_arms_within_limits() -> None:
    live = standing_joints(BOX)
    for side in ("left", "right"):
        shoulder, elbow, wrist = (JOINT_INDEX[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist"))
        live[wrist, :2] = live[elbow, :2] + 0.1 * (live[wrist, :2] - live[elbow, :2])
        assert shoulder != elbow
    ghost, lengths = fitted(standing_joints(BOX), live), bone_lengths(standing_joints(BOX), 0.3)
    forearm = bone_lengths(ghost, 0.3)[JOINT_INDEX["left_wrist"]]
    assert forearm == pytest.approx(LEAST_SHARE * lengths[JOINT_INDEX["left_wrist"]], rel=0.02)


def test_a_limb_that_points_at_the_camera_for_a_moment_does_not_shorten_the_ghost() -> None:
    proportions, live = Proportions(), standing_joints(BOX)
    before = proportions.update(live, 0.0, 0.3)[JOINT_INDEX["left_wrist"]]
    short = live.copy()
    for side in ("left", "right"):
        short[JOINT_INDEX[f"{side}_wrist"], :2] = short[JOINT_INDEX[f"{side}_elbow"], :2]
    after = proportions.update(short, 0.2, 0.3)[JOINT_INDEX["left_wrist"]]
    assert after > 0.95 * before


def test_without_a_joint_in_common_there_is_no_ghost() -> None:
    live = standing_joints(BOX, confidence=0.0)
    assert fit_ghost(standing_joints(BOX), live, Proportions().update(live, 0.0, 0.3), 0.3) is None


def test_with_legs_out_of_view_the_ghost_still_stands() -> None:
    live = standing_joints(BOX)
    live[[index for index, name in enumerate(JOINTS) if "ankle" in name or "knee" in name], 2] = 0
    assert np.isfinite(fitted(standing_joints(BOX), live)).all()
