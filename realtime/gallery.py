"""Targets side by side: for a terminal, and as one HTML page that needs nothing else. Knows no network."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.table import Column, Table

from engines.errors import BadInputError, name_of
from engines.skeleton import BONE_ENDS, BONES, JOINTS
from realtime.pose import TARGET_SUFFIX, Target, ignore_words, read_target

COLUMNS, ROWS = 12, 6
"""Letters of a terminal's thumbnail; each is 2 x 4 dots."""

SIDE, EDGE = 200, 16
PALE = ' class="out"'
BRAILLE = 0x2800
BRAILLE_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
STYLE = """
body{font:16px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c1c1c;background:#fff}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1.2rem}
figure{margin:0;background:#f1f4f6;border-radius:.7rem;padding:1rem}
figcaption b,figcaption span{display:block;overflow-wrap:anywhere}figcaption b{font-size:1.15rem}
figcaption span{color:#5a5a5a;font-size:.9rem}svg{width:100%;height:auto}
line{stroke:#2a8fc7;stroke-width:9;stroke-linecap:round}circle{fill:#2a8fc7}.out{opacity:.25}
@media(prefers-color-scheme:dark){body{background:#15181a;color:#e8e8e8}figure{background:#23282b}
figcaption span{color:#a5a5a5}}@media print{figure{break-inside:avoid}}
"""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Entry:
    """A file that may be a target: its target, or why it is none."""

    path: Path
    target: Target | None
    problem: str = ""


def find_targets(places: Iterable[Path]) -> list[Entry]:
    """The targets in files and folders, in the order of their names; subfolders are not looked into.

    A file of a folder that is no target is left out with its problem told; one given by name must be a target.

    Raises:
        BadInputError: a place does not exist or cannot be read, or there is no target anywhere.
    """
    found: list[Entry] = []
    places = list(places)
    for place in places:
        if place.is_dir():
            found += [entry_of(path) for path in files_in(place)]
        else:
            found.append(Entry(place, read_target(place, person_option="")))
    if not any(entry.target for entry in found):
        raise BadInputError(
            f"{', '.join(name_of(place) for place in places)} holds no target",
            f"a folder with target files ({TARGET_SUFFIX}) is needed",
            "make one with python -m realtime.targets make, or run_live.py --capture-target",
        )
    return found


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that may be targets."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() == TARGET_SUFFIX and path.is_file())
    except OSError as error:
        raise BadInputError(
            f"{name_of(folder)} cannot be read ({error.strerror})", "a readable folder is needed", "check its rights"
        ) from error


def entry_of(path: Path) -> Entry:
    """What a file is."""
    try:
        return Entry(path, read_target(path))
    except BadInputError as error:
        return Entry(path, None, error.seen)


def ignored_text(target: Target) -> str:
    """The joints that do not count, groups by their name; empty when all do."""
    return ", ".join(word.replace("_", " ") for word in ignore_words(target.ignore))


def facts(target: Target) -> list[str]:
    """What a target asks for, in a few words each."""
    return [
        f"pass mark {target.pass_score:g}, hold {target.hold_seconds:g} s",
        *([f"without {ignored_text(target)}"] if target.ignore else []),
        *([f"score width {target.score_width:g}"] if target.score_width != Target.score_width else []),
        *(["mirrored counts too"] if target.match_mirrored else []),
    ]


def placed(target: Target, width: float, height: float, edge: float) -> Floats:
    """The joints float32 [15, 2] that are there, fitted into a picture of width x height px; NaN for the others."""
    there = target.joints[:, 2] > 0
    points = np.where(there[:, None], target.joints[:, :2], np.nan).astype(np.float32)
    low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    scale = min((width - 2 * edge) / max(high[0] - low[0], 1e-6), (height - 2 * edge) / max(high[1] - low[1], 1e-6))
    middle = np.array([width, height], np.float32) / 2
    moved: Floats = ((points - (low + high) / 2) * np.float32(scale) + middle).astype(np.float32)
    return moved


def bones_of(target: Target, points: Floats) -> list[tuple[int, int, bool]]:
    """Bones whose two ends are there, and whether the joint that each ends at counts."""
    counts = target.counts > 0
    there = ~np.isnan(points[:, 0])
    bones = zip(BONES, BONE_ENDS, strict=True)
    return [(first, second, bool(counts[end])) for (first, second), end in bones if there[first] and there[second]]


def braille(target: Target) -> str:
    """A figure of `ROWS` lines of letters, each letter 2 x 4 dots."""
    canvas = np.zeros((4 * ROWS, 2 * COLUMNS), np.uint8)
    points = placed(target, 2 * COLUMNS, 4 * ROWS, 2)
    for first, second, counts in bones_of(target, points):
        if counts:
            cv2.line(canvas, dot(points[first]), dot(points[second]), 1, 1)
    head = points[JOINTS.index("head")]
    if not np.isnan(head[0]) and "head" not in target.ignore:
        cv2.circle(canvas, dot(head), 1, 1, -1)
    letters = canvas.reshape(ROWS, 4, COLUMNS, 2)
    codes = (letters * np.array(BRAILLE_BITS)[None, :, None, :]).sum((1, 3)) + BRAILLE
    return "\n".join("".join(chr(code) for code in row) for row in codes)


def dot(point: Floats) -> tuple[int, int]:
    """The nearest whole px."""
    return round(float(point[0])), round(float(point[1]))


def gallery_table(entries: Iterable[Entry]) -> Table:
    """What a terminal shows: a figure, name, file and what the target asks for."""
    table = Table("", Column("target", overflow="fold"), "asks for", show_lines=True)
    for entry in entries:
        file = name_of(Path(entry.path.name))
        if entry.target is None:
            problem = entry.problem.removeprefix(name_of(entry.path)).strip(" :")
            table.add_row("", f"{file}\n(no target)", problem)
        else:
            table.add_row(braille(entry.target), f"{entry.target.name}\n{file}", "\n".join(facts(entry.target)))
    return table


def figure(target: Target) -> str:
    """A target as an SVG drawing; what does not count is pale."""
    points = placed(target, SIDE, SIDE, EDGE)
    parts = [
        f'<line x1="{points[a][0]:.1f}" y1="{points[a][1]:.1f}" x2="{points[b][0]:.1f}" y2="{points[b][1]:.1f}"'
        f"{PALE * (not counts)}/>"
        for a, b, counts in bones_of(target, points)
    ]
    head = points[JOINTS.index("head")]
    if not np.isnan(head[0]):
        pale = PALE * ("head" in target.ignore)
        parts.append(f'<circle cx="{head[0]:.1f}" cy="{head[1]:.1f}" r="13"{pale}/>')
    label = html.escape(plain(target.name), quote=True)
    return f'<svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def plain(text: str) -> str:
    """What is no Unicode becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def gallery_page(entries: Sequence[Entry]) -> str:
    """All targets on one page, to be looked at or printed."""
    cards = []
    for entry in entries:
        if entry.target is not None:
            lines = [*facts(entry.target), name_of(Path(entry.path.name))]
            words = "".join(f"<span>{html.escape(plain(line))}</span>" for line in lines)
            caption = f"<figcaption><b>{html.escape(plain(entry.target.name))}</b>{words}</figcaption>"
            cards.append(f"<figure>{figure(entry.target)}{caption}</figure>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Targets - posemirror</title><style>{STYLE}</style></head><body><h1>{len(cards)} "
        f"target{'s' * (len(cards) != 1)}</h1><main>{''.join(cards)}</main></body></html>\n"
    )
