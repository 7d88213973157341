"""Who is in each box and under each skeleton of a frame, by places and clothes. Knows no network, row or schedule."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.bodies import BESIDE_SHARE, LEAST_CONFIDENCE, body_box, same_skeleton, sure_of_somebody
from engines.execution import PoseOutput
from engines.geometry import iou
from realtime.frames import Picture
from realtime.overlaps import apart, middle_of
from realtime.people import KEPT_SECONDS, Crowd, Person
from realtime.signature import difference, signature, torso_of_box, torso_of_joints

Floats = npt.NDArray[np.float32]

LEAST_TRACK_CONFIDENCE = 0.5
CAPTURED_DIFFERENCE = 0.12
"""So much more another's clothes have to be like those under a skeleton than its owner's, to say it is on the other."""
LOOK_SECONDS = 0.4
"""From one look at the clothes, or at the pose of somebody without a row, to the next."""
ANYBODY = -1
LEAST_NEWCOMER = 0.22
"""Of a newcomer, how sure both networks are together (`engines.bodies.sure_of_somebody`). What a detector takes for a
person the pose network often sees no body in; measured in docs/compact_models.md."""
LEAST_BESIDE = BESIDE_SHARE * LEAST_CONFIDENCE
"""The confidence of a box that counts while somebody is known or surely found: less may be but a part of them."""
SAME_PLACE_IOU = 0.5
"""Of two boxes, from which on what was refused in the one is what is found in the other."""


def is_somebody(box: Floats, keypoints: Floats, visible_confidence: float) -> bool:
    """Whether there is a body in a box, by the word of both networks; see `engines.bodies.sure_of_somebody`."""
    return sure_of_somebody(box, keypoints, visible_confidence) >= LEAST_NEWCOMER


class Recognition:
    """Keeps a `Crowd` with what detector and pose network say of each frame, in turn.

    Args:
        visible_confidence: the least confidence of a visible joint.
    """

    def __init__(self, visible_confidence: float) -> None:
        self.crowd = Crowd()
        self._visible = visible_confidence
        self._matched: set[int] = set()
        self._refused: list[tuple[Floats, float]] = []
        self._looked_at: dict[int, float] = {}

    def believed(self, boxes: Sequence[Floats] | Floats) -> list[int]:
        """Which of the detector's boxes float32 [5] count: the sure ones; any, where nobody is known.

        A sure one that was refused lately hides no other. A row of confidence 0 is no box.
        """
        confidences = [float(box[4]) for box in boxes]
        sure = [index for index, confidence in enumerate(confidences) if confidence >= LEAST_BESIDE]
        if self.crowd.people or any(self.refused_at(boxes[index]) == -np.inf for index in sure):
            return sure
        return [index for index, confidence in enumerate(confidences) if confidence > 0]

    def detected(
        self, seconds: float, found: Sequence[Floats], picture: Picture | None
    ) -> tuple[dict[int, int], set[int]]:
        """Takes what the detector found; gives whose each box is, index -> id, and who is behind another.

        Args:
            seconds: of the frame.
            found: each float32 [5].
            picture: uint8 [H, W, 3], for the colours of clothes; None to go by places alone.
        """
        looks: list[Floats | None] = [None] * len(found)
        if picture is not None and (len(found) > 1 or len(self.crowd.people) > 1 or self._due(ANYBODY, seconds)):
            looks = [signature(picture, torso_of_box(box)) for box in found]
        owners = self.crowd.share_out(seconds, found, looks)
        people = {index: self.crowd.get(number) for index, number in owners.items()}
        for person in people.values():
            assert person is not None
            person.hidden_since = None
        for index, person in people.items():
            assert person is not None
            self.crowd.found(person, found[index], looks[index], seconds)
        self._matched = set(owners.values())
        missing = [person for person in self.crowd.people if person.id not in self._matched]
        return owners, {person.id for person in missing if self.crowd.missed(person, seconds)}

    def posed(
        self, seconds: float, rows: Sequence[int | None], boxes: Floats, pose: PoseOutput, picture: Picture | None
    ) -> tuple[set[int], set[int]]:
        """Takes the skeletons of a frame; gives the rows whose skeleton is on somebody else than their person, and
        those of newcomers in whom there is no body, or whose skeleton is that of somebody known.

        Whose skeleton is another's was found twice, and is forgotten. So are those without a body, unless somebody is
        before or behind them and may cover them.

        Args:
            seconds: of the frame.
            rows: the id of who is in each.
            boxes: float32 [K, 5] px, where the pose network looked.
            pose: what it said.
            picture: uint8 [H, W, 3], for the colours of clothes; None to go by places alone.
        """
        captured: set[int] = set()
        refused: set[int] = set()
        self._refused = [one for one in self._refused if 0 <= seconds - one[1] <= KEPT_SECONDS]
        for row, number in enumerate(rows):
            person = self.crowd.get(number)
            if person is None or not boxes[row].any():
                continue
            if not person.confirmed:
                theirs = [other for other in range(len(rows)) if other not in (row, *captured)]
                twice = any(self._on_known(pose.keypoints[row], rows[other], pose.keypoints[other]) for other in theirs)
                if twice or not is_somebody(boxes[row], pose.keypoints[row], self._visible):
                    refused.add(row)
                    self._refuse(person, seconds, twice=twice)
                    continue
            if pose.next_boxes[row].any() and not self._seen(person, seconds, row, boxes[row], pose, picture):
                captured.add(row)
        self._matched = set()
        return captured, refused

    def _seen(
        self, person: Person, seconds: float, row: int, box: Floats, pose: PoseOutput, picture: Picture | None
    ) -> bool:
        """Takes a person's skeleton, found in `box`; False, and nothing is taken, where it is on somebody else."""
        torso = torso_of_joints(pose.joints[row], self._visible)
        contested = self.crowd.contested(person)
        look = None
        if picture is not None and torso is not None and (contested or self._due(person.id, seconds)):
            look = signature(picture, torso)
        if contested and self._on_another(person, pose.next_boxes[row], look):
            return False
        person.confirmed = True
        place = pose.next_boxes[row].copy()
        if person.id in self._matched:
            place[:4] = body_box(box, pose.keypoints[row], self._visible)
        self._follow(person, pose.joints[row], place, look, seconds, contested)
        return True

    def _on_known(self, skeleton: Floats, number: int | None, other: Floats) -> bool:
        """Whether a skeleton float32 [17, 3] is the `other`, that of the person of that id, whose body was seen."""
        person = self.crowd.get(number)
        return person is not None and person.confirmed and same_skeleton(skeleton, other, self._visible)

    def _refuse(self, person: Person, seconds: float, *, twice: bool) -> None:
        """There is no body where somebody was found, or another's that was found `twice`."""
        self._refused = [one for one in self._refused if iou(one[0], person.box) < SAME_PLACE_IOU]
        self._refused.append((person.box, seconds))
        if twice or self.crowd.uncovered(person):
            self.crowd.drop(person)

    def refused_at(self, box: Floats) -> float:
        """When nobody was where the box float32 [5] is, within the last second; -inf where that was not so."""
        times = (when for other, when in self._refused if iou(box, other) >= SAME_PLACE_IOU)
        return max(times, default=-np.inf)

    def _follow(
        self, person: Person, joints: Floats, box: Floats, look: Floats | None, seconds: float, contested: bool
    ) -> None:
        """A person's keypoints say where they are."""
        person.joints, person.joints_at = joints, seconds
        if person.id in self._matched or box[4] >= LEAST_TRACK_CONFIDENCE:
            if contested and person.id in self._matched:
                return  # the detector's box was found before and says more while bodies overlap
            if person.id not in self._matched:
                person.motion.see(seconds, middle_of(box), person.height, covered=float(contested))
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

    def _due(self, number: int, seconds: float) -> bool:
        """Whether it is time for another look at somebody's clothes; if so, it counts as done."""
        due = not 0 <= seconds - self._looked_at.get(number, -np.inf) < LOOK_SECONDS
        if due:
            self._looked_at[number] = seconds
        return due
