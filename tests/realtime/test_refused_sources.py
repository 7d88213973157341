"""What is no source, and the one sentence that each refusal is."""

import glob
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.realtime.fakes import without_rights
from tests.realtime.opened_sources import HEIGHT, WIDTH, refused, written_picture, written_video


def truncated(whole: Path) -> bytes:
    data = whole.read_bytes()
    return data[: len(data) // 2]


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "picture"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ""])
def test_a_file_that_holds_no_video_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    contents = {
        "text": b"this is no video\n" * 100,
        "empty": b"",
        "truncated": truncated(written_video(tmp_path / "whole.mp4")),
        "picture": written_picture(tmp_path / "one.tiff").read_bytes()[:300],
    }
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(contents[kind])
    assert "holds no video that can be decoded" in refused(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("kind", ["text", "empty", "truncated"])
def test_a_file_that_holds_no_picture_is_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    contents = {"text": b"no picture", "empty": b"", "truncated": data[: len(data) // 2]}
    path = tmp_path / f"one{suffix}"
    path.write_bytes(contents[kind])
    said = refused(path)
    assert ("is empty" if kind == "empty" else "holds no picture that can be decoded") in said
    assert said.endswith("give another one.") and ("check that it opens" in said) == (kind != "empty")


def test_an_empty_picture_among_others_is_left_out_of_the_pattern(tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    said = refused(tmp_path / "*.png")
    assert "1.png is empty; " in said and said.endswith("; leave it out of the pattern.")


def test_a_picture_that_claims_an_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.bmp"
    header = [(54, 4), (0, 4), (54, 4), (40, 4), (70_000, 4), (70_000, 4), (1, 2), (24, 2)]
    path.write_bytes(b"BM" + b"".join(value.to_bytes(size, "little") for value, size in header) + bytes(24 + 100))
    assert "holds no picture that can be decoded" in refused(path)


def test_a_folder_is_refused_with_the_pattern_to_give_instead(tmp_path: Path) -> None:
    said = refused(tmp_path)
    assert "is a folder" in said and f"'{tmp_path / '*.jpg'}'" in said


@pytest.mark.parametrize("name", ["Tom's", "trip [1]"])
def test_the_pattern_for_a_folder_can_be_pasted_and_matches_its_pictures(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "one.jpg").touch()
    (pattern,) = shlex.split(refused(folder).partition("give --source ")[2].removesuffix("."))
    assert glob.glob(pattern) == [str(folder / "one.jpg")]  # noqa: PTH207 (as run_live.py reads it)


def test_a_pattern_that_matches_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.txt").touch()
    assert "matches no picture" in refused(tmp_path / "*.jpg")
    assert "matches no picture" in refused(tmp_path / "*")


@pytest.mark.parametrize(
    "name", ["nothing.mp4", "nothing.png", "none/nothing.mp4", "x" * 300 + ".mp4", "\udcff.mp4", "-1", "1.5", ""]
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    refused(name)


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[Path]:
    """A folder that the test may not look into, with a video and a picture."""
    folder = tmp_path / "forbidden"
    folder.mkdir()
    written_video(folder / "clip.mp4")
    written_picture(folder / "one.png")
    with without_rights(folder):
        yield folder


@pytest.mark.parametrize("name", ["clip.mp4", "one.png", "nothing.mp4", "*.png"])
def test_a_path_through_a_folder_that_cannot_be_read_is_refused(forbidden: Path, name: str) -> None:
    assert "cannot be read (Permission denied)" in refused(forbidden / name)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written_video(tmp_path / "clip.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"chmod u+r {path}" in refused(path)
    path = written_video(tmp_path / "my clip.mp4")
    assert f"--source {path} cannot be read" in refused(path) and f"chmod u+r '{path}'" in refused(path)


@pytest.mark.parametrize("number", ["97", "123456789", "9" * 30])
def test_a_camera_that_is_not_there_is_refused(number: str) -> None:
    said = refused(number)
    assert f"camera {number}" in said and "this machine shows" in said
