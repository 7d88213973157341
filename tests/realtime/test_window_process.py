"""A window in a process of its own: pictures and keys go across, and whatever happens to it the session goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from realtime import window_process
from realtime.frames import Picture
from realtime.sinks import Window
from realtime.window_process import LOST, WindowProcess, open_window
from tests.realtime.fakes import virtual_screen

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs shared memory without a name")

ROOT = Path(__file__).resolve().parents[2]
SIZE = (32, 18)

FAKE = """
import mmap, os, sys
file, width, height = (int(word) for word in sys.argv[1:4])
picture = mmap.mmap(file, width * height * 3)
{before}
os.write(1, b"r\\0")
while os.read(0, 1):
    {answer}
"""


def fake(answer: str, before: str = "") -> tuple[str, ...]:
    """A process in the window's place that answers every picture as told."""
    return (sys.executable, "-c", FAKE.format(answer=answer, before=before))


def picture(value: int) -> Picture:
    return np.full((SIZE[1], SIZE[0], 3), value, np.uint8)


def test_pictures_go_across_and_keys_come_back() -> None:
    pressed: list[int] = []
    with WindowProcess("t", SIZE, fake("os.write(1, bytes((ord('s'), picture[-1])))")) as window:
        window.on_key = pressed.append
        assert [window.show(picture(value)) for value in (ord("h"), 255, ord("m"))] == [True] * 3
        assert (pressed, window.lost) == ([ord("h"), ord("m")], "")


def test_who_leaves_the_window_is_not_taken_for_a_lost_display() -> None:
    with WindowProcess("t", SIZE, fake("os.write(1, b'qq')")) as window:
        assert window.show(picture(1)) is False and window.lost == ""


@pytest.mark.parametrize("answer", ["os._exit(1)", "os.kill(os.getpid(), 9)", "os.write(1, b's') and os._exit(1)"])
def test_a_window_that_dies_is_lost_once_and_for_all(answer: str) -> None:
    with WindowProcess("t", SIZE, fake(answer)) as window:
        assert [window.show(picture(1)) for _ in range(3)] == [False] * 3
        assert window.lost == LOST


def test_a_window_that_cannot_be_opened_is_lost_from_the_beginning() -> None:
    with WindowProcess("t", SIZE, fake("", before="sys.exit(1)")) as window:
        assert window.lost == LOST and window.show(picture(1)) is False


def test_a_window_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_process, "ANSWER_SECONDS", 0.05)
    with WindowProcess("t", SIZE, fake("import time; time.sleep(60)")) as window:
        assert window.show(picture(1)) is False and window.lost == LOST


def test_the_window_ends_with_the_session_and_not_with_ctrl_c_at_the_terminal() -> None:
    with WindowProcess("t", SIZE, fake("os.write(1, bytes((ord('s'), 255)))")) as window:
        process = window._process
        assert os.getsid(process.pid) != os.getsid(0)
        assert window.show(picture(1))
    assert process.returncode == 0


def test_without_such_memory_the_window_is_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_window("t", SIZE), WindowProcess)
    monkeypatch.delattr(os, "memfd_create")
    assert isinstance(open_window("t", SIZE), Window)


SCRIPT = """
import os, signal, sys
import numpy as np
from realtime.window_process import open_window
with open_window("posemirror", (320, 180)) as window:
    picture = np.zeros((180, 320, 3), np.uint8)
    print([window.show(picture) for _ in range(3)], flush=True)
    sys.stdin.readline()
    while window.show(picture):
        pass
    print(window.lost)
"""


def test_a_display_that_is_killed_is_survived() -> None:
    with virtual_screen() as environment:
        program = subprocess.Popen(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "[True, True, True]\n"
        os.kill(int(environment["XVFB_PID"]), signal.SIGKILL)
        said, errors = program.communicate("\n", timeout=60)
    assert (program.returncode, said, errors) == (0, f"{LOST}\n", "")
