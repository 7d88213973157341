"""Whom the loop stays with on a GPU, where it hears of a frame after the next one was submitted."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from realtime.device_tracking import DevicePlan, DeviceTracker

Floats = npt.NDArray[np.float32]
ANNA = (100, 20, 200, 170, 0.9)
BERT = (205, 20, 300, 170, 0.9)
NOBODY = (0, 0, 0, 0, 0)


def rows(*people: Sequence[float]) -> Floats:
    boxes = np.zeros((2, 5), np.float32)
    for row, box in zip(boxes, people, strict=False):
        row[:] = box
    return boxes


class Play:
    """Frames 40 ms apart, two in flight, each looking where the tracker says; `seen` is what the detector finds."""

    def __init__(self, **options: object) -> None:
        self.tracker = DeviceTracker(2, **options)  # type: ignore[arg-type]
        self.count = 0
        self.plans: list[DevicePlan] = []
        self.accepted: list[bool] = []
        self.waiting: list[tuple[float, Floats]] = []

    def frame(self, *seen: Sequence[float], wait_seconds: float = 0.04) -> DevicePlan:
        seconds = self.count * wait_seconds
        self.count += 1
        self.plans.append(self.tracker.plan(seconds))
        self.waiting.append((seconds, rows(*seen)))
        if len(self.waiting) == 2:
            self.collect()
        return self.plans[-1]

    def collect(self) -> None:
        seconds, boxes = self.waiting.pop(0)
        self.accepted.append(self.tracker.accept(seconds, boxes, boxes))


def test_while_the_person_is_seen_the_device_needs_nothing_from_the_host() -> None:
    play = Play()
    for step in range(6):
        plan = play.frame((100 + 5 * step, 20, 200 + 5 * step, 170, 0.9), BERT)
        assert plan.detect and plan.override is None
        assert plan.seconds == pytest.approx(0.04 if step else 0.0)
    assert all(play.accepted)


def test_a_lost_person_is_looked_for_where_they_were_and_nobody_else_takes_their_place() -> None:
    play = Play()
    for _ in range(3):
        play.frame(ANNA, BERT)
    play.frame(NOBODY, BERT)
    play.frame(BERT)  # ran without an anchor: the device has none after a frame without Anna
    plan = play.frame(NOBODY, BERT)
    assert plan.override is not None and plan.override[0, :4].tolist() == list(ANNA[:4])
    plan = play.frame(ANNA, BERT)
    assert plan.override is not None
    play.frame(ANNA, BERT)
    assert play.frame(ANNA, BERT).override is None
    assert play.accepted == [True, True, True, True, False, True, True, True]


def test_after_a_second_anybody_may_be_chosen() -> None:
    play = Play()
    play.frame(ANNA)
    play.frame(NOBODY)
    plans = [play.frame(NOBODY, wait_seconds=0.3) for _ in range(6)]
    freed = [plan for plan in plans if plan.override is not None and not plan.override.any()]
    assert len(freed) == 1 and plans[-1].override is None
    play.frame(BERT, wait_seconds=0.3)
    play.collect()
    assert play.accepted[-1]


def test_pictures_that_stand_alone_have_no_past() -> None:
    play = Play(stills=True)
    for seen in (ANNA, BERT, ANNA):
        plan = play.frame(seen)
        assert plan.detect and plan.seconds == 0.0
        assert plan.override is not None and not plan.override.any()
    assert all(play.accepted)


def test_with_detect_every_the_detector_rests_while_the_pose_is_sure() -> None:
    play = Play(detect_every=3)
    plans = [play.frame(ANNA) for _ in range(9)]
    assert [plan.detect for plan in plans] == [True, True, False, False, True, False, False, True, False]
    play.frame((100, 20, 200, 170, 0.4))
    play.frame(ANNA)
    assert play.frame(ANNA).detect
