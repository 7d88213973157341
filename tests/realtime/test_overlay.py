"""The overlay: what it says, in which colour, and that it draws on every size without touching the frame."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from engines.skeleton import JOINT_INDEX
from realtime import brush, gauges
from realtime.advice import Move
from realtime.brush import DARK, FAIR, GOOD, POOR, UNSEEN, cut, drawable, shade, text_width, wrapped
from realtime.frames import Picture
from realtime.gauges import LEAST_NAME_SIZE, HoldView, hint_lines, whole_score
from realtime.keys import BROWSER_KEYS, WINDOW_KEYS
from realtime.overlay import View, deviation_colour, draw_ghost, draw_overlay, draw_skeleton, draw_target
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
    view = View(
        "Árvore 木",
        "age p50 40 ms",
        score=73.0,
        trend=((0.0, 20.0), (1.0, 73.0)),
        ghost=standing_joints((120, 20, 220, 170)),
        moves=(Move("left_wrist", "raise left hand", (10, 20), (30, 1e9), 40.0),),
        hint="Step back: your whole body must be in view",
        hold=HoldView(0.3, "3", ("Pose 1 of 2", "Round 1 of 2")),
        countdown="3",
        help=(("h", "help"),),
    )
    for mirror in (False, True):
        drawn = draw_overlay(image, result, standing_joints(), replace(view, mirror=mirror, words_right=mirror), 0.3)
        assert drawn.shape == image.shape and drawn.dtype == np.uint8
        assert (image == 128).all()
        assert (drawn != 128).any()


@dataclass(frozen=True)
class Words:
    """A line of text that was drawn, and the px that have ink in them."""

    text: str
    left: int
    top: int
    right: int
    bottom: int


def words_drawn(monkeypatch: pytest.MonkeyPatch) -> list[Words]:
    """Every line of text that is drawn from now on."""
    said: list[Words] = []

    def put_text(canvas: Picture, text: str, *place_and_look: Any) -> None:
        ink = np.zeros_like(canvas)
        for picture in (canvas, ink):
            original(picture, text, *place_and_look)
        rows, columns = ink.any((1, 2)).nonzero()[0], ink.any((0, 2)).nonzero()[0]
        assert len(rows), f"{text!r} is left out"
        said.append(Words(text, columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))

    original = brush.put_text
    for module in (brush, gauges):
        monkeypatch.setattr(module, "put_text", put_text)
    return said


def test_without_a_target_nothing_is_drawn_in_its_corner() -> None:
    image = np.full((720, 1280, 3), 128, np.uint8)
    corner = np.s_[:220, -220:]
    text = View("Tree")
    assert (draw_overlay(image, NOBODY, None, text, 0.3)[corner] == 128).all()
    assert (draw_overlay(image, NOBODY, standing_joints(), text, 0.3)[corner] != 128).any()


def test_without_a_target_no_bone_and_no_score_is_coloured_by_one() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    people = tuple(
        PersonResult(row, np.array([left, 200, left + 200, 700, 1], np.float32), standing(), joints, score)
        for row, left, score in ((0, 400, 90.0), (1, 800, 60.0))
        for joints in [standing_joints((left, 200, left + 200, 700))]
    )
    both = result_of(0, joints=people[0].joints, deviation_degrees={"left_wrist": -50.0}, person=0, people=people)
    assert {GOOD, FAIR, POOR} <= colours(draw_overlay(image, both, standing_joints(), View("Tree", score=90.0), 0.3))
    assert not {GOOD, FAIR, POOR} & colours(draw_overlay(image, both, None, View("New target"), 0.3))


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


@pytest.mark.parametrize(
    ("unseen", "shown", "left_out"),
    [
        ((), ("belly", "chest", "head"), ()),
        (("left_hip",), ("chest", "head"), ()),
        (("left_hip", "right_hip", "pelvis"), ("head",), ("belly", "left_thigh")),
        (("left_knee", "left_ankle"), ("belly", "right_thigh"), ("left_thigh",)),
        (("neck",), ("belly", "chest", "head"), ()),
    ],
)
def test_a_ghost_is_one_body_without_the_limbs_that_are_unseen(
    unseen: tuple[str, ...], shown: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    ghost = standing_joints((400, 60, 800, 660))
    at = {name: ghost[index, :2].copy() for name, index in JOINT_INDEX.items()}
    places = {
        "head": at["head"],
        "belly": (at["neck"] + 3 * at["pelvis"]) / 4,
        "chest": (at["neck"] + at["pelvis"]) / 2,
    }
    places |= {f"{side}_thigh": (at[f"{side}_hip"] + 2 * at[f"{side}_knee"]) / 3 for side in ("left", "right")}
    ghost[[JOINT_INDEX[name] for name in unseen], 2] = 0
    canvas = np.zeros((720, 1280, 3), np.uint8)
    draw_ghost(canvas, ghost, 1.0, 0.3)
    drawn = {name: bool(canvas[round(float(y)), round(float(x))].any()) for name, (x, y) in places.items()}
    assert [drawn[name] for name in shown] == [True] * len(shown)
    assert [drawn[name] for name in left_out] == [False] * len(left_out)


def test_a_target_of_which_nothing_is_seen_leaves_its_corner_empty() -> None:
    canvas = np.full((720, 1280, 3), 255, np.uint8)
    draw_target(canvas, np.zeros((15, 3), np.float32), 1.0, 0.3)
    assert len(colours(canvas)) == 1


def test_a_target_is_drawn_the_same_wherever_it_stood_in_its_picture() -> None:
    canvases = [np.zeros((720, 1280, 3), np.uint8) for _ in range(2)]
    draw_target(canvases[0], standing_joints((100, 20, 200, 170)), 1.0, 0.3)
    draw_target(canvases[1], standing_joints((1100, 420, 1200, 570)), 1.0, 0.3)
    assert (canvases[0] == canvases[1]).mean() > 0.999


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Warrior II", "Warrior II"),
        ("Árvore", "Árvore"),
        ("木のポーズ", "木のポーズ"),
        ("Ready?", "Ready?"),
        ("\udcff", ""),
        ("Tree 🌳", "Tree"),
        ("🌳 Tree 👨\u200d👩 of life", "Tree of life"),
        ("", ""),
    ],
)
def test_a_name_is_shown_in_letters_that_the_font_has(text: str, shown: str) -> None:
    assert drawable(text) == shown


@pytest.mark.parametrize("size", [(1280, 720), (320, 240), (720, 1280)], ids=str)
def test_a_long_name_is_cut_before_it_is_too_small_to_read(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = words_drawn(monkeypatch)
    draw_overlay(np.zeros((size[1], size[0], 3), np.uint8), NOBODY, None, View("Warrior two " * 10), 0.3)
    scale = min(size[1] / 720, size[0] / 960)
    name = said[0]
    assert name.text.startswith("Warrior two") and name.text.endswith("…")
    assert name.bottom - name.top >= 0.6 * LEAST_NAME_SIZE * scale, "capitals are about 0.7 of the size"
    assert name.right <= (16 + 270) * scale


TURN = tuple(Move("", words, (0, 0), (0, 0), 40.0) for words in ("raise left arm", "bend right knee", "turn around"))
SAID = {
    "what to move": View("Tree", moves=TURN),
    "a hint of one line": View("Tree", hint="Step into view"),
    "a hint of two lines": View("Tree", hint="Step back: your whole body must be in view"),
    "a hint of three lines": View("Tree", hint=f"Well held. Rest 3 s, then {'Warrior two ' * 10}"),
    "a countdown": View("New target", countdown="5"),
}


@pytest.mark.parametrize("keys", [(), WINDOW_KEYS, BROWSER_KEYS], ids=["alone", "with help", "in a browser"])
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (320, 240), (720, 1280)], ids=str)
def test_no_word_stands_on_another(
    size: tuple[int, int], said: str, keys: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = words_drawn(monkeypatch)
    latency = "age p50 41 ms  p95 68 ms  dropped 12345"
    hold = HoldView(0.3, "3", ("Pose 1 of 2", "Round 1 of 2"))
    view = replace(SAID[said], score=100.0, latency=latency, hold=hold, help=keys)
    draw_overlay(np.zeros((size[1], size[0], 3), np.uint8), NOBODY, standing_joints(), view, 0.3)
    assert {latency, *(key for key, _ in keys)} <= {words.text for words in found}
    for one, other in combinations(found, 2):
        beside = one.right <= other.left or other.right <= one.left
        apart = beside or one.bottom <= other.top or other.bottom <= one.top
        assert apart or one.text == other.text, f"{one.text!r} stands on {other.text!r}"
    assert all(words.bottom <= size[1] and words.right <= size[0] for words in found)


def test_a_line_that_fits_is_not_cut() -> None:
    room = text_width("Warrior", 24)
    assert (cut("Warrior", 24, room), cut("Warrior", 24, room - 1), cut("W", 24, 1)) == ("Warrior", "Warri…", "…")


@pytest.mark.parametrize(
    ("hint", "lines"),
    [
        ("", ()),
        ("Step into view", ("Step into view",)),
        ("Well held, then 🌳", ("Well held, then",)),
        ("a" * 30 + " bb" * 20, ("a" * 30 + " bb", " ".join(["bb"] * 11), " ".join(["bb"] * 8))),
        ("a" * 30 + " bb" * 24, ("a" * 30 + " bb", " ".join(["bb"] * 11), " ".join(["bb"] * 11) + "…")),
    ],
)
def test_a_hint_has_three_lines_and_says_where_there_is_more(hint: str, lines: tuple[str, ...]) -> None:
    assert hint_lines(hint) == lines


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


@pytest.mark.parametrize(
    ("score", "pass_score", "shown"),
    [(79.4, 80, 79), (79.6, 80, 79), (80.0, 80, 80), (99.6, 80, 100), (80.2, 80.5, 80), (0.0, 0.0, 0), (12.7, 80, 13)],
)
def test_a_score_below_the_mark_is_never_shown_as_the_mark(score: float, pass_score: float, shown: int) -> None:
    assert whole_score(score, pass_score) == shown
