"""Hands pictures and rows from the loop to whoever looks, and keys back. Knows no network, drawing or web library.

The loop never waits here: a picture is given only to those who have shown their last one, rows wait in queues of
bounded length, and what does not fit is left out. Every method may be called from any thread.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from realtime.frames import Picture
from realtime.results import FrameResult, frame_row

MOST_ROWS = 256
MOST_KEYS = 32

Words = Mapping[str, object]


@dataclass(frozen=True)
class Offer:
    """A picture uint8 [H, W, 3] BGR with its overlay, not changed any more, and what the page says beside it."""

    picture: Picture
    words: Words


class Viewer:
    """Someone who looks: with one picture on its way at most, so that none waits behind an older one.

    Args:
        on_picture: called when there is one to send.
    """

    def __init__(self, on_picture: Callable[[], None]) -> None:
        self.on_picture = on_picture
        self.ready = True
        self.waiting: bytes | None = None
        self.given = 0


class Listener:
    """Someone who reads rows; the oldest give way when there are too many.

    Args:
        on_row: called when there is one to send.
    """

    def __init__(self, on_row: Callable[[], None]) -> None:
        self.on_row = on_row
        self.waiting: deque[str] = deque(maxlen=MOST_ROWS)


class Hub:
    """The one place where the loop and the server meet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._listeners: set[Listener] = set()
        self._offer: Offer | None = None
        self._rows: deque[FrameResult | dict[str, object]] = deque(maxlen=MOST_ROWS)
        self._session = ""
        self._keys: deque[int] = deque(maxlen=MOST_KEYS)
        self.on_news: Callable[[], None] = lambda: None

    # what the loop calls

    @property
    def wanted(self) -> bool:
        """Whether anybody is ready for another picture; without, nothing need be drawn."""
        with self._lock:
            return self._ready()

    def offer(self, picture: Picture, words: Words) -> None:
        """Leaves a picture, in the place of one that nobody has taken yet. The caller does not change it any more."""
        with self._lock:
            if not self._ready():
                return
            self._offer = Offer(picture, words)
        self.on_news()

    def begin(self, row: dict[str, object]) -> None:
        """Leaves the session row, which every listener gets first."""
        with self._lock:
            self._session = line(row)
            listeners = list(self._listeners)
            for listener in listeners:
                listener.waiting.append(self._session)
        for listener in listeners:
            listener.on_row()

    def publish(self, row: FrameResult | dict[str, object]) -> None:
        """Leaves a frame's result, or a whole row, for the listeners."""
        with self._lock:
            if not self._listeners:
                return
            self._rows.append(row)
        self.on_news()

    def keys(self) -> list[int]:
        """The keys pressed since the last call, oldest first."""
        with self._lock:
            keys = list(self._keys)
            self._keys.clear()
        return keys

    # what the server calls

    def _ready(self) -> bool:
        return any(viewer.ready for viewer in self._viewers)

    def take_offer(self) -> Offer | None:
        """The newest picture not yet taken; given up, lest it age, when nobody is ready for it."""
        with self._lock:
            offer, self._offer = self._offer, None
            return offer if self._ready() else None

    def deliver(self, message: bytes) -> None:
        """Gives one encoded picture to all who are ready."""
        with self._lock:
            ready = [viewer for viewer in self._viewers if viewer.ready]
            for viewer in ready:
                viewer.ready, viewer.waiting = False, message
                viewer.given += 1
        for viewer in ready:
            viewer.on_picture()

    def taken(self, viewer: Viewer) -> bytes | None:
        """The picture that waits for a viewer, once."""
        with self._lock:
            message, viewer.waiting = viewer.waiting, None
            return message

    def seen(self, viewer: Viewer) -> None:
        """A viewer has shown the picture that was sent."""
        with self._lock:
            viewer.ready = True

    def spread_rows(self) -> None:
        """Encodes the rows that wait, once each, and gives them to all listeners."""
        with self._lock:
            rows = list(self._rows)
            self._rows.clear()
        lines = [line(frame_row(row) if isinstance(row, FrameResult) else row) for row in rows]
        with self._lock:
            listeners = list(self._listeners)
            for listener in listeners:
                listener.waiting.extend(lines)
        if lines:
            for listener in listeners:
                listener.on_row()

    def taken_row(self, listener: Listener) -> str | None:
        """The next row for a listener, once."""
        with self._lock:
            return listener.waiting.popleft() if listener.waiting else None

    def press(self, key: int) -> None:
        """A key, for the loop; the oldest give way when there are too many."""
        with self._lock:
            self._keys.append(key)

    def join(self, one: Viewer | Listener) -> None:
        """Someone came."""
        with self._lock:
            if isinstance(one, Viewer):
                self._viewers.add(one)
            else:
                self._listeners.add(one)
                if self._session:
                    one.waiting.append(self._session)
        if isinstance(one, Listener):
            one.on_row()

    def leave(self, one: Viewer | Listener) -> None:
        """Someone went."""
        with self._lock:
            self._viewers.discard(one)
            self._listeners.discard(one)


def line(row: dict[str, object]) -> str:
    """A row as the results file has it, without the end of the line."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False)
