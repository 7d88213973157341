"""Which cameras this machine has, and what they can do. Opens none for longer than it takes to ask.

On Linux the drivers are asked (`realtime.v4l2`); elsewhere the first numbers are tried with OpenCV.
"""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
from rich.table import Table

from engines.errors import SourceError
from realtime.v4l2 import Driver, Mode, ask_driver

DEV, SYS = Path("/dev"), Path("/sys/class/video4linux")
MOST_TRIED = 8
"""Camera numbers that are tried where no driver can be asked; to try one that is not there takes a moment."""


@dataclass(frozen=True)
class Camera:
    """A camera of this machine.

    Args:
        number: what `--source` takes.
        name: its maker's name for it; empty where the system does not tell.
        modes: formats, sizes and rates.
        problem: why it cannot be used; empty when it can.
    """

    number: int
    name: str
    modes: tuple[Mode, ...] = ()
    problem: str = ""


def find_cameras() -> list[Camera]:
    """The cameras of this machine, by number."""
    return linux_cameras() if sys.platform.startswith("linux") else tried_cameras()


def linux_cameras(dev: Path = DEV, sys_class: Path = SYS, ask: Callable[[Path], Driver] = ask_driver) -> list[Camera]:
    """Every device that gives pictures, or that nothing can be asked of.

    Args:
        dev: the folder of the devices.
        sys_class: the folder in which the kernel names them, for those whose driver does not answer.
        ask: asks a device's driver; raises OSError.
    """
    cameras = []
    for number in device_numbers(dev):
        device = dev / f"video{number}"
        try:
            driver = ask(device)
        except OSError as error:
            cameras.append(Camera(number, kernel_name(sys_class, number), problem=reason(device, error)))
            continue
        if driver.captures:
            cameras.append(Camera(number, driver.name or kernel_name(sys_class, number), driver.modes))
    return cameras


def device_numbers(dev: Path = DEV) -> list[int]:
    """N of every /dev/videoN."""
    names = [path.name for path in dev.glob("video*")] if dev.is_dir() else []
    return sorted(int(name.removeprefix("video")) for name in names if re.fullmatch(r"video\d{1,4}", name))


def kernel_name(sys_class: Path, number: int) -> str:
    """A device's name as the kernel has it; empty where it has none."""
    try:
        return (sys_class / f"video{number}" / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def reason(device: Path, error: OSError) -> str:
    """Why a device could not be asked, and what helps."""
    if isinstance(error, PermissionError):
        return f"{device} may not be opened: add yourself to its group with sudo usermod -aG video $USER, log in again"
    return f"{device} does not answer ({error.strerror or error})"


def tried_cameras(numbers: Iterable[int] = range(MOST_TRIED)) -> list[Camera]:
    """The cameras that OpenCV can open, each with the one mode it opens in."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cameras = []
    for number in numbers:
        video = cv2.VideoCapture(number)
        try:
            if video.isOpened():
                cameras.append(Camera(number, "", (opened_mode(video),)))
        finally:
            video.release()
    return cameras


def opened_mode(video: cv2.VideoCapture) -> Mode:
    """The mode that an open camera is in."""
    width, height = (round(video.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    rate = video.get(cv2.CAP_PROP_FPS)
    return Mode(fourcc_name(video.get(cv2.CAP_PROP_FOURCC)), (width, height), (rate,) if rate >= 1 else ())


def fourcc_name(code: float) -> str:
    """The four letters of a format; empty where a driver gives none."""
    letters = (int(code) & 0xFFFFFFFF).to_bytes(4, "little") if code == code else b""
    name = letters.decode("ascii", "replace").strip("\0 ")
    return name if name.isascii() and name.isprintable() and len(name) >= 3 else ""


def camera_table(cameras: Iterable[Camera]) -> Table:
    """What `--list-cameras` shows: a row for each camera and format, with its sizes and highest rates.

    Raises:
        SourceError: there is no camera.
    """
    table = Table("--source", "camera", "format", "sizes, with the highest rate of each")
    for camera in cameras:
        number, name = str(camera.number), camera.name or "(no name)"
        if camera.problem or not camera.modes:
            table.add_row(number, name, "", camera.problem or "(the driver lists no sizes)")
        for code in dict.fromkeys(mode.format for mode in camera.modes):
            of_format = [mode for mode in camera.modes if mode.format == code]
            table.add_row(number, name, code or "?", ", ".join(mode_text(mode) for mode in largest_first(of_format)))
            number = name = ""
    if not table.row_count:
        raise SourceError(
            "this machine shows no camera",
            "a webcam that the system knows is needed",
            "plug one in and look again, or give --source a file or a stream's address",
        )
    return table


def largest_first(modes: Iterable[Mode]) -> list[Mode]:
    """Modes by size."""
    return sorted(modes, key=lambda mode: -mode.size[0] * mode.size[1])


def mode_text(mode: Mode) -> str:
    """`1280x720 at 30`."""
    width, height = mode.size
    return f"{width}x{height} at {mode.rates[0]:g}" if mode.rates else f"{width}x{height}"


def known_cameras() -> str:
    """The cameras that Linux shows, for an error; empty elsewhere."""
    names = [f"video{number}" for number in device_numbers()]
    return f" (this machine shows {', '.join(names) if names else 'no camera'})" if DEV.is_dir() else ""
