"""Measures, classical distances, robustness to missing joints, and scores of whole performances."""

import numpy as np
import pytest
import torch

from calibration.baselines import CLASSICAL
from calibration.datasets.outcomes import OutcomeSet
from calibration.evaluation import worst_score_change
from calibration.limb_bends import LIMBS, TEST_DEGREES, bend, bend_test, disturbed
from calibration.measures import area_under_curve, recall_at_1, spearman
from calibration.methods import at_parent, classical_method, encoder_method, everything_visible
from calibration.outcome_scores import folds_by_performer, outcome_distances, spearman_with_interval
from calibration.synthetic.graded_pairs import GradedSettings, graded_batch
from engines.networks.encoders import BonesEncoder, GradedEncoder, MlpEncoder, load_encoder
from engines.skeleton import JOINT_INDEX


def some_poses(count: int = 20, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).uniform(0, 100, (count, 15, 2)).astype(np.float32)


def test_the_area_under_the_curve_of_hand_computed_distances() -> None:
    similar = np.array([True, True, False, False])
    assert area_under_curve(np.array([0.1, 0.2, 0.3, 0.4]), similar) == 1
    assert area_under_curve(np.array([0.3, 0.4, 0.1, 0.2]), similar) == 0
    assert area_under_curve(np.array([0.1, 0.3, 0.3, 0.4]), similar) == pytest.approx(3.5 / 4)


def test_recall_at_1_leaves_the_own_group_out() -> None:
    distance = np.array([[0, 1, 2, 9], [1, 0, 9, 2], [2, 9, 0, 1], [9, 2, 1, 0]], float)
    label, group = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    assert recall_at_1(distance, label, group) == 1
    assert recall_at_1(distance, label, np.arange(4)) == 0


def test_spearman_counts_order_only_and_is_zero_for_a_constant() -> None:
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 1000.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([5.0, 4.0, -3.0])) == pytest.approx(-1)
    assert spearman(np.ones(3), np.arange(3.0)) == 0


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_distance_is_zero_for_the_pose_moved_and_scaled(name: str) -> None:
    poses = some_poses()
    moved = poses * 3 + np.array([50, -20], np.float32)
    assert CLASSICAL[name].pairs(poses, moved) == pytest.approx(0, abs=1e-5)
    assert (CLASSICAL[name].pairs(poses, some_poses(seed=1)) > 0.01).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_distance_of_degenerate_poses_is_finite(name: str) -> None:
    flat = some_poses()
    flat[:10, :, 0] = 5
    flat[10:] = 7
    assert np.isfinite(CLASSICAL[name].pairs(flat, some_poses())).all()


def test_procrustes_forgives_a_turn_in_the_picture_only_with_rotation() -> None:
    poses = some_poses()
    turned = np.stack([-poses[..., 1], poses[..., 0]], -1)
    assert CLASSICAL["Procrustes"].pairs(poses, turned) == pytest.approx(0, abs=1e-5)
    assert CLASSICAL["joint angles"].pairs(poses, turned) == pytest.approx(0, abs=1e-5)
    assert (CLASSICAL["Procrustes, upright"].pairs(poses, turned) > 0.5).all()


def test_the_bones_encoder_is_the_classical_bone_distance() -> None:
    first, second = some_poses(), some_poses(seed=1)
    encoder = encoder_method("bones", BonesEncoder()).pairs(first, second, everything_visible(first))
    assert encoder == pytest.approx(CLASSICAL["bone directions"].pairs(first, second), abs=1e-5)


@pytest.mark.parametrize("corner", LIMBS)
def test_bending_moves_the_limb_by_the_angle_and_nothing_else(corner: int) -> None:
    poses = some_poses()
    bent = bend(poses, corner, np.full(len(poses), np.pi / 2))
    still = [joint for joint in range(15) if joint not in LIMBS[corner]]
    assert np.array_equal(bent[:, still], poses[:, still])
    before, after = (xy[:, list(LIMBS[corner])] - xy[:, [corner]] for xy in (poses, bent))
    assert (before * after).sum(-1) == pytest.approx(0, abs=0.5)
    assert np.linalg.norm(after, axis=-1) == pytest.approx(np.linalg.norm(before, axis=-1), rel=1e-4)


def test_the_bend_test_has_every_angle_for_every_pose() -> None:
    bends = bend_test(some_poses(), np.random.default_rng(0), 5)
    assert bends.degrees.tolist() == list(TEST_DEGREES) * 5
    assert bends.original.shape == bends.bent.shape == (40, 15, 2)


@pytest.mark.parametrize("name", ["encoder", *CLASSICAL])
def test_the_matrix_of_a_method_holds_the_distances_of_its_pairs(name: str) -> None:
    torch.manual_seed(0)
    method = encoder_method("mlp", MlpEncoder().eval()) if name == "encoder" else classical_method(name)
    poses = some_poses(6)
    first, second = np.divmod(np.arange(36), 6)
    pairs = method.pairs(poses[first], poses[second], everything_visible(poses[first]))
    assert method.matrix(poses).ravel() == pytest.approx(pairs, abs=1e-5)


def test_a_missing_joint_goes_to_its_nearest_usable_ancestor() -> None:
    poses, mask = some_poses(1), np.ones((1, 15), np.float32)
    mask[0, [JOINT_INDEX["left_wrist"], JOINT_INDEX["left_elbow"]]] = 0
    moved = at_parent(poses, mask)[0]
    assert np.array_equal(moved[JOINT_INDEX["left_wrist"]], poses[0, JOINT_INDEX["left_shoulder"]])
    assert np.array_equal(moved[JOINT_INDEX["right_wrist"]], poses[0, JOINT_INDEX["right_wrist"]])


def test_a_dropped_joint_changes_nothing_for_an_encoder_with_a_mask() -> None:
    torch.manual_seed(0)
    method = encoder_method("graded", GradedEncoder().eval())
    first, second = some_poses(), disturbed(some_poses(), np.random.default_rng(0), 0.01, 3, 0.02)
    mask = everything_visible(first)
    mask[:, [0, 7]] = 0
    elsewhere = second.copy()
    elsewhere[:, [0, 7]] = -4000
    assert np.array_equal(method.pairs(first, second, mask), method.pairs(first, elsewhere, mask))


def test_no_performer_is_in_two_folds() -> None:
    performer = np.array([3, 3, 3, 1, 1, 2, 5, 5, 9])
    fold = folds_by_performer(performer, 3)
    assert all(len(set(fold[performer == name])) == 1 for name in np.unique(performer))
    assert np.bincount(fold).tolist() == [3, 3, 3]


def test_a_performance_like_the_good_ones_is_ranked_above_the_others() -> None:
    generator = np.random.default_rng(0)
    ideal = some_poses(4)[None]
    quality = np.arange(30.0)
    noise = generator.normal(0, 1, (30, 4, 15, 2)) * (31 - quality)[:, None, None, None]
    zeros = np.zeros(30, np.int64)
    data = OutcomeSet("made up", (ideal + noise).astype(np.float32), quality, np.arange(30), zeros, {})
    distance = outcome_distances(classical_method("Procrustes, upright"), data, 5)
    rho, low, high = spearman_with_interval(distance, quality)
    assert rho > 0.9
    assert low <= rho <= high


def test_dropping_any_three_joints_changes_the_score_of_a_match_by_less_than_ten_points() -> None:
    people = graded_batch(GradedSettings(pairs=40, bends=2, jitter=0), torch.Generator().manual_seed(0)).first.numpy()
    assert worst_score_change(encoder_method("graded", load_encoder("graded")), people, 20) < 10
