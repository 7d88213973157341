"""Whom to stay with when the frames follow each other on a GPU, and the host hears of each up to two frames late.

On the device every frame takes the last one's `next_boxes[0]` as its anchor, and looks there when the detector finds
nobody. That is all that is needed while the person is seen and nobody is near. Here is the rest: what the host says
when they are not there, are about to be crossed, or another is chosen; and which row of each result is whose. Knows no
GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.execution import PoseOutput
from engines.skeleton import VISIBLE_CONFIDENCE
from realtime.frames import Picture
from realtime.overlaps import same_body
from realtime.people import KEPT_SECONDS, Crowd
from realtime.recognition import LEAST_TRACK_CONFIDENCE, Recognition
from realtime.tracking import DETECT_EVERY_AUTO, rest

Floats = npt.NDArray[np.float32]

EMPTY = -1
"""In an order of rows: nobody."""


@dataclass(frozen=True)
class DevicePlan:
    """What a frame is submitted with (see `engines.cuda_chain.CudaChain.submit`), and the id of whom it is about."""

    seconds: float
    detect: bool
    override: Floats | None
    about: int | None

    @property
    def looks_for(self) -> bool:
        """Whether somebody who was lost is looked for, and not followed."""
        return self.override is not None and bool(self.override.any()) and self.override[0, 4] == 0


class DeviceTracker:
    """Keeps the scored person while anchors pass from frame to frame on the device.

    They are kept for one second without being seen before another is chosen, and longer while another stands before
    them. A newcomer who is nobody (`realtime.recognition.is_somebody`) is not kept.

    Args:
        people: K.
        detect_every: frames from one detection to the next; None for automatic, as `realtime.tracking.Tracker` has it.
        stills: every frame stands for itself.
        visible_confidence: the least confidence of a visible joint.

    Attributes:
        rows: the id of who is in each row of the last result taken; row 0 is whom it is about.
        hidden: whether they were behind another.
        followed: how sure the keypoints were by which row 0 was followed; None where the detector found them or rested.
    """

    def __init__(
        self,
        people: int,
        *,
        detect_every: int | None = None,
        stills: bool = False,
        visible_confidence: float = VISIBLE_CONFIDENCE,
    ) -> None:
        self._people, self._stills = people, stills
        self._detect_every = detect_every or DETECT_EVERY_AUTO
        self._visible = visible_confidence
        self._last_seconds: float | None = None
        self._since_detection = self._detect_every
        self._reset()

    def _reset(self) -> None:
        self._recognition = Recognition(self._visible)
        self.rows: list[int | None] = [None] * self._people
        self.hidden = False
        self.followed: float | None = None
        self._locked: int | None = None
        self._on_device: list[int | None] = [None] * self._people
        self._in_place, self._just_chosen, self._adrift = True, False, False
        self._found_again = False
        self._confidence = 0.0

    @property
    def crowd(self) -> Crowd:
        """Everybody who is known."""
        return self._recognition.crowd

    def choose(self, number: int | None) -> bool:
        """Locks another person, or the next in view, from left to right, when None; False when there is none."""
        number = self.crowd.next_in_view(self._locked) if number is None else number
        if number is None or number == self._locked or self.crowd.get(number) is None:
            return False
        self._locked, self._in_place, self._just_chosen = number, False, True
        return True

    def plan(self, seconds: float) -> DevicePlan:
        """How to submit the frame at `seconds`."""
        passed = 0.0 if self._last_seconds is None or self._stills else max(0.0, seconds - self._last_seconds)
        self._last_seconds = seconds
        override = self._override(seconds)
        due = self._since_detection >= rest(self._detect_every, self.crowd, self.crowd.get(self._locked))
        detect = self._stills or due or override is not None or self._confidence < LEAST_TRACK_CONFIDENCE
        self._since_detection = 1 if detect else self._since_detection + 1
        return DevicePlan(passed, detect, override, self._locked)

    def _override(self, seconds: float) -> Floats | None:
        """What the device is told to stay with; None where it knows itself.

        Somebody whose keypoints were lost is looked for, and not followed before they are found, as on a CPU.
        """
        boxes = np.zeros((self._people, 5), np.float32)
        locked = self.crowd.get(self._locked)
        gone = locked is None or seconds - locked.seen > KEPT_SECONDS
        if self._stills or (self._locked is not None and gone):
            self._locked, self._in_place = None, True
            return boxes
        if locked is None:
            return boxes if self._adrift else None
        if self._in_place and not self._found_again and not self.crowd.contested(locked):
            return None
        boxes[0, :4], boxes[0, 4] = locked.expected(seconds), self._in_place or self._just_chosen
        return boxes

    def accept(
        self, seconds: float, plan: DevicePlan, boxes: Floats, pose: PoseOutput, picture: Picture | None = None
    ) -> list[int]:
        """Takes a result, in the order of submission; gives for each of `rows` the device's row, or EMPTY.

        Args:
            seconds: of the frame.
            plan: what it was submitted with.
            boxes: float32 [D, 5], where people were found; the first K are where the pose engine looked. Row 0 with
                confidence 0 is somebody who was not found and is followed.
            pose: of the K people.
            picture: uint8 [H, W, 3], for the colours of clothes; None to go by places alone.
        """
        if self._stills:
            self._reset()
        self.crowd.forget(seconds)
        ids, unseen = self._owners(seconds, plan, boxes, picture)
        captured, refused = self._recognition.posed(seconds, ids, boxes, pose, picture)
        self._on_device = [None if row in captured | refused else number for row, number in enumerate(ids)]
        if self._locked is None and self._on_device[0] != plan.about:  # not whom it let go meanwhile
            self._locked = self._on_device[0]
        if 0 in refused and self._locked in (None, ids[0]):
            self._choose_another()
        self.followed = self._confidence if is_followed(boxes[0]) else None
        posed = bool(pose.next_boxes[0].any())
        in_place = self._on_device[0] == self._locked and posed
        self._found_again = in_place and not self._in_place
        sent_before = plan.looks_for and self._in_place  # found again in the frame before: a miss says nothing
        if in_place or 0 in refused or not sent_before:
            self._confidence = 0.0 if 0 in refused else float(pose.next_boxes[0, 4])
            self._in_place = in_place
        self._adrift = posed and self._locked is None is self._on_device[0]  # the device stays with what is nobody
        self._just_chosen = self._just_chosen and plan.about != self._locked
        about = self._locked if self.crowd.get(plan.about) is None else plan.about
        self.hidden = about in unseen or any(ids[row] == about for row in captured)
        self.rows = self._rows(about)
        places = {number: row for row, number in enumerate(self._on_device) if number is not None}
        return [EMPTY if number is None else places.get(number, EMPTY) for number in self.rows]

    def _choose_another(self) -> None:
        """Stays with anyone in view, known or not refused: in the device's row 0 is nobody, and would be again."""
        in_view = [person for person in self.crowd.people if person.hidden_since is None]
        refused_at = self._recognition.refused_at
        others = [person.id for person in in_view if person.confirmed or refused_at(person.box) == -np.inf]
        self._locked = next(iter(others), None)
        self._just_chosen = self._locked is not None

    def _owners(
        self, seconds: float, plan: DevicePlan, boxes: Floats, picture: Picture | None
    ) -> tuple[list[int | None], set[int]]:
        """Who is in each of the device's K rows, and who is behind another."""
        if not plan.detect:  # the device looked where the people of its last frame were
            return [number if boxes[row].any() else None for row, number in enumerate(self._on_device)], set()
        places = self._recognition.believed(boxes)
        owners, unseen = self._recognition.detected(seconds, [boxes[index] for index in places], picture)
        by_place = {places[index]: number for index, number in owners.items()}
        ids = [by_place.get(row) for row in range(self._people)]
        if is_followed(boxes[0]):
            number = self._on_device[0] if plan.override is None else plan.about
            if number not in by_place.values() and number not in unseen and self.crowd.get(number) is not None:
                ids[0] = number
        for place, number in by_place.items():  # found twice, and the device looks into the other box
            for row in range(self._people if place >= self._people else 0):
                if ids[row] is None and boxes[row, 4] > 0 and same_body(boxes[row], boxes[place]):
                    ids[row] = number
                    break
        return ids, unseen

    def _rows(self, about: int | None) -> list[int | None]:
        """`about` in row 0; the others that the device has, each in the row they had before if it is free."""
        others = [number for number in self._on_device if number not in (None, about)]
        rows: list[int | None] = [about] + [number if number in others else None for number in self.rows[1:]]
        waiting: Sequence[int | None] = [number for number in others if number not in rows]
        for row in range(1, self._people):
            if rows[row] is None and waiting:
                rows[row], waiting = waiting[0], waiting[1:]
        return rows


def is_followed(box: Floats) -> bool:
    """Whether a box float32 [5] of the detector is of somebody whom it did not find."""
    return bool(box.any() and box[4] == 0)
