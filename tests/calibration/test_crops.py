from pathlib import Path

import numpy as np
import pytest

from calibration.crops import HUMAN_SHARE, WINDOW_OFFSET, CropSet, pose_labels
from engines.errors import BadInputError


def teacher(confidence: float) -> np.ndarray:
    return np.full((1, 17, 3), (100, 150, confidence), np.float32)


def test_a_sure_joint_of_the_teacher_is_learnt_in_full() -> None:
    labels = pose_labels(teacher(0.9), np.ones((1, 17), bool))
    assert np.all(labels.shares[:, 0] == 1)
    assert np.all(labels.shares[:, 1] == 0)
    assert np.allclose(labels.visible, 0.9)


def test_a_joint_outside_the_picture_is_not_learnt_and_not_visible() -> None:
    labels = pose_labels(teacher(0.9), np.zeros((1, 17), bool))
    assert not labels.shares.any()
    assert not labels.visible.any()


def test_a_human_label_takes_its_share_of_the_target() -> None:
    human = np.full((1, 17, 3), np.nan, np.float32)
    human[0, 9] = (20, 30, 1)
    labels = pose_labels(teacher(0.9), np.ones((1, 17), bool), human)
    assert labels.places[0, 1, 9].tolist() == [20, 30]
    assert labels.shares[0, :, 9] == pytest.approx([1 - HUMAN_SHARE, HUMAN_SHARE])
    assert labels.shares[0, :, 8] == pytest.approx([1, 0])


def test_crops_are_read_by_their_offsets_and_cached_whole(tiny_crops: Path, tmp_path: Path) -> None:
    crops = CropSet(tiny_crops / "train")
    cached = crops.cached(tmp_path)
    assert cached.shape == (16, 320, 240, 3)
    for index in (0, 15):
        assert np.array_equal(cached[index], crops.picture(index))
        x, y = crops.keypoints[index, 9, :2].round().astype(int)
        assert int(cached[index][y, x].max()) > 60, "a disc is drawn at each keypoint"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no file .*train\.tar"):
        CropSet(tmp_path / "train")


def test_real_crops_lie_in_the_pictures_as_documented(real_crops: Path) -> None:
    crops = CropSet(real_crops / "holdout")
    assert len(crops) == 624
    left, top, right, bottom = np.array([crops.image_rect(index) for index in range(len(crops))]).T
    assert np.all((left >= 0) & (top >= 0) & (right <= 240) & (bottom <= 320))
    index = int(np.argmax(left))
    picture = crops.picture(index)
    assert picture[:, : left[index] - 8].mean() < 6, "padding is black"
    boxes = crops.fields["box_xywh"].astype(float)
    affine = crops.fields["affine"].astype(float)
    centre = affine[:, 0, 0] * (boxes[:, 0] + boxes[:, 2] / 2) + affine[:, 0, 2]
    assert np.abs(centre - (WINDOW_OFFSET[0] + 96)).max() < 1.5
