"""Targets and sources that cannot be used: one sentence and an exit code, and no password in it."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime import demo
from realtime.frames import Picture
from realtime.sources import LiveSource
from tests.realtime.fakes import FRAME_SIZE, FakeChain, rows_of, standing_joints, target_json, without_rights
from tests.run_live.program import FPS, HEIGHT, WIDTH, Fails


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in target_json().items() if name != key}


def joints(**changes: object) -> dict[str, object]:
    points = dict(zip(target_json()["joints"], standing_joints().tolist(), strict=True))  # type: ignore[call-overload]
    return target_json(joints={name: point for name, point in {**points, **changes}.items() if point is not None})


BAD_TARGETS: dict[str, tuple[object, str]] = {
    "truncated": (json.dumps(target_json())[:300], "ends too early"),
    "empty": (b"", "is empty"),
    "not JSON": (b"name: Tree", "is not JSON"),
    "not text": (bytes(range(128, 256)), "is not UTF-8"),
    "a joint too few": (joints(left_wrist=None), "lacks left_wrist"),
    "a joint too many": (joints(tail=[1, 2, 0.9]), "is no joint"),
    "a point of two numbers": (joints(head=[1, 2]), "a list of 2"),
    "NaN": (json.dumps(joints(head=[float("nan"), 2, 0.9])), "NaN"),
    "infinity": (json.dumps(joints(head=[float("inf"), 2, 0.9])), "Infinity"),
    "outside the image": (joints(head=[WIDTH + 0.5, 2, 0.9]), "head x is 320.5"),
    "above the image": (joints(head=[5, -1, 0.9]), "head y is -1"),
    "another version": (target_json(version=2), "version is 2"),
    "another format": (target_json(format="posemirror-routine"), "format"),
    "no version": (without("version"), "version is null"),
    "a list": ([], "holds a list of 0"),
    "a number": (7, "holds 7"),
    "unsure": (joints(head=[5, 5, 0.2]), "lacks head"),
}


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("case", BAD_TARGETS)
def test_a_bad_target_file_ends_with_2_and_one_sentence(tmp_path: Path, clip: Path, fails: Fails, case: str) -> None:
    content, said = BAD_TARGETS[case]
    path = tmp_path / "pose.json"
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    sentence = fails(2, "--target", path, "--source", clip, "--headless")
    assert said in sentence and "pose.json" in sentence


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.json", "No such file"),
        ("none/pose.json", "No such file"),
        ("folder.json", "Is a directory"),
        ("none.png", "No such file"),
        ("folder.png", "Is a directory"),
        ("x" * 300 + ".json", "File name too long"),
        ("text.png", "holds no picture"),
        ("empty.jpg", "is empty"),
    ],
)
def test_a_target_that_cannot_be_read_ends_with_2(
    tmp_path: Path, clip: Path, fails: Fails, name: str, said: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    assert said in fails(2, "--target", tmp_path / name, "--source", clip, "--headless")


def test_a_picture_without_a_person_ends_with_2(
    tmp_path: Path, clip: Path, fails: Fails, fake_engines: FakeChain
) -> None:
    fake_engines.confidence = 0.1
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert "shows no person" in fails(2, "--target", tmp_path / "empty.png", "--source", clip, "--headless")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("option", ["--target", "--source", "--results", "--record", "--engines"])
def test_a_folder_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, target: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Everything else is all right, and in reach."""
    closed = tmp_path / "closed"
    closed.mkdir()
    shutil.copy(target, closed / "pose.json")
    name = {"--record": "out.mp4", "--results": "out.jsonl"}.get(option, "pose.json")
    arguments = {"--target": demo.TARGET, "--source": demo.CLIP, "--engines": "quickstart", option: closed / name}
    code = {"--source": 3, "--engines": 4}.get(option, 2)
    if option == "--engines":
        monkeypatch.undo()
    with without_rights(closed):
        fails(code, *(word for pair in arguments.items() for word in pair), "--headless", "--max-frames", 1)


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.mp4", "does not exist"),
        ("text.mp4", "holds no video"),
        ("empty.mp4", "holds no video"),
        ("truncated.mp4", "holds no video"),
        ("folder", "is a folder"),
        ("text.png", "holds no picture"),
        ("*.gif", "matches no picture"),
    ],
)
def test_a_source_that_is_none_ends_with_3(tmp_path: Path, target: Path, fails: Fails, name: str, said: str) -> None:
    for text in ("text.mp4", "text.png"):
        (tmp_path / text).write_text("this is no picture and no video" * 50)
    (tmp_path / "empty.mp4").touch()
    video = cv2.VideoWriter(str(tmp_path / "whole.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, FRAME_SIZE)
    for grey in range(20):
        video.write(np.full((HEIGHT, WIDTH, 3), grey, np.uint8))
    video.release()
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder").mkdir()
    assert said in fails(3, "--target", target, "--source", tmp_path / name, "--headless")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("empty", ["", "  "])
def test_a_source_without_a_name_is_told_of_as_such(target: Path, fails: Fails, empty: str) -> None:
    said = fails(3, "--target", target, "--source", empty, "--headless")
    assert "--source is empty; a camera number, a video" in said and said.endswith("give --source 0.\n")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("index", ["97", "99999999999999999999"])
def test_a_camera_that_is_not_there_ends_with_3(target: Path, fails: Fails, index: str) -> None:
    assert f"camera {index} cannot be opened" in fails(3, "--target", target, "--source", index, "--headless")


@pytest.mark.usefixtures("fake_engines")
def test_a_stream_that_is_not_there_ends_with_3_and_no_password(target: Path, fails: Fails) -> None:
    said = fails(3, "--target", target, "--source", "http://anna:s3cret@127.0.0.1:9/live?key=abc", "--headless")
    assert "http://127.0.0.1:9/live" in said
    assert not [word for word in ("anna", "s3cret", "abc") if word in said]


@pytest.mark.usefixtures("fake_engines")
def test_a_camera_that_is_lost_for_too_long_ends_with_3_and_whole_files(
    tmp_path: Path, target: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying:
        frames = 5

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def grab(self) -> bool:
            Dying.frames -= 1
            return Dying.frames >= 0

        def retrieve(self) -> tuple[bool, Picture]:
            return True, np.zeros((HEIGHT, WIDTH, 3), np.uint8)

        def getBackendName(self) -> str:  # noqa: N802
            return "FAKE"

        def get(self, prop: int) -> float:
            return {cv2.CAP_PROP_FRAME_WIDTH: WIDTH, cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT}.get(prop, FPS)

        def set(self, *_: float) -> bool:
            return True

        def release(self) -> None: ...

    monkeypatch.setattr(LiveSource, "_open", lambda self: Dying())
    results = tmp_path / "out.jsonl"
    said = fails(
        3, "--target", target, "--source", "0", "--headless", "--results", results, "--reconnect-seconds", 0
    )  # fmt: skip
    assert "camera 0 gave no frame for 0 s" in said
    *_, summary = rows_of(results)
    assert summary["captured"] == 5 == summary["shown"] + summary["dropped"]  # type: ignore[operator]
