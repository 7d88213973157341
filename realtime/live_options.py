"""The options of `run_live.py`, in groups, and the types of their values. Opens nothing and runs nothing."""

import argparse
import os

from engines.int8 import CHOICES, DEFAULT_INT8
from engines.options import OptionParser, add_version, file_path, frame_size, given_name, people_count
from realtime.benchmark import DEFAULT_FRAMES, WARM_UP, limit
from realtime.camera_settings import CameraWish
from realtime.watchdog import OPEN_SECONDS
from realtime.web.address import Address, parse_address

DEFAULT_ENCODER = "graded"
WHICH_PERSON = (
    "which person, from 1: in a picture from left to right, in a file in its order; default: the largest whole one"
)
MOST_BUFFERS = 10
"""What OpenCV's V4L2 backend takes."""


def parser() -> argparse.ArgumentParser:
    """The options, in groups."""
    options = OptionParser(
        prog="run_live.py",
        allow_abbrev=False,  # `realtime.settings` has to know every option by its name
        description="Score a person's pose, live, against a target.",
        epilog="Exit codes: 0 done, 1 a --fail-over limit was passed, "
        "2 bad argument or file, 3 source lost, 4 engine unusable, 5 GPU failure, 130 Ctrl-C, 143 SIGTERM.",
    )
    for add in (add_tasks, add_matching, add_source, add_camera, add_engines, add_screen, add_files, add_measuring):
        add(options)
    add_version(options)
    return options


def add_tasks(options: argparse.ArgumentParser) -> None:
    """What the session is about; exactly one is given."""
    task = options.add_argument_group("what to match").add_mutually_exclusive_group(required=True).add_argument
    task("--target", type=file_path, metavar="FILE", help="pose.json, a picture, or OpenPose, COCO or MediaPipe JSON")
    task("--routine", type=file_path, metavar="FILE", help="routine.json: poses with holds, rests, repetitions")
    task(
        "--capture-target",
        type=file_path,
        metavar="OUT.json",
        help="count down, then write the pose in view as a target",
    )
    task("--replay", type=file_path, metavar="RESULTS.jsonl", help="show and score a recorded session again")
    task("--demo", action="store_true", help="run the clip and the target that ship with posemirror")
    task("--list-cameras", action="store_true", help="show this machine's cameras, with formats, sizes and rates")


def add_matching(options: argparse.ArgumentParser) -> None:
    """Who and what is compared."""
    option = options.add_argument_group("matching").add_argument
    option("--target-person", type=positive, metavar="N", help=WHICH_PERSON)
    option("--ignore", default="", metavar="legs|JOINT,...", help="joints that do not count")
    option("--encoder", type=given_name, default=DEFAULT_ENCODER, metavar="NAME", help=f"default {DEFAULT_ENCODER}")
    option("--people", type=people_count, default=1, metavar="N", help="score N people, 1 to 8; default 1")
    option("--smoothing", choices=("on", "off"), default="on")
    option("--detect-every", type=detect_every, metavar="N|auto", help="frames between detections")


def add_source(options: argparse.ArgumentParser) -> None:
    """Where frames come from."""
    option = options.add_argument_group("source").add_argument
    option("--source", default="0", metavar="0|FILE|GLOB|rtsp://...", help="default: camera 0")
    option("--pace", action="store_true", help="play a file as a camera would, dropping late frames")
    option("--max-frames", type=positive, metavar="N", help="stop after N frames")
    option("--reconnect-seconds", type=seconds, default=30.0, metavar="S", help="default 30")


def add_camera(options: argparse.ArgumentParser) -> None:
    """How a camera is set; what its driver gives is printed."""
    option = options.add_argument_group("camera (see --list-cameras)").add_argument
    option(
        "--camera-format", type=camera_format, metavar="MJPG", help="default: raw where that is fast enough, else MJPG"
    )
    option("--camera-size", type=camera_size, metavar="WxH", help="default: the engines' frame size")
    option("--camera-rate", type=rate, metavar="FPS", help="frames a second")
    option("--camera-exposure", type=exposure, metavar="MS|auto", help="milliseconds, or auto for the camera's own")
    option(
        "--camera-buffers", type=buffers, default=1, metavar="N", help="pictures the driver keeps, 1 to 10; default 1"
    )


def add_engines(options: argparse.ArgumentParser) -> None:
    """What runs the networks."""
    option = options.add_argument_group("engines").add_argument
    option(
        "--engines",
        type=given_name,
        metavar="DIR|quickstart",
        help="default: engines/built if it exists, else quickstart",
    )
    option("--backend", choices=("auto", "tensorrt", "onnx"), default="auto")
    option(
        "--int8", choices=CHOICES, default=DEFAULT_INT8,
        help=f"the quickstart's networks in 8-bit numbers; auto: where the CPU has VNNI; default {DEFAULT_INT8}",
    )  # fmt: skip
    option(
        "--threads", type=threads, metavar="N|auto",
        help="of detector and pose on a CPU; auto: one where that is quick enough, else as many as there are cores",
    )  # fmt: skip
    option(
        "--open-seconds", type=open_seconds, default=OPEN_SECONDS, metavar="S",
        help=f"how long a GPU may take to open engines, default {OPEN_SECONDS:g}; at first TensorRT-RTX compiles them",
    )  # fmt: skip


def add_screen(options: argparse.ArgumentParser) -> None:
    """What a person sees and hears."""
    option = options.add_argument_group("screen and sound").add_argument
    option("--headless", action="store_true", help="open no window")
    option("--mirror", action="store_true", help="show the picture as a mirror does; text stays readable")
    option("--mute", action="store_true", help="no tones and no speech")
    option(
        "--serve", type=address, metavar="[HOST:]PORT",
        help="show all this in browsers too: http://127.0.0.1:PORT; with the HOST of a network (0.0.0.0: every one) to "
        "those who have the token that is printed",
    )  # fmt: skip


def add_files(options: argparse.ArgumentParser) -> None:
    """What is written and read besides."""
    option = options.add_argument_group("files").add_argument
    option("--record", type=file_path, metavar="FILE.mp4", help="write the picture with its overlay")
    option(
        "--record-skeleton", type=file_path, metavar="FILE.mp4", help="the same on a plain ground, without any picture"
    )
    option("--results", type=file_path, metavar="FILE.jsonl", help="write one JSON object a frame")
    option("--settings", type=file_path, metavar="FILE.toml", help="options by name; the command line's come first")


def add_measuring(options: argparse.ArgumentParser) -> None:
    """Figures of a station."""
    option = options.add_argument_group("measuring").add_argument
    option(
        "--benchmark", type=positive, nargs="?", const=DEFAULT_FRAMES, metavar="N",
        help=f"measure N frames ({DEFAULT_FRAMES}) after {WARM_UP} of warm-up; a file is played again and again",
    )  # fmt: skip
    option(
        "--fail-over", type=fail_over, action="append", default=[], metavar="p95_ms=60",
        help="exit with 1 when a figure of --benchmark is above; may be given again",
    )  # fmt: skip


def fail_over(text: str) -> tuple[str, float]:
    """A figure's name and the most that is allowed."""
    try:
        return limit(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no limit; NAME=NUMBER is allowed; give p95_ms=60") from error


def address(text: str) -> Address:
    """Where the browser mirror listens."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; PORT, HOST:PORT and [IPV6]:PORT are allowed; give 8080") from error


def positive(text: str, besides: str = "", advice: str = "1") -> int:
    """A whole number of at least 1; a refusal names what is allowed `besides` and gives the `advice`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not allowed; a whole number of 1 and more{besides} is; give {advice}"
        )
    return int(text)


def detect_every(text: str) -> int | None:
    """A number of frames, or None for `auto`."""
    return None if text == "auto" else positive(text, ", or auto,", "auto")


def threads(text: str) -> int | None:
    """How many of the cores, or None for `auto`."""
    cores = os.cpu_count() or 1
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= cores:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of threads; 1 to {cores}, the cores, or auto, are allowed; give auto"
        )
    return int(text)


def seconds(text: str) -> float:
    """A time of 0 s or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; 0 and more seconds are allowed; give 30")
    return value


def open_seconds(text: str) -> float:
    """A limit for a GPU."""
    return ranged(text, "limit", "seconds", (1, 3600), "120")


def camera_format(text: str) -> str:
    """A format's letters."""
    if not (3 <= len(text) <= 4 and text.isascii() and text.isalnum()):
        raise argparse.ArgumentTypeError(f"{text!r} is no format; four letters are allowed; give MJPG or YUYV")
    return text.upper().ljust(4)


def camera_size(text: str) -> tuple[int, int]:
    """`1280x720` as (1280, 720): width, height."""
    height, width = frame_size(text)
    return width, height


def rate(text: str) -> float:
    """Frames a second."""
    return ranged(text, "rate", "frames a second", (1, 1000), "30")


def exposure(text: str) -> float:
    """Milliseconds; 0 for `auto`."""
    return 0.0 if text == "auto" else ranged(text, "exposure", "ms, or auto,", (0.1, 1000), "10")


def ranged(text: str, what: str, unit: str, allowed: tuple[float, float], example: str) -> float:
    """A number within bounds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not allowed[0] <= value <= allowed[1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no {what}; {allowed[0]:g} to {allowed[1]:g} {unit} are allowed; give {example}"
        )
    return value


def buffers(text: str) -> int:
    """Pictures a driver keeps."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_BUFFERS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of buffers; 1 to {MOST_BUFFERS} are allowed; give 1")
    return int(text)


def camera_wish(arguments: argparse.Namespace, size: tuple[int, int]) -> CameraWish:
    """What the options ask of a camera; `size` is (width, height) px where none is given."""
    return CameraWish(
        arguments.camera_format, arguments.camera_size or size, arguments.camera_rate, arguments.camera_exposure,
        arguments.camera_buffers,
    )  # fmt: skip


def asks_of_camera(arguments: argparse.Namespace) -> bool:
    """Whether any option is for a camera."""
    given = (arguments.camera_format, arguments.camera_size, arguments.camera_rate, arguments.camera_exposure)
    return any(value is not None for value in given) or arguments.camera_buffers != 1
