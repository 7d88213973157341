"""Where a file is to be written: whether one can be, asked before any work is done for it. Writes nothing."""

import errno
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from engines.errors import BadInputError, in_command, name_of

PAGE_ENDINGS = (".html", ".htm")


def require_writable(path: Path, option: str, *, apart_from: Iterable[str | Path] = ()) -> None:
    """Refuses an output path before any work is done for it; it may not be one of the files in `apart_from`.

    Raises:
        BadInputError: no file can be written there, or it is one of those, under whatever name.
    """
    problem = writing_problem(path)
    if problem is not None:
        seen, next_step = problem
        raise BadInputError(
            f"{option} {name_of(path)} cannot be written: {seen}",
            "a file in a folder that exists and is writable is allowed",
            next_step,
        )
    if any(is_same_file(path, other) for other in apart_from):
        raise BadInputError(
            f"{option} {name_of(path)} would overwrite a file of the same run",
            "source, target, recording and results are files of their own",
            "give another path",
        )


def writing_problem(path: Path) -> tuple[str, str] | None:
    """Why no file can be written to a path, and what to do then; None where one can."""
    folder = path.parent
    try:
        if b"\0" in os.fspath(path).encode():
            return "its name has a NUL in it", "give another name"
        if path.is_dir():
            return "it is a folder", "give the name of a file in it"
        if path.exists():
            rights = f"run chmod u+w {in_command(path)}, or give another path"
            return None if os.access(path, os.W_OK) else ("that file is read-only", rights)
        if not folder.exists():
            rooted = next((parent for parent in folder.parents if parent.exists()), folder).is_dir()
            made = f"run mkdir -p {in_command(folder)}, or give another path"
            return "its folder does not exist", made if rooted else "give another path"
    except UnicodeError:
        return "its name is not UTF-8", "give another name"
    except OSError as error:
        too_long = error.errno == errno.ENAMETOOLONG
        said = "its name is too long" if too_long else (error.strerror or str(error))
        return said, "give a shorter name" if too_long else "check the rights of its folder, or give another path"
    if not folder.is_dir():
        return f"{name_of(folder)} is no folder", "give another path"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "its folder is read-only", f"check the rights of {name_of(folder)}, or give another path"
    return None


def is_same_file(path: Path, other: str | Path) -> bool:
    """Whether two paths lead to one file; a hard link is one, and so are two names of a file that is not there yet."""
    try:
        return path.samefile(other)
    except ValueError:  # a NUL in the other one's name
        return False
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def require_ending(path: Path, option: str, allowed: Collection[str], *, pipes: bool = False) -> None:
    """Refuses an output file by its name's ending: a wrong name may be that of another file, which would be lost.

    Args:
        path: the file.
        option: what named it, for the error.
        allowed: endings such as `.mp4`, of which the first is proposed.
        pipes: a pipe or a device, which holds nothing that could be lost, may have any name.

    Raises:
        BadInputError: its ending is none of `allowed`.
    """
    if pipes and path.exists() and not path.is_file():
        return
    if path.suffix.lower() not in allowed:
        first, *more = allowed
        raise BadInputError(
            f"{option} {name_of(path)} ends in {name_of(Path(path.suffix)) if path.suffix else 'nothing'}",
            f"{', '.join(allowed)} {'are' if more else 'is'} allowed",
            f"give {option} {in_command(Path(f'{path.parent / path.stem}{first}'))}",
        )
