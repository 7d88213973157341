from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file

from calibration.augment import AUGMENTATIONS, NO_AUGMENTATION
from calibration.distill import export, main
from calibration.distill_training import Trainer, TrainSettings, average_into, averaged_weights, batches_from
from calibration.evaluate_pose import normalised
from calibration.optimizer import optimizers, orthogonalised, schedule
from calibration.pose_task import PoseBatch, PoseTask
from engines.errors import BadInputError, EngineError
from engines.networks.hrnet import HRNET_CONFIGS, hrnet
from engines.networks.hrnet_weights import load_hrnet
from engines.networks.state_dicts import read_state_dict

QUIET = Console(quiet=True)
CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=3, warmup_steps=2, learning_rate=4e-3, average=0.9, evaluate_every=3, loaders=0)


def small_task(crops: Path, cache: Path, kind: type[PoseTask] = PoseTask) -> PoseTask:
    return kind(crops, cache, NO_AUGMENTATION, batch_size=8, size=(96, 128))


class InterruptedTask(PoseTask):
    """Stops in the middle of the second epoch."""

    def batch(self, epoch: int, index: int) -> PoseBatch:
        if (epoch, index) == (1, 1):
            raise KeyboardInterrupt
        return super().batch(epoch, index)


def test_the_loss_falls_and_the_run_leaves_its_record(tiny_crops: Path, tmp_path: Path) -> None:
    trainer = Trainer(small_task(tiny_crops, tmp_path), SETTINGS, tmp_path / "run", CPU)
    last = trainer.train(QUIET)
    first = trainer.state.history[0]
    assert last["place_loss"] < first["place_loss"] - 0.3
    assert {"ap", "ap_mini_val", "pck_first"} <= last.keys()
    assert last["samples"] == 48
    assert (tmp_path / "run" / "run.json").is_file()
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_resumed_run_ends_like_an_uninterrupted_one(tiny_crops: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=2)
    Trainer(small_task(tiny_crops, tmp_path), settings, tmp_path / "whole", CPU).train(QUIET)
    broken = Trainer(small_task(tiny_crops, tmp_path, InterruptedTask), settings, tmp_path / "broken", CPU)
    with pytest.raises(KeyboardInterrupt):
        broken.train(QUIET)
    resumed = Trainer(small_task(tiny_crops, tmp_path), settings, tmp_path / "broken", CPU, resume=True)
    assert resumed.state.epoch == 1
    resumed.train(QUIET)
    whole, again = averaged_weights(tmp_path / "whole"), averaged_weights(tmp_path / "broken")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_exported_weights_load_into_the_compact_network(tiny_crops: Path, tmp_path: Path) -> None:
    settings = TrainSettings(epochs=1, evaluate_every=1)
    Trainer(small_task(tiny_crops, tmp_path), settings, tmp_path / "run", CPU).train(QUIET)
    export(tmp_path / "run", tmp_path / "pose.safetensors", QUIET)
    assert load_file(tmp_path / "pose.safetensors")["conv1.weight"].dtype == torch.float16
    network = load_hrnet(read_state_dict(tmp_path / "pose.safetensors"), HRNET_CONFIGS["hrnet_compact"])
    assert next(network.parameters()).dtype == torch.float32
    assert (tmp_path / "pose.safetensors").stat().st_size < 4e6


def test_export_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--out", str(tmp_path), "--to", str(tmp_path / "x.safetensors")]) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_resume_without_a_checkpoint_is_refused(
    tiny_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["detector", "--crops", str(tiny_crops), "--out", str(tmp_path), "--epochs", "1", "--resume"]
    assert main(arguments) == 2
    assert "start without --resume" in capsys.readouterr().err


def test_a_run_of_another_network_is_not_resumed(
    tiny_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(
        {"network": {"conv1.weight": torch.zeros(1)}, "averaged": {}, "optimizers": [], "epoch": 1}
        | {"step": 1, "history": [], "segments": []},
        tmp_path / "checkpoint.pt",
    )
    arguments = ["pose", "--crops", str(tiny_crops), "--out", str(tmp_path), "--epochs", "2", "--resume"]
    assert main(arguments) == 2
    assert "begin a new run with --init" in capsys.readouterr().err


def test_labels_need_a_network_and_sets_that_are_there(tiny_crops: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--crops", str(tiny_crops), "--labelled", str(tiny_crops / "train")]) == 2
    assert "give --pose FILE" in capsys.readouterr().err
    arguments = ["evaluate", "--crops", str(tiny_crops), "--pose", "any.safetensors", "--labelled", "no/such/set"]
    assert main(arguments) == 2
    assert "no file no/such/set.tar" in capsys.readouterr().err


def test_the_fit_to_labels_is_a_row_a_network_and_set(
    tiny_crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "fresh.safetensors"
    save_file(hrnet("hrnet_compact").state_dict(), weights)
    sets = [str(tiny_crops / "train"), str(tiny_crops / "holdout")]
    assert main(["evaluate", "--crops", str(tiny_crops), "--pose", str(weights), "--labelled", *sets]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ fresh")]
    assert [row.split("│")[2].strip() for row in rows[1:]] == ["train", "holdout"]


def test_a_size_that_is_not_three_by_four_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["pose", "--out", "x", "--epochs", "1", "--size", "100x128"])
    assert "96x128" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_parameter_has_exactly_one_optimizer(kind: str) -> None:
    network = hrnet("hrnet_compact")
    held = [
        id(parameter)
        for optimizer in optimizers(network, kind, 1e-3)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(id(parameter) for parameter in network.parameters())


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(3, 16, 144, generator=torch.Generator().manual_seed(0))
    for shape in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalised(shape))
        assert float(values.min()) > 0.6
        assert float(values.max()) < 1.3


def test_the_learning_rate_rises_stays_and_falls_to_zero() -> None:
    factors = [schedule(step, 100, 10, 0.3) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[20] == factors[69] == 1
    assert factors[85] == pytest.approx(0.5)
    assert schedule(100, 100, 10, 0.3) == 0
    assert schedule(99, 100, 10, 0.0) == 1


def test_the_average_moves_weights_and_statistics_and_copies_counters() -> None:
    first, second = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    second.running_mean.fill_(1.0)
    second.num_batches_tracked.fill_(7)
    average_into(first, second, 0.75)
    assert first.running_mean.tolist() == [0.25, 0.25]
    assert int(first.num_batches_tracked) == 7


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_users_error_comes_out_of_a_loader_as_it_is(tiny_crops: Path, tmp_path: Path, loaders: int) -> None:
    class BrokenTask(PoseTask):
        def batch(self, epoch: int, index: int) -> PoseBatch:
            raise BadInputError("crop 3 is no JPEG", "every crop is one", "fetch the crops again")

    batches = batches_from(small_task(tiny_crops, tmp_path, BrokenTask), range(1), loaders)
    with pytest.raises(BadInputError, match="crop 3 is no JPEG; every crop is one; fetch the crops again"):
        next(batches)


def test_weights_of_another_network_are_no_beginning(tiny_crops: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="--init"):
        Trainer(small_task(tiny_crops, tmp_path), SETTINGS, tmp_path / "run", CPU, initial={"weight": torch.ones(1)})


@pytest.mark.parametrize("loaders", [0, 2])
def test_batches_come_in_order_whatever_the_loaders(tiny_crops: Path, tmp_path: Path, loaders: int) -> None:
    task = small_task(tiny_crops, tmp_path)
    places = [(epoch, index) for epoch in (4, 5) for index in range(task.batches(epoch))]
    made = list(batches_from(task, range(4, 6), loaders))
    assert len(made) == len(places) > 2
    for batch, place in zip(made, places, strict=True):
        assert torch.equal(batch.pictures, task.batch(*place).pictures)


def test_the_mean_of_weights_is_between_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, other = (tmp_path / f"{name}.safetensors" for name in ("first", "second", "other"))
    save_file({"weight": torch.tensor([1.0, 2.0]), "count": torch.tensor(3)}, first)
    save_file({"weight": torch.tensor([3.0, -2.0]), "count": torch.tensor(5)}, second)
    save_file({"weight": torch.tensor([3.0]), "count": torch.tensor(5)}, other)
    to = tmp_path / "mean.safetensors"
    assert main(["mean", str(first), str(second), "--to", str(to)]) == 0
    found = load_file(to)
    assert found["weight"].tolist() == [2.0, 0.0] and found["weight"].dtype == torch.float16
    assert int(found["count"]) == 5
    assert main(["mean", str(first), str(second), "--shares", "3", "1", "--to", str(to)]) == 0
    assert load_file(to)["weight"].tolist() == [1.5, 1.0]
    capsys.readouterr()
    assert main(["mean", str(first), str(second), "--shares", "3", "--to", str(tmp_path / "no.safetensors")]) == 2
    assert "1 share for 2 files" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["mean", str(first), str(second), "--shares", "3", "0", "--to", str(tmp_path / "no.safetensors")])
    assert "'0' is no number above 0" in capsys.readouterr().err
    assert main(["mean", str(first), str(other), "--to", str(tmp_path / "no.safetensors")]) == 2
    assert "are not of one network" in capsys.readouterr().err
    assert main(["mean", str(first), "--to", str(tmp_path / "no.safetensors")]) == 2
    assert not (tmp_path / "no.safetensors").exists()


def test_measured_statistics_are_those_of_the_pictures_trained_on(tiny_crops: Path, tmp_path: Path) -> None:
    network = hrnet("hrnet_compact")
    network.bn1.running_mean.fill_(7.0)
    source, to = tmp_path / "mean.safetensors", tmp_path / "measured.safetensors"
    save_file({name: value.half() for name, value in network.state_dict().items()}, source)
    words = ["--crops", str(tiny_crops), "--out", str(tmp_path), "--size", "96x128", "--batch", "8", "--loaders", "0"]
    assert main(["statistics", str(source), "--to", str(to), "--pictures", "16", "--device", "cpu", *words]) == 0
    task = PoseTask(tiny_crops, tmp_path, AUGMENTATIONS["mild"], batch_size=8, size=(96, 128))
    measured = load_hrnet(read_state_dict(to), HRNET_CONFIGS["hrnet_compact"])
    with torch.no_grad():
        seen = torch.stack([network.conv1(normalised(task.batch(0, index).pictures)) for index in (0, 1)])
    assert torch.allclose(measured.bn1.running_mean, seen.mean((0, 1, 3, 4)), atol=2e-3)
    expected = torch.stack([batch.var((0, 2, 3)) for batch in seen]).mean(0)
    assert torch.allclose(measured.bn1.running_var, expected, rtol=1e-2)
    assert torch.equal(measured.conv1.weight, network.conv1.weight.half().float())
