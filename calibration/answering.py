"""Makes pictures for the detector and asks its teacher about each, ahead of training. Knows the task, not the loop."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from calibration.answered import MADE, AnsweredPicture, recoded, write_shard
from calibration.crops import Image
from calibration.detector_task import DetectorTask, SceneBatch, asked
from calibration.distill_training import batches_from
from engines.errors import BadInputError


def answered_pictures(
    task: DetectorTask, batch: SceneBatch, device: torch.device
) -> Iterator[tuple[Image, AnsweredPicture]]:
    """Every picture of a batch as it was, and as it comes out of its JPEG, with the teacher's answers of that."""
    assert task.teacher is not None
    before = batch.pictures.numpy()
    pictures = np.stack([recoded(picture) for picture in before])
    with torch.autocast(device.type, torch.bfloat16):
        answers = asked(task.teacher, torch.from_numpy(pictures), device)
    person, sides = answers.person.cpu().numpy(), answers.sides.cpu().numpy()
    for index, picture in enumerate(pictures):
        boxes = batch.boxes[index][batch.present[index]].numpy()
        ignored = batch.ignored[index]
        kept = ignored[(ignored[:, 2:] > ignored[:, :2]).all(1)].numpy()
        yield before[index], AnsweredPicture(picture, boxes, kept, person[index], sides[index])


def make_answered(
    task: DetectorTask, out: Path, shards: range, device: torch.device, loaders: int, console: Console
) -> None:
    """Writes a folder of answered pictures, a shard an epoch of the task; shards that are there stay.

    Args:
        task: with a teacher.
        out: the folder; made if missing.
        shards: the task's epochs to write.
        device: where the teacher looks.
        loaders: processes that make pictures; 0: this one.
        console: where progress is shown.

    Raises:
        BadInputError: no teacher, or the folder holds pictures of other settings.
    """
    if task.teacher is None:
        raise BadInputError("no --teacher", "pictures are answered by one", "give --teacher YOLO.pt")
    out.mkdir(parents=True, exist_ok=True)
    made, text = out / MADE, json.dumps(task.record() | {"seed": task.seed}, indent=1)
    if made.is_file() and made.read_text() != text:
        raise BadInputError(
            f"{out} has pictures made with other settings", "a folder is made in one way", "give another --out"
        )
    made.write_text(text)
    missing = [shard for shard in shards if not (out / f"{shard:05d}.npz").is_file()]
    for shard in missing:
        batches = batches_from(task, range(shard, shard + 1), loaders)
        shown = track(
            batches, f"{task.name} {shard + 1}/{shards.stop}", task.batches(shard), console=console, transient=True
        )
        pictures = (one for batch in shown for one in answered_pictures(task, batch, device))
        stem = out / f"{shard:05d}"
        console.print(f"{stem}: {write_shard(stem, pictures)} pictures", highlight=False)
