import json
from pathlib import Path

import numpy as np
import pytest

from calibration import scene_persons
from calibration.augment import NO_AUGMENTATION
from calibration.crop_scenes import SCENE_SCALE
from calibration.crops import CROP_SIZE, WINDOW_OFFSET, WINDOW_SIZE, CropSet
from calibration.joined_crops import JoinedCrops
from calibration.pose_task import PoseTask
from calibration.scene_persons import crop_affine, known_boxes, labelled, persons, scenes_beside, write_crops
from calibration.scenes import Scene, SceneSet, write_scenes
from engines.errors import EXIT_BAD_INPUT, EXIT_OK, BadInputError
from tests.calibration.tiny_set import drawn, write_tar

BOX = [30.0, 20.0, 110.0, 140.0, 0.9]
PLACE = (60, 100)
"""Where the teacher of these tests sees every joint, px of the window."""


def teacher(windows: np.ndarray) -> np.ndarray:
    """Every joint at `PLACE` in the first window, and at its mirror image in the second."""
    maps = np.zeros((len(windows), 17, 64, 48), np.float32)
    column, row = PLACE[0] // 4, PLACE[1] // 4
    maps[0, :, row, column] = 0.8
    maps[1, :, row, 48 - column] = 0.8  # so that the moved mirrored map lands on the same column
    return maps


def write_scene(folder: Path, boxes: list[list[float]], source: str = "first") -> SceneSet:
    picture = drawn(np.zeros(2), 200, 160)
    write_tar(folder / "scenes.tar", {"0.jpg": picture})
    row = {"file": "0.jpg", "source": source, "image": "first/0.jpg", "size": [200, 160], "boxes": boxes}
    (folder / "scenes.json").write_text(json.dumps([row]))
    return SceneSet(folder / "scenes")


def test_the_widened_box_fills_the_middle_of_the_crop() -> None:
    affine = crop_affine(np.array(BOX, np.float32))
    middle = affine[:, :2] @ [70, 80] + affine[:, 2]
    assert middle == pytest.approx(np.array(WINDOW_OFFSET) + np.array(WINDOW_SIZE) / 2)
    assert affine[0, 0] * 120 * 1.25 == pytest.approx(WINDOW_SIZE[1])


def test_the_teachers_maps_of_a_window_and_its_mirror_are_averaged() -> None:
    found = labelled(np.zeros((256, 192, 3), np.uint8), teacher)
    assert found[:, :2] == pytest.approx(np.tile(PLACE, (17, 1)), abs=1.01)
    assert found[:, 2] == pytest.approx(0.8)


def test_a_new_person_becomes_a_crop_whose_labels_lead_back_to_the_scene(tmp_path: Path) -> None:
    crops = list(persons(write_scene(tmp_path, [BOX]), {}, teacher))
    assert len(crops) == 1
    crop = crops[0]
    assert crop.picture.shape == (CROP_SIZE[1], CROP_SIZE[0], 3)
    assert crop.keypoints[0, :2] == pytest.approx(np.array(PLACE) + WINDOW_OFFSET, abs=1.01)
    write_crops(crops, tmp_path / "more")
    again = CropSet(tmp_path / "more")
    assert len(again) == 1 and again.sources == ["first"]
    assert np.abs(again.picture(0).astype(int) - crop.picture).mean() < 6
    left, top, right, bottom = again.image_rect(0)
    assert (left, top) == (max(0, int(np.ceil(crop.affine[0, 2]))), max(0, int(np.ceil(crop.affine[1, 2]))))
    assert right <= CROP_SIZE[0] and bottom <= CROP_SIZE[1]


@pytest.mark.parametrize(
    ("box", "known"),
    [
        ([*BOX[:4], 0.3], {}),
        ([30.0, 20.0, 60.0, 60.0, 0.9], {}),
        (BOX, {"first/0.jpg": [np.array([0.15, 0.125, 0.55, 0.875], np.float32)]}),
    ],
    ids=["doubtful", "small", "known already"],
)
def test_a_person_is_left_out_who_is(box: list[float], known: dict[str, list[np.ndarray]], tmp_path: Path) -> None:
    assert list(persons(write_scene(tmp_path, [box]), known, teacher)) == []


def test_a_person_of_whom_the_teacher_is_unsure_is_left_out(tmp_path: Path) -> None:
    assert list(persons(write_scene(tmp_path, [BOX]), {}, lambda windows: teacher(windows) * 0.4)) == []


def test_scenes_of_photographs_are_read_instead_of_the_sets_own(
    tiny_crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_persons, "known_boxes", lambda crops: {})
    monkeypatch.setattr(scene_persons, "onnx_predict", lambda path: teacher)
    write_scene(tmp_path, [BOX, [BOX[0] + 40, *BOX[1:]]], "package")
    line = ["--crops", str(tiny_crops), "--teacher", "teacher.onnx", "--out", str(tmp_path / "more"), "--scenes"]
    assert scene_persons.main([*line, str(tmp_path / "scenes")]) == EXIT_OK
    assert CropSet(tmp_path / "more").sources == ["package", "package"]
    assert scene_persons.main([*line, str(tmp_path / "missing")]) == EXIT_BAD_INPUT


def test_known_boxes_are_parts_of_their_picture(tmp_path: Path) -> None:
    write_crops(list(persons(write_scene(tmp_path, [BOX]), {}, teacher)), tmp_path / "more")
    (boxes,) = known_boxes(CropSet(tmp_path / "more")).values()
    assert boxes[0] == pytest.approx([30 / 200, 20 / 160, 110 / 200, 140 / 160])


def test_joined_sets_count_through_both_and_keep_their_labels(tiny_crops: Path, tmp_path: Path) -> None:
    first, second = CropSet(tiny_crops / "train"), CropSet(tiny_crops / "holdout")
    joined = JoinedCrops([tiny_crops / "train", tiny_crops / "holdout"], tmp_path)
    assert len(joined) == len(first) + len(second)
    assert np.array_equal(joined.crop(len(first) + 1).picture, second.picture(1))
    assert np.array_equal(joined.labels.places[len(first) + 1], second.labels.places[1])
    assert joined.crop(len(first)).rect == second.image_rect(0)
    assert set(joined.hashes) == set(first.hashes) | set(second.hashes)


def test_a_pose_task_learns_from_further_sets_too(tiny_crops: Path, tmp_path: Path) -> None:
    task = PoseTask(tiny_crops, tmp_path, NO_AUGMENTATION, batch_size=4, more=[tiny_crops / "holdout"])
    assert task.batches(0) == 5
    with pytest.raises(BadInputError, match="no file"):
        PoseTask(tiny_crops, tmp_path, NO_AUGMENTATION, more=[tmp_path / "missing"])


def test_who_stands_beside_the_person_of_a_crop_becomes_a_crop_too(tmp_path: Path) -> None:
    picture = drawn(np.zeros(2), 200, 160)
    beside = [150.0, 30.0, 190.0, 130.0, 0.8]
    write_crops(list(persons(write_scene(tmp_path, [BOX]), {}, teacher)), tmp_path / "train")
    crops = CropSet(tmp_path / "train")
    affine, rect = crops.fields["affine"][0].astype(np.float32), crops.image_rect(0)

    def in_crop(box: list[float]) -> np.ndarray:
        corners = np.array(box[:4], np.float32).reshape(2, 2) * affine[0, 0] + affine[:, 2] - rect[:2]
        return np.array([*corners.ravel(), box[4]], np.float32)

    boxes = np.stack([in_crop(BOX), in_crop(beside)])
    boxes[:, :4] *= SCENE_SCALE
    write_scenes(tmp_path / "beside", [("00000.jpg", Scene(picture, boxes, "first", "first/0.jpg"))])
    scenes, known = scenes_beside(crops, tmp_path / "beside")
    (crop,) = persons(scenes, known, teacher)
    assert crop.box == pytest.approx(in_crop(beside), abs=0.1)
    with pytest.raises(BadInputError, match="crop_scenes"):
        scenes_beside(crops, tmp_path / "missing")
