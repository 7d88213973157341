"""A window in a process of its own: a display that goes away takes the window with it, and not the session.

On X11, OpenCV's window ends the whole process when the display is lost, and nothing can prevent it. Pictures go to the
other process through shared memory, one byte each says that there is one and that it was shown.
"""

import contextlib
import mmap
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from realtime.frames import Picture
from realtime.sinks import NO_KEY, Window

ANSWER_SECONDS, START_SECONDS, END_SECONDS = 5.0, 30.0, 3.0
READY = b"r\0"
LOST = "the display was lost: the session goes on without a window"


class ScreenWindow(Protocol):
    """A window, in whichever process. Use as a context manager.

    Attributes:
        on_key: told of each key.
        lost: why it cannot show anything any more; empty while it can.
    """

    on_key: Callable[[int], None]
    lost: str

    def __enter__(self) -> Self:
        """Opens the window."""

    def show(self, picture: Picture) -> bool:
        """Shows a picture; False once the user wants to leave, or once it is lost."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the window."""


def open_window(title: str, size: tuple[int, int]) -> ScreenWindow:
    """A window of `size` (width, height) px: in a process of its own where a display may be lost."""
    return WindowProcess(title, size) if hasattr(os, "memfd_create") else Window(title, size)


class WindowProcess:
    """A window in another process. Use as a context manager; pictures are uint8 [H, W, 3] of one size.

    Args:
        title: of the window.
        size: width and height px.
        command: what starts the other process; it is given a file descriptor, width, height and title.
    """

    def __init__(
        self, title: str, size: tuple[int, int], command: Sequence[str] = (sys.executable, "-m", __name__)
    ) -> None:
        self._title, self._size, self._command = title, size, command
        self.on_key: Callable[[int], None] = lambda key: None
        self.lost = ""

    def __enter__(self) -> Self:
        """Opens the window and waits until it is there."""
        width, height = self._size
        file = os.memfd_create("posemirror window")
        try:
            os.ftruncate(file, width * height * 3)
            self._memory = mmap.mmap(file, width * height * 3)
            root = str(Path(__file__).resolve().parents[1])
            path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
            # a session of its own: Ctrl-C at the terminal is for us alone
            self._process = subprocess.Popen(
                [*self._command, str(file), str(width), str(height), self._title],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[file],
                env=os.environ | {"PYTHONPATH": path}, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(file)
        self._picture = np.frombuffer(self._memory, np.uint8).reshape(height, width, 3)
        self._answer(START_SECONDS)
        return self

    def show(self, picture: Picture) -> bool:
        """See `ScreenWindow`."""
        if self.lost:
            return False
        self._picture[:] = picture
        try:
            os.write(self._process.stdin.fileno(), b"s")  # type: ignore[union-attr]
        except OSError:
            self.lost = LOST
            return False
        stays, key = self._answer(ANSWER_SECONDS)
        if key != NO_KEY and not self.lost:
            self.on_key(key)
        return stays

    def _answer(self, seconds: float) -> tuple[bool, int]:
        """Whether the window stays, and the key that was pressed; a process that is gone or hangs is lost."""
        answer = b""
        pipe = self._process.stdout.fileno()  # type: ignore[union-attr]
        while len(answer) < 2 and select.select([pipe], [], [], seconds)[0]:
            part = os.read(pipe, 2 - len(answer))
            if not part:
                break
            answer += part
        if len(answer) < 2:
            self.lost = LOST
            self._process.kill()
            return False, NO_KEY
        return answer[:1] != b"q", answer[1] if answer != READY else NO_KEY

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the window."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        del self._picture
        self._memory.close()


def main(argv: Sequence[str]) -> int:
    """The other process: shows what is in the shared memory whenever it is told to, until it is told no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    file, width, height = (int(word) for word in argv[:3])
    memory = mmap.mmap(file, width * height * 3)
    picture = np.frombuffer(memory, np.uint8).reshape(height, width, 3)
    pressed: list[int] = []
    with Window(argv[3], (width, height)) as window:
        window.on_key = pressed.append
        os.write(sys.stdout.fileno(), READY)
        while os.read(sys.stdin.fileno(), 1):
            stays = window.show(picture)
            key = pressed.pop() if pressed else NO_KEY
            os.write(sys.stdout.fileno(), bytes((ord("s" if stays else "q"), key)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
