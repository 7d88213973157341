"""Routines: read strictly; entered above the pass mark, left below it, held, rested, repeated, paused and skipped."""

import json
from pathlib import Path

import pytest

from engines.errors import EXIT_BAD_INPUT, BadInputError
from realtime.pose import Target, read_target
from realtime.routine import DONE, HOLD, READY, REST, Routine, RoutineState, Step, read_routine, single
from tests.realtime.fakes import standing_target, target_json


def routine(*, holds: tuple[float, ...] = (1.0, 1.0), rest: float = 1.0, repetitions: int | None = 2) -> Routine:
    steps = tuple(Step(standing_target(f"Pose {index}"), hold, rest) for index, hold in enumerate(holds))
    return Routine("Test", steps, repetitions)


def followed(state: RoutineState, *story: tuple[float, float | None]) -> list[str]:
    return [state.update(seconds, score).phase for seconds, score in story]


def test_a_pose_is_entered_at_the_pass_mark_and_not_below() -> None:
    assert followed(RoutineState(routine()), (0, 79.9), (0.1, 80.0)) == [READY, HOLD]


def test_a_score_that_trembles_at_the_mark_does_not_end_a_hold_and_one_far_below_does() -> None:
    state = RoutineState(routine())
    assert followed(state, (0, 85), (0.1, 76), (0.2, 75), (0.3, 74.9)) == [HOLD, HOLD, HOLD, READY]
    assert state.progress.hold_seconds == 0 and state.progress.event == "lost"


def test_a_hold_counts_the_time_that_it_was_seen() -> None:
    state = RoutineState(routine())
    followed(state, (0, 85), (0.25, 85), (0.5, 85))
    assert state.progress.hold_seconds == pytest.approx(0.5)


def test_a_moment_without_a_score_neither_ends_a_hold_nor_counts() -> None:
    state = RoutineState(routine())
    assert followed(state, (0, 85), (0.4, 85), (0.6, None), (0.8, None), (0.9, 85))[-1] == HOLD
    assert state.progress.hold_seconds == pytest.approx(0.5)


def test_a_longer_time_without_a_score_ends_the_hold() -> None:
    state = RoutineState(routine())
    assert followed(state, (0, 85), (0.3, None), (0.6, None)) == [HOLD, HOLD, READY]


def test_a_gap_in_the_picture_is_not_counted_as_held() -> None:
    state = RoutineState(routine(holds=(5.0,)))
    followed(state, (0, 85), (60, 85))
    assert state.progress.phase == HOLD and state.progress.hold_seconds == pytest.approx(0.5)


def run_through(state: RoutineState) -> list[tuple[str, int, int, str]]:
    """Someone who always passes; every change of phase, repetition, step, with its event."""
    changes: list[tuple[str, int, int, str]] = []
    for tick in range(400):
        now = state.update(tick * 0.1, 90)
        place = (now.phase, now.repetition, now.step, now.event)
        if not changes or place[:3] != changes[-1][:3]:
            changes.append(place)
    return changes


def test_a_routine_goes_through_its_poses_rests_and_repetitions_to_its_end() -> None:
    assert run_through(RoutineState(routine())) == [
        (HOLD, 1, 0, "entered"),
        (REST, 1, 1, "held"),
        (READY, 1, 1, ""),
        (HOLD, 1, 1, "entered"),
        (REST, 2, 0, "held"),
        (READY, 2, 0, ""),
        (HOLD, 2, 0, "entered"),
        (REST, 2, 1, "held"),
        (READY, 2, 1, ""),
        (HOLD, 2, 1, "entered"),
        (DONE, 2, 1, "done"),
    ]


def test_without_rests_a_pose_follows_at_once_and_the_hold_is_told_once_more() -> None:
    state = RoutineState(routine(holds=(0.2, 0.2), rest=0.0, repetitions=1))
    followed(state, (0, 90), (0.1, 90))
    now = state.update(0.2, 90)
    assert (now.phase, now.step, now.event) == (READY, 1, "held") and now.hold_seconds == pytest.approx(0.2)
    assert state.update(0.3, 10).hold_seconds == 0


def test_a_hold_of_no_seconds_is_held_with_the_next_frame() -> None:
    state = RoutineState(routine(holds=(0.0,), repetitions=1))
    assert followed(state, (0, 90), (0.1, 90)) == [HOLD, DONE]


def test_a_single_target_is_held_again_and_again() -> None:
    changes = run_through(RoutineState(single(standing_target())))
    assert [change[1] for change in changes if change[3] == "held"][:3] == [2, 3, 4]
    assert all(change[0] != DONE for change in changes)


def test_a_pause_stops_the_clock_and_a_hold_goes_on_where_it_stood() -> None:
    state = RoutineState(routine())
    followed(state, (0, 90), (0.4, 90))
    state.pause()
    followed(state, (0.8, 10), (5.0, None))
    assert state.progress.phase == HOLD and state.progress.hold_seconds == pytest.approx(0.4)
    state.pause()
    assert state.update(5.1, 90).hold_seconds == pytest.approx(0.5)


def test_a_pose_can_be_skipped_and_so_can_a_rest() -> None:
    state = RoutineState(routine())
    state.skip()
    assert (state.progress.step, state.progress.phase) == (1, READY)
    followed(state, *((tick * 0.1, 90.0) for tick in range(12)))
    assert state.progress.phase == REST
    state.skip()
    assert (state.progress.phase, state.progress.repetition) == (READY, 2)
    for _ in range(3):
        state.skip()
    assert state.progress.phase == DONE
    state.restart()
    assert (state.progress.phase, state.progress.repetition, state.progress.step) == (READY, 1, 0)


DOCUMENT = {
    "format": "posemirror-routine",
    "version": 1,
    "name": "Morning",
    "repetitions": 2,
    "poses": [{"target": "a.json", "hold_seconds": 2, "rest_seconds": 3}, {"target": "b.json"}, {"target": "a.json"}],
}


def write(folder: Path, document: object) -> Path:
    (folder / "a.json").write_text(json.dumps(target_json(hold_seconds=7)))
    (folder / "b.json").write_text(json.dumps(target_json()))
    path = folder / "routine.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def read(path: Path) -> Routine:
    return read_routine(path, read_target)


def test_a_routine_is_read_with_targets_from_its_own_folder(tmp_path: Path) -> None:
    found = read(write(tmp_path, DOCUMENT))
    assert (found.name, found.repetitions) == ("Morning", 2)
    assert [(step.hold_seconds, step.rest_seconds) for step in found.steps] == [(2, 3), (5, 0), (7, 0)]


def test_different_targets_of_one_name_get_names_that_differ(tmp_path: Path) -> None:
    found = read(write(tmp_path, DOCUMENT))
    assert [step.target.name for step in found.steps] == ["Standing", "Standing (2)", "Standing"]
    assert len(found.targets) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "posemirror-target"}, "format is"),
        ({"version": 2}, "version is 2"),
        ({"version": True}, "version is true"),
        ({"name": ""}, "name is"),
        ({"repetitions": 0}, "repetitions is 0"),
        ({"repetitions": 1.5}, "repetitions is 1.5"),
        ({"poses": []}, "poses is empty"),
        ({"poses": {}}, "it must be a list"),
        ({"poses": ["a.json"]}, r"poses\[0\] is"),
        ({"poses": [{}]}, r"poses\[0\] lacks target"),
        ({"poses": [{"target": 3}]}, r"poses\[0\].target is 3"),
        ({"poses": [{"target": "a.json", "hold_seconds": -1}]}, "hold_seconds is -1"),
        ({"poses": [{"target": "a.json", "rest_seconds": "3"}]}, "rest_seconds is"),
        ({"poses": [{"target": "a.json", "hold_second": 3}]}, "rename it to hold_seconds"),
        ({"poses": [{"target": "none.json"}]}, "none.json could not be read"),
        ({"repetition": 2}, "rename it to repetitions"),
    ],
)
def test_a_bad_routine_is_refused_and_the_field_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadInputError, match=said) as raised:
        read(write(tmp_path, DOCUMENT | changes))
    assert raised.value.exit_code == EXIT_BAD_INPUT and "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{", "[1]", "NaN", '{"a": 1, "a": 2}'])
def test_a_routine_that_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInputError):
        read(write(tmp_path, content))


def test_a_single_target_keeps_its_own_hold(tmp_path: Path) -> None:
    target: Target = standing_target(hold_seconds=9.0)
    assert single(target).steps[0].hold_seconds == 9


def test_a_target_given_as_a_routine_is_known_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(target_json()))
    with pytest.raises(BadInputError, match="give it with --target"):
        read_routine(path, lambda path: pytest.fail("not reached"))
