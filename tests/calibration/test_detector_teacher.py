from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from calibration.detector_loss import joined, teacher_losses
from calibration.detector_task import TEACHER_SHARE, DetectorTask
from engines.download import file_sha256
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
    losses = teacher_losses(predictions, joined(one_sure_cell(REG_MAX, 3), STRIDES, REG_MAX), REG_MAX)
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
    teacher = joined(one_sure_cell(TEACHERS_REG_MAX, 9), STRIDES, TEACHERS_REG_MAX)
    logits = levels(REG_MAX, -2.0)
    for _, person in logits:
        person.requires_grad_()
    losses = teacher_losses(joined(logits, STRIDES, REG_MAX), teacher, REG_MAX)
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
    for name, value in labelled.items():
        assert torch.isfinite(both[name]) and both[name].item() != value.item()
    sum(both.values()).backward()
    assert taught.teacher is not None and all(value.grad is None for value in taught.teacher.parameters())
    record = taught.record()
    assert record["teacher_sha256"] == file_sha256(file) and record["teacher_share"] == TEACHER_SHARE
    assert alone.record()["teacher_sha256"] is None and alone.record()["teacher_share"] == 0
