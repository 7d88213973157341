"""Which box is whose while nobody can tell for sure. Knows places and costs, and no pictures, clothes or rows.

Where bodies are before each other a box may be either's. So several stories are told side by side, each with
everybody's place and speed in it: in every frame each goes on as it is likeliest, and with two people exchanged. What
does not fit (a speed that jumps, clothes that are another's) makes a story unlikely, frame by frame; the likeliest is
believed until another is likelier. Once all stand apart the others grow unlikely, and are given up.
"""

import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt

from realtime.motion import LONGEST_STEP, Motion

Costs = npt.NDArray[np.float64]

PLACE_SHARE, MOST_PLACE_COST = 0.2, 9.0
NOT_FOUND_COST, HIDDEN_COST = 14.0, 1.0
"""Of not being found by the detector, in view or behind another. In view it costs no more than behind another while the
keypoints are on somebody: a small detector misses bodies in odd poses for a second at a time."""
EVIDENCE_SECONDS = 0.3
"""Time after which what is seen is new evidence: an arm that is stretched out stays so for some frames."""
MOST_STORIES, GIVEN_UP = 6, 8.0
SAME_PLACE, SAME_SPEED = 0.1, 0.2
"""Two stories are one when nobody is farther off, in heights and heights a second."""


@dataclass
class Sight:
    """What was found in a frame, B boxes, as seen by the P people who are known.

    Attributes:
        seconds: of the frame.
        tall: [P] px, everybody's height.
        middles: [B] px, sideways.
        heights: float64 [P, B] px, the larger of the person's and the box's.
        costs: float64 [P, B], how unlike they are, places sideways apart.
        reach: float64 [P], heights beyond which a person cannot be.
        covered: [B], the share of a box's width that others may be in as well.
        hides: bool [P, B], whether a box is at a person's height, and not farther away, so that it may hide them.
        followed: bool [P], whether a person was in view just before, by detector or keypoints.
        edges: [P], heights from the middle of whoever hides a person at which they would be seen.
        lost: rows of the people who are hidden already.
        unsure: rows of the people of whom it is in doubt who is who.
    """

    seconds: float
    tall: Sequence[float]
    middles: Sequence[float]
    heights: Costs
    costs: Costs
    reach: Costs
    covered: Sequence[float]
    hides: npt.NDArray[np.bool_]
    followed: npt.NDArray[np.bool_]
    edges: Sequence[float]
    lost: Sequence[int]
    unsure: Sequence[int]


@dataclass
class Story:
    """What may have happened: everybody's motion by id, and how unlikely it is.

    Attributes:
        motions: by id.
        pairs: in the last frame, row -> box.
        hidden: ids of those behind another in the last frame.
        unlikely: in all, above the likeliest story.
    """

    motions: dict[int, Motion] = field(default_factory=dict)
    pairs: dict[int, int] = field(default_factory=dict)
    hidden: frozenset[int] = frozenset()
    unlikely: float = 0.0

    def goes_on(self, ids: Sequence[int], sight: Sight) -> list["Story"]:
        """The likeliest next chapter, and those with two unsure people exchanged."""
        costs = self.costs(ids, sight)
        best = best_pairs(costs, NOT_FOUND_COST)
        chapters = [best]
        for one, two in combinations(sight.unsure, 2):
            other = {row: box for row, box in best.items() if row not in (one, two)}
            other |= {to: best[row] for row, to in ((one, two), (two, one)) if row in best}
            if other != best and all(np.isfinite(costs[row, box]) for row, box in other.items()):
                chapters.append(other)
        return [self.after(ids, sight, pairs) for pairs in chapters]

    def costs(self, ids: Sequence[int], sight: Sight) -> Costs:
        """[P, B], how unlikely it is that a box is a person's; infinite out of their reach."""
        costs = sight.costs.copy()
        for row, number in enumerate(ids):
            motion = self.motions[number]
            expected, variance = motion.expected(sight.seconds), motion.variance(sight.seconds) + PLACE_SHARE**2
            for box, middle in enumerate(sight.middles):
                away = abs(middle - expected) / sight.heights[row, box]
                far = away > sight.reach[row]
                costs[row, box] += np.inf if far else min(away**2 / variance, MOST_PLACE_COST)
        return costs

    def after(self, ids: Sequence[int], sight: Sight, pairs: dict[int, int]) -> "Story":
        """The same story, when in the frame each person of `pairs`, row -> box, is in that box."""
        motions = {number: copy(self.motions[number]) for number in ids}
        step = min(max((sight.seconds - motion.seconds for motion in motions.values()), default=0.0), LONGEST_STEP)
        moved = unlike = 0.0
        hidden = set()
        for row, (number, motion) in enumerate(motions.items()):
            if row in pairs:
                box = pairs[row]
                moved += motion.see(sight.seconds, sight.middles[box], sight.heights[row, box], sight.covered[box])
                unlike += sight.costs[row, box]
            elif sight.followed[row] and not any(sight.hides[row, box] for box in pairs.values()):
                motion.advance(sight.seconds)
                unlike += HIDDEN_COST
            else:
                unseen = hide(motion, sight, row, pairs.values())
                unlike += unseen
                hidden |= {number} if unseen < NOT_FOUND_COST else set()
        return Story(motions, pairs, frozenset(hidden), self.unlikely + moved + unlike * step / EVIDENCE_SECONDS)

    def same(self, other: "Story", tall: Sequence[float]) -> bool:
        """Whether two stories have come to the same; people of `tall` px."""
        return self.pairs == other.pairs and all(
            abs(one.place - two.place) < SAME_PLACE * height and abs(one.speed - two.speed) < SAME_SPEED * height
            for one, two, height in zip(self.motions.values(), other.motions.values(), tall, strict=True)
        )


def hide(motion: Motion, sight: Sight, row: int, seen: Iterable[int]) -> float:
    """Somebody is not found: they go on unseen, behind the nearest whose box is `seen`. How unlikely that is.

    `NOT_FOUND_COST` where nobody hides them. Who should have come out by now is slower than thought, or has stopped.
    """
    motion.advance(sight.seconds)
    away = [(sight.middles[box] - motion.place, sight.heights[row, box]) for box in seen if sight.hides[row, box]]
    to, height = min(away, key=lambda pair: abs(pair[0]), default=(np.inf, 1.0))
    out = max(0.0, abs(to) / height - sight.edges[row])
    if out and row not in sight.lost:
        return NOT_FOUND_COST
    unlikely = HIDDEN_COST + out**2 / (motion.place_variance + PLACE_SHARE**2)
    if unlikely >= NOT_FOUND_COST:
        return NOT_FOUND_COST
    motion.place += math.copysign(out * height, to)
    return float(unlikely)


def told(stories: Sequence[Story], ids: Sequence[int], sight: Sight) -> list[Story]:
    """The stories after another frame, the likeliest first; without those too unlikely, or the same as another."""
    following = sorted((new for old in stories for new in old.goes_on(ids, sight)), key=lambda story: story.unlikely)
    kept: list[Story] = []
    for story in following:
        if story.unlikely > following[0].unlikely + GIVEN_UP or len(kept) == MOST_STORIES:
            break
        if not any(story.same(other, sight.tall) for other in kept):
            kept.append(story)
    least = kept[0].unlikely
    for story in kept:
        story.unlikely -= least
    return kept


def best_pairs(costs: Costs, none: float) -> dict[int, int]:
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
