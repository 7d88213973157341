"""What a person sees: skeleton, score, which joint to move. Draws on a picture; knows no camera, file or network."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engines.skeleton import BONES, JOINTS, PARENT
from realtime.frames import Picture
from realtime.results import SCORED, FrameResult

Floats = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

# BGR; blue to orange stays apart for colour-blind eyes, where green to red does not
GOOD: Colour = (233, 180, 86)
FAIR: Colour = (66, 228, 240)
POOR: Colour = (0, 94, 213)
UNSEEN: Colour = (150, 150, 150)
WHITE: Colour = (255, 255, 255)
DARK: Colour = (24, 24, 24)
FAIR_DEGREES, POOR_DEGREES = 12.0, 30.0
WORST_SHOWN = 3
REFERENCE_HEIGHT = 720
FONT = cv2.FONT_HERSHEY_DUPLEX


@dataclass(frozen=True)
class OverlayText:
    """Lines that the loop adds to a result: the target's name and, on demand, how old the picture is."""

    title: str
    latency: str = ""


def draw_overlay(
    image: Picture, result: FrameResult, target_joints: Floats | None, text: OverlayText, visible_confidence: float
) -> Picture:
    """A copy of the frame with everything a person needs drawn on it.

    Args:
        image: uint8 [H, W, 3] BGR; not changed.
        result: of that frame.
        target_joints: float32 [15, 3] to show in the corner, as matched; None for no target.
        text: title and latency line.
        visible_confidence: the least confidence of a joint that is drawn.
    """
    canvas = image.copy()
    scale = image.shape[0] / REFERENCE_HEIGHT
    if result.joints is not None:
        draw_skeleton(canvas, result.joints, result.deviation_degrees, scale, visible_confidence)
    for person in result.people:
        if person.id:
            draw_skeleton(canvas, person.joints, {}, scale, visible_confidence)
            if person.score is not None:
                corner = (int(person.box[0]), int(person.box[1]))
                put_text(canvas, f"{person.score:.0f}", corner, 0.9 * scale, WHITE)
    draw_panel(canvas, result, text, scale)
    if target_joints is not None:
        draw_target(canvas, target_joints, scale, visible_confidence)
    return canvas


def deviation_colour(degrees: float | None) -> Colour:
    """Blue where the bone is right, yellow where it is off, vermilion where it is far off, grey where unknown."""
    if degrees is None:
        return UNSEEN
    size = abs(degrees)
    return GOOD if size < FAIR_DEGREES else FAIR if size < POOR_DEGREES else POOR


def draw_skeleton(
    canvas: Picture, joints: Floats, deviation: dict[str, float | None], scale: float, visible_confidence: float
) -> None:
    """Bones and joints of one person; each bone has the colour of the joint it ends at."""
    seen = joints[:, 2] >= visible_confidence
    points = [tuple(point) for point in joints[:, :2].round().astype(int).tolist()]
    thickness = max(2, round(4 * scale))
    for first, second in BONES:
        if seen[first] and seen[second]:
            end = first if PARENT[first] == second else second
            colour = deviation_colour(deviation.get(JOINTS[end])) if deviation else WHITE
            cv2.line(canvas, points[first], points[second], DARK, thickness + max(2, round(3 * scale)), cv2.LINE_AA)
            cv2.line(canvas, points[first], points[second], colour, thickness, cv2.LINE_AA)
    for index, point in enumerate(points):
        if seen[index]:
            colour = deviation_colour(deviation.get(JOINTS[index])) if deviation and index != 3 else WHITE
            cv2.circle(canvas, point, round(7 * scale), DARK, -1, cv2.LINE_AA)
            cv2.circle(canvas, point, round(5 * scale), colour, -1, cv2.LINE_AA)


def draw_panel(canvas: Picture, result: FrameResult, text: OverlayText, scale: float) -> None:
    """Title, score and what to do, on a dark band at the left."""
    lines = advice(result)
    width, height = round(330 * scale), round((150 + 34 * len(lines)) * scale)
    margin = round(16 * scale)
    shade(canvas, margin, margin, width, height)
    x = 2 * margin
    put_text(canvas, shortened(text.title, 24), (x, round(50 * scale)), 0.75 * scale, WHITE)
    if result.status == SCORED and result.score is not None:
        colour = GOOD if result.score >= 80 else FAIR if result.score >= 50 else POOR
        put_text(canvas, f"{result.score:.0f}", (x, round(128 * scale)), 2.6 * scale, colour, bold=True)
    else:
        put_text(canvas, "--", (x, round(128 * scale)), 2.6 * scale, UNSEEN, bold=True)
    for index, line in enumerate(lines):
        put_text(canvas, line, (x, round((168 + 34 * index) * scale)), 0.7 * scale, WHITE)
    if text.latency:
        put_text(canvas, text.latency, (x, canvas.shape[0] - margin), 0.55 * scale, WHITE)


def advice(result: FrameResult) -> list[str]:
    """What to do, in a few short lines: the joints furthest off, or why there is no score."""
    if result.status != SCORED:
        return wrapped(result.reason or "", 30)[:WORST_SHOWN]
    known = [
        (abs(degrees), joint, degrees) for joint, degrees in result.deviation_degrees.items() if degrees is not None
    ]
    far = sorted(known, reverse=True)[:WORST_SHOWN]
    return [f"{joint.replace('_', ' ')} {degrees:+.0f} deg" for size, joint, degrees in far if size >= FAIR_DEGREES]


def wrapped(text: str, length: int) -> list[str]:
    """Words in lines of at most `length` letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def shortened(text: str, length: int) -> str:
    """At most `length` letters that the font has; others become a question mark."""
    plain = text.encode("ascii", "replace").decode()
    return plain if len(plain) <= length else plain[: length - 3] + "..."


def draw_target(canvas: Picture, joints: Floats, scale: float, visible_confidence: float) -> None:
    """The target as a small figure in the upper right corner."""
    side, margin = round(190 * scale), round(16 * scale)
    left, top = canvas.shape[1] - side - margin, margin
    shade(canvas, left, top, side, side)
    seen = joints[:, 2] >= visible_confidence
    if not seen.any():
        return
    low, high = joints[seen, :2].min(0), joints[seen, :2].max(0)
    room = 0.8 * side / max(float((high - low).max()), 1e-6)
    placed = joints.copy()
    placed[:, :2] = (joints[:, :2] - (low + high) / 2) * room + (left + side / 2, top + side / 2)
    draw_skeleton(canvas, placed, {}, 0.7 * scale, visible_confidence)


def shade(canvas: Picture, left: int, top: int, width: int, height: int) -> None:
    """Darkens a rectangle, so that text on it reads on any background."""
    part = canvas[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if part.size:
        part[:] = cv2.addWeighted(part, 0.35, np.full_like(part, DARK[0]), 0.65, 0)


def put_text(
    canvas: Picture, text: str, at: tuple[int, int], size: float, colour: Colour, *, bold: bool = False
) -> None:
    """One line of text, its baseline starting at `at`, with a dark shadow so that it reads on any background."""
    thickness = max(1, round((3 if bold else 1.2) * size / (2.6 if bold else 0.75)))
    offset = max(1, round(2 * size))
    shadow = (at[0] + offset, at[1] + offset)
    cv2.putText(canvas, text, shadow, FONT, size, DARK, thickness, cv2.LINE_AA)
    cv2.putText(canvas, text, at, FONT, size, colour, thickness, cv2.LINE_AA)
