"""Command line: the true delay from screen through camera to program, measured with a time code. Knows no target.

python -m realtime.glass_to_glass [--source 0] [--engines DIR]

The screen shows a new number every `--hold-ms`; the camera, pointed at the screen, sees it; what is measured is how
long after the middle of a number's time on the screen its picture is back.

- Starts: the window has taken the picture with the number (`imshow` and the event loop have returned). So the screen's
  own delay, the camera's exposure, its cable, its driver and the decoding are all inside the figure.
- Stops: the picture is in the program's hands; with `--engines`, it has also gone through the engines, and its overlay
  is drawn and handed to the window: then the figure is the whole of what a person before the mirror waits for.
"""

import argparse
import contextlib
import json
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from engines.errors import BadInputError, SourceError
from engines.exits import documented_exits, starting

with starting(__name__):
    import cv2
    import numpy as np
    from rich.table import Table

    from engines.geometry import Size
    from engines.options import OptionParser, add_version, file_path
    from engines.output_paths import require_ending, require_writable
    from engines.terminal import Terminal
    from engines.whole_files import write_whole
    from realtime.brush import FAIR, GOOD, LIGHT, put_text
    from realtime.executor import Executor
    from realtime.frames import Clock, Frame, FrameBuffers, MonotonicClock, Picture
    from realtime.live_options import DEFAULT_ENCODER, positive, ranged
    from realtime.opening import engines_folder, open_chain, opened_executor
    from realtime.overlay import draw_overlay
    from realtime.pipeline import Pipeline
    from realtime.results import NO_PERSON, FrameResult
    from realtime.sinks import Window, display_problem
    from realtime.sources import open_source
    from realtime.station import Station
    from realtime.statistics import Distribution
    from realtime.time_code import NUMBERS, draw_code, read_code
    from realtime.watchdog import Watchdog

SCREEN = (1280, 720)
VIEW_WIDTH = 400
REMEMBERED = 1024
"""Numbers whose time on the screen is kept: half a minute's."""


class Screen(Protocol):
    """Where the code is shown."""

    def show(self, picture: Picture) -> bool:
        """Shows a picture; False once the user wants to leave."""


@dataclass
class Measurement:
    """Delays of the numbers seen.

    Args:
        hold_ns: how long each number stays on the screen.
    """

    hold_ns: int
    delay: Distribution = field(default_factory=Distribution)
    unread: int = 0
    _shown: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def put(self, number: int, now_ns: int) -> None:
        """A number is on the screen from now on."""
        self._shown.append((number, now_ns))

    def take(self, picture: Picture, stopped_ns: int) -> float | None:
        """Looks for a number in a picture that was back at `stopped_ns`; gives its delay, ms, or None."""
        number = read_code(picture)
        for one, began_ns in reversed(self._shown):
            if one == number and began_ns <= stopped_ns:
                middle_ns = began_ns + min(self.hold_ns, stopped_ns - began_ns) // 2
                delay_ms = (stopped_ns - middle_ns) / 1e6
                self.delay.add(delay_ms)
                return delay_ms
        self.unread += 1
        return None


@dataclass(frozen=True)
class Back:
    """A picture that came back, uint8 [H, W, 3], and how it is to be shown."""

    picture: Picture
    drawn: Callable[[], Picture]


def measure(
    screen: Screen,
    back: Callable[[float], Back | None],
    clock: Clock,
    measurement: Measurement,
    *,
    frames: int,
    timeout_seconds: float,
    whole: bool = False,
) -> None:
    """Shows numbers and reads them back until `frames` were read or the user leaves.

    Args:
        screen: shows the numbers.
        back: the next picture of the camera, waited for at most so many seconds; None when none came.
        clock: for both ends.
        measurement: takes the delays.
        frames: how many to read.
        timeout_seconds: how long nothing readable may come.
        whole: whether a delay ends only when the picture with its overlay is on the screen.

    Raises:
        BadInputError: no code was seen for `timeout_seconds`.
    """
    number, view, last_ns, last_ms = -1, None, clock.now_ns(), 0.0
    while measurement.delay.count < frames:
        number = (number + 1) % NUMBERS
        if not screen.show(composed(number, view, measurement, last_ms)):
            return
        measurement.put(number, clock.now_ns())
        until_ns = clock.now_ns() + measurement.hold_ns
        while (left_ns := until_ns - clock.now_ns()) > 0:
            one = back(left_ns / 1e9)
            if one is None:
                continue
            stopped_ns = clock.now_ns()
            view = one.drawn()
            if whole:
                if not screen.show(composed(number, view, measurement, last_ms)):
                    return
                stopped_ns = clock.now_ns()
            delay_ms = measurement.take(one.picture, stopped_ns)
            if delay_ms is not None:
                last_ns, last_ms = clock.now_ns(), delay_ms
        if (clock.now_ns() - last_ns) / 1e9 > timeout_seconds:
            raise BadInputError(
                f"the camera saw no time code for {timeout_seconds:g} s ({measurement.unread} pictures without one)",
                "the whole code, its black frame included, must be sharp in the picture and at least 80 px wide",
                "point the camera at this screen, come closer, dim lights that mirror in it, or raise --hold-ms",
            )


def composed(number: int, view: Picture | None, measurement: Measurement, last_ms: float) -> Picture:
    """The screen: the code, what the camera sees, and how it goes; uint8 [720, 1280, 3]."""
    width, height = SCREEN
    canvas = np.full((height, width, 3), 255, np.uint8)
    canvas[:, : width - VIEW_WIDTH] = draw_code(number, width - VIEW_WIDTH, height)
    left = width - VIEW_WIDTH
    cv2.rectangle(canvas, (left, 0), (width, height), (40, 40, 40), -1)
    if view is not None:
        small = cv2.resize(view, (VIEW_WIDTH, round(VIEW_WIDTH * view.shape[0] / view.shape[1])))[: height - 200]
        # in blue alone: people see it, and a camera's grey picture has no second, older code in it
        canvas[120 : 120 + small.shape[0], left:, 0] = small.mean(2) * 0.7 + 40
    count = measurement.delay.count
    said, colour = (f"{count} codes read", GOOD) if count else ("point the camera at this code", FAIR)
    put_text(canvas, said, (left + 20, 50), 24, colour)
    if count:
        middle = measurement.delay.percentile(0.5)
        put_text(canvas, f"last {last_ms:.0f} ms, median {middle:.0f} ms", (left + 20, 86), 20, colour, LIGHT)
    return canvas


class LookOnly:
    """An executor that runs no engine: the picture comes back as it is."""

    depth = 1
    buffers: FrameBuffers | None = None
    watchdog: Watchdog | None = None

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """See `realtime.executor.Executor`."""
        self._frames.append(frame)

    def collect(self) -> FrameResult:
        """See `realtime.executor.Executor`."""
        frame = self._frames.popleft()
        return FrameResult(
            frame.index, frame.seconds, frame.captured_ns, NO_PERSON, "nobody is looked for", None, None, None, None,
            None, {}, (), False, "", {},
        )  # fmt: skip


@contextlib.contextmanager
def mirror(arguments: argparse.Namespace) -> Iterator[tuple[Executor, Size, Callable[[Picture, FrameResult], Picture]]]:
    """What pictures go through, their (height, width), and how each is drawn."""
    if arguments.engines is None:
        yield LookOnly(), SCREEN[::-1], lambda picture, result: picture
        return
    chain, _ = open_chain(engines_folder(arguments.engines), DEFAULT_ENCODER, "auto")
    info = chain.info
    station = Station(None, info.frame_size, info.visible_confidence)
    with opened_executor(chain, None, detect_every=None, smoothing=True, stills=False) as executor:

        def drawn(picture: Picture, result: FrameResult) -> Picture:
            joints, view = station.view(result, "")
            return draw_overlay(picture.copy(), result, joints, view, info.visible_confidence)

        yield executor, info.frame_size[::-1], drawn


@contextlib.contextmanager
def camera_thread(
    pipeline: Pipeline, drawn: Callable[[Picture, FrameResult], Picture]
) -> Iterator[Callable[[float], Back | None]]:
    """Runs the loop beside the screen; gives what asks for its next picture."""
    pictures: queue.SimpleQueue[Back | BaseException] = queue.SimpleQueue()
    taken, left = threading.Semaphore(0), threading.Event()

    def pump() -> None:
        try:
            with contextlib.closing(pipeline.run()) as frames:
                for shown in frames:
                    if shown.repeated:
                        continue
                    picture = shown.image.copy()
                    pictures.put(Back(picture, partial(drawn, picture, shown.result)))
                    taken.acquire()  # meanwhile the pipeline drops what grows old, as before a window
                    if left.is_set():
                        return
            pictures.put(SourceError("the source ended", "a camera goes on", "give a camera that sees this screen"))
        except BaseException as error:
            pictures.put(error)

    def back(seconds: float) -> Back | None:
        try:
            one = pictures.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(one, BaseException):
            raise one
        taken.release()
        return one

    thread = threading.Thread(target=pump, name="camera", daemon=True)
    thread.start()
    try:
        yield back
    finally:
        left.set()
        pipeline.stop()
        taken.release()
        thread.join(5.0)


def report(measurement: Measurement, whole: bool) -> Table:
    """The distribution of the delays."""
    figures = measurement.delay.summary()
    what = "through the engines and back on the screen" if whole else "in the program's hands"
    table = Table("ms", *figures, title=f"{measurement.delay.count} codes, {measurement.unread} pictures without one")
    table.add_row(f"from the screen, {what}", *(f"{value:.0f}" for value in figures.values()))
    return table


def hold_ms(text: str) -> float:
    """How long a code stays on the screen."""
    return ranged(text, "time of a code", "ms", (5, 1000), "33.3")


def timeout(text: str) -> float:
    """How long nothing readable may come."""
    return ranged(text, "time to wait", "seconds", (1, 86400), "20")


@documented_exits()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = OptionParser(
        prog="python -m realtime.glass_to_glass",
        description="Measure the delay from the screen through the camera with a time code.",
        epilog="Exit codes: 0 done, 2 bad argument, no screen or no code seen, 3 source lost, 4 engine unusable.",
    )
    parser.add_argument("--source", default="0", metavar="0|rtsp://...", help="a camera that sees this screen")
    parser.add_argument("--engines", metavar="DIR|quickstart", help="include engines, overlay and the second showing")
    parser.add_argument("--frames", type=positive, default=300, help="codes to read; default 300")
    parser.add_argument("--hold-ms", type=hold_ms, default=33.3, help="time of a code on the screen; default 33.3")
    parser.add_argument("--timeout", type=timeout, default=20.0, help="seconds without a code that are waited for")
    parser.add_argument("--out", type=file_path, metavar="FILE.json", help="write the figures")
    add_version(parser)
    arguments = parser.parse_args(argv)
    if arguments.out:
        require_ending(arguments.out, "--out", [".json"])
        require_writable(arguments.out, "--out")
    problem = display_problem()
    if problem:
        raise BadInputError(f"no window can be opened: {problem}", "a screen is needed", "run it at the station")
    clock = MonotonicClock()
    measurement = Measurement(round(arguments.hold_ms * 1e6))
    with contextlib.ExitStack() as stack:
        source = open_source(arguments.source, clock, pace=True, reconnect_seconds=5)
        stack.enter_context(contextlib.closing(source))
        executor, size, drawn = stack.enter_context(mirror(arguments))
        window = stack.enter_context(Window("glass to glass", SCREEN))
        back = stack.enter_context(camera_thread(Pipeline(source, executor, size, clock), drawn))
        measure(
            window, back, clock, measurement,
            frames=arguments.frames, timeout_seconds=arguments.timeout, whole=arguments.engines is not None,
        )  # fmt: skip
    Terminal().print(report(measurement, arguments.engines is not None))
    if arguments.out:
        figures = {
            "delay_ms": measurement.delay.summary(),
            "read": measurement.delay.count,
            "unread": measurement.unread,
        }
        write_whole(arguments.out, json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
