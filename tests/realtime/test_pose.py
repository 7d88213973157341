"""Targets: written and read back to the bit, and every bad file refused with file, field and value."""

import contextlib
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import EXIT_BAD_INPUT, BadInputError, PosemirrorError
from engines.skeleton import JOINTS
from realtime.pose import (
    Target,
    choose_person,
    parse_ignore,
    read_target,
    target_from_joints,
    target_from_object,
    target_object,
    write_target,
)

steady = settings(derandomize=True, deadline=None)
LEGS = ("right_ankle", "right_knee", "left_knee", "left_ankle")


def pose_json(**changes: object) -> dict[str, object]:
    """The example of the design, whole."""
    joints = {name: [100.0 + 20 * index, 50.5 + 30 * index, 0.93] for index, name in enumerate(JOINTS)}
    document: dict[str, object] = {
        "format": "posemirror-target",
        "version": 1,
        "name": "Warrior II",
        "image_size": [1280, 720],
        "joints": joints,
        "ignore": [],
        "score_width": 0.3,
        "pass_score": 80,
        "hold_seconds": 5,
        "match_mirrored": False,
    }
    return {**document, **changes}


def with_joint(name: str, point: object) -> dict[str, object]:
    document = pose_json()
    document["joints"][name] = point  # type: ignore[index]
    return document


def saved(folder: Path, content: object) -> Path:
    path = folder / "pose.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def refusal_of(path: Path, **options: object) -> str:
    with pytest.raises(BadInputError) as refusal:
        read_target(path, **options)  # type: ignore[arg-type]
    assert refusal.value.exit_code == EXIT_BAD_INPUT
    assert all((refusal.value.seen, refusal.value.allowed, refusal.value.next_step))
    assert "\n" not in str(refusal.value) and str(path) in str(refusal.value)
    return str(refusal.value)


def test_the_example_of_the_design_is_read(tmp_path: Path) -> None:
    document = pose_json(ignore=["left_wrist"])
    target = read_target(saved(tmp_path, document))
    assert (target.name, target.image_size, target.ignore) == ("Warrior II", (1280, 720), ("left_wrist",))
    assert (target.score_width, target.pass_score, target.hold_seconds) == (0.3, 80, 5)
    assert target.match_mirrored is False
    assert target.joints.shape == (15, 3) and target.joints.dtype == np.float32
    assert target.joints[1].tolist() == np.float32([120, 80.5, 0.93]).tolist()
    assert target.counts.dtype == np.float32
    assert target.counts.tolist() == [float(name != "left_wrist") for name in JOINTS]


def test_what_may_be_left_out_has_the_defaults_of_the_design(tmp_path: Path) -> None:
    document = pose_json()
    for name in ("ignore", "score_width", "pass_score", "hold_seconds", "match_mirrored"):
        del document[name]
    target = read_target(saved(tmp_path, document))
    assert (target.ignore, target.score_width, target.pass_score, target.hold_seconds) == ((), 0.3, 80, 5)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert read_target(saved(tmp_path, b"\xef\xbb\xbf" + json.dumps(pose_json()).encode())).name == "Warrior II"


def test_joints_that_are_ignored_may_be_absent_and_are_zeros(tmp_path: Path) -> None:
    document = pose_json(ignore=["left_wrist"])
    for name in (*LEGS, "left_wrist"):
        del document["joints"][name]  # type: ignore[attr-defined]
    target = read_target(saved(tmp_path, document), ignore=LEGS)
    assert target.ignore == ("left_wrist", *LEGS)
    assert not target.joints[target.counts == 0].any() and target.joints[target.counts == 1].all()


def test_a_joint_on_the_edge_of_the_picture_is_inside(tmp_path: Path) -> None:
    document = with_joint("head", [1280, 720, 1])
    document["joints"]["neck"] = [0, 0, 0.3]  # type: ignore[index]
    assert read_target(saved(tmp_path, document)).joints[14].tolist() == [1280, 720, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; a target is"),
        (b" \n", "is empty; a target is"),
        (json.dumps(pose_json()).encode()[:-40], "ends too early (line 1"),
        (b"[", "ends too early"),
        (b'{"name": "War', "ends too early"),
        (b"pose: warrior", "is not JSON (line 1, column 1: Expecting value)"),
        (b"\xff\xfe neither UTF-8 nor a picture", "is not UTF-8 text (byte 0)"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
        (b'{"people": [], "people": []}', 'has the key "people" twice in one object'),
        (b'{"people": [NaN]}', "holds NaN, which is not a JSON number"),
        (b'{"people": [-Infinity]}', "holds -Infinity, which is not a JSON number"),
        (b"9" * 5000, "holds a number of too many digits"),
        (b"3", "holds 3; a target is"),
        (b"null", "holds null; a target is"),
        (b"{}", "is an object with the keys"),
        (b" " * (16 * 2**20 + 1), "is larger than 16 MB"),
    ],
)
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refusal_of(saved(tmp_path, content))


def test_a_missing_file_a_directory_and_a_picture_are_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal_of(tmp_path / "none.json")
    assert "Is a directory" in refusal_of(tmp_path)
    assert "is a picture" in refusal_of(tmp_path / "warrior.JPG")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clip.MP4", "clip.MP4 is a video; a target is a pose.json, .*; make a target of it with python -m "
         "realtime.targets make .*clip.MP4 --at SECONDS --out pose.json"),
        ("out.jsonl", "out.jsonl is a results file; a target is a pose.json, .*; give it with run_live.py --replay"),
    ],
)  # fmt: skip
def test_a_video_and_a_results_file_are_told_from_a_broken_target(tmp_path: Path, name: str, words: str) -> None:
    assert "No such file or directory" in refusal_of(tmp_path / name)
    (tmp_path / name).write_bytes(b"{}\n\xff\n")
    assert re.search(words, refusal_of(tmp_path / name))


@pytest.mark.parametrize("name", ["my tree.jpg", "my clip.mp4", "my out.jsonl"])
def test_what_is_proposed_for_a_file_that_is_no_target_can_be_pasted(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, b"{}\n").rename(tmp_path / name)
    said = refusal_of(path)
    assert said.startswith(f"{path} is a ") and re.search(f"(make|--replay) '{re.escape(str(path))}'", said)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, pose_json())
    path.chmod(0)
    assert "Permission denied" in refusal_of(path)


def test_a_file_that_the_system_refuses_to_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refusal_of(tmp_path / "pose.json")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            pose_json(format="posemirror-routine"),
            'format is "posemirror-routine"; a target has "posemirror-target"; give it with run_live.py --routine FILE',
        ),
        (pose_json(format=None), "format is null"),
        (pose_json(version=2), "version is 2; this posemirror reads version 1; write"),
        (pose_json(version=True), "version is true"),
        (pose_json(version="1"), 'version is "1"'),
        (pose_json(name=""), 'name is ""; it must be one line'),
        (pose_json(name="a\nb"), r'name is "a\nb"; it must be one line'),
        (pose_json(name="\ud800"), r'name is "\ud800"'),
        (pose_json(name=3), "name is 3"),
        (pose_json(name="a" * 121), 'name is "aaa'),
        (pose_json(score_with=0.3), 'has the unknown field "score_with"; a target has'),
        (pose_json(image_size=[1280]), "image_size is a list of 1; it must be a list of 2"),
        (pose_json(image_size=[1280, 0]), "image_size is 0; it must be a number from 1 to 65535"),
        (pose_json(image_size=[1280, 1.5]), "a size is in whole pixels"),
        (pose_json(image_size=[1280, True]), "image_size is true"),
        (pose_json(image_size="1280x720"), 'image_size is "1280x720"'),
        (pose_json(image_size=[10**400, 5]), "image_size is 1000"),
        (pose_json(score_width=0), "score_width is 0; it must be a number from 0.001 to 100"),
        (pose_json(score_width=-0.3), "score_width is -0.3"),
        (pose_json(pass_score=101), "pass_score is 101; it must be a number from 0 to 100"),
        (pose_json(pass_score=-1), "pass_score is -1"),
        (pose_json(pass_score=True), "pass_score is true"),
        (pose_json(hold_seconds=-1), "hold_seconds is -1; it must be a number from 0 to 3600"),
        (pose_json(match_mirrored=1), "match_mirrored is 1; it is true or false"),
        (pose_json(ignore="legs"), 'ignore is "legs"; it must be a list'),
        (pose_json(ignore=["left_rist"]), 'ignore names "left_rist", which is no joint; the names are right_ankle'),
        (pose_json(ignore=[["head"]]), "ignore names a list of 1, which is no joint"),
        (pose_json(ignore=list(JOINTS)), "ignores every joint; some joints must count"),
        (pose_json(joints=[[1, 1, 1]] * 15), "joints is a list of 15; it must be an object"),
        (pose_json(joints={}), "lacks right_ankle, right_knee"),
        (pose_json(joints={name: [5, 5, 1] for name in JOINTS}), "has all joints at one point"),
        (with_joint("left_elbo", [1, 1, 1]), 'joints names "left_elbo", which is no joint'),
        (with_joint("head", [1, 1]), "joints.head is a list of 2; it must be a list of 3"),
        (with_joint("head", [1, 1, 1, 1]), "joints.head is a list of 4"),
        (with_joint("head", None), "joints.head is null; it must be a list of 3"),
        (with_joint("head", [1, "2", 1]), 'joints.head y is "2"; it must be a number from 0 to 720'),
        (with_joint("head", [False, 2, 1]), "joints.head x is false"),
        (with_joint("head", [1281, 2, 1]), "joints.head x is 1281; it must be a number from 0 to 1280"),
        (with_joint("head", [5, 720.01, 1]), "joints.head y is 720.01; it must be a number from 0 to 720"),
        (with_joint("head", [-0.5, 5, 1]), "joints.head x is -0.5"),
        (with_joint("head", [5, 5, 1.1]), "joints.head confidence is 1.1; it must be a number from 0 to 1"),
        (with_joint("head", [10**400, 5, 1]), "joints.head x is 1000"),
        (with_joint("head", [5, 5, 0.29]), "lacks head; every joint that counts must be in the picture, with a confid"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_naming_it(tmp_path: Path, document: object, words: str) -> None:
    assert words in refusal_of(saved(tmp_path, document))


def test_a_number_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    text = json.dumps(pose_json()).replace("100.0", "1e999")
    assert "joints.right_ankle x is Infinity" in refusal_of(saved(tmp_path, text.encode()))


@pytest.mark.parametrize("name", ["format", "version", "name", "image_size", "joints"])
def test_a_field_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    document = pose_json()
    del document[name]
    words = refusal_of(saved(tmp_path, document))
    assert name in words if name == "version" else f"lacks {name}" in words or "is an object with the keys" in words


def test_the_nearest_name_is_proposed(tmp_path: Path) -> None:
    assert refusal_of(saved(tmp_path, pose_json(score_with=1))).endswith("rename it to score_width.")
    assert refusal_of(saved(tmp_path, with_joint("left_elbo", [1, 1, 1]))).endswith("give left_elbow.")


def test_missing_joints_are_named_and_so_is_the_way_to_leave_them_out(tmp_path: Path) -> None:
    document = with_joint("left_wrist", [5, 5, 0.1])
    del document["joints"]["head"]  # type: ignore[attr-defined]
    words = refusal_of(saved(tmp_path, document))
    assert "lacks left_wrist, head;" in words and words.endswith("--ignore left_wrist,head.")
    assert read_target(saved(tmp_path, document), ignore=("left_wrist", "head")).ignore == ("left_wrist", "head")


def test_visibility_follows_the_threshold_given(tmp_path: Path) -> None:
    path = saved(tmp_path, pose_json())
    assert "at least 0.95" in refusal_of(path, visible_confidence=0.95)


def test_a_target_file_has_one_person(tmp_path: Path) -> None:
    path = saved(tmp_path, pose_json())
    assert read_target(path, person=1).name == "Warrior II"
    assert "--target-person is 2; " in refusal_of(path, person=2)


def test_ignore_on_the_command_line_takes_groups_and_joints() -> None:
    assert parse_ignore("legs,left_wrist") == (*LEGS, "left_wrist")
    assert parse_ignore(" left_ankle , legs ") == ("left_ankle", "right_ankle", "right_knee", "left_knee")
    with pytest.raises(
        BadInputError, match=r'--ignore names "leg", which is no joint; the names are legs, .*; give legs'
    ):
        parse_ignore("leg")
    with pytest.raises(BadInputError, match='--ignore names ""'):
        parse_ignore("")


def test_no_person_is_chosen_from_none() -> None:
    with pytest.raises(BadInputError, match=r"photo\.jpg holds no person"):
        choose_person(np.zeros((0, 15, 3), np.float32), None, "photo.jpg")


def test_choosing_a_person_looks_only_at_the_joints_that_count() -> None:
    whole = np.random.default_rng(1).uniform(0.5, 1, (15, 3)).astype(np.float32)
    seated = whole * np.float32([9, 9, 1])
    seated[[0, 1, 5, 6]] = 0
    persons = np.stack([whole, seated, np.zeros_like(whole)])
    assert choose_person(persons, None, "x") == 0
    assert choose_person(persons, None, "x", ignore=LEGS) == 1


def test_joints_found_outside_the_picture_count_as_not_seen() -> None:
    joints = np.array([[10 * index, 5 * index, 0.9] for index in range(15)], np.float32)
    joints[13, 0] = -1
    with pytest.raises(BadInputError, match="photo lacks left_wrist;"):
        target_from_joints(joints, (200, 100), "a", "photo")
    target = target_from_joints(joints, (200, 100), "\x1b[31m\ud800" + "a" * 200, "photo", ignore=("left_wrist",))
    assert not target.joints[13].any() and joints[13].any()
    assert target.name.startswith("?[31m?aa") and len(target.name) == 120


def test_a_heatmap_peak_above_one_makes_a_target_that_can_be_read_back(tmp_path: Path) -> None:
    joints = np.array([[10 * index, 5 * index, 1.04] for index in range(15)], np.float32)
    write_target(target_from_joints(joints, (200, 100), "a", "photo"), tmp_path / "out.json")
    assert set(read_target(tmp_path / "out.json").joints[:, 2]) == {1.0}


def test_a_target_is_written_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = read_target(saved(tmp_path, pose_json()))
    path = tmp_path / "out.json"
    path.write_text("old")
    write_target(target, path)
    assert target_object(read_target(path)) == target_object(target)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.json", "pose.json"]


def test_a_target_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    target = read_target(saved(tmp_path, pose_json()))
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (tmp_path / "none" / "out.json", folder):
        with pytest.raises(BadInputError, match="could not be written"):
            write_target(target, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "pose.json"]


SIZES = st.tuples(st.integers(1, 65_535), st.integers(1, 65_535))
UNIT = st.floats(0, 1, width=32)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    size = draw(SIZES)
    ignore = draw(st.lists(st.sampled_from(JOINTS), unique=True, max_size=10))
    joints = np.zeros((15, 3), np.float32)
    for index, name in enumerate(JOINTS):
        point = draw(st.tuples(UNIT, UNIT, st.floats(0.30000001192092896, 1, width=32)))
        if name not in ignore or draw(st.booleans()):
            joints[index] = (
                *(np.float32(part) * np.float32(side) for part, side in zip(point, size, strict=False)),
                point[2],
            )
    return Target(
        name=draw(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)),
        image_size=size,
        joints=joints,
        ignore=tuple(ignore),
        score_width=draw(st.floats(0.001, 100)),
        pass_score=draw(st.floats(0, 100)),
        hold_seconds=draw(st.floats(0, 3600)),
        match_mirrored=draw(st.booleans()),
    )


def counting(target: Target) -> npt.NDArray[np.float32]:
    return target.joints[target.counts == 1, :2]


@steady
@given(targets())
def test_writing_and_reading_a_target_changes_no_bit(tmp_path_factory: pytest.TempPathFactory, target: Target) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_target(target, path)
    if not np.ptp(counting(target), axis=0).any():
        assert "at one point" in refusal_of(path)
        return
    again = read_target(path)
    assert again.joints.tobytes() == target.joints.tobytes()
    assert {**vars(again), "joints": 0} == {**vars(target), "joints": 0}


def assert_valid(target: Target) -> None:
    assert np.isfinite(target.joints).all() and (target.joints >= 0).all()
    assert (target.joints[target.counts == 1, 2] >= 0.3).all() and np.ptp(counting(target), axis=0).any()
    assert math.isfinite(target.score_width) and target.score_width > 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(JOINTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(JOINTS) | st.text(max_size=5), inner),
    max_leaves=10,
)


@steady
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_a_target_or_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(data)
    with contextlib.suppress(PosemirrorError):
        assert_valid(read_target(path))


@steady
@given(st.sampled_from(sorted(pose_json())), VALUES)
def test_any_value_in_any_field_gives_a_target_or_an_error_of_ours(field: str, value: object) -> None:
    try:
        assert_valid(target_from_object(pose_json(**{field: value}), "file"))
    except PosemirrorError as error:
        assert field in str(error) or "ignores every joint" in str(error) or "lacks" in str(error)


@steady
@given(st.sampled_from(JOINTS), VALUES | st.lists(st.floats() | st.integers(), min_size=3, max_size=3))
def test_any_value_for_a_joint_gives_a_target_or_an_error_naming_it(joint: str, value: object) -> None:
    try:
        assert_valid(target_from_object(with_joint(joint, value), "file"))
    except PosemirrorError as error:
        assert joint in str(error)


def test_what_a_target_lacks_can_be_left_out_with_the_very_words_that_are_proposed(tmp_path: Path) -> None:
    joints = pose_json()["joints"]
    assert isinstance(joints, dict)
    path = saved(tmp_path, pose_json(joints={name: point for name, point in joints.items() if name != "left_wrist"}))
    with pytest.raises(BadInputError) as caught:
        read_target(path, ignore=parse_ignore("head,legs"))
    proposed = str(caught.value).rpartition("--ignore ")[2].removesuffix(".")
    assert proposed == "legs,left_wrist,head"
    assert "left_wrist" in read_target(path, ignore=parse_ignore(proposed)).ignore
