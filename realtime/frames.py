"""What moves through the loop: captured pictures, frames, clocks. Knows no camera, network or screen."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from engines.geometry import Size

Picture = npt.NDArray[np.uint8]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEO_SUFFIXES = (".avi", ".mp4", ".mkv", ".mov", ".webm")
USUAL_FPS = 30.0
"""Of a source that does not tell its own."""


@dataclass(frozen=True)
class Capture:
    """A picture as a source gave it: uint8 [h, w, 3] BGR, and its place in the source.

    Args:
        image: the picture, in the source's own size.
        seconds: media time for a file, seconds since the start for a live source.
        captured_ns: monotonic clock when it was taken (live), or read (file). A live picture that is the same as the
            one before, to the byte, is as old as the first of them.
        frozen: a live source has been giving the same picture for longer than a frame may be old.
    """

    image: Picture
    seconds: float
    captured_ns: int
    frozen: bool = False


@dataclass(frozen=True)
class Frame:
    """A picture on its way through the loop, fitted to the engines' size.

    Args:
        image: uint8 [H, W, 3] BGR.
        index: place in the source, from 0.
        seconds: see `Capture`.
        captured_ns: see `Capture`.
        frozen: see `Capture`.
        dropped_before: frames given up since the last one that was taken.
        duplicate: whether it is the same picture as the one captured before it.
    """

    image: Picture
    index: int
    seconds: float
    captured_ns: int
    frozen: bool = False
    dropped_before: int = 0
    duplicate: bool = False


class FrameBuffers(Protocol):
    """A few frames that are used again and again, so that capture writes where the executor reads."""

    def take(self) -> Picture | None:
        """A free frame uint8 [H, W, 3], or None while all are in use. Any thread may call."""

    def give_back(self, picture: Picture) -> None:
        """Ends the use of a frame."""


Room = Callable[[Size], Picture | None]
"""Where to decode a picture of (height, width) px to, uint8 [h, w, 3]; None where no such memory is waiting for it.

To be asked when a picture is there and not before: to make room, a live source's older picture is given up.
"""


def no_room(size: Size) -> Picture | None:
    """For pictures that may lie anywhere."""
    return None


def retrieved(video: cv2.VideoCapture, size: tuple[int, int], room: Room) -> Picture | None:
    """The picture that was grabbed, of (width, height) px, decoded into what `room` gives; None when it is broken."""
    memory = room((size[1], size[0]))
    image: Picture | None = (video.retrieve() if memory is None else video.retrieve(memory))[1]
    return image


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def decode_picture(data: bytes) -> Picture | None:
    """The picture in a JPEG, PNG or such, uint8 [h, w, 3] BGR; None for anything else, cut off or absurdly large."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it says would stand beside our sentence
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # empty, or larger than OpenCV's limits
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


class Clock(Protocol):
    """The time of the loop; a fake one makes tests deterministic."""

    def now_ns(self) -> int:
        """Monotonic time, ns."""

    def wait(self, seconds: float, until: threading.Event) -> None:
        """Waits, at most until the event is set."""


class MonotonicClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """See `Clock`."""
        return time.monotonic_ns()

    def wait(self, seconds: float, until: threading.Event) -> None:
        """See `Clock`."""
        until.wait(max(0.0, seconds))
