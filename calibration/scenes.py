"""Whole pictures with a teacher's person boxes: reading, writing, fitting to the detector's input. Knows no network.

Boxes the teacher is sure of are learnt, those it is not are left out of the loss, and the rest of the picture is
background.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np

from calibration.crops import FloatArray, Image, TarPictures
from engines.download import file_sha256
from engines.errors import BadInputError

INPUT_SIZE = (320, 192)
"""Width and height of the detector's input in training, px."""
SURE_CONFIDENCE = 0.5
DOUBTFUL_CONFIDENCE = 0.12
GREY = 114
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Scene:
    """One picture with the teacher's boxes.

    Attributes:
        picture: `uint8 [H, W, 3]`, BGR.
        boxes: `float32 [M, 5]`: x1, y1, x2, y2 px, confidence.
        source: the data set it comes from.
        image: its name there.
    """

    picture: Image
    boxes: FloatArray
    source: str
    image: str = ""


class SceneSet(Sequence[Scene]):
    """The scenes of one `.json` and `.tar` pair, decoded on demand.

    Args:
        stem: path of both without suffix.
        left_out: sources that are not read.

    Attributes:
        hashes: file name -> sha256.
    """

    def __init__(self, stem: Path, left_out: frozenset[str] = frozenset()) -> None:
        index, archive = stem.with_suffix(".json"), stem.with_suffix(".tar")
        for path in (index, archive):
            if not path.is_file():
                raise BadInputError(
                    f"no file {path}", "scenes are a .json and a .tar of one name", "point --crops at their folder"
                )
        rows: list[dict[str, Any]] = json.loads(index.read_text())
        self._rows = [row for row in rows if row["source"] not in left_out]
        self.hashes = {path.name: file_sha256(path) for path in (index, archive)}
        self._archive, self._pictures = archive, TarPictures(archive)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...

    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        row = self._rows[index]
        picture = self._pictures.picture(row["file"])
        if picture is None:
            raise BadInputError(
                f"{row['file']} is no picture of {self._archive}",
                "every scene is one",
                "make or fetch the scenes again",
            )
        boxes = np.array(row["boxes"], np.float32).reshape(-1, 5)
        return Scene(picture, boxes, row["source"], str(row.get("image", "")))


def add_jpeg(tar: tarfile.TarFile, name: str, picture: Image, quality: int) -> tuple[int, int]:
    """Adds a picture `uint8 [H, W, 3]` to an archive; gives where its bytes begin and how many they are."""
    return add_picture(tar, name, picture, [cv2.IMWRITE_JPEG_QUALITY, quality])


def add_picture(tar: tarfile.TarFile, name: str, picture: Image, settings: Sequence[int] = ()) -> tuple[int, int]:
    """Adds a picture to an archive in the format of the name's suffix, as `add_jpeg` does."""
    return add_bytes(tar, name, cv2.imencode(Path(name).suffix, picture, settings)[1].tobytes())


def add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> tuple[int, int]:
    """Adds a file to an archive; gives where its bytes begin and how many they are."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    start = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(member, io.BytesIO(data))
    return start, len(data)


def write_scenes(stem: Path, scenes: Iterable[tuple[str, Scene]]) -> tuple[int, int]:
    """Writes `STEM.tar` and `STEM.json`, which `SceneSet` reads.

    Args:
        stem: path of both without suffix; its folder is made.
        scenes: each with its name in the archive (`00000.jpg`).

    Returns:
        How many scenes and how many boxes were written.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with tarfile.open(stem.with_suffix(".tar"), "w") as tar:
        for name, scene in scenes:
            add_jpeg(tar, name, scene.picture, JPEG_QUALITY)
            boxes = [[round(float(value), 3) for value in box] for box in scene.boxes]
            size = [scene.picture.shape[1], scene.picture.shape[0]]
            rows.append({"file": name, "source": scene.source, "image": scene.image, "size": size, "boxes": boxes})
    stem.with_suffix(".json").write_text(json.dumps(rows))
    return len(rows), sum(len(row["boxes"]) for row in rows)


def letterboxed(
    picture: Image, fill: int = GREY, into: tuple[int, int] = INPUT_SIZE
) -> tuple[Image, float, tuple[float, float]]:
    """A picture fitted whole into the detector's input.

    Returns:
        `uint8 [192, 320, 3]`, or of the width and height `into`; and the scale and offset (x, y) that bring picture
        px to input px.
    """
    height, width = picture.shape[:2]
    scale = min(into[0] / width, into[1] / height)
    size = (round(width * scale), round(height * scale))
    left, top = (into[0] - size[0]) // 2, (into[1] - size[1]) // 2
    canvas = np.full((into[1], into[0], 3), fill, np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=method)
    return canvas, scale, (left, top)
