import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from calibration.bodies import confirmed, hold_bodies, show_whole_bodies
from calibration.detector_lessons import padded
from calibration.detector_loss import assigned, ciou, detector_losses, joined
from calibration.detector_task import DetectorTask
from calibration.distill_training import Trainer, TrainSettings
from calibration.evaluate_detector import DetectorEvaluation, iou_table, suppressed, whole_persons
from calibration.evaluate_pose import Predict
from calibration.scene_views import SceneAugmentation, View, draw, moved_boxes, training_sample, without_people
from calibration.scenes import Scene, SceneSet, add_picture, letterboxed
from engines.errors import BadInputError
from engines.skeleton import MIRRORED_KEYPOINT

STRIDES = (8, 16, 32)
REG_MAX = 8


def levels(person: float = -4.0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    shapes = [(192 // stride, 320 // stride) for stride in STRIDES]
    return [(torch.zeros(1, 4 * REG_MAX, *shape), torch.full((1, 1, *shape), person)) for shape in shapes]


def test_boxes_are_decoded_from_the_cells_middle_by_expected_distances() -> None:
    logits = levels()
    box, _ = logits[1]
    for side, bin_index in enumerate((1, 2, 3, 4)):  # left, top, right, bottom
        box[0, side * REG_MAX + bin_index, 5, 7] = 50.0
    predictions = joined(logits, STRIDES, REG_MAX)
    cell = 24 * 40 + 5 * 20 + 7
    assert predictions.points[cell].tolist() == [7.5 * 16, 5.5 * 16]
    assert predictions.boxes[0, cell].tolist() == pytest.approx([120 - 16, 88 - 32, 120 + 48, 88 + 64])


def test_ciou_is_one_for_equal_boxes_and_negative_for_distant_ones() -> None:
    box = torch.tensor([[10.0, 10, 50, 90]])
    assert float(ciou(box, box)) == pytest.approx(1, abs=1e-4)
    assert float(ciou(box, box + 200)) < 0


def test_a_person_is_assigned_cells_inside_its_box_that_can_reach_its_sides() -> None:
    predictions = joined(levels(), STRIDES, REG_MAX)
    boxes = torch.tensor([[[20.0, 10, 300, 180]]])
    person, positive, target = assigned(predictions, boxes, torch.ones(1, 1, dtype=torch.bool), REG_MAX)
    assert 0 < int(positive.sum()) <= 10
    assert torch.all(predictions.strides[positive[0]] == 32), "280 px are beyond 2 * 7 * 16"
    assert int(person[positive].max()) == 0
    assert float(target[~positive].abs().max()) == 0


def test_padding_is_assigned_nothing() -> None:
    predictions = joined(levels(), STRIDES, REG_MAX)
    _, positive, target = assigned(predictions, torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool), REG_MAX)
    assert not positive.any()
    assert not target.any()


def test_a_cell_in_an_ignored_region_is_not_punished() -> None:
    logits = levels(person=0.0)
    for _, person in logits:
        person.requires_grad_()
    predictions = joined(logits, STRIDES, REG_MAX)
    nobody = torch.zeros(1, 1, 4)
    absent = torch.zeros(1, 1, dtype=torch.bool)
    losses = detector_losses(predictions, nobody, absent, torch.tensor([[[0.0, 0, 160, 192]]]), REG_MAX)
    sum(losses.values()).backward()
    gradient = logits[0][1].grad
    assert gradient is not None
    assert float(gradient[..., :20].abs().max()) == 0
    assert float(gradient[..., 20:].min()) > 0


def test_boxes_are_padded_with_a_mask() -> None:
    boxes, present = padded([np.ones((2, 4), np.float32), np.zeros((0, 4), np.float32)])
    assert boxes.shape == (2, 2, 4)
    assert present.tolist() == [[True, True], [False, False]]


def test_letterbox_maps_picture_corners_into_the_input() -> None:
    picture = np.full((400, 200, 3), 255, np.uint8)
    fitted, scale, (left, top) = letterboxed(picture)
    assert fitted.shape == (192, 320, 3)
    assert scale == pytest.approx(0.48)
    assert (left, top) == (112, 0)
    assert fitted[96, 100].tolist() == [114, 114, 114]
    assert fitted[96, 160].tolist() == [255, 255, 255]


PLAIN = SceneAugmentation(strips=0, background=0, degrade=0, colour=0)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size", [(320, 192), (160, 96)])
def test_boxes_move_with_the_scene(seed: int, size: tuple[int, int]) -> None:
    picture = np.zeros((234, 416, 3), np.uint8)
    picture[60:160, 150:230] = 255
    boxes = np.array([[150, 60, 230, 160, 0.9]], np.float32)
    sample = training_sample([Scene(picture, boxes, "drawn")], PLAIN, np.random.default_rng(seed), size)
    assert sample.picture.shape == (size[1], size[0], 3)
    bright = np.argwhere(sample.picture.min(-1) > 220)
    if len(sample.boxes) and len(bright) > 50 and sample.picture[0, 0].min() < 200:
        rows, columns = bright[:, 0], bright[:, 1]
        x1, y1, x2, y2 = sample.boxes[0]
        assert abs(columns.min() - x1) < 3
        assert abs(columns.max() + 1 - x2) < 3
        assert abs(rows.min() - y1) < 3
        assert abs(rows.max() + 1 - y2) < 3


def test_a_mirrored_view_mirrors_its_boxes_too() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[20:60, 10:50] = 255
    view = View(np.array([0.4, 0.4], np.float32), np.array([6, 3], np.float32), True)
    boxes, left = moved_boxes(np.array([[10, 20, 50, 60, 0.9]], np.float32), view, (90, 50))
    assert boxes[0].tolist() == pytest.approx([90 - 26, 11, 90 - 10, 27]) and left[0] == pytest.approx(1)
    bright = np.argwhere(draw(picture, view, np.zeros((50, 90, 3), np.uint8)).min(-1) > 128)
    assert abs(bright.min(0) - [11, 64]).max() <= 1 and abs(bright.max(0) - [26, 79]).max() <= 1


def test_strips_lie_side_by_side_and_keep_their_own_persons() -> None:
    settings = SceneAugmentation(person=1, person_height=(0.5, 0.5), background=0, degrade=0, colour=0)
    boxes = np.array([[150, 60, 180, 160, 0.9]], np.float32)
    scenes = [Scene(np.full((234, 416, 3), value, np.uint8), boxes, "drawn") for value in (90, 240)]
    sample = training_sample(scenes, settings, np.random.default_rng(3))
    assert len(sample.boxes) == 2
    for box, value in zip(sample.boxes, (90, 240), strict=True):
        row, column = int(box[[1, 3]].mean()), int(box[[0, 2]].mean())
        assert np.all(sample.picture[row, column] == value)


def test_a_background_is_a_part_beside_every_box() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 120:] = 200
    scene = Scene(picture, np.array([[30, 0, 80, 100, 0.9], [70, 10, 110, 90, 0.11]], np.float32), "drawn")
    empty = without_people(scene)
    assert empty is not None and empty.shape == (100, 90, 3)
    assert without_people(Scene(picture, np.array([[5, 5, 195, 95, 0.5]], np.float32), "drawn")) is None


def test_a_thing_stands_out_and_is_no_person() -> None:
    boxes = np.array([[5, 5, 195, 95, 0.9]], np.float32)
    scene = Scene(np.full((100, 200, 3), 250, np.uint8), boxes, "drawn")
    settings = SceneAugmentation(strips=0, background=1, things=1, degrade=0, colour=0)
    samples = [training_sample([scene], settings, np.random.default_rng(seed)) for seed in range(5)]
    assert all(len(sample.boxes) == len(sample.ignored) == 0 for sample in samples)
    shares = [float((sample.picture == 250).all(-1).mean()) for sample in samples]
    assert any(0.02 < share < 0.95 for share in shares)


def test_doubtful_boxes_are_ignored_and_hopeless_ones_background() -> None:
    boxes = np.array([[20, 20, 120, 200, 0.9], [150, 20, 220, 200, 0.3], [300, 20, 400, 200, 0.1]], np.float32)
    settings = SceneAugmentation(scale=(0.9, 0.9), person=0, strips=0, background=0, degrade=0, colour=0)
    scene = Scene(np.zeros((234, 416, 3), np.uint8), boxes, "x")
    sample = training_sample([scene], settings, np.random.default_rng(1))
    assert len(sample.boxes) == 1
    assert len(sample.ignored) == 1


def test_sources_can_be_left_out(tiny_crops: Path) -> None:
    assert len(SceneSet(tiny_crops / "scenes_train")) == 16
    assert len(SceneSet(tiny_crops / "scenes_train", frozenset({"drawn"}))) == 0


def test_a_scene_whose_picture_is_missing_or_broken_is_refused(tmp_path: Path) -> None:
    names = ("whole.jpg", "broken.jpg", "missing.jpg")
    rows = [{"file": name, "source": "s", "boxes": [[1, 2, 3, 4, 0.9]]} for name in names]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        add_picture(tar, "whole.jpg", np.full((40, 60, 3), 90, np.uint8))
        member = tarfile.TarInfo("broken.jpg")
        member.size = 9
        tar.addfile(member, io.BytesIO(b"no JPEG 1"))
    scenes = SceneSet(tmp_path / "set")
    assert scenes[0].picture.shape == (40, 60, 3)
    for index in (1, 2):
        with pytest.raises(BadInputError, match=f"{names[index]} is no picture"):
            scenes[index]


def test_suppression_keeps_the_best_of_each_heap() -> None:
    boxes = np.array([[0, 0, 10, 10, 0.5], [1, 0, 11, 10, 0.9], [50, 50, 60, 60, 0.3]], np.float32)
    assert suppressed(boxes)[:, 4].tolist() == pytest.approx([0.9, 0.3])
    assert suppressed(np.zeros((0, 5), np.float32)).shape == (0, 5)


def test_a_person_at_the_edge_or_tiny_or_doubtful_is_not_whole() -> None:
    boxes = [[10, 10, 60, 200, 0.9], [0, 10, 60, 200, 0.9], [10, 10, 20, 30, 0.9], [10, 10, 60, 200, 0.5]]
    assert whole_persons(np.array(boxes, np.float32), 234, 416).tolist() == [True, False, False, False]


def test_recall_and_false_persons_are_counted_against_the_teacher(tiny_crops: Path) -> None:
    evaluation = DetectorEvaluation(tiny_crops)
    perfect = [boxes.copy() for boxes in evaluation.teacher]
    assert evaluation.at_threshold(perfect, 0.5) == (1.0, 0.0)
    stray = np.array([[250, 150, 300, 190, 0.8]], np.float32)
    assert iou_table(stray, perfect[0])[0, 0] < 0.5
    assert evaluation.at_threshold([stray] * 4, 0.5) == (0.0, 1.0)
    assert evaluation.at_threshold([np.zeros((0, 5), np.float32)] * 4, 0.5) == (0.0, 0.0)
    both = [np.concatenate([boxes, stray]) for boxes in perfect]
    assert evaluation.at_false_persons(perfect) == (1.0, pytest.approx(0.2))
    recall, confidence = evaluation.at_false_persons(both)
    assert confidence > 0.8 and recall == evaluation.at_threshold(perfect, confidence)[0]


def test_false_persons_may_be_judged_anew(tiny_crops: Path) -> None:
    evaluation = DetectorEvaluation(tiny_crops)
    stray = np.array([[250, 150, 300, 190, 0.8]], np.float32)
    both = [np.concatenate([boxes, stray]) for boxes in evaluation.teacher]
    unknown = evaluation.unknown(both)
    assert [verdict.tolist() for verdict in unknown] == [[False] * len(boxes) + [True] for boxes in evaluation.teacher]
    excused = [verdict & (index > 0) for index, verdict in enumerate(unknown)]
    assert evaluation.at_threshold(both, 0.5)[1] == 1.0
    assert evaluation.at_threshold(both, 0.5, excused)[1] == 0.75
    assert evaluation.unknown([np.zeros((0, 5), np.float32)] * 4)[0].shape == (0,)


def test_a_box_holds_a_body_where_the_pose_teacher_sees_one() -> None:
    picture, box = np.zeros((300, 300, 3), np.uint8), np.array([100, 50, 190, 170, 0.9], np.float32)

    def teacher(reach: float, confidence: float = 0.9) -> Predict:
        """Sees joints on a grid that reaches over a part of the window's middle."""
        places = np.stack(np.meshgrid(np.linspace(-0.4, 0.4, 4), np.linspace(-0.4, 0.4, 4)), -1).reshape(-1, 2)

        def predict(windows: np.ndarray) -> np.ndarray:
            maps = np.zeros((len(windows), 17, 64, 48), np.float32)
            for joint, (x, y) in enumerate(places * reach):
                column, row = round(24 + x * 48), round(32 + y * 64)
                maps[0, joint, row, column] = confidence
                maps[1, MIRRORED_KEYPOINT[joint], row, 48 - column] = confidence
            return maps

        return predict

    assert hold_bodies(picture, box[None], teacher(1)).tolist() == [True]
    assert hold_bodies(picture, box[None], teacher(0.4)).tolist() == [False]
    assert hold_bodies(picture, box[None], teacher(1, 0.5)).tolist() == [False]
    assert hold_bodies(picture, np.zeros((0, 5), np.float32), teacher(1)).shape == (0,)


def test_the_detector_learns_drawn_persons(tiny_crops: Path, tmp_path: Path) -> None:
    task = DetectorTask(
        tiny_crops,
        SceneAugmentation(scale=(0.9, 1.1), person=0, strips=0, background=0, degrade=0, colour=0),
        batch_size=4,
    )
    settings = TrainSettings(epochs=3, warmup_steps=2, learning_rate=4e-3, average=0.8, evaluate_every=3)
    trainer = Trainer(task, settings, tmp_path, torch.device("cpu"))
    last = trainer.train(Console(quiet=True))
    losses = [sum(value for name, value in row.items() if name.endswith("_loss")) for row in trainer.state.history]
    assert losses[-1] < losses[0]
    assert 0 <= last["recall_0.4"] <= 1


@pytest.mark.parametrize(("unseen", "whole"), [((), True), ((0, 3, 9), True), ((16,), False), ((6, 11), False)])
def test_a_whole_body_shows_shoulders_hips_knees_and_ankles(unseen: tuple[int, ...], whole: bool) -> None:
    def predict(windows: np.ndarray) -> np.ndarray:
        maps = np.zeros((len(windows), 17, 64, 48), np.float32)
        for joint in set(range(17)) - set(unseen):
            maps[0, joint, 20, 20] = maps[1, MIRRORED_KEYPOINT[joint], 20, 28] = 0.9
        return maps

    picture, box = np.zeros((300, 300, 3), np.uint8), np.array([100, 50, 190, 170, 0.9], np.float32)
    assert show_whole_bodies(picture, box[None], predict).tolist() == [whole]
    assert show_whole_bodies(picture, np.zeros((0, 5), np.float32), predict).shape == (0,)


def test_recall_can_be_of_some_of_the_persons(tiny_crops: Path) -> None:
    evaluation = DetectorEvaluation(tiny_crops)
    found = [boxes if index else boxes[:0] for index, boxes in enumerate(evaluation.teacher)]
    some = [whole & (index > 0) for index, whole in enumerate(evaluation.whole)]
    assert evaluation.at_threshold(found, 0.5)[0] == 0.75
    assert evaluation.at_threshold(found, 0.5, wanted=some)[0] == 1.0


SEEN = np.array([[100, 50, 190, 170, 0.81], [100, 50, 190, 110, 0.5], [300, 50, 390, 170, 0.6]], np.float32)
"""A body, a half of it, and something else."""


def one_body(windows: np.ndarray) -> np.ndarray:
    """A pose network that sees one body in windows that begin black, however they lie, and none in others."""
    maps = np.zeros((len(windows), 17, 64, 48), np.float32)
    for number, window in enumerate(windows):
        rows, columns = np.nonzero(window[..., 0] > 128)
        if len(rows):
            top, bottom, left, right = rows.min() // 4, rows.max() // 4, columns.min() // 4, columns.max() // 4
            maps[number, ::2, top, left] = maps[number, 1::2, bottom, right] = 0.9
    return maps


def test_who_is_there_is_told_by_both_networks_and_only_once() -> None:
    picture = np.zeros((300, 500, 3), np.uint8)
    picture[60:160, 120:170] = 255
    boxes = SEEN.copy()
    people = confirmed(picture, boxes, one_body)
    sure = people[people[:, 4] > 0]
    assert len(sure) == 1 and np.array_equal(boxes, SEEN)
    framed = np.array([120 - 8, 60 - 12, 170 + 8, 160 + 8])
    assert sure[0, :4] == pytest.approx(0.75 * SEEN[0, :4] + 0.25 * framed, abs=3)
    overlap = iou_table(SEEN[:1], framed[None].astype(np.float32))[0, 0]
    assert sure[0, 4] == pytest.approx(0.9 * np.cbrt(SEEN[0, 4]) * np.sqrt(overlap), abs=0.02)
    assert confirmed(picture, boxes[:0], one_body).shape == (0, 5)


def test_boxes_lead_from_the_detectors_input_to_the_scene_and_back(tiny_crops: Path) -> None:
    evaluation = DetectorEvaluation(tiny_crops)
    for number, teacher in enumerate(evaluation.teacher):
        there = evaluation.in_scene(number, teacher)
        assert there == pytest.approx(evaluation.scenes[number].boxes, abs=1e-3)
        assert evaluation.in_input(number, there) == pytest.approx(teacher, abs=1e-3)
