"""One frame through the chain: what is run, whom it is about, and why there is a score or none."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from engines.errors import BadInputError
from engines.skeleton import KEYPOINTS
from realtime.executor import CpuExecutor, find_pose
from realtime.frames import Frame
from realtime.pose import Target
from realtime.results import JOINTS_MISSING, NO_PERSON, SCORED, FrameResult
from realtime.scoring import score_from_distance
from realtime.tracking import Tracker
from tests.realtime.fakes import FRAME_SIZE, FakeChain, standing, standing_joints, standing_target

Floats = npt.NDArray[np.float32]

ANNA = (100, 20, 200, 170, 0.9)
BERT = (205, 20, 300, 170, 0.8)
NOBODY: tuple[tuple[float, ...], ...] = ()


def frame(index: int, seconds: float | None = None) -> Frame:
    width, height = FRAME_SIZE
    image = np.zeros((height, width, 3), np.uint8)
    return Frame(image, index, index / 25 if seconds is None else seconds, 1_000_000 * index)


def results(
    chain: FakeChain, count: int = 1, target: Target | None = None, *, stills: bool = False, **tracking: object
) -> list[FrameResult]:
    """What the executor says of `count` frames."""
    tracker = Tracker(chain.info.people, **tracking)  # type: ignore[arg-type]
    executor = CpuExecutor(chain, target or standing_target(), tracker, stills=stills)
    said = []
    for index in range(count):
        executor.submit(frame(index), wait_ms=3.0)
        said.append(executor.collect())
    return said


def unseen(*names: str) -> Floats:
    """Confidence of the 17 keypoints, low for those named."""
    return np.array([0.1 if name in names else 0.9 for name in KEYPOINTS], np.float32)


def test_a_person_in_view_is_scored() -> None:
    (result,) = results(FakeChain(distance=0.15))
    assert (result.status, result.reason, result.missing, result.target) == (SCORED, None, (), "Standing")
    assert result.distance == pytest.approx(0.15)
    assert result.score == pytest.approx(score_from_distance(0.15, 0.3), abs=1e-4)
    assert result.box is not None and result.keypoints is not None and result.joints is not None
    assert result.box.tolist() == pytest.approx(ANNA)
    assert (result.keypoints == standing(ANNA)).all() and (result.joints == standing_joints(ANNA)).all()
    assert set(map(abs, result.deviation_degrees.values())) == {0.0}  # type: ignore[arg-type]
    assert not result.mirrored and result.people == ()


def test_a_result_keeps_its_frames_place_and_times() -> None:
    result = results(FakeChain(), 3)[2]
    assert (result.frame, result.seconds, result.captured_ns) == (2, 2 / 25, 2_000_000)
    assert list(result.stages_ms) == ["wait", "detect", "pose", "encode"]
    assert result.stages_ms["wait"] == 3.0 and result.stages_ms["detect"] == 0.0


def test_nobody_in_view_is_said_and_nothing_more_is_run() -> None:
    chain = FakeChain(detections=[NOBODY])
    (result,) = results(chain)
    assert (result.status, result.reason) == (NO_PERSON, "no person in view")
    assert (result.score, result.distance, result.box, result.keypoints, result.joints) == (None,) * 5
    assert (result.deviation_degrees, result.missing, result.people) == ({}, (), ())
    assert chain.calls == ["detect"]


def test_a_box_in_which_no_keypoint_is_sure_holds_nobody() -> None:
    (result,) = results(FakeChain(confidence=0.2))
    assert (result.status, result.box, result.keypoints, result.score) == (NO_PERSON, None, None, None)


@pytest.mark.parametrize(
    ("hidden", "missing"),
    [
        (("left_knee", "left_ankle", "right_ankle"), ("right_ankle", "left_knee", "left_ankle")),
        (("left_hip",), ("pelvis", "left_hip")),
        (("left_eye", "nose"), ()),
    ],
)
def test_a_person_is_scored_with_four_fifths_of_the_joints_visible(hidden: Sequence[str], missing: object) -> None:
    (result,) = results(FakeChain(confidence=unseen(*hidden)))
    assert (result.status, result.reason, result.missing) == (SCORED, None, missing)
    assert result.score is not None


def test_with_fewer_joints_there_is_no_score_and_the_reason_names_them() -> None:
    (result,) = results(FakeChain(confidence=unseen("left_knee", "left_ankle", "right_knee", "right_ankle")))
    assert result.status == JOINTS_MISSING
    assert result.reason == "not visible: right ankle, right knee, left knee, left ankle"
    assert result.missing == ("right_ankle", "right_knee", "left_knee", "left_ankle")
    assert (result.score, result.distance) == (None, None)
    assert result.box is not None and result.keypoints is not None
    assert result.deviation_degrees["left_knee"] is None and result.deviation_degrees["left_elbow"] == 0


def test_joints_that_the_target_ignores_are_not_missed() -> None:
    legs = ("right_ankle", "right_knee", "left_knee", "left_ankle")
    chain = FakeChain(confidence=unseen(*legs))
    (result,) = results(chain, target=standing_target(ignore=legs))
    assert (result.status, result.missing) == (SCORED, ())
    assert not set(result.deviation_degrees) & set(legs)


def test_an_encoder_without_a_mask_needs_every_joint() -> None:
    (result,) = results(FakeChain(confidence=unseen("left_wrist"), masked=False))
    assert (result.status, result.missing, result.score) == (JOINTS_MISSING, ("left_wrist",), None)
    assert results(FakeChain(masked=False))[0].status == SCORED


def test_an_encoder_without_a_mask_refuses_a_target_that_ignores_joints() -> None:
    with pytest.raises(BadInputError, match="ignores head"):
        results(FakeChain(masked=False), target=standing_target(ignore=("head",)))


@pytest.mark.parametrize(("distances", "mirrored"), [((0.4, 0.1), True), ((0.1, 0.4), False)])
def test_the_better_of_target_and_mirror_image_is_told(distances: tuple[float, float], mirrored: bool) -> None:
    (result,) = results(FakeChain(distance=distances), target=standing_target(match_mirrored=True))
    assert result.mirrored is mirrored
    assert result.distance == pytest.approx(0.1)


def test_a_mirrored_match_is_measured_against_the_mirrored_target() -> None:
    target = standing_target(match_mirrored=True, ignore=("left_wrist",))
    (result,) = results(FakeChain(distance=(0.4, 0.1)), target=target)
    assert "right_wrist" not in result.deviation_degrees and "left_wrist" in result.deviation_degrees
    assert max(abs(value or 0) for value in result.deviation_degrees.values()) < 0.02  # the person is symmetric


def test_the_detector_runs_only_when_the_tracker_asks() -> None:
    chain = FakeChain()
    results(chain, 7, detect_every=3)
    assert chain.calls == (["detect"] + ["pose", "encode"] * 3) * 2 + ["detect", "pose", "encode"]


def test_the_detector_is_told_whom_to_stay_with() -> None:
    chain = FakeChain()
    results(chain, 3, detect_every=1)
    assert not chain.anchors[0].any()
    body = [110 - 0.08 * 142.5, 24.5 - 0.12 * 142.5, 190 + 0.08 * 142.5, 167 + 0.08 * 142.5]  # around the keypoints
    assert chain.anchors[1].tolist() == pytest.approx(
        (0.75 * np.array(ANNA[:4]) + 0.25 * np.array(body)).tolist(), abs=0.01
    )


def test_the_keypoints_lead_to_the_next_frame_where_the_detector_rests() -> None:
    chain = FakeChain()
    results(chain, 2, detect_every=10)
    assert chain.boxes[0][0].tolist() == pytest.approx(ANNA)
    assert chain.boxes[1][0, :4].tolist() == pytest.approx([110, 24.5, 190, 167], abs=0.01)


def test_the_pose_engine_gets_its_own_state_back_and_the_time_that_passed() -> None:
    chain = FakeChain()
    results(chain, 3)
    assert chain.seconds == pytest.approx([0, 0.04, 0.04])
    assert not chain.states[0].any()
    assert (chain.states[1][0, :, :2] == standing(ANNA)[:, :2]).all() and (chain.states[1][0, :, 2:] == 1).all()


def test_without_smoothing_the_pose_engine_gets_no_state() -> None:
    chain = FakeChain()
    results(chain, 3, smoothing=False)
    assert not np.any(chain.states)


def test_a_person_whom_the_detector_misses_once_is_still_scored() -> None:
    chain = FakeChain(detections=[[ANNA], NOBODY, [ANNA]])
    assert [result.status for result in results(chain, 3, detect_every=1)] == [SCORED] * 3


def test_after_a_frame_without_anybody_nobody_has_a_past() -> None:
    chain = FakeChain(detections=[[ANNA], NOBODY, [ANNA]])
    tracker = Tracker(1, detect_every=1)
    executor = CpuExecutor(chain, standing_target(), tracker)
    for index, confidence in enumerate((0.9, 0.1, 0.1, 0.9)):
        chain.confidence = confidence
        executor.submit(frame(index), wait_ms=0)
    statuses = [executor.collect().status for _ in range(4)]
    assert statuses == [SCORED, NO_PERSON, NO_PERSON, SCORED]


def test_pictures_that_have_nothing_to_do_with_each_other_are_looked_at_one_by_one() -> None:
    chain = FakeChain(detections=[[ANNA], [BERT], [ANNA]])
    said = results(chain, 3, stills=True, detect_every=100)
    assert chain.calls.count("detect") == 3
    assert not np.any(chain.anchors) and not np.any(chain.states) and chain.seconds == [0, 0, 0]
    assert [result.box[0] for result in said if result.box is not None] == [100, 205, 100]


def test_everybody_is_told_of_when_several_are_looked_for() -> None:
    (result,) = results(FakeChain(3, detections=[[ANNA, BERT]], distance=0.15))
    assert [person.id for person in result.people] == [0, 1]
    assert [person.box.tolist() for person in result.people] == [pytest.approx(ANNA), pytest.approx(BERT)]
    assert [person.score for person in result.people] == [pytest.approx(score_from_distance(0.15, 0.3), abs=1e-4)] * 2
    assert result.score == result.people[0].score
    assert (result.people[1].joints == standing_joints(BERT)).all()


def test_of_several_those_with_too_few_joints_have_no_score() -> None:
    hidden = unseen("left_knee", "left_ankle", "right_knee", "right_ankle")
    (result,) = results(FakeChain(2, detections=[[ANNA, BERT]], confidence=hidden))
    assert result.status == JOINTS_MISSING
    assert [person.score for person in result.people] == [None, None]


def test_a_locked_person_who_is_gone_is_missed_though_others_are_there() -> None:
    chain = FakeChain(2, detections=[[ANNA, BERT], [(0, 0, 0, 0, 0), BERT]])
    chain.confidence = 0.4
    said = results(chain, 40, detect_every=1)
    assert said[0].person == 0 and [person.id for person in said[0].people] == [0, 1]
    assert said[-1].person == 1 and said[-1].box is not None and [person.id for person in said[-1].people] == [1]


def test_a_cpu_holds_one_frame_at_a_time() -> None:
    assert CpuExecutor.depth == 1


def test_the_pose_in_a_picture_is_found_without_a_past() -> None:
    chain = FakeChain(3, detections=[[ANNA, BERT]])
    width, height = FRAME_SIZE
    found = find_pose(chain, np.zeros((height, width, 3), np.uint8))
    assert [joints.tolist() for joints in found] == [standing_joints(box).tolist() for box in (ANNA, BERT)]
    assert not np.any(chain.anchors) and not np.any(chain.states)


def test_a_picture_without_a_person_has_no_pose() -> None:
    width, height = FRAME_SIZE
    picture = np.zeros((height, width, 3), np.uint8)
    assert list(find_pose(FakeChain(detections=[NOBODY]), picture)) == []
    assert list(find_pose(FakeChain(confidence=0.1), picture)) == []
    doubtful = [[(100, 20, 200, 170, 0.3)]]
    assert list(find_pose(FakeChain(detections=doubtful, confidence=0.31), picture)) == []
    assert len(find_pose(FakeChain(detections=doubtful, confidence=0.6), picture)) == 1


def test_who_was_found_twice_is_one_person() -> None:
    width, height = FRAME_SIZE
    again = (*ANNA[:2], ANNA[2] + 4, ANNA[3] + 4, 0.5)
    found = find_pose(FakeChain(3, detections=[[ANNA, again, BERT]]), np.zeros((height, width, 3), np.uint8))
    assert [joints.tolist() for joints in found] == [standing_joints(box).tolist() for box in (ANNA, BERT)]
