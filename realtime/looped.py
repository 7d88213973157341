"""A video file again and again, for measuring: as fast as it is taken, or at a steady rate like a camera's."""

import threading
from collections.abc import Callable

from realtime.capture_clock import FILE
from realtime.frames import Capture, Clock, Room, no_room
from realtime.sources import Source


class LoopedSource:
    """Gives the frames of a source that ends, opens it again, and never ends itself; media time goes on.

    Args:
        reopen: opens the file, from its first frame, without pace.
        clock: for pace and capture times.
        rate: frames a second of a live source; None for a file, which waits.
    """

    stills = False
    capture_clock = FILE

    def __init__(self, reopen: Callable[[], Source], clock: Clock, *, rate: float | None) -> None:
        self._reopen, self._clock = reopen, clock
        self._source = reopen()
        self.live = rate is not None
        self.name, self.size, self.fps = self._source.name, self._source.size, rate or self._source.fps
        self._index = -1
        self._started_ns = 0

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `realtime.sources.Source`; None only once `stop` is set."""
        capture = self._source.read(stop, room)
        if capture is None and not stop.is_set():
            self._source.close()
            self._source = self._reopen()
            capture = self._source.read(stop, room)
        if capture is None:
            return None
        self._index += 1
        seconds = self._index / self.fps
        if self._index == 0:
            self._started_ns = self._clock.now_ns()
        if self.live:
            due_ns = self._started_ns + round(seconds * 1e9)
            self._clock.wait((due_ns - self._clock.now_ns()) / 1e9, stop)
        return Capture(capture.image, seconds, self._clock.now_ns())

    def close(self) -> None:
        """See `realtime.sources.Source`."""
        self._source.close()
