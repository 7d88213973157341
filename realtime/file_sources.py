"""Frames from video files and pictures. Knows no camera, network and no loop."""

import threading
from pathlib import Path

import cv2

from engines.errors import SourceError
from realtime.capture_clock import FILE
from realtime.file_kinds import picture_problem
from realtime.frames import (
    PICTURE_SUFFIXES,
    USUAL_FPS,
    Capture,
    Clock,
    Picture,
    Room,
    decode_picture,
    is_picture,
    no_room,
    retrieved,
)

STILL_SECONDS = 1.0
LEAST_FPS = 0.01


def refuse_unread_picture(path: str) -> None:
    """Refuses what could not be decoded where it is a picture of another kind, such as HEIC, or name."""
    if problem := picture_problem(Path(path)):
        seen, *more = problem
        raise SourceError(f"--source {seen}", *more)


class VideoSource:
    """A video file. Every frame in turn; with `pace` as a camera would give them, each at its own time."""

    stills = False
    capture_clock = FILE

    def __init__(self, path: str, clock: Clock, *, pace: bool) -> None:
        self.name, self.live, self._clock = path, pace, clock
        self._video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
        self._first = self._video.read()[1] if self._video.isOpened() else None
        if self._first is None:
            self._video.release()
            refuse_unread_picture(path)
            raise SourceError(
                f"--source {path} holds no video that can be decoded",
                "a file such as mp4, avi, mkv or webm is allowed",
                f"check that it plays, or convert it with ffmpeg -i {path} out.mp4",
            )
        height, width = self._first.shape[:2]
        self.size = (width, height)
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if LEAST_FPS <= fps <= 1000 else USUAL_FPS
        self._index = -1
        self._seconds = -1.0
        self._started_ns: int | None = None

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `realtime.sources.Source`."""
        image, self._first = self._first, None
        if image is None and not self._video.grab():
            return None
        self._index += 1
        told = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        # some files carry no times, or times that stand still: then the rate is all there is
        moves_on = self._seconds < told < self._seconds + 10
        self._seconds = told if moves_on else max(self._index / self.fps, self._seconds + 1e-3)
        if self.live:
            now = self._clock.now_ns()
            if self._started_ns is None:
                self._started_ns = now - round(self._seconds * 1e9)
            due_ns = self._started_ns + round(self._seconds * 1e9)
            self._clock.wait((due_ns - now) / 1e9, stop)
        began_ns = self._clock.now_ns()
        image = retrieved(self._video, self.size, room) if image is None else image
        return None if image is None else Capture(image, self._seconds, began_ns if self.live else self._clock.now_ns())

    def close(self) -> None:
        """See `realtime.sources.Source`."""
        self._video.release()


class StillSource:
    """Pictures that have nothing to do with each other, one second apart."""

    live = False
    stills = True
    fps = 1 / STILL_SECONDS
    capture_clock = FILE

    def __init__(self, name: str, paths: list[str], clock: Clock) -> None:
        self.name, self._clock = name, clock
        self._paths = [path for path in paths if is_picture(Path(path))]
        if not self._paths:
            raise SourceError(
                f"--source {name} matches no picture",
                f"files ending in {', '.join(PICTURE_SUFFIXES)} are allowed",
                "check the path and quote the pattern",
            )
        self._next = 0
        height, width = self._load(self._paths[0]).shape[:2]
        self.size = (width, height)

    def _load(self, path: str) -> Picture:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise SourceError(
                f"--source {path} cannot be read ({error.strerror})", "a readable file is needed", "check the path"
            ) from error
        image = decode_picture(data)
        if image is None:
            refuse_unread_picture(path)
            other = "give another one" if path == self.name else "leave it out of the pattern"
            raise SourceError(
                f"--source {path} {'holds no picture that can be decoded' if data else 'is empty'}",
                f"a complete file, one of {', '.join(PICTURE_SUFFIXES)}, is needed",
                f"check that it opens, or {other}" if data else other,
            )
        return image

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `realtime.sources.Source`."""
        if self._next == len(self._paths):
            return None
        image = self._load(self._paths[self._next])
        self._next += 1
        return Capture(image, (self._next - 1) * STILL_SECONDS, self._clock.now_ns())

    def close(self) -> None:
        """See `realtime.sources.Source`; nothing is held open."""
