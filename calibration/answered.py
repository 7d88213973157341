"""Training pictures made once, with a teacher's answers, to be learnt from many times. Knows no training loop.

To ask a YOLOv5u that looks twice costs more than a step of the network that it teaches. A folder holds shards, each a
`.tar` of JPEGs and a `.npz` beside it, and `made.json`, which says what they were made from.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from calibration.crops import FloatArray, Image, TarPictures
from calibration.scenes import add_bytes
from engines.errors import BadInputError
from engines.whole_files import write_whole

QUALITY = 95
"""Of the JPEGs; what the teacher answered is the picture as it comes out of one."""
MADE = "made.json"


@dataclass(frozen=True)
class AnsweredPicture:
    """One training example with a teacher's answer of every cell, of all levels one after the other.

    Attributes:
        picture: `uint8 [h, w, 3]`, BGR.
        boxes: `float32 [M, 4]`, persons to find, px.
        ignored: `float32 [I, 4]`, regions that are neither person nor background, px.
        person: `float32 [A]`, the teacher's probabilities.
        sides: `float32 [A, 4]`, from the cell's point to the left, top, right and bottom of its box, px; zeros where
            it sees nobody (`calibration.detector_loss.Answers`).
    """

    picture: Image
    boxes: FloatArray
    ignored: FloatArray
    person: FloatArray
    sides: FloatArray

    def mirrored(self, strides: tuple[int, ...]) -> "AnsweredPicture":
        """The same seen in a mirror; `strides` are those of the levels."""
        height, width = self.picture.shape[:2]
        order, start = [], 0
        for stride in strides:
            cells = np.arange((height // stride) * (width // stride)) + start
            order.append(cells.reshape(height // stride, width // stride)[:, ::-1].reshape(-1))
            start += len(cells)
        turned = np.concatenate(order)
        return AnsweredPicture(
            np.ascontiguousarray(self.picture[:, ::-1]),
            mirrored_boxes(self.boxes, width),
            mirrored_boxes(self.ignored, width),
            self.person[turned],
            self.sides[turned][:, [2, 1, 0, 3]],
        )


def mirrored_boxes(boxes: FloatArray, width: int) -> FloatArray:
    """Boxes `[M, 4]` in a mirrored picture of `width` px."""
    result = boxes.copy()
    result[:, [0, 2]] = width - boxes[:, [2, 0]]
    return result


def recoded(picture: Image) -> tuple[bytes, Image]:
    """A picture's JPEG, and the picture as it comes out of it."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return data.tobytes(), np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def ends(rows: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """Where each part ends when all lie one after the other."""
    return np.cumsum([len(one) for one in rows], dtype=np.int64)


def write_shard(stem: Path, pictures: Iterable[tuple[bytes, AnsweredPicture]]) -> int:
    """Writes `STEM.tar` and `STEM.npz`; a broken write leaves no `.npz`.

    Args:
        stem: path of both without suffix; its folder is made.
        pictures: at least one; each as its JPEG, and answered.

    Returns:
        How many.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("boxes", "ignored", "person", "cells", "sides")}
    with tarfile.open(stem.with_suffix(".tar"), "w") as tar:
        for number, (jpeg, one) in enumerate(pictures):
            add_bytes(tar, f"{number:05d}.jpg", jpeg)
            told = np.flatnonzero(one.sides.any(1))
            parts["boxes"].append(one.boxes)
            parts["ignored"].append(one.ignored)
            parts["person"].append(one.person[None].astype(np.float16))
            parts["cells"].append(told.astype(np.int32))
            parts["sides"].append(one.sides[told].astype(np.float16))
    values = {name: np.concatenate(rows) for name, rows in parts.items()}
    values |= {f"{name}_ends": ends(parts[name]) for name in ("boxes", "ignored", "cells")}
    archive = io.BytesIO()
    np.savez(archive, **values)  # type: ignore[arg-type]
    write_whole(stem.with_suffix(".npz"), archive.getvalue())
    return len(parts["person"])


class Shard:
    """The pictures of one `.tar` and `.npz`.

    Args:
        stem: path of both without suffix.
    """

    def __init__(self, stem: Path) -> None:
        self._pictures = TarPictures(stem.with_suffix(".tar"))
        with np.load(stem.with_suffix(".npz")) as values:
            self._values = {name: values[name] for name in values.files}

    def __len__(self) -> int:
        return len(self._values["person"])

    def _part(self, name: str, index: int, counted_as: str | None = None) -> npt.NDArray[Any]:
        bounds = self._values[f"{counted_as or name}_ends"]
        return np.asarray(self._values[name][bounds[index - 1] if index else 0 : bounds[index]])

    def picture(self, index: int) -> AnsweredPicture:
        """One of them."""
        picture = self._pictures.picture(f"{index:05d}.jpg")
        assert picture is not None, "write_shard wrote it"
        person = self._values["person"][index].astype(np.float32)
        sides = np.zeros((len(person), 4), np.float32)
        sides[self._part("cells", index)] = self._part("sides", index, "cells")
        return AnsweredPicture(picture, self._part("boxes", index), self._part("ignored", index), person, sides)


class AnsweredSet:
    """All pictures of several folders.

    Args:
        folders: each with shards and `made.json`.

    Attributes:
        made: what each folder's pictures were made from, by its path.

    Raises:
        BadInputError: a folder has no shard, or another one's pictures are of another size.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._places: list[tuple[Shard, int]] = []
        self.made: dict[str, Any] = {}
        for folder in folders:
            stems = sorted(folder.glob("*[0-9].npz"))
            if not stems or not (folder / MADE).is_file():
                raise BadInputError(
                    f"{folder} has no answered pictures",
                    f"a folder of them has .tar and .npz files and {MADE}",
                    "make them with python -m calibration.distill answers --out FOLDER",
                )
            shards = [Shard(stem) for stem in stems]
            count = sum(len(shard) for shard in shards)
            self.made[str(folder)] = json.loads((folder / MADE).read_text()) | {"pictures": count}
            sizes = {tuple(made["size"]) for made in self.made.values()}
            if len(sizes) > 1:
                raise BadInputError(
                    f"{folder} has pictures of another size than {folders[0]}",
                    "a network learns from pictures of one size",
                    "leave one of the folders out of --answered",
                )
            self._places += [(shard, index) for shard in shards for index in range(len(shard))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> AnsweredPicture:
        shard, place = self._places[index]
        return shard.picture(place)
