"""Who is in each box and under each skeleton of a frame, by places and clothes. Knows no network, row or schedule."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from realtime.frames import Picture
from realtime.overlaps import apart, iou, middle_of
from realtime.people import Crowd, Person
from realtime.signature import difference, signature, torso_of_box, torso_of_joints

Floats = npt.NDArray[np.float32]

LEAST_TRACK_CONFIDENCE = 0.5
CAPTURED_DIFFERENCE = 0.12
"""So much more another's clothes have to be like those under a skeleton than its owner's, to say it is on the other."""
LOOK_SECONDS = 0.4
"""From one look at the clothes, or at the pose of somebody without a row, to the next."""
ANYBODY = -1


class Recognition:
    """Keeps a `Crowd` with what detector and pose network say of each frame, in turn.

    Args:
        visible_confidence: the least confidence of a visible joint.
    """

    def __init__(self, visible_confidence: float) -> None:
        self.crowd = Crowd()
        self._visible = visible_confidence
        self._matched: set[int] = set()
        self._looked_at: dict[int, float] = {}

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
        self,
        seconds: float,
        rows: Sequence[int | None],
        joints: Floats,
        next_boxes: Floats,
        picture: Picture | None,
    ) -> set[int]:
        """Takes the skeletons of a frame; gives the rows whose skeleton is on somebody else than their person.

        Args:
            seconds: of the frame.
            rows: the id of who is in each.
            joints: float32 [K, 15, 3] px.
            next_boxes: float32 [K, 5] px, of the keypoints.
            picture: uint8 [H, W, 3], for the colours of clothes; None to go by places alone.
        """
        captured = set()
        for row, number in enumerate(rows):
            person = self.crowd.get(number)
            if person is None or not next_boxes[row].any():
                continue
            torso = torso_of_joints(joints[row], self._visible)
            contested = self.crowd.contested(person)
            look = None
            if picture is not None and torso is not None and (contested or self._due(person.id, seconds)):
                look = signature(picture, torso)
            if contested and self._on_another(person, next_boxes[row], look):
                captured.add(row)
            else:
                self._follow(person, joints[row], next_boxes[row], look, seconds, contested)
        self._matched = set()
        return captured

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
