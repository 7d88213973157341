"""What a reader is, how it is tried, and pickles that would leave a mark. Knows no file of the project."""

import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from engines.errors import PosemirrorError
from tests.fuzz.mutations import json_files, npz_files

ROOT = Path(__file__).resolve().parents[2]


class RefusedError(Exception):
    """A documented refusal that is no `PosemirrorError`: argparse ends with code 2, a parser of one word says so."""


@dataclass(frozen=True)
class Reader:
    """What reads a file, the name such a file has, and files near good ones."""

    file_name: str
    read: Callable[[Path], object]
    files: st.SearchStrategy[bytes]


def attempt(reader: Reader, folder: Path, data: bytes) -> bool:
    """Whether a reader takes a file; False where it refuses it in one sentence. Anything else is raised."""
    path = folder / reader.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        reader.read(path)
    except PosemirrorError as error:
        sentence = str(error)
        assert "\n" not in sentence and sentence.count("; ") >= 2 and len(sentence) < 3000, sentence
        sentence.encode(errors="backslashreplace")
        return False
    except RefusedError:
        return False
    return True


class _Attack:
    """What a pickle may not do: leave a mark on the disk."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(MARK),)


MARK = Path(tempfile.gettempdir()) / "posemirror_fuzz_mark"


def pickles() -> list[bytes]:
    """Pickles that build plain values, and ones that would run code."""
    plain = {("01", 1): {"action_type": "107B", "judge_scores": [9.0, 8.5], "start_frame": 3}}
    return [pickle.dumps(value, protocol) for value in (plain, _Attack(), [np.float64(3.0)]) for protocol in (0, 2, 4)]


def by_name(module: str, name: str) -> Callable[[Path], object]:
    """A reader that is imported when it is first used."""

    def read(path: Path) -> object:
        return getattr(__import__(module, fromlist=[name]), name)(path)

    return read


def documents(make: Callable[[], list[Any]]) -> st.SearchStrategy[bytes]:
    """JSON files near those that `make` gives, made when they are first asked for."""
    return st.deferred(lambda: json_files(*make()))


def archives(make: Callable[[], dict[str, Any]]) -> st.SearchStrategy[bytes]:
    return st.deferred(lambda: npz_files(make()))
