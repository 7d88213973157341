"""Several people at once: on screen, in files, in replay, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.weights_registry import SHIPPED_ENGINES
from realtime.coach import COVERED, TWO_PEOPLE, hint_for
from realtime.opening import opened_executor
from realtime.overlay import View, draw_overlay
from realtime.raised_hand import Bid
from realtime.recording import frame_of
from realtime.results import HIDDEN, JOINTS_MISSING, NO_PERSON, Bystander, PersonResult, frame_row
from tests.realtime.fakes import FRAME_SIZE, FakeChain, result_of, standing, standing_joints, standing_target

GROUND = np.full((FRAME_SIZE[1], FRAME_SIZE[0], 3), 90, np.uint8)
LEFT, RIGHT = (20, 60, 90, 170), (210, 60, 280, 170)


def person(number: int, box: tuple[int, ...], score: float | None) -> PersonResult:
    return PersonResult(number, np.array([*box, 0.9], np.float32), standing(box), standing_joints(box), score)


def pair(locked: int) -> object:
    """Person 3 at the left and 5 at the right, one of them locked."""
    people = person(3, LEFT, 91.0), person(5, RIGHT, 40.0)
    mine = people[0] if locked == 3 else people[1]
    return result_of(0, people=people, person=locked, box=mine.box, keypoints=mine.keypoints, joints=mine.joints)


def changed(first: np.ndarray, second: np.ndarray, left: int, right: int) -> bool:
    return bool((first[:, left:right] != second[:, left:right]).any())


def test_the_locked_person_is_drawn_otherwise_than_the_rest() -> None:
    left, right = (draw_overlay(GROUND, pair(number), None, View(""), 0.3) for number in (3, 5))  # type: ignore[arg-type]
    assert changed(left, right, 0, 110) and changed(left, right, 200, 300)


def test_while_nobody_is_locked_everybody_is_one_of_the_rest_person_0_too() -> None:
    people = person(0, LEFT, 91.0), person(5, RIGHT, 40.0)
    nothing = dict.fromkeys(("score", "distance", "box", "keypoints", "joints"))
    result = result_of(0, status=NO_PERSON, reason="no person in view", people=people, **nothing)
    row = json.loads(json.dumps(frame_row(result)))
    again = frame_of(row, "line 2", {"Standing": standing_target()})
    assert "person" not in row and again.person is None
    nobody, somebody = (
        draw_overlay(GROUND, dataclasses.replace(again, person=number), None, View(""), 0.3) for number in (None, 0)
    )
    assert changed(nobody, somebody, 0, 110) and not changed(nobody, somebody, 200, 320)


def test_a_ring_is_drawn_at_the_hand_that_is_raised_and_fills() -> None:
    plain, none, half = (
        draw_overlay(GROUND, result_of(0), None, View("", bids=bids), 0.3)
        for bids in ((), (Bid(4, (250, 60), 0.0),), (Bid(4, (250, 60), 0.5),))
    )
    assert changed(plain, none, 200, 320) and changed(none, half, 200, 320)


def test_a_row_of_several_people_reads_back_the_same() -> None:
    row = json.loads(json.dumps(frame_row(pair(5))))  # type: ignore[arg-type]
    again = frame_of(row, "line 2", {"Standing": standing_target()})
    assert again.person == 5 and [one.id for one in again.people] == [3, 5]
    assert (again.people[0].joints == standing_joints(LEFT)).all() and again.people[1].score == 40.0
    assert frame_row(again)["people"] == row["people"]


def test_more_people_than_the_engines_hold_are_refused_with_the_command_that_builds_them() -> None:
    with (
        pytest.raises(EngineError, match=r"--people 3 .* of 2.*build_engines.py --people 3"),
        opened_executor(FakeChain(2), None, detect_every=None, smoothing=True, stills=False, scored=3),
    ):
        pass
    chain = FakeChain(2)
    ours = {"detect": "detector_compact", "pose": "pose_compact_int8"}
    manifests = {
        name: dataclasses.replace(one, network=ours.get(name, "")) for name, one in chain.info.manifests.items()
    }
    for folder, out in ((SHIPPED_ENGINES, "engines/built"), (Path("mine"), "mine")):
        chain.info = dataclasses.replace(chain.info, directory=folder, manifests=manifests)
        with (
            pytest.raises(EngineError, match=f"--detector quickstart --pose quickstart --out {out}"),
            opened_executor(chain, None, detect_every=None, smoothing=True, stills=False, scored=3),
        ):
            pass


def test_whoever_is_hidden_is_told_to_step_aside() -> None:
    hidden = result_of(0, status=NO_PERSON, reason=HIDDEN, score=None, box=None, joints=None)
    assert hint_for(hidden, FRAME_SIZE, 128.0) == COVERED


def test_somebody_as_tall_beside_an_unscored_person_is_told_how_to_be_scored() -> None:
    other = Bystander(4, np.array(RIGHT, np.float32), None, -np.inf)
    missing = result_of(0, status=JOINTS_MISSING, score=None, missing=("left_knee",), others=(other,))
    assert hint_for(missing, FRAME_SIZE, 128.0) == TWO_PEOPLE
