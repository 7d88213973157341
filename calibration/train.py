"""Command line that trains encoders: `python -m calibration.train graded|mlp|paper`. Knows no network's insides.

For each seed: weights, checkpoint, curves as PNG and a run record as JSON in the folder given with `--out`. The seed
with the best validation is named, and copied to `--ship` if that is given.
"""

import argparse
import dataclasses
import datetime
import json
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from calibration.blending import blended
from calibration.curves import draw_training
from calibration.datasets.mpii import read_mpii_csv
from calibration.datasets.penn import read_penn
from calibration.datasets.poseset import PoseSet
from calibration.recipes import (
    PAPER_BATCH,
    beside_bones,
    graded_recipe,
    held_out_validation,
    labelled,
    labels_recipe,
    paper_recipe,
)
from calibration.synthetic.families import FamilySettings
from calibration.synthetic.graded_pairs import GradedSettings
from calibration.training import BatchLoss, DeadEncoderError, History, Schedule, dead_channels, train
from engines.download import file_sha256
from engines.errors import EXIT_OK
from engines.exits import documented_exits
from engines.networks.encoders import GradedEncoder, MlpEncoder, PaperEncoder, save_encoder
from engines.options import OptionParser
from engines.whole_files import write_whole

DATA = Path("../shared/data")
RECIPES = ("graded", "graded-mlp", "graded-labels", "paper", "mlp")
PAPER_EPOCHS = 50
HELD_OUT_SHARE = 5
GRADED_STEPS = 3500
LABELS_STEPS = 1200

NEW_ENCODER: dict[str, Callable[[], nn.Module]] = {
    "graded": GradedEncoder,
    "graded-mlp": lambda: GradedEncoder(graph=False, hidden=(256, 176)),
    "graded-labels": lambda: GradedEncoder(bones_first=True),
    "paper": PaperEncoder,
    "mlp": MlpEncoder,
}


@dataclasses.dataclass(frozen=True)
class Trained:
    """One finished run: its seed, where its weights lie, and its validation's numbers."""

    seed: int
    weights: Path
    validation: dict[str, float]

    @property
    def rank(self) -> float:
        """The mean of the validation's numbers; the best seed is the one where it is highest."""
        return sum(self.validation.values()) / len(self.validation)


def parser() -> argparse.ArgumentParser:
    """The command line of training."""
    line = OptionParser(prog="python -m calibration.train", description=__doc__)
    line.add_argument("encoder", choices=RECIPES, help="graded-mlp: without its graph; graded-labels: with labels")
    line.add_argument("--data", type=Path, default=DATA, help="folder with the annotation files (%(default)s)")
    line.add_argument("--dataset", choices=("mpii", "penn"), default="mpii", help="poses to train on (%(default)s)")
    line.add_argument("--leave-out", default="", help="actions kept out of training, comma separated; else every fifth")
    line.add_argument("--out", type=Path, default=Path("runs/encoders"), help="folder for runs (%(default)s)")
    line.add_argument("--seeds", type=int, default=1, help="how many seeds (%(default)s)")
    line.add_argument("--first-seed", type=int, default=0, help="the first of them (%(default)s)")
    line.add_argument("--steps", type=int, default=None, help="batches; default: 50 epochs, 3500 or 1200 for graded")
    line.add_argument("--learning-rate", type=float, default=None, help="default: 1e-4 as published, 2e-3 for graded")
    line.add_argument("--contrast", type=float, default=0.0, help="weight of the supervised contrast (%(default)s)")
    line.add_argument("--no-real", action="store_true", help="train graded on synthetic poses only")
    line.add_argument("--ship", type=Path, default=None, help="copy the best seed's weights to this file")
    return line


def split_by_action(poses: PoseSet, left_out: tuple[str, ...]) -> tuple[PoseSet, PoseSet]:
    """Poses to train on, and poses of whole actions kept out: those named, else every fifth action by name."""
    held = [
        name in left_out if left_out else number % HELD_OUT_SHARE == HELD_OUT_SHARE - 1
        for number, name in enumerate(poses.labels)
    ]
    kept_out = np.array(held)[poses.label]
    return poses.take(~kept_out), poses.take(kept_out)


def schedule_for(arguments: argparse.Namespace, poses: int, seed: int) -> Schedule:
    """As published for `paper` and `mlp` (Adam 1e-4, batch 64, 50 epochs); AdamW, one cycle for `graded`."""
    graded = arguments.encoder.startswith("graded")
    usual = {"graded-labels": LABELS_STEPS} if graded else {arguments.encoder: PAPER_EPOCHS * (poses // PAPER_BATCH)}
    steps = arguments.steps or usual.get(arguments.encoder, GRADED_STEPS)
    rate = arguments.learning_rate or (2e-3 if graded else 1e-4)
    return Schedule(seed, steps, rate, 1e-3 if graded else 0.0, graded, max(steps // 12, 1))


def run(arguments: argparse.Namespace) -> list[Trained]:
    """Trains every seed; a dead one is reported and the next seed takes its place."""
    read = {"mpii": (read_mpii_csv, "mpii_human_pose.csv"), "penn": (read_penn, "penn_action_train.npz")}
    reader, file = read[arguments.dataset]
    left_out = tuple(name for name in arguments.leave_out.split(",") if name)
    training, kept_out = split_by_action(reader(arguments.data / file), left_out)
    poses = labelled(training)
    validate = held_out_validation(labelled(kept_out))
    recipe: BatchLoss
    if arguments.encoder == "graded-labels":
        recipe = labels_recipe(poses, FamilySettings())
    elif arguments.encoder.startswith("graded"):
        recipe = graded_recipe(None if arguments.no_real else poses, GradedSettings(), arguments.contrast)
    else:
        recipe = paper_recipe(poses)
    probe = torch.from_numpy(poses.xy[:512])
    finished: list[Trained] = []
    seed = arguments.first_seed
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        while len(finished) < arguments.seeds:
            schedule = schedule_for(arguments, len(poses.xy), seed)
            folder = arguments.out / f"{arguments.encoder}-{arguments.dataset}-{seed}"
            bar = progress.add_task(f"{arguments.encoder} seed {seed}", total=schedule.steps)

            def on_step(step: int, bar: Any = bar) -> None:
                progress.update(bar, completed=step)

            try:
                new, checkpoint = NEW_ENCODER[arguments.encoder], folder / "checkpoint.pt"
                encoder, history = train(new, recipe, validate, probe, schedule, checkpoint, on_step)
            except DeadEncoderError as error:
                progress.console.print(f"seed {seed} skipped: {error}")
            else:
                if isinstance(encoder, GradedEncoder):
                    encoder = (blended if encoder.bones_first else beside_bones)(encoder, poses.xy)
                    history = history.extended(schedule.steps, history.loss[-1], validate(encoder))
                finished.append(_write(folder, arguments, schedule, encoder, history, training, probe))
                progress.console.print(f"seed {seed}: {finished[-1].validation}")
            seed += 1
    return finished


def _write(
    folder: Path,
    arguments: argparse.Namespace,
    schedule: Schedule,
    encoder: nn.Module,
    history: History,
    training: PoseSet,
    probe: torch.Tensor,
) -> Trained:
    validation = history.validation[-1]
    weights = folder / "weights.safetensors"
    settings = {**dataclasses.asdict(schedule), "contrast": arguments.contrast, "synthetic_only": arguments.no_real}
    summary = {"recipe": arguments.encoder, "data": training.hashes, "settings": settings, "validation": validation}
    save_encoder(encoder, weights, {"training": json.dumps(summary, sort_keys=True)})
    record = {
        **summary,
        "poses": len(training.complete()),
        "weights_sha256": file_sha256(weights),
        "history": dataclasses.asdict(history),
        "dead_channels": dead_channels(encoder, probe) if isinstance(encoder, PaperEncoder) else 0,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_whole(folder / "run.json", json.dumps(record, indent=1))
    draw_training(history, f"{arguments.encoder}, seed {schedule.seed}", folder / "curves.png")
    return Trained(schedule.seed, weights, validation)


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)  # these networks are too small to gain from more
    finished = run(options)
    best = max(finished, key=lambda trained: trained.rank)
    print(f"best seed {best.seed}: {best.validation}, {best.weights}")
    if options.ship:
        options.ship.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(best.weights, options.ship)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
