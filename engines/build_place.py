"""Where a build goes: what may be replaced there, and how it is. Knows file names, no network and no graph."""

import re
from pathlib import Path

from engines.errors import BadInputError

ENGINE_FILE = re.compile(r"((detect|pose)(_int8)?|encode_.+)\.(json|weights|engine|onnx|cut\.onnx)")


def require_replaceable(place: Path) -> None:
    """Refuses a place that holds anything but engines, since what is there goes."""
    if place == Path.cwd():
        raise BadInputError(
            f"--out {place} is the folder that you are in", "a folder is replaced as a whole", "give another --out"
        )
    if not place.exists():
        return
    others = [place] if not place.is_dir() else [path for path in place.iterdir() if not is_engine_file(path)]
    if others:
        raise BadInputError(
            f"--out {place} would replace {min(others)}, which is no engine",
            "a new folder, an empty one or one of engines alone is allowed",
            "give another --out",
        )


def is_engine_file(path: Path) -> bool:
    """Whether a file is one that `build` writes, by its name."""
    return path.is_file() and ENGINE_FILE.fullmatch(path.name) is not None


def replace_folder(fresh: Path, place: Path) -> None:
    """Puts `fresh` where `place` is; an older folder there ends beside `fresh`, in the scratch folder that goes."""
    older = fresh.with_name("older")
    try:
        if place.exists():
            place.rename(older)
        fresh.rename(place)
    except BaseException:
        if older.exists():
            older.rename(place)
        raise
