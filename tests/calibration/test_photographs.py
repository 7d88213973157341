from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from calibration.evaluate_detector import Levels
from calibration.photographs import (
    LONGEST_SIDE,
    HeldBack,
    Photograph,
    difference_hash,
    each_once,
    found_below,
    labelled,
    looks_of,
)
from calibration.scene_persons import PersonCrop, looked_at, write_crops
from calibration.scenes import SceneSet, write_scenes
from engines.errors import BadInputError
from tests.calibration.test_scene_persons import teacher as pose_teacher
from tests.calibration.tiny_set import write_tar


def photograph(seed: int, height: int = 300, width: int = 400) -> np.ndarray:
    """Coloured hills, different for every seed, the same for one seed in any size."""
    rough = np.random.default_rng(seed).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def sees_the_left_half(image: Tensor) -> tuple[Tensor, Tensor]:
    """One sure person, in every picture: the cell in the middle of the left half, reaching 3 strides each way."""
    rows, columns = image.shape[2] // 32, image.shape[3] // 32
    logits = torch.full((len(image), rows, columns), -9.0)
    logits[:, rows // 2, columns // 4] = 5.0
    bins = torch.zeros(len(image), 4, 8, rows, columns)
    bins[:, :, 3] = 30.0
    return bins.flatten(3).flatten(1, 2), logits.flatten(1)


def test_photographs_are_read_and_what_is_not_one_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "package" / "deep"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "large.jpg"), photograph(1, 900, 1200))
    cv2.imwrite(str(folder / "small.jpg"), photograph(2))
    cv2.imwrite(str(folder / "icon.jpg"), photograph(3, 100, 100))
    cv2.imwrite(str(folder / "banner.jpg"), photograph(4, 200, 900))
    cv2.imwrite(str(folder / "plain.jpg"), np.full((300, 400, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "screen.png"), photograph(5))
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "empty.jpg").write_bytes(b"")
    found = found_below(tmp_path)
    assert [(row.source, row.name) for row in found] == [
        ("package", "package/deep/large.jpg"),
        ("package", "package/deep/small.jpg"),
    ]
    assert [row.picture().shape for row in found] == [(480, LONGEST_SIDE, 3), (300, 400, 3)]


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no photograph below"):
        found_below(tmp_path)


def saved(folder: Path, number: int, picture: np.ndarray) -> Photograph:
    """A photograph in a folder."""
    path = folder / f"{number}.png"
    cv2.imwrite(str(path), picture)
    return Photograph("package", str(number), path, picture.size, difference_hash(picture))


def test_of_pictures_that_look_alike_the_first_is_kept_and_none_that_is_known(tmp_path: Path) -> None:
    first, other = photograph(1), photograph(2)
    darker = (first * 0.6).astype(np.uint8)
    smaller = cv2.resize(first, (200, 150), interpolation=cv2.INTER_AREA)
    noisy = np.clip(first + np.random.default_rng(0).normal(0, 8, first.shape), 0, 255).astype(np.uint8)
    pictures = (first, darker, smaller, other, noisy)
    rows = [saved(tmp_path, number, picture) for number, picture in enumerate(pictures)]
    write_tar(tmp_path / "known.tar", {"0.jpg": photograph(2, 600, 800)})
    write_tar(tmp_path / "unlike.tar", {"0.jpg": photograph(3)})
    assert [row.name for row in each_once(rows, looks_of(tmp_path / "unlike"))] == ["0", "3"]
    assert [row.name for row in each_once(rows, looks_of(tmp_path / "known"))] == ["0"]


def test_hashes_of_different_pictures_differ() -> None:
    hashes = np.array([difference_hash(photograph(seed)) for seed in range(30)])
    differences = (hashes[:, None] != hashes[None]).sum(2)[np.triu_indices(30, 1)]
    assert differences.min() > 10


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Evaluation sets: photographs 100 and 101 as scenes, and a person cut out of 102."""
    write_tar(tmp_path / "coco_gt.tar", {"0.jpg": photograph(100)})
    write_tar(tmp_path / "scenes_holdout.tar", {"0.jpg": photograph(101)})
    box = np.array([250.0, 60.0, 330.0, 220.0, 0.9], np.float32)
    picture, found, affine = looked_at(photograph(102), box, pose_teacher)
    inside = np.ones(17, bool)
    write_crops([PersonCrop(picture, found, inside, affine, box, (300, 400), "s", "102")], tmp_path / "holdout")
    return tmp_path


def test_what_belongs_to_the_evaluation_is_known_in_any_size(crops: Path) -> None:
    held = HeldBack(crops)
    assert held.holds(photograph(100, 600, 800)) and held.holds(photograph(101))
    assert held.holds(photograph(102, 480, 640)), "a held-back crop was cut out of it"
    assert not held.holds(photograph(102)[:, ::-1]), "and is not where the mirrored picture has something else"
    assert not any(held.holds(photograph(seed)) for seed in range(20))


def test_scenes_have_the_teachers_boxes_and_their_source(crops: Path, tmp_path: Path) -> None:
    rows = [saved(tmp_path, number, photograph(number, 480, 640)) for number in (1, 100)]
    teacher = Levels(sees_the_left_half, (32,), 8)
    assert write_scenes(tmp_path / "out", labelled(rows, HeldBack(crops), teacher)) == (1, 1), "100 is held back"
    (scene,) = SceneSet(tmp_path / "out")
    assert (scene.source, scene.image, scene.picture.shape) == ("package", "1", (480, 640, 3))
    # the cell (10, 5) of 20x20, whose middle lies at x 176, y 336 of a letterbox with 80 px above; 96 px each way
    assert scene.boxes[0, :4] == pytest.approx([80, 160, 272, 352], abs=0.5)
    assert scene.boxes[0, 4] > 0.9
