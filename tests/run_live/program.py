"""What the tests of the live command line share: the size of their pictures, and clips of them."""

from collections.abc import Callable
from pathlib import Path

from realtime.frames import Picture
from tests.realtime.fakes import FRAME_SIZE, written_clip

WIDTH, HEIGHT = FRAME_SIZE
FPS = 25.0

Fails = Callable[..., str]
"""See the fixture `fails`."""


def written_video(path: Path, pictures: list[Picture]) -> Path:
    return written_clip(path, pictures, FPS)
