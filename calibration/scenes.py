"""Whole pictures with a teacher's person boxes: reading, fitting to the detector's input, augmenting. Knows no network.

Boxes the teacher is sure of are learnt, those it is not are left out of the loss, and the rest of the picture is
background.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from calibration.augment import colour_table, degraded
from calibration.crops import FloatArray, Image, tar_pictures
from engines.download import file_sha256
from engines.errors import BadInputError

INPUT_SIZE = (320, 192)
"""Width and height of the detector's input, px."""
SURE_CONFIDENCE = 0.5
DOUBTFUL_CONFIDENCE = 0.12
GREY = 114


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


@dataclass(frozen=True)
class SceneSample:
    """One training example.

    Attributes:
        picture: `uint8 [192, 320, 3]`, BGR.
        boxes: `float32 [M, 4]`, persons to find: x1, y1, x2, y2, px of the picture.
        ignored: `float32 [I, 4]`, regions that are neither person nor background.
    """

    picture: Image
    boxes: FloatArray
    ignored: FloatArray


@dataclass(frozen=True)
class SceneAugmentation:
    """How far a scene may be changed; probabilities in 0..1.

    Attributes:
        scale: lowest and highest factor, of the scale at which the whole picture fits.
        degrade: probability of each of low resolution, blur and noise.
        colour: strength of the changes of brightness, contrast and colour.
    """

    scale: tuple[float, float] = (0.6, 2.4)
    degrade: float = 0.15
    colour: float = 0.3


class SceneSet:
    """All scenes of one `.json` and `.tar` pair, decoded (about 350 kB a scene).

    Args:
        stem: path of both without suffix.
        left_out: sources that are not read.
    """

    def __init__(self, stem: Path, left_out: frozenset[str] = frozenset()) -> None:
        index, archive = stem.with_suffix(".json"), stem.with_suffix(".tar")
        for path in (index, archive):
            if not path.is_file():
                raise BadInputError(
                    f"no file {path}", "scenes are a .json and a .tar of one name", "point --crops at their folder"
                )
        rows: dict[str, dict[str, Any]] = {row["file"]: row for row in json.loads(index.read_text())}
        self.scenes: list[Scene] = []
        for name, picture in tar_pictures(archive):
            row = rows[name]
            if row["source"] not in left_out:
                boxes = np.array(row["boxes"], np.float32).reshape(-1, 5)
                self.scenes.append(Scene(picture, boxes, row["source"], str(row.get("image", ""))))
        self.hashes = {path.name: file_sha256(path) for path in (index, archive)}

    def __len__(self) -> int:
        return len(self.scenes)


def letterboxed(picture: Image, fill: int = GREY) -> tuple[Image, float, tuple[float, float]]:
    """A picture fitted whole into the detector's input.

    Returns:
        `uint8 [192, 320, 3]`, and the scale and offset (x, y) that bring picture px to input px.
    """
    height, width = picture.shape[:2]
    scale = min(INPUT_SIZE[0] / width, INPUT_SIZE[1] / height)
    size = (round(width * scale), round(height * scale))
    left, top = (INPUT_SIZE[0] - size[0]) // 2, (INPUT_SIZE[1] - size[1]) // 2
    canvas = np.full((INPUT_SIZE[1], INPUT_SIZE[0], 3), fill, np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=method)
    return canvas, scale, (left, top)


def moved_boxes(boxes: FloatArray, scale: FloatArray, offset: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Boxes scaled, shifted and clipped to the input: `[M, 4]`, and the part of each that is left, `[M]`."""
    moved = boxes.reshape(-1, 2, 2) * scale + offset
    clipped = np.clip(moved, 0, np.array(INPUT_SIZE, np.float32))
    area, left = ((corners[:, 1] - corners[:, 0]).prod(-1) for corners in (moved, clipped))
    return clipped.reshape(-1, 4).astype(np.float32), left / np.maximum(area, 1e-6)


def augmented_scene(scene: Scene, settings: SceneAugmentation, rng: np.random.Generator) -> SceneSample:
    """A random view of a scene: scaled, shifted, mirrored, recoloured, degraded.

    A person of which less than 0.3 is left in view, or who is under 8 px high, is neither learnt nor background.
    """
    height, width = scene.picture.shape[:2]
    whole = min(INPUT_SIZE[0] / width, INPUT_SIZE[1] / height)
    scale = whole * float(np.exp(rng.uniform(*np.log(settings.scale))))
    stretch = np.exp(rng.uniform(-0.1, 0.1))
    scales = np.array([scale * stretch, scale / stretch], np.float32)
    flip = rng.random() < 0.5
    room = np.array(INPUT_SIZE, np.float32) - scales * (width, height)
    offset = (rng.uniform(-0.05, 1.05, 2) * room).astype(np.float32)
    matrix = np.array([[scales[0], 0, offset[0]], [0, scales[1], offset[1]]], np.float64)
    picture = scene.picture
    if scale < 0.6:  # a linear warp would alias
        half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        picture, matrix[:, :2] = np.asarray(half, np.uint8), matrix[:, :2] * 2
    canvas = np.full((INPUT_SIZE[1], INPUT_SIZE[0], 3), rng.choice([GREY, 0, int(rng.integers(256))]), np.uint8)
    cv2.warpAffine(picture, matrix, INPUT_SIZE, dst=canvas, borderMode=cv2.BORDER_TRANSPARENT)
    boxes, left = moved_boxes(scene.boxes[:, :4], scales, offset)
    if flip:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
        boxes[:, [0, 2]] = INPUT_SIZE[0] - boxes[:, [2, 0]]
    if settings.colour:
        canvas = np.asarray(cv2.LUT(canvas, colour_table(rng, settings.colour)), np.uint8)
    canvas = degraded(canvas, rng, settings.degrade)
    present = (left > 0.02) & (scene.boxes[:, 4] >= DOUBTFUL_CONFIDENCE)
    learnt = present & (scene.boxes[:, 4] >= SURE_CONFIDENCE) & (left >= 0.3) & (boxes[:, 3] - boxes[:, 1] >= 8)
    return SceneSample(canvas, boxes[learnt], boxes[present & ~learnt])
