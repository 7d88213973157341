"""Turns labelled scenes into training pictures: views of one, strips of several, backgrounds without people.

A webcam shows one whole person who fills 30 to 95 % of the picture's height, so most views are laid around a person at
such a size. All randomness comes from the generator that is passed in, so a batch can be made again. Knows no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from calibration.augment import colour_table, degraded
from calibration.composites import peopled
from calibration.crops import FloatArray, Image
from calibration.cutouts import SOLID, Cutout
from calibration.scenes import DOUBTFUL_CONFIDENCE, GREY, INPUT_SIZE, SURE_CONFIDENCE, Scene

LEAST_LEFT = 0.3
"""Of a person must be in view for them to be learnt."""
LEAST_HEIGHT = 8 / 192
"""Of the picture's, for a person to be learnt."""
LEAST_BACKGROUND_SIDE = 0.2
"""Of the scene's, for the part beside all people to be used as a background."""
WARP_SCALE = 0.6
"""Below this a linear warp would alias."""


@dataclass(frozen=True)
class SceneSample:
    """One training example.

    Attributes:
        picture: `uint8 [h, w, 3]`, BGR.
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
        scale: lowest and highest factor, of the scale at which the whole picture fits, where no person sets it.
        person: probability that the view is laid around a person.
        person_height: lowest and highest part of the view's height that this person fills.
        strips: probability of two to four scenes side by side instead of one.
        background: probability of a view without people: a part of the scene beside them, or plain colour.
        things: probability of a thing in the middle of such a view, so that not all that stands out is a person.
        peopled: probability of one to six cut-out people in the picture, where there are such.
        degrade: probability of each of low resolution, blur and noise.
        colour: strength of the changes of brightness, contrast and colour.
    """

    scale: tuple[float, float] = (0.6, 2.4)
    person: float = 0.6
    person_height: tuple[float, float] = (0.15, 1.0)
    strips: float = 0.4
    background: float = 0.2
    things: float = 0.6
    peopled: float = 0.5
    degrade: float = 0.15
    colour: float = 0.3


@dataclass(frozen=True)
class View:
    """Where a scene lies in a tile: scene px times `scales` plus `offset`, mirrored afterwards where `flip`.

    Attributes:
        scales: across and down.
        offset: px of the tile.
        flip: mirrored.
    """

    scales: FloatArray
    offset: FloatArray
    flip: bool


def moved_boxes(boxes: FloatArray, view: View, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Boxes as a view shows them, clipped to a tile of `size` (width, height): `[M, 4]`, and the part left, `[M]`."""
    moved = boxes[:, :4].reshape(-1, 2, 2) * view.scales + view.offset
    if view.flip:
        moved[..., 0] = size[0] - moved[:, ::-1, 0]
    clipped = np.clip(moved, 0, np.array(size, np.float32))
    area, left = ((corners[:, 1] - corners[:, 0]).prod(-1) for corners in (moved, clipped))
    return clipped.reshape(-1, 4).astype(np.float32), (left / np.maximum(area, 1e-6)).astype(np.float32)


def random_view(
    picture_size: tuple[int, int],
    boxes: FloatArray,
    tile: tuple[int, int],
    settings: SceneAugmentation,
    rng: np.random.Generator,
) -> View:
    """A view of a scene for a tile: laid around one of its sure persons, or anywhere.

    Args:
        picture_size: width and height of the scene, px.
        boxes: `float32 [M, 5]` of the scene.
        tile: width and height, px.
        settings: how far to go.
        rng: where the randomness comes from.
    """
    room, whole = np.array(tile, np.float32), min(tile[0] / picture_size[0], tile[1] / picture_size[1])
    stretch = np.exp(rng.uniform(-0.1, 0.1))
    flip = bool(rng.random() < 0.5)
    sure = boxes[boxes[:, 4] >= SURE_CONFIDENCE] if len(boxes) else boxes
    if len(sure) and rng.random() < settings.person:
        x1, y1, x2, y2 = sure[rng.integers(len(sure)), :4]
        part = rng.uniform(*settings.person_height)
        scale = min(part * tile[1] / max(y2 - y1, 1), 1.1 * tile[0] / max(x2 - x1, 1), 4 * whole)
        scales = np.array([scale * stretch, scale / stretch], np.float32)
        left = room - scales * (x2 - x1, y2 - y1)
        return View(scales, (rng.uniform(-0.05, 1.05, 2) * left - scales * (x1, y1)).astype(np.float32), flip)
    scale = whole * float(np.exp(rng.uniform(*np.log(settings.scale))))
    scales = np.array([scale * stretch, scale / stretch], np.float32)
    left = room - scales * picture_size
    return View(scales, (rng.uniform(-0.05, 1.05, 2) * left).astype(np.float32), flip)


def draw(picture: Image, view: View, canvas: Image) -> Image:
    """`canvas` `uint8 [h, w, 3]` with the part of the picture that the view shows; the rest of it stays."""
    height, width = canvas.shape[:2]
    across, down = (float(value) for value in view.scales)
    x, y = (float(value) for value in view.offset)
    matrix = np.array([[across, 0, x], [0, down, y]], np.float64)
    if view.flip:
        matrix[0] = [-across, 0, width - x]
    while min(across, down) < WARP_SCALE and min(picture.shape[:2]) > 16:
        before = picture.shape
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        ratio = before[1] / picture.shape[1], before[0] / picture.shape[0]
        matrix[0, 0] *= ratio[0]
        matrix[1, 1] *= ratio[1]
        across, down = abs(matrix[0, 0]), matrix[1, 1]
    result = np.ascontiguousarray(canvas)
    cv2.warpAffine(picture, matrix, (width, height), dst=result, borderMode=cv2.BORDER_TRANSPARENT)
    return result


def without_people(scene: Scene) -> Image | None:
    """The largest part of a scene beside, above or below every box, however doubtful; None where it is small."""
    height, width = scene.picture.shape[:2]
    if not len(scene.boxes):
        return scene.picture
    x1, y1 = scene.boxes[:, :2].min(0)
    x2, y2 = scene.boxes[:, 2:4].max(0)
    parts = {x1 / width: (0, 0, int(x1), height), 1 - x2 / width: (int(np.ceil(x2)), 0, width, height)}
    parts |= {y1 / height: (0, 0, width, int(y1)), 1 - y2 / height: (0, int(np.ceil(y2)), width, height)}
    share = max(parts)
    left, top, right, bottom = parts[share]
    return scene.picture[top:bottom, left:right] if share >= LEAST_BACKGROUND_SIDE else None


def with_thing(canvas: Image, texture: Image, rng: np.random.Generator) -> Image:
    """`canvas` `uint8 [h, w, 3]` with a blob of random outline, filled with a small part of `texture` enlarged.

    The part is at most a third of the texture's sides, so that no whole person is in it.
    """
    height, width = canvas.shape[:2]
    size = np.array([rng.uniform(0.2, 0.95) * width, rng.uniform(0.2, 0.95) * height])
    middle = rng.uniform(size / 2, np.array([width, height]) - size / 2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(6, 14))))
    radii = rng.uniform(0.55, 1, len(angles))[:, None]
    outline = middle + radii * size / 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 255)
    part = np.maximum(np.array(texture.shape[:2]) * rng.uniform(0.1, 0.33, 2), 4).astype(int)
    top, left = (int(rng.integers(0, max(1, whole - used))) for whole, used in zip(texture.shape, part, strict=False))
    filling = cv2.resize(texture[top : top + part[0], left : left + part[1]], (width, height))
    soft = cv2.GaussianBlur(mask, (3, 3), 0)[..., None] / np.float32(255)
    return np.asarray(canvas * (1 - soft) + filling * soft, np.uint8)


def column_widths(count: int, width: int, rng: np.random.Generator) -> list[int]:
    """Widths, px, of `count` tiles side by side."""
    shares = rng.uniform(0.6, 1.4, count)
    edges = np.rint(np.concatenate([[0], np.cumsum(shares) / shares.sum()]) * width).astype(int)
    return [int(size) for size in np.diff(edges)]


def with_people(
    canvas: Image, boxes: FloatArray, ignored: FloatArray, people: Sequence[Cutout], rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Puts people into a picture in place.

    Args:
        canvas: `uint8 [h, w, 3]`.
        boxes: `float32 [M, 4]`, who is there already.
        ignored: `float32 [I, 4]`, what is neither learnt nor background.
        people: who comes in.
        rng: where the randomness comes from.

    Returns:
        `boxes` and `ignored` with them; who is mostly covered now is ignored.
    """
    height, width = canvas.shape[:2]
    bodies, opacities = peopled(canvas, people, rng)
    later = np.zeros((height, width), np.bool_)
    seen = []
    for body, opacity in zip(bodies[::-1], opacities[::-1], strict=True):
        solid = opacity >= SOLID
        wide, tall = body[2:] - body[:2]
        kept = np.clip(body.reshape(2, 2), 0, (width, height))
        inside = (kept[1] - kept[0]).prod() / max(wide * tall, 1e-6)
        seen.append(inside * (solid & ~later).sum() / max(solid.sum(), 1))
        later |= solid
    left = np.array(seen[::-1], np.float32)
    clipped = np.clip(bodies.reshape(-1, 2, 2), 0, (width, height)).reshape(-1, 4).astype(np.float32)
    good = (left >= LEAST_LEFT) & (clipped[:, 3] - clipped[:, 1] >= LEAST_HEIGHT * height)
    before = np.array([1 - covered_part(later, box) >= LEAST_LEFT for box in boxes], np.bool_)
    doubtful = [ignored, boxes[~before], clipped[~good & (left > 0.02)]]
    return np.concatenate([boxes[before], clipped[good]]), np.concatenate(doubtful)


def covered_part(covered: npt.NDArray[np.bool_], box: FloatArray) -> float:
    """Which part of a box, px, is covered in a picture `bool [h, w]`."""
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    part = covered[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
    return float(part.mean()) if part.size else 1.0


def training_sample(
    scenes: Sequence[Scene],
    settings: SceneAugmentation,
    rng: np.random.Generator,
    size: tuple[int, int] = INPUT_SIZE,
    people: Sequence[Cutout] = (),
) -> SceneSample:
    """A picture made of the first scene, or of strips of all of them side by side, and of people put before them.

    A person of whom little is left in view, or who is very small, is neither learnt nor background; nor is a box that
    the teacher is not sure of.

    Args:
        scenes: one, or as many as strips are wanted.
        settings: how far to go.
        rng: where the randomness comes from.
        size: width and height of the picture, px.
        people: who is put into the picture.
    """
    width, height = size
    canvas = np.full((height, width, 3), rng.choice([GREY, 0, int(rng.integers(256))]), np.uint8)
    learnt, ignored, start = [], [], 0
    for scene, strip in zip(scenes, column_widths(len(scenes), width, rng), strict=True):
        picture, boxes = scene.picture, scene.boxes
        empty = rng.random() < settings.background
        if empty:
            beside = without_people(scene)
            picture = canvas[:, start : start + strip] if beside is None else beside
            boxes = np.zeros((0, 5), np.float32)
        tile = (strip, height)
        view = random_view((picture.shape[1], picture.shape[0]), boxes, tile, settings, rng)
        canvas[:, start : start + strip] = draw(picture, view, canvas[:, start : start + strip])
        if empty and rng.random() < settings.things:
            other = scenes[int(rng.integers(len(scenes)))].picture
            canvas[:, start : start + strip] = with_thing(canvas[:, start : start + strip], other, rng)
        moved, left = moved_boxes(boxes, view, tile)
        moved[:, [0, 2]] += start
        present = (left > 0.02) & (boxes[:, 4] >= DOUBTFUL_CONFIDENCE)
        tall = moved[:, 3] - moved[:, 1] >= LEAST_HEIGHT * height
        good = present & (boxes[:, 4] >= SURE_CONFIDENCE) & (left >= LEAST_LEFT) & tall
        learnt.append(moved[good])
        ignored.append(moved[present & ~good])
        start += strip
    boxes, doubtful = np.concatenate(learnt), np.concatenate(ignored)
    if people:
        boxes, doubtful = with_people(canvas, boxes, doubtful, people, rng)
    if settings.colour:
        canvas = np.asarray(cv2.LUT(canvas, colour_table(rng, settings.colour)), np.uint8)
    return SceneSample(degraded(canvas, rng, settings.degrade), boxes, doubtful)
