"""A file written at once: whole, or not at all. Knows nothing of what is in it."""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from engines.errors import BadInputError, name_of

FOLDER_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def current_umask() -> int:
    """The rights that a new file does not get."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file, text as UTF-8, whole or not at all: where that fails, what was there before stays.

    A link stays a link, and a file that is replaced keeps its mode. A file that may be written in a folder that may not
    is written in place.

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
    try:
        handle, name = tempfile.mkstemp(".tmp", ".", path.parent)
    except OSError as error:
        if error.errno not in FOLDER_CLOSED or not path.exists():
            raise
        path.write_bytes(data)
        return
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            if path.exists():
                shutil.copymode(path, temporary)
            else:
                temporary.chmod(0o666 & ~current_umask())
            file.write(data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
