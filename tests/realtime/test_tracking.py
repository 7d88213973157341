"""Tracking: whom the loop stays with, for how long, and when it looks for people again."""

import numpy as np
import numpy.typing as npt
import pytest

from engines.bodies import MARGINS
from engines.execution import PoseOutput
from engines.geometry import iou
from realtime.people import Crowd, Person
from realtime.recognition import LEAST_TRACK_CONFIDENCE
from realtime.stories import Story
from realtime.tracking import DETECT_EVERY_AUTO, Tracker

Floats = npt.NDArray[np.float32]

ANNA = (100, 20, 200, 170)
BERT = (210, 20, 300, 170)
CARL = (10, 20, 80, 170)


def boxes(*rows: tuple[float, ...] | None, confidence: float = 0.9) -> Floats:
    """float32 [K, 5]; None is a row of zeros."""
    table = np.zeros((len(rows), 5), np.float32)
    for row, box in zip(table, rows, strict=True):
        if box is not None:
            row[:] = (*box[:4], confidence) if len(box) == 4 else box
    return table


def saw(tracker: Tracker, seconds: float, found: Floats, detected: bool = False) -> None:
    """One frame: the keypoints' boxes are `found`."""
    if detected:
        tracker.boxes_after_detection(found)
    tracker.update(seconds, pose_of(found), found)


def pose_of(found: Floats) -> PoseOutput:
    """Keypoints of bodies that fill `found`, as sure as those; of whom no joint is sure."""
    count = len(found)
    shapes = (count, 17, 3), (count, 15, 3)
    keypoints, joints = (np.zeros(shape, np.float32) for shape in shapes)
    side, above, below = MARGINS
    width, height = found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]
    longer = np.maximum(height / (1 + above + below), width / (1 + 2 * side))[:, None, None]
    keypoints[:, ::2, :2] = found[:, None, :2] + longer * np.array((side, above))
    keypoints[:, 1::2, :2] = found[:, None, 2:4] - longer * np.array((side, below))
    keypoints[..., 2] = found[:, 4:]
    return PoseOutput(keypoints, joints, found, np.ones((count, 17, 4), np.float32))


def detections(tracker: Tracker, count: int, confidence: float = 0.9) -> list[int]:
    """The frames in which the tracker asks for a detection, of a person who stays in view."""
    asked = []
    for index in range(count):
        detect = tracker.plan(index / 25).detect
        asked += [index] if detect else []
        saw(tracker, index / 25, boxes(ANNA, confidence=confidence), detect)
    return asked


@pytest.mark.parametrize(
    ("every", "frames"), [(1, [0, 1, 2, 3, 4, 5, 6]), (2, [0, 2, 4, 6]), (3, [0, 3, 6]), (10, [0])]
)
def test_the_detector_looks_in_the_first_frame_and_then_every_nth(every: int, frames: list[int]) -> None:
    assert detections(Tracker(1, detect_every=every), 7) == frames


def test_without_a_number_the_detector_looks_at_a_steady_pace() -> None:
    assert detections(Tracker(1), 31) == [0, DETECT_EVERY_AUTO, 2 * DETECT_EVERY_AUTO]


def test_the_detector_looks_at_once_when_the_keypoints_become_unsure() -> None:
    tracker = Tracker(1, detect_every=10)
    for index, confidence in enumerate((0.9, LEAST_TRACK_CONFIDENCE, LEAST_TRACK_CONFIDENCE - 0.01)):
        assert tracker.plan(index / 25).detect == (index == 0)
        saw(tracker, index / 25, boxes(ANNA, confidence=confidence), detected=index == 0)
    assert tracker.plan(3 / 25).detect


def test_the_detector_looks_in_every_frame_while_nobody_is_there() -> None:
    assert detections(Tracker(1, detect_every=10), 4, confidence=0.0) == [0, 1, 2, 3]


def test_the_first_frame_has_no_anchor_and_no_time_has_passed() -> None:
    plan = Tracker(2).plan(17.0)
    assert plan.detect and not plan.anchor.any() and plan.anchor.dtype == np.float32
    assert plan.seconds == 0


def test_the_anchor_is_the_last_place_where_the_person_was_seen() -> None:
    tracker = Tracker(1)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA), detected=True)
    assert tracker.plan(0.04).anchor.tolist() == list(ANNA)
    saw(tracker, 0.04, boxes((101, 20, 201, 170)))
    assert tracker.plan(0.08).anchor.tolist() == [101, 20, 201, 170]


def test_the_anchor_is_kept_one_second_without_a_match_and_then_released() -> None:
    tracker = Tracker(1)
    tracker.plan(5.0)
    saw(tracker, 5.0, boxes(ANNA), detected=True)
    for seconds in (5.04, 5.5, 5.99, 6.0):
        assert tracker.plan(seconds).anchor.any(), seconds
        saw(tracker, seconds, boxes(None), detected=True)
    assert not tracker.plan(6.01).anchor.any()
    saw(tracker, 6.01, boxes(BERT), detected=True)
    assert tracker.plan(6.05).anchor.tolist() == list(BERT)


def test_a_person_who_comes_back_in_time_starts_the_second_anew() -> None:
    tracker = Tracker(1)
    for seconds, seen in ((0.0, True), (0.9, False), (0.95, True), (1.9, False)):
        tracker.plan(seconds)
        saw(tracker, seconds, boxes(ANNA if seen else None), detected=True)
    assert tracker.plan(1.94).anchor.any()
    assert not tracker.plan(1.96).anchor.any()


def test_a_detection_moves_the_box_to_what_was_detected() -> None:
    tracker = Tracker(1)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA), detected=True)
    moved = boxes((103, 22, 203, 172))
    assert tracker.boxes_after_detection(moved).tolist() == moved.tolist()


def test_a_sure_person_whom_the_detector_misses_is_kept() -> None:
    tracker = Tracker(1)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA, confidence=LEAST_TRACK_CONFIDENCE), detected=True)
    tracker.plan(0.04)
    assert tracker.boxes_after_detection(boxes(None))[0, :4].tolist() == list(ANNA)


def followed_until(confidence: float) -> float:
    """The last time, to 0.1 s, that Anna has a box, seen by the detector at 0 s only, by her keypoints for 3 s."""
    tracker = Tracker(1)
    last = 0.0
    for tenth in range(31):
        seconds = tenth / 10
        if tracker.plan(seconds).detect:
            found = tracker.boxes_after_detection(boxes(None if tenth else ANNA))
        else:
            found = tracker.boxes
        if not found[0].any():
            break
        last = seconds
        tracker.update(seconds, pose_of(boxes(ANNA, confidence=confidence)), found)
    return last


def test_a_person_whom_the_detector_misses_is_followed_while_their_keypoints_are_sure() -> None:
    assert followed_until(LEAST_TRACK_CONFIDENCE) == 3.0


def test_a_person_whom_the_detector_misses_is_followed_one_second_by_keypoints_that_are_unsure() -> None:
    assert followed_until(LEAST_TRACK_CONFIDENCE - 0.1) == 1.0


def test_a_person_without_keypoints_is_not_followed() -> None:
    tracker = Tracker(1)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA), detected=True)
    tracker.plan(0.04)
    saw(tracker, 0.04, boxes(None))
    assert tracker.plan(0.08).anchor.any()
    assert not tracker.boxes_after_detection(boxes(None)).any()


def test_people_keep_their_rows_in_whatever_order_the_detector_gives_them() -> None:
    tracker = Tracker(3)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA, BERT, CARL), detected=True)
    tracker.plan(0.04)
    found = boxes(ANNA, (15, 20, 85, 170), (215, 20, 305, 170))
    assert tracker.boxes_after_detection(found)[:, 0].tolist() == [100, 215, 15]


def test_a_newcomer_gets_the_first_free_row_and_pushes_nobody_out() -> None:
    tracker = Tracker(4)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA, CARL, None, None), detected=True)
    tracker.plan(0.04)
    assert tracker.boxes_after_detection(boxes(ANNA, BERT, CARL, None))[:, 0].tolist() == [100, 10, 210, 0]


def test_a_person_who_left_frees_their_row_while_the_others_stay() -> None:
    tracker = Tracker(3)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA, BERT, CARL), detected=True)
    tracker.plan(0.04)
    assert tracker.boxes_after_detection(boxes(ANNA, CARL, None))[:, 0].tolist() == [100, 0, 10]


def test_another_person_does_not_take_the_row_of_the_one_who_is_scored() -> None:
    """The detector gives zeros in row 0 when nobody is where the anchor was."""
    tracker = Tracker(2)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA, BERT), detected=True)
    tracker.plan(0.04)
    saw(tracker, 0.04, boxes(None, BERT))
    tracker.plan(0.08)
    assert tracker.boxes_after_detection(boxes(None, BERT))[:, 0].tolist() == [0, 210]


CHAIR, TABLE = (300, 20, 400, 170), (500, 20, 600, 170)


def scored(tracker: Tracker, *frames: Floats, bodies: float = 0.9) -> list[float]:
    """Where row 0 looks in each frame, x px; the detector finds the boxes, the pose network no body at chair, table."""
    places = []
    for frame, found in enumerate(frames):
        tracker.plan(frame / 25)
        looked = tracker.boxes_after_detection(found)
        seen = looked * ~np.isin(looked[:, :1], (CHAIR[0], TABLE[0]))
        seen[:, 4] = bodies * (seen[:, 2] > 0)
        tracker.update(frame / 25, pose_of(seen), looked)
        places.append(float(looked[0, 0]))
    return places


@pytest.mark.parametrize("people", [1, 2, 3])
def test_what_is_no_body_gives_way_to_somebody(people: int) -> None:
    tracker = Tracker(people)
    assert scored(tracker, *[boxes(CHAIR, ANNA)] * 4) == [CHAIR[0], ANNA[0], ANNA[0], ANNA[0]]
    assert tracker.locked is not None and tracker.locked.box.tolist() == list(ANNA)


def test_a_chair_right_behind_somebody_gives_way_too() -> None:
    """Nobody is forgotten who may be covered, but a row is not kept for them."""
    behind = (*CHAIR[:1], 20, 340, 170)
    somebody = (320, 20, 400, 170)
    tracker = Tracker(1)
    assert scored(tracker, *[boxes(behind, somebody)] * 3) == [CHAIR[0], 320, 320]


def test_what_is_no_body_is_nobody_and_is_looked_at_again() -> None:
    tracker = Tracker(2)
    assert scored(tracker, *[boxes(CHAIR, None)] * 3) == [CHAIR[0]] * 3
    assert tracker.locked is None and not tracker.crowd.people and not tracker.hidden
    tracker.plan(1)
    pose, looked = tracker.update(1, pose_of(boxes(None, None)), tracker.boxes_after_detection(boxes(CHAIR, None)))
    assert not looked.any() and not pose.next_boxes.any()


def test_of_several_that_were_refused_the_one_longest_ago_is_looked_at_first() -> None:
    tracker = Tracker(1)
    found = boxes(CHAIR, TABLE)
    assert scored(tracker, *[found] * 4) == [CHAIR[0], TABLE[0], CHAIR[0], TABLE[0]]
    assert scored(Tracker(1), *[found] * 4, bodies=0) == [CHAIR[0], TABLE[0]] * 2


def test_a_place_where_nobody_was_a_second_ago_is_like_any_other() -> None:
    tracker = Tracker(1)
    scored(tracker, boxes(CHAIR))
    for seconds, first in ((0.9, TABLE), (2.0, CHAIR)):
        tracker.plan(seconds)
        assert tracker.boxes_after_detection(boxes(CHAIR, TABLE))[0, 0] == first[0]
        tracker.update(seconds, pose_of(boxes(None)), boxes(first))


@pytest.mark.parametrize(
    ("box", "body", "somebody"), [(0.3, 0.31, False), (0.3, 0.45, True), (0.1, 0.8, True), (0.1, 0.45, False)]
)
def test_a_newcomer_is_somebody_by_the_word_of_both_networks(box: float, body: float, somebody: bool) -> None:
    tracker = Tracker(1)
    scored(tracker, boxes(ANNA, confidence=box), bodies=body)
    assert (tracker.locked is not None) == somebody == bool(tracker.boxes.any())


def test_a_doubtful_box_counts_only_where_there_is_nobody_else() -> None:
    doubtful = (*BERT, 0.1)
    for before, found, counts in (
        (None, boxes(doubtful), [BERT[0]]),
        (None, boxes(ANNA, doubtful), [ANNA[0]]),
        (ANNA, boxes(doubtful), [ANNA[0]]),
        (ANNA, boxes(ANNA, (*BERT, 0.16)), [ANNA[0], BERT[0]]),
    ):
        tracker = Tracker(2)
        tracker.plan(0)
        if before is not None:
            saw(tracker, 0, boxes(before, None), detected=True)
        tracker.plan(0.04)
        tracker.boxes_after_detection(found)
        assert [person.box[0] for person in tracker.crowd.people] == pytest.approx(counts)


def test_somebody_who_moves_on_unseen_gets_a_box_of_their_own() -> None:
    """Who holds the last one, such as a refused place, keeps it as it was."""
    crowd, person = Crowd(), Person(0, np.array(ANNA, np.float32), 0.0, 0.0)
    crowd.people, crowd._stories = [person], [Story(hidden=frozenset({0}))]
    kept = person.box
    person.motion.place += 30
    assert crowd.missed(person, 0.1)
    assert tuple(kept) == ANNA and tuple(person.box) == (130, 20, 230, 170)


def test_what_was_refused_hides_no_doubtful_box() -> None:
    found = boxes((*CHAIR, 0.5), (*BERT, 0.1))
    assert scored(Tracker(1), *[found] * 4) == [CHAIR[0], *[BERT[0]] * 3]


def test_a_newcomer_with_the_skeleton_of_another_is_the_other_found_twice_and_is_forgotten() -> None:
    """Their legs are found as somebody of their own."""
    tracker, legs = Tracker(2), (ANNA[0], ANNA[1] + 80, *ANNA[2:])
    saw(tracker, 0, boxes(ANNA, None), detected=True)
    anna = tracker.rows[0]
    for frame in range(1, 9):
        tracker.plan(frame / 25)
        looked = tracker.boxes_after_detection(boxes(ANNA, legs))
        assert looked[1].any() or frame > 1, "the legs are looked into"
        pose, kept = tracker.update(frame / 25, pose_of(boxes(ANNA, ANNA if looked[1].any() else None)), looked)
        assert tracker.rows == [anna, None] and not kept[1].any() and not pose.next_boxes[1].any()
        assert [person.id for person in tracker.crowd.people] == [anna]


def test_a_newcomer_beside_another_is_somebody() -> None:
    tracker = Tracker(2)
    saw(tracker, 0, boxes(ANNA, None), detected=True)
    tracker.plan(0.04)
    saw(tracker, 0.04, boxes(ANNA, BERT), detected=True)
    assert None not in tracker.rows and all(person.confirmed for person in tracker.crowd.people)


def test_where_the_detector_looked_a_person_is_by_the_word_of_both_networks() -> None:
    tracker, trunk = Tracker(1), (*ANNA[:3], (ANNA[1] + ANNA[3]) // 2)
    tracker.plan(0)
    tracker.update(0, pose_of(boxes(ANNA)), tracker.boxes_after_detection(boxes(trunk)))
    assert tracker.locked is not None and trunk[3] + 10 < tracker.locked.box[3] < ANNA[3]


@pytest.mark.parametrize("smoothing", [True, False])
def test_who_was_somebody_stays_somebody_however_unsure(smoothing: bool) -> None:
    tracker = Tracker(1, smoothing=smoothing)
    scored(tracker, boxes(ANNA))
    for frame in range(1, 5):
        tracker.plan(frame / 25)
        saw(tracker, frame / 25, boxes(ANNA, confidence=0.31), detected=frame % 2 == 0)
        assert tracker.boxes.any() and tracker.locked is not None


def test_somebody_where_nobody_was_is_somebody() -> None:
    tracker = Tracker(1)
    scored(tracker, boxes(CHAIR))
    tracker.plan(0.04)
    saw(tracker, 0.04, boxes(CHAIR), detected=True)
    assert tracker.locked is not None and tracker.locked.box.tolist() == list(CHAIR)


def test_a_newcomer_without_keypoints_before_another_stays_known() -> None:
    """They may be covered, and are needed to say who is who."""
    beside = (160, 20, 220, 170)
    tracker = Tracker(2)
    tracker.plan(0)
    tracker.update(0, pose_of(boxes(ANNA, None)), tracker.boxes_after_detection(boxes(ANNA, beside)))
    assert [person.box.tolist() for person in tracker.crowd.people] == [list(ANNA), list(beside)]
    assert tracker.rows == [tracker.crowd.people[0].id, None]


def test_the_time_between_frames_is_their_own_and_never_negative() -> None:
    tracker = Tracker(1)
    passed = [tracker.plan(seconds).seconds for seconds in (10.0, 10.04, 10.1, 9.0, 9.04, 9.04)]
    assert passed == pytest.approx([0, 0.04, 0.06, 0, 0.04, 0])


def test_smoothing_gives_the_engine_back_its_own_state() -> None:
    tracker = Tracker(1)
    tracker.plan(0)
    saw(tracker, 0, boxes(ANNA))
    assert (tracker.state == 1).all()


def test_without_smoothing_the_engine_never_has_a_past() -> None:
    tracker = Tracker(1, smoothing=False)
    for index in range(3):
        tracker.plan(index / 25)
        saw(tracker, index / 25, boxes(ANNA))
        assert tracker.state.shape == (1, 17, 4) and tracker.state.dtype == np.float32
        assert not tracker.state.any()


def test_a_reset_forgets_everybody() -> None:
    tracker = Tracker(2, detect_every=10)
    tracker.plan(7.0)
    saw(tracker, 7.0, boxes(ANNA, BERT), detected=True)
    tracker.reset()
    assert not tracker.boxes.any() and not tracker.state.any()
    plan = tracker.plan(1.0)
    assert plan.detect and not plan.anchor.any() and plan.seconds == 0


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        (ANNA, ANNA, 1),
        (ANNA, BERT, 0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
        ((0, 0, 2, 2), (2, 2, 4, 4), 0),
    ],
)
def test_overlap_is_intersection_over_union(first: tuple[int, ...], second: tuple[int, ...], value: float) -> None:
    pair = np.array(first, np.float32), np.array(second, np.float32)
    assert iou(*pair) == iou(*reversed(pair)) == pytest.approx(value, abs=1e-6)
