"""Which joint to move, and where to, in words a person acts on. Draws nothing; left and right are the person's own."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_INDEX

Floats = npt.NDArray[np.float32]

FAIR_DEGREES, POOR_DEGREES = 12.0, 30.0
WORST_SHOWN = 3
LEAST_MOVE = 0.12
"""Moves smaller than this part of the torso are not worth a word."""

SIDE_VIEW_SHARE = 0.3
"""Seen from the side when the shoulders are nearer to each other than this part of the torso."""

STEADY_SECONDS, FILL_SECONDS = 1.5, 0.4
PARTS = {
    "wrist": ("shoulder", "hand"),
    "elbow": ("shoulder", "elbow"),
    "ankle": ("hip", "foot"),
    "knee": ("hip", "knee"),
}
WHOLE_LIMB = {"hand": ("elbow", "arm"), "foot": ("knee", "leg")}


@dataclass(frozen=True)
class Move:
    """One thing to do.

    Args:
        joint: the joint that moves.
        words: what to do, such as "raise left hand".
        start: where the joint is, px.
        end: where it belongs, px.
        degrees: how far its bone is off.
    """

    joint: str
    words: str
    start: tuple[float, float]
    end: tuple[float, float]
    degrees: float


def moves(live: Floats, ghost: Floats, deviation: dict[str, float | None]) -> list[Move]:
    """Everything to do, what is furthest off first; a whole limb that moves one way is named once.

    Args:
        live: float32 [15, 3] px.
        ghost: float32 [15, 3] px, the target in the user's size and place.
        deviation: degrees by joint (`realtime.scoring.deviation_degrees`).
    """
    off = [(abs(degrees), joint) for joint, degrees in deviation.items() if degrees is not None]
    found = [move_of(joint, size, live, ghost) for size, joint in sorted(off, reverse=True) if size >= FAIR_DEGREES]
    return whole_limbs([move for move in found if move is not None])


def move_of(joint: str, degrees: float, live: Floats, ghost: Floats) -> Move | None:
    """What to do with one joint; None where no word helps (hips turn with the rest) or it is nearly there."""
    side, _, part = joint.partition("_")
    if part in PARTS:
        root = f"{side}_{PARTS[part][0]}"
        name = f"{side} {PARTS[part][1]}"
    elif joint in ("head", "neck"):
        root, name = ("neck", "head") if joint == "head" else ("pelvis", "body")
    else:
        return None
    here, base = live[JOINT_INDEX[joint], :2], live[JOINT_INDEX[root], :2]
    goal = base + ghost[JOINT_INDEX[joint], :2] - ghost[JOINT_INDEX[root], :2]
    dx, dy = (float(value) for value in goal - here)
    torso = max(float(np.hypot(*(ghost[JOINT_INDEX["neck"], :2] - ghost[JOINT_INDEX["pelvis"], :2]))), 1.0)
    if np.hypot(dx, dy) < LEAST_MOVE * torso:
        return None
    words = direction_words(name, side, dx, dy, live, torso)
    return Move(joint, words, (float(here[0]), float(here[1])), (float(goal[0]), float(goal[1])), degrees)


def direction_words(name: str, side: str, dx: float, dy: float, live: Floats, torso: float) -> str:
    """Up and down before sideways; sideways is out and in, or forward and back for someone seen from the side."""
    left_shoulder, right_shoulder = (live[JOINT_INDEX[f"{one}_shoulder"], 0] for one in ("left", "right"))
    width = float(left_shoulder - right_shoulder)
    if abs(width) < SIDE_VIEW_SHARE * torso:
        facing = float(live[JOINT_INDEX["head"], 0] - live[JOINT_INDEX["neck"], 0])
        sideways = "forward" if dx * facing > 0 else "back"
    elif name in ("head", "body"):
        sideways = "to your left" if dx * width > 0 else "to your right"
    else:
        outward = width if side == "left" else -width
        sideways = "out" if dx * outward > 0 else "in"
    if name == "body":
        upright = "stand up straighter" if dy < 0 else "bend down more"
        return f"lean {sideways}" if abs(dx) >= 0.8 * abs(dy) else upright
    if name == "head":
        return f"tilt head {sideways}" if abs(dx) >= 0.8 * abs(dy) else "lift head" if dy < 0 else "lower head"
    if abs(dy) >= 0.8 * abs(dx):
        return f"{'raise' if dy < 0 else 'lower'} {name}"
    return f"move {name} {sideways}"


def whole_limbs(found: list[Move]) -> list[Move]:
    """Hand and elbow that move alike become one arm, foot and knee one leg; the arrow is the outer joint's."""
    by_words = {move.words: move for move in found}
    result: list[Move] = []
    taken: set[str] = set()
    for move in found:
        merged = merged_limb(move, by_words)
        if merged.words not in taken and move.words not in taken:
            taken |= {merged.words, move.words}
            result.append(merged)
            taken |= {other for other in by_words if merged_limb(by_words[other], by_words).words == merged.words}
    return result


def merged_limb(move: Move, by_words: dict[str, Move]) -> Move:
    """The whole limb's move, if the joint's partner moves alike; else the move itself."""
    for outer, (inner, limb) in WHOLE_LIMB.items():
        for ours, others in ((outer, inner), (inner, outer)):
            partner = by_words.get(move.words.replace(f" {ours}", f" {others}"))
            if f" {ours}" in move.words and partner is not None:
                end = move if ours == outer else partner
                words = move.words.replace(f" {ours}", f" {limb}")
                return Move(end.joint, words, end.start, end.end, max(move.degrees, partner.degrees))
    return move


class SteadyMoves:
    """Up to three moves, kept long enough to be read: their order changes every 1.5 s, or when all are done.

    What is done goes at once; its place is taken by another a moment later.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._chosen_at = self._filled_at = -np.inf

    def update(self, seconds: float, found: list[Move]) -> list[Move]:
        """The moves to show now, from all moves of this frame."""
        by_words = {move.words: move for move in found}
        kept = [key for key in self._keys if key in by_words]
        if not kept or seconds - self._chosen_at >= STEADY_SECONDS or seconds < self._chosen_at:
            kept = list(by_words)[:WORST_SHOWN]
            self._chosen_at = self._filled_at = seconds
        elif len(kept) < WORST_SHOWN and seconds - self._filled_at >= FILL_SECONDS:
            kept += [key for key in by_words if key not in kept][: WORST_SHOWN - len(kept)]
            self._filled_at = seconds
        self._keys = kept
        return [by_words[key] for key in kept]
