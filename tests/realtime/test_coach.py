"""The coach: why there is no score, in words a person acts on, for long enough to be read."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.coach import (
    DARK_LEVEL,
    LATE,
    LIGHT,
    NEARER,
    STEP_IN,
    TWO_PEOPLE,
    Coach,
    brightness,
    hint_for,
)
from realtime.results import JOINTS_MISSING, NO_PERSON, STALE, Bystander, FrameResult, PersonResult
from tests.realtime.fakes import result_of, standing, standing_joints

SIZE = (1280, 720)
BRIGHT = 120.0


def missing(*names: str, box: tuple[float, ...] = (400, 100, 800, 600)) -> FrameResult:
    return result_of(
        0, status=JOINTS_MISSING, reason="not visible", score=None, distance=None, missing=names,
        box=np.array([*box, 0.9], np.float32),
    )  # fmt: skip


def nobody(status: str = NO_PERSON) -> FrameResult:
    nothing = dict.fromkeys(("score", "distance", "box", "keypoints", "joints"))
    return result_of(0, status=status, reason="no person in view", **nothing)


@pytest.mark.parametrize(
    ("result", "light", "said"),
    [
        (result_of(0), BRIGHT, ""),
        (result_of(0), 3.0, ""),
        (nobody(), BRIGHT, STEP_IN),
        (nobody(), DARK_LEVEL - 1, LIGHT),
        (nobody(STALE), BRIGHT, LATE),
        (missing("left_ankle", box=(400, 100, 800, 719)), BRIGHT, "Left foot out of view: step back"),
        (
            missing("left_ankle", "right_ankle", box=(400, 100, 800, 719)),
            BRIGHT,
            "Your feet are out of view: step back",
        ),
        (
            missing("left_hip", "right_hip", "pelvis", box=(400, 100, 800, 719)),
            BRIGHT,
            "Your hips are out of view: step back",
        ),
        (missing("head", "neck", box=(400, 0, 800, 600)), BRIGHT, "Your head is out of view: step back"),
        (missing("left_wrist", box=(900, 100, 1280, 600)), BRIGHT, "Left hand out of view: move to the middle"),
        (missing("left_wrist"), BRIGHT, "Your left hand cannot be seen: turn to the camera"),
        (missing("left_wrist", "left_elbow", box=(600, 300, 660, 420)), BRIGHT, NEARER),
        (missing("left_wrist", "left_elbow"), 10.0, LIGHT),
    ],
)  # fmt: skip
def test_the_reason_is_told_as_something_to_do(result: FrameResult, light: float, said: str) -> None:
    assert hint_for(result, SIZE, light) == said


def test_two_people_of_one_size_are_told_to_stand_in_the_middle() -> None:
    people = tuple(
        PersonResult(row, np.array([100, 20, 200, bottom, 1], np.float32), standing(), standing_joints(), None)
        for row, bottom in ((0, 170), (1, 150))
    )
    both = result_of(
        0, status=JOINTS_MISSING, reason="x", score=None, distance=None, missing=("left_wrist",), people=people
    )
    assert hint_for(both, SIZE, BRIGHT) == TWO_PEOPLE


AT_LEFT, CLOSE, FARTHER_OFF = (30, 100, 330, 600), (400, 300, 800, 719), (420, 250, 620, 600)
HIPS, STEP_BACK = ("left_hip", "right_hip", "left_knee"), "Your feet are out of view: step back"
MIDDLE_OF = "Left hand out of view: move to the middle"


@pytest.mark.parametrize(
    ("names", "own", "other", "said"),
    [
        (HIPS, CLOSE, (900, 200, 1100, 650), STEP_BACK),
        (HIPS, CLOSE, FARTHER_OFF, STEP_BACK),
        (("left_wrist",), AT_LEFT, (900, 100, 1200, 600), MIDDLE_OF),
        (("left_wrist",), AT_LEFT, (100, 110, 400, 610), TWO_PEOPLE),
        (("left_wrist",), (400, 100, 700, 719), (450, 150, 750, 700), TWO_PEOPLE),
        (("left_wrist",), (400, 100, 700, 600), (900, 100, 1200, 600), TWO_PEOPLE),
        (("left_wrist",), AT_LEFT, (100, 400, 200, 610), MIDDLE_OF),
    ],
    ids=[
        "cut by the edge, somebody beside",
        "cut by the edge, somebody behind",
        "at the side, somebody far from there",
        "at the side, somebody before them",
        "feet at the lower edge, somebody before them",
        "in the middle, somebody beside",
        "at the side, a child before them",
    ],
)
def test_who_else_is_there_matters_only_where_the_edge_of_the_picture_explains_nothing(
    names: tuple[str, ...], own: tuple[float, ...], other: tuple[float, ...], said: str
) -> None:
    bystander = Bystander(7, np.array(other, np.float32), None, -np.inf)
    assert hint_for(replace(missing(*names, box=own), others=(bystander,)), SIZE, BRIGHT) == said


def test_black_bars_do_not_make_a_picture_dark() -> None:
    picture = np.zeros((720, 1280, 3), np.uint8)
    picture[:, 500:700] = 130
    assert brightness(picture) == pytest.approx(130)
    assert brightness(np.zeros((720, 1280, 3), np.uint8)) == 0


def shown(coach: Coach, *story: tuple[float, str]) -> list[str]:
    return [coach.update(seconds, hint) for seconds, hint in story]


def test_a_reason_that_lasts_only_a_moment_is_not_shown() -> None:
    assert shown(Coach(), (0, "a"), (0.3, "a"), (0.35, ""), (1, "")) == ["", "", "", ""]


def test_a_hint_stays_long_enough_to_be_read_before_another_follows() -> None:
    story = ((0, "a"), (0.4, "a"), (0.5, "b"), (2.8, "b"), (2.9, "b"))
    assert shown(Coach(), *story) == ["", "a", "a", "a", "b"]


def test_a_hint_goes_soon_after_the_score_is_back() -> None:
    assert shown(Coach(), (0, "a"), (0.4, "a"), (0.9, ""), (1.3, ""), (1.45, "")) == ["", "a", "a", "a", ""]


def test_a_hint_is_said_once_and_again_only_after_a_while() -> None:
    coach = Coach()
    shown(coach, (0, "a"), (0.4, "a"))
    assert [coach.to_say(seconds) for seconds in (0.4, 0.5, 12.0, 12.4, 12.5)] == ["a", "", "", "a", ""]


def test_nothing_is_said_while_there_is_a_score() -> None:
    assert Coach().to_say(5.0) == ""
