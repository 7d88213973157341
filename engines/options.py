"""Kinds of command-line values that both programs share. Knows no program."""

import argparse
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from engines.errors import EXIT_BAD_INPUT
from engines.geometry import Size

MOST_PEOPLE = 8
LEAST_SIDE_PX, MOST_SIDE_PX = 64, 8192


class OptionParser(argparse.ArgumentParser):
    """Refuses a command line in one sentence; the usage, which would hide it, is in `--help`."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and exits."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help.\n")


def posemirror_version() -> str:
    """The package's version; "source" where it runs without being installed."""
    try:
        return version("posemirror")
    except PackageNotFoundError:
        return "source"


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds `--version`."""
    parser.add_argument("--version", action="version", version=f"posemirror {posemirror_version()}")


def file_path(text: str) -> Path:
    """A file's path. An empty one, as of a variable that is not set, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path is no file; the path of a file is allowed; give one")
    return Path(text)


def folder_path(text: str) -> Path:
    """A folder's path, which `.` may be, but nothing may not."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path is no folder; the path of a folder is allowed; give one")
    return Path(text)


def given_name(text: str) -> str:
    """The name or path of something that has a default."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name is none; a name or path is allowed; give one, or leave it out")
    return text


def frame_size(text: str) -> Size:
    """`1280x720` as (720, 1280): height, width."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; WIDTHxHEIGHT is allowed; give 1280x720")
    width, height = int(match[1]), int(match[2])
    if not all(LEAST_SIDE_PX <= side <= MOST_SIDE_PX for side in (width, height)):
        raise argparse.ArgumentTypeError(
            f"{text} is out of range; sides of {LEAST_SIDE_PX} to {MOST_SIDE_PX} px are allowed; give 1280x720"
        )
    return height, width


def people_count(text: str) -> int:
    """A number of people, 1 to 8."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PEOPLE:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of people; 1 to {MOST_PEOPLE} are allowed; give 1")
    return int(text)


def optimisation_level(text: str) -> int:
    """TensorRT's builder optimisation level, 0 to 5."""
    if text not in ("0", "1", "2", "3", "4", "5"):
        raise argparse.ArgumentTypeError(f"{text!r} is no optimisation level; 0 to 5 are allowed; give 3")
    return int(text)


def workspace_bytes(text: str) -> int:
    """GiB of device memory as bytes."""
    try:
        gib = float(text)
    except ValueError:
        gib = 0.0
    if not 0 < gib <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; more than 0 and at most 1024 GiB is allowed; give 2")
    return round(gib * (1 << 30))
