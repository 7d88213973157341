"""The station: what a result becomes for the person, and what keys do."""

from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest

from engines.errors import BadInputError
from engines.skeleton import JOINTS
from realtime.capture import COUNTDOWN_SECONDS, Capture, free_name
from realtime.overlay import View
from realtime.pose import Target, read_target
from realtime.results import JOINTS_MISSING, NO_PERSON, FrameResult
from realtime.routine import Routine, Step, single
from realtime.station import DONE_SECONDS, Station, held_words
from tests.realtime.fakes import FRAME_SIZE, result_of, standing_joints, standing_target, without_rights

BRIGHT = np.full((FRAME_SIZE[1], FRAME_SIZE[0], 3), 128, np.uint8)


class Heard:
    """Notes what would be heard."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.words: list[str] = []

    def play(self, event: str) -> None:
        if event:
            self.events.append(event)

    def say(self, words: str) -> None:
        if words:
            self.words.append(words)


def two_poses(repetitions: int = 1) -> Routine:
    steps = tuple(Step(standing_target(name), 1.0, 0.5) for name in ("A", "B"))
    return Routine("Two", steps, repetitions)


class Scene:
    """A station in front of which someone has a score; a frame each tenth of a second."""

    def __init__(self, routine: Routine | None = None, **options: object) -> None:
        self.aims: list[str] = []
        self.heard = Heard()
        self.seconds = 0.0
        self.aimed_at = routine.steps[0].target.name if routine else ""
        self.station = Station(
            routine,
            FRAME_SIZE,
            0.3,
            aim=self._aim,
            cues=self.heard,
            **options,  # type: ignore[arg-type]
        )

    def _aim(self, target: Target) -> None:
        self.aims.append(target.name)
        self.aimed_at = target.name

    def frames(self, count: int, **changes: object) -> list[FrameResult]:
        fields = {"score": 90.0, "target": self.aimed_at} | changes
        return [self.frame(**{**fields, "target": changes.get("target", self.aimed_at)}) for _ in range(count)]

    def frame(self, **changes: object) -> FrameResult:
        self.seconds += 0.1
        self.last = self.station.take(result_of(0, seconds=self.seconds, **changes), BRIGHT)
        return self.last

    def view(self) -> View:
        return self.station.view(self.last, "age p50 41 ms")[1]


def test_the_executor_is_told_of_the_next_pose_when_a_hold_is_complete() -> None:
    scene = Scene(two_poses())
    scene.frames(12)
    assert scene.aims == ["B"]
    assert scene.heard.events == ["entered", "held"]


def test_a_frame_that_was_scored_against_the_last_pose_counts_for_none() -> None:
    scene = Scene(two_poses())
    scene.frames(20)
    phases = [result.phase for result in scene.frames(5, target="A")]
    assert "hold" in phases  # within its grace
    assert [result.phase for result in scene.frames(3, target="A")][-1] == "ready"


@pytest.mark.parametrize("by_key", [False, True], ids=["held", "skipped"])
def test_a_frame_in_flight_at_a_change_of_pose_is_told_and_drawn_as_the_pose_it_was_scored_against(
    by_key: bool,
) -> None:
    """Two frames are in flight, no rest follows a hold, and B is the last pose of a round."""
    steps = tuple(Step(standing_target(name), 0.4, 0.0) for name in "AB")
    scene = Scene(Routine("Two", steps, 2))
    waiting = ["A", "A"]
    placed = []
    for tick in range(16):
        waiting.append(scene.aimed_at)
        result = scene.frame(score=90.0, target=waiting.pop(0))
        view = scene.view()
        assert result.step == "AB".index(result.target) and view.title == result.target
        assert view.hold is not None and view.hold.lines[0] == f"Pose {result.step + 1} of 2"
        assert view.moves == () or result.phase == "ready"
        placed.append((result.repetition, result.target, result.phase, result.hold_seconds))
        if by_key and tick in (2, 8):
            scene.station.press(ord("n"))
    assert [place for place, _ in groupby(one[:2] for one in placed)] == [(1, "A"), (1, "B"), (2, "A")]
    for one, after in pairwise(placed):
        if one[:2] != after[:2]:
            assert after[2:] == ("hold", 0.0), "a pose begins with nothing held"
        elif not by_key and one[2] == "rest":
            assert after[2:] == one[2:] and one[3] >= 0.4


def test_a_routine_ends_the_session_a_little_after_it_is_done() -> None:
    scene = Scene(two_poses())
    scene.frames(32)
    assert scene.last.phase == "done" and not scene.station.finished
    assert scene.view().hint == "Well done!" and scene.view().ghost is None
    scene.frames(round(DONE_SECONDS * 10) + 1)
    assert scene.station.finished
    assert scene.heard.events.count("done") == 1


def test_how_often_a_single_pose_was_held_is_said_in_plain_words() -> None:
    assert [held_words(times) for times in range(3)] == ["Not held yet", "Held once", "Held 2 times"]


def test_only_good_news_has_the_colour_of_good_news() -> None:
    scene = Scene(two_poses())
    scene.frames(12)
    assert scene.view().hint.startswith("Well held") and scene.view().praise
    scene.station.press(ord(" "))
    assert scene.view().hint.startswith("Paused") and not scene.view().praise
    scene.station.press(ord(" "))
    scene.frames(10, score=None, status="no_person", joints=None)
    assert scene.view().hint == "Step into view" and not scene.view().praise


def test_while_ready_the_screen_says_what_to_move_and_while_holding_to_hold_still() -> None:
    scene = Scene(two_poses())
    live = standing_joints()
    live[13, :2] = live[11, :2] + (60, 0)
    scene.frame(score=40.0, joints=live, deviation_degrees={"left_wrist": -80.0, "left_elbow": -60.0}, target="A")
    view = scene.view()
    assert [move.words for move in view.moves] and view.ghost is not None and view.cue == ""
    scene.frame(score=90.0, target="A")
    view = scene.view()
    assert (view.cue, view.moves, view.hold and view.hold.inside) == ("Hold still", (), "1")
    assert view.hold is not None and view.hold.lines == ("Pose 1 of 2",)


def test_the_number_on_screen_is_steady_and_goes_when_there_is_no_score() -> None:
    scene = Scene(two_poses())
    for score in (50.0, 60.0):
        scene.frame(score=score, target="A")
    assert scene.view().score == pytest.approx(55.0)
    scene.frame(status=NO_PERSON, reason="no person in view", score=None, distance=None, joints=None, box=None)
    assert scene.view().score is None


def test_the_number_on_screen_never_contradicts_the_phase() -> None:
    scene = Scene(two_poses())
    for score, phase, shown in (
        (20.0, "ready", 20.0),
        (84.0, "hold", 84.0),
        (88.0, "hold", 86.0),
        (77.0, "hold", 83.0),
        (60.0, "ready", 60.0),
    ):
        result = scene.frame(score=score, target="A")
        assert (result.phase, scene.view().score) == (phase, pytest.approx(shown))


def test_with_nobody_in_view_it_is_shown_and_said() -> None:
    scene = Scene(two_poses())
    scene.frames(8, status=NO_PERSON, reason="nobody", score=None, distance=None, joints=None, box=None, keypoints=None)
    assert scene.view().hint == "Step into view"
    assert scene.heard.words == ["Step into view"]


def test_a_picture_says_at_once_why_it_has_no_score_and_the_next_one_does_not() -> None:
    scene = Scene(two_poses(), stills=True)
    scene.frame(status=NO_PERSON, reason="nobody", score=None, joints=None, box=None)
    assert scene.view().hint == "Step into view"
    scene.frame(target="A")
    assert scene.view().hint == ""


def test_the_pose_to_reach_has_the_size_of_each_picture_s_own_person() -> None:
    small, heights = standing_joints(), []
    small[:, :2] *= 0.25
    for before in ([], [standing_joints()]):
        scene = Scene(two_poses(), stills=True)
        for joints in [*before, small]:
            scene.frame(joints=joints)
        ghost = scene.view().ghost
        assert ghost is not None
        heights.append(float(np.ptp(ghost[:, 1])))
    assert heights[0] == pytest.approx(heights[1])


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_the_target_ignores_is_in_neither_ghost_nor_ring_and_changes_no_other_advice(mirrored: bool) -> None:
    """In the mirror image of a target the left hand's part is the right hand's."""
    live = standing_joints()
    live[13, :2] = live[11, :2] + (60, 0)
    said, ghosts, rings = [], [], []
    for ignore in ((), ("left_ankle", "head", "left_knee")):
        scene = Scene(single(standing_target("A", ignore=ignore)))
        scene.frame(score=40.0, joints=live, deviation_degrees={"left_wrist": -80.0}, target="A", mirrored=mirrored)
        ring, view = scene.station.view(scene.last, "")
        assert ring is not None and view.ghost is not None
        said.append(view.moves)
        ghosts.append(view.ghost)
        rings.append(ring)
    assert said[0] == said[1] and said[0]
    unseen = {"head", *(f"{'right' if mirrored else 'left'}_{part}" for part in ("ankle", "knee"))}
    for whole, counted in (ghosts, rings):
        assert (whole[:, 2] > 0.3).all() and (counted[:, :2] == whole[:, :2]).all()
        assert {name for name, joint in zip(JOINTS, counted, strict=True) if joint[2] == 0} == unseen


def test_keys_toggle_help_delay_and_mirror() -> None:
    scene = Scene(two_poses())
    scene.frame(target="A")
    assert (scene.view().help, scene.view().latency, scene.view().mirror) == ((), "", False)
    for key in "hlm":
        scene.station.press(ord(key))
    assert scene.view().help and scene.view().latency == "age p50 41 ms" and scene.view().mirror


def test_keys_pause_skip_and_begin_again() -> None:
    scene = Scene(two_poses())
    scene.frame(target="A")
    scene.station.press(ord(" "))
    scene.frames(30)
    assert scene.last.hold_seconds == 0 and scene.view().hint.startswith("Paused")
    scene.station.press(ord(" "))
    scene.station.press(ord("n"))
    assert scene.aims == ["B"]
    scene.station.press(ord("r"))
    assert scene.aims == ["B", "A"]
    scene.station.press(300)
    scene.station.press(0)


def test_the_words_stand_where_the_person_does_not_and_do_not_jump() -> None:
    scene = Scene(two_poses())
    sides = []
    for middle in (0.30, 0.44, 0.50, 0.44, 0.30):
        left = middle * FRAME_SIZE[0] - 40
        scene.frame(target="A", box=np.array([left, 20, left + 80, 170, 1], np.float32))
        sides.append(scene.view().words_right)
    assert sides == [True, True, False, False, True]


WHOLE = {"score": None, "distance": None, "status": JOINTS_MISSING, "reason": "no target", "deviation_degrees": {}}


def test_a_target_is_captured_after_a_countdown_that_waits_for_a_whole_person(tmp_path: Path) -> None:
    path = tmp_path / "tree_pose.json"
    scene = Scene(None, capture=Capture(path, FRAME_SIZE, 0.3))
    hidden = standing_joints()
    hidden[13, 2] = 0.1
    scene.frames(20, **WHOLE, joints=hidden)
    assert scene.view().hint == "Out of view: left wrist" and not path.exists()
    scene.frames(2, **WHOLE)
    assert scene.view().countdown == "5"
    scene.frames(round(COUNTDOWN_SECONDS * 10) + 1, **WHOLE)
    assert scene.view().hint == "Captured" and not scene.station.finished
    target = read_target(path)
    assert (target.name, target.image_size) == ("tree pose", FRAME_SIZE)
    assert target.joints[:, :2] == pytest.approx(standing_joints()[:, :2])
    scene.frames(40, **WHOLE)
    assert scene.station.finished and scene.station.captured == [path]


def test_someone_who_leaves_starts_the_countdown_again(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "a.json", FRAME_SIZE, 0.3)
    said = [capture.update(result_of(0, seconds=tick * 0.5)) for tick in range(5)]
    gone = result_of(0, seconds=2.5, status=NO_PERSON, reason="x", score=None, joints=None)
    assert said[-1] == "3" and capture.update(gone) == "Step into view"
    assert capture.update(result_of(0, seconds=3.0)) == "5"


def test_joints_that_are_ignored_need_not_be_seen_in_a_captured_target(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "a.json", FRAME_SIZE, 0.3, ignore=("left_wrist",))
    hidden = standing_joints()
    hidden[13, 2] = 0.1
    assert [capture.update(result_of(0, seconds=tick, joints=hidden)) for tick in range(7)][-1] == "Captured"
    assert read_target(tmp_path / "a.json").ignore == ("left_wrist",)


def test_a_target_that_cannot_be_written_ends_no_session(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    scene = Scene(two_poses(100), folder=closed)
    with without_rights(closed):
        scene.station.press(ord("c"))
        scene.frames(round(COUNTDOWN_SECONDS * 10) + 3, score=10.0)
        assert scene.view().hint.startswith("Not captured: captured_1.json could not be written")
        scene.frames(40, score=10.0)
        assert scene.station.captured == [] and not scene.view().hint.startswith("Not")
        with pytest.raises(BadInputError):
            Scene(None, capture=Capture(closed / "a.json", FRAME_SIZE, 0.3)).frames(70, **WHOLE)


def test_a_replay_shows_which_of_two_equal_poses_of_a_routine_it_was() -> None:
    a, b = two_poses().steps
    routine = Routine("thrice", (a, b, replace(a, hold_seconds=20.0)), 1)
    scene = Scene(routine, replayed=True)
    scene.frame(target="A", phase="hold", hold_seconds=15.0, step=2)
    hold = scene.view().hold
    assert hold is not None
    assert hold.lines[0] == "Pose 3 of 3" and hold.share == pytest.approx(0.75)
    scene.frame(target="B", phase="hold", hold_seconds=0.1)  # of before steps were written
    hold = scene.view().hold
    assert hold is not None and hold.lines[0] == "Pose 2 of 3"


def test_a_key_captures_a_target_beside_a_running_session(tmp_path: Path) -> None:
    (tmp_path / "captured_1.json").write_text("mine")
    scene = Scene(two_poses(100), folder=tmp_path)
    scene.station.press(ord("c"))
    scene.frames(100, score=10.0)
    assert scene.station.captured == [tmp_path / "captured_2.json"] and not scene.station.finished
    assert (tmp_path / "captured_1.json").read_text() == "mine"
    assert free_name(tmp_path).name == "captured_3.json"


def test_while_a_target_is_captured_nothing_is_told_of_the_old_one(tmp_path: Path) -> None:
    scene = Scene(two_poses(100), folder=tmp_path)
    live = standing_joints()
    live[13, :2] = live[11, :2] + (60, 0)
    off = {"score": 40.0, "joints": live, "deviation_degrees": {"left_wrist": -80.0, "left_elbow": -60.0}}
    scene.frames(3, **off)
    assert scene.view().moves and scene.view().score == pytest.approx(40.0)
    for key in "hc":
        scene.station.press(ord(key))
    assert not scene.view().help, "it would hide the countdown"
    for seen in ({"score": 90.0}, off):
        scene.frames(3, **seen)
        joints, view = scene.station.view(scene.last, "")
        assert view.countdown and joints is None
        bare = (view.ghost, view.moves, view.cue, view.score, view.trend, view.hold, view.praise, view.title)
        assert bare == (None, (), "", None, (), None, False, "New target")
    scene.frames(90, **off)
    assert scene.station.captured and scene.view().title == "A" and scene.view().moves
