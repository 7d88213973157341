"""Finds the frames of judged clips in the layouts that the data sets come in. Knows no network and no score.

Looked for in the folder of videos, in this order, for a clip named VIDEO/NUMBER:
1. a folder VIDEO/NUMBER of pictures, all of the clip (FineDiving's trimmed frames);
2. a file VIDEO/NUMBER.avi (or .mp4, .mkv, .mov, .webm), all of it the clip (AQA-7);
3. a file VIDEO.mp4 (or so), of which the clip is the annotated frames, counted from 0 (MTL-AQA, untrimmed FineDiving);
4. a folder VIDEO of pictures whose names end in the frame's number (MTL-AQA's frames).
A VIDEO that is a number may be written with a leading zero, as in 02/51.
"""

import contextlib
import dataclasses
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from calibration.datasets.action_quality import Clip
from engines.errors import SourceError
from realtime.capture_clock import FILE
from realtime.frames import VIDEO_SUFFIXES, Capture, MonotonicClock, Picture, Room, decode_picture, is_picture, no_room
from realtime.sources import Source, open_source

PICTURES_FPS = 25.0
"""The rate that pictures in a folder are taken to have."""


@dataclasses.dataclass(frozen=True)
class Footage:
    """Where a clip's frames are.

    Attributes:
        name: the clip's.
        path: a video file or a folder of pictures.
        first: number of its first frame there.
        last: of its last frame; None where the clip is all of it.
    """

    name: str
    path: Path
    first: int = 0
    last: int | None = None


def find_footage(clip: Clip, videos: Path) -> Footage | None:
    """The frames of a clip in the folder `videos`; None where there are none."""
    video, _, number = clip.name.partition("/")
    for folder in dict.fromkeys((video, video.zfill(2) if video.isdecimal() else video)):
        trimmed = _footage_at(videos / folder / number)
        if trimmed is not None:
            return Footage(clip.name, trimmed)
        whole = _footage_at(videos / folder)
        if whole is not None and clip.first_frame is not None:
            return Footage(clip.name, whole, clip.first_frame, clip.last_frame)
    return None


def _footage_at(stem: Path) -> Path | None:
    """A video of that name, or a folder with pictures in it."""
    for suffix in VIDEO_SUFFIXES:
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return path
    return stem if stem.is_dir() and any(is_picture(path) for path in stem.iterdir()) else None


def clip_sources(clips: Sequence[Footage]) -> Iterator[tuple[Footage, Source]]:
    """Each clip of one file or folder with a source of its frames, by their first frame; a video is decoded once.

    Each source must be read to its end before the next is asked for.

    Raises:
        SourceError: the file or folder cannot be opened or decoded.
    """
    path = clips[0].path
    ordered = sorted(clips, key=lambda clip: clip.first)
    if path.is_dir():
        for clip in ordered:
            yield clip, PictureSequence(path, clip.first, clip.last)
        return
    with contextlib.ExitStack() as stack:
        position = sys.maxsize
        for clip in ordered:
            if clip.first < position:  # not open yet, or the clips overlap
                stack.close()
                video = open_source(str(path), MonotonicClock(), pace=False, reconnect_seconds=0)
                stack.callback(video.close)
                position = 0
            part = VideoPart(video, clip.first - position, None if clip.last is None else clip.last - clip.first + 1)
            yield clip, part
            position = clip.first + part.given


class VideoPart:
    """Some frames of a video that is already open, as a source.

    Args:
        video: where the next frame to read stands.
        skipped: how many frames to pass over first.
        count: how many frames there are; None for all that follow.
    """

    live = stills = False
    capture_clock = FILE

    def __init__(self, video: Source, skipped: int, count: int | None) -> None:
        self._video, self._skipped, self._count = video, skipped, count
        self.name, self.size, self.fps = video.name, video.size, video.fps
        self.given = 0

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `realtime.sources.Source`.

        Raises:
            SourceError: the video ends before the clip does.
        """
        if self.given == self._count:
            return None
        for _ in range(self._skipped):
            self._video.read(stop)
        self._skipped = 0
        capture = self._video.read(stop, room)
        if capture is None and self._count is not None:
            raise SourceError(
                f"{self.name} ends {self._count - self.given} frames before the clip does",
                "a video with all the annotated frames",
                "download it again",
            )
        self.given += capture is not None
        return capture

    def close(self) -> None:
        """See `realtime.sources.Source`; the video is closed by whoever opened it."""


class PictureSequence:
    """Pictures of a folder as the frames of a video, in the order of the numbers that their names end in.

    Args:
        folder: where they are.
        first: number of the first picture.
        last: of the last; None for all that follow.
    """

    live = stills = False
    fps = PICTURES_FPS
    capture_clock = FILE

    def __init__(self, folder: Path, first: int, last: int | None) -> None:
        self.name = str(folder)
        numbered = [(_number(path), path) for path in folder.iterdir() if is_picture(path)]
        wanted = range(first, sys.maxsize if last is None else last + 1)
        self._paths = [path for number, path in sorted(numbered) if number in wanted]
        missing = 0 if last is None else len(wanted) - len(self._paths)
        if missing or not self._paths:
            raise SourceError(
                f"{folder} lacks {missing or 'all'} of the pictures {first} to {last}",
                "one picture for each annotated frame",
                "extract the frames again",
            )
        self._next = 0
        height, width = self._decoded(self._paths[0]).shape[:2]
        self.size = (width, height)

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `realtime.sources.Source`."""
        if self._next == len(self._paths):
            return None
        image, seconds = self._decoded(self._paths[self._next]), self._next / self.fps
        self._next += 1
        return Capture(image, seconds, MonotonicClock().now_ns())

    @staticmethod
    def _decoded(path: Path) -> Picture:
        image = decode_picture(path.read_bytes())
        if image is None:
            raise SourceError(f"{path} holds no picture", "a complete picture file", "extract that frame again")
        return image

    def close(self) -> None:
        """See `realtime.sources.Source`; nothing is held open."""


def _number(picture: Path) -> int:
    number = re.search(r"(\d+)$", picture.stem)
    if number is None:
        raise SourceError(f"{picture} has no number", "pictures named by their frame's number", "take it out")
    return int(number[1])
