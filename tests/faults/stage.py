"""A camera that fails on cue before the whole live loop: source, engines, station, window, recording, results file.

Time is the camera's: it moves when a picture is taken, an opening or a pause is waited for, or a sink is slow. What
must hold in every fault is asserted here, in `Stage.play`; the tests add what is particular to each.
"""

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import pytest

from engines.errors import PosemirrorError
from engines.exits import Terminated
from realtime import displays
from realtime.displays import Outputs
from realtime.executor import CpuExecutor
from realtime.frames import Frame, Picture
from realtime.mailbox import Ledger
from realtime.pipeline import STALE_MS, Pipeline
from realtime.results import SCORED, STALE, FrameResult
from realtime.screen import Screen
from realtime.session import run_session
from realtime.sources import open_source
from realtime.statistics import Statistics
from realtime.tracking import Tracker
from tests.realtime.fakes import (
    DEADLINE_SECONDS,
    FRAME_SIZE,
    FakeChain,
    FakeClock,
    finished,
    standing_target,
    valid_rows,
    wait_for,
)

FRAME_SECONDS = 0.04
FIRST_LEVEL, LEVELS = 56, 190
WHOLE_RUN_SECONDS = 120.0
"""Hundreds of frames on a machine that is busy with other work; each wait within has a deadline of its own."""

REPEAT_MS = 5
"""Real time without a result after which the loop shows the last picture again; 250 in a real run."""


def numbered(number: int, size: tuple[int, int] = FRAME_SIZE) -> Picture:
    """A picture of (width, height) px in a colour of its own."""
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = (FIRST_LEVEL + number % LEVELS, FIRST_LEVEL + number // LEVELS, 120)
    return picture


def number_of(picture: Picture) -> int:
    """The number of a picture, fitted or not; -1 for a black one."""
    blue, green, _ = (int(value) for value in picture[picture.shape[0] // 2, picture.shape[1] // 2])
    return -1 if blue == 0 else blue - FIRST_LEVEL + LEVELS * (green - FIRST_LEVEL)


def torn(number: int) -> Picture:
    """A picture whose data ended in its middle, as libjpeg leaves it."""
    picture = numbered(number)
    picture[picture.shape[0] // 2 :] = 128
    return picture


def is_torn(picture: Picture) -> bool:
    """Whether it is one of `torn`."""
    return bool((picture[-1] == 128).all())


Script = Callable[[float, int], Picture | None]
"""What the camera gives at a time (s) for its n-th picture: a picture, or None when the grab fails."""


class StagedCamera:
    """Stands in for `cv2.VideoCapture`: a picture every 40 ms.

    Args:
        clock: moved by it.
        script: what it gives.
        plugged: whether it can be opened at a time, s.
        open_seconds: how long an opening takes.
        hangs: the n-th grab does not come back until `woken` is set.
        driver_ms: what a V4L2 driver says of the time of the n-th picture, given the true one in ms; None: no V4L2.
    """

    def __init__(
        self,
        clock: FakeClock,
        script: Script,
        *,
        plugged: Callable[[float], bool] = lambda seconds: True,
        open_seconds: float = 0.0,
        hangs: Callable[[int], bool] = lambda number: False,
        driver_ms: Callable[[int, float], float] | None = None,
    ) -> None:
        self._clock, self._script, self._plugged, self._open_seconds = clock, script, plugged, open_seconds
        self._hangs, self._driver_ms = hangs, driver_ms
        self._began_ns = clock.now_ns()
        self.on_grab: Callable[[], None] = lambda: None
        self.on_picture: Callable[[], None] = lambda: None
        self.grabs = 0
        self.openings = 0
        self.hanging, self.woken = threading.Event(), threading.Event()
        self.first_given_ns: dict[int, int] = {}
        self._image: Picture | None = None
        self._told_ms = 0.0

    @property
    def seconds(self) -> float:
        """The camera's time."""
        return (self._clock.now_ns() - self._began_ns) / 1e9

    def __call__(self, *_: object) -> Self:
        self.openings += 1
        self._clock.advance(self._open_seconds)
        return self

    def isOpened(self) -> bool:  # noqa: N802
        return self._plugged(self.seconds)

    def grab(self) -> bool:
        self.on_grab()
        number, self.grabs = self.grabs, self.grabs + 1
        if self._hangs(number) and not self.woken.is_set():
            self.hanging.set()
            wait_for(self.woken, "the end of the hang")
        self._clock.advance(FRAME_SECONDS)
        self._image = self._script(self.seconds, number) if self._plugged(self.seconds) else None
        if self._image is None:
            return False
        if not is_torn(self._image):
            self.on_picture()
        self.first_given_ns.setdefault(number_of(self._image), self._clock.now_ns())
        if self._driver_ms is not None:
            self._told_ms = self._driver_ms(number, self._clock.now_ns() / 1e6)
        return True

    def retrieve(self) -> tuple[bool, Picture | None]:
        return self._image is not None, None if self._image is None else self._image.copy()

    def getBackendName(self) -> str:  # noqa: N802
        return "FAKE" if self._driver_ms is None else "V4L2"

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_POS_MSEC:
            return self._told_ms
        width, height = FRAME_SIZE
        return {cv2.CAP_PROP_FRAME_WIDTH: width, cv2.CAP_PROP_FRAME_HEIGHT: height}.get(prop, 1 / FRAME_SECONDS)

    def set(self, prop: int, value: float) -> bool:
        return True

    def release(self) -> None: ...


class SeeingChain(FakeChain):
    """Engines that find a person in a lit picture and nobody in a black one."""

    def detect(self, frame: Picture, anchor):  # type: ignore[no-untyped-def]
        boxes = super().detect(frame, anchor)
        return boxes if frame.mean() > 10 else np.zeros_like(boxes)

    def pose(self, frame: Picture, boxes, state, seconds):  # type: ignore[no-untyped-def]
        self.confidence = 0.9 if frame.mean() > 10 else 0.1
        return super().pose(frame, boxes, state, seconds)


@dataclass(frozen=True)
class Seen:
    """One picture on the screen: whether it was shown as live, the words on it, its number and age, and when."""

    live: bool
    words: str
    number: int
    age_ms: float
    seconds: float
    repeated: bool


class Stage:
    """The live loop before a staged camera.

    Args:
        monkeypatch: for OpenCV's capture and window.
        folder: for the results file and the recording.
        camera: opened as `--source 0`.
        clock: the camera's.
        chain: the engines.
        until_seconds: the run is left then; None when the source's end or an error ends it.
        slow_grabs: for how many pictures of the camera the screen is busy with each that it shows.
        reconnect_seconds: as `--reconnect-seconds`.
        record: whether there is a recording.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        camera: StagedCamera,
        clock: FakeClock,
        *,
        chain: FakeChain | None = None,
        until_seconds: float | None = None,
        slow_grabs: int = 0,
        reconnect_seconds: float = 30.0,
        record: bool = False,
    ) -> None:
        self.camera, self.clock, self.chain = camera, clock, chain or SeeingChain()
        self._until, self._slow_grabs = until_seconds, slow_grabs
        self._reconnect = reconnect_seconds
        self.outputs = Outputs(folder / "out.mp4" if record else None, folder / "out.jsonl", window=True)
        self.results: list[FrameResult] = []
        self.result_seconds: list[float] = []
        self.seen: list[Seen] = []
        self.numbers: dict[int, int] = {}
        self.on_seen: Callable[[Seen], None] = lambda seen: None
        self.statistics: Statistics | None = None
        self._written, self._caught_up = threading.Event(), threading.Event()
        self._written.set()
        self._busy_until_grab = 0
        self._ending = False
        self._drawn: dict[int, tuple[Picture, Screen, FrameResult, int]] = {}
        self.ledger = Ledger()
        self._pipeline: Pipeline | None = None
        camera.on_grab, camera.on_picture = self._before_grab, self._given
        monkeypatch.setattr(cv2, "VideoCapture", camera)
        monkeypatch.setattr(displays, "open_window", lambda *_: _Screen(self))
        self._watch_drawing(monkeypatch)

    def _watch_drawing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every drawn picture is remembered with what it claims."""

        def watched(draw: Callable[..., Screen]) -> Callable[..., Screen]:
            def drawing(image: Picture, result: FrameResult, *arguments: object) -> Screen:
                screen = draw(image, result, *arguments)

                def over(ground: Picture) -> Picture:
                    picture = screen.over(ground)
                    self._drawn[id(picture)] = (picture, screen, result, number_of(image))
                    return picture

                return Screen(over, screen.view)

            return drawing

        for name in ("screen_of", "old_screen"):
            monkeypatch.setattr(displays, name, watched(getattr(displays, name)))

    def shown_on_screen(self, picture: Picture) -> bool:
        """The window's `show`."""
        _, screen, result, number = self._drawn.pop(id(picture))
        live = result.status != STALE
        age_ms = (self.clock.now_ns() - result.captured_ns) / 1e6
        repeated = (result.reason or "").startswith("no new result")
        seen = Seen(live, screen.view.hint, number, age_ms, self.camera.seconds, repeated)
        assert not (live and age_ms > STALE_MS), f"a picture {age_ms:.0f} ms old was shown as live"
        self.seen.append(seen)
        self.look()
        self.on_seen(seen)
        if self._slow_grabs and live and not self._ending:
            self._caught_up.clear()
            self._busy_until_grab = self.camera.grabs + self._slow_grabs
            self._await_camera()
        return True

    def _await_camera(self) -> None:
        """Until the camera has given as many pictures as a slow screen lets pass, or has been given up."""
        assert self._pipeline is not None
        tries = 0
        while not self._caught_up.wait(0.01) and self._pipeline._source_error is None and not self._ending:
            tries += 1
            assert tries < DEADLINE_SECONDS / 0.01, "the camera never came"

    def look(self) -> None:
        """The books have to balance at every moment."""
        if self._pipeline is None:
            return
        with self._pipeline._mailbox.lock:
            ledger = self._pipeline.ledger
            assert ledger.captured == ledger.shown + ledger.dropped + ledger.in_flight, ledger
            assert min(ledger.captured, ledger.shown, ledger.dropped, ledger.in_flight) >= 0, ledger

    def _before_grab(self) -> None:
        """The camera's time stands still until the last picture's result is written, or the loop is ending.

        Before a slow screen it goes on while the screen is busy, and stands still at all other times.
        """
        self.look()
        if self._pipeline is None:  # the driver's first picture, which only starts its clock
            return
        if self.camera.grabs == self._busy_until_grab:
            self._caught_up.set()
        tries = 0
        while not self._goes_on() and not self._written.wait(0.01):
            tries += 1
            assert tries < DEADLINE_SECONDS / 0.01, "the last picture's result never came"
        if self._until is not None and self.camera.seconds >= self._until:
            self._ending = True
            self._pipeline.interrupt()
            self._caught_up.set()

    def _goes_on(self) -> bool:
        assert self._pipeline is not None
        return self._ending or self._pipeline._stop.is_set() or self.camera.grabs < self._busy_until_grab

    def _given(self) -> None:
        if self._pipeline is not None:
            self._written.clear()

    def _on_result(self, result: FrameResult, statistics: Statistics) -> None:
        self.look()
        self.results.append(result)
        self.result_seconds.append(self.camera.seconds)
        if result.status == SCORED:
            number = self.numbers[result.frame]
            given_ns = self.camera.first_given_ns[number]
            age_ms = self.clock.now_ns() - given_ns
            assert number >= 0, "a score came from a picture without anybody"
            fresh = age_ms / 1e6 <= STALE_MS or self._slow_grabs > 0  # else it was when the screen took it
            assert fresh, "a score came from an old picture"
        if not self._slow_grabs:
            self._written.set()

    def play(self, *, whole_file: bool = True, in_main: bool = False) -> "Stage":
        """Runs it to its end; what ends it is raised after everything that always holds was asserted.

        `whole_file`: whether the results file could be written to its end. `in_main`: in this thread, which takes
        signals; else in one of its own, with a deadline.
        """
        source = open_source("0", self.clock, pace=False, reconnect_seconds=self._reconnect)
        target = standing_target()
        executor = _Numbering(self.chain, target, Tracker(self.chain.info.people))
        executor.stage = self
        pipeline = self._pipeline = Pipeline(
            source, executor, FRAME_SIZE[::-1], self.clock, silence_ms=REPEAT_MS, lost_seconds=self._reconnect
        )  # fmt: skip

        def work() -> None:
            self.statistics = run_session(
                pipeline, source, self.chain.info, target, self.outputs, smoothing=True, on_result=self._on_result
            )

        ended: BaseException | None = None
        with contextlib.closing(source):
            try:
                work() if in_main else finished(work, WHOLE_RUN_SECONDS)
            except (PosemirrorError, KeyboardInterrupt, Terminated) as error:
                ended = error
        self.camera.woken.set()
        self.ledger = pipeline.ledger
        self.look()
        assert self.ledger.in_flight == 0
        if whole_file:
            self._check_file()
        if ended is not None:
            raise ended
        return self

    def _check_file(self) -> None:
        """The results file is whole: a row for every frame shown, in order, and a summary that agrees."""
        assert self.outputs.results is not None
        text = self.outputs.results.read_text(encoding="utf-8")
        first, *frames, last = [json.loads(line) for line in text.splitlines()]
        kinds = {(row["type"], row.get("status"), *row): row for row in (first, *frames, last)}
        valid_rows("".join(json.dumps(row) + "\n" for row in kinds.values()))  # one of each kind: the schema is slow
        assert text.endswith("\n")
        assert (first["type"], last["type"]) == ("session", "summary")
        assert [row["frame"] for row in frames] == [result.frame for result in self.results]
        assert [last[name] for name in ("captured", "shown", "dropped")] == [
            self.ledger.captured, self.ledger.shown, self.ledger.dropped,
        ]  # fmt: skip
        times = [row["time"] for row in frames]
        assert times == sorted(times), "time goes back"
        for row in frames:
            assert (row["status"] == SCORED) == (row["score"] is not None)

    def scored_between(self, first: float, last: float) -> int:
        """How many results with a score came between two times, s."""
        times = zip(self.results, self.result_seconds, strict=True)
        return sum(result.status == SCORED and first <= at <= last for result, at in times)

    def words_between(self, first: float, last: float) -> set[str]:
        """The words on the pictures shown between two times, s; not on repeats, which a busy machine may bring in."""
        return {seen.words for seen in self.seen if first <= seen.seconds <= last and not seen.repeated}


class _Numbering(CpuExecutor):
    """An executor that tells the stage which picture belongs to which frame."""

    stage: Stage

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        self.stage.numbers[frame.index] = number_of(frame.image)
        self.stage.look()
        super().submit(frame, wait_ms=wait_ms)


class _Screen:
    """Stands in for the window."""

    on_key: Callable[[int], None]
    lost = ""

    def __init__(self, stage: Stage) -> None:
        self.show = stage.shown_on_screen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
