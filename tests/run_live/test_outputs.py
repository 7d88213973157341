"""Outputs that cannot be written, or would replace a file that the run reads."""

import json
import shutil
from pathlib import Path

import cv2
import pytest

from tests.fixtures import bright_blob
from tests.run_live.program import HEIGHT, WIDTH, Fails


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--results", "none/out.jsonl", "cannot be written"),
        ("--results", "folder", "cannot be written"),
        ("--record", "none/out.mp4", "cannot be written"),
        ("--record", "out.txt", "ends in .txt"),
        ("--record", "clip.avi", "would overwrite"),
        ("--results", "pose.json", "would overwrite"),
    ],
)
def test_an_output_that_cannot_be_written_ends_with_2_and_nothing_is_touched(
    tmp_path: Path, target: Path, clip: Path, fails: Fails, option: str, name: str, said: str
) -> None:
    source = Path(shutil.copy(clip, tmp_path / "clip.avi"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "old.jsonl").write_text("old results\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    given = {"--results": tmp_path / "old.jsonl", option: tmp_path / name}
    outputs = [word for pair in given.items() for word in pair]
    assert said in fails(2, "--target", target, "--source", source, "--headless", *outputs)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("fake_engines")
def test_a_target_is_captured_into_a_json_file_alone(tmp_path: Path, clip: Path, fails: Fails) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"mine")
    assert ".json" in fails(2, "--capture-target", photo, "--source", clip, "--headless")
    assert photo.read_bytes() == b"mine"


@pytest.mark.usefixtures("fake_engines")
def test_a_target_is_made_from_a_picture_and_not_captured(tmp_path: Path, fails: Fails) -> None:
    photo, out = tmp_path / "my photo.png", tmp_path / "tree.json"
    photo.write_bytes(cv2.imencode(".png", bright_blob((HEIGHT, WIDTH), 120, 90, 30))[1].tobytes())
    said = fails(2, "--capture-target", out, "--source", photo, "--headless")
    assert f"came with the picture {photo}; " in said
    assert said.strip().endswith(f"run python -m realtime.targets make '{photo}' --out {out}.") and not out.exists()


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("name", ["photo.jpg", "other.json", "results"])
def test_results_are_written_into_a_jsonl_file_alone(
    tmp_path: Path, target: Path, clip: Path, fails: Fails, name: str
) -> None:
    (tmp_path / name).write_bytes(b"mine")
    said = fails(2, "--target", target, "--source", clip, "--headless", "--results", tmp_path / name)
    assert f"--results {tmp_path / name} ends in" in said and ".jsonl is allowed" in said
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.usefixtures("fake_engines")
def test_no_output_replaces_a_file_that_the_run_reads(tmp_path: Path, target: Path, clip: Path, fails: Fails) -> None:
    settings, picture, routine = tmp_path / "station.toml", tmp_path / "out.benchmark.png", tmp_path / "routine.json"
    settings.write_text("mirror = true\n")
    picture.write_bytes(cv2.imencode(".png", bright_blob((HEIGHT, WIDTH), 120, 90, 30))[1].tobytes())
    poses = [{"target": target.name}]
    routine.write_text(json.dumps({"format": "posemirror-routine", "version": 1, "name": "one", "poses": poses}))
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    of_target, of_clip = ("--target", target), ("--source", clip)
    refused: list[tuple[object, ...]] = [
        (*of_target, *of_clip, "--settings", settings, "--results", settings),
        ("--target", picture, *of_clip, "--benchmark", 5, "--results", tmp_path / "out.jsonl"),
        (*of_target, "--source", tmp_path / "*.png", "--results", picture),
        ("--routine", routine, *of_clip, "--results", target),
    ]
    for words in refused:
        assert "would overwrite a file of the same run" in fails(2, *words, "--headless")
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("fake_engines")
def test_one_file_cannot_be_recording_and_results(tmp_path: Path, target: Path, clip: Path, fails: Fails) -> None:
    out = tmp_path / "out.mp4"
    assert "would overwrite" in fails(
        2, "--target", target, "--source", clip, "--headless", "--record", out, "--results", out
    )  # fmt: skip


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_ends_with_2(target: Path, clip: Path, fails: Fails) -> None:
    assert "No space left" in fails(2, "--target", target, "--source", clip, "--headless", "--results", "/dev/full")
