"""Command line of distillation: train the compact networks, evaluate them, export their weights. Parses and wires.

python -m calibration.distill pose --out runs/pose --epochs 40 [--size 96x128] [--init FILE | --resume]
python -m calibration.distill detector --out runs/detector --epochs 60 [--teacher YOLO.pt]
python -m calibration.distill answers --out runs/answered --shards 100 --teacher YOLO.pt    # then detector --answered
python -m calibration.distill evaluate --pose FILE [--teacher POSE.onnx] [--labelled CROPS] [--detector FILE]
python -m calibration.distill export --out runs/pose --to calibration/runs/pose_compact.safetensors
python -m calibration.distill mean BEFORE.safetensors AFTER.safetensors --to MEAN.safetensors
python -m calibration.distill statistics MEAN.safetensors --out runs/pose --to calibration/runs/pose_compact.safetensors
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console

from calibration.answered_task import AnsweredTask
from calibration.answering import make_answered
from calibration.augment import AUGMENTATIONS
from calibration.batch_statistics import measure_statistics
from calibration.crops import WINDOW_SIZE, CropSet
from calibration.detector_task import DetectorTask
from calibration.distill_training import Trainer, TrainSettings, averaged_weights
from calibration.pose_task import PoseTask
from calibration.report import print_detector_table, print_label_table, print_pose_table
from calibration.scenes import INPUT_SIZE
from calibration.weight_files import mean_of, write_weights
from engines.errors import BadInputError
from engines.exits import documented_exits
from engines.networks.hrnet import HRNET_CONFIGS
from engines.networks.hrnet_weights import load_hrnet
from engines.networks.state_dicts import read_state_dict
from engines.options import OptionParser

TABLE_COLUMNS = 170
"""Width of the tables where the output is no terminal."""


def sides(text: str) -> tuple[int, int]:
    """`160x96` to (160, 96)."""
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT") from None
    return width, height


def count(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def share(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def fits_strides(width: int, height: int) -> bool:
    """Whether the networks can take pictures of this size."""
    return min(width, height) >= 32 and not width % 32 and not height % 32


def scene_size(text: str) -> tuple[int, int]:
    """`160x96` to (160, 96): width and height of the pictures trained on, multiples of 32."""
    width, height = sides(text)
    if not fits_strides(width, height):
        raise argparse.ArgumentTypeError(f"{text} has sides that are no multiples of 32 (160x96, 320x192)")
    return width, height


def window_size(text: str) -> tuple[int, int]:
    """`96x128` to (96, 128): as `scene_size`, and 3:4."""
    width, height = sides(text)
    if not fits_strides(width, height) or width * 4 != height * 3:
        raise argparse.ArgumentTypeError(f"{text} is not 3:4 with sides that are multiples of 32 (96x128, 192x256)")
    return width, height


def add_making_options(command: argparse.ArgumentParser, batch: int) -> None:
    """Where pictures come from, where the outcome goes, and how it is worked on."""
    command.add_argument("--crops", type=Path, default=Path("../shared/crops"), help="folder with the pictures")
    command.add_argument("--out", type=Path, required=True, help="folder of the run, or of the answered pictures")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--batch", type=int, default=batch)
    command.add_argument("--threads", type=int, default=0, help="CPU threads of the networks; 0: all")
    command.add_argument("--loaders", type=count, default=1, help="processes that make batches; 0: this one")
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")


def add_scene_options(command: argparse.ArgumentParser) -> None:
    """Of which scenes the detector's pictures are made, and who looks at them too."""
    command.add_argument("--size", type=scene_size, default=INPUT_SIZE, metavar="WIDTHxHEIGHT")
    command.add_argument("--most-batches", type=int, metavar="N", help="of an epoch; default: all scenes")
    command.add_argument(
        "--more-scenes", type=Path, nargs="*", default=[], metavar="STEM", help="further sets, without suffix"
    )
    command.add_argument(
        "--teacher",
        type=Path,
        help="detector that looks at every picture too, twice: a YOLOv5u checkpoint (loading it runs its code)",
    )


def add_people_options(command: argparse.ArgumentParser) -> None:
    """Further person crops, and outlines of people."""
    command.add_argument(
        "--more-crops", type=Path, nargs="*", default=[], metavar="STEM", help="further sets, without suffix"
    )
    command.add_argument(
        "--cutouts",
        type=Path,
        nargs="*",
        default=[],
        metavar="STEM",
        help="from calibration.cutouts, without suffix",
    )


def add_crop_options(command: argparse.ArgumentParser, augmentation: str) -> None:
    """How the pose network's pictures are made of crops."""
    command.add_argument("--augmentation", choices=AUGMENTATIONS, default=augmentation)
    command.add_argument("--size", type=window_size, default=WINDOW_SIZE, metavar="WIDTHxHEIGHT")
    command.add_argument("--cache", type=Path, help="folder for decoded crops (1.7 GB); default: --out")


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    result = OptionParser(prog="python -m calibration.distill", description=__doc__.splitlines()[0])
    commands = result.add_subparsers(dest="command", required=True)
    for name in ("pose", "detector"):
        train = commands.add_parser(name, help=f"train the compact {name} network")
        add_making_options(train, batch=32)
        train.add_argument("--epochs", type=int, required=True, help="in all, those before a --resume included")
        train.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
        train.add_argument(
            "--init",
            type=Path,
            help="begin with these weights (.safetensors, .pth), or with those of a smaller network of the kind",
        )
        train.add_argument("--learning-rate", type=float, default=2e-3)
        train.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
        train.add_argument("--decay", type=float, default=0.3, help="last part of the run with a falling learning rate")
        train.add_argument("--average", type=float, default=0.998, help="of the weights' moving average, a step")
        train.add_argument("--evaluate-every", type=int, default=1, metavar="EPOCHS")
        if name == "detector":
            add_scene_options(train)
            train.add_argument(
                "--answered", type=Path, nargs="*", default=[], metavar="FOLDER", help="learn from these (of answers)"
            )
        if name == "pose":
            add_crop_options(train, augmentation="strong")
        add_people_options(train)
    answers = commands.add_parser("answers", help="make pictures for the detector, with a teacher's answers")
    add_making_options(answers, batch=48)
    answers.add_argument("--shards", type=count, required=True, help="in all; those that are there stay")
    add_scene_options(answers)
    add_people_options(answers)
    evaluate = commands.add_parser("evaluate", help="tables of networks against the teacher and human labels")
    evaluate.add_argument("--crops", type=Path, default=Path("../shared/crops"))
    evaluate.add_argument("--pose", type=Path, nargs="*", default=[], help="weights or ONNX graphs of pose networks")
    evaluate.add_argument("--teacher", type=Path, help="the pose teacher: an ONNX graph")
    evaluate.add_argument(
        "--labelled", type=Path, nargs="*", default=[], metavar="STEM", help="also the fit to the labels of crop sets"
    )
    evaluate.add_argument(
        "--detector",
        type=Path,
        nargs="*",
        default=[],
        help="detectors: .safetensors, .onnx, .pt; with --pose also together with the first of those",
    )
    evaluate.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    export = commands.add_parser("export", help="write a run's averaged weights, float16")
    export.add_argument("--out", type=Path, required=True, help="folder of the run")
    export.add_argument("--to", type=Path, required=True, help="the .safetensors file")
    mean = commands.add_parser("mean", help="write the mean of several files of weights, float16")
    mean.add_argument("files", type=Path, nargs="+", help="weights of one network, from runs that began alike")
    mean.add_argument(
        "--shares", type=share, nargs="+", metavar="SHARE", help="how much each counts; default: all the same"
    )
    mean.add_argument("--to", type=Path, required=True, help="the .safetensors file")
    statistics = commands.add_parser("statistics", help="measure a pose network's batch statistics again, float16")
    statistics.add_argument("weights", type=Path, help="a .safetensors file, such as a mean")
    statistics.add_argument("--to", type=Path, required=True, help="the .safetensors file")
    statistics.add_argument("--pictures", type=count, default=5120, help="on which; as training makes them")
    add_making_options(statistics, batch=64)
    add_crop_options(statistics, augmentation="mild")
    add_people_options(statistics)
    return result


def detector_task(options: argparse.Namespace) -> DetectorTask:
    """What `detector` and `answers` make pictures of."""
    return DetectorTask(
        options.crops,
        batch_size=options.batch,
        seed=options.seed,
        size=options.size,
        more=options.more_scenes,
        most_batches=options.most_batches,
        cutouts=options.cutouts,
        more_crops=options.more_crops,
        teacher=options.teacher,
    )


def pose_task(options: argparse.Namespace) -> PoseTask:
    """What `pose` and `statistics` make pictures of."""
    return PoseTask(
        options.crops,
        options.cache or options.out,
        AUGMENTATIONS[options.augmentation],
        options.batch,
        options.size,
        options.seed,
        options.more_crops,
        options.cutouts,
    )


def set_threads(threads: int) -> None:
    """CPU threads of the network; OpenCV's none, since batches are made in processes."""
    if threads:
        torch.set_num_threads(threads)
    cv2.setNumThreads(0)


def train(options: argparse.Namespace, console: Console) -> None:
    """`pose` and `detector`."""
    if options.resume and options.init:
        raise BadInputError("--resume and --init together", "a run begins in one way", "leave one of them out")
    set_threads(options.threads)
    settings = TrainSettings(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        optimizer=options.optimizer,
        decay=options.decay,
        average=options.average,
        seed=options.seed,
        evaluate_every=options.evaluate_every,
        loaders=options.loaders,
    )
    initial = read_state_dict(options.init) if options.init else None
    device = torch.device(options.device)
    task: AnsweredTask | DetectorTask | PoseTask
    if options.command == "detector" and options.answered:
        if (
            options.teacher
            or options.more_scenes
            or options.more_crops
            or options.cutouts
            or options.size != INPUT_SIZE
        ):
            raise BadInputError(
                "--answered together with options of how pictures are made",
                "answered pictures are made already",
                "leave --teacher, --size, --more-scenes, --more-crops and --cutouts out",
            )
        task = AnsweredTask(options.crops, options.answered, options.batch, options.seed, options.most_batches)
    elif options.command == "detector":
        task = detector_task(options)
    else:
        task = pose_task(options)
    Trainer[Any](task, settings, options.out, device, options.resume, initial).train(console)


def export(run: Path, to: Path, console: Console) -> None:
    """Writes the averaged weights of a run."""
    write_weights(averaged_weights(run), to, console)


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit code."""
    options = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else TABLE_COLUMNS)
    if options.command == "evaluate":
        device = torch.device(options.device)
        if options.labelled and not (options.pose or options.teacher):
            raise BadInputError("--labelled without a network", "labels are compared with one", "give --pose FILE")
        labelled = {stem: CropSet(stem) for stem in options.labelled}
        print_pose_table(options.crops, options.pose, options.teacher, device, console)
        print_label_table(labelled, options.pose, options.teacher, device, console)
        print_detector_table(
            options.crops, options.detector, options.teacher, device, console, pose=next(iter(options.pose), None)
        )
    elif options.command == "export":
        export(options.out, options.to, console)
    elif options.command == "answers":
        set_threads(options.threads)
        shards, device = range(options.shards), torch.device(options.device)
        make_answered(detector_task(options), options.out, shards, device, options.loaders, console)
    elif options.command == "mean":
        write_weights(mean_of(options.files, options.shares), options.to, console)
    elif options.command == "statistics":
        set_threads(options.threads)
        network = load_hrnet(read_state_dict(options.weights), HRNET_CONFIGS["hrnet_compact"])
        device = torch.device(options.device)
        measure_statistics(network.to(device), pose_task(options), options.pictures, device, options.loaders)
        write_weights(network.cpu().state_dict(), options.to, console)
    else:
        train(options, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
