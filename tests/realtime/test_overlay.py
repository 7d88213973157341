"""The overlay: what it says, in which colour, and that it draws on every size without touching the frame."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.frames import Picture
from realtime.overlay import (
    DARK,
    FAIR,
    GOOD,
    POOR,
    UNSEEN,
    OverlayText,
    advice,
    deviation_colour,
    draw_overlay,
    draw_skeleton,
    draw_target,
    shade,
    shortened,
    wrapped,
)
from realtime.results import JOINTS_MISSING, NO_PERSON, STALE, FrameResult, PersonResult
from tests.realtime.fakes import result_of, standing, standing_joints

NONE = {"score": None, "distance": None}
NOBODY = result_of(
    0, status=NO_PERSON, reason="no person in view", box=None, keypoints=None, joints=None, deviation_degrees={}, **NONE
)
RESULTS = {
    "scored": result_of(0, deviation_degrees={"left_elbow": -45.0, "left_wrist": 20.0, "head": None, "neck": 1.0}),
    "no person": NOBODY,
    "joints missing": result_of(
        0, status=JOINTS_MISSING, reason="not visible: left ankle, left knee, right ankle, right knee, head", **NONE
    ),
    "stale": result_of(0, status=STALE, reason="the picture is 300 ms old", **NONE),
    "stale and empty": replace(NOBODY, status=STALE, reason="the picture is 300 ms old"),
    "several": result_of(
        0,
        people=tuple(
            PersonResult(row, np.array([100, 20, 200, 170, 1], np.float32), standing(), standing_joints(), score)
            for row, score in ((0, 50.0), (1, 70.0), (2, None))
        ),
    ),
    "a joint far outside": result_of(0, joints=standing_joints((-9000, -9000, 9000, 9000))),
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (64, 64), (64, 2000), (1280, 720), (3840, 2160)], ids=str)
def test_every_result_is_drawn_at_every_size_on_a_copy(result: FrameResult, size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    drawn = draw_overlay(image, result, standing_joints(), OverlayText("Árvore 木", "age p50 40 ms"), 0.3)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (image == 128).all()
    assert (drawn != 128).any()


def test_without_a_target_nothing_is_drawn_in_its_corner() -> None:
    image = np.full((720, 1280, 3), 128, np.uint8)
    corner = np.s_[:220, -220:]
    text = OverlayText("Tree")
    assert (draw_overlay(image, NOBODY, None, text, 0.3)[corner] == 128).all()
    assert (draw_overlay(image, NOBODY, standing_joints(), text, 0.3)[corner] != 128).any()


def test_with_nobody_in_view_the_panel_says_so() -> None:
    assert advice(NOBODY) == ["no person in view"]


def test_a_stale_picture_says_how_old_it_is() -> None:
    assert advice(RESULTS["stale"]) == ["the picture is 300 ms old"]


def test_joints_that_are_not_seen_are_named_in_lines_that_fit() -> None:
    lines = advice(RESULTS["joints missing"])
    assert lines[0] == "not visible: left ankle, left"
    assert len(lines) <= 3 and max(map(len, lines)) <= 30


def test_the_joints_furthest_off_are_named_first_and_good_ones_not_at_all() -> None:
    off = {"head": 12.0, "neck": -11.9, "left_elbow": -45.4, "left_wrist": 20.0, "left_knee": None, "right_knee": 30.0}
    assert advice(result_of(0, deviation_degrees=off)) == [
        "left elbow -45 deg",
        "right knee +30 deg",
        "left wrist +20 deg",
    ]


def test_a_pose_that_is_right_needs_no_advice() -> None:
    assert advice(result_of(0, deviation_degrees={"head": 3.0, "neck": None})) == []


@pytest.mark.parametrize(
    ("degrees", "colour"),
    [
        (0.0, GOOD),
        (11.9, GOOD),
        (-11.9, GOOD),
        (12.0, FAIR),
        (-29.9, FAIR),
        (30.0, POOR),
        (-180.0, POOR),
        (180.0, POOR),
        (None, UNSEEN),
    ],
)
def test_the_colour_of_a_bone_follows_its_deviation(degrees: float | None, colour: tuple[int, int, int]) -> None:
    assert deviation_colour(degrees) == colour


def colours(canvas: Picture) -> set[tuple[int, int, int]]:
    packed = np.unique(canvas.astype(np.int64) @ (1 << 16, 1 << 8, 1)).tolist()
    return {(value >> 16, value >> 8 & 255, value & 255) for value in packed}


def test_a_bone_has_the_colour_of_the_joint_it_ends_at() -> None:
    canvas = np.zeros((720, 1280, 3), np.uint8)
    joints = standing_joints((400, 60, 800, 660))
    draw_skeleton(canvas, joints, {"left_wrist": -50.0}, 1.0, 0.3)
    assert {POOR, UNSEEN, DARK} <= colours(canvas)
    assert GOOD not in colours(canvas)
    middle = ((joints[12, :2] + joints[13, :2]) / 2).astype(int)
    assert tuple(canvas[middle[1], middle[0]].tolist()) == POOR


def test_joints_that_are_not_seen_are_not_drawn() -> None:
    canvas = np.zeros((180, 320, 3), np.uint8)
    draw_skeleton(canvas, standing_joints(confidence=0.29), {}, 1.0, 0.3)
    assert not canvas.any()


def test_a_target_of_which_nothing_is_seen_leaves_its_corner_empty() -> None:
    canvas = np.full((720, 1280, 3), 255, np.uint8)
    draw_target(canvas, np.zeros((15, 3), np.float32), 1.0, 0.3)
    assert len(colours(canvas)) == 2  # the picture and the shade


def test_a_target_is_drawn_the_same_wherever_it_stood_in_its_picture() -> None:
    canvases = [np.zeros((720, 1280, 3), np.uint8) for _ in range(2)]
    draw_target(canvases[0], standing_joints((100, 20, 200, 170)), 1.0, 0.3)
    draw_target(canvases[1], standing_joints((1100, 420, 1200, 570)), 1.0, 0.3)
    assert (canvases[0] == canvases[1]).mean() > 0.999


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Warrior II", "Warrior II"),
        ("Árvore", "?rvore"),
        ("木のポーズ", "?????"),
        ("\udcff", "?"),
        ("a" * 24, "a" * 24),
        ("a" * 25, "a" * 21 + "..."),
        ("", ""),
    ],
)
def test_a_name_is_shown_in_letters_that_the_font_has(text: str, shown: str) -> None:
    assert shortened(text, 24) == shown


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("abcdefghijklm op", ["abcdefghijklm", "op"]),
        ("ab cd ef gh ij", ["ab cd ef", "gh ij"]),
    ],
)
def test_words_are_wrapped_without_being_cut(text: str, lines: list[str]) -> None:
    assert wrapped(text, 8) == lines


@pytest.mark.parametrize("place", [(-10, -10), (310, 170), (400, 10), (10, 400)])
def test_a_shade_beyond_the_picture_is_cut_off(place: tuple[int, int]) -> None:
    canvas = np.full((180, 320, 3), 200, np.uint8)
    shade(canvas, *place, 50, 50)
    assert canvas.shape == (180, 320, 3)
