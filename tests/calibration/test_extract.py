"""Poses from judged videos: where frames are, what is done again, what is said of bad files; the paper's table."""

import pickle
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from calibration import evaluate, extract
from calibration.clip_footage import clip_sources, find_footage
from calibration.datasets.action_quality import Clip
from calibration.datasets.clip_poses import read_clip_poses
from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, EXIT_OK, BadInputError, SourceError
from engines.skeleton import JOINT_INDEX
from tests.calibration.painted import PaintedChain, write_frames
from tests.fixtures import bright_blob, the_sentence, tiny_graphs, write_engines
from tests.realtime.fakes import written_clip

WRIST = JOINT_INDEX["left_wrist"]
FRAMES = 16


def dive(score: float, first: int = 0, last: int = FRAMES - 1, action: str = "107b") -> dict[str, object]:
    return {
        "action_type": action, "start_frame": first, "end_frame": last, "dive_score": score, "difficulty": 3.0,
        "judge_scores": [7.0],
    }  # fmt: skip


def write_annotations(folder: Path, dives: dict[tuple[str, int], dict[str, object]], test: int = 1) -> Path:
    """FineDiving's three files; the last `test` dives of each are the official test set."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = list(dives)
    content = {
        "FineDiving_coarse_annotation": dives, "train_split": keys[:-test], "test_split": keys[-test:]
    }  # fmt: skip
    for name, value in content.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    return folder


@pytest.fixture
def dives(tmp_path: Path) -> Path:
    """Three dives in FineDiving's layout, each a folder of frames in which an arm is raised."""
    folder = write_annotations(tmp_path / "finediving", {("final", n): dive(60.0 + n) for n in (1, 2, 3)})
    for number in (1, 2, 3):
        write_frames(folder / "videos" / "final" / str(number), np.linspace(0, 30 * number, FRAMES), first=500)
    return folder


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> PaintedChain:
    chain = PaintedChain()
    monkeypatch.setattr(extract, "read_chain", lambda *_: chain.info)
    monkeypatch.setattr(extract, "open_chain", lambda *_, **__: (chain, "painted engines"))
    return chain


def test_every_dive_gets_a_pose_for_each_frame(dives: Path, engines: PaintedChain) -> None:
    assert extract.main(["finediving", str(dives)]) == EXIT_OK
    joints = np.load(dives / "poses" / "final" / "3.npz")["joints"]
    assert joints.shape == (FRAMES, 15, 3)
    assert joints.dtype == np.float32
    assert (joints[..., 2] > 0.3).all()
    height = joints[:, WRIST, 1]
    assert height[0] - height[-1] > 20, "the arm goes up"
    assert read_clip_poses(dives / "poses" / "final" / "3.npz", 16) is not None


def test_poses_that_cannot_be_read_are_made_again_and_not_downloaded(tmp_path: Path) -> None:
    path = tmp_path / "3.npz"
    np.savez(path, joints=np.zeros((9, 17, 3), np.float32))
    for _ in range(2):
        with pytest.raises(BadInputError, match=r"make it again with python -m calibration\.extract"):
            read_clip_poses(path, 16)
        path.write_bytes(b"cut")


def test_what_is_done_is_not_done_again(dives: Path, engines: PaintedChain) -> None:
    extract.main(["finediving", str(dives)])
    before = len(engines.calls)
    (dives / "poses" / "final" / "2.npz").unlink()
    assert extract.main(["finediving", str(dives)]) == EXIT_OK
    assert engines.calls[before:].count("pose") == FRAMES
    assert (dives / "poses" / "final" / "2.npz").is_file()


def test_a_bad_picture_is_named_and_the_other_dives_are_done(
    dives: Path, engines: PaintedChain, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = dives / "videos" / "final" / "1" / "00507.png"
    bad.write_bytes(b"no picture")
    assert extract.main(["finediving", str(dives)]) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert "final/1" in the_sentence(said.err)
    assert "00507.png holds no picture" in said.out
    assert sorted(path.name for path in (dives / "poses" / "final").iterdir()) == ["2.npz", "3.npz"]


def test_poses_of_other_engines_are_not_mixed_in(
    dives: Path, engines: PaintedChain, capsys: pytest.CaptureFixture[str]
) -> None:
    (dives / "poses").mkdir()
    (dives / "poses" / "extract.json").write_text('{"engines": {"detect": "a", "pose": "b"}}')
    assert extract.main(["finediving", str(dives)]) == EXIT_BAD_INPUT
    assert "begun with other engines" in the_sentence(capsys.readouterr().err)


def test_a_folder_without_any_of_the_videos_is_refused(
    dives: Path, tmp_path: Path, engines: PaintedChain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract.main(["finediving", str(dives), "--videos", str(tmp_path)]) == EXIT_BAD_INPUT
    assert "such as final/1" in the_sentence(capsys.readouterr().err)


def test_without_engines_it_exits_4(dives: Path, tmp_path: Path) -> None:
    assert extract.main(["finediving", str(dives), "--engines", str(tmp_path / "none")]) == EXIT_ENGINE


def grey_video(path: Path, count: int) -> Path:
    """A video whose frame n is of grey 10 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return written_clip(path, (np.full((48, 64, 3), 10 * number, np.uint8) for number in range(count)), 25)


def clip(name: str, first: int | None = None, last: int | None = None) -> Clip:
    return Clip(name, "107b", 60.0, 1.0, first, last, (), False)


def frames_of(*clips: Clip, videos: Path) -> list[tuple[str, list[int]]]:
    """For each clip the numbers of its frames, as `grey_video` painted them."""
    footage = [place for place in (find_footage(one, videos) for one in clips) if place is not None]
    result = []
    for place, source in clip_sources(footage):
        numbers = []
        while (capture := source.read(Event())) is not None:
            numbers.append(round(float(capture.image.mean()) / 10))
        result.append((place.name, numbers))
    return result


def test_a_clip_may_be_a_video_of_its_own(tmp_path: Path) -> None:
    grey_video(tmp_path / "diving-out" / "007.avi", 5)
    assert frames_of(clip("diving-out/007"), videos=tmp_path) == [("diving-out/007", [0, 1, 2, 3, 4])]


def test_clips_of_one_video_are_its_annotated_frames_even_where_they_overlap(tmp_path: Path) -> None:
    grey_video(tmp_path / "02.avi", 20)
    clips = [clip("2/9", 12, 14), clip("2/1", 3, 5), clip("2/5", 13, 15)]
    assert frames_of(*clips, videos=tmp_path) == [("2/1", [3, 4, 5]), ("2/9", [12, 13, 14]), ("2/5", [13, 14, 15])]


def test_a_video_that_ends_before_the_clip_is_refused(tmp_path: Path) -> None:
    grey_video(tmp_path / "02.avi", 10)
    with pytest.raises(SourceError, match=r"02\.avi ends 3 frames before the clip does"):
        frames_of(clip("2/1", 8, 12), videos=tmp_path)


def test_a_clip_may_be_numbered_pictures_of_a_whole_videos_folder(tmp_path: Path) -> None:
    folder = tmp_path / "02"
    folder.mkdir()
    for number in range(9, 13):
        cv2.imwrite(str(folder / f"frame{number}.png"), np.full((48, 64, 3), 10 * number, np.uint8))
    assert frames_of(clip("2/1", 10, 12), videos=tmp_path) == [("2/1", [10, 11, 12])]
    with pytest.raises(SourceError, match="lacks 1 of the pictures 11 to 13"):
        frames_of(clip("2/1", 11, 13), videos=tmp_path)


def test_clips_without_a_video_have_no_footage(tmp_path: Path) -> None:
    (tmp_path / "diving-out" / "1").mkdir(parents=True)
    assert find_footage(clip("diving-out/1"), tmp_path) is None


def test_real_engines_run_over_a_video_and_an_empty_one_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size, image = (180, 320), (96, 160)
    write_engines(tmp_path / "engines", tiny_graphs(size, image, 1), size, image, 1)
    folder = write_annotations(tmp_path / "dives", {("a", 1): dive(60), ("a", 2): dive(70), ("b", 3): dive(80)})
    blobs = [bright_blob(size, 150 + number, 90, 30) for number in range(6)]
    (folder / "videos" / "a").mkdir(parents=True)
    written_clip(folder / "videos" / "a" / "1.avi", blobs, 25)
    written_clip(folder / "videos" / "a" / "2.avi", [np.zeros_like(blobs[0])] * 4, 25)
    line = ["finediving", str(folder), "--engines", str(tmp_path / "engines"), "--backend", "onnx"]
    assert extract.main(line) == EXIT_OK
    assert np.load(folder / "poses" / "a" / "1.npz")["joints"].shape == (6, 15, 3)
    said = capsys.readouterr().out
    assert "a/2: nobody was seen" in said
    assert "1 have no video" in said


def test_the_papers_tables_are_made_from_videos(
    tmp_path: Path, engines: PaintedChain, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    scores = {("final", number): float(score) for number, score in enumerate(generator.permutation(16) * 3.0 + 50)}
    folder = write_annotations(
        tmp_path / "data" / "finediving", {key: dive(score) for key, score in scores.items()}, test=6
    )
    for (video, number), score in scores.items():
        fault = (100 - score) * (-1) ** number  # the better, the nearer the arm comes to 90 degrees, from either side
        raised = np.linspace(0, 90 + fault, FRAMES)
        write_frames(folder / "videos" / video / str(number), raised)
    assert extract.main(["finediving", str(folder)]) == EXIT_OK
    capsys.readouterr()
    assert evaluate.main(["--paper", str(tmp_path / "data"), "--seeds", "1", "--steps", "20"]) == EXIT_OK
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in capsys.readouterr().out.splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 3}
    assert table["CoRe (I3D)"] == ["0.903", "quoted by the paper"]
    assert table["GCN-PSN"] == ["0.915", "as printed in the paper"]
    assert float(table["graded, as shipped"][0]) > 0.7, "the arm tells good from bad"
    assert table["paper (GCN-PSN), paper's rule"][1] == table["mlp (no GCN), paper's rule"][1] == "measured here"
