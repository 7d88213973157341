"""Targets from the command line: looked at, made from photo, video or keypoints, changed; nothing lost on the way."""

import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import EXIT_BAD_INPUT
from engines.skeleton import JOINTS
from realtime import targets
from realtime.frames import Picture
from realtime.gallery import COLUMNS, ROWS, braille, figure, find_targets
from realtime.pose import read_target
from tests.faults.disks import files_of_at_most
from tests.fixtures import the_sentence
from tests.realtime.fakes import FRAME_SIZE, FakeChain, standing_joints, standing_target, target_json, written_clip

WIDTH, HEIGHT = FRAME_SIZE
FPS = 25.0

Command = Callable[..., str]


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> FakeChain:
    """Engines without networks, whatever folder is named."""
    chain = FakeChain()
    monkeypatch.setattr(targets, "open_chain", lambda *_: (chain, "nothing at all"))
    return chain


@pytest.fixture
def done(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line, which must succeed; gives what it prints."""

    def run(*arguments: object) -> str:
        assert targets.main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line, which must refuse with 2; gives the sentence."""

    def run(*arguments: object) -> str:
        assert targets.main([str(argument) for argument in arguments]) == EXIT_BAD_INPUT
        return the_sentence(capsys.readouterr().err)

    return run


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(target_json(hold_seconds=4, ignore=["head"])))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames, of grey 20 n."""
    pictures = [np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8) for index in range(10)]
    return written_clip(tmp_path / "tree_pose.avi", pictures, FPS)


def test_a_change_leaves_everything_else_as_it_was_to_the_bit(target: Path, done: Command) -> None:
    before = read_target(target)
    said = done("edit", target, "--pass-score", 85, "--ignore", "legs,left_wrist")
    after = read_target(target)
    assert np.array_equal(before.joints.view(np.uint32), after.joints.view(np.uint32))
    assert (after.pass_score, after.hold_seconds, after.name) == (85, 4, "Standing")
    assert set(after.ignore) == {"right_ankle", "right_knee", "left_knee", "left_ankle", "left_wrist"}
    assert said.endswith("pose.json: Standing, pass mark 85, hold 4 s, without legs, left wrist\n")


def test_every_field_can_be_changed_and_all_joints_counted_again(target: Path, done: Command) -> None:
    done(
        "edit", target, "--name", "Tree", "--hold-seconds", 2.5, "--score-width", 0.15, "--match-mirrored", "yes",
        "--ignore", "none",
    )  # fmt: skip
    after = read_target(target)
    assert (after.name, after.hold_seconds, after.score_width, after.match_mirrored, after.ignore) == (
        "Tree", 2.5, 0.15, True, (),
    )  # fmt: skip
    done("edit", target, "--match-mirrored", "no")
    assert not read_target(target).match_mirrored


def test_a_changed_target_can_go_to_another_file(target: Path, tmp_path: Path, done: Command) -> None:
    before = target.read_bytes()
    done("edit", target, "--pass-score", 60, "--out", tmp_path / "easy.json")
    assert target.read_bytes() == before and read_target(tmp_path / "easy.json").pass_score == 60


def test_a_link_stays_a_link(target: Path, tmp_path: Path, done: Command) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(target)
    done("edit", link, "--pass-score", 60)
    assert link.is_symlink() and read_target(target).pass_score == 60


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ({}, ["--pass-score", "101"], "pass_score is 101.0"),
        ({}, ["--pass-score", "nan"], "pass_score is NaN"),
        ({}, ["--hold-seconds", "-1"], "hold_seconds is -1.0"),
        ({}, ["--score-width", "0"], "score_width is 0.0"),
        ({}, ["--name", "two\nlines"], "name is"),
        ({}, ["--ignore", "nose"], '--ignore names "nose"'),
        ({}, ["--ignore", ",".join(JOINTS)], "ignores every joint"),
        ({}, [], "edit came without a change"),
        ({"colour": "red"}, ["--pass-score", "85"], 'has the unknown field "colour"'),
        ({"pass_scor": 70}, ["--pass-score", "85"], "rename it to pass_score"),
        ({"version": 2}, ["--pass-score", "85"], "version is 2"),
        (
            {"ignore": ["head"], "joints": {k: v for k, v in target_json()["joints"].items() if k != "head"}},  # type: ignore[attr-defined]
            ["--ignore", "none"],
            "lacks head",
        ),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_the_file_is_as_it_was(
    tmp_path: Path, refused: Command, content: dict[str, object], arguments: list[str], said: str
) -> None:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(target_json(**content)))
    before = path.read_bytes()
    assert said in refused("edit", path, *arguments)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_only_a_target_file_is_edited(tmp_path: Path, refused: Command) -> None:
    path = tmp_path / "openpose.json"
    path.write_text('{"people": []}')
    assert "is no pose.json of posemirror" in refused("edit", path, "--pass-score", 85)
    spaced = path.rename(tmp_path / "open pose.json")
    assert f"run python -m realtime.targets make '{spaced}' --out" in refused("edit", spaced, "--pass-score", 85)
    said = refused("edit", "tree.jpg", "--pass-score", 85)
    assert "make a target of it with python -m realtime.targets make tree.jpg --out pose.json" in said


@pytest.mark.parametrize(("option", "value", "index"), [("--frame", "4", 3), ("--at", "0.12", 3), ("--at", "0.1", 3)])
def test_a_target_is_made_from_a_frame_of_a_video(
    clip: Path, tmp_path: Path, chain: FakeChain, done: Command, option: str, value: str, index: int
) -> None:
    seen: list[float] = []
    detect = chain.detect

    def noted(image: Picture, anchor: np.ndarray) -> np.ndarray:
        seen.append(float(image.mean()))
        return detect(image, anchor)

    chain.detect = noted  # type: ignore[method-assign]
    done("make", clip, "--out", tmp_path / "tree.json", option, value, "--ignore", "legs", "--pass-score", 70)
    assert seen == [pytest.approx(20 * index, abs=2)]
    made = read_target(tmp_path / "tree.json")
    assert (made.name, made.pass_score, len(made.ignore)) == ("tree_pose", 70, 4)
    assert np.allclose(made.joints, standing_target().joints, atol=0.5)


def test_a_target_is_made_from_a_photo(tmp_path: Path, chain: FakeChain, done: Command) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(cv2.imencode(".png", np.zeros((HEIGHT * 2, WIDTH * 2, 3), np.uint8))[1].tobytes())
    done("make", photo, "--out", tmp_path / "out.json", "--name", "Star")
    made = read_target(tmp_path / "out.json")
    assert made.name == "Star" and made.image_size == (WIDTH * 2, HEIGHT * 2)
    assert np.allclose(made.joints[:, :2], 2 * standing_target().joints[:, :2], atol=1)


@pytest.mark.parametrize("name", ["photo.png", "tree_pose.avi"])
@pytest.mark.usefixtures("clip")
def test_people_are_chosen_from_left_to_right_and_it_is_said_who_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: Command, name: str
) -> None:
    left, right = (10, 60, 60, 120, 0.8), (100, 20, 200, 170, 0.9)
    monkeypatch.setattr(targets, "open_chain", lambda *_: (FakeChain(2, detections=[(right, left)]), "nothing at all"))
    (tmp_path / "photo.png").write_bytes(cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes())
    moment = ("--frame", 2) if name.endswith(".avi") else ()
    line = ("make", tmp_path / name, "--out", tmp_path / "out.json", *moment)
    assert "Took person 2 of 2, from left to right: choose another with --person N.\n" in done(*line)
    assert np.allclose(read_target(tmp_path / "out.json").joints, standing_joints(right[:4]), atol=0.5)
    assert "Took person 1 of 2, from left to right.\n" in done(*line, "--person", 1)
    assert np.allclose(read_target(tmp_path / "out.json").joints, standing_joints(left[:4]), atol=0.5)


def test_whom_a_file_of_several_people_gave_is_said(tmp_path: Path, done: Command) -> None:
    people = two_pictures()["annotations"]
    (tmp_path / "people.json").write_text(json.dumps(people))
    said = done("make", tmp_path / "people.json", "--out", tmp_path / "out.json", "--person", 2)
    assert said.startswith("Took person 2 of 2, in the file's order.\n")


def test_a_target_is_made_from_other_programs_keypoints_without_engines(
    target: Path, tmp_path: Path, done: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "open_chain", lambda *_: pytest.fail("no engine is needed"))
    done("make", target, "--out", tmp_path / "copy.json", "--hold-seconds", 9)
    assert read_target(tmp_path / "copy.json").hold_seconds == 9


def two_pictures() -> dict[str, object]:
    """COCO keypoints of two persons, each in a picture of its own."""
    keypoints = [value for index in range(17) for value in (10 + 5 * index, 20 + 3 * index, 2)]
    return {"annotations": [{"image_id": image, "keypoints": keypoints} for image in (1, 2)]}


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("tree_pose.avi", [], "tree_pose.avi is a video; one of its frames has to be chosen"),
        ("tree_pose.avi", ["--frame", "11"], "has 10 frames and ends at 0.36 s"),
        ("tree_pose.avi", ["--at", "5"], "has 10 frames and ends at 0.36 s"),
        ("tree_pose.avi", ["--frame", "1", "--person", "3"], "--person is 3; "),
        ("pose.json", ["--person", "2"], "--person is 2; "),
        ("pictures.json", [], "choose one with --person 1 to 2"),
        ("pose.json", ["--at", "1"], "--at or --frame came with"),
        ("nothing.mp4", ["--at", "1"], "nothing.mp4 is no file"),
        ("0", ["--at", "1"], "0 is no file"),
        ("notes.txt", ["--at", "1"], "notes.txt is no video that can be decoded, and not named as a picture or JSON"),
        ("notes.txt", [], "notes.txt is no video that can be decoded, and not named as a picture or JSON"),
        ("text.mp4", [], "text.mp4 holds no video that can be decoded; a photo, a video or keypoints as JSON are read"),
        ("empty.mp4", [], "empty.mp4 is empty; "),
        ("out.jsonl", [], "out.jsonl is a results file; a photo, a video or keypoints as JSON are read; give it with"),
        ("photo.heic", ["--at", "1"], "photo.heic is a picture of kind HEIC; "),
        ("photo", [], "photo is a picture of kind JPEG, which its name does not say; "),
    ],
)
@pytest.mark.usefixtures("chain", "clip", "target")
def test_what_no_target_can_be_made_from_is_refused(
    tmp_path: Path, refused: Command, name: str, arguments: list[str], said: str
) -> None:
    contents = {"notes.txt": b"no video", "text.mp4": b"no video", "empty.mp4": b"", "out.jsonl": b"{}\n"}
    contents |= {"photo.heic": b"\0\0\0\x10ftypheic\0\0\0\0", "photo": b"\xff\xd8\xff\xe0 a photo"}
    for file, content in contents.items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / "pictures.json").write_text(json.dumps(two_pictures()))
    assert said in refused("make", tmp_path / name, "--out", tmp_path / "out.json", *arguments)
    assert not (tmp_path / "out.json").exists()


def test_a_mistyped_option_is_told_of_before_the_one_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        targets.main(["make", "photo.jpg", "--uot", "pose.json"])
    said = "python -m realtime.targets make: error: unknown words: --uot pose.json; give --out; see"
    assert caught.value.code == EXIT_BAD_INPUT and capsys.readouterr().err.startswith(said)


def test_a_source_is_not_overwritten(target: Path, refused: Command) -> None:
    assert "would overwrite" in refused("make", target, "--out", target)


@pytest.mark.parametrize("name", ["photo.jpg", "new.html", "new"])
@pytest.mark.parametrize("command", ["make", "edit"])
def test_a_target_is_only_written_into_a_file_that_is_read_as_one(
    target: Path, tmp_path: Path, refused: Command, command: str, name: str
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"a photo")
    said = refused(command, target, "--out", tmp_path / name, "--name", "Tree")
    assert f"--out {tmp_path / name} ends in" in said and ".json is allowed" in said
    assert (tmp_path / "photo.jpg").read_bytes() == b"a photo" and len(list(tmp_path.iterdir())) == 2


def test_a_target_that_is_protected_is_not_changed(
    monkeypatch: pytest.MonkeyPatch, target: Path, refused: Command
) -> None:
    before = target.read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert f"edit {target} cannot be written: that file is read-only" in refused("edit", target, "--name", "Tree")
    assert target.read_bytes() == before


def test_a_changed_target_keeps_its_mode(target: Path, done: Command) -> None:
    target.chmod(0o640)
    done("edit", target, "--name", "Tree")
    assert target.stat().st_mode & 0o777 == 0o640


class References(HTMLParser):
    """Everything that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.figures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.figures += tag == "svg"
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "data")]


def test_the_gallery_lists_targets_with_a_figure_each_and_says_what_is_none(
    tmp_path: Path, target: Path, done: Command
) -> None:
    (tmp_path / "b.json").write_text(json.dumps(target_json(name="<b>Tree & more</b>", match_mirrored=True)))
    (tmp_path / "broken.json").write_text("{")
    said = done("gallery", tmp_path, "--out", tmp_path / "gallery.html")
    assert len(re.findall(r"[⠁-⣿]", said)) > 20
    assert "Standing" in said and "pass mark 80, hold 4 s" in said and "without head" in said
    assert "broken.json" in said and "(no target)" in said and "ends too early" in said
    page = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    reader = References()
    reader.feed(page)
    assert (reader.figures, reader.loads) == (2, []) and "url(" not in page and "@import" not in page
    assert "&lt;b&gt;Tree &amp; more&lt;/b&gt;" in page and "<b>Tree" not in page


@pytest.mark.parametrize("name", ["pose.json", "broken.json"])
def test_the_gallery_replaces_none_of_the_files_that_it_lists(
    tmp_path: Path, target: Path, refused: Command, name: str
) -> None:
    (tmp_path / "broken.json").write_text("{")
    before = (tmp_path / name).read_bytes()
    assert "would overwrite" in refused("gallery", target.parent, "--out", tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


def test_the_gallery_replaces_no_file_of_another_kind(tmp_path: Path, target: Path, refused: Command) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"mine")
    assert f"--out {photo} ends in .jpg; .html, .htm are allowed" in refused("gallery", target, "--out", photo)
    assert photo.read_bytes() == b"mine"


def test_a_full_disk_leaves_the_old_gallery(tmp_path: Path, target: Path, refused: Command) -> None:
    page = tmp_path / "gallery.html"
    page.write_text("old")
    with files_of_at_most(500):
        assert "gallery.html could not be written" in refused("gallery", target, "--out", page)
    assert page.read_text() == "old"


def test_joints_that_do_not_count_are_pale_on_the_page_and_left_out_in_the_terminal(tmp_path: Path) -> None:
    whole, seated = standing_target(), standing_target(ignore=("right_knee", "right_ankle"))
    assert figure(seated).count('class="out"') == 2 and figure(whole).count('class="out"') == 0
    dots = [sum(letter not in "⠀\n" for letter in braille(one)) for one in (whole, seated)]
    assert dots[1] < dots[0]
    assert [len(line) for line in braille(whole).split("\n")] == [COLUMNS] * ROWS


def test_a_target_of_few_joints_has_a_figure(tmp_path: Path) -> None:
    document = target_json(ignore=[name for name in JOINTS if name not in ("neck", "head")])
    document["joints"] = {name: document["joints"][name] for name in ("neck", "head")}  # type: ignore[index]
    (tmp_path / "nod.json").write_text(json.dumps(document))
    (entry,) = find_targets([tmp_path])
    assert entry.target is not None and braille(entry.target).strip("⠀\n")


def test_a_gallery_has_no_option_that_chooses_a_person_and_names_the_command_that_has(
    tmp_path: Path, refused: Command
) -> None:
    (tmp_path / "pictures.json").write_text(json.dumps(two_pictures()))
    said = refused("gallery", tmp_path / "pictures.json")
    assert "choose one with python -m realtime.targets make --person 1 to 2." in said


@pytest.mark.parametrize("name", ["", "nowhere", "broken.json"])
def test_a_place_without_a_target_is_refused(tmp_path: Path, refused: Command, name: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    assert refused("gallery", tmp_path / name)
