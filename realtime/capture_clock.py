"""When a camera took a picture: the driver's own time where it can be believed, else the moment of the grab."""

import math
import sys

import cv2

from realtime.frames import Clock

DRIVER, GRAB, FILE = "driver", "grab", "file"
OLDEST_MS = 1000.0
"""A driver that says a picture is older than this is not believed: no camera queues so many."""


class CaptureClock:
    """Stamps the pictures of one camera or stream. Knows no thread; the caller grabs.

    On Linux, OpenCV's `CAP_PROP_POS_MSEC` of a V4L2 camera is the time of the buffer just grabbed (`VIDIOC_DQBUF`),
    which nearly all drivers take from the monotonic clock that `time.monotonic_ns` reads. Some take the wall clock, or
    give 0: a stamp has to lie between the last one and now, at most a second back, or this camera is stamped at the
    grab from then on.
    """

    def __init__(self) -> None:
        self.kind = GRAB
        self._last_ns = 0

    def begin(self, video: cv2.VideoCapture, clock: Clock) -> None:
        """Believes a V4L2 driver whose stamp is plausible for a picture grabbed now, which is thrown away."""
        if sys.platform.startswith("linux") and video.getBackendName() == "V4L2" and video.grab():
            self.kind = DRIVER
            self.stamp(video, clock.now_ns())

    def stamp(self, video: cv2.VideoCapture, now_ns: int) -> int:
        """When the picture that `video` grabbed was taken, ns of the monotonic clock; `now_ns` is after the grab."""
        if self.kind == DRIVER:
            told_ms = video.get(cv2.CAP_PROP_POS_MSEC)
            told_ns = round(told_ms * 1e6) if math.isfinite(told_ms) else 0
            if self._last_ns < told_ns <= now_ns and (now_ns - told_ns) / 1e6 <= OLDEST_MS:
                self._last_ns = told_ns
                return told_ns
            self.kind = GRAB
        return now_ns
