"""A distribution of times as a picture, drawn with OpenCV. Knows no result and no stage but their names."""

from collections.abc import Mapping

import cv2
import numpy as np

from realtime.brush import LIGHT, put_centred, put_text
from realtime.frames import Picture
from realtime.statistics import Distribution
from realtime.svg import nice_ticks

WIDTH, HEIGHT = 960, 540
LEFT, RIGHT, TOP, BOTTOM = 60, 900, 90, 340
BAR_TOP, BAR_HEIGHT = 420, 44
BINS = 60
INK, QUIET, GRID = (40, 40, 40), (120, 120, 120), (225, 225, 225)
FILL = (199, 143, 42)
STAGE_COLOURS = (
    (170, 170, 170),
    (199, 143, 42),
    (86, 180, 86),
    (60, 160, 230),
    (150, 100, 190),
    (60, 80, 200),
    (0, 94, 213),
)


def latency_picture(age: Distribution, stages: Mapping[str, Distribution], title: str) -> Picture:
    """Histogram of frame age with its p50, p95 and p99, and the stages' medians side by side; uint8 [540, 960, 3]."""
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    put_text(canvas, title, (LEFT, 40), 22, INK)
    high = max(age.percentile(0.995) * 1.1, 1.0)
    counts = np.zeros(BINS)
    for milliseconds, count in age.counts():
        counts[min(int(milliseconds / high * BINS), BINS - 1)] += count
    for tick in nice_ticks(0, high, 8):
        x = place(tick, high)
        cv2.line(canvas, (x, TOP), (x, BOTTOM), GRID, 1)
        put_centred(canvas, f"{tick:g}", (x, BOTTOM + 22), 16, QUIET, LIGHT)
    step = (RIGHT - LEFT) / BINS
    for index, height in enumerate(counts):
        top = BOTTOM - round((BOTTOM - TOP - 30) * float(height) / max(float(counts.max()), 1.0))
        if height > 0:
            left, right = LEFT + round(index * step), LEFT + round((index + 1) * step) - 2
            cv2.rectangle(canvas, (left, min(top, BOTTOM - 1)), (right, BOTTOM), FILL, -1)
    for row, (name, share) in enumerate((("p50", 0.5), ("p95", 0.95), ("p99", 0.99))):
        value = age.percentile(share)
        x, y = place(min(value, high), high), TOP - 6 + 20 * row
        cv2.line(canvas, (x, y), (x, BOTTOM), INK, 1, cv2.LINE_AA)
        put_text(canvas, f"{name} {value:.1f}", (x + 6, y + 12), 16, INK)
    put_centred(
        canvas, "frame age at display, ms (the last column: and above)", (WIDTH // 2, BOTTOM + 46), 16, QUIET, LIGHT
    )
    draw_stages(canvas, {name: one.percentile(0.5) for name, one in stages.items()})
    return canvas


def place(milliseconds: float, high: float) -> int:
    """Where a time lies on the axis, px."""
    return LEFT + round((RIGHT - LEFT) * milliseconds / high)


def draw_stages(canvas: Picture, medians: Mapping[str, float]) -> None:
    """The medians of the stages as one bar, each named below it with its time."""
    total = max(sum(medians.values()), 1e-6)
    put_text(canvas, "medians of the stages, ms", (LEFT, BAR_TOP - 10), 16, QUIET, LIGHT)
    left, text_left = float(LEFT), LEFT
    for (name, median), colour in zip(medians.items(), STAGE_COLOURS * 2, strict=False):
        right = left + (RIGHT - LEFT) * median / total
        cv2.rectangle(canvas, (round(left), BAR_TOP), (round(right), BAR_TOP + BAR_HEIGHT), colour, -1)
        left = right
        cv2.rectangle(canvas, (text_left, BAR_TOP + 66), (text_left + 12, BAR_TOP + 78), colour, -1)
        put_text(canvas, f"{name} {median:.1f}", (text_left + 18, BAR_TOP + 78), 16, INK, LIGHT)
        text_left += 120
