"""The compact detector's loss: task-aligned assignment, CIoU, distribution focal loss. Knows tensors, no pictures."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CANDIDATES = 10
"""Cells a person may have, the best aligned ones."""
BOX_WEIGHT, DISTANCE_WEIGHT, CLASS_WEIGHT = 7.5, 1.5, 0.5
LEAST_TAUGHT = 0.02
"""The teacher's probability, from which on its box of a cell is learnt."""


@dataclass(frozen=True)
class Predictions:
    """All cells of all levels, A of them.

    Attributes:
        points: `float32 [A, 2]`, anchor points, px.
        strides: `float32 [A, 1]`, px.
        distances: `float32 [N, A, 4, reg_max]`, box logits.
        person: `float32 [N, A]`, class logits.
        boxes: `float32 [N, A, 4]`, x1, y1, x2, y2 px; without gradient.
    """

    points: Tensor
    strides: Tensor
    distances: Tensor
    person: Tensor
    boxes: Tensor


def joined(levels: list[tuple[Tensor, Tensor]], strides: tuple[int, ...], reg_max: int) -> Predictions:
    """The network's levels as one list of cells, boxes decoded.

    Args:
        levels: box logits `[N, 4 * reg_max, h, w]` and class logits `[N, 1, h, w]`, a pair a stride.
        strides: px.
        reg_max: bins a side.
    """
    points, sizes = [], []
    for (_, person), stride in zip(levels, strides, strict=True):
        rows, columns = (torch.arange(count, device=person.device) + 0.5 for count in person.shape[2:])
        grid = torch.stack([columns.repeat(len(rows)), rows.repeat_interleave(len(columns))], -1)
        points.append(grid * stride)
        sizes.append(torch.full((len(grid), 1), float(stride), device=person.device))
    place, size = torch.cat(points), torch.cat(sizes)
    distances = torch.cat([box.float().flatten(2) for box, _ in levels], 2).mT.unflatten(2, (4, reg_max))  # type: ignore[no-untyped-call]
    person = torch.cat([level.float().flatten(1) for _, level in levels], 1)
    with torch.no_grad():
        boxes = decoded(distances, place, size)
    return Predictions(place, size, distances, person, boxes)


def decoded(distances: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes `[..., 4]`, px, of box logits `[..., 4, bins]` at points `[..., 2]` of levels of strides `[..., 1]`."""
    bins = torch.arange(distances.shape[-1], device=distances.device, dtype=torch.float32)
    sides = (distances.softmax(-1) @ bins) * strides
    return torch.cat([points - sides[..., :2], points + sides[..., 2:]], -1)


def ciou(first: Tensor, second: Tensor) -> Tensor:
    """Complete IoU (Zheng et al. 2020) of boxes `[..., 4]`; at most 1, below 0 for far boxes."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    overlap = (high - low).clamp_min(0).prod(-1)
    size1, size2 = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    iou = overlap / (size1.prod(-1) + size2.prod(-1) - overlap + 1e-6)
    hull = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    middle = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    apart = middle.square().sum(-1) / (hull.square().sum(-1) + 1e-6)
    angles = [torch.atan2(size[..., 0], size[..., 1].clamp_min(1e-3)) for size in (size1, size2)]
    shape = (4 / math.pi**2) * (angles[0] - angles[1]).square()
    with torch.no_grad():
        trade = shape / (1 - iou + shape + 1e-6)
    return iou - apart - trade * shape


def inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points `[A, 2]` lie in which boxes `[N, M, 4]`: `bool [N, M, A]`."""
    low, high = boxes[:, :, None, :2], boxes[:, :, None, 2:]
    return ((points > low) & (points < high)).all(-1)


@torch.no_grad()
def assigned(predictions: Predictions, boxes: Tensor, present: Tensor, reg_max: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which cell answers for which person (TOOD: Feng et al. 2021).

    Args:
        predictions: of N pictures.
        boxes: `float32 [N, M, 4]`, persons, padded.
        present: `bool [N, M]`, not padding.
        reg_max: bins a side; a cell that cannot reach a side is no candidate.

    Returns:
        Person of each cell `int64 [N, A]`, whether it has one `bool [N, A]`, and the class target `float32 [N, A]`.
    """
    images, slots = present.nonzero(as_tuple=True)  # P persons, without the padding
    wanted = boxes[images, slots]
    cells = predictions.boxes.shape[:2]
    reach = (reg_max - 1) * predictions.strides[:, 0]
    points = predictions.points
    near, far = points - wanted[:, None, :2], wanted[:, None, 2:] - points
    sides = torch.maximum(near, far).amax(-1)  # [P, A]
    possible = (torch.minimum(near, far).amin(-1) > 0) & (sides < reach)
    overlap = ciou(predictions.boxes[images], wanted[:, None]).clamp(0) * possible
    alignment = predictions.person.sigmoid()[images].sqrt() * overlap.pow(6) + 1e-9 * possible
    best = alignment.topk(min(CANDIDATES, alignment.shape[1]), -1)
    chosen = torch.zeros_like(alignment).scatter_(1, best.indices, (best.values > 0).float()) > 0
    overlap_chosen = torch.where(chosen, overlap, -1.0)
    most = torch.full(cells, -1.0, device=boxes.device)
    most.scatter_reduce_(0, images[:, None].expand_as(overlap_chosen), overlap_chosen, "amax")
    own = chosen & (overlap_chosen == most[images])  # a cell wanted by several goes to the one it fits best
    alignment, overlap = alignment * own, overlap * own
    scaled = alignment / (alignment.amax(1, keepdim=True) + 1e-9) * overlap.amax(1, keepdim=True)
    person, target = torch.zeros(cells, dtype=torch.long, device=boxes.device), torch.zeros_like(most)
    rows, columns = own.nonzero(as_tuple=True)
    person[images[rows], columns] = slots[rows]
    target[images[rows], columns] = scaled[rows, columns]
    return person, most >= 0, target


def detector_losses(
    predictions: Predictions, boxes: Tensor, present: Tensor, ignored: Tensor, reg_max: int
) -> dict[str, Tensor]:
    """The three terms, each a mean over the class targets.

    Args:
        predictions: of N pictures.
        boxes: `float32 [N, M, 4]`, persons, padded; px.
        present: `bool [N, M]`, not padding.
        ignored: `float32 [N, I, 4]`, regions where no cell is punished; padded with zeros.
        reg_max: bins a side.
    """
    person, positive, target = assigned(predictions, boxes, present, reg_max)
    total = target.sum().clamp_min(1.0)
    counted = positive | ~inside(predictions.points, ignored).any(1)
    classes = F.binary_cross_entropy_with_logits(predictions.person, target, reduction="none")
    losses = {"class_loss": CLASS_WEIGHT * (classes * counted).sum() / total}
    wanted = boxes.gather(1, person[..., None].expand(-1, -1, 4))
    return losses | box_losses(predictions, wanted, target, reg_max)


def box_losses(predictions: Predictions, wanted: Tensor, weight: Tensor, reg_max: int) -> dict[str, Tensor]:
    """How far the boxes of cells are from those they should have, as overlap and as distances; weighted means.

    Args:
        predictions: of N pictures.
        wanted: `float32 [N, A, 4]`, px.
        weight: `float32 [N, A]`, of each cell; only those above 0 are looked at.
        reg_max: bins a side.
    """
    counted = weight > 0
    share = weight[counted] / weight.sum().clamp_min(1.0)
    points, strides = (
        value.expand(len(weight), -1, -1)[counted] for value in (predictions.points, predictions.strides)
    )
    boxes, distances = wanted[counted], predictions.distances[counted]
    overlap = ciou(decoded(distances, points, strides), boxes)
    sides = torch.cat([points - boxes[:, :2], boxes[:, 2:] - points], -1) / strides
    sides = sides.clamp(0, reg_max - 1.01)
    low = sides.long()
    part = sides - low
    logits = distances.flatten(0, 1)
    cost = F.cross_entropy(logits, low.flatten(), reduction="none").view_as(sides) * (1 - part)
    cost = cost + F.cross_entropy(logits, low.flatten() + 1, reduction="none").view_as(sides) * part
    return {
        "box_loss": BOX_WEIGHT * ((1 - overlap) * share).sum(),
        "distance_loss": DISTANCE_WEIGHT * (cost.mean(-1) * share).sum(),
    }


@dataclass(frozen=True)
class Answers:
    """What a teacher says of every cell of N pictures.

    Attributes:
        person: `float32 [N, A]`, probabilities.
        sides: `float32 [N, A, 4]`, from the cell's point to its box's left, top, right and bottom, px; zeros where it
            is less sure of a person than `LEAST_TAUGHT`.
    """

    person: Tensor
    sides: Tensor


def answers_of(teacher: Predictions) -> Answers:
    """A detector's predictions as answers."""
    person = teacher.person.sigmoid()
    sides = torch.cat([teacher.points - teacher.boxes[..., :2], teacher.boxes[..., 2:] - teacher.points], -1)
    return Answers(person, sides * (person >= LEAST_TAUGHT)[..., None])


def teacher_losses(predictions: Predictions, teacher: Answers, reg_max: int) -> dict[str, Tensor]:
    """The same three terms with a teacher's answer of every cell in the place of persons and an assignment.

    A cell's class target is the teacher's probability, 0 where the network cannot reach the sides of a box that it
    gives (from `LEAST_TAUGHT` on); that box counts as much as the probability.

    Args:
        predictions: of N pictures.
        teacher: of the same pictures and cells.
        reg_max: bins a side of the network.
    """
    reached = teacher.sides.abs().amax(-1) < (reg_max - 1) * predictions.strides[:, 0]
    target = teacher.person * reached
    weight = target * teacher.sides.any(-1)
    boxes = torch.cat([predictions.points - teacher.sides[..., :2], predictions.points + teacher.sides[..., 2:]], -1)
    classes = F.binary_cross_entropy_with_logits(predictions.person, target, reduction="none")
    losses = {"class_loss": CLASS_WEIGHT * classes.sum() / target.sum().clamp_min(1.0)}
    return losses | box_losses(predictions, boxes, weight, reg_max)
