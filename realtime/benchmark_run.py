"""What `--benchmark` changes about a run: its source never ends, its figures go to files. Runs no loop."""

import argparse
import json
from pathlib import Path

import cv2

from engines.errors import BadInputError
from engines.whole_files import write_whole
from realtime.benchmark import Benchmark, require_known
from realtime.camera_settings import CameraWish
from realtime.frames import Clock
from realtime.histogram import latency_picture
from realtime.looped import LoopedSource
from realtime.sources import Source, open_source


def chosen_source(arguments: argparse.Namespace, clock: Clock, wish: CameraWish) -> Source:
    """What `--source` names, open; for a benchmark a video file that never ends. `wish` is for a camera."""

    def reopen() -> Source:
        pace = arguments.pace and not arguments.benchmark
        return open_source(arguments.source, clock, pace=pace, reconnect_seconds=arguments.reconnect_seconds, wish=wish)

    source = reopen()
    if not arguments.benchmark or source.live or source.stills:
        return source
    source.close()
    return LoopedSource(reopen, clock, rate=source.fps if arguments.pace else None)


def check_benchmark(arguments: argparse.Namespace) -> None:
    """Refuses what cannot be measured, and limits without a benchmark."""
    require_known(arguments.fail_over)
    if arguments.fail_over and not arguments.benchmark:
        raise BadInputError("--fail-over came alone", "it is for --benchmark", "give --benchmark too")
    others = {
        "--max-frames": arguments.max_frames, "--replay": arguments.replay, "--capture-target": arguments.capture_target
    }  # fmt: skip
    for option, value in others.items():
        if arguments.benchmark and value is not None:
            raise BadInputError(
                f"--benchmark came with {option}", "frames of a source are measured, as many as --benchmark says",
                f"leave {option} out",
            )  # fmt: skip


def benchmark_files(results: Path) -> list[Path]:
    """Where a benchmark's figures and its picture are written: beside the results file."""
    return [results.parent / f"{results.stem}.benchmark{ending}" for ending in (".json", ".png")]


def write_benchmark(benchmark: Benchmark, results: Path) -> list[Path]:
    """Writes the figures as JSON and the distribution as a picture to `benchmark_files`; gives both paths."""
    figures, picture = benchmark_files(results)
    explained = dict(line.split(": ", 1) for line in benchmark.explained().splitlines())
    content = {"frames": benchmark.counted, "warm_up": benchmark.warm_up, **benchmark.figures(), "explained": explained}
    write_whole(figures, json.dumps(content, indent=1) + "\n")
    kept = benchmark.statistics
    title = f"{benchmark.counted} frames, {benchmark.figures()['cpu_ms']:.1f} CPU-ms a frame"
    write_whole(picture, cv2.imencode(".png", latency_picture(kept.age, kept.stages, title))[1].tobytes())
    return [figures, picture]
