"""Values of JSON files: read strictly, each checked, what is wrong named; float32 as JSON has it. Knows no format."""

import json
from pathlib import Path

import numpy as np

from engines.errors import BadInputError, name_of

MAX_BYTES = 16 * 2**20
MAX_PIXELS = 65_535


def read_json(path: Path, readable: str) -> object:
    """The JSON of a user's file, read strictly: no NaN, no key twice, UTF-8, at most 16 MB; `readable` is for errors.

    Raises:
        BadInputError: the file is missing, a directory, unreadable, too large, empty, truncated or not JSON.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInputError(f"{name_of(path)} could not be read ({reason})", readable, "give such a file") from error
    if len(data) > MAX_BYTES:
        raise BadInputError(f"{name_of(path)} is larger than 16 MB", readable, "give another file")
    if not data.strip():
        raise BadInputError(f"{name_of(path)} is empty", readable, "write it again, or give another file")
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        seen = f"is not UTF-8 text (byte {error.start})"
    except json.JSONDecodeError as error:
        ended = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string")
        seen = (
            f"{'ends too early' if ended else 'is not JSON'} (line {error.lineno}, column {error.colno}: {error.msg})"
        )
    except RecursionError:
        seen = "is nested too deeply"
    except ValueError as error:
        seen = "holds a number of too many digits" if "digits" in str(error) else str(error)
    raise BadInputError(f"{name_of(path)} {seen}", readable, "correct the file, or give another one")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"has the key {shown(next(key for key in keys if keys.count(key) > 1))} twice in one object")
    return document


def _refuse_constant(text: str) -> object:
    raise ValueError(f"holds {text}, which is not a JSON number")


def shown(value: object) -> str:
    """A value of a JSON file, short enough for a sentence and in ASCII."""
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def number(value: object, where: str, low: float, high: float) -> float:
    """A JSON number from `low` to `high`; `where` is the file and field that the error names.

    Raises:
        BadInputError: not a number (true and false are none), or outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadInputError(
            f"{where} is {shown(value)}", f"it must be a number from {low} to {high}", "correct that value"
        )
    return float(value)


def items(value: object, where: str, length: int | None = None) -> list[object]:
    """A JSON list, of `length` items where that is given. Raises BadInputError."""
    if not isinstance(value, list) or (length is not None and len(value) != length):
        allowed = "it must be a list" if length is None else f"it must be a list of {length}"
        raise BadInputError(f"{where} is {shown(value)}", allowed, "correct that value")
    return value


def fields(value: object, where: str) -> dict[str, object]:
    """A JSON object. Raises BadInputError."""
    if not isinstance(value, dict):
        raise BadInputError(f"{where} is {shown(value)}", "it must be an object", "correct that value")
    return value


def size_px(value: object, where: str) -> tuple[int, int]:
    """Width and height in px, from a list of two whole numbers from 1 to 65535. Raises BadInputError."""
    pair = [number(side, where, 1, MAX_PIXELS) for side in items(value, where, 2)]
    if not all(side.is_integer() for side in pair):
        raise BadInputError(f"{where} is {pair}", "a size is in whole pixels", "correct that value")
    return int(pair[0]), int(pair[1])


def float_for_json(value: np.float32) -> float:
    """The shortest decimal that reads back as the same float32 (the 0.1 of float32 as 0.1, not 0.10000000149)."""
    short = float(str(value))
    return short if np.float32(short) == value else float(value)
