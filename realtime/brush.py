"""Colours, text, panels and arrows: the strokes that the overlay is made of. Knows no pose and no result."""

from functools import lru_cache

import cv2
import numpy as np

from realtime.frames import Picture

Colour = tuple[int, int, int]
Point = tuple[int, int]

# BGR; blue to orange stays apart for colour-blind eyes, where green to red does not
GOOD: Colour = (233, 180, 86)
FAIR: Colour = (66, 228, 240)
POOR: Colour = (0, 94, 213)
UNSEEN: Colour = (150, 150, 150)
WHITE: Colour = (255, 255, 255)
DARK: Colour = (24, 24, 24)
SHADE = 0.68
GROUND_TOP, GROUND_BOTTOM = (58, 46, 40), (26, 20, 16)
"""Colours between which the ground behind skeletons without a picture fades."""

LIGHT, BOLD = 400, 700
SUBPIXEL_BITS = 3


@lru_cache(maxsize=1)
def face() -> cv2.FontFace:
    """OpenCV's own font, which has Latin, Greek, Cyrillic and Chinese letters; opened when first needed."""
    return cv2.FontFace("sans")


@lru_cache(maxsize=64)
def drawable(text: str) -> str:
    """The text without what the font has not, such as emoji, and with single spaces."""
    return " ".join("".join(letter for letter in text if letter.isspace() or has_letter(letter)).split())


@lru_cache(maxsize=1024)
def has_letter(letter: str) -> bool:
    """Whether the font has a letter: OpenCV draws a question mark for those it has not, and says nothing."""
    if not letter.isprintable():
        return False
    drawn = np.zeros((2, 48, 64, 3), np.uint8)
    for canvas, text in zip(drawn, (letter, "?"), strict=True):
        cv2.putText(canvas, text, (8, 36), WHITE, face(), 24, BOLD)
    return letter == "?" or not np.array_equal(*drawn)


def wrapped(text: str, length: int) -> list[str]:
    """Words in lines of at most `length` letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


@lru_cache(maxsize=256)
def text_width(text: str, size: int, weight: int = BOLD) -> int:
    """Width in px of a line of text of `size` px."""
    width: int = cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), face(), size, weight)[2]
    return width


def fitting_size(text: str, size: int, room: int, weight: int = BOLD) -> int:
    """The text size, made smaller where the line would be wider than `room` px."""
    width = text_width(text, max(1, size), weight)
    if width <= room:
        return max(1, size)
    smaller = max(1, int(size * room / width))
    return smaller if text_width(text, smaller, weight) <= room else max(1, smaller - 1)


@lru_cache(maxsize=64)
def cut(text: str, size: int, room: int, weight: int = BOLD) -> str:
    """A line of text of `size` px that is at most `room` px wide; where that is not all of it, "…" says so."""
    if text_width(text, max(1, size), weight) <= room:
        return text
    shorter = (text[:count].rstrip() + "…" for count in range(len(text) - 1, 0, -1))
    return next((line for line in shorter if text_width(line, max(1, size), weight) <= room), "…")


def put_text(canvas: Picture, text: str, at: Point, size: int, colour: Colour, weight: int = BOLD) -> None:
    """One line of text of `size` px, its baseline starting at `at`."""
    if size >= 4:
        cv2.putText(canvas, text, at, colour, face(), size, weight)


def put_centred(canvas: Picture, text: str, at: Point, size: int, colour: Colour, weight: int = BOLD) -> None:
    """One line of text whose baseline's middle is `at`."""
    put_text(canvas, text, (at[0] - text_width(text, max(size, 1), weight) // 2, at[1]), size, colour, weight)


@lru_cache(maxsize=64)
def corner_mask(width: int, height: int, radius: int) -> Picture:
    """A rounded rectangle, uint8 [height, width]."""
    mask = np.zeros((height, width), np.uint8)
    radius = max(0, min(radius, (min(width, height) - 1) // 2))
    cv2.rectangle(mask, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - 1 - radius), 255, -1)
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(mask, (x, y), radius, 255, -1)
    return mask


def shade(canvas: Picture, left: int, top: int, width: int, height: int, radius: int = 0) -> None:
    """Darkens a rectangle with round corners, so that text on it reads on any background; cut off at the edges."""
    if width <= 0 or height <= 0:
        return
    low_x, low_y = max(0, -left), max(0, -top)
    part = canvas[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if part.size:
        mask = corner_mask(width, height, radius)[low_y : low_y + part.shape[0], low_x : low_x + part.shape[1]]
        dark = cv2.convertScaleAbs(part, alpha=1 - SHADE, beta=DARK[0] * SHADE)
        cv2.copyTo(dark, mask if mask.flags.c_contiguous else np.ascontiguousarray(mask), part)


def ring(canvas: Picture, centre: Point, radius: int, share: float, colour: Colour, thickness: int) -> None:
    """A circle of which `share` (0..1) is filled, clockwise from the top."""
    cv2.circle(canvas, centre, radius, (90, 90, 90), thickness, cv2.LINE_AA)
    if share > 0:
        end = -90 + 360 * min(share, 1.0)
        cv2.ellipse(canvas, centre, (radius, radius), 0, -90, end, colour, thickness, cv2.LINE_AA)


def arrow(canvas: Picture, start: Point, end: Point, colour: Colour, width: int) -> None:
    """A thick arrow with a dark edge; nothing when it has no length."""
    tail, tip = np.array(start, np.float64), np.array(end, np.float64)
    length = float(np.hypot(*(tip - tail)))
    if length < 1:
        return
    along = (tip - tail) / length
    across = np.array([-along[1], along[0]])
    head = min(2.6 * width, 0.6 * length)
    neck = tip - along * head
    half, wide = across * width / 2, across * min(1.35 * width, head)
    outline = np.array([tail + half, neck + half, neck + wide, tip, neck - wide, neck - half, tail - half])
    points = np.clip(outline, -1e6, 1e6) * (1 << SUBPIXEL_BITS)
    polygon = points.round().astype(np.int32)
    edge = max(2, width // 3)
    cv2.polylines(canvas, [polygon], True, DARK, 2 * edge, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.fillPoly(canvas, [polygon], colour, cv2.LINE_AA, SUBPIXEL_BITS)


def ground(size: tuple[int, int]) -> Picture:
    """A dark picture uint8 [H, W, 3] that fades downwards."""
    width, height = size
    fade = np.linspace(0, 1, height)[:, None, None]
    rows = np.array(GROUND_TOP) * (1 - fade) + np.array(GROUND_BOTTOM) * fade
    return np.ascontiguousarray(np.broadcast_to(rows, (height, width, 3)).astype(np.uint8))
