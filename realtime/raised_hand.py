"""Somebody who raises one hand for two seconds asks to be scored. Knows poses; no picture, network or screen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.skeleton import JOINT_INDEX, VISIBLE_CONFIDENCE

Floats = npt.NDArray[np.float32]

RAISED_SECONDS = 2.0
GAP_SECONDS = 0.7
"""A hand may be unseen for so long: of somebody without a row of their own the pose is looked at now and then only (see
`realtime.tracking.Tracker.to_look_at`)."""
CLEARLY = 0.5
"""How far above the head's middle the hand has to be, in lengths from the neck to it."""

HEAD, NECK = JOINT_INDEX["head"], JOINT_INDEX["neck"]


@dataclass(frozen=True)
class Bid:
    """Somebody's raised hand: whose, where it is (x, y px), and how much of the two seconds is over, 0..1."""

    person: int
    at: tuple[float, float]
    share: float


@dataclass(frozen=True)
class Look:
    """Somebody's joints float32 [15, 3] px, and when they were seen, in seconds."""

    person: int
    joints: Floats
    seconds: float


def raised_side(joints: Floats, visible_confidence: float) -> str:
    """`left` or `right` where just that hand is clearly above the head and the other below its shoulder; else empty.

    Args:
        joints: float32 [15, 3] px.
        visible_confidence: the least confidence of a visible joint.
    """
    above = {side: hand_height(joints, side, visible_confidence) for side in ("left", "right")}
    for side, other in (("left", "right"), ("right", "left")):
        shoulder = joints[JOINT_INDEX[f"{other}_shoulder"], 1]
        wrist = joints[JOINT_INDEX[f"{other}_wrist"]]
        lowered = wrist[2] < visible_confidence or wrist[1] > shoulder
        if above[side] > CLEARLY and lowered:
            return side
    return ""


def hand_height(joints: Floats, side: str, visible_confidence: float) -> float:
    """How far a hand is above the head's middle, in lengths from neck to head; below any number when unseen."""
    wrist = joints[JOINT_INDEX[f"{side}_wrist"]]
    if min(wrist[2], joints[HEAD, 2], joints[NECK, 2]) < visible_confidence:
        return -np.inf
    size = max(float(np.hypot(*(joints[HEAD, :2] - joints[NECK, :2]))), 1.0)
    return float(joints[HEAD, 1] - wrist[1]) / size


class RaisedHands:
    """Follows raised hands over time. A hand that the target raises too is no request: others may be doing the pose."""

    def __init__(self, visible_confidence: float) -> None:
        self._visible = visible_confidence
        self._since: dict[int, tuple[float, float]] = {}

    def update(
        self, seconds: float, looks: Iterable[Look], target: Floats | None
    ) -> tuple[tuple[Bid, ...], int | None]:
        """Everybody's requests, and whose is complete, if any: with a hand that was seen up after two seconds.

        Args:
            seconds: of the frame.
            looks: the last one at everybody who is not locked; older than `GAP_SECONDS` they say nothing any more.
            target: joints float32 [15, 3] of the pose that the locked person is to hold, or None.
        """
        of_target = {
            side
            for side in ("left", "right")
            if target is not None and hand_height(target, side, VISIBLE_CONFIDENCE) > 0
        }
        bids, done = [], None
        for look in looks:
            side = raised_side(look.joints, self._visible)
            if not side or side in of_target or not 0 <= seconds - look.seconds <= GAP_SECONDS:
                continue
            began = self._since.get(look.person, (look.seconds, 0.0))[0]
            self._since[look.person] = began, look.seconds
            wrist = look.joints[JOINT_INDEX[f"{side}_wrist"], :2]
            share = min(1.0, (seconds - began) / RAISED_SECONDS)
            bids.append(Bid(look.person, (float(wrist[0]), float(wrist[1])), share))
            if done is None and look.seconds - began >= RAISED_SECONDS:
                done = look.person
        self._since = {number: times for number, times in self._since.items() if 0 <= seconds - times[1] <= GAP_SECONDS}
        if done is not None:
            self._since.clear()
        return tuple(bids), done
