"""Where results go: a window, a video file, a results file. Knows no network and no source."""

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from engines.errors import BadInputError
from engines.output_paths import require_ending, require_writable
from realtime.frames import Picture
from realtime.results import FrameResult, frame_row

QUIT_KEYS = (ord("q"), 27)
NO_KEY = 255
LEAST_FREE_BYTES = 32 * 2**20
"""What a recording leaves free on its disk: enough to complete it, and the results beside it."""

CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".webm": "VP80"}


def display_problem(environment: dict[str, str] | None = None) -> str:
    """Why no window can be opened here; empty when one can.

    OpenCV kills the process when there is no display, so this is asked first.
    """
    env = dict(os.environ) if environment is None else environment
    if not sys.platform.startswith("linux"):
        return ""
    if env.get("WAYLAND_DISPLAY") and not env.get("DISPLAY"):
        return "" if env.get("QT_QPA_PLATFORM") == "wayland" else "only Wayland is there, and OpenCV needs X11"
    display = env.get("DISPLAY", "")
    if not display:
        return "DISPLAY is not set"
    host, _, number = display.rpartition(":")
    number = number.split(".")[0]
    if not number.isdecimal():
        return f"DISPLAY={display} is no display"
    return "" if answers(host.removesuffix("/unix"), int(number)) else f"nothing answers at DISPLAY={display}"


def answers(host: str, number: int) -> bool:
    """Whether an X server takes connections."""
    abstract = f"\0/tmp/.X11-unix/X{number}"
    attempts: list[tuple[int, str | tuple[str, int]]] = (
        [(socket.AF_INET, (host, 6000 + number))]
        if host and host != "unix"
        else [(socket.AF_UNIX, f"/tmp/.X11-unix/X{number}"), (socket.AF_UNIX, abstract)]
    )
    for family, address in attempts:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(address)
            except (OSError, OverflowError, UnicodeError):  # nobody there, no such port, no such name
                continue
            return True
    return False


class Window:
    """A window on the screen. Use as a context manager."""

    def __init__(self, title: str, size: tuple[int, int]) -> None:
        """`size` is (width, height) px, to begin with."""
        self._title, self._size = title, size
        self.on_key: Callable[[int], None] = lambda key: None
        self.lost = ""

    def __enter__(self) -> Self:
        """Opens the window."""
        # OpenCV's wheel brings Qt without fonts, and Qt says so at length; no text here is Qt's
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(self._title, *self._size)
        return self

    def show(self, picture: Picture) -> bool:
        """Shows a picture; False once the user wants to leave (q, Esc, or the window closed)."""
        cv2.imshow(self._title, picture)
        key = cv2.waitKey(1) & 0xFF
        if key != NO_KEY:
            self.on_key(key)
        return key not in QUIT_KEYS and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()


def codec_of(path: Path, option: str = "--record") -> str:
    """The four letters of the codec that a recording's name asks for.

    Raises:
        BadInputError: the name's ending is not known.
    """
    require_ending(path, option, CODECS)
    return CODECS[path.suffix.lower()]


class Recorder:
    """Writes pictures to a video file. Use as a context manager.

    Raises:
        BadInputError: the name's ending is not known, the file cannot be written, or its disk is full.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float, option: str = "--record") -> None:
        """`size` is (width, height) px; `option` names the file in errors."""
        codec = codec_of(path, option)
        require_writable(path, option)
        self._path, self._option, self._pictures = path, option, 0
        require_room(path, option)
        self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
        if not self._video.isOpened():
            raise BadInputError(
                f"{option} {path} cannot be written as {codec}",
                "a writable folder with free space is needed",
                "give another path",
            )

    def __enter__(self) -> Self:
        """Ready to write."""
        return self

    def write(self, picture: Picture) -> None:
        """Appends one picture uint8 [H, W, 3].

        Raises:
            BadInputError: the disk is nearly full; what was written until now can still be completed.
        """
        require_room(self._path, self._option)
        self._video.write(picture)
        self._pictures += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the file; takes one without a picture away, which no player would open."""
        self._video.release()
        if not self._pictures and self._path.is_file():  # not a pipe
            self._path.unlink()


def require_room(path: Path, option: str) -> None:
    """Refuses a recording whose disk is nearly full: OpenCV is silent about it, and an mp4 without its end cannot be
    played.

    Raises:
        BadInputError: less than `LEAST_FREE_BYTES` are left.
    """
    free = free_bytes(path.parent)
    if free < LEAST_FREE_BYTES:
        raise BadInputError(
            f"{option} {path}: its disk has only {free / 2**20:.0f} MB left",
            f"recording stops at {LEAST_FREE_BYTES / 2**20:.0f} MB, and what was recorded until then is complete",
            "make room, or give another path",
        )


def free_bytes(folder: Path) -> int:
    """What may still be written to a folder's disk."""
    return shutil.disk_usage(folder).free


class ResultsFile:
    """Writes results as JSON lines, each whole in the file or not at all. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        require_writable(path, "--results")
        self._path = path

    def __enter__(self) -> Self:
        """Opens the file, replacing an older one."""
        self._file = self._path.open("wb", buffering=0)
        self._whole = 0
        return self

    def write_row(self, row: dict[str, object]) -> None:
        """Writes any row.

        Raises:
            BadInputError: the file cannot be written, the disk being full, for one.
        """
        line = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
            self._whole += written
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._whole)
            raise BadInputError(
                f"--results {self._path} could not be written ({error.strerror})",
                "a file on a disk with free space is needed",
                "make room, or give another path",
            ) from error

    def write(self, result: FrameResult) -> None:
        """Writes a frame's row."""
        self.write_row(frame_row(result))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file; a row that could not be written was told of when it was."""
        with contextlib.suppress(OSError):
            self._file.close()
