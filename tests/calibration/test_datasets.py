"""Every reader on a tiny file of its format, and on each way in which such a file can be wrong."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.datasets.action_quality import read_aqa7, read_finediving, read_mtl_aqa
from calibration.datasets.clip_poses import join_clips
from calibration.datasets.coco import read_coco
from calibration.datasets.mpii import MPII_JOINTS, read_mpii_csv, read_mpii_json
from calibration.datasets.outcomes import read_ski_jumps, read_speed21
from calibration.datasets.penn import PENN_JOINTS, read_penn
from calibration.datasets.pickles import read_plain_pickle
from engines.errors import BadInputError
from engines.skeleton import JOINT_INDEX
from tests.calibration.annotations import numbers, penn_arrays, write_mpii_csv

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here: annotations are not in the repo")


def test_mpii_csv_gives_15_joints_and_knows_the_unseen_one(tmp_path: Path) -> None:
    poses = read_mpii_csv(write_mpii_csv(tmp_path / "mpii.csv"))
    assert poses.xy.shape == (3, 15, 2)
    assert poses.visible.sum(1).tolist() == [15, 14, 15]
    assert poses.labels == ("golf",)
    assert len(poses.complete()) == 2
    first = dict(zip(MPII_JOINTS, np.arange(32.0).reshape(16, 2), strict=True))
    assert poses.xy[0, JOINT_INDEX["neck"]].tolist() == first["thorax"].tolist()
    head = (first["upper neck"] + first["head top"]) / 2
    assert poses.xy[0, JOINT_INDEX["head"]].tolist() == head.tolist()


def test_mpii_csv_without_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"mpii\.csv: no column 'l knee_X'"):
        read_mpii_csv(write_mpii_csv(tmp_path / "mpii.csv", missing="l knee_X"))


def test_mpii_csv_with_a_word_for_a_number_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"mpii\.csv: data row 3"):
        read_mpii_csv(write_mpii_csv(tmp_path / "mpii.csv", text="far"))


def test_mpii_csv_with_an_infinite_coordinate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not finite"):
        read_mpii_csv(write_mpii_csv(tmp_path / "mpii.csv", text="inf"))


def test_mpii_json_gives_15_joints(tmp_path: Path) -> None:
    person = {"joints": numbers(16, 2).tolist(), "joints_vis": [1] * 15 + [0], "image": "a.jpg"}
    (tmp_path / "valid.json").write_text(json.dumps([person]))
    poses = read_mpii_json(tmp_path / "valid.json")
    assert poses.xy.shape == (1, 15, 2)
    assert not poses.visible[0, JOINT_INDEX["left_wrist"]]
    assert poses.visible.sum() == 14


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("{", "not JSON"),
        ("{}", "a dict, or empty"),
        ("[]", "a list, or empty"),
        ('[{"joints": [], "joints_vis": [], "image": ""}]', "person 0"),
        ('[{"joints_vis": [], "image": ""}]', "person 0: KeyError"),
    ],
)
def test_mpii_json_that_is_malformed_is_refused(tmp_path: Path, content: str, seen: str) -> None:
    (tmp_path / "valid.json").write_text(content)
    with pytest.raises(BadInputError, match=f"valid.json: .*{seen}"):
        read_mpii_json(tmp_path / "valid.json")


def test_penn_gives_15_joints_actions_and_phases(tmp_path: Path) -> None:
    np.savez(tmp_path / "penn.npz", **penn_arrays())
    poses = read_penn(tmp_path / "penn.npz")
    hips = [PENN_JOINTS.index("left_hip"), PENN_JOINTS.index("right_hip")]
    assert np.allclose(poses.xy[:, JOINT_INDEX["pelvis"]], numbers(5, 13, 2)[:, hips].mean(1))
    assert poses.label.tolist() == [1, 1, 1, 0, 0]
    assert poses.group.tolist() == [0, 0, 0, 1, 1]
    assert poses.phase.tolist() == [0.0, 0.5, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("xy", numbers(5, 12, 2), "xy of shape"),
        ("visible", np.ones((4, 13), bool), "visible of"),
        ("xy", np.full((5, 13, 2), np.nan, np.float32), "not finite"),
        ("offsets", np.array([0, 3, 6]), "3 offsets"),
        ("offsets", np.array([0, 5]), "2 offsets"),
        ("offsets", np.array([0.0, 3.0, 5.0]), "offsets of shape"),
        ("action", np.array([2, 0]), "an action outside 0..1"),
        ("actions", None, "no array named actions"),
    ],
)
def test_penn_that_is_malformed_is_refused(tmp_path: Path, name: str, value: Any, seen: str) -> None:
    arrays = penn_arrays() | {name: value}
    np.savez(tmp_path / "penn.npz", **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(BadInputError, match=rf"penn\.npz: .*{seen}"):
        read_penn(tmp_path / "penn.npz")


def test_an_archive_of_pickled_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "penn.npz", **(penn_arrays() | {"actions": np.array([{"a": 1}], object)}))
    with pytest.raises(BadInputError, match=r"penn\.npz: not a readable \.npz"):
        read_penn(tmp_path / "penn.npz")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"Penn Action: no file at .*nowhere"):
        read_penn(tmp_path / "nowhere.npz")


def coco_file(path: Path, annotations: Any) -> Path:
    path.write_text(json.dumps({"annotations": annotations}))
    return path


def test_coco_gives_people_with_a_labelled_keypoint(tmp_path: Path) -> None:
    points = numbers(17, 3)
    points[:, 2] = 2
    seen = {"keypoints": points.ravel().tolist(), "image_id": 7}
    unseen = {"keypoints": [0] * 51, "image_id": 8}
    poses = read_coco(coco_file(tmp_path / "coco.json", [seen, unseen]))
    assert len(poses) == 1
    assert poses.visible.all()


@pytest.mark.parametrize(
    ("annotations", "seen"),
    [
        ("none", "no list named annotations"),
        ([{"keypoints": [1, 2], "image_id": 1}], "annotation 0"),
        ([{"keypoints": [1] * 51}], "annotation 0: KeyError"),
        ([{"keypoints": [float("nan")] * 51, "image_id": 1}], "not finite"),
        ([], "no person"),
    ],
)
def test_coco_that_is_malformed_is_refused(tmp_path: Path, annotations: Any, seen: str) -> None:
    with pytest.raises(BadInputError, match=rf"coco\.json: .*{seen}"):
        read_coco(coco_file(tmp_path / "coco.json", annotations))


def speed_arrays() -> dict[str, Any]:
    return {
        "xy": numbers(40, 16, 2), "offsets": np.array([0, 20, 40]), "time_seconds": np.array([6.0, 5.0]),
        "climber": np.array(["b", "a"]),
    }  # fmt: skip


def test_speed21_resamples_runs_and_counts_a_shorter_time_as_better(tmp_path: Path) -> None:
    np.savez(tmp_path / "speed.npz", **speed_arrays())
    runs = read_speed21(tmp_path / "speed.npz")
    assert runs.xy.shape == (2, 16, 15, 2)
    assert runs.outcome.tolist() == [-6.0, -5.0]
    assert runs.performer.tolist() == [1, 0]
    assert len(runs.pose_set()) == 32


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("xy", numbers(40, 15, 2), "xy of shape"),
        ("climber", np.array(["a"]), "climber of"),
        ("time_seconds", np.array([6.0, 0.0]), "not above zero"),
        ("offsets", np.array([0, 20, 39]), "3 offsets"),
        ("xy", np.zeros((40, 16, 2), np.float32), "no run with 16 whole frames"),
    ],
)
def test_speed21_that_is_malformed_is_refused(tmp_path: Path, name: str, value: Any, seen: str) -> None:
    np.savez(tmp_path / "speed.npz", **(speed_arrays() | {name: value}))
    with pytest.raises(BadInputError, match=rf"speed\.npz: .*{seen}"):
        read_speed21(tmp_path / "speed.npz")


@pytest.mark.parametrize(
    ("xy", "marks", "seen"),
    [
        (numbers(3, 16, 14, 2), np.ones(3), "xy of shape"),
        (numbers(3, 16, 15, 2), np.ones(2), "style_marks of"),
        (numbers(3, 16, 15, 2), np.array([1.0, np.nan, 2.0]), "not finite"),
    ],
)
def test_ski_jumps_that_are_malformed_are_refused(tmp_path: Path, xy: Any, marks: Any, seen: str) -> None:
    np.savez(tmp_path / "ski.npz", xy=xy, style_marks=marks)
    with pytest.raises(BadInputError, match=rf"ski\.npz: .*{seen}"):
        read_ski_jumps(tmp_path / "ski.npz")


def write_dives(folder: Path, **changes: Any) -> Path:
    dive = {
        "action_type": "107b", "start_frame": 1, "end_frame": 90, "dive_score": np.float64(70.5), "difficulty": 3.0,
        "judge_scores": [7.0, 8.0],
    }  # fmt: skip
    changed = {key: value for key, value in (dive | changes).items() if value is not None}
    annotations = {("final", 1): dive, ("final", 2): changed}
    (folder / "FineDiving_coarse_annotation.pkl").write_bytes(pickle.dumps(annotations))
    (folder / "train_split.pkl").write_bytes(pickle.dumps([("final", 1)]))
    (folder / "test_split.pkl").write_bytes(pickle.dumps([("final", 2)]))
    return folder


def test_finediving_gives_clips_with_the_official_split(tmp_path: Path) -> None:
    clips = read_finediving(write_dives(tmp_path)).clips
    assert [clip.name for clip in clips] == ["final/1", "final/2"]
    assert [clip.test for clip in clips] == [False, True]
    assert clips[0].score == 70.5
    assert clips[0].judges == (7.0, 8.0)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"dive_score": None}, "KeyError 'dive_score'"),
        ({"dive_score": "high"}, "ValueError"),
        ({"dive_score": float("nan")}, "score nan"),
        ({"difficulty": 0}, "difficulty 0"),
    ],
)
def test_finediving_with_a_malformed_dive_is_refused_by_its_key(
    tmp_path: Path, changes: dict[str, Any], seen: str
) -> None:
    with pytest.raises(BadInputError, match=rf"FineDiving_coarse_annotation\.pkl: \('final', 2\): .*{seen}"):
        read_finediving(write_dives(tmp_path, **changes))


def test_a_split_that_names_an_unknown_dive_is_refused(tmp_path: Path) -> None:
    folder = write_dives(tmp_path)
    (folder / "test_split.pkl").write_bytes(pickle.dumps([("final", 3)]))
    with pytest.raises(BadInputError, match=r"test_split\.pkl: \('final', 3\) is not annotated"):
        read_finediving(folder)


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return print, ("code ran",)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(BadInputError, match=r"bad\.pkl: not readable as plain values .*builtins\.print"):
        read_plain_pickle(tmp_path / "bad.pkl", "annotations")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"a": 1})[:-3]])
def test_a_file_that_is_no_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pkl").write_bytes(content)
    with pytest.raises(BadInputError, match=r"bad\.pkl: not readable"):
        read_plain_pickle(tmp_path / "bad.pkl", "annotations")


def write_aqa7(folder: Path, rows: Any, key: str = "consolidated_test_list") -> Path:
    savemat = pytest.importorskip("scipy.io").savemat
    (folder / "Split_4").mkdir()
    train = np.array([[1, 1, 60.0], [2, 5, 80.0]])
    savemat(folder / "Split_4" / "split_4_train_list.mat", {"consolidated_train_list": train})
    savemat(folder / "Split_4" / "split_4_test_list.mat", {key: rows})
    return folder


def test_aqa7_gives_clips_named_as_their_files(tmp_path: Path) -> None:
    clips = read_aqa7(write_aqa7(tmp_path, np.array([[6, 12, 75.5]]))).clips
    assert [clip.name for clip in clips] == ["diving-out/001", "gym_vault-out/005", "sync_diving_10m-out/012"]
    assert [clip.test for clip in clips] == [False, False, True]


@pytest.mark.parametrize(
    ("rows", "key", "seen"),
    [
        (np.array([[6, 12]]), "consolidated_test_list", "a table of shape"),
        (np.array([[8, 12, 70.0]]), "consolidated_test_list", "a class outside"),
        (np.array([[1, 12, np.nan]]), "consolidated_test_list", "a table of shape"),
        (np.array([[1, 12, 70.0]]), "other_list", "not readable"),
    ],
)
def test_aqa7_that_is_malformed_is_refused(tmp_path: Path, rows: Any, key: str, seen: str) -> None:
    with pytest.raises(BadInputError, match=rf"split_4_test_list\.mat: {seen}"):
        read_aqa7(write_aqa7(tmp_path, rows, key))


def test_clips_are_joined_with_their_poses_and_the_rest_left_out(tmp_path: Path) -> None:
    clips = read_finediving(write_dives(tmp_path))
    joints = np.concatenate([numbers(30, 15, 2), np.ones((30, 15, 1), np.float32)], 2)
    (tmp_path / "poses" / "final").mkdir(parents=True)
    np.savez(tmp_path / "poses" / "final" / "2.npz", joints=joints)
    data, kept = join_clips(clips, tmp_path / "poses")
    assert [clip.name for clip in kept] == ["final/2"]
    assert data.xy.shape == (1, 16, 15, 2)


def test_clips_without_any_poses_are_refused_with_the_name_wanted(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"no poses of finediving.*final/1\.npz"):
        join_clips(read_finediving(write_dives(tmp_path)), tmp_path / "poses")


@needs_data
def test_the_real_annotations_have_the_published_sizes() -> None:
    assert len(read_mpii_csv(DATA / "mpii_human_pose.csv").complete()) == 11232
    assert len(read_mpii_json(DATA / "valid.json")) == 2958
    assert len(read_penn(DATA / "penn_action_train.npz")) == 87543
    assert len(read_speed21(DATA / "speed21.npz").xy) == 362
    assert len(read_ski_jumps(DATA / "skijump.npz").xy) == 31
    dives = read_finediving(DATA / "finediving").clips
    assert (len(dives), sum(dive.test for dive in dives)) == (3000, 749)
    dives = read_mtl_aqa(DATA / "mtl_aqa").clips
    assert (len(dives), sum(dive.test for dive in dives)) == (1412, 353)
