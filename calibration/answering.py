"""Makes pictures for the detector and asks its teacher about each, ahead of training. Knows the task, not the loop."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from calibration.answered import MADE, QUALITY, AnsweredPicture, recoded, write_shard
from calibration.detector_lessons import SceneBatch, asked
from calibration.detector_task import DetectorTask
from calibration.distill_training import batches_from
from engines.errors import BadInputError
from engines.whole_files import write_whole


def answered_pictures(
    task: DetectorTask, batch: SceneBatch, device: torch.device
) -> Iterator[tuple[bytes, AnsweredPicture]]:
    """The JPEG of every picture of a batch, and what comes out of it with the teacher's answers."""
    assert task.teacher is not None
    jpegs, decoded = zip(*map(recoded, batch.pictures.numpy()), strict=True)
    pictures = np.stack(decoded)
    with torch.autocast(device.type, torch.bfloat16):
        answers = asked(task.teacher, torch.from_numpy(pictures), device)
    person, sides = answers.person.cpu().numpy(), answers.sides.cpu().numpy()
    for index, picture in enumerate(pictures):
        boxes = batch.boxes[index][batch.present[index]].numpy()
        ignored = batch.ignored[index]
        kept = ignored[(ignored[:, 2:] > ignored[:, :2]).all(1)].numpy()
        yield jpegs[index], AnsweredPicture(picture, boxes, kept, person[index], sides[index])


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
        BadInputError: no teacher, too few scenes, or the folder holds pictures of other settings.
    """
    if task.teacher is None:
        raise BadInputError("no --teacher", "pictures are answered by one", "give --teacher YOLO.pt")
    if not task.batches(0):
        raise BadInputError(
            f"{len(task.pictures)} scenes", f"a batch takes {task.batch_size}", "give a smaller --batch or more scenes"
        )
    out.mkdir(parents=True, exist_ok=True)
    made, settings = out / MADE, task.record() | {"seed": task.seed, "batches": task.batches(0), "quality": QUALITY}
    text = json.dumps(settings, indent=1)
    if not made.is_file():
        write_whole(made, text)
    elif made.read_text() != text:
        raise BadInputError(
            f"{out} has pictures made with other settings", "a folder is made in one way", "give another --out"
        )
    missing = [shard for shard in shards if not (out / f"{shard:05d}.npz").is_file()]
    batches = batches_from(task, missing, loaders)
    for shard in missing:
        count, stem = task.batches(shard), out / f"{shard:05d}"
        label = f"{task.name} {shard + 1}/{shards.stop}"
        shown = track(islice(batches, count), label, count, console=console, transient=True)
        pictures = (one for batch in shown for one in answered_pictures(task, batch, device))
        console.print(f"{stem}: {write_shard(stem, pictures)} pictures", highlight=False)
