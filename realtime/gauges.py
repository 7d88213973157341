"""What stands at the edges of the picture: score, trend, hold ring, words, help. Knows no pose and no skeleton."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from realtime.brush import (
    BOLD,
    DARK,
    FAIR,
    GOOD,
    LIGHT,
    POOR,
    UNSEEN,
    WHITE,
    Colour,
    cut,
    drawable,
    fitting_size,
    put_centred,
    put_text,
    ring,
    shade,
    text_width,
    wrapped,
)
from realtime.frames import Picture

TREND_SECONDS = 6.0
FAIR_SCORE = 50
COLUMN = 320
NAME_SIZE, LEAST_NAME_SIZE = 28, 24
BANNER_SIZE, LEAST_BANNER_SIZE = 60, 36
"""Letters of the 720-row design, px: a longer line has smaller ones, down to the least; the rest is cut with "…"."""

HELP_TOP, HELP_STEP = 296, 40
"""Below score and ring at every shape of picture, and so close that nine keys end above the latency line."""

LATENCY_HEIGHT = 34
LINE = cv2.LINE_AA


@dataclass(frozen=True)
class HoldView:
    """The hold ring: `share` (0..1) done, a number or short word in it, and the lines below it."""

    share: float
    inside: str
    lines: tuple[str, ...] = ()


def score_colour(score: float | None, pass_score: float) -> Colour:
    """Blue where the pose passes, yellow where it is near, vermilion far off, grey without a score."""
    if score is None:
        return UNSEEN
    return GOOD if score >= pass_score else FAIR if score >= min(FAIR_SCORE, pass_score) else POOR


def px(value: float, scale: float) -> int:
    """A length of the 720-row design in px of this picture."""
    return round(value * scale)


def whole_score(score: float, pass_score: float) -> int:
    """A score as it is shown: one below the pass mark is not rounded up to it."""
    return round(score) if score >= pass_score else min(round(score), math.ceil(pass_score) - 1)


def draw_score(
    canvas: Picture, title: str, score: float | None, trend: tuple[tuple[float, float], ...], pass_score: float,
    scale: float,
) -> None:  # fmt: skip
    """Title, a large score and its last seconds, at the upper left. `trend` is (seconds, score), oldest first."""
    margin, width, height = px(16, scale), px(270, scale), px(252, scale)
    shade(canvas, margin, margin, width, height, px(18, scale))
    left, room = margin + px(20, scale), width - px(40, scale)
    name = drawable(title) or "Pose"  # a name in letters that the font has not
    size = max(px(LEAST_NAME_SIZE, scale), fitting_size(name, px(NAME_SIZE, scale), room))
    put_text(canvas, cut(name, size, room), (left, px(52, scale)), size, WHITE)
    figure = "--" if score is None else str(whole_score(score, pass_score))
    size = fitting_size(figure, px(128, scale), room)
    put_text(canvas, figure, (left, px(178, scale)), size, score_colour(score, pass_score))
    place = (left, px(198, scale), room, px(54, scale))
    draw_trend(canvas, trend, pass_score, place, scale)


def draw_trend(
    canvas: Picture, trend: tuple[tuple[float, float], ...], pass_score: float, place: tuple[int, int, int, int],
    scale: float,
) -> None:  # fmt: skip
    """The score over the last seconds in `place` (left, top, width, height px), with the pass mark as a line."""
    left, top, width, height = place
    mark = round(top + height * (1 - pass_score / 100))
    cv2.line(canvas, (left, mark), (left + width, mark), UNSEEN, max(1, px(1.5, scale)))
    if len(trend) < 2:
        return
    times, scores = np.array(trend, np.float64).T
    x = left + width * (1 + (times - times[-1]) / TREND_SECONDS)
    y = top + height * (1 - np.clip(scores, 0, 100) / 100)
    points = np.stack([x, y], 1)[times >= times[-1] - TREND_SECONDS].round().astype(np.int32)
    cv2.polylines(canvas, [points], False, WHITE, max(1, px(3, scale)), cv2.LINE_AA)
    cv2.circle(
        canvas, tuple(points[-1].tolist()), px(5, scale), score_colour(trend[-1][1], pass_score), -1, cv2.LINE_AA
    )


def ring_place(canvas: Picture, scale: float) -> tuple[tuple[int, int], int]:
    """Centre and radius of the hold ring, px, at the upper right."""
    radius, margin = px(84, scale), px(16, scale)
    return (canvas.shape[1] - margin - radius - px(20, scale), margin + radius + px(18, scale)), radius


def draw_hold(canvas: Picture, hold: HoldView | None, scale: float) -> None:
    """The hold ring and the lines below it; the target's figure is drawn into the ring by whoever draws skeletons."""
    centre, radius = ring_place(canvas, scale)
    lines = hold.lines if hold else ()
    half, margin = radius + px(20, scale), px(16, scale)
    height = 2 * radius + px(36 + 34 * len(lines), scale)
    shade(canvas, centre[0] - half, margin, 2 * half, height, px(18, scale))
    if hold is None:
        return
    ring(canvas, centre, radius, hold.share, GOOD, max(2, px(13, scale)))
    for index, line in enumerate(lines):
        at = (centre[0], centre[1] + radius + px(40 + 34 * index, scale))
        put_centred(canvas, line, at, fitting_size(line, px(26, scale), 2 * half - px(20, scale)), WHITE, LIGHT)


def draw_inside_ring(canvas: Picture, inside: str, scale: float) -> None:
    """The number or word in the ring, large enough to be read from three metres."""
    centre, radius = ring_place(canvas, scale)
    size = fitting_size(inside, px(96, scale), round(1.6 * radius))
    put_centred(canvas, inside, (centre[0], centre[1] + round(0.36 * size)), size, WHITE)


def draw_banner(canvas: Picture, lines: tuple[str, ...], colour: Colour, scale: float, below: int = 0) -> None:
    """Words that matter more than the body they cover, large, at the lower middle, `below` px higher than usual."""
    if not lines:
        return
    room = canvas.shape[1] - px(120, scale)
    fitting = min(fitting_size(line, px(BANNER_SIZE, scale), room) for line in lines)
    size = max(px(LEAST_BANNER_SIZE, scale), fitting)
    lines = tuple(cut(line, size, room) for line in lines)
    step = round(1.2 * size)
    width = max(text_width(line, max(1, size)) for line in lines) + px(84, scale)
    height = step * len(lines) + px(26, scale)
    left, top = (canvas.shape[1] - width) // 2, canvas.shape[0] - px(16, scale) - below - height
    shade(canvas, left, top, width, height, px(18, scale))
    for index, line in enumerate(lines):
        baseline = top + px(8, scale) + step * (index + 1)
        if index == 0:
            cv2.circle(canvas, (left + px(34, scale), baseline - round(0.34 * size)), px(13, scale), colour, -1, LINE)
        put_text(canvas, line, (left + px(64, scale), baseline), size, WHITE)


def draw_column(
    canvas: Picture, words: tuple[str, ...], colours: tuple[Colour, ...], right: bool, scale: float
) -> None:
    """What to do, in a column below the score, or below the ring when the person stands at the left.

    The first is the largest; each has its arrow's colour beside it.
    """
    if not words:
        return
    width, margin = px(COLUMN, scale), px(16, scale)
    blocks = [(wrapped(text, 12), px(50 if index == 0 else 36, scale)) for index, text in enumerate(words)]
    steps = [round(1.12 * size) for _, size in blocks]
    gap = px(18, scale)
    height = sum(step * len(lines) for (lines, _), step in zip(blocks, steps, strict=True)) + gap * (len(blocks) + 1)
    left = canvas.shape[1] - margin - width if right else margin
    top = px(308, scale)
    shade(canvas, left, top, width, height, px(18, scale))
    y = top + px(4, scale)
    for (lines, size), step, colour in zip(blocks, steps, colours, strict=True):
        y += gap
        bar = (left + px(14, scale), y), (left + px(24, scale), y + step * len(lines) - px(6, scale))
        cv2.rectangle(canvas, *bar, colour, -1)
        for line in lines:
            y += step
            room = width - px(54, scale)
            at = (left + px(40, scale), y - round(0.22 * step))
            put_text(canvas, line, at, fitting_size(line, size, room), WHITE)


def draw_countdown(canvas: Picture, number: str, scale: float) -> None:
    """A number in the middle of the picture."""
    size = fitting_size(number, px(320, scale), canvas.shape[1] // 2)
    middle = (canvas.shape[1] // 2, canvas.shape[0] // 2 + round(0.36 * size))
    edge = max(2, px(6, scale))
    put_centred(canvas, number, (middle[0] + edge, middle[1] + edge), size, DARK)
    put_centred(canvas, number, middle, size, WHITE)


def draw_tag(
    canvas: Picture, above: tuple[int, int], score: float | None, pass_score: float, locked: bool, scale: float
) -> None:
    """Somebody's score over their head; the one who is locked has a frame and larger figures."""
    figure, size = "--" if score is None else str(whole_score(score, pass_score)), px(52 if locked else 36, scale)
    width, height = text_width(figure, max(1, size)) + px(28, scale), round(1.25 * size)
    room = canvas.shape[1] - width, canvas.shape[0] - height
    left, top = (
        int(np.clip(value, 0, most))
        for value, most in zip((above[0] - width // 2, above[1] - height - px(34, scale)), room, strict=True)
    )
    shade(canvas, left, top, width, height, px(12, scale))
    if locked:
        cv2.rectangle(canvas, (left, top), (left + width, top + height), WHITE, max(2, px(4, scale)), LINE)
    at = (left + px(14, scale), top + round(0.95 * size))
    put_text(canvas, figure, at, size, score_colour(score, pass_score))


def draw_bid(canvas: Picture, at: tuple[int, int], share: float, scale: float) -> None:
    """A ring that fills round a raised hand, and what it is for."""
    radius, size = px(46, scale), px(30, scale)
    ring(canvas, at, radius, share, GOOD, max(2, px(12, scale)))
    words = "Hold to be scored" if share < 1 else "Your turn"
    width = text_width(words, max(1, size)) + px(24, scale)
    middle = int(np.clip(at[0], width // 2, max(width // 2, canvas.shape[1] - width // 2)))
    top = at[1] + radius + px(12, scale)
    shade(canvas, middle - width // 2, top, width, px(42, scale), px(10, scale))
    put_centred(canvas, words, (middle, top + px(31, scale)), size, WHITE)


def draw_help(canvas: Picture, lines: tuple[tuple[str, str], ...], scale: float) -> None:
    """The keys and what they do, in the middle of the picture, but below score and ring."""
    step, width = px(HELP_STEP, scale), px(620, scale)
    height = step * len(lines) + px(28, scale)
    left, top = (canvas.shape[1] - width) // 2, max(px(HELP_TOP, scale), (canvas.shape[0] - height) // 2)
    for _ in range(2):  # twice as dark: it has to be read over everything else
        shade(canvas, left, top, width, height, px(18, scale))
    for index, (key, meaning) in enumerate(lines):
        y = top + px(42, scale) + step * index
        put_text(canvas, key, (left + px(28, scale), y), px(30, scale), FAIR, BOLD)
        put_text(canvas, meaning, (left + px(150, scale), y), px(30, scale), WHITE, LIGHT)


def draw_latency(canvas: Picture, text: str, scale: float) -> None:
    """The latency line, small, at the lower left."""
    size = px(20, scale)
    width = text_width(text, max(1, size), LIGHT) + px(20, scale)
    height = px(LATENCY_HEIGHT, scale)
    shade(canvas, 0, canvas.shape[0] - height, width, height)
    put_text(canvas, text, (px(10, scale), canvas.shape[0] - px(10, scale)), size, WHITE, LIGHT)


def hint_lines(hint: str) -> tuple[str, ...]:
    """A hint in at most three lines that are short enough for large letters; "…" where there is more."""
    lines = wrapped(drawable(hint), 34)
    return (*lines[:2], f"{lines[2]}…") if len(lines) > 3 else tuple(line for line in lines if line)
