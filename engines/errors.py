"""Errors a user can act on: what was seen, what is allowed, what to run next, and the exit code that goes with it."""

import shlex
from pathlib import Path

EXIT_OK = 0
EXIT_LIMIT_PASSED = 1
EXIT_BAD_INPUT = 2
EXIT_SOURCE_LOST = 3
EXIT_ENGINE = 4
EXIT_GPU = 5
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class PosemirrorError(Exception):
    """Base of every error that reaches the user as one sentence in three parts.

    Args:
        seen: what was found, with the value.
        allowed: what would have been accepted.
        next_step: what the user can run or change.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, seen: str, allowed: str, next_step: str) -> None:
        self.seen, self.allowed, self.next_step = seen, allowed, next_step
        super().__init__(f"{seen}; {allowed}; {next_step}.")

    def __reduce__(self) -> tuple[type["PosemirrorError"], tuple[str, str, str]]:
        """So that it passes from one process to another."""
        return type(self), (self.seen, self.allowed, self.next_step)


class BadInputError(PosemirrorError):
    """A bad argument or input file. Exit code 2."""


class SourceError(PosemirrorError):
    """A source that never opened, or was lost for too long. Exit code 3."""

    exit_code = EXIT_SOURCE_LOST


class EngineError(PosemirrorError):
    """An engine, graph or weights file that is missing or does not fit this machine. Exit code 4."""

    exit_code = EXIT_ENGINE


class GpuError(PosemirrorError):
    """A GPU that failed while running; such an error is sticky. Exit code 5."""

    exit_code = EXIT_GPU


class GpuHangError(GpuError):
    """A GPU that does not answer. Nothing of it can be closed: that would wait for it too."""


def name_of(path: Path) -> str:
    """A path that can be printed in one line, whatever bytes it holds."""
    text = str(path).encode(errors="backslashreplace").decode()
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def in_command(path: Path) -> str:
    """A path as a proposed command has it: in quotes where a shell would split it or read it as something else."""
    return shlex.quote(name_of(path))


def system_error(error: OSError) -> BadInputError:
    """In words, what the operating system refused and nothing more special has told of."""
    return BadInputError(
        f"{error.filename or 'the system'}: {error.strerror or error}",
        "readable files and a writable disk with free space are needed",
        "check the path, its rights and the free space",
    )
