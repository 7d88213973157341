"""What every peer shares: the clip, frame by frame, and what is measured. Needs NumPy and OpenCV only."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

WARM_UP = 30
"""Frames before the measuring starts."""

Process = Callable[[np.ndarray], object]


def options(*more: str) -> argparse.Namespace:
    """The command line of a peer."""
    parser = argparse.ArgumentParser()
    for name in ("--clip", *more):
        parser.add_argument(name, required=True)
    parser.add_argument("--frames", type=int, required=True)
    return parser.parse_args()


def pictures(clip: str, count: int):
    """`count` frames uint8 [h, w, 3] BGR of a clip that starts again when it ends."""
    video = cv2.VideoCapture(clip)
    while count:
        picture = video.read()[1]
        if picture is None:
            video = cv2.VideoCapture(clip)
            continue
        count -= 1
        yield picture


def measure(clip: str, frames: int, process: Process) -> None:
    """Prints CPU time a frame (whole process, decoding included, after warm-up) and peak memory, as JSON."""
    began = 0.0
    for index, picture in enumerate(pictures(clip, WARM_UP + frames)):
        if index == WARM_UP:
            began = time.process_time()
        process(picture)
    report((time.process_time() - began) / frames)


def report(seconds_a_frame: float) -> None:
    """Prints what was measured."""
    # not ru_maxrss, which starts with what the parent held when it forked
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    peak_mb = int(peak.split()[1]) * 1024 / 1e6
    print(json.dumps({"cpu_ms": seconds_a_frame * 1e3, "peak_mb": peak_mb}))
