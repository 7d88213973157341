"""The lock: who is kept when people meet, by made-up boxes and colours whose owners are known."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from engines.execution import PoseOutput
from engines.geometry import iou
from engines.skeleton import joints_from_keypoints
from realtime.overlaps import apart, may_hide
from realtime.recognition import Recognition
from realtime.signature import difference, signature, torso_of_box
from realtime.stories import best_pairs
from realtime.tracking import Tracker, is_piece
from tests.realtime.fakes import bounds, standing

Floats = npt.NDArray[np.float32]

FPS = 25
TALL, WIDE = 300, 100
RED, BLUE = (40, 40, 200), (200, 60, 30)


def box_at(x: float, top: float = 100) -> Floats:
    return np.array([x - WIDE / 2, top, x + WIDE / 2, top + TALL, 0.9], np.float32)


def seen_at(box: Floats) -> tuple[PoseOutput, Floats]:
    """Keypoints within the one person's box, sure, and that box as it was looked into."""
    keypoints = standing(box)[None]
    state = np.concatenate([keypoints[..., :2], np.ones_like(keypoints[..., :2])], -1)
    return PoseOutput(keypoints, joints_from_keypoints(keypoints), box[None].copy(), state), box[None].copy()


class Stage:
    """Two bodies of one colour each; the detector and pose network see the one in front where they overlap."""

    def __init__(self, colours: tuple[tuple[int, int, int], ...], front: int, people: int = 1) -> None:
        self.colours, self.front = colours, front
        self.tracker = Tracker(people)
        self.detections = 0

    def step(self, index: int, x: tuple[float, ...]) -> float | None:
        """One frame with the bodies at `x`; where the locked skeleton is, or None."""
        seconds = index / FPS
        bodies = [box_at(place) for place in x]
        order = sorted(range(len(x)), key=lambda one: one == self.front)
        picture = np.full((480, 1280, 3), 120, np.uint8)
        for one in order:
            x1, y1, x2, y2 = bodies[one][:4].astype(int)
            picture[max(0, y1) : y2, max(0, x1) : max(0, x2)] = self.colours[one]
        plan = self.tracker.plan(seconds)
        boxes = self.tracker.boxes
        if plan.detect:
            self.detections += 1
            seen = [bodies[one] for one in order[::-1]]
            kept = [box for place, box in enumerate(seen) if all(iou(box, other) < 0.6 for other in seen[:place])]
            detected = np.zeros((8, 5), np.float32)
            kept.sort(key=lambda box: [body is box for body in bodies].index(True))  # so that body 0 is locked
            detected[: len(kept)] = kept
            boxes = self.tracker.boxes_after_detection(detected, picture)
        if not boxes.any():
            self.tracker.nobody()
            return None
        keypoints = np.zeros((len(boxes), 17, 3), np.float32)
        next_boxes = np.zeros((len(boxes), 5), np.float32)
        for row, box in enumerate(boxes):
            if box.any():
                nearest = max(order[::-1], key=lambda one: iou(box, bodies[one]) > 0.35)
                keypoints[row] = standing(bodies[nearest])
                next_boxes[row] = bounds(keypoints[row])
        state = np.concatenate([keypoints[..., :2], np.ones_like(keypoints[..., :2])], -1)
        pose = PoseOutput(keypoints, joints_from_keypoints(keypoints), next_boxes, state)
        pose, boxes = self.tracker.update(seconds, pose, boxes, picture)
        return float(pose.keypoints[0, :, 0].mean()) if boxes[0].any() else None


def walk(
    stage: Stage, starts: tuple[float, float], speeds: tuple[float, float], frames: int
) -> tuple[list[int | None], int]:
    """Whom the locked skeleton is on, frame by frame, while both walk; None for nobody."""
    on: list[int | None] = []
    for index in range(frames):
        x = tuple(start + speed * index for start, speed in zip(starts, speeds, strict=True))
        where = stage.step(index, x)
        on.append(None if where is None else int(np.argmin([abs(where - place) for place in x])))
    return on, stage.detections


WALKS: dict[str, tuple[tuple[float, float], tuple[float, float], int]] = {
    "stands while another passes": ((640, 200), (0, 12), 70),
    "stands while another runs past": ((640, 100), (0, 28), 40),
    "opposite directions": ((250, 1000), (10, -10), 70),
    "overtaken": ((400, 150), (4, 13), 70),
    "overtakes": ((150, 400), (13, 4), 70),
}


@pytest.mark.parametrize("front", [0, 1], ids=["in front", "behind"])
@pytest.mark.parametrize("colours", [(RED, BLUE), (RED, RED)], ids=["different clothes", "the same clothes"])
@pytest.mark.parametrize("way", list(WALKS))
def test_the_lock_is_on_the_same_person_after_a_crossing(
    way: str, colours: tuple[tuple[int, int, int], ...], front: int
) -> None:
    on, _ = walk(Stage(colours, front), *WALKS[way])
    assert on[0] is not None
    assert set(on[-8:]) == {on[0]}
    assert 1 - on[0] not in on if colours == (RED, BLUE) else True


def test_each_row_keeps_its_person_through_a_crossing() -> None:
    stage = Stage((RED, BLUE), front=1, people=2)
    on, _ = walk(stage, *WALKS["opposite directions"])
    ids = stage.tracker.rows
    assert ids == [0, 1]
    people = [stage.tracker.crowd.get(number) for number in ids]
    assert people[0] is not None and people[1] is not None
    assert (people[0].middle > people[1].middle) == (on[0] == 0)


def test_the_detector_looks_at_its_own_pace_while_two_stand_well_apart() -> None:
    on, detections = walk(Stage((RED, BLUE), front=0), (300, 900), (0, 0), 60)
    assert set(on) == {on[0]} and detections <= 7


def test_somebody_behind_another_is_said_to_be_hidden_and_has_no_past_afterwards() -> None:
    stage = Stage((RED, BLUE), front=1)
    hidden = []
    for index in range(70):
        stage.step(index, (640.0, 200.0 + 12 * index))
        hidden.append(stage.tracker.hidden)
    assert any(hidden) and not hidden[0] and not hidden[-1]


def test_clothes_are_not_learnt_while_others_are_near() -> None:
    stage = Stage((RED, BLUE), front=1)
    for index in range(30):
        stage.step(index, (640.0, 200.0))
    known = stage.tracker.locked
    assert known is not None and known.signature is not None
    before = known.signature.copy()
    for index in range(30, 45):
        stage.step(index, (640.0, 200.0 + (index - 29) * 25))
    assert (known.signature == before).all()


def test_the_next_person_takes_row_0_with_their_own_past_and_back() -> None:
    stage = Stage((RED, BLUE), front=0, people=2)
    for index in range(5):
        stage.step(index, (300.0, 900.0))
    states = stage.tracker.state.copy()
    assert stage.tracker.choose(None)
    assert stage.tracker.rows == [1, 0]
    assert (stage.tracker.state == states[::-1]).all()
    assert stage.step(5, (300.0, 900.0)) == pytest.approx(900, abs=20)
    assert stage.tracker.choose(0) and stage.tracker.rows == [0, 1]
    assert not stage.tracker.choose(0) and not stage.tracker.choose(17)


def test_with_one_row_the_next_person_starts_with_no_past() -> None:
    stage = Stage((RED, BLUE), front=0)
    for index in range(5):
        stage.step(index, (300.0, 900.0))
    assert stage.tracker.choose(None)
    assert not stage.tracker.state.any()
    assert stage.step(5, (300.0, 900.0)) == pytest.approx(900, abs=20)
    assert stage.step(6, (300.0, 900.0)) == pytest.approx(900, abs=20)


def test_alone_there_is_nobody_else_to_choose() -> None:
    stage = Stage((RED,), front=0)
    stage.step(0, (300.0,))
    assert not stage.tracker.choose(None)


def patch(colour: tuple[int, int, int], light: float = 1.0) -> Floats:
    """The signature of a cloth of one colour with some noise."""
    noise = np.random.default_rng(3).normal(0, 6, (480, 640, 3))
    picture = np.clip(np.array(colour) * light + noise, 0, 255).astype(np.uint8)
    found = signature(picture, torso_of_box(box_at(300)))
    assert found is not None
    return found


@pytest.mark.parametrize("make", [lambda: patch(RED, 0.8), lambda: patch(RED, 1.2)])
def test_other_light_changes_a_signature_less_than_other_clothes(make: Callable[[], Floats]) -> None:
    same, other = difference(patch(RED), make()), difference(patch(RED), patch(BLUE))
    assert same is not None and other is not None
    assert same < 0.6 < other


def test_a_torso_outside_the_picture_has_no_signature() -> None:
    assert signature(np.zeros((100, 100, 3), np.uint8), torso_of_box(box_at(900))) is None
    assert difference(None, patch(RED)) is None


def test_pairs_are_exchanged_where_that_is_cheaper_in_all() -> None:
    assert best_pairs(np.array([[1.0, 2.0], [1.5, 9.0]]), 14.0) == {0: 1, 1: 0}
    assert best_pairs(np.array([[1.0, np.inf], [0.5, np.inf]]), 14.0) == {1: 0}
    assert best_pairs(np.zeros((0, 2)), 14.0) == {} and best_pairs(np.zeros((2, 0)), 14.0) == {}


def detected(tracker: Tracker, index: int, *boxes: tuple[float, float, float, float, float]) -> Floats:
    """One frame of these detections; gives the boxes that are looked into."""
    found = np.zeros((8, 5), np.float32)
    found[: len(boxes)] = boxes
    tracker.plan(index / FPS)
    tracker._since_detection = tracker.detect_every
    return tracker.boxes_after_detection(found)


def test_a_body_that_the_detector_finds_twice_is_one_person_and_hides_nobody() -> None:
    tracker = Tracker(1)
    wide, narrow = (380, 23, 534, 309, 0.26), (422, 51, 523, 314, 0.76)  # as a small detector found a man
    for index, boxes in enumerate([(narrow, wide), (wide, narrow), (narrow,), (wide,), (narrow, wide)]):
        assert detected(tracker, index, *boxes)[0].any()
        assert len(tracker.crowd.people) == 1 and not tracker.hidden


def test_a_child_before_an_adult_is_somebody() -> None:
    tracker = Tracker(2)
    detected(tracker, 0, (400, 50, 560, 550, 0.9), (440, 300, 520, 550, 0.8))
    assert len(tracker.crowd.people) == 2


def test_who_stands_below_a_stage_hides_nobody_on_it() -> None:
    on_it, below = np.array([400, 10, 500, 300], np.float32), np.array([410, 360, 510, 660], np.float32)
    assert apart(on_it, below) == pytest.approx(60 / 300)
    tracker = Tracker(1)
    detected(tracker, 0, (*on_it, 0.9), (*below, 0.9))
    detected(tracker, 1, (*below, 0.9))
    assert not tracker.hidden


@pytest.mark.parametrize("seed", [2, 3, 5, 6])
def test_a_bystander_who_is_found_now_and_then_is_never_taken_for_somebody_twice_as_tall(seed: int) -> None:
    random = np.random.default_rng(seed)
    recognition = Recognition(0.3)
    for index in range(200):
        wide = 14.0 * float(random.random() < 0.3)
        man = np.array([520 - wide, 150, 728 + wide, 462, 0.8]) + np.append(random.normal(0, 3, 4), 0)
        bystander = np.array([714, 180, 760, 320, 0.5]) + np.append(random.normal(0, 1.5, 4), 0)
        found = [man] if random.random() < 0.5 and index > 3 else [man, bystander]
        owners, _ = recognition.detected(index / 30, [box.astype(np.float32) for box in found], None)
        assert owners[0] == 0


def test_a_body_between_one_above_at_its_left_and_one_below_at_its_right_is_no_box_of_those_two() -> None:
    man, bystander, bottle = (529, 165, 742, 478, 0.71), (711, 175, 758, 329, 0.4), (507, 481, 555, 552, 0.48)
    recognition = Recognition(0.3)
    for index in range(5):
        found = [np.array(box, np.float32) for box in (man, bystander, bottle)]
        owners, _ = recognition.detected(index / 30, found, None)
        assert owners == {0: 0, 1: 1, 2: 2}


MAN, FARTHER = (529, 165, 742, 474, 0.8), (706, 172, 760, 342, 0.5)


def test_who_stands_farther_away_hides_nobody_whom_the_detector_misses() -> None:
    assert may_hide(np.array(FARTHER), np.array(FARTHER), 170) and not may_hide(np.array(FARTHER), np.array(MAN), 309)
    tracker = Tracker(1)
    man = np.array(MAN, np.float32)
    detected(tracker, 0, MAN, FARTHER)
    tracker.update(0, *seen_at(man))
    for index in range(1, 30):
        tracker.plan(index / FPS)
        boxes = tracker.boxes_after_detection(np.array([FARTHER], np.float32))
        assert not tracker.hidden and tracker.rows[0] == 0
        assert iou(boxes[0], man) > 0.7
        tracker.update(index / FPS, *seen_at(man))


@pytest.mark.parametrize(
    ("box", "followed", "piece"),
    [
        ((595, 301, 662, 525, 0.3), (592, 190, 710, 412, 0.9), True),
        ((595, 301, 662, 525, 0.6), (592, 190, 710, 412, 0.9), False),
        ((595, 301, 662, 525, 0.3), (592, 190, 710, 412, 0.4), False),
        ((570, 170, 730, 430, 0.3), (592, 190, 710, 412, 0.9), False),
        ((595, 301, 662, 525, 0.3), (0, 0, 0, 0, 0), False),
    ],
    ids=["legs", "sure box", "unsure keypoints", "whole", "not followed"],
)
def test_a_piece_of_somebody_is_a_doubtful_box_that_leaves_out_half_of_their_sure_keypoints(
    box: tuple[float, ...], followed: tuple[float, ...], piece: bool
) -> None:
    assert is_piece(np.array(box, np.float32), np.array(followed, np.float32)) is piece


def test_a_piece_of_the_locked_person_does_not_replace_the_bounds_of_their_keypoints() -> None:
    tracker = Tracker(1)
    man = np.array((592, 190, 710, 412, 0.9), np.float32)
    detected(tracker, 0, tuple(man))
    tracker.update(0, *seen_at(man))
    tracker.plan(1 / FPS)
    boxes = tracker.boxes_after_detection(np.array([(595, 301, 662, 525, 0.3)], np.float32))
    assert boxes[0].tolist() == man.tolist()


ON_ROOF, BELOW = (477, 85, 533, 309, 0.8), (509, 359, 610, 665, 0.9)


def test_a_box_around_one_on_a_roof_and_one_below_is_nobody_and_hides_nobody() -> None:
    tracker = Tracker(2)
    detected(tracker, 0, ON_ROOF, BELOW)
    for index in (1, 2, 3):  # as a small detector once found them; he was not found alone
        detected(tracker, index, BELOW, (504, 80, 607, 661, 0.37))
        assert len(tracker.crowd.people) == 2
        assert not tracker.hidden


@pytest.mark.parametrize("adult", [(400, 50, 560, 550), (440, 40, 600, 560)])
def test_an_adult_behind_two_children_is_somebody(adult: tuple[float, float, float, float]) -> None:
    left, right = (420, 300, 490, 550, 0.8), (495, 310, 565, 555, 0.8)
    tracker = Tracker(3)
    for index in range(3):
        detected(tracker, index, left, right, (*adult, 0.9))
    assert len(tracker.crowd.people) == 3


def test_who_sits_down_slowly_stays_who_they_are() -> None:
    tracker = Tracker(1)
    for index in range(40):
        top = 100 + 6.0 * index  # 1.8 heights in 1.3 s
        detected(tracker, index, (400, top, 500, 500, 0.9))
        assert len(tracker.crowd.people) == 1


def test_a_newcomer_in_front_is_somebody_though_the_skeleton_of_who_is_behind_is_on_them() -> None:
    recognition = Recognition(0.3)
    behind, front = (np.array([x - 50, 100, x + 50, 400, 0.9], np.float32) for x in (300, 360))

    def pose(*skeletons: Floats) -> PoseOutput:
        keypoints = np.stack([standing(box[:4], 0.9) for box in skeletons])
        boxes = np.stack([bounds(one) for one in keypoints])
        return PoseOutput(
            keypoints, joints_from_keypoints(keypoints), boxes, np.zeros((len(keypoints), 17, 4), np.float32)
        )

    owners, _ = recognition.detected(0, [behind], None)
    assert recognition.posed(0, [owners[0]], behind[None], pose(behind), None) == (set(), set())
    owners, _ = recognition.detected(0.04, [behind, front], None)
    rows = [owners[0], owners[1]]
    assert recognition.posed(0.04, rows, np.stack([behind, front]), pose(front, front), None) == ({0}, set())
    newcomer = recognition.crowd.get(rows[1])
    assert newcomer is not None and newcomer.confirmed
