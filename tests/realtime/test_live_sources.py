"""Cameras and streams as sources: timed, lost and opened again, and no password in a name."""

import socket
import sys
import threading
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from engines.errors import SourceError
from realtime.sources import without_password
from tests.realtime.fakes import DEADLINE_SECONDS, FakeClock, wait_for
from tests.realtime.opened_sources import HEIGHT, WIDTH, ScriptedVideo, assert_one_sentence, opened, refused


class Camera:
    """Stands in for all of `cv2.VideoCapture`: each opening follows the next script.

    A script is a string: `.` gives a picture, `x` gives none; None cannot be opened.
    """

    def __init__(self, scripts: list[str | None], clock: FakeClock) -> None:
        self._scripts, self._clock = list(scripts), clock
        self.opened_at: list[float] = []
        self.addresses: list[object] = []
        self.released = 0

    def __call__(self, address: object) -> "Camera.Opening":
        self.addresses.append(address)
        self.opened_at.append(self._clock.now_ns() / 1e9 - 1)
        script = self._scripts.pop(0) if self._scripts else None
        return Camera.Opening(self, script)

    class Opening(ScriptedVideo):
        def __init__(self, camera: "Camera", script: str | None) -> None:
            super().__init__([0.0 if sign == "." else None for sign in script or ""])
            self._camera, self._there = camera, script is not None

        def isOpened(self) -> bool:  # noqa: N802
            return self._there

        def release(self) -> None:
            self._camera.released += 1


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Camera, FakeClock]]:
    def made(*scripts: str | None) -> tuple[Camera, FakeClock]:
        clock = FakeClock()
        fake = Camera(list(scripts), clock)
        monkeypatch.setattr(cv2, "VideoCapture", fake)
        return fake, clock

    return made


MakeCamera = Callable[..., tuple[Camera, FakeClock]]


def test_a_camera_may_be_given_by_its_device_file(camera: MakeCamera) -> None:
    fake, clock = camera("...", "...")
    for text in ("2", "/dev/video2"):
        source = opened(text, clock)
        assert source.live and source.name == "camera 2"
    assert fake.addresses == [2, 2]


def test_a_camera_is_opened_by_its_number_and_timed_from_its_start(camera: MakeCamera) -> None:
    fake, clock = camera("...")
    source, stop = opened("0", clock), threading.Event()
    assert fake.addresses == [0]
    assert (source.name, source.live, source.stills, source.size, source.fps) == (
        "camera 0", True, False, (WIDTH, HEIGHT), 25.0,
    )  # fmt: skip
    clock.advance(2)
    capture = source.read(stop)
    assert capture is not None and capture.seconds == 2 and capture.captured_ns == clock.now_ns()


def test_a_camera_whose_driver_tells_the_time_is_timed_by_it(
    camera: MakeCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, clock = camera("....")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Camera.Opening, "getBackendName", lambda opening: "V4L2")
    told = iter([990.0, 1012.0])
    sizes = Camera.Opening.get
    monkeypatch.setattr(
        Camera.Opening,
        "get",
        lambda opening, prop: next(told) if prop == cv2.CAP_PROP_POS_MSEC else sizes(opening, prop),
    )
    source = opened("0", clock)
    clock.advance(0.030)
    capture = source.read(threading.Event())
    assert source.capture_clock == "driver"
    assert capture is not None and capture.captured_ns == 1_012_000_000 and capture.seconds == pytest.approx(0.012)


def test_pictures_are_stamped_before_they_are_decoded(camera: MakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    _, clock = camera("..")
    source = opened("0", clock)
    retrieve = Camera.Opening.retrieve

    def slow(opening: Camera.Opening) -> tuple[bool, np.ndarray | None]:
        clock.advance(0.008)
        return retrieve(opening)

    monkeypatch.setattr(Camera.Opening, "retrieve", slow)
    before = clock.now_ns()
    capture = source.read(threading.Event())
    assert source.capture_clock == "grab"
    assert capture is not None and capture.captured_ns == before


def test_a_camera_that_is_lost_is_opened_again_after_a_pause_that_doubles(camera: MakeCamera) -> None:
    fake, clock = camera(".x", None, None, None, None, None, "..")
    source, stop = opened("0", clock), threading.Event()
    assert source.read(stop) is not None
    assert source.read(stop) is not None
    assert clock.waits == [0.02, 0.02, 0.25, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert fake.opened_at == pytest.approx([0.0, 0.29, 0.79, 1.79, 2.79, 3.79, 4.79])
    assert source.read(stop) is not None


def test_every_lost_camera_is_given_back_before_it_is_opened_again(camera: MakeCamera) -> None:
    fake, clock = camera(".x", ".x", ".")
    source, stop = opened("0", clock), threading.Event()
    assert all(source.read(stop) for _ in range(3))
    assert fake.released == 2
    source.close()
    source.close()
    assert fake.released == 3


def test_a_pause_starts_short_again_after_the_camera_came_back(camera: MakeCamera) -> None:
    _, clock = camera(".x", None, ".x", ".")
    source, stop = opened("0", clock), threading.Event()
    assert all(source.read(stop) for _ in range(3))
    assert clock.waits == [0.02, 0.02, 0.25, 0.5, 0.02, 0.02, 0.25]


@pytest.mark.parametrize("limit", [0.0, 3.0, 30.0])
def test_a_camera_that_stays_lost_is_given_up_after_the_limit(camera: MakeCamera, limit: float) -> None:
    _, clock = camera(".x")
    source, stop = opened("0", clock, reconnect=limit), threading.Event()
    source.read(stop)
    lost = clock.now_ns()
    with pytest.raises(SourceError, match=f"camera 0 gave no frame for {limit:g} s") as caught:
        source.read(stop)
    assert_one_sentence(caught.value)
    assert limit <= (clock.now_ns() - lost) / 1e9 <= limit + 4


def test_a_camera_that_opens_and_never_gives_a_frame_is_given_up_too(camera: MakeCamera) -> None:
    _, clock = camera(*["x"] * 50)
    with pytest.raises(SourceError, match="gave no frame"):
        opened("0", clock, reconnect=30).read(threading.Event())


def test_a_lost_camera_is_neither_waited_for_nor_opened_again_once_the_loop_stops(camera: MakeCamera) -> None:
    fake, clock = camera("xxx", "...")
    source, stop = opened("0", clock), threading.Event()

    def stop_in_a_pause(seconds: float, until: threading.Event) -> None:
        if fake.released:
            until.set()

    clock.wait = stop_in_a_pause  # type: ignore[method-assign]
    assert source.read(stop) is None
    assert (len(fake.addresses), fake.released) == (1, 1)


def test_a_driver_that_hangs_in_a_read_is_not_released_under_its_feet(
    camera: MakeCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, clock = camera("...")
    source, stop, hanging, woken = opened("0", clock), threading.Event(), threading.Event(), threading.Event()

    def hang(opening: Camera.Opening) -> tuple[bool, None]:
        hanging.set()
        wait_for(woken)
        return False, None

    monkeypatch.setattr(Camera.Opening, "read", hang)
    reader = threading.Thread(target=source.read, args=(stop,), daemon=True)
    reader.start()
    wait_for(hanging)
    stop.set()
    source.close()
    assert fake.released == 0
    woken.set()
    reader.join(DEADLINE_SECONDS)
    assert not reader.is_alive()


def test_a_stream_is_opened_with_its_password_and_named_without(camera: MakeCamera) -> None:
    address = "rtsp://anna:s3cret@10.0.0.7:554/live?token=abc"
    fake, clock = camera(".x")
    source, stop = opened(address, clock, reconnect=1), threading.Event()
    assert fake.addresses == [address]
    assert source.name == "rtsp://10.0.0.7:554/live"
    source.read(stop)
    with pytest.raises(SourceError) as caught:
        source.read(stop)
    assert not [word for word in ("anna", "s3cret", "abc") if word in str(caught.value)]


def test_a_stream_that_cannot_be_opened_is_refused_without_its_password(camera: MakeCamera) -> None:
    camera(None)
    said = refused("rtsp://anna:s3cret@10.0.0.7:554/live?token=abc")
    assert "rtsp://10.0.0.7:554/live cannot be opened" in said
    assert not [word for word in ("anna", "s3cret", "abc") if word in said]


def test_a_stream_that_refuses_connections_is_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert f"http://127.0.0.1:{port}/x cannot be opened" in refused(f"http://anna:s3cret@127.0.0.1:{port}/x")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("0", "0"),
        ("clip@home.mp4", "clip@home.mp4"),
        ("rtsp://10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://anna:s3cret@10.0.0.7/live", "rtsp://10.0.0.7/live"),
        ("rtsp://anna@10.0.0.7", "rtsp://10.0.0.7"),
        ("rtsp://anna:s3@cret@10.0.0.7:554/live#x", "rtsp://10.0.0.7:554/live"),
        ("https://host/live?password=s3cret", "https://host/live"),
        ("https://host?password=s3cret", "https://host"),
        ("rtsp://anna:s3/cret@host/live", "rtsp://..."),
        ("rtsp://anna:s3?cret@host/live", "rtsp://..."),
        ("rtsp://anna:s3#cret@host/live", "rtsp://..."),
        ("https://host/live?user=anna@home&password=s3cret", "https://..."),
        ("rtsp://anna:s3cret@[::1/live", "rtsp://[::1/live"),
    ],
)
def test_no_password_is_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown
