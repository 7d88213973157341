"""Setting a camera: what is asked for in which order, which format, what came of it, and that it is said."""

import threading
from pathlib import Path

import cv2
import pytest

import run_live
from engines.errors import EXIT_BAD_INPUT
from realtime import live as live_wiring
from realtime.camera_settings import CameraWish, best_format, set_camera
from realtime.live_options import parser
from realtime.settings import with_settings
from realtime.sources import LiveSource, open_source
from realtime.v4l2 import Mode
from tests.realtime.fake_cameras import WEBCAM, FakeCapture
from tests.realtime.fakes import FRAME_SIZE, FakeChain, FakeClock, rows_of

HD = (1280, 720)


@pytest.mark.parametrize(
    ("wish", "format_asked"),
    [
        (CameraWish(size=(640, 480)), "YUYV"),
        (CameraWish(size=(640, 480), rate=60), "MJPG"),
        (CameraWish(size=HD), "MJPG"),
        (CameraWish(size=HD, rate=10), "YUYV"),
        (CameraWish(size=HD, format="YUYV"), "YUYV"),
        (CameraWish(), None),
    ],
)
def test_raw_pictures_are_taken_where_they_come_fast_enough_else_mjpg(
    wish: CameraWish, format_asked: str | None
) -> None:
    assert best_format(wish, WEBCAM) == format_asked


@pytest.mark.parametrize(
    ("wish", "format_asked"),
    [
        (CameraWish(size=(640, 480)), None),
        (CameraWish(size=(640, 480), rate=60), "MJPG"),
        (CameraWish(size=HD), "MJPG"),
    ],
)
def test_where_no_driver_can_be_asked_mjpg_is_for_more_than_usb_2_carries(
    wish: CameraWish, format_asked: str | None
) -> None:
    assert best_format(wish, ()) == format_asked


def test_a_camera_that_has_neither_is_left_as_it_is() -> None:
    assert best_format(CameraWish(size=HD), (Mode("Z16", HD, (30.0,)),)) is None


def test_a_format_is_asked_for_before_the_size_and_the_size_before_the_rate() -> None:
    video = FakeCapture()
    state = set_camera(video, CameraWish(size=HD, rate=60), WEBCAM)
    assert [prop for prop, _ in video.asked[:4]] == [
        cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS,
    ]  # fmt: skip
    assert (state.format, state.size, state.rate, state.buffers, state.refused) == ("MJPG", HD, 60, 1, ())
    assert state.sentence == "MJPG 1280x720 at 60 fps, 15.6 ms exposure, 1 buffer"


def test_what_the_driver_did_not_give_is_named() -> None:
    wish = CameraWish(format="H264", size=(1920, 1080), rate=120, exposure_ms=5, buffers=3)
    state = set_camera(FakeCapture(exposes=False), wish, WEBCAM)
    assert state.refused == ("format H264", "1920x1080", "120 fps", "5 ms exposure")
    assert state.sentence.endswith("; not given: format H264, 1920x1080, 120 fps, 5 ms exposure")
    assert state.exposure_ms is None and state.buffers == 3


@pytest.mark.parametrize(
    ("backend", "exposure_ms", "asked"),
    [
        ("V4L2", 5.0, [(cv2.CAP_PROP_AUTO_EXPOSURE, 1), (cv2.CAP_PROP_EXPOSURE, 50)]),
        ("V4L2", 0.0, [(cv2.CAP_PROP_AUTO_EXPOSURE, 3)]),
        ("DSHOW", 7.8, [(cv2.CAP_PROP_AUTO_EXPOSURE, 0.25), (cv2.CAP_PROP_EXPOSURE, -7)]),
        ("MSMF", 0.0, [(cv2.CAP_PROP_AUTO_EXPOSURE, 1)]),
    ],
)
def test_exposure_is_told_in_the_units_of_the_backend(
    backend: str, exposure_ms: float, asked: list[tuple[int, float]]
) -> None:
    video = FakeCapture(backend=backend)
    set_camera(video, CameraWish(exposure_ms=exposure_ms))
    assert video.asked[1:] == asked


def test_a_camera_that_is_lost_is_set_the_same_way_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[FakeCapture] = []

    class Failing(FakeCapture):
        def grab(self) -> bool:
            return len(opened) > 1

    def capture(address: object) -> FakeCapture:
        opened.append(Failing())
        return opened[-1]

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    monkeypatch.setattr("realtime.sources.known_modes", lambda address: WEBCAM)
    source = open_source("0", FakeClock(), pace=False, reconnect_seconds=30, wish=CameraWish(size=HD, rate=60))
    assert source.read(threading.Event()) is not None
    assert len(opened) == 2 and opened[0].asked == opened[1].asked and len(opened[1].asked) == 5


@pytest.fixture
def session(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line with a camera of 1280x720 at most 60 fps, fake engines, and results."""
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (FakeChain(), "nothing at all"))
    monkeypatch.setattr(cv2, "VideoCapture", lambda address: FakeCapture())
    monkeypatch.setattr("realtime.sources.known_modes", lambda address: WEBCAM)
    words = ["--target", target, "--headless", "--max-frames", 2, "--results", tmp_path / "out.jsonl"]
    return [str(word) for word in words]


def test_what_the_camera_gives_is_said_and_written(
    session: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_live.main([*session, "--camera-size", "1280x720", "--camera-rate", "90"]) == 0
    assert (
        "Camera 0: MJPG 1280x720 at 60 fps, 15.6 ms exposure, 1 buffer; not given: 90 fps." in capsys.readouterr().out
    )
    first, *_ = rows_of(tmp_path / "out.jsonl")
    assert first["camera"] == {
        "format": "MJPG", "size": [1280, 720], "fps": 60.0, "exposure_ms": 15.6, "buffers": 1, "not_given": ["90 fps"],
    }  # fmt: skip


def test_without_options_a_camera_is_asked_for_the_engines_size(
    session: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    videos: list[FakeCapture] = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda address: videos.append(FakeCapture()) or videos[-1])
    assert run_live.main(session) == 0
    assert (cv2.CAP_PROP_FRAME_WIDTH, FRAME_SIZE[0]) in videos[0].asked


def test_camera_options_of_a_file_are_said_to_do_nothing(
    session: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "one.png"
    picture.write_bytes(cv2.imencode(".png", FakeCapture().retrieve()[1])[1].tobytes())
    assert run_live.main([*session, "--source", str(picture), "--camera-rate", "30"]) == 0
    assert f"The --camera options do nothing: {picture} is no camera." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--camera-format", "motion jpeg"),
        ("--camera-format", "MJ"),
        ("--camera-size", "1280"),
        ("--camera-size", "5x5"),
        ("--camera-rate", "0"),
        ("--camera-rate", "nan"),
        ("--camera-exposure", "-3"),
        ("--camera-exposure", "inf"),
        ("--camera-buffers", "0"),
        ("--camera-buffers", "11"),
    ],
)
def test_a_value_that_no_camera_has_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_live.main(["--demo", f"{option}={value}"])
    assert ended.value.code == EXIT_BAD_INPUT
    assert f"argument {option}: {value!r} is" in capsys.readouterr().err.replace(f"{value} is", f"{value!r} is")


def test_a_station_keeps_its_camera_in_its_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(
        'demo = true\ncamera_format = "mjpg"\ncamera_size = "1280x720"\ncamera_rate = 60\ncamera_exposure = 5\n'
    )
    found = parser().parse_args(with_settings(parser(), ["--settings", str(path)]))
    assert (found.camera_format, found.camera_size, found.camera_rate, found.camera_exposure) == ("MJPG", HD, 60, 5)


def test_a_stream_is_set_nothing_but_its_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    video = FakeCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda address: video)
    source = open_source("rtsp://host/a", FakeClock(), pace=False, reconnect_seconds=1, wish=CameraWish(size=HD))
    assert isinstance(source, LiveSource) and source.camera is None
    assert video.asked == [(cv2.CAP_PROP_BUFFERSIZE, 1)]
