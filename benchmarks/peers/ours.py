"""The live loop of posemirror: tracking, smoothing, scoring, routine and results as JSON; no window."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import WARM_UP, options, pictures, report

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from realtime.demo import TARGET
from realtime.displays import Outputs
from realtime.frames import Capture, MonotonicClock, Room, no_room
from realtime.opening import engines_folder, open_chain, open_target, opened_executor
from realtime.pipeline import Pipeline
from realtime.session import run_session


class ClipSource:
    """The peers' clip, as a source of the loop."""

    name, live, stills, fps, capture_clock = "clip", False, False, 30.0, "file"

    def __init__(self, frames: Iterator[np.ndarray], size: tuple[int, int]) -> None:
        self.frames, self.size, self.index = frames, size, -1

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        picture = next(self.frames, None)
        self.index += 1
        return None if picture is None else Capture(picture, self.index / self.fps, time.monotonic_ns())

    def close(self) -> None:
        pass


arguments = options("--engines")
chain, _ = open_chain(engines_folder(arguments.engines), "graded", "auto")
target = open_target(TARGET, chain, ignore=(), person=None)
height, width = next(pictures(arguments.clip, 1)).shape[:2]
source = ClipSource(pictures(arguments.clip, WARM_UP + arguments.frames), (width, height))
marks: list[float] = []
with opened_executor(chain, target, stills=False, detect_every=None, smoothing=True) as executor:
    pipeline = Pipeline(source, executor, chain.info.frame_size[::-1], MonotonicClock())

    def on_result(result, statistics) -> None:
        if result.frame in (WARM_UP - 1, WARM_UP + arguments.frames - 1):
            marks.append(time.process_time())

    outputs = Outputs(results=Path("/dev/null"))
    run_session(pipeline, source, chain.info, target, outputs, smoothing=True, on_result=on_result)
# the loop reads ahead: about two of the frames counted were begun before the first mark
report((marks[1] - marks[0]) / (arguments.frames - 2))
