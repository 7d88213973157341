"""Why there is no score, in words a person acts on. Knows no screen; time is a parameter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime.frames import Picture
from realtime.overlaps import apart
from realtime.results import (
    CAMERA_FROZEN,
    CAMERA_LOST,
    HIDDEN,
    NO_PERSON,
    SCORED,
    STALE,
    Bystander,
    FrameResult,
    PersonResult,
)

Floats = npt.NDArray[np.float32]

DARK_LEVEL, BLACK_LEVEL = 45.0, 10.0
EDGE_SHARE = 0.04
SMALL_SHARE = 0.25
RIVAL_SHARE = 0.6
APPEAR_SECONDS, READ_SECONDS, CLEAR_SECONDS, REPEAT_SECONDS = 0.4, 2.5, 1.0, 12.0

STEP_IN, LIGHT, LATE = "Step into view", "It is too dark: turn on a light", "The picture is late: please wait"
LOST, FROZEN = "Camera lost: check its cable", "Camera frozen: unplug it and plug it in"
BLACK = "No picture: is the camera covered?"
NEARER, FARTHER, MIDDLE = "Come a little closer", "Step back: your whole body must be in view", "Move to the middle"
TWO_PEOPLE = "Two people: stand in front, or raise a hand to be scored"
COVERED = "Someone is in front of you: step aside"
PARTS = {"wrist": "hand", "ankle": "foot"}
UPPER = ("head", "neck", "shoulder")
LOWER = ("ankle", "knee", "hip", "pelvis")


def brightness(image: Picture) -> float:
    """Mean grey level 0..255 of a picture uint8 [H, W, 3], from every 16th pixel; black bars do not count."""
    small = image[8::16, 8::16].mean(2)
    lit = small[small > 0]
    return float(lit.mean()) if lit.size else 0.0


def hint_for(result: FrameResult, size: tuple[int, int], light: float) -> str:
    """What a person should do so that there is a score; empty where there is one.

    Args:
        result: of the frame.
        size: width and height px of the fitted frame.
        light: mean grey level of the picture, 0..255.
    """
    if result.status == SCORED:
        return ""
    if result.status == STALE:
        return hint_for_stale(result, light)
    if light < BLACK_LEVEL:
        return BLACK
    if light < DARK_LEVEL:
        return LIGHT
    if result.reason == HIDDEN:
        return COVERED
    if result.status == NO_PERSON or result.box is None or result.joints is None:
        return STEP_IN
    others = rivals(result, result.box)
    alone = all(apart(result.box, box) >= 0 for box in others)
    return hint_at_edge(result, size, alone=alone) or (TWO_PEOPLE if others else hint_for_hidden(result, size))


def hint_for_stale(result: FrameResult, light: float) -> str:
    """What to do about a picture that is too old; a covered camera may give the same black one for ever."""
    reason = result.reason or ""
    if reason.startswith(CAMERA_LOST):
        return LOST
    if light < BLACK_LEVEL:
        return BLACK
    return FROZEN if reason.startswith(CAMERA_FROZEN) else LATE


def rivals(result: FrameResult, own: Floats) -> list[Floats]:
    """Boxes of others in view who are about as large as the one who is scored, whose box is `own`."""
    everybody: list[PersonResult | Bystander] = [*result.people, *result.others]
    least = RIVAL_SHARE * float(own[3] - own[1])
    return [one.box for one in everybody if one.id != result.person and float(one.box[3] - one.box[1]) >= least]


def hint_at_edge(result: FrameResult, size: tuple[int, int], *, alone: bool) -> str:
    """What to do at an edge of the picture; empty in its middle.

    Lower joints missing at the lower edge, and upper ones at the upper edge, are beyond it, whoever else is there.
    Other joints may be hidden behind somebody, so they are sought beyond the edge only of those who stand `alone`.
    """
    assert result.box is not None
    width, height = size
    left, top, right, bottom = (float(value) for value in result.box[:4])
    above, below = top < EDGE_SHARE * height, bottom > (1 - EDGE_SHARE) * height
    aside = left < EDGE_SHARE * width or right > (1 - EDGE_SHARE) * width
    kinds = {joint.rpartition("_")[2] for joint in result.missing}
    what = spoken_joint(result.missing[0]).capitalize() if len(result.missing) == 1 else ""
    if below and kinds & set(LOWER):
        parts = "feet" if kinds & {"ankle", "knee"} else "hips"
        return f"{what} out of view: step back" if what else f"Your {parts} are out of view: step back"
    if above and kinds & set(UPPER):
        return "Your head is out of view: step back"
    if aside and alone:
        return f"{what} out of view: move to the middle" if what else MIDDLE
    return FARTHER if (above or below) and alone else ""


def hint_for_hidden(result: FrameResult, size: tuple[int, int]) -> str:
    """What to do about joints that are not seen in the middle of the picture."""
    assert result.box is not None
    if float(result.box[3] - result.box[1]) < SMALL_SHARE * size[1]:
        return NEARER
    if not result.missing:
        return STEP_IN
    shown = " and ".join(spoken_joint(joint) for joint in result.missing[:2])
    return f"Your {shown} cannot be seen: turn to the camera"


def spoken_joint(joint: str) -> str:
    """A joint as people call it."""
    side, _, part = joint.rpartition("_")
    return f"{side} {PARTS.get(part, part)}".strip()


@dataclass
class Coach:
    """Keeps a hint on screen long enough to be read, and says it aloud only now and then.

    A hint appears when its cause has lasted 0.4 s, stays 2.5 s before another may follow, and goes 1 s after it
    appeared at the earliest, once there is a score.

    Attributes:
        at_once: each hint is of its own picture alone, and appears and goes with it.
        shown: the hint on screen.
    """

    at_once: bool = False
    shown: str = ""
    _since: float = 0.0
    _pending: str = ""
    _pending_since: float = 0.0
    _said: str = ""
    _said_at: float = -np.inf

    def update(self, seconds: float, hint: str) -> str:
        """Takes this frame's hint (empty with a score); gives the one to show."""
        if self.at_once:
            self.shown = hint
            return hint
        if hint != self._pending:
            self._pending, self._pending_since = hint, seconds
        if hint == self.shown:
            return self.shown
        least = CLEAR_SECONDS if not hint else READ_SECONDS
        readable = not self.shown or seconds - self._since >= least
        lasting = seconds - self._pending_since >= APPEAR_SECONDS
        if readable and lasting:
            self.shown, self._since = hint, seconds
        return self.shown

    def to_say(self, seconds: float) -> str:
        """The hint to say aloud now: when it is new, and again every 12 s; else empty."""
        if not self.shown or (self.shown == self._said and seconds - self._said_at < REPEAT_SECONDS):
            return ""
        self._said, self._said_at = self.shown, seconds
        return self.shown
