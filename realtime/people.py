"""Who is who while people move past each other: motion and the colour of clothes. Knows no network and no rows.

Each person has a place, a speed, and a signature that is learnt only while nobody is near them. What the detector finds
is shared out among all at once, by where each was going and what each wears. Somebody who is not found where another
stands is hidden, goes on unseen at their speed, and is looked for until a second after they should have come out.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from realtime.motion import Motion
from realtime.overlaps import BODY_SHARE, apart, covered_share, joins, may_hide, middle_of, same_body
from realtime.signature import difference
from realtime.stories import MOST_PLACE_COST, PLACE_SHARE, Sight, Story, told

Floats = npt.NDArray[np.float32]

KEPT_SECONDS = 1.0
"""How long somebody is looked for who is not found though nobody is in front of them."""
FOLLOWED_SECONDS = 0.1
"""After which somebody who was in view, by detector or keypoints, is not in view any more."""
HIDDEN_SECONDS = 5.0
"""How long somebody is looked for behind another."""
NEAR_SHARE, SOON_SECONDS, UNKNOWN_SPEED = 0.12, 0.5, 0.5
LEARNING_RATE = 0.1
MOST_GROWTH, TALL_KEPT = 1.7, 0.97
"""A box so many times as tall as somebody lately was is not theirs while others are in view; and the part of their
greatest height that is kept from one look to the next."""
SURE_AGAIN, OPEN_SECONDS = 3, 1.0
"""Findings apart from everybody after which it is clear who is who, and seconds for which two stories stay open."""

REACH, REACH_PER_SECOND, REACH_IN_DOUBT = 0.45, 0.8, 1.2
"""How far from where somebody is expected they may be found, in heights."""
COLOUR_COST, COLOUR_COST_IN_DOUBT = 5.0, 14.0
SAME_CLOTHES, OTHER_CLOTHES = 0.35, 0.6
"""Differences of signatures up to which two may be the same person's, and from which they cannot."""


@dataclass
class Person:
    """Somebody in view or hidden.

    Attributes:
        id: stays theirs.
        box: float32 [4] px, where they are or should be.
        seconds: the time of `box`.
        seen: when they were last found.
        hidden_since: when they were first not found behind another; None while seen.
        doubt: how many findings apart from others are still needed to be sure who is who.
        met: when they were last before or behind another.
        signature: their clothes, once known.
        joints: float32 [15, 3] px as last looked at, and when; None before.
        confirmed: the pose network has seen a body there.
        tall: px, their greatest height of late: less is seen of somebody who is covered, never more.
    """

    id: int
    box: Floats
    seconds: float
    seen: float
    hidden_since: float | None = None
    doubt: int = 0
    met: float = -np.inf
    signature: Floats | None = None
    joints: Floats | None = None
    joints_at: float = -np.inf
    confirmed: bool = False
    motion: Motion = field(init=False)
    tall: float = field(init=False)

    def __post_init__(self) -> None:
        self.tall = self.height
        self.motion = Motion(self.middle, self.seconds)

    @property
    def height(self) -> float:
        """Of the box, px."""
        return max(1.0, float(self.box[3] - self.box[1]))

    @property
    def middle(self) -> float:
        """Of the box, x px."""
        return float(self.box[0] + self.box[2]) / 2

    @property
    def doubtful(self) -> bool:
        """Whether they may be taken for another."""
        return self.doubt > 0 or self.hidden_since is not None

    def expected(self, seconds: float) -> Floats:
        """The box float32 [4] at a later time, at the same speed."""
        moved = self.box.copy()
        moved[[0, 2]] += self.motion.speed * max(0.0, seconds - self.seconds)
        return moved

    def place(self, box: Floats, seconds: float, *, clear: bool) -> None:
        """They are at `box`; `clear` when nobody is near."""
        self.box, self.seconds, self.seen, self.hidden_since = box[:4].copy(), seconds, seconds, None
        self.tall = max(self.height, TALL_KEPT * self.tall)
        if not clear:  # of somebody half covered the detector gives the half that is seen
            self.box[[0, 2]] += self.motion.expected(seconds) - self.middle

    def learn(self, seen: Floats | None) -> None:
        """Takes another look at their clothes, slowly."""
        if seen is not None:
            known = self.signature
            self.signature = seen if known is None else (1 - LEARNING_RATE) * known + LEARNING_RATE * seen


class Crowd:
    """Everybody who is known."""

    def __init__(self) -> None:
        self.people: list[Person] = []
        self._stories = [Story()]
        self._next_id = 0

    def get(self, number: int | None) -> Person | None:
        """The person of that id, or None."""
        return next((person for person in self.people if person.id == number), None)

    def next_in_view(self, number: int | None) -> int | None:
        """Who comes after the person of that id, from left to right and round; None when nobody else is in view."""
        in_view = sorted((one for one in self.people if one.hidden_since is None), key=lambda one: one.middle)
        ids = [person.id for person in in_view]
        if not ids or ids == [number]:
            return None
        return ids[(ids.index(number) + 1) % len(ids)] if number in ids else ids[0]

    def others(self, person: Person) -> list[Person]:
        """Everybody else."""
        return [other for other in self.people if other is not person]

    def alone(self, person: Person) -> bool:
        """Whether no other's body is before or behind this one's."""
        return all(apart(person.box, other.box) > NEAR_SHARE for other in self.others(person))

    def uncovered(self, person: Person) -> bool:
        """Whether nobody's body is before or behind this one's now."""
        return all(apart(person.box, other.box) >= 0 for other in self.others(person))

    def strangers(self, person: Person) -> bool:
        """Whether somebody else's speed is not known yet."""
        return any(not other.motion.known and other.hidden_since is None for other in self.others(person))

    def contested(self, person: Person) -> bool:
        """Whether another is before or behind them, or will be soon, or there is still doubt who is who."""
        return person.doubt > 0 or any(self.meets(person, other) for other in self.others(person))

    def meets(self, person: Person, other: Person) -> bool:
        """Whether two are, or soon will be, before each other."""
        height = max(person.height, other.height)
        gap = apart(person.box, other.box) * height
        away = other.middle - person.middle
        known = other.motion.known and person.motion.known
        closing = (person.motion.speed - other.motion.speed) * float(np.sign(away))
        closing = max(closing, 0.0 if known else UNKNOWN_SPEED * height)
        return gap < NEAR_SHARE * height + closing * SOON_SECONDS

    def share_out(self, seconds: float, boxes: Sequence[Floats], looks: Sequence[Floats | None]) -> dict[int, int]:
        """Whose box is whose: index of the box -> id. Those nobody is expected at belong to newcomers.

        A newcomer does not begin within the box of another, nor beside people of whom it is in doubt who is who: the
        same body was found twice, and that box is nobody's.

        Args:
            seconds: of the frame.
            boxes: each float32 [5], as found by the detector.
            looks: the signature in each box.
        """
        if not any(person.doubtful for person in self.people):
            self._stories = self._stories[:1]
        ids = [person.id for person in self.people]
        joined = self.joined(boxes)
        self._stories = told(self._stories, ids, self.sight(seconds, boxes, looks, joined))
        for person in self.people:
            person.motion = self._stories[0].motions[person.id]
        owners = {box: ids[row] for row, box in self._stories[0].pairs.items()}
        doubtful = [person.box for person in self.people if person.doubtful]
        for index, box in enumerate(boxes):
            twice = any(same_body(box, boxes[other]) for other in owners)
            nobodys = index in owners or index in joined or twice
            if not nobodys and all(apart(box, other) > NEAR_SHARE for other in doubtful):
                owners[index] = self._newcomer(box, seconds)
        return owners

    def _newcomer(self, box: Floats, seconds: float) -> int:
        person = Person(self._next_id, box[:4].copy(), seconds, seconds)
        self.people.append(person)
        self._next_id += 1
        for story in self._stories:
            story.motions[person.id] = copy(person.motion)
        person.motion = self._stories[0].motions[person.id]
        return person.id

    def joined(self, boxes: Sequence[Floats]) -> set[int]:
        """Which boxes hold two bodies as one; they are nobody's and hide nobody."""
        bodies = [person.box for person in self.people]
        return {
            index
            for index, box in enumerate(boxes)
            if joins(box, bodies + [other for other in boxes if other is not box])
        }

    def sight(self, seconds: float, boxes: Sequence[Floats], looks: Sequence[Floats | None], joined: set[int]) -> Sight:
        """What was found, and how unlike it is to whom, places sideways apart; boxes `joined` are nobody's."""
        shape = len(self.people), len(boxes)
        heights, costs, reach = np.zeros(shape), np.zeros(shape), np.zeros(shape[0])
        hides = np.zeros(shape, np.bool_)
        for row, person in enumerate(self.people):
            unseen = min(seconds - person.seen, KEPT_SECONDS)
            reach[row] = REACH_IN_DOUBT if person.doubtful else REACH + REACH_PER_SECOND * unseen
            weight = (COLOUR_COST_IN_DOUBT if person.doubtful else COLOUR_COST) * self.distinct(person)
            for column, (box, look) in enumerate(zip(boxes, looks, strict=True)):
                heights[row, column] = max(person.height, float(box[3] - box[1]))
                above = 0.5 * float(np.abs(box[[1, 3]] - person.box[[1, 3]]).min()) / heights[row, column]
                unlike = difference(person.signature, look)
                costs[row, column] = weight * (0.4 if unlike is None else unlike)
                costs[row, column] += min((above / PLACE_SHARE) ** 2, MOST_PLACE_COST)
                hides[row, column] = may_hide(box, person.box, person.height) and column not in joined
                grown = len(self.people) > 1 and float(box[3] - box[1]) > MOST_GROWTH * person.tall
                if above > reach[row] or grown or column in joined:
                    costs[row, column] = np.inf
        unsure = [row for row, person in enumerate(self.people) if person.doubtful]
        lost = [row for row, person in enumerate(self.people) if person.hidden_since is not None]
        hidden = [self.people[row].box for row in lost] if len(boxes) < len(self.people) else []
        return Sight(
            seconds,
            tall=[person.height for person in self.people],
            middles=[middle_of(box) for box in boxes],
            heights=heights,
            costs=costs,
            reach=reach,
            covered=[covered_share(box, [other for other in boxes if other is not box] + hidden) for box in boxes],
            hides=hides,
            followed=np.array([seconds - person.seen <= FOLLOWED_SECONDS for person in self.people], np.bool_),
            edges=[BODY_SHARE + NEAR_SHARE * (row in lost) for row in range(len(self.people))],
            lost=lost,
            unsure=unsure,
        )

    def distinct(self, person: Person) -> float:
        """How much clothes can tell a person from the others, 0 (another wears the same) to 1."""
        known = [difference(person.signature, other.signature) for other in self.others(person)]
        nearest = min((one for one in known if one is not None), default=1.0)
        return float(np.clip((nearest - SAME_CLOTHES) / (OTHER_CLOTHES - SAME_CLOTHES), 0, 1))

    def found(self, person: Person, box: Floats, look: Floats | None, seconds: float) -> None:
        """A person is where the detector found them."""
        clear = self.alone(person)
        person.place(box, seconds, clear=clear and not person.doubt)
        if not clear:
            person.doubt, person.met = SURE_AGAIN, seconds
        elif person.doubt:
            is_open = len(self._stories) > 1 and seconds - person.met < OPEN_SECONDS
            person.doubt = max(person.doubt - 1, int(is_open))
        elif person.signature is None or person.joints is None:
            person.learn(look)

    def missed(self, person: Person, seconds: float) -> bool:
        """A person whom the detector did not find moves on unseen; whether they are behind another."""
        if person.id not in self._stories[0].hidden:
            return False
        moved = person.motion.place - person.middle
        person.box = person.box + np.array([moved, 0, moved, 0], np.float32)  # a new one: others keep the last
        person.seconds, person.met, person.doubt = seconds, seconds, SURE_AGAIN
        person.hidden_since = seconds if person.hidden_since is None else person.hidden_since
        if seconds - person.hidden_since <= HIDDEN_SECONDS:
            person.seen = max(person.seen, seconds - 0.5 * KEPT_SECONDS)
        return True

    def drop(self, person: Person) -> None:
        """Forgets somebody at once."""
        self.people = self.others(person)

    def forget(self, seconds: float) -> None:
        """Forgets whoever has not been seen for too long."""
        self.people = [person for person in self.people if seconds - person.seen <= KEPT_SECONDS]
