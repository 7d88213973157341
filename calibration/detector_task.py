"""What the compact detector learns from whole pictures, made anew each time. Knows scenes, not the training loop."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calibration.cutouts import Cutout
from calibration.detector_lessons import TEACHER_SHARE, DetectorLessons, SceneBatch, asked, batch_of
from calibration.detector_loss import LEAST_TAUGHT
from calibration.evaluate_detector import Detector, TwiceSeen, detector_of
from calibration.joined_crops import JoinedCrops
from calibration.scene_views import SceneAugmentation, SceneSample, training_sample
from calibration.scenes import DOUBTFUL_CONFIDENCE, INPUT_SIZE, SURE_CONFIDENCE, Scene, SceneSet
from engines.download import file_sha256
from engines.errors import BadInputError

LEFT_OUT = frozenset({"coco_mini"})
"""Sources that share pictures with `coco_gt`, which is for evaluation only."""

MOST_PEOPLE = 6
"""Are put into one picture."""
TEACHER_SUFFIXES = (".pt", ".safetensors")
WHOLE_REPEATS = 3
"""How often a whole scene comes in an epoch, where further sets, such as person crops, come once."""


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


class DetectorTask(DetectorLessons):
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
        super().__init__(crops, batch_size, seed, most_batches)
        self.teacher = teacher_of(teacher) if teacher else None
        self.teacher_hash = file_sha256(teacher) if teacher else None
        sets = [SceneSet(stem, LEFT_OUT) for stem in (crops / "scenes_train", *more)]
        repeats = WHOLE_REPEATS if more else 1
        chosen = [*sets[:1] * repeats, *sets[1:]]
        self.pictures: Sequence[tuple[SceneSet, int]] = [(one, index) for one in chosen for index in range(len(one))]
        self.hashes = {name: value for one in sets for name, value in one.hashes.items()}
        self.people: list[Cutout] = []
        if cutouts:
            joined = JoinedCrops([crops / "train", *more_crops], None, cutouts)
            self.people, self.hashes = joined.whole_people(), self.hashes | joined.hashes
        self.size, self.augmentation = size, augmentation or SceneAugmentation()

    def batch(self, epoch: int, index: int) -> SceneBatch:
        """Batch `index` of an epoch, the same whenever asked."""
        chosen, rng = self.drawn(epoch, index)
        return batch_of([self.sample(int(scene), rng) for scene in chosen])

    def scene(self, number: int) -> Scene:
        """One of all sets' scenes."""
        scenes, index = self.pictures[number]
        return scenes[index]

    def sample(self, index: int, rng: np.random.Generator) -> SceneSample:
        """A picture of one scene, or of it and up to three others in strips."""
        others = int(rng.integers(1, 4)) if rng.random() < self.augmentation.strips else 0
        chosen = [index, *(int(other) for other in rng.integers(len(self.pictures), size=others))]
        count = int(rng.integers(1, MOST_PEOPLE + 1)) if rng.random() < self.augmentation.peopled else 0
        people = [self.people[int(one)] for one in rng.integers(len(self.people), size=count)] if self.people else []
        scenes = [self.scene(one) for one in chosen]
        return training_sample(scenes, self.augmentation, rng, self.size, people)

    def losses(self, network: nn.Module, batch: SceneBatch, device: torch.device) -> dict[str, Tensor]:
        """As `DetectorLessons`; the teacher is asked about the batch now."""
        return super().losses(network, self.answered(batch, device), device)

    def answered(self, batch: SceneBatch, device: torch.device) -> SceneBatch:
        """The batch with the teacher's answers, where there is a teacher."""
        return batch if self.teacher is None else replace(batch, answers=asked(self.teacher, batch.pictures, device))

    def record(self) -> dict[str, Any]:
        """Hashes and settings."""
        return {
            "data_sha256": self.hashes | self.evaluation.hashes,
            "left_out": sorted(LEFT_OUT),
            "scenes": len(self.pictures),
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
