from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from calibration.answered import AnsweredPicture, AnsweredSet, recoded, write_shard
from calibration.answered_task import AnsweredTask
from calibration.answering import make_answered
from calibration.detector_lessons import asked, batch_of
from calibration.detector_loss import LEAST_TAUGHT, joined
from calibration.detector_task import DetectorTask
from calibration.distill import main
from engines.errors import BadInputError
from engines.networks.yolov5_compact import STRIDES, YoloCompact

CPU = torch.device("cpu")
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of random weights, sure enough of a person in some cells to have boxes to teach."""
    torch.manual_seed(7)
    network = YoloCompact()
    with torch.no_grad():
        for head in network.heads:
            head.person.bias.fill_(-3.0)
            head.person.weight.mul_(200)
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_file(network.state_dict(), file)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_crops: Path, teacher: Path) -> Path:
    out = tmp_path_factory.mktemp("answered") / "pictures"
    task = DetectorTask(tiny_crops, batch_size=4, seed=3, most_batches=2, teacher=teacher)
    make_answered(task, out, range(2), CPU, 0, QUIET)
    return out


def test_what_is_read_is_what_the_teacher_says_of_the_picture(folder: Path, tiny_crops: Path, teacher: Path) -> None:
    pictures = AnsweredSet([folder])
    assert len(pictures) == 16
    task = DetectorTask(tiny_crops, batch_size=4, seed=3, most_batches=2, teacher=teacher)
    assert task.teacher is not None
    batch = task.batch(1, 0)
    for index in range(4):
        one = pictures[8 + index]
        assert np.array_equal(one.picture, recoded(batch.pictures[index].numpy())[1])
        assert np.array_equal(one.boxes, batch.boxes[index][batch.present[index]].numpy())
        with torch.autocast("cpu", torch.bfloat16):
            answers = asked(task.teacher, torch.from_numpy(one.picture)[None], CPU)
        np.testing.assert_allclose(one.person, answers.person[0].numpy(), atol=0.02)
        sure = one.person >= 2 * LEAST_TAUGHT
        assert sure.any(), "or nothing would be compared"
        np.testing.assert_allclose(one.sides[sure], answers.sides[0].numpy()[sure], atol=4)
        assert not one.sides[one.person < LEAST_TAUGHT / 2].any()


def test_in_a_mirror_every_cells_box_is_the_mirrored_box(folder: Path) -> None:
    one = AnsweredSet([folder])[0]
    seen = one.mirrored(STRIDES)
    shapes = [(192 // stride, 320 // stride) for stride in STRIDES]
    levels = [(torch.zeros(1, 32, *shape), torch.zeros(1, 1, *shape)) for shape in shapes]
    points = joined(levels, STRIDES, 8).points.numpy()

    def told(picture: AnsweredPicture) -> set[tuple[float, ...]]:
        cells = picture.sides.any(1)
        low, high = points[cells] - picture.sides[cells, :2], points[cells] + picture.sides[cells, 2:]
        return {
            tuple(np.round([*point, *corners, sure], 2).tolist())
            for point, corners, sure in zip(points[cells], np.hstack([low, high]), picture.person[cells], strict=True)
        }

    expected = {(320 - x, y, 320 - x2, y1, 320 - x1, y2, sure) for x, y, x1, y1, x2, y2, sure in told(one)}
    assert expected and np.allclose(sorted(expected), sorted(told(seen)), atol=0.02)
    again = seen.mirrored(STRIDES)
    for name in ("picture", "boxes", "ignored", "person", "sides"):
        np.testing.assert_allclose(getattr(again, name), getattr(one, name), atol=1e-3)
    assert not np.array_equal(seen.picture, one.picture)


def test_the_losses_are_those_of_a_teacher_who_is_asked_now(folder: Path, tiny_crops: Path, teacher: Path) -> None:
    answered = AnsweredTask(tiny_crops, [folder], batch_size=8, seed=1)
    live = DetectorTask(tiny_crops, batch_size=8, teacher=teacher)
    batch, network = batch_of([answered.pictures[index] for index in range(4, 12)]), answered.network().eval()
    assert batch.answers is not None and len(batch) == 8
    before, now = answered.losses(network, batch, CPU), live.losses(network, batch, CPU)
    alone = DetectorTask(tiny_crops, batch_size=8).losses(network, replace(batch, answers=None), CPU)
    for name, value in now.items():
        assert before[name].item() == pytest.approx(value.item(), rel=0.01)
    assert alone["class_loss"].item() != pytest.approx(now["class_loss"].item(), rel=0.1), "the answers count"
    other = AnsweredTask(tiny_crops, [folder], batch_size=8, seed=1)
    assert torch.equal(other.batch(0, 1).pictures, answered.batch(0, 1).pictures)
    assert not torch.equal(answered.batch(1, 1).pictures, answered.batch(0, 1).pictures)


def test_more_shards_leave_those_that_are_there(tmp_path: Path, tiny_crops: Path, teacher: Path) -> None:
    out, run = tmp_path / "answered", tmp_path / "run"
    words = ["--crops", str(tiny_crops), "--teacher", str(teacher), "--batch", "4", "--most-batches", "1"]
    make = ["answers", "--out", str(out), *words, "--loaders", "0", "--threads", "1"]
    assert main([*make, "--shards", "1"]) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main([*make, "--shards", "2"]) == 0
    assert len(AnsweredSet([out])) == 8
    assert {name: (out / name).read_bytes() for name in first} == first
    learn = ["detector", "--crops", str(tiny_crops), "--answered", str(out), "--out", str(run), "--epochs", "1"]
    assert main([*learn, "--batch", "4", "--loaders", "0", "--threads", "1"]) == 0
    record = (run / "run.json").read_text()
    assert '"pictures": 8' in record and '"teacher_share": 0.85' in record


@pytest.mark.parametrize(
    "words, said",
    [
        (["answers", "--shards", "1", "--out", "OUT"], "no --teacher"),
        (["answers", "--shards", "3", "--out", "MADE", "--teacher", "TEACHER", "--batch", "4"], "other settings"),
        (["answers", "--shards", "1", "--out", "OUT", "--teacher", "TEACHER", "--batch", "99"], "a batch takes 99"),
        (["detector", "--epochs", "1", "--out", "OUT", "--answered", "MADE", "--teacher", "TEACHER"], "made already"),
        (["detector", "--epochs", "1", "--out", "OUT", "--answered", "MADE", "SMALL"], "of another size"),
        (["detector", "--epochs", "1", "--out", "OUT", "--answered", "EMPTY"], "has no answered pictures"),
    ],
)
def test_what_cannot_be_is_said(
    words: list[str],
    said: str,
    folder: Path,
    tiny_crops: Path,
    teacher: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = DetectorTask(tiny_crops, batch_size=4, size=(160, 96), most_batches=1, teacher=teacher)
    if "SMALL" in words:
        make_answered(small, tmp_path / "small", range(1), CPU, 0, QUIET)
    places = {
        "SMALL": tmp_path / "small",
        "OUT": tmp_path / "out",
        "MADE": folder,
        "TEACHER": teacher,
        "EMPTY": tmp_path / "empty",
    }
    assert main([str(places.get(word, word)) for word in words] + ["--crops", str(tiny_crops)]) == 2
    assert said in capsys.readouterr().err


def test_a_broken_write_leaves_no_shard(tmp_path: Path, folder: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        one = AnsweredSet([folder])[0]
        yield recoded(one.picture)[0], one
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "00000", broken())
    (tmp_path / "made.json").write_text("{}")
    with pytest.raises(BadInputError, match="has no answered pictures"):
        AnsweredSet([tmp_path])
