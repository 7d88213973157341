"""Stand-ins for camera drivers: V4L2's answers to ioctls, and OpenCV's captures."""

import errno
import struct
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

from realtime import v4l2
from realtime.v4l2 import Mode

WEBCAM = (
    Mode("YUYV", (1280, 720), (10.0,)),
    Mode("YUYV", (640, 480), (30.0, 15.0)),
    Mode("MJPG", (1280, 720), (60.0, 30.0)),
    Mode("MJPG", (640, 480), (60.0, 30.0)),
)
"""What a usual USB webcam lists."""


Entry = TypeVar("Entry")


class FakeDriver:
    """Answers V4L2's ioctls as the kernel lays them out."""

    def __init__(
        self, name: str = "HD Webcam", modes: Sequence[Mode] = WEBCAM, *, captures: bool = True, stepwise: bool = False
    ) -> None:
        self.name, self.modes, self.captures, self.stepwise = name, modes, captures, stepwise

    def __call__(self, file: int, request: int, buffer: bytearray) -> int:
        if request == v4l2.QUERYCAP:
            buffer[16:48] = self.name.encode()[:31].ljust(32, b"\0")
            of_device = v4l2.CAP_VIDEO_CAPTURE if self.captures else 0x00800000
            struct.pack_into("=2I", buffer, 84, v4l2.CAP_DEVICE_CAPS | v4l2.CAP_VIDEO_CAPTURE, of_device)
            return 0
        if request == v4l2.ENUM_FMT:
            assert struct.unpack_from("=I", buffer, 4)[0] == v4l2.BUF_TYPE_VIDEO_CAPTURE
            buffer[44:48] = self._at(list(dict.fromkeys(mode.format for mode in self.modes)), buffer).encode()
            return 0
        code = bytes(buffer[4:8]).decode()
        if request == v4l2.ENUM_FRAMESIZES:
            sizes = [mode.size for mode in self.modes if mode.format == code]
            if self.stepwise:
                (width, height), _ = max(sizes), self._at([0], buffer)
                struct.pack_into("=7I", buffer, 8, 3, 32, width, 2, 24, height, 2)
            else:
                struct.pack_into("=3I", buffer, 8, v4l2.DISCRETE, *self._at(sizes, buffer))
            return 0
        assert request == v4l2.ENUM_FRAMEINTERVALS
        size = struct.unpack_from("=2I", buffer, 8)
        rates = next(mode.rates for mode in self.modes if (mode.format, mode.size) == (code, size))
        struct.pack_into("=3I", buffer, 16, v4l2.DISCRETE, 1000, round(self._at(list(rates), buffer) * 1000))
        return 0

    @staticmethod
    def _at(entries: Sequence[Entry], buffer: bytearray) -> Entry:
        index = struct.unpack_from("=I", buffer)[0]
        if index >= len(entries):
            raise OSError(errno.EINVAL, "Invalid argument")
        return entries[index]


class FakeCapture:
    """Stands in for an open `cv2.VideoCapture`: takes what its modes allow, and notes the order of what is asked.

    Args:
        modes: as a driver lists them; it begins in the first.
        exposes: whether exposure can be set.
        backend: of OpenCV.
    """

    def __init__(self, modes: Sequence[Mode] = WEBCAM, *, exposes: bool = True, backend: str = "V4L2") -> None:
        self._modes, self._exposes, self._backend = modes, exposes, backend
        first = modes[0]
        self.values: dict[int, float] = {
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*first.format)),
            cv2.CAP_PROP_FRAME_WIDTH: first.size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: first.size[1],
            cv2.CAP_PROP_FPS: first.rates[0],
            cv2.CAP_PROP_BUFFERSIZE: 4.0,
            cv2.CAP_PROP_EXPOSURE: 156.0,
        }
        self.asked: list[tuple[int, float]] = []

    def set(self, prop: int, value: float) -> bool:
        self.asked.append((prop, value))
        if prop in (cv2.CAP_PROP_EXPOSURE, cv2.CAP_PROP_AUTO_EXPOSURE) and not self._exposes:
            return False
        codes = {cv2.VideoWriter.fourcc(*mode.format): mode.format for mode in self._modes}
        if prop == cv2.CAP_PROP_FOURCC and value not in codes:
            return False
        self.values[prop] = value
        of_format = [mode for mode in self._modes if mode.format == codes[int(self.values[cv2.CAP_PROP_FOURCC])]]
        if prop == cv2.CAP_PROP_FRAME_HEIGHT:
            wanted = (self.values[cv2.CAP_PROP_FRAME_WIDTH], value)
            size = min(of_format, key=lambda mode: abs(mode.size[0] - wanted[0]) + abs(mode.size[1] - wanted[1])).size
            self.values |= {cv2.CAP_PROP_FRAME_WIDTH: size[0], cv2.CAP_PROP_FRAME_HEIGHT: size[1]}
            self.values[cv2.CAP_PROP_FPS] = self._rates(of_format)[0]
        if prop == cv2.CAP_PROP_FPS:
            self.values[prop] = min(self._rates(of_format), key=lambda rate: abs(rate - value))
        return True

    def _rates(self, modes: Sequence[Mode]) -> tuple[float, ...]:
        size = (self.values[cv2.CAP_PROP_FRAME_WIDTH], self.values[cv2.CAP_PROP_FRAME_HEIGHT])
        return next((mode.rates for mode in modes if mode.size == size), modes[0].rates)

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_EXPOSURE and not self._exposes:
            return -1.0
        return float(self.values.get(prop, 0.0))

    def getBackendName(self) -> str:  # noqa: N802
        return self._backend

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        width, height = (int(self.values[prop]) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        return True, np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)

    def release(self) -> None: ...
