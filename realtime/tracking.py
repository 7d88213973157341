"""Who to look at next: when to detect, whom to stay with, which row is whom. Knows no network.

Row 0 is the person that is scored, the locked one. Between detections everybody is followed by their own keypoints;
where people meet, the detector looks in every frame, and `realtime.people` says who is who.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engines.execution import PoseOutput
from realtime.frames import Picture
from realtime.people import KEPT_SECONDS, Crowd, Person, apart
from realtime.signature import difference, signature, torso_of_box, torso_of_joints

Floats = npt.NDArray[np.float32]

DETECT_EVERY_AUTO = 15
DETECT_EVERY_STRANGERS = 3
"""While it is not known how fast another is."""
LEAST_TRACK_CONFIDENCE = 0.5
ANCHOR_SECONDS = KEPT_SECONDS
CAPTURED_DIFFERENCE = 0.12
"""So much more another's clothes have to be like those under a skeleton than its owner's, to say it is on the other."""
LOOK_SECONDS = 0.4
"""From one look at the clothes, or at the pose of somebody without a row, to the next."""


@dataclass(frozen=True)
class Plan:
    """What to do with one frame: whether to detect, the anchor float32 [4] to detect with, and the seconds passed."""

    detect: bool
    anchor: Floats
    seconds: float


class Tracker:
    """Follows up to K people from frame to frame by their own keypoints, and says when the detector has to look again.

    Row 0 is kept for one second without being seen before another is chosen, and longer while another stands before
    them.

    Args:
        people: K.
        detect_every: frames from one detection to the next; None for automatic.
        smoothing: False gives the pose engine no past, which switches its filter off.
        visible_confidence: the least confidence of a visible joint.
    """

    def __init__(
        self,
        people: int,
        *,
        detect_every: int | None = None,
        smoothing: bool = True,
        visible_confidence: float = 0.3,
    ) -> None:
        self.people = people
        self.detect_every = detect_every or DETECT_EVERY_AUTO
        self.smoothing = smoothing
        self._visible = visible_confidence
        self.reset()

    def reset(self) -> None:
        """Forgets everybody."""
        self.state: Floats = np.zeros((self.people, 17, 4), np.float32)
        self.boxes: Floats = np.zeros((self.people, 5), np.float32)
        self.crowd = Crowd()
        self.rows: list[int | None] = [None] * self.people
        self.hidden = False
        self._matched: set[int] = set()
        self._looked_at: dict[int, float] = {}
        self._last_seconds: float | None = None
        self._since_detection = self.detect_every

    @property
    def locked(self) -> Person | None:
        """Who is scored."""
        return self.crowd.get(self.rows[0])

    def plan(self, seconds: float) -> Plan:
        """What to do with the frame at `seconds`."""
        passed = 0.0 if self._last_seconds is None else max(0.0, seconds - self._last_seconds)
        self._last_seconds = seconds
        self.crowd.forget(seconds)
        for row, number in enumerate(self.rows):
            if number is not None and self.crowd.get(number) is None:
                self._empty(row)
        locked = self.locked
        anchor = np.zeros(4, np.float32)
        contested = False
        if locked is not None:
            contested = self.crowd.contested(locked)
            anchor = locked.expected(seconds) if contested else locked.box.copy()
        every = self.detect_every
        if locked is not None and self.crowd.strangers(locked):
            every = min(every, DETECT_EVERY_STRANGERS)
        due = self._since_detection + 1 >= every
        unsure = bool(self.boxes[0, 4] < LEAST_TRACK_CONFIDENCE)
        return Plan(due or unsure or contested, anchor, passed)

    def boxes_after_detection(self, detected: Floats, picture: Picture | None = None) -> Floats:
        """The boxes float32 [K, 5] to look into, from those the detector found with the planned anchor.

        The locked person, when missed by the detector, is followed by their keypoints, for one second if those are
        unsure, unless another stands there; the others keep their rows.

        Args:
            detected: float32 [D, 5], D of any size, rows of zeros where nobody is.
            picture: uint8 [H, W, 3], for the colours of clothes; None to go by places alone.
        """
        self._since_detection = -1
        seconds = self._last_seconds or 0.0
        found = [box for box in detected if box.any()]
        first = found[0] if found and detected[0].any() else None
        looks: list[Floats | None] = [None] * len(found)
        if picture is not None and (len(found) > 1 or len(self.crowd.people) > 1 or self._due(-1)):
            looks = [signature(picture, torso_of_box(box)) for box in found]
        owners = self.crowd.share_out(seconds, found, looks)
        placed: dict[int, Floats] = {}
        for index, number in owners.items():
            person = self.crowd.get(number)
            assert person is not None
            person.hidden_since = None
            placed[number] = found[index]
        for index, number in owners.items():
            person = self.crowd.get(number)
            assert person is not None
            self.crowd.found(person, found[index], looks[index], seconds)
        self._matched = set(placed)
        missing = [person for person in self.crowd.people if person.id not in placed]
        unseen = {person.id for person in missing if self.crowd.missed(person, seconds)}
        self._fill_rows([number for _, number in sorted(owners.items())], first is None)
        return self._boxes_of_rows(placed, unseen)

    def _fill_rows(self, found: Sequence[int], first_missing: bool) -> None:
        """Gives free rows to whoever has none, in the detector's order; row 0 first."""
        waiting = [number for number in found if number not in self.rows]
        for row in range(self.people):
            if self.rows[row] is None and waiting:
                self.rows[row] = waiting.pop(0)
        if self.rows[0] is None:  # somebody who has a row already is the next to be scored
            others = [number for number in found if number in self.rows]
            if others:
                self._exchange(others[0])

    def _boxes_of_rows(self, placed: dict[int, Floats], unseen: set[int]) -> Floats:
        boxes = np.zeros_like(self.boxes)
        for row, number in enumerate(self.rows):
            if number is None:
                continue
            if number in placed:
                boxes[row] = placed[number]
            elif row == 0 and number not in unseen:
                boxes[row] = self.boxes[row]
        self.hidden = self.rows[0] in unseen
        return boxes

    def update(
        self, seconds: float, pose: PoseOutput, boxes: Floats, picture: Picture | None = None
    ) -> tuple[PoseOutput, Floats]:
        """Takes what the pose engine said of the frame at `seconds`; gives it, and the boxes, without skeletons that
        are on somebody else than their row's person.

        Args:
            seconds: of the frame.
            pose: what the engine said.
            boxes: float32 [K, 5], where it looked.
            picture: uint8 [H, W, 3], for the colours of clothes.
        """
        self._since_detection += 1
        next_boxes, state, boxes = pose.next_boxes.copy(), pose.state.copy(), boxes.copy()
        if not boxes[0].any() and self.locked is not None and self.locked.hidden_since is None:
            self.hidden = False
        for row, number in enumerate(self.rows):
            person = self.crowd.get(number)
            if person is None or not next_boxes[row].any():
                continue
            torso = torso_of_joints(pose.joints[row], self._visible)
            contested = self.crowd.contested(person)
            look = None
            if picture is not None and torso is not None and (contested or self._due(person.id)):
                look = signature(picture, torso)
            if contested and self._on_another(person, next_boxes[row], look):
                next_boxes[row] = boxes[row] = state[row] = 0
                self.hidden = self.hidden or row == 0
                continue
            self._follow(person, pose.joints[row], next_boxes[row], look, seconds, contested)
        self.boxes = next_boxes
        self.state = state if self.smoothing else np.zeros_like(state)
        self._matched = set()
        if (next_boxes == pose.next_boxes).all():
            return pose, boxes
        return replace(pose, next_boxes=next_boxes, state=state), boxes

    def _follow(
        self, person: Person, joints: Floats, box: Floats, look: Floats | None, seconds: float, contested: bool
    ) -> None:
        """A person's keypoints say where they are."""
        person.joints, person.joints_at = joints, seconds
        if person.id in self._matched or box[4] >= LEAST_TRACK_CONFIDENCE:
            if contested and person.id in self._matched:
                return  # the detector's box was found before and says more while bodies overlap
            person.place(box, seconds, clear=not contested)
        else:
            person.box, person.seconds = box[:4].copy(), seconds
        if not contested:
            person.learn(look)

    def _on_another(self, person: Person, box: Floats, look: Floats | None) -> bool:
        """Whether the skeleton in `box` is on somebody who stands before this person, by place and by clothes."""
        rivals = [other for other in self.crowd.others(person) if apart(box, other.box) < 0]
        own = difference(person.signature, look)
        for other in rivals:
            others = difference(other.signature, look)
            if own is not None and others is not None and abs(own - others) > CAPTURED_DIFFERENCE:
                if others < own:
                    return True
            elif iou(box, other.box) > iou(box, person.box) + 0.1:
                return True
        return False

    def _due(self, number: int) -> bool:
        """Whether it is time for another look at somebody's clothes; if so, it counts as done."""
        seconds = self._last_seconds or 0.0
        due = not 0 <= seconds - self._looked_at.get(number, -np.inf) < LOOK_SECONDS
        if due:
            self._looked_at[number] = seconds
        return due

    def nobody(self, seconds: float) -> None:
        """There was nobody to look at in the frame at `seconds`."""
        self._since_detection += 1
        self.boxes = np.zeros_like(self.boxes)
        self.state = np.zeros_like(self.state)

    def choose(self, number: int | None) -> bool:
        """Locks another person, or the next in view, from left to right, when None; False when there is none."""
        in_view = sorted(
            (person for person in self.crowd.people if person.hidden_since is None), key=lambda person: person.middle
        )
        if number is None:
            ids = [person.id for person in in_view]
            if not ids or ids == [self.rows[0]]:
                return False
            number = ids[(ids.index(self.rows[0]) + 1) % len(ids)] if self.rows[0] in ids else ids[0]
        if number == self.rows[0] or self.crowd.get(number) is None:
            return False
        self._exchange(number)
        return True

    def _exchange(self, number: int) -> None:
        """Somebody takes row 0; who was there takes theirs, if they had one. Smoothing goes with each."""
        self._since_detection = self.detect_every
        if number in self.rows:
            row = self.rows.index(number)
            order = [0, row], [row, 0]
            self.rows[0], self.rows[row] = self.rows[row], self.rows[0]
            self.boxes[order[0]], self.state[order[0]] = self.boxes[order[1]], self.state[order[1]]
            return
        self._empty(0)
        self.rows[0] = number
        person = self.crowd.get(number)
        if person is not None:
            self.boxes[0, :4] = person.box

    def _empty(self, row: int) -> None:
        """Nobody has this row any more."""
        self.rows[row] = None
        self.boxes[row] = self.state[row] = 0
        self.hidden = self.hidden and row != 0

    def to_look_at(self, seconds: float) -> Person | None:
        """Somebody in view without a row whose pose was not looked at lately: to see whether they raise a hand."""
        waiting = [
            person
            for person in self.crowd.people
            if person.id not in self.rows and person.hidden_since is None and seconds - person.joints_at >= LOOK_SECONDS
        ]
        return min(waiting, key=lambda person: person.joints_at, default=None)


def iou(first: Floats, second: Floats) -> float:
    """Intersection over union of two boxes float32 [4+]."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:4], second[2:4])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = (float(np.prod(np.clip(box[2:4] - box[:2], 0, None))) for box in (first, second))
    return shared / max(sum(areas) - shared, 1e-6)
