"""How a camera is to be set, and what its driver made of it. Opens no camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2

from realtime.cameras import DEV, opened_mode
from realtime.v4l2 import Mode, ask_driver

MJPG = "MJPG"
RAW = ("YUYV", "UYVY", "NV12", "NV21", "YU12", "YV12", "BGR3", "RGB3")
"""Raw formats that OpenCV reads."""

USUAL_RATE = 30.0
RATE_TOLERANCE = 0.5
RAW_BYTES_PER_PIXEL = 2
USB2_BYTES_PER_SECOND = 24e6
"""What cameras on USB 2 get across; raw pictures of more than this come slowly, or not at all."""

AUTO_EXPOSURE = {"V4L2": (3, 1), "DSHOW": (0.75, 0.25), "MSMF": (1, 0)}
"""What each of OpenCV's backends calls exposure by the camera, and by hand."""


@dataclass(frozen=True)
class CameraWish:
    """What is asked of a camera; None leaves it to the driver.

    Args:
        format: four letters; None takes raw pictures where they come fast enough, else MJPG.
        size: width and height px.
        rate: frames a second.
        exposure_ms: how long each picture is exposed; 0 leaves that to the camera.
        buffers: pictures that the driver keeps; more than 1 is lag that no one sees.
    """

    format: str | None = None
    size: tuple[int, int] | None = None
    rate: float | None = None
    exposure_ms: float | None = None
    buffers: int = 1


@dataclass(frozen=True)
class CameraState:
    """What a driver says that it gives; None where it does not say."""

    format: str
    size: tuple[int, int]
    rate: float | None
    exposure_ms: float | None
    buffers: int | None
    refused: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For the user."""
        width, height = self.size
        parts = [f"{self.format} {width}x{height}".strip()]
        parts += [f"at {self.rate:g} fps"] if self.rate else []
        parts += [f", {self.exposure_ms:g} ms exposure"] if self.exposure_ms else []
        parts += [f", {self.buffers} buffer{'s' * (self.buffers > 1)}"] if self.buffers else []
        text = " ".join(parts).replace(" ,", ",")
        return f"{text}; not given: {', '.join(self.refused)}" if self.refused else text

    def row(self) -> dict[str, object]:
        """For the results file."""
        return {
            "format": self.format or None,
            "size": list(self.size),
            "fps": self.rate,
            "exposure_ms": self.exposure_ms,
            "buffers": self.buffers,
            "not_given": list(self.refused),
        }


def known_modes(address: str) -> tuple[Mode, ...]:
    """What the driver of a Linux camera lists, by its number; nothing elsewhere."""
    try:
        return ask_driver(DEV / f"video{address}").modes
    except OSError:
        return ()


def best_format(wish: CameraWish, modes: Sequence[Mode]) -> str | None:
    """The format to ask for: raw pictures cost least to read, MJPG comes at high rates. None for the driver's own.

    `modes` are what the driver lists; empty where it cannot be asked.
    """
    if wish.format or wish.size is None:
        return wish.format
    rate = wish.rate or USUAL_RATE
    of_size = [mode for mode in modes if mode.size == wish.size]
    raw = [mode for mode in of_size if mode.format in RAW and mode.rates and mode.rates[0] >= rate - RATE_TOLERANCE]
    if raw:
        return raw[0].format
    if of_size:
        return MJPG if any(mode.format == MJPG for mode in of_size) else None
    width, height = wish.size
    return MJPG if width * height * RAW_BYTES_PER_PIXEL * rate > USB2_BYTES_PER_SECOND else None


def set_camera(video: cv2.VideoCapture, wish: CameraWish, modes: Sequence[Mode] = ()) -> CameraState:
    """Asks an open camera for what is wished, and tells what it gives.

    A format goes first, for sizes depend on it, and rates on both.
    """
    code = best_format(wish, modes)
    if code:
        video.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
    if wish.size:
        video.set(cv2.CAP_PROP_FRAME_WIDTH, wish.size[0])
        video.set(cv2.CAP_PROP_FRAME_HEIGHT, wish.size[1])
    if wish.rate:
        video.set(cv2.CAP_PROP_FPS, wish.rate)
    video.set(cv2.CAP_PROP_BUFFERSIZE, wish.buffers)
    exposed = wish.exposure_ms is None or set_exposure(video, wish.exposure_ms)
    return camera_state(video, wish, exposed)


def set_exposure(video: cv2.VideoCapture, exposure_ms: float) -> bool:
    """Whether the driver took an exposure; 0 leaves it to the camera."""
    backend = video.getBackendName()
    by_camera, by_hand = AUTO_EXPOSURE.get(backend, (1, 0))
    if exposure_ms == 0:
        return bool(video.set(cv2.CAP_PROP_AUTO_EXPOSURE, by_camera))
    video.set(cv2.CAP_PROP_AUTO_EXPOSURE, by_hand)
    # V4L2 counts in 0.1 ms, Windows in powers of two of a second
    value = round(exposure_ms * 10) if backend == "V4L2" else round(math.log2(exposure_ms / 1e3))
    return bool(video.set(cv2.CAP_PROP_EXPOSURE, value))


def camera_state(video: cv2.VideoCapture, wish: CameraWish, exposed: bool) -> CameraState:
    """What an open camera gives, beside what was wished."""
    mode = opened_mode(video)
    rate = mode.rates[0] if mode.rates else None
    exposure = video.get(cv2.CAP_PROP_EXPOSURE) / 10 if video.getBackendName() == "V4L2" else 0.0
    buffers = round(video.get(cv2.CAP_PROP_BUFFERSIZE))
    refused = []
    if wish.format and mode.format and mode.format != wish.format.strip():
        refused.append(f"format {wish.format.strip()}")
    if wish.size and mode.size != wish.size:
        refused.append(f"{wish.size[0]}x{wish.size[1]}")
    if wish.rate and rate is not None and abs(rate - wish.rate) > RATE_TOLERANCE:
        refused.append(f"{wish.rate:g} fps")
    if wish.exposure_ms is not None and not exposed:
        refused.append(f"{wish.exposure_ms:g} ms exposure" if wish.exposure_ms else "exposure by the camera")
    if wish.buffers > 1 and buffers > 0 and buffers != wish.buffers:
        refused.append(f"{wish.buffers} buffers")
    return CameraState(
        mode.format, mode.size, rate, exposure if exposure > 0 else None, buffers if buffers > 0 else None,
        tuple(refused),
    )  # fmt: skip
