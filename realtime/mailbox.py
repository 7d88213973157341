"""Where captured frames wait, and the books on where every frame is. Knows no source, network or screen."""

import threading
from dataclasses import dataclass, replace

from realtime.frames import Frame, FrameBuffers, Picture


@dataclass
class Ledger:
    """Where every captured frame is. A frame is captured when it is taken from the mailbox or thrown out of it."""

    captured: int = 0
    shown: int = 0
    dropped: int = 0
    in_flight: int = 0


class Mailbox:
    """Hands frames from the capture thread to the worker; the newest only, or each in turn.

    Args:
        newest_only: a frame not yet taken is dropped when the next one comes; else `put` waits.
        ledger: is told of every frame taken or dropped, under `lock`.
        buffers: get dropped frames back.
    """

    def __init__(self, newest_only: bool, ledger: Ledger, buffers: FrameBuffers | None = None) -> None:
        self._newest_only, self._ledger, self._buffers = newest_only, ledger, buffers
        self._frame: Frame | None = None
        self._dropped_since = 0
        self._closed = False
        self.lock = threading.Condition()

    def put(self, frame: Frame) -> bool:
        """Leaves a frame; False when the mailbox is closed and the frame was not taken in."""
        with self.lock:
            if not self._newest_only:
                self.lock.wait_for(lambda: self._frame is None or self._closed)
            if self._closed:
                return False
            if self._frame is not None:
                self._drop()
            self._frame = frame
            self.lock.notify_all()
            return True

    def buffer(self) -> Picture | None:
        """A buffer for the next frame, waiting for one; None when closed, or where any array will do.

        For a live source the waiting frame gives up its buffer: it would be dropped for the next one anyway.
        """
        if self._buffers is None:
            return None
        with self.lock:
            while not self._closed:
                picture = self._buffers.take()
                if picture is not None:
                    return picture
                if self._newest_only and self._frame is not None:
                    self._drop()
                else:
                    self.lock.wait()
        return None

    def give_back(self, picture: Picture) -> None:
        """Ends the use of a frame's buffer."""
        if self._buffers is not None:
            with self.lock:
                self._buffers.give_back(picture)
                self.lock.notify_all()

    def _drop(self) -> None:
        if self._buffers is not None and self._frame is not None:
            self._buffers.give_back(self._frame.image)
        self._frame = None
        self._ledger.captured += 1
        self._ledger.dropped += 1
        self._dropped_since += 1

    def drop_taken(self, picture: Picture, count: int) -> None:
        """Gives up a frame that was taken; with those dropped before it, `count` are told of with the next one."""
        with self.lock:
            if self._buffers is not None:
                self._buffers.give_back(picture)
            self._ledger.in_flight -= 1
            self._ledger.dropped += 1
            self._dropped_since += count
            self.lock.notify_all()

    @property
    def ended(self) -> bool:
        """Whether it is closed and empty."""
        with self.lock:
            return self._closed and self._frame is None

    def take(self, *, wait: bool = True) -> Frame | None:
        """The waiting frame, as soon as there is one; None when closed and empty, or at once without `wait`."""
        with self.lock:
            if wait:
                self.lock.wait_for(lambda: self._frame is not None or self._closed)
            if self._frame is None:
                return None
            frame = replace(self._frame, dropped_before=self._dropped_since)
            self._frame, self._dropped_since = None, 0
            self._ledger.captured += 1
            self._ledger.in_flight += 1
            self.lock.notify_all()
            return frame

    def close(self, *, drop: bool = False) -> None:
        """No more frames come; with `drop` the waiting one is given up."""
        with self.lock:
            self._closed = True
            if drop and self._frame is not None:
                self._drop()
            self.lock.notify_all()
