"""Where frames come from: cameras, video files, pictures, network streams. Knows no network and no loop.

`live` sources lose what is not read in time; the others wait. A source is closed by whoever opened it.
"""

import glob
import os
import re
import stat
import threading
from pathlib import Path
from typing import Protocol, TypeGuard

import cv2
import numpy as np

from engines.errors import SourceError, in_command
from realtime.camera_settings import CameraState, CameraWish, known_modes, set_camera
from realtime.cameras import known_cameras
from realtime.capture_clock import CaptureClock
from realtime.file_sources import StillSource, VideoSource
from realtime.frames import USUAL_FPS, Capture, Clock, Picture, Room, is_picture, no_room, retrieved
from realtime.repeats import Repeats

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.25, 1.0
READ_AGAIN_SECONDS, QUICK_SECONDS, MOST_READS = 0.02, 0.1, 3
"""A read that fails at once is tried again before the camera is closed: one torn picture is no lost camera."""

ALLOWED_SOURCES = "a camera number, a video, a picture, a glob of pictures or a stream's address is allowed"
ANY_CAMERA = CameraWish()
FROZEN_SECONDS, REOPEN_FROZEN_SECONDS = 0.25, 3.0
TORN_ROWS, TORN_GREY = 8, 128
"""What libjpeg leaves where a picture's data ended too early: rows of exactly this grey, down to the last."""


class Source(Protocol):
    """A place that frames come from.

    Attributes:
        name: what the user gave, without passwords.
        live: whether frames that are not read in time are lost.
        stills: whether pictures are unrelated, so that nobody is followed from one to the next.
        size: width and height in px of its pictures.
        fps: its own rate.
        capture_clock: what its pictures are timed by: driver, grab or file (see `realtime.capture_clock`).
    """

    name: str
    live: bool
    stills: bool
    size: tuple[int, int]
    fps: float

    @property
    def capture_clock(self) -> str:
        """See above; a camera may lose the belief in its driver's clock."""

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """The next picture, or None at the end; blocks, at most until `stop` is set. It may lie in `room`."""

    def close(self) -> None:
        """Gives back the device or file."""


def without_password(address: str) -> str:
    """An address fit to be shown: user, password and query are left out."""
    if "://" not in address:
        return address
    scheme, _, rest = address.partition("://")
    authority = re.split("[/?#]", rest)[0]
    path = rest[len(authority) :]
    if "@" in path:  # perhaps a password with a stroke in it: nobody can tell
        return f"{scheme}://..."
    return f"{scheme}://{authority.rpartition('@')[2]}{re.split('[?#]', path)[0]}"


def source_name(text: str) -> str:
    """What a source given as `text` is called: a camera by its number, an address without its password."""
    return f"camera {text}" if text.isdecimal() else without_password(text)


def open_source(
    text: str, clock: Clock, *, pace: bool, reconnect_seconds: float, wish: CameraWish = ANY_CAMERA
) -> Source:
    """Opens `0` (a camera), a video file, a picture, a glob of pictures or `rtsp://...`; the caller closes.

    `wish` is for cameras alone.

    Raises:
        SourceError: it cannot be opened; the sentence says why.
    """
    # OpenCV's own warnings would stand between the user and our one sentence
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if not text.strip():
        raise SourceError("--source is empty", ALLOWED_SOURCES, "give --source 0")
    if camera := re.fullmatch(r"/dev/video(\d+)", text):
        text = camera[1]
    if text.isdecimal() or "://" in text:
        return LiveSource(text, clock, reconnect_seconds, wish)
    path = Path(text)
    is_folder = is_there = False
    try:
        text.encode()
        is_folder, is_there = stat.S_ISDIR(path.stat().st_mode), True
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not UTF-8"
        raise SourceError(
            f"--source {text} cannot be read ({reason})", "a readable file is needed", "check the path and its rights"
        ) from error
    if is_folder:
        raise SourceError(
            f"--source {text} is a folder",
            ALLOWED_SOURCES,
            f"give --source {in_command(Path(glob.escape(text)) / '*.jpg')}",
        )
    if glob.has_magic(text) and not is_there:
        return StillSource(text, sorted(glob.glob(text)), clock)  # noqa: PTH207 (absolute patterns too)
    if not is_there:
        raise SourceError(f"--source {text} does not exist", "a readable file is needed", "check the path")
    if not os.access(path, os.R_OK):
        raise SourceError(
            f"--source {text} cannot be read", "a readable file is needed", f"run chmod u+r {in_command(path)}"
        )
    if is_picture(path):
        return StillSource(text, [text], clock)
    return VideoSource(text, clock, pace=pace)


def whole(image: object) -> TypeGuard[Picture]:
    """Whether a camera's picture is one: uint8 [h, w, 3], not empty, decoded to its last row."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        return False
    return bool((image[-1] != TORN_GREY).any()) or bool((image[-TORN_ROWS:] != TORN_GREY).any())


class LiveSource:
    """A camera by its number, or a network stream. When it is lost it is opened again, for a limited time.

    A picture that stays the same to the byte is as old as the first of its kind: see `realtime.frames.Capture`. After
    3 s of it the camera is opened again, once. `camera` is what its driver gives; None for a stream.
    """

    live = True
    stills = False

    def __init__(self, address: str, clock: Clock, reconnect_seconds: float, wish: CameraWish = ANY_CAMERA) -> None:
        self._address, self._clock, self._reconnect_seconds = address, clock, reconnect_seconds
        self._wish = wish
        self.camera: CameraState | None = None
        self._reading = threading.Lock()
        self._repeats, self._new_ns = Repeats(), 0
        self.name = source_name(address)
        self._video = self._open()
        if self._video is None:
            needed, check = (
                ("a connected camera's number is needed", "check the cable and the permissions")
                if address.isdecimal()
                else ("the address of a stream that runs is needed", "check the address and the network")
            )
            shown = known_cameras() if address.isdecimal() else ""
            raise SourceError(
                f"--source {self.name} cannot be opened", needed, f"{check}, or give another --source{shown}"
            )
        width, height = (self._video.get(prop) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = (max(1, int(width)), max(1, int(height)))  # some streams tell no size before their first picture
        fps = self._video.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 1000 else USUAL_FPS
        self._stamps = CaptureClock()
        self._stamps.begin(self._video, clock)
        self._started_ns = clock.now_ns()

    @property
    def capture_clock(self) -> str:
        """See `Source`."""
        return self._stamps.kind

    def _open(self) -> cv2.VideoCapture | None:
        self._opened_ns = self._clock.now_ns()
        numbered, wish = self._address.isdecimal(), self._wish
        modes = known_modes(self._address) if numbered and wish.size and not wish.format else ()
        try:
            video = cv2.VideoCapture(int(self._address) if numbered else self._address)
        except cv2.error:  # a camera number beyond all integers
            return None
        if video.isOpened():
            if numbered:
                self.camera = set_camera(video, wish, modes)
            else:
                video.set(cv2.CAP_PROP_BUFFERSIZE, wish.buffers)
            return video
        video.release()
        return None

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `Source`. None once `stop` is set.

        Raises:
            SourceError: lost for longer than `reconnect_seconds`.
        """
        lost_ns: int | None = None
        pause, reads = FIRST_RETRY_SECONDS, 0
        while not stop.is_set():
            asked_ns = self._clock.now_ns()
            with self._reading:
                grabbed = self._video if self._video is not None and self._video.grab() else None
                now = self._clock.now_ns()
                captured_ns = self._stamps.stamp(grabbed, now) if grabbed else now
                image = retrieved(grabbed, self.size, room) if grabbed else None
            if whole(image):
                return self._capture(image, captured_ns)
            lost_ns, reads = now if lost_ns is None else lost_ns, reads + 1
            if (now - lost_ns) / 1e9 >= self._reconnect_seconds:
                raise SourceError(
                    f"{self.name} gave no frame for {self._reconnect_seconds:g} s",
                    f"a source may be lost for --reconnect-seconds {self._reconnect_seconds:g}",
                    "check the cable or the network, then run again",
                )
            if self._video is not None and reads < MOST_READS and (now - asked_ns) / 1e9 < QUICK_SECONDS:
                self._clock.wait(READ_AGAIN_SECONDS, stop)
                continue
            self.close()
            self._clock.wait(pause, stop)
            pause, reads = min(pause * 2, LONGEST_RETRY_SECONDS), 0
            if not stop.is_set():  # else nobody may be left who would close it
                self._video = self._open()
        return None

    def _capture(self, image: Picture, captured_ns: int) -> Capture:
        """The picture with its age, which grows while the camera gives the same one again and again."""
        if not self._repeats.same_again(image):
            self._new_ns = captured_ns
        same = (captured_ns - self._new_ns) / 1e9
        if same >= REOPEN_FROZEN_SECONDS and self._opened_ns <= self._new_ns:
            self.close()
            self._video = self._open()
        seconds = max(0, captured_ns - self._started_ns) / 1e9
        return Capture(image, seconds, self._new_ns, frozen=same > FROZEN_SECONDS)

    def close(self) -> None:
        """See `Source`. A driver that hangs in a read is left alone: to release it would crash the process."""
        if self._reading.acquire(blocking=False):
            try:
                if self._video is not None:
                    self._video.release()
                    self._video = None
            finally:
                self._reading.release()
