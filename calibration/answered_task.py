"""What the compact detector learns from pictures that were made once. Knows their folders, not how they were made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calibration.answered import AnsweredSet
from calibration.detector_lessons import TEACHER_SHARE, DetectorLessons, SceneBatch, batch_of
from engines.networks.yolov5_compact import STRIDES


class AnsweredTask(DetectorLessons):
    """Distils `yolov5_compact` from pictures that were made once, with a teacher's answers.

    Args:
        crops: the folder with `scenes_holdout`.
        folders: of answered pictures.
        batch_size: pictures a step.
        seed: of everything random.
        most_batches: of an epoch, each of which draws its pictures anew; all pictures when None.

    Raises:
        BadInputError: a folder has no answered pictures, or they are of several sizes.
    """

    pictures: AnsweredSet

    def __init__(
        self, crops: Path, folders: Sequence[Path], batch_size: int = 32, seed: int = 0, most_batches: int | None = None
    ) -> None:
        super().__init__(crops, batch_size, seed, most_batches)
        self.pictures = AnsweredSet(folders)

    def batch(self, epoch: int, index: int) -> SceneBatch:
        """Batch `index` of an epoch, the same whenever asked; half of the pictures are mirrored."""
        chosen, rng = self.drawn(epoch, index)
        pictures = [self.pictures[int(one)] for one in chosen]
        mirror = rng.random(len(chosen)) < 0.5
        return batch_of([one.mirrored(STRIDES) if turn else one for one, turn in zip(pictures, mirror, strict=True)])

    def record(self) -> dict[str, Any]:
        """What the pictures were made from, and settings."""
        return {
            "answered": self.pictures.made,
            "pictures": len(self.pictures),
            "teacher_share": TEACHER_SHARE,
            "data_sha256": self.evaluation.hashes,
            "batch_size": self.batch_size,
        }
