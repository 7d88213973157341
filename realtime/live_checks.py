"""A command line checked before anything is opened: its outputs, and options that do nothing. Opens nothing itself."""

import argparse
import glob
import os
from collections.abc import Collection
from pathlib import Path

from rich.console import Console

from engines.errors import BadInputError, in_command, name_of
from engines.output_paths import require_ending, require_writable
from realtime.benchmark_run import benchmark_files, check_benchmark
from realtime.file_kinds import RESULTS_SUFFIX
from realtime.frames import is_picture
from realtime.pose import TARGET_SUFFIX
from realtime.routine import target_files
from realtime.sinks import codec_of, require_room

OF_RECORDING = (
    "target_person", "ignore", "encoder", "people", "smoothing", "detect_every", "source", "backend", "int8",
    "threads", "open_seconds", "reconnect_seconds", "camera_format", "camera_size", "camera_rate", "camera_exposure",
    "camera_buffers",
)  # fmt: skip
UNUSED = {"routine": ("target_person",), "capture_target": ("target_person",), "replay": OF_RECORDING}
"""Options that a task makes no use of: a replay takes all that from its recording, and opens no camera."""


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuses outputs that cannot be written, would overwrite another file of the run, or have another kind's name."""
    taken = inputs_of(arguments)
    outputs = {
        "--record": arguments.record, "--record-skeleton": arguments.record_skeleton, "--results": arguments.results,
        "--capture-target": arguments.capture_target,
    }  # fmt: skip
    written = [(option, path) for option, path in outputs.items() if path is not None]
    if arguments.benchmark and arguments.results:
        written += [("--results with --benchmark:", path) for path in benchmark_files(arguments.results)]
    for option, path in written:
        require_writable(path, option, apart_from=taken)
        taken.append(path)
    if arguments.results:
        require_ending(arguments.results, "--results", [RESULTS_SUFFIX], pipes=True)
    if arguments.capture_target:
        check_capture(arguments)
    check_benchmark(arguments)
    for option in ("--record", "--record-skeleton"):
        if (video := outputs[option]) is not None:
            codec_of(video, option)
            require_room(video, option)


def check_capture(arguments: argparse.Namespace) -> None:
    """Refuses what no target can be captured into, with or from."""
    require_ending(arguments.capture_target, "--capture-target", [TARGET_SUFFIX])
    if arguments.results:
        raise BadInputError(
            "--capture-target came with --results", "nothing is scored while a target is captured", "leave one out"
        )
    source = Path(arguments.source)
    if is_picture(source) and os.path.isfile(source):  # noqa: PTH113 (False too where nothing can be read)
        make = f"run python -m realtime.targets make {in_command(source)} --out {in_command(arguments.capture_target)}"
        raise BadInputError(
            f"--capture-target came with the picture {name_of(source)}", "it counts 5 s of a camera or video down", make
        )


def report_unused(arguments: argparse.Namespace, given: Collection[str], console: Console) -> None:
    """Says which of the given options do nothing with the task, be their values the default ones or not."""
    task = next((task for task in UNUSED if getattr(arguments, task)), None)
    if task is None:
        return
    options = [f"--{name.replace('_', '-')}" for name in UNUSED[task]]
    names = ", ".join(option for option in options if option in given)
    if names:
        console.print(f"With --{task.replace('_', '-')} these options do nothing: {names}.", soft_wrap=True)


def inputs_of(arguments: argparse.Namespace) -> list[str | Path]:
    """Every file that a command line reads, and pictures that `--source` matches."""
    files = (arguments.target, arguments.routine, arguments.replay, arguments.settings)
    named = [arguments.source, *(path for path in files if path)]
    matched = glob.glob(arguments.source)  # noqa: PTH207 (absolute patterns too)
    return [*named, *matched, *(target_files(arguments.routine) if arguments.routine else ())]
