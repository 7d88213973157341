"""What a Linux camera can do, asked of its driver (V4L2). Knows no OpenCV and takes no picture.

Numbers and layouts are those of `linux/videodev2.h`.
"""

import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

QUERYCAP, ENUM_FMT = 0x80685600, 0xC0405602
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
CAP_VIDEO_CAPTURE, CAP_DEVICE_CAPS = 0x1, 0x80000000
BUF_TYPE_VIDEO_CAPTURE = 1
DISCRETE = 1
MOST_ENTRIES = 256
"""A driver that lists more of anything is not believed to come to an end."""

Ioctl = Callable[[int, int, bytearray], int]


@dataclass(frozen=True)
class Mode:
    """One format and size of a camera.

    Args:
        format: four letters, such as MJPG or YUYV.
        size: width and height px.
        rates: frames a second, the highest first; empty where the driver does not say.
    """

    format: str
    size: tuple[int, int]
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Driver:
    """What a video device says of itself.

    Args:
        name: the camera's name.
        captures: whether it gives pictures; many cameras have a second device that only gives data about them.
        modes: its formats and sizes.
    """

    name: str
    captures: bool
    modes: tuple[Mode, ...]


def system_ioctl(file: int, request: int, buffer: bytearray) -> int:
    """The real one; `fcntl` is not there on every system."""
    import fcntl

    return int(fcntl.ioctl(file, request, buffer))


def ask_driver(device: Path, ioctl: Ioctl = system_ioctl) -> Driver:
    """A video device's name and modes.

    Raises:
        OSError: it cannot be opened, or is no video device.
    """
    file = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        buffer = bytearray(104)
        ioctl(file, QUERYCAP, buffer)
        able, of_device = struct.unpack_from("=2I", buffer, 84)
        able = of_device if able & CAP_DEVICE_CAPS else able
        captures = bool(able & CAP_VIDEO_CAPTURE)
        return Driver(text(buffer[16:48]), captures, modes(file, ioctl) if captures else ())
    finally:
        os.close(file)


def text(data: bytes | bytearray) -> str:
    """A C string that can be printed."""
    letters = bytes(data).split(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in letters).strip()


def modes(file: int, ioctl: Ioctl) -> tuple[Mode, ...]:
    """Every format and size of an open device; of sizes without steps the largest alone."""
    found = []
    for index in range(MOST_ENTRIES):
        buffer = bytearray(64)
        struct.pack_into("=2I", buffer, 0, index, BUF_TYPE_VIDEO_CAPTURE)
        if not answers(file, ENUM_FMT, buffer, ioctl):
            break
        code = bytes(buffer[44:48])
        for size in sizes(file, code, ioctl):
            found.append(Mode(text(code), size, rates(file, code, size, ioctl)))
    return tuple(found)


def sizes(file: int, code: bytes, ioctl: Ioctl) -> list[tuple[int, int]]:
    """Sizes of one format."""
    found = []
    for index in range(MOST_ENTRIES):
        buffer = bytearray(44)
        struct.pack_into("=I4s", buffer, 0, index, code)
        if not answers(file, ENUM_FRAMESIZES, buffer, ioctl):
            break
        kind, *values = struct.unpack_from("=5I", buffer, 8)
        if kind != DISCRETE:  # least width, most width, step, least height, most height, step
            return [(values[1], struct.unpack_from("=I", buffer, 28)[0])]
        found.append((values[0], values[1]))
    return found


def rates(file: int, code: bytes, size: tuple[int, int], ioctl: Ioctl) -> tuple[float, ...]:
    """Frames a second of one format and size, the highest first."""
    found = []
    for index in range(MOST_ENTRIES):
        buffer = bytearray(52)
        struct.pack_into("=I4s2I", buffer, 0, index, code, *size)
        if not answers(file, ENUM_FRAMEINTERVALS, buffer, ioctl):
            break
        kind, seconds, parts = struct.unpack_from("=3I", buffer, 16)
        if seconds:
            found.append(round(parts / seconds, 3))
        if kind != DISCRETE:  # the first interval is the shortest
            break
    return tuple(sorted(set(found), reverse=True))


def answers(file: int, request: int, buffer: bytearray, ioctl: Ioctl) -> bool:
    """Whether a driver has an entry; EINVAL is the end of a list, ENOTTY a list that it does not keep."""
    try:
        ioctl(file, request, buffer)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTTY):
            return False
        raise
    return True
