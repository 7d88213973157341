from dataclasses import replace

import numpy as np
import pytest

from calibration.augment import NO_AUGMENTATION, Augmentation, Sample, augment, cover, cut_rect
from calibration.crops import WINDOW_OFFSET
from engines.skeleton import MIRRORED_KEYPOINT
from tests.calibration.tiny_set import FIGURE, colour, drawn

WHOLE = (0, 0, 240, 320)
OTHER = np.full((320, 240, 3), 10, np.uint8)
MOVES = replace(NO_AUGMENTATION, scale=(0.75, 1.35), shift=0.1, rotation_degrees=40.0, half_body=0.2)


def made(settings: Augmentation, seed: int = 0, size: tuple[int, int] = (192, 256)) -> Sample:
    places = np.stack([FIGURE, FIGURE])
    shares = np.stack([np.ones(17, np.float32), np.zeros(17, np.float32)])
    rng = np.random.default_rng(seed)
    return augment(drawn(np.zeros(2)), WHOLE, places, shares, np.full(17, 0.9, np.float32), OTHER, settings, rng, size)


def test_without_augmentation_the_sample_is_the_teachers_window() -> None:
    sample = made(NO_AUGMENTATION)
    assert np.array_equal(sample.picture, drawn(np.zeros(2))[32:288, 24:216])
    assert np.allclose(sample.places[0], FIGURE - WINDOW_OFFSET)
    assert np.allclose(sample.visible, 0.9)


@pytest.mark.parametrize("seed", range(12))
def test_joints_move_with_the_picture(seed: int) -> None:
    sample = made(MOVES, seed)
    for joint, (x, y) in enumerate(sample.places[0]):
        if 3 <= x < 189 and 3 <= y < 253:
            found = sample.picture[round(float(y)), round(float(x))].astype(int)
            assert np.abs(found - colour(joint)).max() < 60, f"joint {joint} is at ({x}, {y})"


def test_a_mirrored_sample_swaps_left_and_right() -> None:
    samples = [made(replace(NO_AUGMENTATION, flip=True), seed) for seed in range(8)]
    plain = FIGURE - WINDOW_OFFSET
    expected = plain[list(MIRRORED_KEYPOINT)] * (-1, 1) + (191, 0)
    flips = [np.allclose(sample.places[0], expected) for sample in samples]
    assert any(flips)
    assert not all(flips)
    assert all(flip or np.allclose(sample.places[0], plain) for flip, sample in zip(flips, samples, strict=True))


def test_a_covered_joint_is_less_visible_than_the_threshold() -> None:
    picture, visible = np.zeros((256, 192, 3), np.uint8), np.full(17, 1.0, np.float32)
    places = np.full((17, 2), 100.0, np.float32)
    places[0] = (20, 20)
    cover(picture, 90, 90, np.full((30, 30, 3), 255, np.uint8), places, visible)
    assert visible[0] == 1
    assert np.all(visible[1:] < 0.3)
    assert picture[95, 95].tolist() == [255, 255, 255]


def test_a_joint_outside_the_window_is_not_learnt_and_not_visible() -> None:
    samples = [made(replace(NO_AUGMENTATION, scale=(2.0, 2.0)), seed) for seed in range(4)]
    for sample in samples:
        outside = np.any((sample.places[0] < 0) | (sample.places[0] > (191, 255)), -1)
        assert outside.any()
        assert not sample.shares[:, outside].any()
        assert not sample.visible[outside].any()


def test_the_same_generator_makes_the_same_sample() -> None:
    first, second = made(Augmentation(), 5), made(Augmentation(), 5)
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.places, second.places)


def test_a_smaller_picture_keeps_labels_in_window_px() -> None:
    small, whole = made(MOVES, 3, (96, 128)), made(MOVES, 3)
    assert small.picture.shape == (128, 96, 3)
    assert np.array_equal(small.places, whole.places)


def test_padding_of_the_crop_is_replaced_by_a_background() -> None:
    places = np.stack([FIGURE, FIGURE])
    crop = drawn(np.zeros(2))
    crop[:, :100] = 0
    bright = np.full((320, 240, 3), 200, np.uint8)
    kept = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        label = (places, np.ones((2, 17), np.float32), np.ones(17, np.float32))
        kept.append(augment(crop, (100, 0, 240, 320), *label, bright, NO_AUGMENTATION, rng).picture[:, :70].mean())
    assert min(kept) < 1, "sometimes black, as beyond a camera's edge"
    assert max(kept) > 150, "sometimes another picture"


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_picture_ends_between_the_joints_that_are_left_and_the_others(seed: int) -> None:
    (left, top, right, bottom), kept = cut_rect(WHOLE, FIGURE, np.ones(17, np.float32), np.random.default_rng(seed))
    (x, y) = FIGURE.T
    inside = (x >= left) & (y >= top) & (x <= right - 1) & (y <= bottom - 1)
    assert kept.sum() >= 4
    assert np.array_equal(inside, kept)


def test_what_a_cut_leaves_out_is_not_learnt_and_the_rest_fills_the_window() -> None:
    samples = [made(replace(NO_AUGMENTATION, cut=1.0), seed) for seed in range(12)]
    learnt = [sample.shares[0] > 0 for sample in samples]
    assert sum(not joints.all() for joints in learnt) >= 10
    for sample, joints in zip(samples, learnt, strict=True):
        assert not sample.visible[~joints].any()
        low, high = sample.places[0][joints].min(0), sample.places[0][joints].max(0)
        assert ((high - low) / (192, 256)).max() > 0.4
        for x, y in sample.places[0][joints]:
            assert 0 <= x <= 191
            assert 0 <= y <= 255


def test_a_person_of_few_visible_joints_is_not_cut() -> None:
    visible = np.zeros(17, np.float32)
    visible[:3] = 1
    rect, kept = cut_rect(WHOLE, FIGURE, visible, np.random.default_rng(0))
    assert rect == WHOLE
    assert kept.all()
