"""What a person is told to move: their own left and right, in words, the worst first, and steadily."""

import numpy as np
import pytest

from engines.skeleton import JOINT_INDEX
from realtime.advice import Move, SteadyMoves, moves
from realtime.scoring import deviation_degrees
from tests.realtime.fakes import standing_joints

BOX = (400.0, 60.0, 700.0, 660.0)


def words(*, wanted: bool = False, **places: tuple[float, float]) -> list[str]:
    """What someone is told who stands as the target does, but for some joints shifted by parts of the torso.

    With `wanted` the target's joints are shifted, not theirs.
    """
    target, live = standing_joints(BOX), standing_joints(BOX)
    torso = float(target[3, 1] - target[10, 1])
    for joint, (x, y) in places.items():
        (target if wanted else live)[JOINT_INDEX[joint], :2] += np.array([x, y], np.float32) * torso
    return [move.words for move in moves(live, target, deviation_degrees(live, target, np.ones(15, np.float32), 0.3))]


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({}, []),
        ({"right_wrist": (0.0, -0.9)}, ["lower right hand"]),
        ({"left_wrist": (-0.8, 0.0)}, ["move left hand out"]),
        ({"right_wrist": (0.8, 0.0)}, ["move right hand out"]),
        ({"right_ankle": (-0.5, 0.0)}, ["move right foot in"]),
        ({"left_ankle": (0.5, -0.1)}, ["move left foot in"]),
        ({"head": (0.3, 0.05)}, ["tilt head to your right"]),
    ],
)
def test_what_is_off_is_told_in_words(places: dict[str, tuple[float, float]], said: list[str]) -> None:
    assert words(**places) == said


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ({"left_wrist": (0.0, -0.9)}, ["raise left hand"]),
        ({"left_wrist": (0.0, -1.9), "left_elbow": (0.0, -0.9)}, ["raise left arm"]),
        ({"right_wrist": (0.0, -1.9), "right_elbow": (0.0, -0.9)}, ["raise right arm"]),
        ({"left_ankle": (0.0, -0.9), "left_knee": (0.4, -0.5)}, ["raise left leg"]),
    ],
)
def test_what_is_wanted_is_told_in_words(places: dict[str, tuple[float, float]], said: list[str]) -> None:
    assert words(wanted=True, **places) == said


def test_left_and_right_are_the_persons_own_with_their_back_to_the_camera_too() -> None:
    target = standing_joints(BOX)
    target[:, 0] = 1100 - target[:, 0]
    live = target.copy()
    live[JOINT_INDEX["left_wrist"], 0] += 150
    found = moves(live, target, deviation_degrees(live, target, np.ones(15, np.float32), 0.3))
    assert [move.words for move in found] == ["move left hand out"]


def test_seen_from_the_side_hands_move_forward_and_back() -> None:
    target = standing_joints(BOX)
    target[:, 0] = 550
    target[JOINT_INDEX["head"], 0] += 30
    live = target.copy()
    live[JOINT_INDEX["left_wrist"], 0] -= 150
    found = moves(live, target, deviation_degrees(live, target, np.ones(15, np.float32), 0.3))
    assert [move.words for move in found] == ["move left hand forward"]


def test_the_arrow_leads_from_the_joint_to_its_place() -> None:
    target, live = standing_joints(BOX), standing_joints(BOX)
    live[JOINT_INDEX["left_wrist"], 1] -= 150
    (move,) = moves(live, target, deviation_degrees(live, target, np.ones(15, np.float32), 0.3))
    assert move.start == pytest.approx(live[JOINT_INDEX["left_wrist"], :2])
    assert move.end == pytest.approx(target[JOINT_INDEX["left_wrist"], :2])


def test_the_worst_comes_first() -> None:
    assert words(left_wrist=(0.0, 0.2), right_wrist=(0.0, -0.9))[0] == "lower right hand"


def test_joints_that_are_not_seen_are_not_told_of() -> None:
    target, live = standing_joints(BOX), standing_joints(BOX)
    live[JOINT_INDEX["left_wrist"]] = (0, 0, 0.1)
    assert moves(live, target, deviation_degrees(live, target, np.ones(15, np.float32), 0.3)) == []


def a_move(text: str) -> Move:
    return Move("left_wrist", text, (0, 0), (1, 1), 20.0)


def test_words_stay_long_enough_to_be_read_though_others_become_worse() -> None:
    steady = SteadyMoves()
    first, later = [a_move(name) for name in "abc"], [a_move(name) for name in "dcba"]
    assert [move.words for move in steady.update(0.0, first)] == ["a", "b", "c"]
    assert [move.words for move in steady.update(1.0, later)] == ["a", "b", "c"]
    assert [move.words for move in steady.update(1.6, later)] == ["d", "c", "b"]


def test_what_is_done_goes_at_once() -> None:
    steady = SteadyMoves()
    steady.update(0.0, [a_move("a"), a_move("b")])
    assert [move.words for move in steady.update(0.1, [a_move("b")])] == ["b"]
    assert [move.words for move in steady.update(0.2, [a_move("c"), a_move("b")])] == ["b"]
    assert [move.words for move in steady.update(0.4, [a_move("c"), a_move("b")])] == ["b", "c"]
    assert steady.update(0.3, []) == []
