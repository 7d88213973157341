"""Sources opened from clips, pictures and scripted captures, and the one sentence that each refusal is."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import EXIT_SOURCE_LOST, SourceError
from realtime.frames import Capture
from realtime.sources import Source, open_source
from tests.realtime.fakes import FakeClock

WIDTH, HEIGHT, FPS = 320, 180, 25.0
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def written_video(path: Path, count: int = 12) -> Path:
    """A clip whose frame n is of grey 20 n."""
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    video = cv2.VideoWriter(str(path), codec, FPS, (WIDTH, HEIGHT))
    for index in range(count):
        video.write(np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8))
    video.release()
    return path


def written_picture(path: Path, grey: int = 90) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, np.full((HEIGHT, WIDTH, 3), grey, np.uint8))[1].tobytes())
    return path


def opened(text: object, clock: FakeClock | None = None, *, pace: bool = False, reconnect: float = 30.0) -> Source:
    return open_source(str(text), clock or FakeClock(), pace=pace, reconnect_seconds=reconnect)


def everything(source: Source) -> list[Capture]:
    stop = threading.Event()
    captures = list(iter(lambda: source.read(stop), None))
    source.close()
    return captures


def assert_one_sentence(error: SourceError) -> None:
    assert error.exit_code == EXIT_SOURCE_LOST == 3
    assert all((error.seen, error.allowed, error.next_step))
    assert str(error) == f"{error.seen}; {error.allowed}; {error.next_step}."
    assert "\n" not in str(error)


def refused(text: object, *, reconnect: float = 30.0) -> str:
    """The sentence with which a source is refused."""
    with pytest.raises(SourceError) as caught:
        opened(text, reconnect=reconnect)
    assert_one_sentence(caught.value)
    return str(caught.value)


class ScriptedVideo:
    """Stands in for `cv2.VideoCapture`: each read is a picture at a time (s), or None."""

    def __init__(self, times: list[float | None], fps: float = 25.0) -> None:
        self._times, self._fps, self._at = iter(times), fps, 0.0
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        at = next(self._times, None)
        if at is None:
            return False, None
        self._at = at
        return True, np.zeros((HEIGHT, WIDTH, 3), np.uint8)

    def grab(self) -> bool:
        self._grabbed = self.read()
        return self._grabbed[0]

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        return self._grabbed

    def getBackendName(self) -> str:  # noqa: N802
        return "FAKE"

    def get(self, prop: int) -> float:
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: WIDTH, cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT, cv2.CAP_PROP_FPS: self._fps}
        return 1000 * self._at if prop == cv2.CAP_PROP_POS_MSEC else sizes.get(prop, 0.0)

    def set(self, prop: int, value: float) -> bool:
        return True

    def release(self) -> None:
        self.released = True
