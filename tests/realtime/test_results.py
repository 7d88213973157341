"""Rows of the results file: in step with the schema that ships with the docs, and exact to the bit."""

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from realtime.results import (
    JOINTS_MISSING,
    NO_PERSON,
    STALE,
    FrameResult,
    PersonResult,
    frame_row,
    row_for_json,
    rows_for_json,
)
from tests.realtime.fakes import result_of, standing, standing_joints, valid_rows

Floats = npt.NDArray[np.float32]

SCORED_RESULT = result_of(12, seconds=0.48)
NOBODY = result_of(
    0, status=NO_PERSON, reason="no person in view", score=None, distance=None, box=None, keypoints=None, joints=None,
    deviation_degrees={},
)  # fmt: skip
MISSING = result_of(
    3, status=JOINTS_MISSING, reason="not visible: head", score=None, distance=None, missing=("head", "left_wrist")
)
OLD = result_of(4, status=STALE, reason="the picture is 300 ms old", score=None, distance=None)
OLD_AND_EMPTY = replace(NOBODY, status=STALE, reason="the picture is 300 ms old")
PEOPLE = tuple(
    PersonResult(row, np.array([1, 2, 3, 4, 0.5], np.float32), standing(), standing_joints(), score)
    for row, score in ((0, 50.0), (1, None))
)


def written(result: FrameResult) -> dict[str, object]:
    """A row as it is read back from the file."""
    (row,) = valid_rows(json.dumps(frame_row(result), allow_nan=False) + "\n")
    return row


@pytest.mark.parametrize("result", [SCORED_RESULT, NOBODY, MISSING, OLD, OLD_AND_EMPTY, replace(OLD, people=PEOPLE)])
def test_a_row_of_every_status_fits_the_schema(result: FrameResult) -> None:
    row = written(result)
    assert (row["status"], row["reason"], row["frame"]) == (result.status, result.reason, result.frame)


def test_a_row_holds_what_is_known_of_its_frame() -> None:
    row = written(replace(SCORED_RESULT, age_ms=41.25))
    assert (row["time"], row["score"], row["distance"], row["age_ms"]) == (0.48, 50.0, 0.35, 41.25)
    assert row["deviation_degrees"] == {"left_elbow": -12.4, "head": None}
    assert row["stages_ms"] == {"wait": 1.0, "detect": 0.0, "pose": 9.7, "encode": 0.3}
    assert (row["target"], row["missing"]) == ("Standing", [])
    assert "people" not in row


def test_before_a_routine_begins_it_is_ready_for_its_first_repetition() -> None:
    row = written(SCORED_RESULT)
    assert (row["phase"], row["repetition"], row["hold_seconds"]) == ("ready", 1, 0.0)


def test_everybody_is_written_when_several_are_looked_for() -> None:
    row = written(replace(SCORED_RESULT, people=PEOPLE))
    people = row["people"]
    assert isinstance(people, list)
    assert [(person["id"], person["score"]) for person in people] == [(0, 50.0), (1, None)]
    assert np.array_equal(np.array(people[1]["keypoints"], np.float32), standing())


def awkward(shape: tuple[int, ...]) -> Floats:
    """float32 whose decimal forms are long, tiny, huge, whole and negative."""
    generator = np.random.default_rng(7)
    values = generator.uniform(-2000, 2000, shape).astype(np.float32)
    values.flat[:8] = [0.1, 1 / 3, 1e-38, 1.17549435e-38, 3.4028235e38, 16777216, -0.0, 1e-45]
    return values


def same_bits(first: Floats, second: object) -> bool:
    return first.tobytes() == np.array(json.loads(json.dumps(second)), np.float32).tobytes()


def test_float32_is_read_back_to_the_bit() -> None:
    table = awkward((17, 3))
    assert same_bits(table, rows_for_json(table))
    row = awkward((200,))
    assert same_bits(row, row_for_json(row))
    assert rows_for_json(None) is None and row_for_json(None) is None


def test_a_row_is_read_back_to_the_bit() -> None:
    keypoints, joints = np.abs(awkward((17, 3))), np.abs(awkward((15, 3)))
    score, distance = np.float32(87.30459), np.float32(0.15812345)
    result = replace(
        SCORED_RESULT, keypoints=keypoints, joints=joints, box=joints[0].repeat(2)[:5], score=float(score),
        distance=float(distance),
    )  # fmt: skip
    row = written(result)
    assert same_bits(keypoints, row["keypoints"]) and same_bits(joints, row["joints"])
    assert same_bits(joints[0].repeat(2)[:5], row["box"])
    assert np.float32(row["score"]) == score and np.float32(row["distance"]) == distance  # type: ignore[arg-type]
    assert row["score"] == 87.30459, "the shortest decimal"
