"""The command lines, from their arguments to the files they write, on made-up data."""

import dataclasses
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import SubFigure
from safetensors import safe_open

from calibration import compare, embed, evaluate, score_width, train
from calibration.curves import FIGURE_ENDINGS
from calibration.pose_files import read_pose
from calibration.recipes import embed_all
from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, EXIT_OK, BadInputError
from engines.networks.encoders import BlendedEncoder, PaperEncoder, load_encoder
from engines.skeleton import JOINT_INDEX, JOINTS, mirror_joints
from realtime.executor import Chain
from realtime.pose import Target, write_target
from tests.faults.disks import files_of_at_most
from tests.fixtures import the_sentence
from tests.realtime.fakes import FakeChain, standing_joints


def person(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    xy = np.random.default_rng(seed).uniform(50, 400, (15, 2))
    return np.concatenate([xy, np.ones((15, 1))], 1).astype(np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with tiny annotation files of the real formats: two actions of six sequences, climbs and jumps."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    means = generator.uniform(50, 400, (2, 13, 2))
    action = np.arange(12) % 2
    xy = means[np.repeat(action, 6)] + generator.normal(0, 10, (72, 13, 2))
    np.savez(
        folder / "penn_action_train.npz", xy=xy.astype(np.float32), visible=np.ones((72, 13), bool),
        offsets=np.arange(13) * 6, action=action, actions=np.array(["bowl", "golf"]),
    )  # fmt: skip
    climbs = generator.uniform(50, 400, (6 * 16, 16, 2)).astype(np.float32)
    np.savez(
        folder / "speed21.npz", xy=climbs, offsets=np.arange(7) * 16, time_seconds=np.arange(6) + 5.0,
        climber=np.array(list("aabbcd")),
    )  # fmt: skip
    jumps = generator.uniform(50, 400, (6, 16, 15, 2)).astype(np.float32)
    np.savez(folder / "skijump.npz", xy=jumps, style_marks=np.arange(6.0))
    return folder


def test_training_ships_the_best_seed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "split_by_action", lambda poses, left_out: (poses, poses))
    out, ship = tmp_path / "runs", tmp_path / "best.safetensors"
    line = ["mlp", "--dataset", "penn", "--data", str(data), "--out", str(out), "--ship", str(ship)]
    assert train.main([*line, "--steps", "4", "--seeds", "2"]) == EXIT_OK
    for seed in (0, 1):
        folder = out / f"mlp-penn-{seed}"
        record = json.loads((folder / "run.json").read_text())
        assert record["settings"]["seed"] == seed
        assert len(record["data"]["penn_action_train.npz"]) == 64
        assert set(record["validation"]) == {"auc", "bend_spearman"}
        assert (folder / "curves.png").stat().st_size > 1000
    with safe_open(ship, "pt") as file:
        assert file.metadata()["architecture"] == "mlp"


def test_trained_with_labels_an_encoder_is_blended_and_loads(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "split_by_action", lambda poses, left_out: (poses, poses))
    ship = tmp_path / "best.safetensors"
    line = ["graded-labels", "--dataset", "penn", "--data", str(data), "--out", str(tmp_path / "runs")]
    assert train.main([*line, "--steps", "2", "--ship", str(ship)]) == EXIT_OK
    encoder = load_encoder(ship)
    assert isinstance(encoder, BlendedEncoder)
    assert embed_all(encoder, np.random.default_rng(0).uniform(0, 1, (3, 15, 2)).astype(np.float32)).shape == (3, 50)


def test_evaluation_writes_one_table_of_encoders_and_classical_distances(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    line = ["--data", str(data), "--encoders", "bones", "--out", str(table), "--no-collapse"]
    assert evaluate.main(line) == EXIT_OK
    rows = table.read_text().splitlines()
    assert rows[0].startswith("| method | seeds | AUC | R@1 | R@1 action | bends |")
    assert [row.split("|")[1].strip() for row in rows[2:4]] == ["bones", "cosine, min-max"]
    assert len(rows) == 2 + 1 + 7


def test_a_short_table_has_four_columns(data: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    line = ["--data", str(data), "--encoders", "bones", "--out", str(table), "--no-collapse", "--short"]
    assert evaluate.main([*line, "--no-classical"]) == EXIT_OK
    assert table.read_text().splitlines()[0] == "| method | seeds | AUC | R@1 | R@1 action | bends |"


def test_a_table_that_cannot_be_written_is_refused_before_anything_is_measured(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "measure_rows", lambda *_: pytest.fail("measured"))
    line = ["--data", str(data), "--encoders", "bones", "--out", str(tmp_path / "none" / "table.md")]
    assert evaluate.main(line) == EXIT_BAD_INPUT
    assert "its folder does not exist" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_table(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "markdown", lambda _: "x" * 5000)
    table = tmp_path / "table.md"
    table.write_text("old")
    line = ["--data", str(data), "--encoders", "bones", "--out", str(table), "--no-collapse", "--short"]
    with files_of_at_most(1000):
        assert evaluate.main([*line, "--no-classical"]) == EXIT_BAD_INPUT
    assert "table.md could not be written" in capsys.readouterr().err and table.read_text() == "old"


def test_evaluation_of_a_folder_without_runs_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--data", str(data), "--encoders", "", "--runs", str(tmp_path)]) == EXIT_BAD_INPUT
    assert "train first" in capsys.readouterr().err


def test_about_a_fifth_of_the_papers_initialisations_are_dead() -> None:
    rate = evaluate.collapse_rate(PaperEncoder, torch.rand(100, 15, 2), seeds=60)
    assert 0.1 < rate < 0.35


def test_embedding_in_bulk_writes_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", joints=np.stack([person(0), person(1), np.zeros((15, 3), np.float32)]))
    line = ["--encoder", "bones", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    assert embed.main(line) == EXIT_OK
    embedding = np.load(tmp_path / "out.npz")["embedding"]
    assert embedding.shape == (3, 50)
    assert embedding.dtype == np.float32
    assert not embedding[2].any()


def half_seen(path: Path) -> Path:
    """Three poses, of which the second lacks a wrist and the third everything."""
    poses = np.stack([person(0), person(1), np.zeros((15, 3), np.float32)])
    poses[1, 13, 2] = 0.29
    np.savez(path, joints=poses)
    return path


@pytest.mark.parametrize("encoder", ["graded", "bones"])
def test_embedding_says_how_many_poses_have_unseen_joints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoder: str
) -> None:
    line = [str(half_seen(tmp_path / "in.npz")), str(tmp_path / "out.npz"), "--encoder", encoder]
    assert embed.main(line) == EXIT_OK
    assert "3 poses embedded" in (said := capsys.readouterr().out)
    assert "unseen joints in 2 of them were left out" in said
    np.savez(tmp_path / "whole.npz", joints=person()[None])
    assert embed.main([str(tmp_path / "whole.npz"), *line[1:]]) == EXIT_OK
    assert "unseen" not in capsys.readouterr().out


@pytest.mark.parametrize("encoder", ["paper", "mlp"])
def test_poses_with_unseen_joints_are_not_embedded_by_an_encoder_that_needs_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoder: str
) -> None:
    line = [str(half_seen(tmp_path / "in.npz")), str(tmp_path / "out.npz"), "--encoder", encoder]
    assert embed.main(line) == EXIT_BAD_INPUT
    said = the_sentence(capsys.readouterr().err)
    assert "in.npz has unseen joints in 2 of 3 poses, the first in joints[1]" in said and "--encoder graded" in said
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("arrays", "seen"),
    [
        ({"joints": np.zeros((2, 17, 3))}, "joints of shape"),
        ({"other": np.zeros(3)}, "no array named joints"),
        ({"joints": np.full((1, 15, 3), np.nan)}, "not finite"),
    ],
)
def test_embedding_refuses_malformed_poses(
    tmp_path: Path, arrays: dict[str, np.ndarray], seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    line = ["--encoder", "bones", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    for done in (lambda: embed.main(line), lambda: compare.main([line[2], line[2], "--out", str(tmp_path / "c.png")])):
        assert done() == EXIT_BAD_INPUT
        said = the_sentence(capsys.readouterr().err)
        assert seen in said and said.endswith("numpy.savez(FILE, joints=...), rows as in engines.skeleton.JOINTS.\n")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("in.npz", "would overwrite a file of the same run"),
        ("hard.npz", "would overwrite a file of the same run"),
        ("out", "out ends in nothing; .npz is allowed"),
        ("folder.npz", "it is a folder"),
        ("none/out.npz", "its folder does not exist"),
    ],
)
def test_embeddings_are_only_written_where_they_replace_nothing_that_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, said: str
) -> None:
    np.savez(tmp_path / "in.npz", joints=person()[None])
    (tmp_path / "hard.npz").hardlink_to(tmp_path / "in.npz")
    (tmp_path / "folder.npz").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    assert embed.main(["--encoder", "bones", str(tmp_path / "in.npz"), str(tmp_path / out)]) == EXIT_BAD_INPUT
    assert said in capsys.readouterr().err
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()} == before


def test_embedding_with_an_unknown_encoder_exits_4(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", joints=person()[None])
    line = ["--encoder", "nonsense", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    assert embed.main(line) == EXIT_ENGINE


def target_file(path: Path, pose: np.ndarray, ignore: tuple[str, ...] = (), score_width: float = 0.3) -> Path:
    write_target(Target(path.stem, (640, 480), pose, ignore, score_width), path)
    return path


def no_engines() -> Chain:
    pytest.fail("engines were opened for a file that is no picture")


def test_comparing_a_pose_with_itself_scores_100(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = target_file(tmp_path / "a.json", person())
    np.savez(tmp_path / "b.npz", joints=person())
    picture = tmp_path / "compare.png"
    line = [str(first), str(tmp_path / "b.npz"), "--encoder", "bones", "--out", str(picture)]
    assert compare.main(line) == EXIT_OK
    assert "a / b: score 100.0, distance 0.0000" in capsys.readouterr().out
    assert picture.stat().st_size > 1000


def test_a_joint_that_the_target_ignores_changes_nothing(tmp_path: Path) -> None:
    encoder, moved = evaluate.load_encoder("bones"), person()
    moved[13, :2] += 300
    target = read_pose(target_file(tmp_path / "a.json", person(), ("left_wrist",)), no_engines).joints
    assert compare.compare(encoder, target, moved, 0.3) == compare.compare(encoder, target, person(), 0.3)


def test_a_joint_ignored_on_the_command_line_changes_nothing(tmp_path: Path) -> None:
    moved = person()
    moved[13, :2] += 300
    np.savez(tmp_path / "moved.npz", joints=moved)
    target = target_file(tmp_path / "a.json", person())
    pose = read_pose(tmp_path / "moved.npz", no_engines, ("left_wrist",)).joints
    assert not pose[13].any()
    line = [str(target), str(tmp_path / "moved.npz"), "--encoder", "bones", "--ignore", "left_wrist"]
    assert compare.main([*line, "--out", str(tmp_path / "compare.png")]) == EXIT_OK


def test_joints_that_do_not_count_are_not_missed_in_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(target_file(tmp_path / f"{name}.json", person())) for name in "ab"]
    line = [*files, "--out", str(tmp_path / "c.png"), "--ignore", "legs,left_wrist"]
    assert compare.main([*line, "--encoder", "bones"]) == EXIT_OK
    assert "a / b: score 100.0" in capsys.readouterr().out
    assert compare.main([*line, "--encoder", "mlp"]) == EXIT_BAD_INPUT
    said = the_sentence(capsys.readouterr().err)
    assert "a / b: only 10 joints" in said and "give --encoder graded" in said and "--ignore" not in said


def test_the_pair_that_cannot_be_compared_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = person()
    half[:5, 2] = 0
    np.savez(tmp_path / "half.npz", joints=half)
    files = [str(target_file(tmp_path / f"{name}.json", person())) for name in "abc"]
    line = [*files, str(tmp_path / "half.npz"), "--figure", "--encoder", "bones", "--out", str(tmp_path / "c.png")]
    assert compare.main(line) == EXIT_BAD_INPUT
    said = the_sentence(capsys.readouterr().err)
    assert "c / half: only 10 joints" in said and said.endswith(
        f"or leave them out with --ignore {','.join(JOINTS[:5])}.\n"
    )
    assert compare.main([*line, "--ignore", "head"]) == EXIT_BAD_INPUT
    assert the_sentence(capsys.readouterr().err).endswith(f"--ignore {','.join((*JOINTS[:5], 'head'))}.\n")


def test_two_poses_that_leave_each_others_joints_out_have_nothing_to_compare() -> None:
    with pytest.raises(BadInputError, match="no joint counts in both"):
        compare.compare(evaluate.load_encoder("bones"), person(), person(), 0.3, JOINTS)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that find a small and a large person, whose joints lie in the boxes below."""
    monkeypatch.setattr(compare, "open_chain", lambda *_: (FakeChain(people=2, detections=[BOXES]), "fake engines"))


BOXES = ((10, 60, 60, 120, 0.9), (100, 20, 200, 170, 0.9))


def picture(path: Path, width: int = 640, height: int = 360) -> Path:
    """Twice the engines' frame size, so that joints must be taken back to the picture's own px."""
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))
    return path


@pytest.mark.usefixtures("engines")
def test_the_pose_of_a_picture_is_the_largest_persons_in_its_own_px(tmp_path: Path) -> None:
    path = picture(tmp_path / "two.png")
    chain, _ = compare.open_chain(Path(), "bones", "auto")
    pose = read_pose(path, lambda: chain)
    assert np.allclose(pose.joints[:, :2], standing_joints((200, 40, 400, 340))[:, :2], atol=1e-3)
    assert pose.picture is not None
    assert pose.picture.shape == (360, 640, 3)


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        (["strict.json", "other.npz"], [], "width 0.1 of strict"),
        (["other.npz", "strict.json"], [], "width 0.1 of strict"),
        (["coco.json", "strict.json"], [], "width 0.1 of strict"),
        (["mild.json", "strict.json"], [], "width 0.4 of mild"),
        (["plain.json", "strict.json"], [], "width 0.3 of plain"),
        (["strict.json", "other.npz"], ["--width", "0.3"], "width 0.3"),
        (["other.npz", "coco.json"], [], "width 0.3"),
    ],
)
def test_a_comparison_takes_the_width_of_its_target_unless_one_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: list[str], options: list[str], said: str
) -> None:
    for name, width in (("strict", 0.1), ("mild", 0.4), ("plain", 0.3)):
        target_file(tmp_path / f"{name}.json", person(), score_width=width)
    np.savez(tmp_path / "other.npz", joints=person(1))
    keypoints = np.concatenate([person(2), person(3)])[:17].ravel().tolist()
    (tmp_path / "coco.json").write_text(json.dumps([{"image_id": 1, "keypoints": keypoints}]))
    line = [*(str(tmp_path / file) for file in files), "--encoder", "bones", "--out", str(tmp_path / "c.png")]
    assert compare.main([*line, *options]) == EXIT_OK
    printed = capsys.readouterr().out
    assert f"(bones, {said})" in printed
    found = re.search(r"score ([\d.]+), distance ([\d.]+) \(bones, width ([\d.]+)", printed)
    assert found is not None
    score, distance, width = map(float, found.groups())
    assert score == pytest.approx(100 * np.exp(-0.5 * (distance / width) ** 2), abs=0.1)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["both.json", "mirrored.npz"], "score 100.0, distance 0.0000 (bones, width 0.3 of both, mirrored)"),
        (["mirrored.npz", "both.json"], "score 100.0, distance 0.0000 (bones, width 0.3 of both, mirrored)"),
        (["both.json", "same.npz"], "score 100.0, distance 0.0000 (bones, width 0.3 of both)"),
        (["one.json", "mirrored.npz"], "distance 0.9053 (bones, width 0.3 of one)"),
    ],
)
def test_the_mirrored_pose_counts_in_a_comparison_too_where_the_target_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: list[str], said: str
) -> None:
    """The target leaves out a left wrist; in the mirror that is the right one."""
    target = read_pose(target_file(tmp_path / "one.json", person(), ("left_wrist",)), no_engines).target
    assert target is not None
    write_target(dataclasses.replace(target, match_mirrored=True), tmp_path / "both.json")
    np.savez(tmp_path / "same.npz", joints=person())
    mirrored = mirror_joints(person())
    mirrored[JOINT_INDEX["right_wrist"], :2] += 300
    np.savez(tmp_path / "mirrored.npz", joints=mirrored)
    line = [*(str(tmp_path / file) for file in files), "--encoder", "bones", "--out", str(tmp_path / "c.png")]
    assert compare.main(line) == EXIT_OK
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("width", ["0", "-1", "nan", "inf", "101"])
def test_a_width_that_no_target_may_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], width: str
) -> None:
    files = [str(target_file(tmp_path / f"{name}.json", person())) for name in "ab"]
    line = [*files, "--encoder", "bones", "--out", str(tmp_path / "c.png")]
    assert compare.main([*line, "--width", width]) == EXIT_BAD_INPUT
    assert "a width is a number from 0.001 to 100" in the_sentence(capsys.readouterr().err)


@pytest.mark.usefixtures("engines")
def test_whom_of_several_people_a_file_gave_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keypoints = person(2).ravel().tolist() + [9, 9, 1] * 2
    two = [{"image_id": 1, "keypoints": keypoints}] * 2
    (tmp_path / "coco.json").write_text(json.dumps(two))
    np.savez(tmp_path / "many.npz", joints=np.stack([person(2), person(3)]))
    target = target_file(tmp_path / "one.json", person())
    files = [
        str(path) for path in (picture(tmp_path / "two.png"), tmp_path / "coco.json", tmp_path / "many.npz", target)
    ]
    assert compare.main([*files, "--figure", "--out", str(tmp_path / "c.png")]) == EXIT_OK
    said = capsys.readouterr().out.splitlines()
    choose = "choose another with python -m realtime.targets make --person N"
    assert said[0] == f"{files[0]}: took person 2 of 2, from left to right: {choose}"
    assert said[1] == f"{files[1]}: took person 1 of 2, in the file's order: {choose}"
    assert said[2] == f"{files[2]}: took the first of 2 poses"
    assert not any("took" in line for line in said[3:])


@pytest.mark.usefixtures("engines")
def test_two_pictures_are_compared_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = [str(picture(tmp_path / "a.png")), str(picture(tmp_path / "b.png")), "--out", str(tmp_path / "both.png")]
    assert compare.main(line) == EXIT_OK
    assert "a / b: score 100.0, distance 0.0000 (graded, width 0.3)" in capsys.readouterr().out
    drawn = cv2.imread(str(tmp_path / "both.png"))
    assert (drawn == 90).all(2).mean() > 0.2, "the pictures lie under the skeletons"


def test_a_picture_without_a_person_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "open_chain", lambda *_: (FakeChain(detections=[()]), "fake engines"))
    files = [str(picture(tmp_path / "empty.png")), str(target_file(tmp_path / "a.json", person()))]
    assert compare.main(files) == EXIT_BAD_INPUT
    assert "empty.png shows no person" in capsys.readouterr().err


def test_a_picture_without_engines_exits_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(picture(tmp_path / "a.png")), str(target_file(tmp_path / "b.json", person()))]
    assert compare.main([*files, "--engines", str(tmp_path / "none")]) == EXIT_ENGINE
    assert "is not a folder" in capsys.readouterr().err


def test_the_figure_draws_three_pairs_best_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(target_file(tmp_path / f"{number}.json", person(seed))) for number, seed in enumerate((0, 1, 0, 0))]
    line = [*files, "--figure", "--encoder", "bones", "--out", str(tmp_path / "figure.png")]
    assert compare.main(line) == EXIT_OK
    assert capsys.readouterr().out.startswith("2 / 3: score 100.0")


def test_pairs_of_one_score_are_ranked_and_no_words_are_made_of_the_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr(SubFigure, "suptitle", lambda figure, text, **_: titles.append(text))
    files = [str(target_file(tmp_path / f"{n}.json", person(seed))) for n, seed in enumerate((0, 1, 0, 0, 2, 2))]
    assert compare.main([*files, "--figure", "--encoder", "bones", "--out", str(tmp_path / "figure.png")]) == EXIT_OK
    assert [title.split(",")[0] for title in titles[:2]] == ["1 of 3: score 100.0", "2 of 3: score 100.0"]
    assert titles[2].startswith("3 of 3: score ")
    titles.clear()
    assert compare.main([*files[:2], "--encoder", "bones", "--out", str(tmp_path / "pair.png")]) == EXIT_OK
    assert titles[0].startswith("Score ")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("a.json", "would overwrite a file of the same run"),
        ("hard.png", "would overwrite a file of the same run"),
        ("c.txt", "c.txt ends in .txt; .png, .jpg, .jpeg, .pdf, .svg are allowed"),
        ("c", "c ends in nothing"),
        ("folder", "it is a folder"),
        ("none/c.png", "its folder does not exist"),
    ],
)
def test_a_comparison_is_only_drawn_where_it_replaces_nothing_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, said: str
) -> None:
    files = [str(target_file(tmp_path / f"{name}.json", person())) for name in "ab"]
    (tmp_path / "hard.png").hardlink_to(files[1])
    (tmp_path / "folder").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    assert compare.main([*files, "--encoder", "bones", "--out", str(tmp_path / out)]) == EXIT_BAD_INPUT
    assert said in capsys.readouterr().err
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("ending", FIGURE_ENDINGS)
def test_every_ending_that_is_allowed_can_be_drawn(tmp_path: Path, ending: str) -> None:
    files = [str(target_file(tmp_path / f"{name}.json", person())) for name in "ab"]
    out = tmp_path / f"c{ending.upper()}"
    assert compare.main([*files, "--encoder", "bones", "--out", str(out)]) == EXIT_OK
    assert out.stat().st_size > 1000


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(target_file(tmp_path / f"{name}.json", person())) for name in "ab"]
    (tmp_path / "c.png").write_text("old")
    with files_of_at_most(1000):
        assert compare.main([*files, "--encoder", "bones", "--out", str(tmp_path / "c.png")]) == EXIT_BAD_INPUT
    assert "c.png could not be written" in capsys.readouterr().err
    assert (tmp_path / "c.png").read_text() == "old"


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        (["a.json"], "1 file came"),
        (["a.json", "b.txt"], "of kind '.txt'"),
        (["a.json", "missing.json"], "missing.json could not be read"),
        (["a.json", "broken.json"], "broken.json"),
        (["a.json", "none.npz"], "none.npz: no pose"),
        (["a.json", "half.npz"], "only 10 joints are visible in both (not right_ankle, right_knee"),
    ],
)
def test_comparing_refuses_what_it_cannot_read(
    tmp_path: Path, files: list[str], seen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target_file(tmp_path / "a.json", person())
    half = person()
    half[:5, 2] = 0
    np.savez(tmp_path / "half.npz", joints=half)
    np.savez(tmp_path / "none.npz", joints=half[None][:0])
    (tmp_path / "broken.json").write_text('{"joints": {"tail": [1, 2, 3]}}')
    line = [*(str(tmp_path / file) for file in files), "--encoder", "bones"]
    assert compare.main(line) == EXIT_BAD_INPUT
    assert seen in capsys.readouterr().err


def recording(path: Path, distances: list[float]) -> Path:
    rows = [
        {"type": "session"},
        *({"type": "frame", "status": "scored", "distance": d, "target": "A"} for d in distances),
    ]
    rows.append({"type": "frame", "status": "no_person", "distance": None, "target": "A"})
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_the_fitted_width_puts_the_pass_mark_between_good_and_bad(tmp_path: Path) -> None:
    good, bad = np.array([0.02, 0.05, 0.08]), np.array([0.2, 0.3])
    width = score_width.fit_width(good, bad, 80)
    assert (100 * np.exp(-0.5 * (good / width) ** 2) >= 80).all()
    assert (100 * np.exp(-0.5 * (bad / width) ** 2) < 80).all()


def test_fitting_reads_recordings_and_draws_the_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = recording(tmp_path / "good.jsonl", [0.02, 0.06]), recording(tmp_path / "bad.jsonl", [0.3, 0.4])
    picture = tmp_path / "width.png"
    line = ["--good", str(good), "--bad", str(bad), "--out", str(picture)]
    assert score_width.main(line) == EXIT_OK
    assert "100.0% of good frames pass, 100.0% of bad ones fail" in capsys.readouterr().out
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    "bad",
    [[0.002, 0.05, 0.06], [0.001, 0.055, 0.059], [0.001, 0.002]],
    ids=["the same", "chance", "nearer than good"],
)
def test_holds_that_cannot_be_told_apart_give_no_width(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: list[float]
) -> None:
    good = recording(tmp_path / "good.jsonl", [0.002, 0.05, 0.06])
    picture = tmp_path / "width.png"
    line = ["--good", str(good), "--bad", str(recording(tmp_path / "bad.jsonl", bad)), "--out", str(picture)]
    assert score_width.main(line) == EXIT_BAD_INPUT
    said = capsys.readouterr()
    assert "good and bad holds cannot be told apart (AUC 0." in said.err and said.out == ""
    assert not picture.exists()
    with pytest.raises(BadInputError, match="told apart"):
        score_width.fit_width(np.array([0.001, 0.002]), np.array([0.003, 0.004]), 80)


def test_fitting_refuses_a_recording_without_scored_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["--good", str(recording(tmp_path / "good.jsonl", [])), "--out", str(tmp_path / "width.png")]
    assert score_width.main(line) == EXIT_BAD_INPUT
    assert "good.jsonl: 0 usable distances" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("good.jsonl", "good.jsonl ends in .jsonl; .png, .jpg, .jpeg, .pdf, .svg are allowed"),
        ("good.png", "would overwrite a file of the same run"),
        ("none/width.png", "its folder does not exist"),
    ],
)
def test_a_curve_is_only_drawn_where_it_replaces_nothing_that_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, said: str
) -> None:
    good = recording(tmp_path / "good.jsonl", [0.02, 0.06])
    (tmp_path / "good.png").hardlink_to(good)
    before = good.read_bytes()
    assert score_width.main(["--good", str(good), "--out", str(tmp_path / out)]) == EXIT_BAD_INPUT
    assert said in capsys.readouterr().err
    assert good.read_bytes() == before


def test_fitting_to_a_target_that_was_not_recorded_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = recording(tmp_path / "good.jsonl", [0.02, 0.06])
    np.savez(tmp_path / "good.npz", other=good.stat().st_size)
    assert score_width.main(["--good", str(tmp_path / "good.npz"), "--out", str(tmp_path / "w.png")]) == EXIT_BAD_INPUT
    assert "no array named distance" in (said := capsys.readouterr().err) and "run_live.py --results" in said
    assert score_width.main(["--good", str(good), "--target", "B", "--out", str(tmp_path / "w.png")]) == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    assert "good.jsonl has no frame that was scored against 'B'" in said
    assert "download" not in said


def test_the_papers_tables_of_a_folder_without_data_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--paper", str(tmp_path)]) == EXIT_BAD_INPUT
    assert "neither aqa7 nor finediving" in capsys.readouterr().err


def test_the_papers_rule_is_trained_and_judged_on_climbs_and_jumps(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.show_rule(data, evaluate.Console(), steps=2)
    printed = capsys.readouterr().out
    assert "paper" in printed
    assert "mlp" in printed
