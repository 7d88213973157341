"""Kinds of command-line values that both programs share. Knows no program."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from engines.errors import EXIT_BAD_INPUT
from engines.geometry import Size

MOST_PEOPLE = 8
LEAST_SIDE_PX, MOST_SIDE_PX = 64, 8192
MOST_WORDS = 3


class OptionParser(argparse.ArgumentParser):
    """Refuses a command line in one sentence; the usage, which would hide it, is in `--help`."""

    def error(self, message: str) -> NoReturn:
        """Says what is wrong, and exits."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: error: {message}; see {self.prog} --help.\n")

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuses unknown words, before anything that is missing: a mistyped option is what is missing."""
        words = sys.argv[1:] if args is None else list(args)
        places: list[Any] = [*self._actions, *self._mutually_exclusive_groups]
        needed = [place for place in places if place.required]
        for place in needed:
            place.required = False
        try:
            unknown = super().parse_known_args(words)[1]
        finally:
            for place in needed:
                place.required = True
        if unknown:
            self.error(f"{self.named(unknown)}; {self.way_out(words, unknown[0])}")
        return super().parse_known_args(words, namespace)

    def named(self, unknown: Sequence[str]) -> str:
        """The words in a line, of many the first ones."""
        more = len(unknown) - MOST_WORDS
        return f"unknown words: {' '.join(unknown[:MOST_WORDS])}{f' and {more} more' if more > 0 else ''}"

    def way_out(self, words: Sequence[str], unknown: str) -> str:
        """What to do about the first unknown word of a command line."""
        if unknown.startswith("-"):
            close = difflib.get_close_matches(unknown.split("=")[0], self._option_string_actions, n=1)
            return f"give {close[0]}" if close else "leave them out"
        before = words[: words.index(unknown)] if unknown in words else ()
        option = next((word for word in reversed(before) if word.startswith("--")), "")
        action = self._option_string_actions.get(option.split("=")[0])
        if action is None or action.nargs == 0:
            only_options = all(action.option_strings for action in self._actions)
            return "a file or a number is given with its option" if only_options else "leave them out"
        return f"{option.split('=')[0]} takes one value; put a pattern, or a name with a space, in quotes"


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
