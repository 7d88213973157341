from pathlib import Path

import numpy as np
import pytest

from calibration import false_persons as module
from calibration.augment import AUGMENTATIONS
from calibration.crops import CropSet, FloatArray, Image
from calibration.evaluate_pose import Predict
from calibration.false_persons import false_persons, shared_part
from calibration.pose_task import PoseTask
from calibration.scene_persons import write_crops
from calibration.scenes import Scene
from engines.errors import EXIT_BAD_INPUT, EXIT_OK

PERSON = (30, 20, 110, 140, 0.9)
CHAIR, TABLE = (130, 60, 170, 140, 0.5), (120, 40, 180, 140, 0.2)
STATUE, CUP = (10, 150, 40, 190, 0.1), (5, 5, 9, 12, 0.8)
SCENE = Scene(np.full((200, 200, 3), 90, np.uint8), np.array([PERSON], np.float32), "things", "a.jpg")


def sees(body: bool) -> Predict:
    """A pose teacher that is sure of every keypoint, at two corners of the middle of a window, or of none.

    The second window it is asked about is the first one's mirror image.
    """

    def predict(windows: Image) -> FloatArray:
        maps = np.zeros((len(windows), 17, 64, 48), np.float32)
        for mirrored, one in enumerate(maps):
            one[:9, 8, 48 - 8 if mirrored else 8] = one[9:, 56, 48 - 40 if mirrored else 40] = 0.9 * body
        return maps

    return predict


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """What the detector finds; to be filled."""
    boxes: list[tuple[float, ...]] = []
    monkeypatch.setattr(module, "detections", lambda *_: np.array(boxes, np.float32).reshape(-1, 5))
    return boxes


def test_the_part_that_is_shared_is_that_of_the_one_it_is_shared_with_most() -> None:
    boxes = np.array([(0, 0, 10, 10), (20, 0, 30, 10), (100, 0, 110, 10)], np.float32)
    people = np.array([(5, 0, 100, 10, 0.9), (0, 8, 10, 100, 0.9)], np.float32)
    assert shared_part(boxes, people) == pytest.approx([0.5, 1, 0])
    assert shared_part(boxes, people[:0]) == pytest.approx([0, 0, 0])


def test_what_lies_beside_all_people_and_has_no_body_is_no_person(found: list[tuple[float, ...]]) -> None:
    found += [PERSON, CHAIR, (100, 30, 140, 140, 0.4), CUP]  # the third holds a part of the person
    crops = list(false_persons([SCENE], None, sees(False)))  # type: ignore[arg-type]
    assert [tuple(crop.box.tolist()) for crop in crops] == [pytest.approx(CHAIR)]
    assert not crops[0].keypoints.any() and not crops[0].inside.any()
    assert crops[0].picture.shape == (320, 240, 3) and crops[0].source == "things"


def test_somebody_whom_the_labels_lack_is_left_out(found: list[tuple[float, ...]]) -> None:
    found.append(CHAIR)
    assert not list(false_persons([SCENE], None, sees(True)))  # type: ignore[arg-type]


def test_the_surest_of_a_scene_are_taken(found: list[tuple[float, ...]]) -> None:
    found += [CHAIR, TABLE, STATUE]
    crops = list(false_persons([SCENE], None, sees(False), most=2))  # type: ignore[arg-type]
    assert [crop.box[4] for crop in crops] == pytest.approx([0.5, 0.2])


def test_a_pose_network_learns_that_nothing_is_to_be_seen(
    found: list[tuple[float, ...]], tiny_crops: Path, tmp_path: Path
) -> None:
    found += [CHAIR, STATUE]
    write_crops(list(false_persons([SCENE], None, sees(False))), tmp_path / "nobody")  # type: ignore[arg-type]
    assert not CropSet(tmp_path / "nobody").labels.shares.any()
    task = PoseTask(tiny_crops, tmp_path, AUGMENTATIONS["strong"], more=[tmp_path / "nobody"])
    rng = np.random.default_rng(3)
    for _ in range(20):
        sample = task.sample(len(task.crops) - 1, rng)
        assert not sample.visible.any() and not sample.shares.any()
        assert sample.picture.shape == (256, 192, 3)


def test_the_command_looks_through_sets_with_the_committed_detector(
    tiny_crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "onnx_predict", lambda path: sees(False))
    monkeypatch.setattr(module, "LEAST_CONFIDENCE", 0.0)
    line = ["--teacher", "teacher.onnx", "--out", str(tmp_path / "nobody"), "--scenes"]
    assert module.main([*line, str(tiny_crops / "scenes_train")]) == EXIT_OK
    assert len(CropSet(tmp_path / "nobody")) > 0
    assert module.main([*line, str(tmp_path / "missing")]) == EXIT_BAD_INPUT
