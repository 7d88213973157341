"""Who to look at next: when to detect, whom to stay with, which row is whom. Knows no network.

Row 0 is the person that is scored, the locked one. Between detections everybody is followed by their own keypoints;
where people meet, the detector looks in every frame, and `realtime.people` says who is who.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engines.execution import PoseOutput
from engines.geometry import PIECE_SHARE, SURE_CONFIDENCE, shared_area
from engines.skeleton import VISIBLE_CONFIDENCE
from realtime.frames import Picture
from realtime.people import KEPT_SECONDS, Crowd, Person
from realtime.raised_hand import raised_side
from realtime.recognition import LEAST_TRACK_CONFIDENCE, LOOK_SECONDS, Recognition

Floats = npt.NDArray[np.float32]

DETECT_EVERY_AUTO = 15
DETECT_EVERY_STRANGERS = 3
"""While it is not known how fast another is."""
ANCHOR_SECONDS = KEPT_SECONDS
RAISED_HASTE = 10
"""How much sooner whoever raised a hand is looked at again."""


@dataclass(frozen=True)
class Plan:
    """What to do with one frame: whether to detect, the anchor float32 [4] to detect with, and the seconds passed."""

    detect: bool
    anchor: Floats
    seconds: float


def is_piece(box: Floats, followed: Floats) -> bool:
    """Whether a detector's box float32 [5] is but a piece of somebody with sure keypoints of bounds float32 [5].

    The detect graph says the same of row 0, for a GPU (`engines.graphs.detect`).
    """
    whole = float(np.prod(followed[2:4] - followed[:2]))
    doubtful = bool(followed[4] >= SURE_CONFIDENCE > box[4])
    return doubtful and shared_area(box, followed) < PIECE_SHARE * whole


def rest(detect_every: int, crowd: Crowd, locked: Person | None) -> int:
    """Frames from one detection to the next: `detect_every`, or fewer while it is not known how fast another is."""
    return min(detect_every, DETECT_EVERY_STRANGERS) if locked is not None and crowd.strangers(locked) else detect_every


class Tracker:
    """Follows up to K people from frame to frame by their own keypoints, and says when the detector has to look again.

    Row 0 is kept for one second without being seen before another is chosen, and longer while another stands before
    them. A newcomer who is nobody (`realtime.recognition.is_somebody`) is not kept.

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
        visible_confidence: float = VISIBLE_CONFIDENCE,
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
        self._recognition = Recognition(self._visible)
        self.rows: list[int | None] = [None] * self.people
        self.hidden = False
        self._last_seconds: float | None = None
        self._since_detection = self.detect_every

    @property
    def crowd(self) -> Crowd:
        """Everybody who is known."""
        return self._recognition.crowd

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
        due = self._since_detection + 1 >= rest(self.detect_every, self.crowd, locked)
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
        found = [detected[index] for index in self._recognition.believed(detected)]
        owners, unseen = self._recognition.detected(self._last_seconds or 0.0, found, picture)
        order = sorted(owners, key=lambda index: (self._recognition.refused_at(found[index]), index))
        self._fill_rows([owners[index] for index in order])
        return self._boxes_of_rows({number: found[index] for index, number in owners.items()}, unseen)

    def _fill_rows(self, found: Sequence[int]) -> None:
        """Gives free rows to whoever has none, in their order; row 0 to somebody who has another row already."""
        known = [number for number in found if number in self.rows]
        if self.rows[0] is None and known:
            self._exchange(known[0])
        waiting = [number for number in found if number not in self.rows]
        for row in range(self.people):
            if self.rows[row] is None and waiting:
                self.rows[row] = waiting.pop(0)

    def _boxes_of_rows(self, placed: dict[int, Floats], unseen: set[int]) -> Floats:
        boxes = np.zeros_like(self.boxes)
        for row, number in enumerate(self.rows):
            if number is None:
                continue
            if number in placed:
                piece = is_piece(placed[number], self.boxes[row])
                boxes[row] = self.boxes[row] if piece else placed[number]
            elif row == 0 and number not in unseen:
                boxes[row] = self.boxes[row]
        self.hidden = self.rows[0] in unseen
        return boxes

    def update(
        self, seconds: float, pose: PoseOutput, boxes: Floats, picture: Picture | None = None
    ) -> tuple[PoseOutput, Floats]:
        """Takes what the pose engine said of the frame at `seconds`; gives it, and the boxes, without skeletons that
        are on somebody else than their row's person, and without newcomers in whom there is no body.

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
        captured, refused = self._recognition.posed(seconds, self.rows, boxes, pose, picture)
        for row in captured | refused:
            next_boxes[row] = boxes[row] = state[row] = 0
        for row in refused:
            self.rows[row] = None
        self.hidden = self.hidden or 0 in captured
        self.boxes = next_boxes
        self.state = state if self.smoothing else np.zeros_like(state)
        if not captured and not refused:
            return pose, boxes
        return replace(pose, next_boxes=next_boxes, state=state), boxes

    def nobody(self) -> None:
        """There was nobody to look at in a frame."""
        self._since_detection += 1
        self.boxes = np.zeros_like(self.boxes)
        self.state = np.zeros_like(self.state)

    def choose(self, number: int | None) -> bool:
        """Locks another person, or the next in view, from left to right, when None; False when there is none."""
        number = self.crowd.next_in_view(self.rows[0]) if number is None else number
        if number is None or number == self.rows[0] or self.crowd.get(number) is None:
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
        """Somebody in view without a row whose pose was not looked at for longest: to see whether they raise a hand.

        One look at any of them is enough for a while. Only who raised a hand at the last look comes again as soon, or a
        request could not be followed among many; the others' turn still comes.
        """

        def raised(person: Person) -> bool:
            return person.joints is not None and bool(raised_side(person.joints, self._visible))

        def waited(person: Person) -> float:
            return (seconds - person.joints_at) * (RAISED_HASTE if raised(person) else 1)

        others = [person for person in self.crowd.people if person.id not in self.rows and person.hidden_since is None]
        waiting = [person for person in others if seconds - person.joints_at >= LOOK_SECONDS]
        if len(waiting) < len(others):
            waiting = [person for person in waiting if raised(person)]
        return max(waiting, key=waited, default=None)
