"""Turns one person crop into many: what cameras, trackers and furniture do to a picture. Knows no network.

All randomness comes from the generator that is passed in, so a batch can be made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from calibration.crops import WINDOW_OFFSET, WINDOW_SIZE, FloatArray, Image
from engines.skeleton import MIRRORED_KEYPOINT

UPPER_BODY = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
LOWER_BODY = (11, 12, 13, 14, 15, 16)
LEAST_JOINTS = 4
"""A part of a body with fewer is not looked at alone."""
CUTS = ((1, True), (1, False), (0, True), (0, False))
"""Where a picture ends: axis, and whether at its far side (below, above, right, left of what is left)."""
CUT_SHARES = (0.55, 0.15, 0.15, 0.15)
HIDDEN_VISIBILITY = 0.25
"""A covered joint's visibility is multiplied by this, which puts it below the project's threshold of 0.3."""


Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class Augmentation:
    """How far a crop may be changed; probabilities in 0..1.

    Attributes:
        scale: lowest and highest factor of the person's size in the window; a tracker's box is tight.
        shift: largest shift of the window, as a part of its size.
        rotation_degrees: largest rotation, applied to 60 % of the crops.
        cut: probability of a picture that ends within the body, with the window around what is left.
        half_body: probability of a window around the upper or lower body only, in a picture that goes on.
        occluders: probability of one to three patches over the person.
        neighbour: probability of a piece of another person at the window's side.
        moved: probability of another background behind a person who could be cut out.
        company: probability of another, cut-out person beside, before or behind.
        degrade: probability of each of blur, low resolution and noise.
        colour: strength of the changes of brightness, contrast and colour.
        flip: mirror half of the crops.
    """

    scale: tuple[float, float] = (0.75, 1.35)
    shift: float = 0.1
    rotation_degrees: float = 30.0
    cut: float = 0.4
    half_body: float = 0.2
    occluders: float = 0.4
    neighbour: float = 0.15
    moved: float = 0.4
    company: float = 0.3
    degrade: float = 0.2
    colour: float = 0.3
    flip: bool = True


NO_AUGMENTATION = Augmentation(
    scale=(1, 1),
    shift=0,
    rotation_degrees=0,
    cut=0,
    half_body=0,
    occluders=0,
    neighbour=0,
    moved=0,
    company=0,
    degrade=0,
    colour=0,
    flip=False,
)


MILD_AUGMENTATION = Augmentation(
    scale=(0.8, 1.25), shift=0.08, cut=0.25, half_body=0.1, occluders=0.15, neighbour=0.1, degrade=0.1, colour=0.2
)
"""For short runs: what there is time to learn is the pose, not every disturbance."""
LIGHT_AUGMENTATION = Augmentation(
    scale=(0.9, 1.12),
    shift=0.04,
    rotation_degrees=15.0,
    cut=0.1,
    half_body=0.05,
    occluders=0.05,
    neighbour=0.05,
    moved=0.2,
    company=0.2,
    degrade=0.05,
    colour=0.15,
)
"""For the end of a run: mostly people as a detector gives them, whom `MILD_AUGMENTATION` shows too seldom."""
AUGMENTATIONS = {
    "none": NO_AUGMENTATION,
    "light": LIGHT_AUGMENTATION,
    "mild": MILD_AUGMENTATION,
    "strong": Augmentation(),
}


@dataclass(frozen=True)
class Sample:
    """One training example; px of the window (192x256, whatever the picture's own size).

    Attributes:
        picture: `uint8 [h, w, 3]`, BGR.
        places: `float32 [2, 17, 2]`.
        shares: `float32 [2, 17]`.
        visible: `float32 [17]`.
    """

    picture: Image
    places: FloatArray
    shares: FloatArray
    visible: FloatArray


def best_places(places: FloatArray, shares: FloatArray) -> FloatArray:
    """Where a human put each joint, else the teacher, `float32 [17, 2]`; both as `Sample` has them."""
    return np.asarray(np.where(shares[1:, :, None] > 0, places[1:], places[:1])[0])


def cut_rect(
    rect: Rect, places: FloatArray, visible: FloatArray, rng: np.random.Generator
) -> tuple[Rect, npt.NDArray[np.bool_]]:
    """Ends the picture within the body: below the shoulders, hips or knees more often than elsewhere.

    Args:
        rect: left, top, right, bottom of the real pixels, px of the crop.
        places: `float32 [17, 2]`, crop px.
        visible: `float32 [17]`; joints below 0.3 do not count as part of the body.
        rng: where the randomness comes from.

    Returns:
        The smaller rectangle, and which joints `bool [17]` are on it: `rect` and all where too few would be left.
    """
    axis, far_side = CUTS[int(rng.choice(len(CUTS), p=CUT_SHARES))]
    kept = rng.uniform(0.2, 0.85)
    body = places[visible >= 0.3, axis]
    if len(body) < LEAST_JOINTS:
        return rect, np.ones(len(places), np.bool_)
    low, high = float(body.min()), float(body.max())
    edge = round(low + kept * (high - low) if far_side else high - kept * (high - low))
    edge = min(max(edge, rect[axis] + 1), rect[axis + 2] - 1)
    left = places[:, axis] <= edge - 1 if far_side else places[:, axis] >= edge
    if (left & (visible >= 0.3)).sum() < LEAST_JOINTS:
        return rect, np.ones(len(places), np.bool_)
    cut = list(rect)
    cut[axis + 2 if far_side else axis] = edge
    return (cut[0], cut[1], cut[2], cut[3]), left


def window_matrix(
    rng: np.random.Generator,
    settings: Augmentation,
    places: FloatArray,
    visible: FloatArray,
    part: Sequence[int] = (),
) -> npt.NDArray[np.float64]:
    """A random affine map `[2, 3]` from crop px to window px.

    Args:
        rng: where the randomness comes from.
        settings: how far to go.
        places: `float32 [17, 2]`, crop px; needed for windows around a part of the body.
        visible: `float32 [17]`; joints below 0.3 do not count as part of a body.
        part: the joints to look at; none: the whole body, or by chance a half.
    """
    width, height = WINDOW_SIZE
    centre = np.array([WINDOW_OFFSET[0] + width / 2, WINDOW_OFFSET[1] + height / 2])
    scale = float(np.exp(rng.uniform(*np.log(settings.scale))))
    if not part and rng.random() < settings.half_body:
        part = UPPER_BODY if rng.random() < 0.7 else LOWER_BODY
    joints = [joint for joint in part if visible[joint] >= 0.3]
    if len(joints) >= LEAST_JOINTS:
        low, high = places[joints].min(0), places[joints].max(0)
        side = max((high[0] - low[0]) / width, (high[1] - low[1]) / height, 0.2) * 1.5
        centre, scale = (low + high) / 2, float(np.clip(scale / side, 0.7, 3.0))
    angle = rng.uniform(-1, 1) * settings.rotation_degrees if rng.random() < 0.6 else 0.0
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, scale)
    shift = rng.uniform(-settings.shift, settings.shift, 2) * WINDOW_SIZE
    matrix[:, 2] += np.array([width / 2, height / 2]) - centre + shift
    return np.asarray(matrix, np.float64)


def colour_table(rng: np.random.Generator, strength: float) -> Image:
    """A random lookup table `uint8 [256, 1, 3]`: brightness, contrast, gamma, and a tint a channel."""
    levels = np.linspace(0, 1, 256)
    gamma = np.exp(rng.uniform(-1, 1) * strength)
    contrast = 1 + rng.uniform(-1, 1) * strength
    brightness = rng.uniform(-0.5, 0.5) * strength
    tint = 1 + rng.uniform(-0.3, 0.3, 3) * strength
    curve = (levels**gamma - 0.5) * contrast + 0.5 + brightness
    table: Image = np.clip(curve[:, None, None] * tint * 255, 0, 255).astype(np.uint8)
    return table


def degraded(picture: Image, rng: np.random.Generator, probability: float) -> Image:
    """Low resolution, blur or motion blur, and noise, each with the given probability; `[h, w, 3]` to the same."""
    height, width = picture.shape[:2]
    if rng.random() < probability:
        factor = rng.uniform(1.5, 4.5)
        small = cv2.resize(picture, (int(width / factor), int(height / factor)), interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < probability:
        length = int(rng.integers(2, 5)) * 2 - 1
        if rng.random() < 0.5:
            picture = np.asarray(cv2.GaussianBlur(picture, (length, length), 0), np.uint8)
        else:
            box = (length, 1) if rng.random() < 0.5 else (1, length)
            picture = np.asarray(cv2.blur(picture, box), np.uint8)
    if rng.random() < probability:
        spread = rng.uniform(3, 15)
        noise = rng.standard_normal((height // 2 + 1, width, 3), np.float32) * spread
        noisy = picture.astype(np.float32) + np.concatenate([noise, noise[::-1]])[:height]
        picture = np.clip(noisy, 0, 255).astype(np.uint8)
    return picture


def cover(picture: Image, left: int, top: int, patch: Image, places: FloatArray, visible: FloatArray) -> None:
    """Puts `patch` over the picture in place, and lowers `visible` in place where it covers a joint."""
    height, width = patch.shape[:2]
    picture[top : top + height, left : left + width] = patch
    x, y = places[:, 0] - left, places[:, 1] - top
    visible[(x >= 0) & (x < width) & (y >= 0) & (y < height)] *= HIDDEN_VISIBILITY


def add_occluders(
    picture: Image, other: Image, places: FloatArray, visible: FloatArray, rng: np.random.Generator
) -> None:
    """One to three patches of plain colour or of another crop, half of them on a joint; all in place.

    Args:
        picture: `uint8 [256, 192, 3]`.
        other: `uint8 [320, 240, 3]`, where textures come from.
        places: `float32 [17, 2]`, window px.
        visible: `float32 [17]`.
        rng: where the randomness comes from.
    """
    for _ in range(int(rng.integers(1, 4))):
        width, height = (int(size) for size in rng.integers(12, 72, 2))
        x, y = rng.uniform(0, WINDOW_SIZE[0]), rng.uniform(0, WINDOW_SIZE[1])
        if rng.random() < 0.5:
            x, y = places[rng.integers(len(places))]
        left = int(np.clip(x - width / 2, 0, WINDOW_SIZE[0] - width))
        top = int(np.clip(y - height / 2, 0, WINDOW_SIZE[1] - height))
        patch = np.empty((height, width, 3), np.uint8)
        patch[:] = rng.integers(0, 256, 3)
        if rng.random() < 0.6:
            row, column = rng.integers(0, 320 - height), rng.integers(0, 240 - width)
            patch = other[row : row + height, column : column + width]
        cover(picture, left, top, patch, places, visible)


def add_neighbour(
    picture: Image, other: Image, places: FloatArray, visible: FloatArray, rng: np.random.Generator
) -> None:
    """A piece of another person at the left or right side of the window, in place; sizes as in `add_occluders`."""
    width = int(rng.integers(24, 60))
    column = int(rng.integers(50, 190 - width))
    patch = other[32:288, column : column + width]
    cover(picture, 0 if rng.random() < 0.5 else WINDOW_SIZE[0] - width, 0, patch, places, visible)


def background(other: Image, rng: np.random.Generator) -> Image:
    """What lies where the picture does not reach, `uint8 [256, 192, 3]`: black, a colour, or a photo."""
    kind = rng.random()
    canvas = np.zeros((WINDOW_SIZE[1], WINDOW_SIZE[0], 3), np.uint8)
    if kind < 0.4:
        return canvas
    if kind < 0.6:
        canvas[:] = rng.integers(0, 256, 3)
        return canvas
    return np.asarray(cv2.resize(other, WINDOW_SIZE, interpolation=cv2.INTER_LINEAR), np.uint8)


def augment(
    picture: Image,
    rect: Rect,
    places: FloatArray,
    shares: FloatArray,
    visible: FloatArray,
    other: Image,
    settings: Augmentation,
    rng: np.random.Generator,
    size: tuple[int, int] = WINDOW_SIZE,
) -> Sample:
    """A random training example from one crop.

    Args:
        picture: `uint8 [320, 240, 3]`, BGR.
        rect: left, top, right, bottom of its real pixels.
        places: `float32 [2, 17, 2]`, crop px.
        shares: `float32 [2, 17]`.
        visible: `float32 [17]`.
        other: another crop, `uint8 [320, 240, 3]`, for backgrounds, occluders and neighbours.
        settings: how far to go.
        rng: where the randomness comes from.
        size: width and height of the picture to make; labels stay in px of the 192x256 window.
    """
    best = best_places(places, shares)
    part: Sequence[int] = ()
    if rng.random() < settings.cut:
        rect, kept = cut_rect(rect, best, visible, rng)
        shares, visible = shares * kept, visible * kept
        part = () if kept.all() else tuple(np.flatnonzero(kept))
    left, top, right, bottom = rect
    matrix = window_matrix(rng, settings, best, visible, part)
    inner = matrix.copy()
    inner[:, 2] += matrix[:, :2] @ np.array([left, top], np.float64)
    window = background(other, rng)
    cv2.warpAffine(
        picture[top:bottom, left:right],
        inner,
        WINDOW_SIZE,
        dst=window,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    places = (places @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    visible = visible.copy()
    best = best_places(places, shares)
    if rng.random() < settings.neighbour:
        add_neighbour(window, other, best, visible, rng)
    if rng.random() < settings.occluders:
        add_occluders(window, other, best, visible, rng)
    if settings.colour:
        window = np.asarray(cv2.LUT(window, colour_table(rng, settings.colour)), np.uint8)
    window = degraded(window, rng, settings.degrade)
    if settings.flip and rng.random() < 0.5:
        window, places, shares, visible = mirrored(window, places, shares, visible)
    if size != WINDOW_SIZE:
        window = np.asarray(cv2.resize(window, size, interpolation=cv2.INTER_AREA), np.uint8)
    seen = np.all((places >= 0) & (places <= np.array(WINDOW_SIZE) - 1), -1)  # [2, 17]
    shares = shares * seen
    return Sample(window, places, shares, visible * (shares.sum(0) > 0))


def mirrored(
    window: Image, places: FloatArray, shares: FloatArray, visible: FloatArray
) -> tuple[Image, FloatArray, FloatArray, FloatArray]:
    """The window seen in a mirror: left and right keypoints change places."""
    swap: Sequence[int] = list(MIRRORED_KEYPOINT)
    places = places[:, swap].copy()
    places[..., 0] = WINDOW_SIZE[0] - 1 - places[..., 0]
    return np.ascontiguousarray(window[:, ::-1]), places, shares[:, swap], visible[swap]
