"""Who is who while people move past each other: motion and the colour of clothes. Knows no network and no rows.

Each person has a place, a speed, and a signature that is learnt only while nobody is near them. What the detector finds
is shared out among all at once, by where each was going and what each wears. Somebody who is not found where another
stands is hidden, goes on unseen at their speed, and is looked for until a second after they should have come out.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from realtime.signature import difference

Floats = npt.NDArray[np.float32]

KEPT_SECONDS = 1.0
"""How long somebody is looked for who is not found though nobody is in front of them."""
HIDDEN_SECONDS = 5.0
"""How long somebody is looked for behind another."""
SPEED_SECONDS = 1.0
BODY_SHARE = 0.3
"""The width of a body without its arms, in parts of its height."""
WITHIN_SHARE, LIKE_HEIGHT = 0.75, 0.6
NEAR_SHARE, SOON_SECONDS, UNKNOWN_SPEED = 0.12, 0.5, 0.5
LEARNING_RATE = 0.1
SURE_AGAIN = 3
"""Findings apart from everybody after which there is no doubt left who is who."""

REACH, REACH_PER_SECOND, REACH_IN_DOUBT = 0.45, 0.8, 1.2
"""How far from where somebody is expected they may be found, in heights."""
PLACE_SHARE, PLACE_PER_SECOND, MOST_PLACE_COST = 0.2, 0.3, 9.0
COLOUR_COST, COLOUR_COST_IN_DOUBT = 5.0, 14.0
NOT_FOUND_COST = 14.0
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
        signature: their clothes, once known.
        joints: float32 [15, 3] px as last looked at, and when; None before.
    """

    id: int
    box: Floats
    seconds: float
    seen: float
    hidden_since: float | None = None
    doubt: int = 0
    signature: Floats | None = None
    joints: Floats | None = None
    joints_at: float = -np.inf
    path: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=24))

    @property
    def height(self) -> float:
        """Of the box, px."""
        return max(1.0, float(self.box[3] - self.box[1]))

    @property
    def middle(self) -> float:
        """Of the box, x px."""
        return float(self.box[0] + self.box[2]) / 2

    @property
    def speed(self) -> float | None:
        """Sideways, px a second, from where they were lately while nobody was near; None before it is known."""
        times = [(seconds, x) for seconds, x in self.path if self.path[-1][0] - seconds <= SPEED_SECONDS]
        if len(times) < 2 or times[-1][0] - times[0][0] < 0.1:
            return None
        when, where = np.array(times).T
        return float(np.polyfit(when - when[0], where, 1)[0])

    def expected(self, seconds: float) -> Floats:
        """The box float32 [4] at a later time, at the same speed."""
        moved = self.box.copy()
        moved[[0, 2]] += (self.speed or 0.0) * max(0.0, seconds - self.seconds)
        return moved

    def place(self, box: Floats, seconds: float, *, clear: bool) -> None:
        """They are at `box`; `clear` when nobody is near."""
        if not clear:  # of somebody half covered the detector gives the half that is seen
            moved = self.expected(seconds)
            box = box.copy()
            box[[0, 2]] += (middle_of(moved) - middle_of(box)) / 2
        self.box, self.seconds, self.seen, self.hidden_since = box[:4].copy(), seconds, seconds, None
        if clear:
            self.path.append((seconds, self.middle))

    def learn(self, seen: Floats | None) -> None:
        """Takes another look at their clothes, slowly."""
        if seen is not None:
            known = self.signature
            self.signature = seen if known is None else (1 - LEARNING_RATE) * known + LEARNING_RATE * seen


def middle_of(box: Floats) -> float:
    """Of a box, sideways, px."""
    return float(box[0] + box[2]) / 2


def apart(first: Floats, second: Floats) -> float:
    """How far two bodies are from touching, in heights of the larger; negative where one is before the other."""
    height = max(float(first[3] - first[1]), float(second[3] - second[1]), 1.0)
    above = float(max(first[1], second[1]) - min(first[3], second[3]))  # one on a stage, the other below it
    return max(abs(middle_of(first) - middle_of(second)) / height - BODY_SHARE, above / height)


def same_body(first: Floats, second: Floats) -> bool:
    """Whether two boxes may well be one body, found twice: of like heights, one nearly within the other."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:4], second[2:4])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    smaller = min(float(np.prod(box[2:4] - box[:2])) for box in (first, second))
    heights = sorted(float(box[3] - box[1]) for box in (first, second))
    return shared >= WITHIN_SHARE * smaller and heights[0] >= LIKE_HEIGHT * heights[1]


def iou(first: Floats, second: Floats) -> float:
    """Intersection over union of two boxes float32 [4+]."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:4], second[2:4])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = (float(np.prod(np.clip(box[2:4] - box[:2], 0, None))) for box in (first, second))
    return shared / max(sum(areas) - shared, 1e-6)


class Crowd:
    """Everybody who is known."""

    def __init__(self) -> None:
        self.people: list[Person] = []
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

    def strangers(self, person: Person) -> bool:
        """Whether somebody else's speed is not known yet."""
        return any(other.speed is None and other.hidden_since is None for other in self.others(person))

    def contested(self, person: Person) -> bool:
        """Whether another is before or behind them, or will be soon, or there is still doubt who is who."""
        return person.doubt > 0 or any(self.meets(person, other) for other in self.others(person))

    def meets(self, person: Person, other: Person) -> bool:
        """Whether two are, or soon will be, before each other."""
        height = max(person.height, other.height)
        gap = apart(person.box, other.box) * height
        away = other.middle - person.middle
        speeds = other.speed, person.speed
        if speeds[0] is None or speeds[1] is None:
            closing = UNKNOWN_SPEED * height
        else:
            closing = max(0.0, -(speeds[0] - speeds[1]) * float(np.sign(away)))
        return gap < NEAR_SHARE * height + closing * SOON_SECONDS

    def behind_another(self, person: Person, seconds: float) -> Person | None:
        """Who stands where this person should be, if anybody who is seen does."""
        box = person.expected(seconds)
        near = [(apart(box, other.box), other) for other in self.others(person) if other.hidden_since is None]
        near = [pair for pair in near if pair[0] < 0]
        return min(near, key=lambda pair: pair[0])[1] if near else None

    def share_out(self, seconds: float, boxes: Sequence[Floats], looks: Sequence[Floats | None]) -> dict[int, int]:
        """Whose box is whose: index of the box -> id. Those nobody is expected at belong to newcomers.

        A newcomer does not begin within the box of another: the same body was found twice, and that box is nobody's.

        Args:
            seconds: of the frame.
            boxes: each float32 [5], as found by the detector.
            looks: the signature in each box.
        """
        costs = np.array([[self.cost(person, seconds, *pair) for pair in zip(boxes, looks, strict=True)]
                          for person in self.people]).reshape(len(self.people), len(boxes))  # fmt: skip
        pairs = best_pairs(costs, NOT_FOUND_COST)
        owners = {box: self.people[row].id for row, box in pairs.items()}
        for index, box in enumerate(boxes):
            if index not in owners and not any(same_body(box, boxes[other]) for other in owners):
                self.people.append(Person(self._next_id, box[:4].copy(), seconds, seconds))
                owners[index] = self._next_id
                self._next_id += 1
        return owners

    def cost(self, person: Person, seconds: float, box: Floats, look: Floats | None) -> float:
        """How unlikely it is that a box is this person's."""
        expected = person.expected(seconds)
        height = max(person.height, float(box[3] - box[1]))
        below = float(np.abs([box[1] - expected[1], box[3] - expected[3]]).min())
        away = float(np.hypot(middle_of(box) - middle_of(expected), 0.5 * below)) / height
        unseen = seconds - person.seen
        doubtful = person.doubt > 0 or person.hidden_since is not None
        if away > (REACH_IN_DOUBT if doubtful else REACH + REACH_PER_SECOND * min(unseen, KEPT_SECONDS)):
            return np.inf
        place = min((away / (PLACE_SHARE + PLACE_PER_SECOND * min(unseen, KEPT_SECONDS))) ** 2, MOST_PLACE_COST)
        unlike = difference(person.signature, look)
        weight = (COLOUR_COST_IN_DOUBT if doubtful else COLOUR_COST) * self.distinct(person)
        return place + weight * (0.4 if unlike is None else unlike)

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
            person.doubt = SURE_AGAIN
        elif person.doubt:
            person.doubt -= 1
        elif person.signature is None or person.joints is None:
            person.learn(look)

    def missed(self, person: Person, seconds: float) -> bool:
        """A person whom the detector did not find moves on unseen; whether they are behind another."""
        cover = self.behind_another(person, seconds)
        if cover is None and person.hidden_since is not None:
            cover = self.near_edge(person, seconds)
        if cover is None:
            return False
        box = person.expected(seconds)
        inside = float(np.clip(middle_of(box), cover.box[0], cover.box[2]))
        box[[0, 2]] += inside - middle_of(box)
        person.box, person.seconds, person.doubt = box, seconds, SURE_AGAIN
        person.hidden_since = seconds if person.hidden_since is None else person.hidden_since
        if seconds - person.hidden_since <= HIDDEN_SECONDS:
            person.seen = max(person.seen, seconds - 0.5 * KEPT_SECONDS)
        return True

    def near_edge(self, person: Person, seconds: float) -> Person | None:
        """Who is nearest to where a hidden person should have come out, and has not."""
        box = person.expected(seconds)
        near = [(apart(box, other.box), other) for other in self.others(person) if other.hidden_since is None]
        near = [pair for pair in near if pair[0] < NEAR_SHARE]
        return min(near, key=lambda pair: pair[0])[1] if near else None

    def forget(self, seconds: float) -> None:
        """Forgets whoever has not been seen for too long."""
        self.people = [person for person in self.people if seconds - person.seen <= KEPT_SECONDS]


def best_pairs(costs: npt.NDArray[np.float64], none: float) -> dict[int, int]:
    """Rows to columns, each at most once, so that the sum of costs is low; a row without a column costs `none`.

    The cheapest pair first, then columns are exchanged between two rows while that helps: the best there is for two
    rows, and near it for more.
    """
    pairs: dict[int, int] = {}
    table = np.where(costs < none, costs, np.inf)
    for _ in range(min(table.shape)):
        row, column = np.unravel_index(int(table.argmin()), table.shape)
        if not np.isfinite(table[row, column]):
            break
        pairs[int(row)] = int(column)
        table[row, :] = table[:, column] = np.inf

    def total(row: int, column: int | None) -> float:
        return none if column is None else float(min(costs[row, column], 1e6))

    rows, changed = len(costs), True
    while changed:
        changed = False
        for one in range(rows):
            for two in range(rows):
                first, second = pairs.get(one), pairs.get(two)
                if one != two and first is not None:
                    now = total(one, first) + total(two, second)
                    if total(one, second) + total(two, first) < now - 1e-9 and total(two, first) < 1e6:
                        pairs.pop(one)
                        pairs.pop(two, None)
                        pairs |= {two: first} | ({one: second} if second is not None else {})
                        changed = True
    return pairs
