"""Motion and stories: who is whom where boxes may be either's, by made-up places alone."""

from itertools import pairwise

import numpy as np
import pytest

from realtime.motion import KNOWN_SPEED, Motion
from realtime.overlaps import covered_share
from realtime.people import Crowd
from realtime.stories import Sight, Story, told

FPS, TALL, WIDE = 25, 400.0, 130.0


def box_at(x: float, wide: float = WIDE) -> np.ndarray:
    return np.array([x - wide / 2, 100, x + wide / 2, 100 + TALL, 0.9], np.float32)


def seen(motion: Motion, places: list[float], first: int = 1, covered: float = 0.0) -> float:
    """Finds somebody in the frames from `first` on; gives how unlikely all was."""
    return sum(motion.see(index / FPS, place, TALL, covered) for index, place in enumerate(places, first))


def test_a_steady_walk_is_known_after_half_a_second_and_goes_on_unseen() -> None:
    motion = Motion(100.0, 0.0)
    assert not motion.known
    seen(motion, [100 + 10.0 * index for index in range(1, 20)])
    assert motion.known and motion.speed == pytest.approx(250, rel=0.1)
    assert motion.expected(39 / FPS) == pytest.approx(100 + 390, abs=20)
    sure = motion.speed_variance
    motion.advance(39 / FPS)
    assert motion.speed_variance > sure and motion.speed_variance < KNOWN_SPEED**2


def test_boxes_that_others_share_pull_a_place_less_than_clear_ones() -> None:
    pulled = []
    for covered in (0.0, 1.0):
        motion = Motion(300.0, 0.0)
        seen(motion, [300.0] * 15)
        seen(motion, [360.0] * 10, 16, covered)
        pulled.append(motion.place - 300)
    assert 0 < pulled[1] < 0.3 * pulled[0]


def test_a_speed_that_jumps_is_less_likely_than_one_that_lasts() -> None:
    unlikely = []
    for after in (10.0, -10.0):
        motion = Motion(0.0, 0.0)
        seen(motion, [10.0 * index for index in range(1, 20)])
        unlikely.append(seen(motion, [190 + after * index for index in range(1, 15)], 20))
    assert unlikely[1] > unlikely[0] + 4


def test_a_share_is_of_a_boxs_own_width() -> None:
    assert covered_share(box_at(100), [box_at(100 + WIDE), box_at(500)]) == 0
    assert covered_share(box_at(100), [box_at(100 + WIDE / 2)]) == pytest.approx(0.5)
    assert covered_share(box_at(100), []) == 0 and covered_share(box_at(100), [box_at(100, 900)]) == 1


def crossed(wrong: range, halves: tuple[float, float], covered: float) -> list[Story]:
    """Two walk through each other; in the frames `wrong` two boxes do not move. The stories at the end."""
    motions = {0: Motion(100.0, 0.0), 1: Motion(700.0, 0.0)}
    stories = [Story(motions)]
    for index in range(1, 60):
        x = 100 + 10.0 * index, 700 - 10.0 * index
        places = sorted(x)
        if index in wrong:
            places = list(halves)
        sight = Sight(
            index / FPS,
            tall=[TALL, TALL],
            middles=places,
            heights=np.full((2, 2), TALL),
            costs=np.zeros((2, 2)),
            reach=np.full(2, 1.2),
            covered=[covered * (index in wrong)] * 2,
            hides=np.ones((2, 2), np.bool_),
            followed=np.ones(2, np.bool_),
            edges=[0.3, 0.3],
            lost=[],
            unsure=[0, 1] if index >= 20 else [],
        )
        stories = told(stories, [0, 1], sight)
    return stories


@pytest.mark.parametrize(("halves", "covered"), [((350.0, 450.0), 1.0), ((300.0, 500.0), 0.1), ((270.0, 530.0), 0.2)])
def test_two_in_the_same_clothes_are_themselves_after_a_crossing(halves: tuple[float, float], covered: float) -> None:
    best, *others = crossed(range(22, 45), halves, covered)
    assert best.motions[0].place == pytest.approx(690, abs=25) and best.motions[1].place == pytest.approx(110, abs=25)
    assert all(story.unlikely > 0 for story in others)


def test_stories_that_come_to_the_same_are_one_and_few_are_kept() -> None:
    for stories in (crossed(range(22, 45), (low, 800 - low), 0.1) for low in (260.0, 300.0, 340.0, 380.0)):
        assert len(stories) <= 6
        for one, two in pairwise(stories):
            assert not one.same(two, [TALL, TALL]) and one.unlikely <= two.unlikely


def shared_out(crowd: Crowd, seconds: float, boxes: list[np.ndarray]) -> dict[int, int]:
    """Whose box is whose, once everybody is where they were found."""
    owners = crowd.share_out(seconds, boxes, [None] * len(boxes))
    for place, number in owners.items():
        person = crowd.get(number)
        assert person is not None
        person.hidden_since = None
        crowd.found(person, boxes[place], None, seconds)
    return owners


def test_a_doubt_ends_soon_after_two_have_parted() -> None:
    crowd = Crowd()
    doubts = []
    for index in range(100):
        x = 400.0, min(300 + 10.0 * index, 900)
        boxes = [box_at(place) for place in x]
        if abs(x[0] - x[1]) < 60:
            boxes = boxes[1:]
        owners = shared_out(crowd, index / FPS, boxes)
        for person in crowd.people:
            if person.id not in owners.values():
                crowd.missed(person, index / FPS)
        doubts.append(max(person.doubt for person in crowd.people))
    parted = next(index for index in range(100) if 300 + 10 * index - 400 > 0.42 * TALL + 10)
    assert max(doubts) > 0 and not any(doubts[parted + FPS + 5 :])
    assert [person.id for person in crowd.people] == [0, 1]


def test_nobody_begins_beside_people_in_doubt() -> None:
    crowd = Crowd()
    for index, x in enumerate([(300.0, 500.0), (300.0, 400.0), (300.0, 380.0), (300.0, 380.0, 480.0)]):
        boxes = [box_at(place) for place in x]
        for place, number in crowd.share_out(index / FPS, boxes, [None] * len(boxes)).items():
            person = crowd.get(number)
            assert person is not None
            crowd.found(person, boxes[place], None, index / FPS)
    assert len(crowd.people) == 2


def test_who_stops_behind_another_is_looked_for_there_and_keeps_their_name() -> None:
    crowd = Crowd()
    hidden = []
    for index in range(140):
        x = min(150 + 10.0 * index, 400)  # 75 frames behind the other, then on
        x = x if index < 100 else 400 + 10.0 * (index - 100)
        boxes = [box_at(place) for place in ((400.0,) if abs(x - 400) < 60 else (400.0, x))]
        owners = shared_out(crowd, index / FPS, boxes)
        missing = [person for person in crowd.people if person.id not in owners.values()]
        hidden.append([person.id for person in missing if crowd.missed(person, index / FPS)])
        assert all(abs(person.middle - 400) < 0.43 * TALL for person in missing)
        crowd.forget(index / FPS)
    assert hidden[60] == hidden[95] == [1] and not hidden[-1]
    assert sorted(person.id for person in crowd.people) == [0, 1]
    mover = crowd.get(1)
    assert mover is not None and mover.middle > 700
