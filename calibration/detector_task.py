"""What the compact detector learns from whole pictures, and how. Knows scenes and boxes, not the training loop."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calibration.answered import AnsweredPicture, AnsweredSet
from calibration.crops import FloatArray
from calibration.cutouts import Cutout
from calibration.detector_loss import LEAST_TAUGHT, Answers, answers_of, detector_losses, joined, teacher_losses
from calibration.evaluate_detector import Detector, DetectorEvaluation, TwiceSeen, detector_of, scaled_rgb
from calibration.joined_crops import JoinedCrops
from calibration.scene_views import SceneAugmentation, SceneSample, training_sample
from calibration.scenes import DOUBTFUL_CONFIDENCE, INPUT_SIZE, SURE_CONFIDENCE, Scene, SceneSet
from engines.download import file_sha256
from engines.errors import BadInputError
from engines.networks.yolov5_compact import STRIDES, YoloCompact

LEFT_OUT = frozenset({"coco_mini"})
"""Sources that share pictures with `coco_gt`, which is for evaluation only."""

MOST_PEOPLE = 6
"""Are put into one picture."""
TEACHER_SUFFIXES = (".pt", ".safetensors")
TEACHER_SHARE = 0.85
"""Of the loss, where a teacher looks at the same pictures; the rest is that of the labelled boxes."""
WHOLE_REPEATS = 3
"""How often a whole scene comes in an epoch, where further sets, such as person crops, come once."""


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


def losses_of(network: YoloCompact, batch: SceneBatch, device: torch.device) -> dict[str, Tensor]:
    """Class, box and distance terms: of the labelled boxes, and of a teacher's answers where the batch has them."""
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


@torch.no_grad()
def asked(teacher: Detector, pictures: Tensor, device: torch.device) -> Answers:
    """What a teacher says of pictures `uint8 [B, h, w, 3]`; in bfloat16 where the caller's autocast says so."""
    image = scaled_rgb(pictures.to(device)).contiguous(memory_format=torch.channels_last)
    levels = teacher.to(device)(image)
    with torch.autocast(device.type, enabled=False):
        return answers_of(joined(levels, teacher.strides, teacher.reg_max))


def teacher_of(path: Path) -> Detector:
    """The detector in a `.safetensors` file, or that of a `.pt`, which looks twice; nothing in it learns.

    Raises:
        BadInputError: no such file, or another kind of file.
        EngineError: it holds no such detector.
    """
    if path.suffix not in TEACHER_SUFFIXES or not path.is_file():
        known = path.suffix in TEACHER_SUFFIXES
        raise BadInputError(
            f"no file {path}" if known else f"--teacher {path} is a {path.suffix} file",
            "a YOLOv5u checkpoint (.pt) or yolov5_compact weights (.safetensors) can teach",
            "name another file with --teacher",
        )
    detector = detector_of(path)
    return (TwiceSeen(detector) if path.suffix == ".pt" else detector).eval().requires_grad_(False)


class DetectorTask:
    """Distils `yolov5_compact` from a teacher's boxes.

    Args:
        crops: the folder with `scenes_train` and `scenes_holdout`.
        augmentation: how far scenes are changed.
        batch_size: pictures a step.
        seed: of everything random.
        size: width and height of the pictures trained on, px.
        more: stems of further sets of scenes.
        most_batches: of an epoch, each of which draws its scenes anew; all scenes when None.
        cutouts: outlines of the people of `train` or of `more_crops`, to be put into scenes; paths without suffix.
        more_crops: further person crops that cutouts may be of.
        teacher: a YOLOv5u checkpoint (loading it runs its code) or `yolov5_compact` weights; that detector looks at
            every training picture, a YOLOv5u, which learnt from larger ones, also at it doubled (`TwiceSeen`).

    Raises:
        BadInputError: no such teacher, or a set is missing.
        EngineError: the teacher is no such detector.
    """

    name = "detector"

    def __init__(
        self,
        crops: Path,
        augmentation: SceneAugmentation | None = None,
        batch_size: int = 32,
        seed: int = 0,
        size: tuple[int, int] = INPUT_SIZE,
        more: Sequence[Path] = (),
        most_batches: int | None = None,
        cutouts: Sequence[Path] = (),
        more_crops: Sequence[Path] = (),
        teacher: Path | None = None,
    ) -> None:
        self.teacher = teacher_of(teacher) if teacher else None
        self.teacher_hash = file_sha256(teacher) if teacher else None
        sets = [SceneSet(stem, LEFT_OUT) for stem in (crops / "scenes_train", *more)]
        repeats = WHOLE_REPEATS if more else 1
        chosen = [*sets[:1] * repeats, *sets[1:]]
        self.places = [(one, index) for one in chosen for index in range(len(one))]
        self.hashes = {name: value for one in sets for name, value in one.hashes.items()}
        self.people: list[Cutout] = []
        if cutouts:
            joined = JoinedCrops([crops / "train", *more_crops], None, cutouts)
            self.people, self.hashes = joined.whole_people(), self.hashes | joined.hashes
        self.size, self.most_batches = size, most_batches
        self.evaluation = DetectorEvaluation(crops)
        self.augmentation = augmentation or SceneAugmentation()
        self.batch_size, self.seed = batch_size, seed

    def network(self) -> YoloCompact:
        """A fresh `yolov5_compact`."""
        return YoloCompact()

    def batches(self, epoch: int) -> int:
        """Whole batches in an epoch; the last part of one is left out."""
        whole = len(self.places) // self.batch_size
        return min(whole, self.most_batches or whole)

    def batch(self, epoch: int, index: int) -> SceneBatch:
        """Batch `index` of an epoch, the same whenever asked."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.places))
        rng = np.random.default_rng((self.seed, epoch, index))
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        return batch_of([self.sample(int(scene), rng) for scene in chosen])

    def scene(self, number: int) -> Scene:
        """One of all sets' scenes."""
        scenes, index = self.places[number]
        return scenes[index]

    def sample(self, index: int, rng: np.random.Generator) -> SceneSample:
        """A picture of one scene, or of it and up to three others in strips."""
        others = int(rng.integers(1, 4)) if rng.random() < self.augmentation.strips else 0
        chosen = [index, *(int(other) for other in rng.integers(len(self.places), size=others))]
        count = int(rng.integers(1, MOST_PEOPLE + 1)) if rng.random() < self.augmentation.peopled else 0
        people = [self.people[int(one)] for one in rng.integers(len(self.people), size=count)] if self.people else []
        scenes = [self.scene(one) for one in chosen]
        return training_sample(scenes, self.augmentation, rng, self.size, people)

    def losses(self, network: nn.Module, batch: SceneBatch, device: torch.device) -> dict[str, Tensor]:
        """Class, box and distance terms: of the labelled boxes, and of the teacher's answers where there is one."""
        assert isinstance(network, YoloCompact)
        return losses_of(network, self.answered(batch, device), device)

    def answered(self, batch: SceneBatch, device: torch.device) -> SceneBatch:
        """The batch with the teacher's answers, where there is a teacher."""
        return batch if self.teacher is None else replace(batch, answers=asked(self.teacher, batch.pictures, device))

    def evaluate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Recall and false persons on the held-back scenes."""
        assert isinstance(network, YoloCompact)
        return self.evaluation.metrics(network, device)

    def record(self) -> dict[str, Any]:
        """Hashes and settings."""
        return {
            "data_sha256": self.hashes | self.evaluation.hashes,
            "left_out": sorted(LEFT_OUT),
            "scenes": len(self.places),
            "people": len(self.people),
            "teacher_sha256": self.teacher_hash,
            "teacher_looks_twice": isinstance(self.teacher, TwiceSeen),
            "teacher_share": 0.0 if self.teacher is None else TEACHER_SHARE,
            "least_taught": LEAST_TAUGHT,
            "whole_repeats": WHOLE_REPEATS,
            "sure_confidence": SURE_CONFIDENCE,
            "doubtful_confidence": DOUBTFUL_CONFIDENCE,
            "augmentation": asdict(self.augmentation),
            "batch_size": self.batch_size,
            "size": list(self.size),
        }


class AnsweredTask:
    """Distils `yolov5_compact` from pictures that were made once, with a teacher's answers.

    Args:
        crops: the folder with `scenes_holdout`.
        folders: of answered pictures.
        batch_size: pictures a step.
        seed: of everything random.
        most_batches: of an epoch, each of which draws its pictures anew; all pictures when None.

    Raises:
        BadInputError: a folder has no answered pictures.
    """

    name = "detector"

    def __init__(
        self,
        crops: Path,
        folders: Sequence[Path],
        batch_size: int = 32,
        seed: int = 0,
        most_batches: int | None = None,
    ) -> None:
        self.pictures, self.evaluation = AnsweredSet(folders), DetectorEvaluation(crops)
        self.batch_size, self.seed, self.most_batches = batch_size, seed, most_batches

    def network(self) -> YoloCompact:
        """A fresh `yolov5_compact`."""
        return YoloCompact()

    def batches(self, epoch: int) -> int:
        """Whole batches in an epoch; the last part of one is left out."""
        whole = len(self.pictures) // self.batch_size
        return min(whole, self.most_batches or whole)

    def batch(self, epoch: int, index: int) -> SceneBatch:
        """Batch `index` of an epoch, the same whenever asked; half of the pictures are mirrored."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.pictures))
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        mirror = np.random.default_rng((self.seed, epoch, index)).random(len(chosen)) < 0.5
        pictures = [self.pictures[int(one)] for one in chosen]
        return batch_of([one.mirrored(STRIDES) if turn else one for one, turn in zip(pictures, mirror, strict=True)])

    def losses(self, network: nn.Module, batch: SceneBatch, device: torch.device) -> dict[str, Tensor]:
        """Class, box and distance terms, of the labelled boxes and of the teacher's answers."""
        assert isinstance(network, YoloCompact)
        return losses_of(network, batch, device)

    def evaluate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Recall and false persons on the held-back scenes."""
        assert isinstance(network, YoloCompact)
        return self.evaluation.metrics(network, device)

    def record(self) -> dict[str, Any]:
        """What the pictures were made from, and settings."""
        return {
            "answered": self.pictures.made,
            "pictures": len(self.pictures),
            "teacher_share": TEACHER_SHARE,
            "data_sha256": self.evaluation.hashes,
            "batch_size": self.batch_size,
        }
