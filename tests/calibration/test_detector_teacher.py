import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from calibration.detector_lessons import TEACHER_SHARE
from calibration.detector_loss import answers_of, joined, teacher_losses
from calibration.detector_task import DetectorTask, teacher_of
from calibration.evaluate_detector import THRESHOLDS, DetectorEvaluation, Levels, TwiceSeen, scaled_rgb
from calibration.report import CONFIRMED, named_detectors, print_detector_table
from engines.download import file_sha256
from engines.errors import BadInputError, EngineError
from engines.networks.yolov5_compact import YoloCompact

STRIDES = (8, 16, 32)
REG_MAX = 8
TEACHERS_REG_MAX = 16


def levels(bins: int, person: float, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(seed)
    shapes = [(192 // stride, 320 // stride) for stride in STRIDES]
    return [(torch.randn(1, 4 * bins, *shape, generator=draw), torch.full((1, 1, *shape), person)) for shape in shapes]


def one_sure_cell(bins: int, side: int, level: int = 1) -> list[tuple[Tensor, Tensor]]:
    """A teacher who is sure of one person: row 5, column 7 of a level, `side` strides to each of its sides."""
    logits = levels(bins, -12.0)
    box, person = logits[level]
    person[0, 0, 5, 7] = 3.0
    for group in range(4):
        box[0, group * bins + side, 5, 7] = 60.0
    return logits


def test_who_agrees_with_the_teacher_has_nothing_to_learn() -> None:
    logits = one_sure_cell(REG_MAX, 3)
    for _, person in logits:
        person.requires_grad_()
    predictions = joined(logits, STRIDES, REG_MAX)
    losses = teacher_losses(predictions, answers_of(joined(one_sure_cell(REG_MAX, 3), STRIDES, REG_MAX)), REG_MAX)
    assert losses["box_loss"].item() == pytest.approx(0, abs=1e-4)
    assert losses["distance_loss"].item() == pytest.approx(0, abs=1e-4)
    losses["class_loss"].backward()
    for _, person in logits:
        assert person.grad is not None and float(person.grad.abs().max()) < 1e-6


def test_cells_are_drawn_to_the_teachers_probability_and_box() -> None:
    teacher = answers_of(joined(one_sure_cell(TEACHERS_REG_MAX, 3), STRIDES, TEACHERS_REG_MAX))
    logits = levels(REG_MAX, -2.0)
    for box, person in logits:
        box.requires_grad_()
        person.requires_grad_()
    losses = teacher_losses(joined(logits, STRIDES, REG_MAX), teacher, REG_MAX)
    (losses["class_loss"] + losses["distance_loss"]).backward()
    box, person = logits[1]
    assert person.grad is not None and box.grad is not None
    assert float(person.grad[0, 0, 5, 7]) < 0, "more probable, as the teacher has it"
    assert float(person.grad[0, 0, 5, 8]) > 0
    assert box.grad[0, :, 5, 7].view(4, REG_MAX).argmin(1).tolist() == [3] * 4, "each side goes to 3 strides"
    elsewhere = box.grad.clone()
    elsewhere[0, :, 5, 7] = 0
    assert float(elsewhere.abs().max()) == 0


def test_a_box_that_a_cell_cannot_reach_is_not_learnt_there() -> None:
    teacher = answers_of(joined(one_sure_cell(TEACHERS_REG_MAX, 9), STRIDES, TEACHERS_REG_MAX))
    logits = levels(REG_MAX, -2.0)
    for _, person in logits:
        person.requires_grad_()
    losses = teacher_losses(joined(logits, STRIDES, REG_MAX), teacher, REG_MAX)
    assert float(losses["box_loss"]) == float(losses["distance_loss"]) == 0
    losses["class_loss"].backward()
    gradient = logits[1][1].grad
    assert gradient is not None and float(gradient[0, 0, 5, 7]) > 0


def mean_colours(image: Tensor) -> tuple[Tensor, Tensor]:
    """A detector whose logits are the mean colour of a cell; its boxes have one bin a side."""
    cells = torch.cat([F.avg_pool2d(image, stride).flatten(2) for stride in STRIDES], 2)
    return cells[:, :1].expand(-1, 4, -1), cells.mean(1)


def test_who_looks_twice_sees_the_doubled_picture_in_the_cells_of_the_picture() -> None:
    detector = Levels(mean_colours, STRIDES, 1)
    slope = torch.linspace(0, 1, 320) + 2 * torch.linspace(0, 1, 192)[:, None]
    picture = slope.expand(2, 3, 192, 320).contiguous()
    once, twice = detector(picture), TwiceSeen(detector)(picture)
    for (box, person), (other_box, other_person) in zip(twice, once, strict=True):
        torch.testing.assert_close(box, other_box, rtol=0, atol=3e-3)
        torch.testing.assert_close(person, other_person, rtol=0, atol=3e-3)


def test_a_box_of_the_doubled_picture_is_that_of_the_picture() -> None:
    """A person of 48 px around a point: 3 strides of 8 px a side, and 3 of 16 px where the picture is doubled."""

    def box(image: Tensor) -> tuple[Tensor, Tensor]:
        cells = sum(image.shape[2] * image.shape[3] // stride**2 for stride in STRIDES)
        finest = image.shape[2] * image.shape[3] // STRIDES[0] ** 2
        logits = torch.full((1, 4, 8, cells), -60.0)
        doubled = image.shape[3] == 640
        reach = torch.full((cells,), 3)
        reach[:finest] = 6 if doubled else 3
        logits[0, :, reach, torch.arange(cells)] = 60.0
        return logits.flatten(1, 2), torch.zeros(1, cells)

    detector, picture = Levels(box, STRIDES, 8), torch.zeros(1, 3, 192, 320)
    seen = joined(TwiceSeen(detector)(picture), STRIDES, 8)
    at = 24 * 40 // 2 + 20
    middle = seen.points[at]
    torch.testing.assert_close(seen.boxes[0, at], torch.cat([middle - 24, middle + 24]))


def test_only_the_coarsest_level_is_of_the_picture_itself() -> None:
    def widths(image: Tensor) -> tuple[Tensor, Tensor]:
        cells = sum(image.shape[2] * image.shape[3] // stride**2 for stride in STRIDES)
        return torch.zeros(len(image), 4, cells), torch.full((len(image), cells), float(image.shape[3]))

    seen = TwiceSeen(Levels(widths, STRIDES, 1))(torch.zeros(1, 3, 192, 320))
    assert [level[1].unique().tolist() for level in seen] == [[640], [640], [320]]


def test_a_table_has_rows_for_a_checkpoint_as_it_is_and_as_it_teaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.report.detector_of", lambda path: Levels(mean_colours, STRIDES, 1))
    rows = [(name, type(one)) for name, one in named_detectors([Path("own.safetensors"), Path("yolo.pt")])]
    assert rows == [("own safetensors", Levels), ("yolo pt", Levels), ("yolo pt, looking twice", TwiceSeen)]


@pytest.mark.parametrize("judged", [False, True])
def test_the_table_says_of_bodies_only_what_a_pose_teacher_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_crops: Path, judged: bool
) -> None:
    def sees_no_body(windows: np.ndarray) -> np.ndarray:
        return np.zeros((len(windows), 17, 64, 48), np.float32)

    monkeypatch.setattr("calibration.report.onnx_predict", lambda path: sees_no_body)
    torch.manual_seed(4)
    save_file(YoloCompact().state_dict(), tmp_path / "own.safetensors")
    console = Console(record=True, width=200, file=io.StringIO())
    teacher = tmp_path / "pose.onnx" if judged else None
    print_detector_table(tiny_crops, [tmp_path / "own.safetensors"], teacher, torch.device("cpu"), console)
    table = console.export_text()
    assert table.count("own safetensors") == len(THRESHOLDS) + (2 if judged else 1)
    assert ("recall of 0 whole bodies" in table) == ("without a body" in table) == judged


def test_the_table_has_rows_for_persons_in_whom_a_pose_network_sees_a_body(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_crops: Path
) -> None:
    """The detector finds every drawn person and a chair; the pose network sees a body in the persons alone."""
    evaluation, chair = DetectorEvaluation(tiny_crops), np.array([[250, 150, 300, 190, 0.8]], np.float32)
    found = [np.concatenate([boxes, chair]) for boxes in evaluation.teacher]

    def sees_bodies(picture: np.ndarray, boxes: np.ndarray, pose: object) -> np.ndarray:
        result = boxes.copy()
        result[boxes[:, 1] > 150, 4] = 0
        return result

    monkeypatch.setattr("calibration.report.confirmed", sees_bodies)
    monkeypatch.setattr("calibration.report.pose_predict", lambda path, device: None)
    monkeypatch.setattr(DetectorEvaluation, "detections", lambda *_, **__: found)
    own = tmp_path / "own.safetensors"
    save_file(YoloCompact().state_dict(), own)
    console = Console(record=True, width=200, file=io.StringIO())
    print_detector_table(tiny_crops, [own], None, torch.device("cpu"), console, pose=Path("small.safetensors"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines()]
    alone = [row[1:5] for row in rows if row and row[0] == "own safetensors"]
    together = [row[1:5] for row in rows if row and row[0] == "own safetensors, small sees a body"]
    assert alone[1] == ["0.20", "1.000", "0.000", "1.000"]
    assert together[0] == ["0.15", "1.000", "0.000", "under 0.05"]
    assert together[1:] == [[f"{confidence:.2f}", "1.000", "0.000", "0.000"] for confidence in CONFIRMED]


def test_a_teacher_has_its_share_of_the_loss_and_is_recorded(tiny_crops: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    file = tmp_path / "teacher.safetensors"
    save_file(YoloCompact().state_dict(), file)
    alone, taught = DetectorTask(tiny_crops, batch_size=2), DetectorTask(tiny_crops, batch_size=2, teacher=file)
    network, cpu, batch = alone.network().eval(), torch.device("cpu"), alone.batch(0, 0)
    labelled, both = alone.losses(network, batch, cpu), taught.losses(network, batch, cpu)
    assert taught.teacher is not None
    image = scaled_rgb(batch.pictures)
    with torch.no_grad():
        predictions = joined(network(image), STRIDES, REG_MAX)
        theirs = teacher_losses(predictions, answers_of(joined(taught.teacher(image), STRIDES, REG_MAX)), REG_MAX)
    for name, value in labelled.items():
        assert both[name].item() == pytest.approx(0.15 * value.item() + 0.85 * theirs[name].item(), rel=1e-3)
        assert abs(value.item() - theirs[name].item()) > 1e-3
    sum(both.values()).backward()
    assert all(value.grad is None for value in taught.teacher.parameters())
    record = taught.record()
    assert not record["teacher_looks_twice"], "our own detector knows people at the size of the picture"
    assert record["teacher_sha256"] == file_sha256(file) and record["teacher_share"] == TEACHER_SHARE
    assert alone.record()["teacher_sha256"] is None and alone.record()["teacher_share"] == 0


@pytest.mark.parametrize("name", ["missing.pt", "tinypose.onnx", "weights.pth"])
def test_what_can_be_no_teacher_is_refused(tmp_path: Path, name: str) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"something")
    with pytest.raises(BadInputError, match=name):
        teacher_of(tmp_path / name)


def test_a_checkpoint_teaches_by_looking_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_crops: Path
) -> None:
    monkeypatch.setattr("calibration.detector_task.detector_of", lambda path: Levels(mean_colours, STRIDES, 1))
    (tmp_path / "yolo.pt").write_bytes(b"read by nobody")
    assert isinstance(teacher_of(tmp_path / "yolo.pt"), TwiceSeen)
    assert DetectorTask(tiny_crops, batch_size=2, teacher=tmp_path / "yolo.pt").record()["teacher_looks_twice"]


def test_a_teacher_of_other_strides_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Detect(torch.nn.Module):
        reg_max, stride = 16, torch.tensor([4.0, 8.0, 16.0, 32.0])

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.Sequential(Detect())

    monkeypatch.setattr("engines.networks.yolov5.read_checkpoint", lambda path: Model())
    (tmp_path / "p2.pt").write_bytes(b"read by nobody")
    with pytest.raises(EngineError, match="stride 4, 8, 16, 32"):
        teacher_of(tmp_path / "p2.pt")
