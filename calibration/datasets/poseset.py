"""Poses read from annotations: what every reader returns. Knows nothing of file formats or encoders."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class PoseSet:
    """Poses in the paper's 15 joints, with what is needed to pair them.

    Attributes:
        name: short name of the data set, for tables.
        xy: `float32 [N, 15, 2]`, px of the picture (any scale), y down.
        visible: `bool [N, 15]`, False where the annotation has no joint.
        label: `int64 [N]`, index into `labels` (action, activity or style).
        labels: names of the labels.
        group: `int64 [N]`, poses of one group (sequence, picture, person) are never paired as a positive.
        phase: `float32 [N]`, 0..1 along the sequence; 0 for single pictures.
        hashes: sha256 of every file read, by file name.
    """

    name: str
    xy: Floats
    visible: Booleans
    label: Integers
    labels: tuple[str, ...]
    group: Integers
    phase: Floats
    hashes: dict[str, str]

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, chosen: npt.NDArray[np.generic]) -> "PoseSet":
        """The chosen poses, by boolean mask `[N]` or indices."""
        return dataclasses.replace(
            self,
            xy=self.xy[chosen],
            visible=self.visible[chosen],
            label=self.label[chosen],
            group=self.group[chosen],
            phase=self.phase[chosen],
        )

    def complete(self) -> "PoseSet":
        """Only the poses with all 15 joints."""
        return self.take(np.all(self.visible, axis=1))


def require_file(path: Path, what: str) -> Path:
    """The path itself when the file is there.

    Raises:
        BadInputError: there is no such file.
    """
    if not path.is_file():
        raise BadInputError(f"{what}: no file at {path}", "a file of that format is needed", "check the path")
    return path


def malformed(path: Path, seen: str, allowed: str, advice: str = "") -> BadInputError:
    """The error of every reader: the file's name, what was found, what the format asks for.

    `advice` says what to do about a file that nobody can download.
    """
    return BadInputError(f"{path.name}: {seen}", f"the format needs {allowed}", advice or f"download {path.name} again")


def load_arrays(
    path: Path, names: tuple[str, ...], what: str, *, texts: tuple[str, ...] = (), advice: str = ""
) -> dict[str, npt.NDArray[np.generic]]:
    """Named arrays of a `.npz`, never unpickled; of real numbers, or `texts`, which may hold either.

    Args:
        path: the file.
        names: of the arrays.
        what: the file is, as errors call it.
        texts: names of arrays that may hold texts.
        advice: see `malformed`.

    Raises:
        BadInputError: the file is missing, is not a `.npz`, lacks an array, or holds another kind of array.
    """
    require_file(path, what)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in names if name in archive}
    except Exception as error:  # a broken archive makes zipfile, zlib and NumPy stumble anywhere
        seen = f"not a readable .npz ({type(error).__name__})"
        raise malformed(path, seen, "a NumPy archive without pickled objects", advice) from error
    missing = [name for name in names if name not in arrays]
    if missing:
        needed = f"the array{'s' * (len(names) > 1)} {', '.join(names)}"
        raise malformed(path, f"no array named {', '.join(missing)}", needed, advice)
    for name, array in arrays.items():
        kind = array.dtype.kind if isinstance(array, np.ndarray) else "none"
        if kind not in ("fiubU" if name in texts else "fiub"):
            raise malformed(path, f"{name} is no array of numbers", "numbers in every array but that of names", advice)
    return arrays


def load_json(path: Path, what: str, allowed: str) -> Any:
    """A JSON file's content.

    Raises:
        BadInputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(require_file(path, what).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise malformed(path, f"not JSON ({type(error).__name__})", allowed) from error


def check_offsets(path: Path, offsets: npt.NDArray[np.generic], frames: int, sequences: int) -> Integers:
    """Sequence borders as `int64 [S + 1]`, rising from 0 to the number of frames.

    Raises:
        BadInputError: they do not cover the frames, or are not one more than the sequences.
    """
    if offsets.ndim != 1 or not np.issubdtype(offsets.dtype, np.integer):
        raise malformed(path, f"offsets of shape {offsets.shape} and type {offsets.dtype}", "whole numbers [S + 1]")
    borders = offsets.astype(np.int64)
    if len(borders) != sequences + 1 or borders[0] != 0 or borders[-1] != frames or (np.diff(borders) < 0).any():
        raise malformed(
            path,
            f"{len(borders)} offsets from {borders[:1]} to {borders[-1:]} for {sequences} sequences, {frames} frames",
            "offsets that rise from 0 to the number of frames, one more than the sequences",
        )
    return borders


def even_subset(indices: Integers, count: int) -> Integers:
    """At most `count` of the indices, spread evenly from the first to the last."""
    if len(indices) <= count:
        return indices
    chosen: Integers = indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]
    return chosen
