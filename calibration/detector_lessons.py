"""What learning the compact detector is, wherever its pictures come from. Knows batches and losses, no files."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calibration.answered import AnsweredPicture
from calibration.crops import FloatArray
from calibration.detector_loss import Answers, answers_of, detector_losses, joined, teacher_losses
from calibration.evaluate_detector import Detector, DetectorEvaluation, scaled_rgb
from calibration.scene_views import SceneSample
from engines.networks.yolov5_compact import YoloCompact

TEACHER_SHARE = 0.85
"""Of the loss, where a teacher looks at the same pictures; the rest is that of the labelled boxes."""


@dataclass(frozen=True)
class SceneBatch:
    """B training examples, px of the input.

    Attributes:
        pictures: `uint8 [B, h, w, 3]`, BGR.
        boxes: `float32 [B, M, 4]`, padded.
        present: `bool [B, M]`.
        ignored: `float32 [B, I, 4]`, padded with zeros.
        answers: a teacher's, where it was asked before.
    """

    pictures: Tensor
    boxes: Tensor
    present: Tensor
    ignored: Tensor
    answers: Answers | None = None

    def __len__(self) -> int:
        return len(self.pictures)


def padded(boxes: Sequence[FloatArray]) -> tuple[Tensor, Tensor]:
    """Boxes of each picture `[M_i, 4]` as `float32 [B, M, 4]` and `bool [B, M]`, with M at least 1."""
    most = max(1, *(len(rows) for rows in boxes))
    result = torch.zeros(len(boxes), most, 4)
    present = torch.zeros(len(boxes), most, dtype=torch.bool)
    for index, rows in enumerate(boxes):
        result[index, : len(rows)] = torch.from_numpy(rows)
        present[index, : len(rows)] = True
    return result, present


def batch_of(samples: Sequence[SceneSample | AnsweredPicture]) -> SceneBatch:
    """Training examples as one batch."""
    boxes, present = padded([sample.boxes for sample in samples])
    ignored, _ = padded([sample.ignored for sample in samples])
    pictures = torch.from_numpy(np.stack([sample.picture for sample in samples]))
    answered = [sample for sample in samples if isinstance(sample, AnsweredPicture)]
    if not answered:
        return SceneBatch(pictures, boxes, present, ignored)
    person, sides = (np.stack([getattr(sample, name) for sample in answered]) for name in ("person", "sides"))
    answers = Answers(torch.from_numpy(person), torch.from_numpy(sides))
    return SceneBatch(pictures, boxes, present, ignored, answers)


@torch.no_grad()
def asked(teacher: Detector, pictures: Tensor, device: torch.device) -> Answers:
    """What a teacher says of pictures `uint8 [B, h, w, 3]`; in bfloat16 where the caller's autocast says so."""
    image = scaled_rgb(pictures.to(device)).contiguous(memory_format=torch.channels_last)
    levels = teacher.to(device)(image)
    with torch.autocast(device.type, enabled=False):
        return answers_of(joined(levels, teacher.strides, teacher.reg_max))


class DetectorLessons:
    """What every way to train `yolov5_compact` has in common.

    Args:
        crops: the folder with `scenes_holdout`.
        batch_size: pictures a step.
        seed: of everything random.
        most_batches: of an epoch, each of which draws its pictures anew; all of them when None.
    """

    name = "detector"
    pictures: Sized
    """All there are to draw from."""

    def __init__(self, crops: Path, batch_size: int, seed: int, most_batches: int | None) -> None:
        self.evaluation = DetectorEvaluation(crops)
        self.batch_size, self.seed, self.most_batches = batch_size, seed, most_batches

    def network(self) -> YoloCompact:
        """A fresh `yolov5_compact`."""
        return YoloCompact()

    def batches(self, epoch: int) -> int:
        """Whole batches in an epoch; the last part of one is left out."""
        whole = len(self.pictures) // self.batch_size
        return min(whole, self.most_batches or whole)

    def drawn(self, epoch: int, index: int) -> tuple[npt.NDArray[np.int64], np.random.Generator]:
        """Which pictures are in batch `index` of an epoch, and where its randomness comes from."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.pictures))
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        return chosen, np.random.default_rng((self.seed, epoch, index))

    def losses(self, network: nn.Module, batch: SceneBatch, device: torch.device) -> dict[str, Tensor]:
        """Class, box and distance terms: of the labelled boxes, and of a teacher's answers where there are any."""
        assert isinstance(network, YoloCompact)
        image = scaled_rgb(batch.pictures.to(device)).contiguous(memory_format=torch.channels_last)
        levels = network(image)
        with torch.autocast(device.type, enabled=False):
            predictions = joined(levels, network.strides, network.reg_max)
            boxes, present, ignored = (value.to(device) for value in (batch.boxes, batch.present, batch.ignored))
            labelled = detector_losses(predictions, boxes, present, ignored, network.reg_max)
            if batch.answers is None:
                return labelled
            answers = Answers(batch.answers.person.to(device), batch.answers.sides.to(device))
            theirs = teacher_losses(predictions, answers, network.reg_max)
            return {name: torch.lerp(labelled[name], theirs[name], TEACHER_SHARE) for name in labelled}

    def evaluate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Recall and false persons on the held-back scenes."""
        assert isinstance(network, YoloCompact)
        return self.evaluation.metrics(network, device)
