"""A file written at once: whole, or not at all. Knows nothing of what is in it."""

import contextlib
import os
import shutil
from pathlib import Path

from engines.errors import BadInputError
from realtime.target_formats import name_of


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file, text as UTF-8, whole or not at all: where that fails, what was there before stays.

    A link stays a link, and a file that is replaced keeps its mode.

    Raises:
        BadInputError: the file cannot be written, the disk being full, for one.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():  # a device or a pipe, which nothing may take the place of
            path.write_bytes(data)
        else:
            _replace(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise BadInputError(
            f"{name_of(path)} could not be written ({error.strerror or error})",
            "it must be a file in a writable folder, on a disk with free space",
            "make room, or give another path",
        ) from error


def _replace(path: Path, data: bytes) -> None:
    """Writes beside `path`, under a name that is never too long, and then puts that file in its place."""
    temporary = path.with_name(f".{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
