"""What the loop costs besides its engines, in CPU time of the whole process, one run.

    python benchmarks/overhead.py --clip CLIP --engines DIR

The same frames, decoded and fitted beforehand, go through the engines alone (the calls that the loop made, made again
with nothing around them) and through the loop (threads, tracking, scoring, results as JSON; no drawing, no video). The
two take turns; the figure is the median ratio of CPU time. Starts: first frame handed over; stops: last result taken.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.execution import CpuChain, read_chain
from engines.host_sampling import letterbox
from realtime.executor import Chain, CpuExecutor, find_pose
from realtime.frames import Capture, MonotonicClock, Room, no_room
from realtime.pipeline import Pipeline
from realtime.pose import Target, target_from_joints
from realtime.results import FrameResult, frame_row
from realtime.tracking import Tracker

REPEATS = 7


class MemorySource:
    """Frames that are already in memory."""

    name, live, stills = "memory", False, False

    def __init__(self, frames: list[np.ndarray], fps: float) -> None:
        self.frames, self.fps, self.size = frames, fps, (frames[0].shape[1], frames[0].shape[0])
        self.next = 0

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        if self.next == len(self.frames):
            return None
        self.next += 1
        return Capture(self.frames[self.next - 1], (self.next - 1) / self.fps, time.monotonic_ns())

    def close(self) -> None:
        pass


class NotingChain:
    """Passes every call on and keeps it, so that it can be made again."""

    def __init__(self, chain: CpuChain) -> None:
        self.chain, self.info = chain, chain.info
        self.calls: list[tuple[str, tuple]] = []

    def __getattr__(self, name: str):
        def call(*arguments):
            self.calls.append((name, arguments))
            return getattr(self.chain, name)(*arguments)

        return call


def fitted_frames(clip: Path, size: tuple[int, int], most: int) -> list[np.ndarray]:
    """The first frames of a clip, letterboxed to (width, height)."""
    video, frames = cv2.VideoCapture(str(clip)), []
    while len(frames) < most and (image := video.read()[1]) is not None:
        frames.append(letterbox(image, size[::-1], grey=0))
    return frames


def loop_seconds(chain: Chain, target: Target, frames: list[np.ndarray]) -> tuple[float, list[FrameResult]]:
    """CPU time of the process for all frames through the loop, results as JSON included; and the results."""
    executor = CpuExecutor(chain, target, Tracker(chain.info.people))
    pipeline = Pipeline(MemorySource(frames, 30.0), executor, chain.info.frame_size[::-1], MonotonicClock())
    results = []
    started = time.process_time()
    for shown in pipeline.run():
        json.dumps(frame_row(shown.result))
        results.append(shown.result)
    return time.process_time() - started, results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--encoder", default="bones")
    parser.add_argument("--frames", type=int, default=120)
    arguments = parser.parse_args()
    chain = CpuChain(read_chain(arguments.engines, arguments.encoder))
    frames = fitted_frames(arguments.clip, chain.info.frame_size, arguments.frames)
    joints = find_pose(chain, frames[0])[0]
    target = target_from_joints(joints, chain.info.frame_size, "first frame", str(arguments.clip))
    noting = NotingChain(chain)
    loop_seconds(noting, target, frames)

    def engines_alone() -> float:
        started = time.process_time()
        for name, call in noting.calls:
            getattr(chain, name)(*call)
        return time.process_time() - started

    engines_alone()
    pairs = [(engines_alone(), loop_seconds(chain, target, frames)[0]) for _ in range(REPEATS)]
    count = len(frames)
    ratios = sorted(whole / alone for alone, whole in pairs)
    alone_ms, whole_ms = (statistics.median(pair[side] for pair in pairs) / count * 1e3 for side in (0, 1))
    print(f"{count} frames, {REPEATS} pairs, {len([1 for name, _ in noting.calls if name == 'detect'])} detections")
    print(f"engines alone {alone_ms:.2f} CPU-ms a frame, loop {whole_ms:.2f} CPU-ms a frame")
    print(f"loop / engines: median {statistics.median(ratios):.3f} (least {ratios[0]:.3f}, most {ratios[-1]:.3f})")


if __name__ == "__main__":
    main()
