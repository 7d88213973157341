"""What the tests of the live command line share: the size of their pictures, and the rows that a run leaves."""

from collections.abc import Callable
from pathlib import Path

from realtime.frames import Picture
from tests.realtime.fakes import FRAME_SIZE, valid_rows, written_clip

WIDTH, HEIGHT = FRAME_SIZE
FPS = 25.0

Rows = list[dict[str, object]]
Fails = Callable[..., str]
"""See the fixture `fails`."""


def written_video(path: Path, pictures: list[Picture]) -> Path:
    return written_clip(path, pictures, FPS)


def rows_of(path: Path) -> Rows:
    return valid_rows(path.read_text(encoding="utf-8"))
