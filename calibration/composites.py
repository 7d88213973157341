"""Puts cut-out people elsewhere: before another background, among others, into scenes. Knows pictures, no network.

All randomness comes from the generator that is passed in, so a batch can be made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.augment import HIDDEN_VISIBILITY, LEAST_JOINTS, Augmentation, Rect, colour_table
from calibration.crops import CROP_SIZE, FloatArray, Image
from calibration.cutouts import SOLID, Cutout, blended, bounds, cutout, is_whole, put, turned
from engines.skeleton import VISIBLE_CONFIDENCE

BACKDROP_PART = (0.3, 0.7)
"""Of another crop's sides, that is seen enlarged behind a person: too little for its own person to be the main one."""
PEOPLE_HEIGHT = (0.06, 1.1)
"""Of the picture's, for who is put into a scene."""
TURNED, MOST_TURNED = 0.3, 80.0
"""Of the people put into a scene: the part turned, and by how many degrees at most. Few in the crops lean or lie."""
COMPANY_HEIGHT = (0.6, 1.4)
"""Of the person's own height."""
MOST_COVERED = 0.6
"""Of a person's visible joints; who would cover more stands behind, or away."""
RECOLOURED, COLOUR_STRENGTH = 0.5, 0.3
"""Of the people who are put elsewhere, and how much: light is another there."""


def recoloured(picture: Image, rng: np.random.Generator) -> Image:
    """A picture `uint8 [h, w, 3]` in other colours, half of the times."""
    if rng.random() >= RECOLOURED:
        return picture
    return np.asarray(cv2.LUT(picture, colour_table(rng, COLOUR_STRENGTH)), np.uint8)


def backdrop(other: Image, rect: Rect, rng: np.random.Generator) -> Image:
    """A part of another crop, enlarged to `uint8 [320, 240, 3]`; of its real pixels only."""
    left, top, right, bottom = rect
    if right - left < 16 or bottom - top < 16:
        return np.full((CROP_SIZE[1], CROP_SIZE[0], 3), rng.integers(0, 256, 3), np.uint8)
    size = np.array([right - left, bottom - top]) * rng.uniform(*BACKDROP_PART, 2)
    x, y = rng.uniform((left, top), np.array([right, bottom]) - size).astype(int)
    part = other[y : y + max(8, int(size[1])), x : x + max(8, int(size[0]))]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return np.asarray(cv2.resize(part, CROP_SIZE, interpolation=cv2.INTER_LINEAR), np.uint8)


def among_others(
    picture: Image,
    mask: Image | None,
    body: Rect,
    places: FloatArray,
    visible: FloatArray,
    company: Cutout,
    rng: np.random.Generator,
) -> tuple[Image, FloatArray]:
    """A crop with another person beside, before or behind its own.

    Args:
        picture: `uint8 [320, 240, 3]`, BGR.
        mask: `uint8 [320, 240]`, opacity of its person; without one nobody stands behind.
        body: left, top, right, bottom of its person, px.
        places: `float32 [17, 2]`, crop px.
        visible: `float32 [17]`.
        company: who comes in.
        rng: where the randomness comes from.

    Returns:
        The picture, and how visible each joint is now.
    """
    left, top, right, bottom = body
    height = max(8, round((bottom - top) * float(np.exp(rng.uniform(*np.log(COMPANY_HEIGHT))))))
    width = company.picture.shape[1] * height / company.picture.shape[0]
    side = rng.choice((-1, 1)) * rng.uniform(0.15, 0.6) * ((right - left) + width)
    x = (left + right - width) / 2 + side
    y = bottom - height + rng.normal(0, 0.15) * (bottom - top)
    guest = company.picture[:, ::-1] if rng.random() < 0.5 else company.picture
    result = picture.copy()
    opacity = put(result, guest, height, int(x), int(y))
    columns = np.clip(places[:, 0].astype(int), 0, CROP_SIZE[0] - 1)
    rows = np.clip(places[:, 1].astype(int), 0, CROP_SIZE[1] - 1)
    covered = opacity[rows, columns] >= SOLID
    seen = visible >= VISIBLE_CONFIDENCE
    too_much = (covered & seen).sum() > MOST_COVERED * seen.sum()
    if mask is not None and (too_much or rng.random() < 0.5):
        return blended(result, picture, mask), visible
    if too_much:
        return picture, visible
    return result, np.where(covered, visible * HIDDEN_VISIBILITY, visible).astype(np.float32)


@dataclass(frozen=True)
class Crop:
    """One person crop, and what is known of its person.

    Attributes:
        picture: `uint8 [320, 240, 3]`, BGR.
        rect: left, top, right, bottom of its real pixels.
        mask: `uint8 [320, 240]`, opacity of its person, where they could be cut out.
    """

    picture: Image
    rect: Rect
    mask: Image | None

    def cutout(self) -> Cutout | None:
        """Its person, where they could be cut out."""
        return None if self.mask is None else cutout(self.picture, self.mask, self.rect)


def recomposed(
    crop: Crop, places: FloatArray, visible: FloatArray, other: Crop, settings: Augmentation, rng: np.random.Generator
) -> tuple[Crop, FloatArray]:
    """A crop with its person before another background, and with company, by chance.

    Args:
        crop: the one to change.
        places: `float32 [17, 2]`, where its joints are, crop px.
        visible: `float32 [17]`.
        other: where the background and the company come from.
        settings: how likely each is.
        rng: where the randomness comes from.

    Returns:
        The crop, and how visible each joint is now.
    """
    moved, company = rng.random() < settings.moved, rng.random() < settings.company
    outline = None if crop.mask is None else bounds(crop.mask)
    if moved and crop.mask is not None and outline is not None:
        above = recoloured(crop.picture, rng)
        picture = blended(backdrop(other.picture, other.rect, rng), above, crop.mask)
        rect = (0, 0, *CROP_SIZE) if is_whole(outline, crop.rect) else crop.rect
        crop = Crop(picture, rect, crop.mask)
    guest = other.cutout() if company else None
    body = outline or joints_rect(places, visible)
    if guest is not None and body is not None:
        picture, visible = among_others(crop.picture, crop.mask, body, places, visible, guest, rng)
        crop = Crop(picture, crop.rect, crop.mask)
    return crop, visible


def joints_rect(places: FloatArray, visible: FloatArray) -> Rect | None:
    """Left, top, right, bottom px of the visible joints; None where there are too few."""
    joints = places[visible >= VISIBLE_CONFIDENCE]
    if len(joints) < LEAST_JOINTS:
        return None
    (left, top), (right, bottom) = joints.min(0), joints.max(0)
    return int(left), int(top), int(right) + 1, int(bottom) + 1


def elsewhere(person: Cutout, rng: np.random.Generator) -> Image:
    """A person `uint8 [h, w, 4]`, by chance mirrored, in other colours and turned."""
    picture = person.picture[:, ::-1] if rng.random() < 0.5 else person.picture
    picture = np.dstack([recoloured(np.ascontiguousarray(picture[..., :3]), rng), picture[..., 3]])
    if rng.random() < TURNED:
        picture = turned(picture, rng.uniform(-MOST_TURNED, MOST_TURNED))
    return picture


def peopled(canvas: Image, people: Sequence[Cutout], rng: np.random.Generator) -> tuple[FloatArray, list[Image]]:
    """Puts people into a picture in place, the far ones first.

    Args:
        canvas: `uint8 [h, w, 3]`.
        people: who comes in; each 0.06 to 1.1 of the picture's height tall when upright.
        rng: where the randomness comes from.

    Returns:
        Their bounds `float32 [N, 4]`, px, beyond the picture where they are cut off, and their opacity, each
        `uint8 [h, w]`, in the order in which they were put: a later one may cover an earlier one.
    """
    height, width = canvas.shape[:2]
    least, most = np.log(PEOPLE_HEIGHT)
    heights = np.sort(np.exp(rng.uniform(least, most, len(people)))) * height
    near = rng.uniform(0.1, 0.9) * width
    crowded = rng.random() < 0.5
    boxes, opacities = [], []
    for person, one in zip(people, heights, strict=True):
        picture = elsewhere(person, rng)
        tall = max(6, round(one * picture.shape[0] / person.picture.shape[0]))
        wide = picture.shape[1] * tall / picture.shape[0]
        middle = near + rng.normal(0, 0.8) * wide if crowded else rng.uniform(0, width)
        top = rng.uniform(-0.15 * tall, max(height - 0.85 * tall, -0.1 * tall))
        left = middle - wide / 2
        opacities.append(put(canvas, picture, tall, int(left), int(top)))
        boxes.append((int(left), int(top), int(left) + wide, int(top) + tall))
    return np.array(boxes, np.float32).reshape(-1, 4), opacities
