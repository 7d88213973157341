"""Whom the loop stays with on a GPU, where it hears of a frame after the next one was submitted."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from engines.execution import PoseOutput
from engines.geometry import iou
from engines.skeleton import joints_from_keypoints
from realtime.device_tracking import EMPTY, DevicePlan, DeviceTracker
from realtime.tracking import DETECT_EVERY_AUTO, DETECT_EVERY_STRANGERS, Tracker
from tests.realtime.fakes import bounds, standing

Floats = npt.NDArray[np.float32]
FPS = 25
ROWS = 8
RED, BLUE = (40, 40, 200), (200, 60, 30)
GROUND = (120, 120, 120)


def body(x: float, confidence: float = 0.9) -> Floats:
    return np.array([x - 50, 100, x + 50, 400, confidence], np.float32)


class Device:
    """Does with boxes what the graphs do: row 0 is who overlaps the anchor, the last frame's `next_boxes[0]`, or, where
    nobody does, the anchor itself if it has a confidence."""

    def __init__(self, people: int) -> None:
        self.people = people
        self.left = np.zeros((people, 5), np.float32)

    def run(self, plan: DevicePlan, found: Sequence[Floats], bodies: Sequence[Floats]) -> tuple[Floats, PoseOutput]:
        """`found` by the detector, the surest first; `bodies` front to back: a skeleton is on the first that fits."""
        boxes = np.zeros((ROWS, 5), np.float32)
        if plan.detect:
            anchor = self.left[0] if plan.override is None else plan.override[0]
            rows = list(found)
            if anchor.any():
                near = max(rows, key=lambda box: iou(box, anchor), default=None)
                followed = np.append(anchor[:4], 0).astype(np.float32) * (anchor[4] > 0)
                first = near if near is not None and iou(near, anchor) >= 0.2 else followed
                rows = [first] + [box for box in rows if box is not first]
            boxes[: len(rows)] = np.array(rows).reshape(-1, 5)
        else:
            boxes[: self.people] = self.left
        keypoints = np.zeros((self.people, 17, 3), np.float32)
        self.left = np.zeros((self.people, 5), np.float32)
        for row, box in enumerate(boxes[: self.people]):
            near = [one for one in bodies if iou(box, one) > 0]
            if near:
                seen = max(near, key=lambda one: iou(box, one) > 0.35)
                keypoints[row] = standing(seen[:4], float(seen[4]))
                self.left[row] = bounds(keypoints[row])
        state = np.zeros((self.people, 17, 4), np.float32)
        return boxes, PoseOutput(keypoints, joints_from_keypoints(keypoints), self.left.copy(), state)


class Play:
    """Frames with two in flight. `on` has where the scored skeleton is in each frame, x px, or None.

    The detector looks in every frame, unless `detect_every` says otherwise.
    """

    def __init__(self, people: int = 2, *, detect_every: int | None = 1, **options: object) -> None:
        self.tracker = DeviceTracker(people, detect_every=detect_every, **options)  # type: ignore[arg-type]
        self.device = Device(people)
        self.plans: list[DevicePlan] = []
        self.on: list[float | None] = []
        self.about: list[int | None] = []
        self.hidden: list[bool] = []
        self.waiting: list[tuple[float, DevicePlan, Floats, PoseOutput, npt.NDArray[np.uint8]]] = []

    def frame(
        self,
        *bodies: Floats,
        found: Sequence[Floats] | None = None,
        colours: Sequence[tuple[int, int, int]] = (),
        seconds: float | None = None,
    ) -> DevicePlan:
        """`bodies` front to back; all of them are found, the first the surest, unless `found` says otherwise."""
        now = len(self.plans) / FPS if seconds is None else seconds
        plan = self.tracker.plan(now)
        self.plans.append(plan)
        picture = np.full((480, 1280, 3), GROUND, np.uint8)
        for box, colour in reversed(list(zip(bodies, colours, strict=False))):
            x1, y1, x2, y2 = np.maximum(box[:4], 0).astype(int)
            picture[y1:y2, x1:x2] = colour
        self.waiting.append((now, plan, *self.device.run(plan, bodies if found is None else found, bodies), picture))
        if len(self.waiting) == 2:
            self.collect()
        return plan

    def collect(self) -> None:
        seconds, plan, boxes, pose, picture = self.waiting.pop(0)
        order = self.tracker.accept(seconds, plan, boxes, pose, picture)
        self.about.append(self.tracker.rows[0])
        self.hidden.append(self.tracker.hidden)
        seen = order[0] != EMPTY and pose.next_boxes[order[0]].any()
        self.on.append(float(pose.keypoints[order[0], :, 0].mean()) if seen else None)


ANNA, BERT = body(300), body(900)


def test_while_the_person_is_seen_the_device_needs_nothing_from_the_host() -> None:
    play = Play()
    for step in range(12):
        play.frame(body(300 + 5 * step), BERT)
    assert all(plan.detect for plan in play.plans)
    assert [plan.override for plan in play.plans[4:]] == [None] * 8
    assert [plan.seconds for plan in play.plans] == pytest.approx([0.0] + [1 / FPS] * 11)
    assert set(play.about) == {0} and None not in play.on


def test_a_lost_person_is_looked_for_where_they_were_and_nobody_else_takes_their_place() -> None:
    play = Play()
    for _ in range(6):
        play.frame(ANNA, BERT)
    for _ in range(5):
        play.frame(BERT)
    for _ in range(4):
        play.frame(ANNA, BERT)
    play.collect()
    assert play.on[6:11] == [None] * 5
    assert all(where is not None and abs(where - 300) < 20 for where in play.on[:6] + play.on[11:])
    told = [plan.override for plan in play.plans[8:12]]
    assert all(boxes is not None and iou(boxes[0], ANNA) > 0.5 for boxes in told)


def test_after_a_second_anybody_may_be_chosen() -> None:
    play = Play()
    for _ in range(6):
        play.frame(ANNA, BERT)
    for _ in range(FPS + 10):
        play.frame(BERT)
    freed = [plan for plan in play.plans if plan.override is not None and not plan.override.any()]
    assert len(freed) == 1
    assert play.about[-1] == 1 and play.on[-1] == pytest.approx(900, abs=20)


def test_pictures_that_stand_alone_have_no_past() -> None:
    play = Play(stills=True)
    for index, seen in enumerate((ANNA, BERT, ANNA)):
        plan = play.frame(seen, seconds=float(index))
        assert plan.detect and plan.seconds == 0.0
        assert plan.override is not None and not plan.override.any()
    play.collect()
    assert play.on == pytest.approx([300, 900, 300], abs=20)


def test_with_detect_every_the_detector_rests_while_the_pose_is_sure() -> None:
    play = Play(detect_every=3)
    for _ in range(9):
        play.frame(ANNA)
    assert [plan.detect for plan in play.plans] == [True, True, False, False, True, False, False, True, False]
    play.frame(body(300, 0.4))
    play.frame(ANNA)
    assert play.frame(ANNA).detect
    assert set(play.about) == {0}


def test_by_itself_the_detector_rests_as_long_as_on_a_cpu() -> None:
    play = Play(detect_every=None)
    for _ in range(40):
        play.frame(ANNA)
    looked = [index for index, plan in enumerate(play.plans) if plan.detect]
    assert looked[:2] == [0, 1] and np.diff(looked[1:]).tolist() == [DETECT_EVERY_AUTO] * 2


def test_while_anothers_speed_is_not_known_the_detector_looks_more_often_and_where_they_meet_in_every_frame() -> None:
    play = Play(detect_every=None)
    for _ in range(6):
        play.frame(ANNA)
    for step in range(38):
        play.frame(ANNA, body(1200 - 22 * step))
    looked = [index for index, plan in enumerate(play.plans) if plan.detect]
    met = next(index for index, plan in enumerate(play.plans) if plan.override is not None)
    assert looked[looked.index(met) :] == list(range(met, 44))
    others = [index for index in looked if 6 < index < met]
    assert np.diff(others).tolist() == [DETECT_EVERY_STRANGERS] * 3


# ---- whom the detector misses


def test_somebody_the_detector_misses_is_followed_by_their_keypoints_without_the_host() -> None:
    play = Play()
    for step in range(6):
        play.frame(body(300 + 5 * step), BERT)
    for step in range(6, 60):
        play.frame(body(300 + 5 * step), BERT, found=[BERT] if step % 2 else [])
    assert [plan.override for plan in play.plans[8:20]] == [None] * 12
    assert play.on == pytest.approx([300 + 5 * step for step in range(59)], abs=20)
    assert play.tracker.followed == pytest.approx(0.9) and set(play.about) == {0}
    for step in range(60, 63):
        play.frame(body(300 + 5 * step), BERT)
    assert play.tracker.followed is None and play.on[-1] == pytest.approx(300 + 5 * 61, abs=20)


def test_somebody_who_was_lost_is_followed_once_they_are_found_whatever_was_sent_before_that() -> None:
    play = Play()
    for _ in range(6):
        play.frame(ANNA)
    for _ in range(4):
        play.frame(found=[])
    play.frame(ANNA)
    for _ in range(12):
        play.frame(ANNA, found=[])
    play.collect()
    assert play.on[6:10] == [None] * 4 and play.on[10] == pytest.approx(300, abs=20)
    assert play.on[11] is None, "it was on its way before she was found"
    assert play.on[12:] == pytest.approx([300] * 11, abs=20)
    assert [plan.override is None for plan in play.plans[12:16]] == [False, True, True, True]


@pytest.mark.parametrize("confidence", [0.9, 0.4], ids=["sure", "unsure"])
@pytest.mark.parametrize("here", [True, False], ids=["here", "gone"])
def test_they_are_followed_for_as_many_frames_as_on_a_cpu(confidence: float, here: bool) -> None:
    frames = FPS * 2
    seen = [[body(300)]] * 6 + [[body(300, confidence)] if here else []] * frames
    found = [[body(300)]] * 6 + [[]] * frames
    play = Play(1)
    for bodies, boxes in zip(seen, found, strict=True):
        play.frame(*bodies, found=boxes)
    play.collect()
    device, tracker = Device(1), Tracker(1, detect_every=1)
    on_cpu = []
    for index, (bodies, boxes) in enumerate(zip(seen, found, strict=True)):
        tracker.plan(index / FPS)
        detected = np.zeros((ROWS, 5), np.float32)
        detected[: len(boxes)] = np.array(boxes).reshape(-1, 5)
        device.left = tracker.boxes_after_detection(detected)
        on_cpu.append(bool(device.left.any()))
        if on_cpu[-1]:
            boxes, pose = device.run(DevicePlan(0, False, None, None), [], bodies)
            tracker.update(index / FPS, pose, boxes[:1])
        else:
            tracker.nobody()
    assert [where is not None for where in play.on] == [
        looked and here for looked, here in zip(on_cpu, map(bool, seen), strict=True)
    ]
    assert sum(on_cpu) == {(True, 0.9): 56, (True, 0.4): 31}.get((here, confidence), 7)


def test_somebody_too_fast_for_their_anchor_is_met_again_and_not_the_place_where_they_were() -> None:
    play = Play(1)
    for _ in range(6):
        play.frame(ANNA)
    for _ in range(6):
        play.frame(body(420), ANNA, found=[body(420)])  # what the pose network sees where she was
    play.collect()
    assert set(play.about) == {0} and play.on[-3:] == pytest.approx([420] * 3, abs=20)


def test_of_one_body_found_twice_either_box_will_do() -> None:
    play = Play(1)
    for _ in range(6):
        play.frame(ANNA)
    half = ANNA + np.array([20, 10, -40, -60, -0.4], np.float32)
    for step in range(8):
        play.frame(ANNA, found=[half, ANNA] if step % 2 else [ANNA, half])
    play.collect()
    assert None not in play.on and set(play.about) == {0}


def test_a_skeleton_that_is_nobodys_does_not_keep_the_device_from_the_next_person() -> None:
    play = Play(1)
    for _ in range(6):
        play.frame(ANNA)
    ghost = body(300, 0.35)  # a coat on its stand: never found, never sure
    for _ in range(FPS + 6):
        play.frame(ghost, found=[])
    for _ in range(6):
        play.frame(ghost, BERT, found=[BERT])
    play.collect()
    assert play.about[-1] == 1 and play.on[-1] == pytest.approx(900, abs=20)
    assert sum(plan.override is not None and not plan.override.any() for plan in play.plans) == 1


class Turns:
    """Frames one after the other, each with the boxes and the one skeleton that it is told."""

    def __init__(self) -> None:
        self.tracker = DeviceTracker(1, detect_every=1)
        self.frames = 0

    def frame(self, *boxes: Floats, on: Floats | None) -> tuple[DevicePlan, list[int]]:
        plan = self.tracker.plan(self.frames / FPS)
        rows, keypoints = np.zeros((ROWS, 5), np.float32), np.zeros((1, 17, 3), np.float32)
        rows[: len(boxes)] = np.array(boxes).reshape(-1, 5)
        if on is not None:
            keypoints[0] = standing(on[:4], float(on[4]))
        state = np.zeros((1, 17, 4), np.float32)
        pose = PoseOutput(keypoints, joints_from_keypoints(keypoints), bounds(keypoints[0])[None], state)
        order = self.tracker.accept(self.frames / FPS, plan, rows, pose)
        self.frames += 1
        return plan, order


def followed(box: Floats) -> Floats:
    return np.append(box[:4], 0).astype(np.float32)


def test_where_another_stands_before_them_nobody_is_followed() -> None:
    turns = Turns()
    near = np.array([150, 0, 650, 480, 0.9], np.float32)  # so large that it does not match her anchor
    assert iou(near, ANNA) < 0.2
    for away in range(300, 0, -25):
        turns.frame(ANNA, near + np.array([away, 0, away, 0, 0], np.float32), on=ANNA)
    assert turns.frame(followed(ANNA), near, on=ANNA)[1] == [EMPTY] and turns.tracker.hidden


def test_somebody_whose_keypoints_are_lost_is_looked_for_and_not_followed() -> None:
    turns = Turns()
    for _ in range(6):
        turns.frame(ANNA, on=ANNA)
    assert turns.frame(on=None)[0].override is None
    told = turns.frame(on=None)[0].override
    assert told is not None and iou(told[0], ANNA) > 0.5 and told[0, 4] == 0


def test_somebody_just_chosen_is_followed_if_the_detector_misses_them_at_once() -> None:
    turns = Turns()
    for _ in range(6):
        turns.frame(ANNA, BERT, on=ANNA)
    assert turns.tracker.choose(None)
    plan, order = turns.frame(followed(BERT), on=BERT)
    assert plan.override is not None and plan.override[0, 4] == 1
    assert order == [0] and turns.tracker.rows == [1] and turns.tracker.followed is not None


def test_of_one_body_found_twice_the_box_looked_into_is_theirs_though_the_other_fits_better() -> None:
    turns = Turns()
    for _ in range(6):
        turns.frame(ANNA, on=ANNA)
    wide = np.array([220, 90, 440, 410, 0.9], np.float32)
    assert turns.frame(wide, ANNA, on=ANNA)[1] == [0] and turns.tracker.rows == [0]


def test_a_skeleton_on_somebody_else_before_anybody_is_chosen_is_let_go() -> None:
    turns = Turns()
    beside = body(340)
    assert turns.frame(ANNA, beside, on=beside)[1] == [EMPTY]
    told = turns.frame(beside, ANNA, on=beside)[0].override
    assert told is not None and not told.any()


# ---- another person


@pytest.mark.parametrize("people", [1, 2])
def test_the_chosen_person_reaches_the_device_as_its_anchor_and_stays_there(people: int) -> None:
    play = Play(people)
    for _ in range(6):
        play.frame(ANNA, BERT)
    assert play.tracker.choose(None)
    for _ in range(8):
        play.frame(ANNA, BERT)
    play.collect()
    told = play.plans[6].override
    assert told is not None and iou(told[0], BERT) > 0.5
    assert play.plans[-1].override is None  # from here on the device knows itself
    assert play.about == [0] * 6 + [1] * 8  # what was under way is still about Anna
    assert play.on[:6] == pytest.approx([300] * 6, abs=20) and play.on[6:] == pytest.approx([900] * 8, abs=20)


def test_choosing_goes_round_and_by_id_and_says_when_there_is_nobody() -> None:
    play = Play(1)
    assert not play.tracker.choose(None)
    for _ in range(4):
        play.frame(ANNA, BERT)
    assert play.tracker.choose(None) and play.tracker.choose(None)  # to Bert and back
    assert play.tracker.choose(1)
    assert not play.tracker.choose(1) and not play.tracker.choose(17)


def test_everybody_keeps_their_row_whatever_the_detector_thinks_of_them() -> None:
    play = Play(3)
    cara = body(600)
    for index in range(10):
        play.frame(ANNA, *([BERT, cara] if index % 2 else [cara, BERT]))
    play.collect()
    rows = play.tracker.rows
    assert rows[0] == 0 and None not in rows
    play.frame(ANNA, BERT)
    play.collect()
    assert play.tracker.rows.count(None) == 1 and rows.index(2) == play.tracker.rows.index(2)


# ---- crossings

WALKS: dict[str, tuple[tuple[float, float], tuple[float, float], int]] = {
    "stands while another passes": ((640, 200), (0, 12), 70),
    "stands while another runs past": ((640, 100), (0, 28), 40),
    "opposite directions": ((250, 1000), (10, -10), 70),
    "overtaken": ((400, 150), (4, 13), 70),
    "overtakes": ((150, 400), (13, 4), 70),
}


@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("front", [0, 1], ids=["in front", "behind"])
@pytest.mark.parametrize("way", list(WALKS))
def test_the_lock_is_on_the_same_person_after_a_crossing(way: str, front: int, people: int) -> None:
    starts, speeds, frames = WALKS[way]
    play = Play(people)
    near: list[int] = []
    for index in range(frames):
        places = [start + speed * index for start, speed in zip(starts, speeds, strict=True)]
        bodies = [body(place) for place in places]
        order = [front, 1 - front]
        seen = [bodies[one] for one in order]
        found = seen[:1] if iou(*seen) >= 0.6 else bodies  # one before the other is one to the detector
        play.frame(*seen, found=found, colours=[(RED, BLUE)[one] for one in order])
        if play.on and play.on[-1] is not None:
            shown = [start + speed * (len(play.on) - 1) for start, speed in zip(starts, speeds, strict=True)]
            near.append(int(np.argmin([abs(play.on[-1] - place) for place in shown])))
    assert near[0] == 0 and 1 not in near
    assert len(near) > frames // 2 and play.on[-1] is not None
    assert any(play.hidden) or front == 0


CHAIR = body(600)


@pytest.mark.parametrize("people", [1, 2])
def test_what_is_no_body_gives_way_to_somebody(people: int) -> None:
    """The device takes the likeliest box, in which there is nobody, until the host says whom to stay with."""
    play = Play(people=people)
    for _ in range(12):
        play.frame(ANNA, found=[CHAIR, ANNA])
    assert play.on[:2] == [None, None] if people == 1 else [300, 300], (
        "the second row is Anna's from the first frame on"
    )
    assert play.on[2:] == [300] * 9
    assert [plan.override is None for plan in play.plans[-3:]] == [True] * 3


def test_what_is_no_body_is_nobody() -> None:
    play = Play(people=1)
    for _ in range(5):
        play.frame(found=[CHAIR])
    assert play.about == [None] * 4 and not any(play.hidden) and not play.tracker.crowd.people
    for _ in range(3):
        play.frame(ANNA)
    assert play.on[-1] == 300


def test_a_doubtful_box_counts_only_where_there_is_nobody_else() -> None:
    play, doubtful = Play(people=2), body(600, 0.1)
    for frame in range(5):
        play.frame(body(600), found=[] if frame else [doubtful])  # with an anchor the graph wants more
    assert play.on == [600] * 4
    play = Play(people=2)
    for _ in range(5):
        play.frame(ANNA, body(600), found=[ANNA, doubtful])
    assert play.on[-1] == 300 and len(play.tracker.crowd.people) == 1


@pytest.mark.parametrize("people", [1, 2])
def test_who_was_found_twice_is_one_person(people: int) -> None:
    play, trunk = Play(people=people), np.array([260, 100, 340, 230, 0.6], np.float32)
    for frame in range(8):
        play.frame(ANNA, found=[ANNA, trunk] if frame else [ANNA])
        if people == 2:
            assert len([person for person in play.tracker.crowd.people if person.confirmed]) <= 1
    assert play.on[1:] == [300] * 6


def test_a_newcomer_who_is_found_twice_gives_way_to_the_one_who_is_known() -> None:
    """The device takes the trunk for the likeliest, in whom the other row's skeleton is."""
    play, trunk = Play(people=2), np.array([270, 110, 370, 280, 0.9], np.float32)
    for _ in range(8):
        play.frame(ANNA, found=[trunk, ANNA])
    assert play.on[-1] == 300 and len([one for one in play.tracker.crowd.people if one.confirmed]) == 1
