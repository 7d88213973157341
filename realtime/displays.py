"""Everything that shows a frame: the window, browsers, the recordings. Knows no results file and no network."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from engines.execution import ChainInfo
from realtime.brush import ground
from realtime.frames import Picture
from realtime.keys import BROWSER_KEYS
from realtime.pipeline import Pipeline, Shown, late
from realtime.results import STALE, FrameResult
from realtime.screen import Screen, old_screen, screen_of
from realtime.sinks import QUIT_KEYS, Recorder
from realtime.station import Station
from realtime.web.hub import Hub
from realtime.web.words import page_words
from realtime.window_process import ScreenWindow, open_window

LONGEST_STILL_SECONDS = 2.0
"""A longer silence of the source is left out of a recording."""
MOST_FPS = 60.0
"""Of a recording: a source may say 1000, which is but the unit of its times."""


@dataclass(frozen=True)
class Outputs:
    """Where results go; None for nowhere.

    Args:
        record: a video of what the window shows.
        results: one JSON object a frame.
        window: whether there is one.
        hub: where browsers get pictures and rows.
        skeleton: a video of the same without any pixel of the source.
        say: tells the user of what is lost on the way.
    """

    record: Path | None = None
    results: Path | None = None
    window: bool = False
    hub: Hub | None = None
    skeleton: Path | None = None
    say: Callable[[str], None] = lambda sentence: None


class RecordingPace:
    """How often each picture is written to a recording, so that it plays as fast as what was recorded.

    Frames that were dropped, and silences up to `LONGEST_STILL_SECONDS`, are filled with the next picture; of two that
    come closer together than the recording's rate only one is written. Before a live source filling stops after half of
    the time since the last frame, or a slow codec would cost still more frames; what is not filled is left out.

    Args:
        fps: pictures a second of the recording.
        live: whether the source goes on meanwhile.
        now: a clock, seconds.
    """

    def __init__(self, fps: float, *, live: bool = False, now: Callable[[], float] = time.perf_counter) -> None:
        self._fps, self._live, self._now = fps, live, now
        self._began = self._last = -math.inf
        self._written = 0

    def write(self, seconds: float, write: Callable[[], None]) -> None:
        """Calls `write` as often as the picture of a frame at `seconds` is to be written."""
        silence = seconds - self._last
        if not 0 <= silence <= LONGEST_STILL_SECONDS:  # the first one, or cut
            self._began, self._written = seconds, 0
        self._last = seconds
        due = round((seconds - self._began) * self._fps) + 1
        started = self._now()
        first = self._written
        while self._written < due:
            if self._live and self._written > first and self._now() - started > 0.5 * silence:
                self._began, self._written = seconds, 1
                return
            write()
            self._written += 1


class Displays:
    """The open displays of one session. Use as a context manager.

    Args:
        outputs: which there are.
        station: what the person sees and steers.
        info: of the engines.
        fps: of the source.
        live: whether the source goes on meanwhile.
    """

    def __init__(self, outputs: Outputs, station: Station, info: ChainInfo, fps: float, *, live: bool = False) -> None:
        self._outputs, self._station, self._info, self._fps = outputs, station, info, min(fps, MOST_FPS)
        self._pace = RecordingPace(self._fps, live=live)
        self._hub = outputs.hub
        self._recorder: Recorder | None = None
        self._skeleton: Recorder | None = None
        self._window: ScreenWindow | None = None

    def __enter__(self) -> Self:
        """Opens them."""
        size = self._info.frame_size
        with contextlib.ExitStack() as stack:
            if self._outputs.record:
                self._recorder = stack.enter_context(Recorder(self._outputs.record, size, self._fps))
            if self._outputs.skeleton:
                self._skeleton = stack.enter_context(
                    Recorder(self._outputs.skeleton, size, self._fps, "--record-skeleton")
                )
                self._ground = ground(size)
            if self._outputs.window:
                self._window = stack.enter_context(open_window("posemirror", size))
                self._window.on_key = self._station.press
            elif self._hub:
                self._station.keys = BROWSER_KEYS
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the recordings and closes the window."""
        self._stack.__exit__(kind, error, trace)

    def is_left(self) -> bool:
        """Acts on the keys that came from browsers; whether one of them was to leave."""
        keys = self._hub.keys() if self._hub else []
        for key in keys:
            self._station.press(key)
        return any(key in QUIT_KEYS for key in keys)

    def show_again(self, shown: Shown) -> bool:
        """Shows the last frame of a source that has gone silent; False once the user wants to leave."""
        looked_at = self._hub is not None and self._hub.wanted
        if not self._window and not looked_at:
            return True
        screen = old_screen(shown.image, shown.result, self._station.mirror)
        picture = screen.over(shown.image)
        if looked_at:
            self._offer(picture, screen, shown.result)
        return self._in_window(picture)

    def show(
        self, image: Picture, result: FrameResult, pipeline: Pipeline, latency: Callable[[], str]
    ) -> tuple[FrameResult, bool]:
        """Draws one frame for everybody who looks.

        Args:
            image: uint8 [H, W, 3] BGR.
            result: of that frame.
            pipeline: knows how old it is.
            latency: gives the line to show when asked for.

        Returns:
            The result with the moments of its display, marked stale if it became too old meanwhile; and False once the
            user wants to leave.
        """
        looked_at = self._hub is not None and self._hub.wanted
        seen = bool(self._window or self._recorder or looked_at)
        if not seen and not self._skeleton:
            return with_moments(result, {}), True
        screen = screen_of(image, result, self._station, self._info, latency())
        picture = screen.over(image) if seen else None
        if result.status != STALE and pipeline.too_old(result):  # while it was drawn
            result = late(result, pipeline.age_ms(result))
            screen = screen_of(image, result, self._station, self._info, latency())
            picture = screen.over(image) if seen else None
        moments, stays = {"drawn": pipeline.age_ms(result)}, True
        if picture is not None and looked_at:
            self._offer(picture, screen, result)
        if picture is not None and self._window:
            stays = self._in_window(picture)
            if self._window:
                moments["shown"] = pipeline.age_ms(result)
        self._pace.write(result.seconds, lambda: self._record(picture, screen))
        if not stays:
            self._window = None  # its user left; the frames still in flight go to the files
        return with_moments(result, moments), stays

    def _record(self, picture: Picture | None, screen: Screen) -> None:
        if picture is not None and self._recorder:
            self._recorder.write(picture)
        if self._skeleton:
            self._skeleton.write(screen.over(self._ground))

    def _offer(self, picture: Picture, screen: Screen, result: FrameResult) -> None:
        if self._hub:
            self._hub.offer(picture, page_words(screen.view, result))

    def _in_window(self, picture: Picture) -> bool:
        """Shows a picture in the window; one whose display is lost is told of once, and the session goes on."""
        stays = self._window is None or self._window.show(picture)
        if self._window and self._window.lost:
            self._outputs.say(self._window.lost)
            self._window, stays = None, True
        return stays


def with_moments(result: FrameResult, moments_ms: dict[str, float]) -> FrameResult:
    """The result with the moments of its display; the last of them is its age."""
    age_ms = max([result.age_ms, *moments_ms.values()])
    return replace(result, age_ms=age_ms, moments_ms=result.moments_ms | moments_ms)
