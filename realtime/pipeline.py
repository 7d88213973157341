"""The loop: one thread captures, one computes, the caller's draws and writes. Knows no network, overlay or file.

    source -> mailbox -> executor -> caller
       (capture thread)  (worker)    (the caller's thread)

A live source's mailbox holds the newest frame only; a file's waits. In flight are at most the executor's `depth` of
frames (one on a CPU, two on a GPU) and one with the caller. `captured = shown + dropped + in flight` holds whenever the
ledger's lock is free.
"""

import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from engines.errors import GpuHangError, SourceError
from engines.geometry import Size
from engines.host_sampling import letterbox
from realtime.executor import Executor
from realtime.frames import Clock, Frame, Picture
from realtime.mailbox import Ledger, Mailbox
from realtime.repeats import Repeats
from realtime.results import CAMERA_FROZEN, CAMERA_LOST, STALE, FrameResult
from realtime.sources import Source

STALE_MS = 250.0
LOST_MS = 1000.0
BAR_GREY = 0
JOIN_SECONDS, STUCK_JOIN_SECONDS = 5.0, 0.2
STUCK_SECONDS = 2.0
"""A source that notices itself that it is lost says so within this long after the limit."""


@dataclass(frozen=True)
class Shown:
    """A result and the frame it belongs to. The picture is the caller's until it asks for the next one.

    `repeated` marks an old frame given once more because a live source has gone silent: it is stale, has no score, and
    is neither counted nor to be written down. `frozen` is the frame's.
    """

    result: FrameResult
    image: Picture
    dropped_before: int
    repeated: bool = False
    frozen: bool = False


def stale(result: FrameResult, age_ms: float, reason: str) -> FrameResult:
    """A result that is too old to be scored."""
    people = tuple(replace(person, score=None) for person in result.people)
    return replace(result, status=STALE, reason=reason, score=None, distance=None, people=people, age_ms=age_ms)


def late(result: FrameResult, age_ms: float, frozen: bool = False) -> FrameResult:
    """A result whose picture came too late, or stays the same: see `realtime.frames.Capture`."""
    same = f"{CAMERA_FROZEN}: the same picture for {age_ms / 1e3:.1f} s"
    return stale(result, age_ms, same if frozen else f"the picture is {age_ms:.0f} ms old")


class Pipeline:
    """Runs a source through an executor.

    Use: `for shown in pipeline.run(): ...`; what the caller does in the loop's body is the delivery to the sinks.
    Leaving the loop stops everything.

    Args:
        source: opened, closed by the caller.
        executor: see `realtime.executor`.
        frame_size: (height, width) px that frames are fitted to.
        clock: for capture and age.
        max_frames: stop after as many results.
        silence_ms: how long there may be nothing new before the cause is looked for; a live source's last frame then
            comes again, marked stale.
        lost_seconds: how long a source may be lost; one whose read does not even come back then is given up 2 s later.
            None waits for ever, and is for one that cannot be lost: a file's read may wait long for its next frame.
    """

    def __init__(
        self,
        source: Source,
        executor: Executor,
        frame_size: Size,
        clock: Clock,
        *,
        max_frames: int | None = None,
        silence_ms: float = STALE_MS,
        lost_seconds: float | None = None,
    ) -> None:
        self._silence_seconds = silence_ms / 1e3 if source.live or executor.watchdog else None
        self._lost_seconds = lost_seconds
        self._reading_since_ns: int | None = None
        self._source, self._executor, self._clock = source, executor, clock
        self._frame_size, self._max_frames = frame_size, max_frames
        self.ledger = Ledger()
        self._mailbox = Mailbox(source.live, self.ledger, executor.buffers)
        self._results: queue.SimpleQueue[Shown | BaseException | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(1)  # results that the caller has not asked for yet
        self._stop = threading.Event()
        self._source_error: BaseException | None = None
        self._buffer: Picture | None = None

    def run(self) -> Generator[Shown]:
        """Results in order, until the source ends, `max_frames` is reached or the caller leaves.

        Raises:
            PosemirrorError: whatever the source or the engines raised, here in the caller's thread.
            SourceError: a read of a live source has not come back.
            GpuHangError: the engines have not come back; nothing is waited for any more.
        """
        threads = [
            threading.Thread(target=step, name=name, daemon=True)
            for name, step in (("capture", self._capture), ("worker", self._compute))
        ]
        for thread in threads:
            thread.start()
        count = 0
        last: Shown | None = None
        patience = JOIN_SECONDS
        try:
            while count != self._max_frames:
                try:
                    item = self._results.get(timeout=self._silence_seconds)
                except queue.Empty:
                    if watchdog := self._executor.watchdog:
                        watchdog.require_answer()
                    self._require_source()
                    if last is not None and self._source.live:
                        yield self._silent(last)
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                count += 1
                delivered = False
                if last is not None:  # until now it might have been shown once more
                    self._mailbox.give_back(last.image)
                last = item
                try:
                    yield self._aged(item)
                    delivered = True
                finally:
                    with self._mailbox.lock:
                        self.ledger.in_flight -= 1
                        self.ledger.shown += delivered
                        self.ledger.dropped += not delivered
                self._room.release()
        except GpuHangError:
            patience = STUCK_JOIN_SECONDS
            raise
        finally:
            self.stop()
            capture, worker = threads
            hangs = self._reading_seconds() * 1e3 >= LOST_MS
            capture.join(STUCK_JOIN_SECONDS if hangs else JOIN_SECONDS)  # a driver that hangs is not waited for
            worker.join(patience)
            self._give_up_undelivered()

    def stop(self) -> None:
        """Asks every thread to end; harmless when repeated."""
        self._stop.set()
        self._mailbox.close(drop=True)
        self._room.release()

    def interrupt(self) -> None:
        """Ends `run` before its next new result, as if the source had ended; a signal's handler may call it."""
        self._results.put(None)

    def age_ms(self, result: FrameResult) -> float:
        """How long ago its picture was captured."""
        return (self._clock.now_ns() - result.captured_ns) / 1e6

    def _reading_seconds(self) -> float:
        """How long the source has been asked for its next picture; 0 while it is not."""
        since = self._reading_since_ns
        return 0.0 if since is None else (self._clock.now_ns() - since) / 1e9

    def _require_source(self) -> None:
        """Gives up a source whose driver does not come back from a read."""
        waited = self._reading_seconds()
        if self._lost_seconds is not None and waited >= self._lost_seconds + STUCK_SECONDS:
            raise SourceError(
                f"{self._source.name} has not answered for {waited:.0f} s",
                f"a source may be lost for --reconnect-seconds {self._lost_seconds:g}",
                "unplug it and plug it in again, then run again",
            )

    def too_old(self, result: FrameResult) -> bool:
        """Whether a result is of a picture that may not be shown as live any more."""
        return self._source.live and self.age_ms(result) > STALE_MS

    def _aged(self, shown: Shown) -> Shown:
        """The result with its age; from a live source a result that is too old loses its score."""
        age_ms = self.age_ms(shown.result)
        moments = shown.result.moments_ms | {"delivered": age_ms}
        result = replace(shown.result, age_ms=age_ms, moments_ms=moments)
        return replace(shown, result=late(result, age_ms, shown.frozen) if self.too_old(result) else result)

    def _silent(self, shown: Shown) -> Shown:
        """The last frame once more, for a source that has gone silent, or engines that take very long."""
        age_ms = self.age_ms(shown.result)
        reason = f"no new result for {age_ms / 1e3:.1f} s"
        if self._lost_seconds is not None and self._reading_seconds() * 1e3 >= LOST_MS:
            reason = f"{CAMERA_LOST}: no picture for {self._reading_seconds():.1f} s"
        return replace(shown, result=stale(shown.result, age_ms, reason), repeated=True)

    def _capture(self) -> None:
        """The capture thread; what the source raises reaches the caller after the frames read before it."""
        try:
            self._read_all()
        except BaseException as error:
            self._source_error = error
        finally:
            self._mailbox.close()

    def _read_all(self) -> None:
        """Reads, fits and leaves frames until the source ends."""
        index, seconds = 0, 0.0
        repeats = Repeats()
        most = None if self._source.live else self._max_frames  # a live source goes on: frames may yet be dropped
        while not self._stop.is_set() and index != most:
            self._reading_since_ns = self._clock.now_ns()
            capture = self._source.read(self._stop, self._room_for)
            self._reading_since_ns = None
            if capture is None:
                return
            # clocks of drivers and files may go back, or ahead of ours; those who follow a person rely on neither
            seconds = capture.seconds if index == 0 else max(seconds, capture.seconds)
            captured_ns = min(capture.captured_ns, self._clock.now_ns())
            duplicate = repeats.same_again(capture.image)
            image = self._placed(capture.image)
            if not self._mailbox.put(Frame(image, index, seconds, captured_ns, capture.frozen, duplicate=duplicate)):
                return
            index += 1

    def _room_for(self, size: Size) -> Picture | None:
        """Where a source may decode a picture to, so that it needs no copy; None for one that has to be fitted."""
        if size != self._frame_size:
            return None
        self._reading_since_ns = None  # it is not the source that is waited for
        buffer = self._next_buffer()
        self._reading_since_ns = self._clock.now_ns()
        return buffer

    def _next_buffer(self) -> Picture | None:
        """The buffer for the next frame; the same until a frame goes off in it: a picture may turn out broken."""
        if self._buffer is None:
            self._buffer = self._mailbox.buffer()
        return self._buffer

    def _placed(self, image: Picture) -> Picture:
        """A captured picture where the executor wants it, fitted to the frame's size."""
        buffer, self._buffer = self._next_buffer(), None
        if buffer is None:
            fits = image.shape[:2] == self._frame_size
            return image if fits else letterbox(image, self._frame_size, grey=BAR_GREY)
        if np.may_share_memory(image, buffer):
            return buffer
        return letterbox(image, self._frame_size, grey=BAR_GREY, into=buffer)

    def _compute(self) -> None:
        """The worker; what the executor raises reaches the caller at once."""
        try:
            self._execute_all()
        except BaseException as error:
            self._stop.set()
            self._mailbox.close(drop=True)
            self._results.put(error)

    def _execute_all(self) -> None:
        """Takes frames through the executor, one result at a time to the caller."""
        waiting: list[Frame] = []
        while waiting or not self._mailbox.ended:
            # a finished result never waits for a camera's next frame; a file's next frame comes at once
            frame = self._mailbox.take(wait=not waiting or not self._source.live)
            if frame is not None:
                wait_ms = (self._clock.now_ns() - frame.captured_ns) / 1e6
                self._executor.submit(frame, wait_ms=wait_ms)
                waiting.append(frame)
            if waiting and (frame is None or len(waiting) >= self._executor.depth):
                oldest = waiting.pop(0)
                result = replace(
                    self._executor.collect(), dropped_before=oldest.dropped_before, duplicate=oldest.duplicate
                )
                self._deliver(Shown(result, oldest.image, oldest.dropped_before, frozen=oldest.frozen))
        self._await_room()
        self._results.put(self._source_error)

    def _await_room(self) -> None:
        """Waits until the caller has asked; after `stop` nobody asks, and nobody is waited for."""
        if not self._stop.is_set():
            self._room.acquire()

    def _deliver(self, shown: Shown) -> None:
        """Hands on a result when the caller has asked for it.

        A live result that was fresh and has become too old while a slow caller was busy is dropped: the next frame is
        newer.
        """
        fresh = not self.too_old(shown.result)
        self._await_room()
        if fresh and self.too_old(shown.result):
            self._mailbox.drop_taken(shown.image, 1 + shown.dropped_before)
            self._room.release()
            return
        self._results.put(shown)

    def _give_up_undelivered(self) -> None:
        """Counts as dropped what was computed and never asked for."""
        with self._mailbox.lock:
            self.ledger.dropped += self.ledger.in_flight
            self.ledger.in_flight = 0
