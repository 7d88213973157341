"""Which cameras there are: drivers that answer, devices that do not, systems without drivers to ask."""

import errno
import io
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest
from rich.console import Console

import run_live
from engines.errors import EXIT_SOURCE_LOST, SourceError
from realtime import v4l2
from realtime.cameras import Camera, camera_table, fourcc_name, linux_cameras, tried_cameras
from realtime.v4l2 import Driver, Mode, ask_driver
from tests.fixtures import the_sentence
from tests.realtime.fake_cameras import WEBCAM, FakeCapture, FakeDriver


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """Folders that stand in for /dev and /sys/class/video4linux: video0, video1 and video10."""
    dev, named = tmp_path / "dev", tmp_path / "sys"
    dev.mkdir()
    for number, name in ((0, "HD Webcam"), (1, "HD Webcam data"), (10, "Depth camera")):
        (dev / f"video{number}").touch()
        (named / f"video{number}").mkdir(parents=True)
        (named / f"video{number}" / "name").write_text(f"{name}\n")
    (dev / "video-codec").touch()
    return dev, named


def shown(found: list[Camera]) -> str:
    console = Console(file=io.StringIO(), width=240)
    with console.capture() as captured:
        console.print(camera_table(found))
    return captured.get()


def test_a_driver_is_asked_for_name_formats_sizes_and_rates(machine: tuple[Path, Path]) -> None:
    driver = ask_driver(machine[0] / "video0", FakeDriver())
    assert driver == Driver("HD Webcam", True, WEBCAM)


def test_a_driver_that_lists_no_single_sizes_gives_its_largest(machine: tuple[Path, Path]) -> None:
    driver = FakeDriver(modes=[Mode("YUYV", (1920, 1080), (30.0,))], stepwise=True)
    assert ask_driver(machine[0] / "video0", driver).modes == (Mode("YUYV", (1920, 1080), (30.0,)),)


def test_a_driver_that_lists_without_end_is_left_after_a_while(machine: tuple[Path, Path]) -> None:
    class Endless(FakeDriver):
        @staticmethod
        def _at(entries, buffer):  # type: ignore[no-untyped-def]
            return entries[0]

    driver = Endless(modes=[Mode("YUYV", (640, 480), ())])

    def ask(file: int, request: int, buffer: bytearray) -> int:
        if request == v4l2.ENUM_FRAMEINTERVALS:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return driver(file, request, buffer)

    assert set(ask_driver(machine[0] / "video0", ask).modes) == {Mode("YUYV", (640, 480), ())}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler to read the kernel's header")
def test_numbers_and_layouts_are_those_of_the_kernels_header(tmp_path: Path) -> None:
    if not Path("/usr/include/linux/videodev2.h").is_file():
        pytest.skip("needs linux/videodev2.h")
    source, program = tmp_path / "v.c", tmp_path / "v"
    source.write_text(
        """#include <linux/videodev2.h>
        #include <stddef.h>
        #include <stdio.h>
        int main(void) { printf("%x %x %x %x %zu %zu %zu %zu %zu", VIDIOC_QUERYCAP, VIDIOC_ENUM_FMT,
        VIDIOC_ENUM_FRAMESIZES, VIDIOC_ENUM_FRAMEINTERVALS, offsetof(struct v4l2_capability, capabilities),
        offsetof(struct v4l2_fmtdesc, pixelformat), offsetof(struct v4l2_frmsizeenum, type),
        offsetof(struct v4l2_frmsizeenum, stepwise.max_height), offsetof(struct v4l2_frmivalenum, type)); }"""
    )
    subprocess.run(["cc", source, "-o", program], check=True)
    told = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    requests = (v4l2.QUERYCAP, v4l2.ENUM_FMT, v4l2.ENUM_FRAMESIZES, v4l2.ENUM_FRAMEINTERVALS)
    assert told == [f"{request:x}" for request in requests] + ["84", "44", "8", "28", "16"]


def test_devices_that_give_pictures_are_cameras_and_their_twins_are_not(machine: tuple[Path, Path]) -> None:
    def ask(device: Path) -> Driver:
        return ask_driver(device, FakeDriver(captures=device.name != "video1"))

    assert [camera.number for camera in linux_cameras(*machine, ask)] == [0, 10]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "usermod -aG video"),
        (OSError(errno.ENODEV, "No such device"), "does not answer (No such device)"),
    ],
)
def test_a_device_that_cannot_be_asked_is_listed_with_its_name_and_the_reason(
    machine: tuple[Path, Path], error: OSError, said: str
) -> None:
    def ask(device: Path) -> Driver:
        if device.name == "video10":
            raise error
        return ask_driver(device, FakeDriver())

    found = linux_cameras(*machine, ask)
    assert (found[-1].number, found[-1].name, found[-1].modes) == (10, "Depth camera", ())
    assert said in found[-1].problem and said in shown(found)


def test_a_machine_without_a_folder_of_devices_has_no_camera(tmp_path: Path) -> None:
    assert linux_cameras(tmp_path / "dev", tmp_path / "sys") == []


def test_the_table_has_a_row_a_format_with_the_largest_size_first() -> None:
    text = shown([Camera(0, "HD Webcam", WEBCAM), Camera(2, "", (Mode("MJPG", (320, 240), ()),))])
    rows = [re.split(r"\s*│\s*", line.strip("│ ")) for line in text.splitlines() if "x" in line]
    assert rows == [
        ["0", "HD Webcam", "YUYV", "1280x720 at 10, 640x480 at 30"],
        ["MJPG", "1280x720 at 60, 640x480 at 60"],
        ["2", "(no name)", "MJPG", "320x240"],
    ]


def test_elsewhere_numbers_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(FakeCapture):
        def isOpened(self) -> bool:  # noqa: N802
            return False

    monkeypatch.setattr(cv2, "VideoCapture", lambda number: FakeCapture() if number == 1 else Nothing())
    assert tried_cameras(range(3)) == [Camera(1, "", (WEBCAM[0],))]


@pytest.mark.parametrize(("code", "name"), [(cv2.VideoWriter.fourcc(*"MJPG"), "MJPG"), (0, ""), (-1, ""), (22, "")])
def test_a_format_that_has_no_letters_has_no_name(code: float, name: str) -> None:
    assert fourcc_name(float(code)) == name


def test_no_camera_is_one_sentence_and_exit_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError):
        camera_table([])
    monkeypatch.setattr("realtime.live.find_cameras", list)
    assert run_live.main(["--list-cameras"]) == EXIT_SOURCE_LOST
    assert "this machine shows no camera" in the_sentence(capsys.readouterr().err)


def test_cameras_are_listed_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], machine: tuple[Path, Path]
) -> None:
    found = linux_cameras(*machine, lambda device: ask_driver(device, FakeDriver()))
    monkeypatch.setattr("realtime.live.find_cameras", lambda: found)
    assert run_live.main(["--list-cameras"]) == 0
    assert capsys.readouterr().out.count("HD Webcam") == 3
