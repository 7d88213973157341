"""What a person sees: themselves, the pose to reach behind them, what to move. Knows no camera, file or network."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engines.skeleton import BONE_ENDS, BONES, JOINTS
from realtime.advice import FAIR_DEGREES, POOR_DEGREES, Move
from realtime.brush import DARK, FAIR, GOOD, POOR, UNSEEN, WHITE, Colour, arrow
from realtime.frames import Picture
from realtime.gauges import (
    LATENCY_HEIGHT,
    HoldView,
    draw_banner,
    draw_bid,
    draw_column,
    draw_countdown,
    draw_help,
    draw_hold,
    draw_inside_ring,
    draw_latency,
    draw_score,
    draw_tag,
    hint_lines,
    px,
    ring_place,
)
from realtime.pose import Target
from realtime.raised_hand import Bid
from realtime.results import FrameResult

Floats = npt.NDArray[np.float32]

REFERENCE_SIZE = (960, 720)
PELVIS = JOINTS.index("pelvis")
NECK, HEAD = JOINTS.index("neck"), JOINTS.index("head")
TORSO = tuple(JOINTS.index(name) for name in ("right_shoulder", "left_shoulder", "left_hip", "right_hip"))
LIMB_BONES = tuple(bone for bone in BONES if not {PELVIS, NECK, HEAD} & set(bone))
GHOST_ALPHA = 0.34
GHOST_LIMB_SHARE = 0.17
FARTHEST_PX = 20_000
"""Coordinates beyond this are cut: OpenCV's lines overflow far outside a picture."""


@dataclass(frozen=True)
class View:
    """What the station adds to a result before it is drawn.

    Args:
        title: the target's name.
        latency: how old the picture is; empty when not asked for.
        score: the score to show, steadied over a moment; None for none.
        trend: (seconds, score) of the last seconds, oldest first.
        pass_score: the target's pass mark.
        ghost: float32 [15, 3] px, the target in the user's size and place; None for none.
        moves: what to do, the most important first.
        hint: words over everything else, such as why there is no score.
        praise: the hint is good news.
        cue: a short word in the place of moves.
        words_right: the column of words stands at the right, the person at the left.
        hold: the hold ring; None where nothing is to be held.
        mirror: show the picture as a mirror does; text is not mirrored, and left stays the person's left.
        countdown: a number shown across the picture; empty for none.
        help: keys and meanings, shown in place of other words; empty when not asked for.
        bids: hands that ask for another person to be scored.
    """

    title: str
    latency: str = ""
    score: float | None = None
    trend: tuple[tuple[float, float], ...] = ()
    pass_score: float = Target.pass_score
    ghost: Floats | None = None
    moves: tuple[Move, ...] = ()
    hint: str = ""
    praise: bool = False
    cue: str = ""
    words_right: bool = False
    hold: HoldView | None = None
    mirror: bool = False
    countdown: str = ""
    help: tuple[tuple[str, str], ...] = ()
    bids: tuple[Bid, ...] = ()


def draw_overlay(
    image: Picture, result: FrameResult, target_joints: Floats | None, view: View, visible_confidence: float
) -> Picture:
    """A copy of the frame with everything a person needs drawn on it.

    Args:
        image: uint8 [H, W, 3] BGR; not changed.
        result: of that frame.
        target_joints: float32 [15, 3] to show in the ring, as matched; None for no target, and so for no score or
            deviation from it either.
        view: what else to show.
        visible_confidence: the least confidence of a joint that is drawn.
    """
    width = image.shape[1]
    scale = min(image.shape[0] / REFERENCE_SIZE[1], width / REFERENCE_SIZE[0])
    canvas = cv2.flip(image, 1).astype(np.uint8, copy=False) if view.mirror else image.copy()

    def placed(joints: Floats) -> Floats:
        return mirrored_px(joints, width) if view.mirror else joints

    if view.ghost is not None:
        draw_ghost(canvas, placed(view.ghost), scale, visible_confidence)
    for person in result.people:
        if person.id != result.person:
            draw_skeleton(canvas, placed(person.joints), {}, 0.6 * scale, visible_confidence)
    if result.joints is not None:
        deviation = {} if target_joints is None else result.deviation_degrees
        draw_skeleton(canvas, placed(result.joints), deviation, scale, visible_confidence)
    if len(result.people) > 1:
        for person in result.people:
            x = float(person.box[0] + person.box[2]) / 2
            score = view.score if person.id == result.person or target_joints is None else person.score
            at = (round(width - 1 - x if view.mirror else x), round(float(person.box[1])))
            draw_tag(canvas, at, score, view.pass_score, person.id == result.person, scale)
    for bid in view.bids:
        at = pixels(placed(np.array([(*bid.at, 1)], np.float32)))[0]
        draw_bid(canvas, at, bid.share, scale)
    draw_moves(canvas, view, scale)
    draw_score(canvas, view.title, view.score, view.trend, view.pass_score, scale)
    if target_joints is not None:
        draw_hold(canvas, view.hold, scale)
        if view.hold is None or not view.hold.inside:
            draw_target(canvas, placed(target_joints), scale, visible_confidence)
        else:
            draw_inside_ring(canvas, view.hold.inside, scale)
    if view.help:
        draw_help(canvas, view.help, scale)
    else:
        draw_words(canvas, view, scale)
    if view.latency:
        draw_latency(canvas, view.latency, scale)
    return canvas


def draw_words(canvas: Picture, view: View, scale: float) -> None:
    """What to do, or why there is no score, or how soon a pose is captured; there is room for it or for the help."""
    words = (view.cue,) if view.cue else tuple(move.words.capitalize() for move in view.moves)
    colours = (GOOD,) if view.cue else tuple(deviation_colour(move.degrees) for move in view.moves)
    draw_column(canvas, words, colours, view.words_right, scale)
    below = px(LATENCY_HEIGHT, scale) if view.latency else 0
    draw_banner(canvas, hint_lines(view.hint), GOOD if view.praise else FAIR, scale, below)
    if view.countdown:
        draw_countdown(canvas, view.countdown, scale)


def mirrored_px(joints: Floats, width: int) -> Floats:
    """The same joints in the picture seen in a mirror; each keeps its name, so left stays the person's left."""
    mirrored = joints.copy()
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored


def deviation_colour(degrees: float | None) -> Colour:
    """Blue where the bone is right, yellow where it is off, vermilion where it is far off, grey where unknown."""
    if degrees is None:
        return UNSEEN
    size = abs(degrees)
    return GOOD if size < FAIR_DEGREES else FAIR if size < POOR_DEGREES else POOR


def pixels(joints: Floats) -> list[tuple[int, int]]:
    """Whole px of every joint, near enough to the picture for OpenCV."""
    near = np.clip(np.nan_to_num(joints[:, :2]), -FARTHEST_PX, FARTHEST_PX).round().astype(int)
    return [(int(x), int(y)) for x, y in near]


def draw_skeleton(
    canvas: Picture, joints: Floats, deviation: dict[str, float | None], scale: float, visible_confidence: float
) -> None:
    """Bones and joints of one person; each bone has the colour of the joint it ends at."""
    seen = joints[:, 2] >= visible_confidence
    points = pixels(joints)
    thickness = max(2, px(7, scale))
    edge = max(2, px(4, scale))
    bones = zip(BONES, BONE_ENDS, strict=True)
    drawn = [(first, second, end) for (first, second), end in bones if seen[first] and seen[second]]
    for first, second, _ in drawn:
        cv2.line(canvas, points[first], points[second], DARK, thickness + edge, cv2.LINE_AA)
    for first, second, end in drawn:
        colour = deviation_colour(deviation.get(JOINTS[end])) if deviation else WHITE
        cv2.line(canvas, points[first], points[second], colour, thickness, cv2.LINE_AA)
    for index, point in enumerate(points):
        if seen[index]:
            colour = deviation_colour(deviation.get(JOINTS[index])) if deviation and index != PELVIS else WHITE
            far = deviation and abs(deviation.get(JOINTS[index]) or 0) >= POOR_DEGREES
            radius = px(13 if far else 8, scale)
            cv2.circle(canvas, point, radius + max(1, edge // 2), DARK, -1, cv2.LINE_AA)
            cv2.circle(canvas, point, radius, colour, -1, cv2.LINE_AA)


def draw_ghost(canvas: Picture, ghost: Floats, scale: float, visible_confidence: float) -> None:
    """A pale body in the pose to reach, with an edge that shows on light and dark ground; drawn before the skeleton."""
    seen = ghost[:, 2] >= visible_confidence
    points = pixels(ghost)
    torso = float(np.hypot(*(ghost[NECK, :2] - ghost[PELVIS, :2])))
    thickness = int(np.clip(GHOST_LIMB_SHARE * torso, px(10, scale), px(80, scale)))
    shown = np.array([point for point, visible in zip(points, seen, strict=True) if visible] or [(0, 0)])
    reach = thickness * 2
    left, top = np.clip(shown.min(0) - reach, 0, (canvas.shape[1], canvas.shape[0])).tolist()
    right, bottom = np.clip(shown.max(0) + reach, 0, (canvas.shape[1], canvas.shape[0])).tolist()
    part = canvas[top:bottom, left:right]
    if not part.size or not seen.any():
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    local = [(x - left, y - top) for x, y in points]
    for first, second in LIMB_BONES:
        if seen[first] and seen[second]:
            cv2.line(mask, local[first], local[second], 255, thickness)
    corners = TORSO if seen[list(TORSO)].all() else (*TORSO, NECK, PELVIS)
    trunk = np.array([local[index] for index in corners if seen[index]], np.int32)
    if len(trunk):
        outline = cv2.convexHull(trunk)
        cv2.fillConvexPoly(mask, outline, 255)
        cv2.polylines(mask, [outline], True, 255, thickness)
    if seen[HEAD]:
        if seen[NECK]:
            cv2.line(mask, local[NECK], local[HEAD], 255, thickness)
        cv2.circle(mask, local[HEAD], round(0.95 * thickness), 255, -1)
    pale = cv2.convertScaleAbs(part, alpha=1 - GHOST_ALPHA, beta=WHITE[0] * GHOST_ALPHA)
    cv2.copyTo(pale, mask, part)
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    contours = [cv2.approxPolyDP(contour, 1.2, True) for contour in found]  # thousands of tiny strokes cost 5 ms
    cv2.drawContours(part, contours, -1, DARK, max(2, px(5, scale)), cv2.LINE_AA)
    cv2.drawContours(part, contours, -1, WHITE, max(1, px(2, scale)), cv2.LINE_AA)


def draw_moves(canvas: Picture, view: View, scale: float) -> None:
    """An arrow for each move, from where the joint is to where it belongs; the first one is the thickest."""
    for index, move in reversed(list(enumerate(view.moves))):
        ends = np.array([move.start, move.end], np.float32)
        if view.mirror:
            ends = mirrored_px(ends, canvas.shape[1])
        start, end = pixels(ends)
        arrow(canvas, start, end, deviation_colour(move.degrees), px(14 if index == 0 else 10, scale))


def draw_target(canvas: Picture, joints: Floats, scale: float, visible_confidence: float) -> None:
    """The target as a small figure in the ring."""
    seen = joints[:, 2] >= visible_confidence
    if not seen.any():
        return
    centre, radius = ring_place(canvas, scale)
    low, high = joints[seen, :2].min(0), joints[seen, :2].max(0)
    room = 1.35 * radius / max(float(np.hypot(*(high - low))), 1e-6)
    small = replace_xy(joints, (joints[:, :2] - (low + high) / 2) * room + centre)
    draw_skeleton(canvas, small, {}, 0.6 * scale, visible_confidence)


def replace_xy(joints: Floats, xy: Floats) -> Floats:
    """The same joints elsewhere."""
    moved = joints.copy()
    moved[:, :2] = xy
    return moved
