"""Where executors want their frames in memory of their own, sources decode straight into it, or copy once."""

import threading
from collections import deque
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime import pipeline as pipeline_module
from realtime.frames import Picture
from realtime.pipeline import Pipeline
from realtime.sources import TORN_GREY, Source, open_source
from tests.realtime.fakes import FakeClock, FakeExecutor, finished, written_clip

SIZE = (96, 160)
COUNT = 12


class Pool:
    """Four frames, as `engines.cuda_memory.FramePool` has them."""

    def __init__(self) -> None:
        self.all = [np.zeros((*SIZE, 3), np.uint8) for _ in range(4)]
        self._free = deque(self.all)

    def take(self) -> Picture | None:
        return self._free.popleft() if self._free else None

    def give_back(self, picture: Picture) -> None:
        self._free.append(next(one for one in self.all if one is picture))


class Camera:
    """A `cv2.VideoCapture` that decodes where it is told to. Picture n is of grey n + 1; every third is torn."""

    def __init__(self, count: int) -> None:
        self._count, self.asked = count, 0
        self.order: list[str] = []

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def grab(self) -> bool:
        self.order.append("grab")
        self.asked += 1
        return True

    def retrieve(self, image: Picture | None = None) -> tuple[bool, Picture]:
        self.order.append("retrieve" if image is None else "retrieve into")
        picture = np.empty((*SIZE, 3), np.uint8) if image is None else image
        picture[:] = min(self.asked, 250)
        picture[0, 0] = self.asked % 256
        if self.asked % 3 == 0:
            picture[-8:] = TORN_GREY
        return True, picture

    def get(self, prop: int) -> float:
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: SIZE[1], cv2.CAP_PROP_FRAME_HEIGHT: SIZE[0], cv2.CAP_PROP_FPS: 25.0}
        return sizes.get(prop, 0.0)

    def set(self, prop: int, value: float) -> bool:
        return True

    def getBackendName(self) -> str:  # noqa: N802
        return "FAKE"

    def release(self) -> None:
        pass


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Sizes of the pictures that had to be copied or resampled."""
    seen: list[tuple[int, ...]] = []
    letterbox = pipeline_module.letterbox

    def spied(picture: Picture, *args: object, **how: object) -> Picture:
        seen.append(picture.shape[:2])
        return letterbox(picture, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline_module, "letterbox", spied)
    return seen


def played(source: Source, pool: Pool, count: int | None = None) -> list[tuple[int, int]]:
    """Frame and middle grey of all that is shown; every picture lies in the pool."""
    executor = FakeExecutor(depth=2)
    executor.buffers = pool
    seen: list[tuple[int, int]] = []

    def work() -> None:
        for one in Pipeline(source, executor, SIZE, FakeClock(), max_frames=count).run():
            assert any(one.image is buffer for buffer in pool.all)
            seen.append((one.result.frame, int(one.image[SIZE[0] // 2, SIZE[1] // 2, 0])))

    finished(work)
    source.close()
    return seen


def greys(size: tuple[int, int]) -> list[Picture]:
    return [np.full((*size, 3), 20 * index, np.uint8) for index in range(COUNT)]


@pytest.mark.parametrize("pace", [False, True])
def test_a_file_of_the_frames_size_is_decoded_in_place(
    tmp_path: Path, fitted: list[tuple[int, ...]], pace: bool
) -> None:
    clip = written_clip(tmp_path / "clip.avi", greys(SIZE), 25)
    clock, pool = FakeClock(), Pool()
    seen = played(open_source(str(clip), clock, pace=pace, reconnect_seconds=1), pool)
    assert len(fitted) == 1  # the picture that was read to see whether the file can be decoded
    assert seen == [(index, pytest.approx(20 * index, abs=2)) for index, _ in seen]
    assert pace or len(seen) == COUNT


def test_a_file_of_another_size_is_fitted_into_place(tmp_path: Path, fitted: list[tuple[int, ...]]) -> None:
    clip = written_clip(tmp_path / "clip.avi", greys((64, 64)), 25)
    seen = played(open_source(str(clip), FakeClock(), pace=False, reconnect_seconds=1), Pool())
    assert fitted == [(64, 64)] * COUNT
    assert seen == [(index, pytest.approx(20 * index, abs=2)) for index in range(COUNT)]


def test_a_camera_decodes_in_place_and_a_torn_picture_costs_no_frame(
    monkeypatch: pytest.MonkeyPatch, fitted: list[tuple[int, ...]]
) -> None:
    camera, pool = Camera(30), Pool()
    monkeypatch.setattr(cv2, "VideoCapture", lambda address: camera)
    seen = played(open_source("0", FakeClock(), pace=False, reconnect_seconds=30), pool, count=20)
    assert not fitted and len(seen) == 20
    assert [grey % 3 for _, grey in seen].count(0) == 0
    assert "retrieve" not in camera.order


def test_room_is_asked_for_when_the_picture_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sooner would give up the picture before it while a camera is still waited for."""
    camera = Camera(3)
    monkeypatch.setattr(cv2, "VideoCapture", lambda address: camera)
    source = open_source("0", FakeClock(), pace=False, reconnect_seconds=30)
    memory = np.zeros((*SIZE, 3), np.uint8)

    def room(size: tuple[int, int]) -> Picture:
        assert size == SIZE
        camera.order.append("room")
        return memory

    camera.order.clear()
    capture = source.read(threading.Event(), room)
    assert camera.order == ["grab", "room", "retrieve into"]
    assert capture is not None and capture.image is memory
