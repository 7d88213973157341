"""Sources: what each kind gives, when, and the one sentence each refusal is."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import EXIT_SOURCE_LOST, SourceError
from realtime.frames import Capture
from realtime.sources import Source, open_source, without_password
from tests.realtime.fakes import DEADLINE_SECONDS, FakeClock, wait_for, without_rights

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


@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_gives_every_frame_in_turn_with_its_media_time(tmp_path: Path, suffix: str) -> None:
    source = opened(written_video(tmp_path / f"clip{suffix}"))
    assert (source.live, source.stills, source.size, source.fps) == (False, False, (WIDTH, HEIGHT), FPS)
    captures = everything(source)
    assert [round(float(one.image.mean()) / 20) for one in captures] == list(range(12))
    assert [one.seconds for one in captures] == pytest.approx([index / FPS for index in range(12)], abs=1e-6)


def test_a_video_without_pace_is_not_waited_for(tmp_path: Path) -> None:
    clock = FakeClock()
    everything(opened(written_video(tmp_path / "clip.mp4"), clock))
    assert clock.waits == []


def test_a_paced_video_gives_each_frame_at_its_own_time(tmp_path: Path) -> None:
    clock = FakeClock()
    source = opened(written_video(tmp_path / "clip.mp4"), clock, pace=True)
    assert source.live
    clock.advance(5)
    start = clock.now_ns()
    captures = everything(source)
    assert [(one.captured_ns - start) / 1e9 for one in captures] == pytest.approx([one.seconds for one in captures])
    assert clock.waits == pytest.approx([0.0] + [0.04] * 11)


def test_a_paced_video_that_is_read_late_does_not_add_to_the_delay(tmp_path: Path) -> None:
    clock = FakeClock()
    source = opened(written_video(tmp_path / "clip.mp4"), clock, pace=True)
    start, stop = clock.now_ns(), threading.Event()
    source.read(stop)
    clock.advance(0.1)
    late, next_one = source.read(stop), source.read(stop)
    source.close()
    assert late is not None and next_one is not None
    assert (late.captured_ns - start) / 1e9 == pytest.approx(0.1)
    assert clock.waits[-1] < 0 and (next_one.captured_ns - start) / 1e9 == pytest.approx(0.1)
    assert next_one.seconds == pytest.approx(0.08)


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


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Source]:
    """Opens a file whose frames have the given times."""

    def opened_with(times: list[float | None], *, fps: float = 25.0, pace: bool = False, clock: FakeClock) -> Source:
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: ScriptedVideo(times, fps))
        path = tmp_path / "clip.mp4"
        path.touch()
        return opened(path, clock, pace=pace)

    return opened_with


@pytest.mark.parametrize(
    ("told", "times"),
    [
        ([0.0, 0.04, 0.08], [0.0, 0.04, 0.08]),
        ([0.0, 0.03, 0.11], [0.0, 0.03, 0.11]),
        ([0.0, 0.0, 0.0], [0.0, 0.04, 0.08]),
        ([0.0, 0.04, 0.02, 0.12], [0.0, 0.04, 0.08, 0.12]),
        ([0.0, 0.5, 0.0, 0.0], [0.0, 0.5, 0.501, 0.502]),
        ([0.0, 1e6, 2e6], [0.0, 0.04, 0.08]),
        ([-3.0, -2.96, 0.08], [0.0, 0.04, 0.08]),
    ],
)
def test_media_times_increase_whatever_the_file_tells(
    scripted: Callable[..., Source], told: list[float], times: list[float]
) -> None:
    assert [one.seconds for one in everything(scripted(told, clock=FakeClock()))] == pytest.approx(times)


def test_a_rate_below_one_is_a_rate(scripted: Callable[..., Source]) -> None:
    assert scripted([0.0, 2.0, 4.0], fps=0.5, clock=FakeClock()).fps == 0.5


@pytest.mark.parametrize("fps", [0.0, -1.0, 90_000.0, float("nan")])
def test_a_rate_that_no_camera_has_becomes_thirty(scripted: Callable[..., Source], fps: float) -> None:
    source = scripted([0.0, 0.0, 0.0], fps=fps, clock=FakeClock())
    assert source.fps == 30
    assert [one.seconds for one in everything(source)] == pytest.approx([0, 1 / 30, 2 / 30])


def test_a_paced_clip_that_begins_late_in_its_own_time_begins_at_once(scripted: Callable[..., Source]) -> None:
    clock = FakeClock()
    captures = everything(scripted([5.0, 5.04, 5.08], pace=True, clock=clock))
    assert [one.seconds for one in captures] == [5.0, 5.04, 5.08]
    assert clock.waits == pytest.approx([0, 0.04, 0.04])


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    clock = FakeClock()
    source = opened(written_picture(tmp_path / "one.png"), clock)
    assert (source.live, source.stills, source.size, source.fps) == (False, True, (WIDTH, HEIGHT), 1)
    (capture,) = everything(source)
    assert capture.seconds == 0 and capture.captured_ns == clock.now_ns() and int(capture.image[0, 0, 0]) == 90


@pytest.mark.parametrize("whole", [True, False])
def test_a_pattern_gives_its_pictures_in_order_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    for index in (3, 1, 2):
        written_picture(tmp_path / f"{index}.png", 50 * index)
    (tmp_path / "4.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    captures = everything(opened(tmp_path / "*" if whole else "*"))
    assert [int(one.image[0, 0, 0]) for one in captures] == [50, 100, 150]
    assert [one.seconds for one in captures] == [0, 1, 2]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    written_picture(tmp_path / "a[1].png", 70)
    written_picture(tmp_path / "a1.png", 20)
    (capture,) = everything(opened(tmp_path / "a[1].png"))
    assert int(capture.image[0, 0, 0]) == 70


def test_a_broken_picture_among_others_is_named_when_its_turn_comes(tmp_path: Path) -> None:
    written_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no picture")
    source, stop = opened(tmp_path / "*.png"), threading.Event()
    assert source.read(stop) is not None
    with pytest.raises(SourceError, match=r"2\.png holds no picture") as caught:
        source.read(stop)
    assert_one_sentence(caught.value)


def test_a_video_that_is_closed_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = ScriptedVideo([0.0, 0.04])
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: video)
    path = tmp_path / "clip.mp4"
    path.touch()
    source = opened(path)
    assert not video.released
    source.close()
    assert video.released


def truncated(whole: Path) -> bytes:
    data = whole.read_bytes()
    return data[: len(data) // 2]


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "picture"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ""])
def test_a_file_that_holds_no_video_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    contents = {
        "text": b"this is no video\n" * 100,
        "empty": b"",
        "truncated": truncated(written_video(tmp_path / "whole.mp4")),
        "picture": written_picture(tmp_path / "one.tiff").read_bytes()[:300],
    }
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(contents[kind])
    assert "holds no video that can be decoded" in refused(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("kind", ["text", "empty", "truncated"])
def test_a_file_that_holds_no_picture_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    contents = {"text": b"no picture", "empty": b"", "truncated": data[: len(data) // 2]}
    path = tmp_path / f"one{suffix}"
    path.write_bytes(contents[kind])
    assert "holds no picture that can be decoded" in refused(path)


def test_a_picture_that_claims_an_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.bmp"
    header = [(54, 4), (0, 4), (54, 4), (40, 4), (70_000, 4), (70_000, 4), (1, 2), (24, 2)]
    path.write_bytes(b"BM" + b"".join(value.to_bytes(size, "little") for value, size in header) + bytes(24 + 100))
    assert "holds no picture that can be decoded" in refused(path)


def test_a_folder_is_refused_with_the_pattern_to_give_instead(tmp_path: Path) -> None:
    said = refused(tmp_path)
    assert "is a folder" in said and f"'{tmp_path / '*.jpg'}'" in said


def test_a_pattern_that_matches_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.txt").touch()
    assert "matches no picture" in refused(tmp_path / "*.jpg")
    assert "matches no picture" in refused(tmp_path / "*")


@pytest.mark.parametrize(
    "name", ["nothing.mp4", "nothing.png", "none/nothing.mp4", "x" * 300 + ".mp4", "\udcff.mp4", "-1", "1.5", ""]
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    refused(name)


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """A folder that the test may not look into, with a video and a picture."""
    folder = tmp_path / "forbidden"
    folder.mkdir()
    written_video(folder / "clip.mp4")
    written_picture(folder / "one.png")
    with without_rights(folder):
        yield folder


@pytest.mark.parametrize("name", ["clip.mp4", "one.png", "nothing.mp4", "*.png"])
def test_a_path_through_a_folder_that_cannot_be_read_is_refused(forbidden: Path, name: str) -> None:
    assert "cannot be read (Permission denied)" in refused(forbidden / name)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written_video(tmp_path / "clip.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"chmod u+r {path}" in refused(path)


@pytest.mark.parametrize("number", ["97", "123456789", "9" * 30])
def test_a_camera_that_is_not_there_is_refused(number: str) -> None:
    said = refused(number)
    assert f"camera {number}" in said and "this machine shows" in said


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
