#!/usr/bin/env python3
"""Command line of the live loop: parse, wire, run. What it does is in `realtime/`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from engines.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED, PosemirrorError
from engines.options import add_version, system_error
from realtime.demo import demo_arguments
from realtime.frames import MonotonicClock
from realtime.opening import engines_folder, open_chain, open_target, opened_executor
from realtime.pipeline import Pipeline
from realtime.pose import parse_ignore
from realtime.results import FrameResult
from realtime.session import Outputs, Statistics, run_session
from realtime.sinks import codec_of, display_problem, require_writable
from realtime.sources import opened_source
from realtime.status import StatusLine, summary_table

DEFAULT_ENCODER = "bones"


class Terminated(BaseException):
    """SIGTERM came."""


def parser() -> argparse.ArgumentParser:
    """The options, in groups."""
    options = argparse.ArgumentParser(
        prog="run_live.py",
        description="Score a person's pose, live, against a target.",
        epilog="Exit codes: 0 done, 2 bad argument or file, 3 source lost, 4 engine unusable, 130 Ctrl-C, 143 SIGTERM.",
    )
    what = options.add_argument_group("what to match").add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--target", type=Path, metavar="FILE", help="pose.json, a picture, or OpenPose, COCO or MediaPipe JSON"
    )
    what.add_argument("--demo", action="store_true", help="run the clip and the target that ship with posemirror")
    matching = options.add_argument_group("matching")
    matching.add_argument("--target-person", type=positive, metavar="N", help="which person of the target file, from 1")
    matching.add_argument("--ignore", default="", metavar="legs|JOINT,...", help="joints that do not count")
    matching.add_argument("--encoder", default=DEFAULT_ENCODER, metavar="NAME", help=f"default {DEFAULT_ENCODER}")
    matching.add_argument("--smoothing", choices=("on", "off"), default="on")
    matching.add_argument("--detect-every", type=detect_every, metavar="N|auto", help="frames between detections")
    source = options.add_argument_group("source")
    source.add_argument("--source", default="0", metavar="0|FILE|GLOB|rtsp://...", help="default: camera 0")
    source.add_argument("--pace", action="store_true", help="play a file as a camera would, dropping late frames")
    source.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    source.add_argument("--reconnect-seconds", type=seconds, default=30.0, metavar="S", help="default 30")
    engines = options.add_argument_group("engines")
    engines.add_argument(
        "--engines", metavar="DIR|quickstart", help="default: engines/built if it exists, else quickstart"
    )
    engines.add_argument("--backend", choices=("auto", "tensorrt", "onnx"), default="auto")
    output = options.add_argument_group("output")
    output.add_argument("--headless", action="store_true", help="open no window")
    output.add_argument("--record", type=Path, metavar="FILE.mp4", help="write the picture with its overlay")
    output.add_argument("--results", type=Path, metavar="FILE.jsonl", help="write one JSON object a frame")
    add_version(options)
    return options


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; 1 and more is allowed; give 1")
    return int(text)


def detect_every(text: str) -> int | None:
    """A number of frames, or None for `auto`."""
    return None if text == "auto" else positive(text)


def seconds(text: str) -> float:
    """A time of 0 s or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; 0 and more seconds are allowed; give 30")
    return value


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Opens everything, runs the loop, prints the summary."""
    ignore = parse_ignore(arguments.ignore) if arguments.ignore else ()
    folder = engines_folder(arguments.engines)
    taken = [arguments.source, arguments.target]
    for option, path in (("--record", arguments.record), ("--results", arguments.results)):
        if path is not None:
            require_writable(path, option, apart_from=taken)
            taken.append(path)
    if arguments.record is not None:
        codec_of(arguments.record)
    chain, backend = open_chain(folder, arguments.encoder, arguments.backend)
    console.print(f"Engines: {folder} on {backend}.", soft_wrap=True)
    target = open_target(arguments.target, chain, ignore=ignore, person=arguments.target_person)
    problem = "" if arguments.headless else display_problem()
    if problem:
        console.print(f"No window: {problem}.", soft_wrap=True)
    smoothing = arguments.smoothing == "on"
    clock = MonotonicClock()
    width, height = chain.info.frame_size
    outputs = Outputs(arguments.record, arguments.results, window=not arguments.headless and not problem)
    following = {"detect_every": arguments.detect_every, "smoothing": smoothing}
    with (
        opened_source(
            arguments.source, clock, pace=arguments.pace, reconnect_seconds=arguments.reconnect_seconds
        ) as source,
        opened_executor(chain, target, stills=source.stills, **following) as executor,
    ):
        pipeline = Pipeline(source, executor, (height, width), clock, max_frames=arguments.max_frames)
        with StatusLine(console, source.name) as status:

            def on_result(result: FrameResult, statistics: Statistics) -> None:
                status.update(result, statistics, pipeline.ledger)

            statistics = run_session(
                pipeline, source, chain.info, target, outputs, smoothing=smoothing, on_result=on_result
            )
    console.print(summary_table(pipeline.ledger, statistics))
    for path in (arguments.record, arguments.results):
        if path is not None:
            console.print(f"Wrote {path}", soft_wrap=True)


def terminate(number: int, frame: FrameType | None) -> None:
    """Turns SIGTERM into an exception, so that files are completed."""
    raise Terminated


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    console = Console(markup=False, highlight=False)
    errors = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, terminate)
    try:
        if arguments.demo:
            arguments = demo_arguments(arguments, console)
        run(arguments, console)
    except PosemirrorError as error:
        errors.print(f"error: {error}")
        return error.exit_code
    except OSError as error:
        errors.print(f"error: {system_error(error)}")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        errors.print("stopped")
        return EXIT_INTERRUPTED
    except Terminated:
        errors.print("terminated")
        return EXIT_TERMINATED
    return 0


if __name__ == "__main__":
    sys.exit(main())
