"""Small plots as SVG text, to stand inside an HTML page. Knows no pose, file or network."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 960, 280
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 40
GOOD, FAIR, POOR, GREY = "#2a8fc7", "#b59b00", "#d55e00", "#8a8f93"
MOST_POINTS = 2000
LEAST_SPAN_SECONDS = 1.0
"""A session of one picture has a time axis too, with numbers that can be read."""


def nice_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from `low` to `high`."""
    span = max(high - low, 1e-9)
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step) * step
    return [first + index * step for index in range(int((high - first) / step + 1e-9) + 1)]


def svg(content: Sequence[str], label: str, height: int = HEIGHT) -> str:
    """A whole drawing, in a box of its own that a page may let scroll."""
    drawn = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(content)}</svg>'
    return f'<div class="chart">{drawn}</div>'


def label(x: float, y: float, text: str, anchor: str = "middle") -> str:
    """A text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def segment(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    """A thin line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'


def line_plot(
    points: Sequence[tuple[float, float | None]],
    bands: Sequence[tuple[float, float, bool]],
    marks: Sequence[tuple[float, float, float]],
    x_label: str,
    y_label: str,
) -> str:
    """Values 0..100 over time; gaps where there is none.

    Args:
        points: (seconds, value), in order.
        bands: (from, to, strong) in seconds, drawn behind the line.
        marks: (from, to, value), from and to in seconds, drawn as dashed lines.
        x_label: below the axis.
        y_label: for readers of the page that do not see it.
    """
    if not points:
        return "<p>Nothing was recorded.</p>"
    first, last = points[0][0], max(points[-1][0], points[0][0] + LEAST_SPAN_SECONDS)

    def x(seconds: float) -> float:
        return LEFT + (min(max(seconds, first), last) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (1 - value / 100) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<rect x="{x(start):.1f}" y="{TOP}" width="{max(x(end) - x(start), 1):.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        f'fill="{GOOD}" opacity="{0.28 if strong else 0.1}"/>'
        for start, end, strong in bands
    ]
    for line in (0, 25, 50, 75, 100):
        parts += [
            segment(LEFT, y(line), WIDTH - RIGHT, y(line), "#88888844"),
            label(LEFT - 8, y(line) + 4, str(line), "end"),
        ]
    parts += [segment(x(start), y(mark), x(end), y(mark), POOR, "6 4") for start, end, mark in marks]
    parts += [label(x(tick), HEIGHT - BOTTOM + 18, f"{tick:g}") for tick in nice_ticks(first, last, 10)]
    parts.append(label(WIDTH / 2, HEIGHT - 4, x_label))
    step = max(1, len(points) // MOST_POINTS)
    run: list[str] = []
    for seconds, value in [*points[::step], (last, None)]:
        if value is not None:
            run.append(f"{x(seconds):.1f},{y(value):.1f}")
        elif run:
            dots = " ".join(run if len(run) > 1 else run * 2)
            parts.append(
                f'<polyline points="{dots}" fill="none" stroke="{GOOD}" stroke-width="2" stroke-linecap="round"/>'
            )
            run = []
    return svg(parts, f"{y_label} over {x_label}")


def bars(values: Sequence[tuple[str, float]], x_label: str, fair: float, poor: float) -> str:
    """Horizontal bars; from `fair` and `poor` on in other colours."""
    if not values:
        return "<p>Nothing was scored.</p>"
    row, left = 26, 150
    most = max(*(value for _, value in values), poor)
    height = row * len(values) + BOTTOM
    parts = []
    for index, (name, value) in enumerate(values):
        y = index * row + 4
        width = value / most * (WIDTH - left - 80)
        colour = GOOD if value < fair else FAIR if value < poor else POOR
        parts.append(f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{row - 8}" rx="4" fill="{colour}"/>')
        parts += [label(left - 10, y + 14, name, "end"), label(left + width + 8, y + 14, f"{value:.0f}", "start")]
    parts.append(label(left, height - 12, x_label, "start"))
    return svg(parts, x_label, height)


def histogram(values: Sequence[float], x_label: str) -> str:
    """How often values fall into each of 40 steps up to the 99th percentile; higher ones are in the last."""
    high = max(float(np.percentile(values, 99)) * 1.05, 1.0)
    counts, edges = np.histogram(np.clip(values, 0, high), bins=40, range=(0, high))
    most, height = max(int(counts.max()), 1), 200
    width = (WIDTH - LEFT - RIGHT) / len(counts)
    parts = []
    for index, count in enumerate(counts):
        size = (height - TOP - BOTTOM) * int(count) / most
        x, y = LEFT + index * width, height - BOTTOM - size
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{size:.1f}" fill="{GREY}"/>')
    for tick in nice_ticks(0, float(edges[-1]), 8):
        parts.append(label(LEFT + tick / high * (WIDTH - LEFT - RIGHT), height - BOTTOM + 18, f"{tick:g}"))
    parts.append(label(WIDTH / 2, height - 4, x_label))
    return svg(parts, x_label, height)
