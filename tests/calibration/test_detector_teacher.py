from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from calibration.detector_loss import assigned, joined, teacher_losses
from calibration.detector_task import TEACHER_SHARE, DetectorTask, teacher_of
from calibration.evaluate_detector import scaled_rgb
from engines.download import file_sha256
from engines.errors import BadInputError, EngineError
from engines.networks.yolov5_compact import YoloCompact

STRIDES = (8, 16, 32)
REG_MAX = 8
TEACHERS_REG_MAX = 16
NOBODY = torch.zeros(1, sum(192 * 320 // stride**2 for stride in STRIDES))


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
    losses = teacher_losses(predictions, joined(one_sure_cell(REG_MAX, 3), STRIDES, REG_MAX), NOBODY, REG_MAX)
    assert losses["box_loss"].item() == pytest.approx(0, abs=1e-4)
    assert losses["distance_loss"].item() == pytest.approx(0, abs=1e-4)
    losses["class_loss"].backward()
    for _, person in logits:
        assert person.grad is not None and float(person.grad.abs().max()) < 1e-6


def test_cells_are_drawn_to_the_teachers_probability_and_box() -> None:
    teacher = joined(one_sure_cell(TEACHERS_REG_MAX, 3), STRIDES, TEACHERS_REG_MAX)
    logits = levels(REG_MAX, -2.0)
    for box, person in logits:
        box.requires_grad_()
        person.requires_grad_()
    losses = teacher_losses(joined(logits, STRIDES, REG_MAX), teacher, NOBODY, REG_MAX)
    (losses["class_loss"] + losses["distance_loss"]).backward()
    box, person = logits[1]
    assert person.grad is not None and box.grad is not None
    assert float(person.grad[0, 0, 5, 7]) < 0, "more probable, as the teacher has it"
    assert float(person.grad[0, 0, 5, 8]) > 0
    assert box.grad[0, :, 5, 7].view(4, REG_MAX).argmin(1).tolist() == [3] * 4, "each side goes to 3 strides"
    elsewhere = box.grad.clone()
    elsewhere[0, :, 5, 7] = 0
    assert float(elsewhere.abs().max()) == 0


def test_who_is_labelled_is_a_person_even_where_the_teacher_sees_nobody() -> None:
    blind = joined(levels(TEACHERS_REG_MAX, -12.0), STRIDES, TEACHERS_REG_MAX)
    logits = levels(REG_MAX, -2.0)
    for _, person in logits:
        person.requires_grad_()
    labelled = NOBODY.clone()
    labelled[0, 24 * 40 + 5 * 20 + 7] = 0.8  # row 5, column 7 of the middle level
    teacher_losses(joined(logits, STRIDES, REG_MAX), blind, labelled, REG_MAX)["class_loss"].backward()
    gradient = logits[1][1].grad
    assert gradient is not None and float(gradient[0, 0, 5, 7]) < 0
    assert float(gradient[0, 0, 5, 8]) > 0


def test_a_box_that_a_cell_cannot_reach_is_not_learnt_there() -> None:
    teacher = joined(one_sure_cell(TEACHERS_REG_MAX, 9), STRIDES, TEACHERS_REG_MAX)
    logits = levels(REG_MAX, -2.0)
    for _, person in logits:
        person.requires_grad_()
    losses = teacher_losses(joined(logits, STRIDES, REG_MAX), teacher, NOBODY, REG_MAX)
    assert float(losses["box_loss"]) == float(losses["distance_loss"]) == 0
    losses["class_loss"].backward()
    gradient = logits[1][1].grad
    assert gradient is not None and float(gradient[0, 0, 5, 7]) > 0


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
        _, _, targets = assigned(predictions, batch.boxes, batch.present, REG_MAX)
        theirs = teacher_losses(predictions, joined(taught.teacher(image), STRIDES, REG_MAX), targets, REG_MAX)
    for name, value in labelled.items():
        assert both[name].item() == pytest.approx(0.3 * value.item() + 0.7 * theirs[name].item(), rel=1e-3)
        assert abs(value.item() - theirs[name].item()) > 1e-3
    sum(both.values()).backward()
    assert all(value.grad is None for value in taught.teacher.parameters())
    record = taught.record()
    assert record["teacher_sha256"] == file_sha256(file) and record["teacher_share"] == TEACHER_SHARE
    assert alone.record()["teacher_sha256"] is None and alone.record()["teacher_share"] == 0


@pytest.mark.parametrize("name", ["missing.pt", "tinypose.onnx", "weights.pth"])
def test_what_can_be_no_teacher_is_refused(tmp_path: Path, name: str) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"something")
    with pytest.raises(BadInputError, match=name):
        teacher_of(tmp_path / name)


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
