"""The training loop of every distilled network: epochs, average weights, checkpoints, resume, a run record, curves.

Knows optimisers and files; what a batch is and how good a network is, the task says.
"""

import json
import time
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from calibration.distill_curves import write_curves
from calibration.optimizer import optimizers, schedule
from calibration.widening import widened
from engines.errors import BadInputError, PosemirrorError

Batch = TypeVar("Batch")


class Task(Protocol[Batch]):
    """What is being learnt."""

    name: str

    def network(self) -> nn.Module:
        """A fresh network."""
        ...

    def batches(self, epoch: int) -> int:
        """How many batches an epoch has."""
        ...

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of an epoch: the same one whenever asked. Called in loader processes, where there are any."""
        ...

    def losses(self, network: nn.Module, batch: Batch, device: torch.device) -> dict[str, Tensor]:
        """Loss terms, to be summed."""
        ...

    def evaluate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """Metrics on data that was not trained on."""
        ...

    def record(self) -> dict[str, Any]:
        """Data hashes and settings, for the run record."""
        ...


@dataclass(frozen=True)
class TrainSettings:
    """How to train, whatever is trained.

    Attributes:
        epochs: to train in all, those before a resume included.
        learning_rate: highest, for both optimisers.
        optimizer: `muon` or `adamw`.
        warmup_steps: over which the learning rate rises.
        decay: the last part of the run, over which it falls to zero.
        average: of the weights' moving average, a step.
        seed: of weights and data.
        evaluate_every: epochs between evaluations; the last epoch always is.
        loaders: processes that make batches; 0: this one.
        bf16: run the network in bfloat16 where it is safe.
    """

    epochs: int
    learning_rate: float = 2e-3
    optimizer: str = "muon"
    warmup_steps: int = 100
    decay: float = 0.3
    average: float = 0.998
    seed: int = 0
    evaluate_every: int = 1
    loaders: int = 1
    bf16: bool = True


@dataclass
class RunState:
    """All that a resumed run needs, beside the data."""

    network: nn.Module
    averaged: nn.Module
    optimizers: list[torch.optim.Optimizer]
    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes a checkpoint; a broken write leaves the last one whole."""
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
            "segments": self.segments,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Reads a checkpoint into this state.

        Raises:
            BadInputError: there is none, or it is of another network.
        """
        if not path.is_file():
            raise BadInputError(f"no checkpoint {path}", "a run resumes from one", "start without --resume")
        state = torch.load(path, map_location="cpu", weights_only=True)
        try:
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError) as error:
            raise BadInputError(
                f"{path} is of another network or optimizer",
                "a run goes on as it began",
                "export its weights and begin a new run with --init",
            ) from error
        self.epoch, self.step = state["epoch"], state["step"]
        self.history, self.segments = state["history"], state["segments"]


@torch.no_grad()
def average_into(averaged: nn.Module, network: nn.Module, keep: float) -> None:
    """Moves every floating-point weight and statistic of `averaged` toward `network`; copies the rest."""
    pairs = list(zip(averaged.state_dict().values(), network.state_dict().values(), strict=True))
    moving = [(target, value) for target, value in pairs if value.is_floating_point()]
    get_ema_multi_avg_fn(keep)([target for target, _ in moving], [value for _, value in moving], None)  # type: ignore[no-untyped-call]
    for target, value in pairs:
        if not value.is_floating_point():
            target.copy_(value)


class TaskBatches(Dataset[Any], Generic[Batch]):
    """A task's batches by epoch and index, as a `DataLoader` asks for them; for a user's error that error."""

    def __init__(self, task: Task[Batch]) -> None:
        self.task = task

    def __getitem__(self, place: tuple[int, int]) -> Batch | PosemirrorError:
        try:
            return self.task.batch(*place)
        except PosemirrorError as error:  # raised in a loader it would come out as another one
            return error


def batches_from(task: Task[Batch], epochs: Iterable[int], loaders: int) -> Iterator[Batch]:
    """All batches of several epochs, in order, made ahead in other processes.

    Args:
        task: whose.
        epochs: which.
        loaders: how many processes, forked at once; with 0 each batch is made here when it is asked for.

    Raises:
        PosemirrorError: the one that the task raised, when its batch is asked for.
    """
    places = [(epoch, index) for epoch in epochs for index in range(task.batches(epoch))]
    made: Iterator[Batch | PosemirrorError] = iter(
        DataLoader(
            TaskBatches(task),
            batch_size=None,
            sampler=places,
            num_workers=loaders,
            multiprocessing_context="fork" if loaders else None,
        )
    )
    return map(checked, made)


def checked(batch: Batch | PosemirrorError) -> Batch:
    """A batch, or the error in its place, raised."""
    if isinstance(batch, PosemirrorError):
        raise batch
    return batch


class Trainer(Generic[Batch]):
    """Trains one task into one folder: `checkpoint.pt`, `run.json`, `curves.png`.

    Args:
        task: what to learn.
        settings: how.
        out: the folder; made if missing.
        device: where the network lives.
        resume: go on from `checkpoint.pt`.
        initial: weights to begin with, of the network or of a smaller one, where not resuming.

    Raises:
        EngineError: `initial` does not fit.
    """

    def __init__(
        self,
        task: Task[Batch],
        settings: TrainSettings,
        out: Path,
        device: torch.device,
        resume: bool = False,
        initial: dict[str, Tensor] | None = None,
    ) -> None:
        self.task, self.settings, self.out, self.device = task, settings, out, device
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        network = task.network()
        if initial is not None:
            network.load_state_dict(widened(initial, network))
        network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.state = RunState(
            network, deepcopy(network).eval(), optimizers(network, settings.optimizer, settings.learning_rate)
        )
        if resume:
            self.state.load(self.checkpoint)
        self.state.segments.append({"from_epoch": self.state.epoch, **asdict(settings), "task": task.record()})

    @property
    def checkpoint(self) -> Path:
        """Where the run's state lies."""
        return self.out / "checkpoint.pt"

    def train(self, console: Console) -> dict[str, float]:
        """Runs the epochs that are left. Returns the last row of the history."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        batches = batches_from(self.task, range(self.state.epoch, self.settings.epochs), self.settings.loaders)
        while self.state.epoch < self.settings.epochs:
            with Progress(*columns, console=console, transient=True) as progress:
                row = self._epoch(batches, progress)
            self.state.epoch += 1
            if self.state.epoch % self.settings.evaluate_every == 0 or self.state.epoch == self.settings.epochs:
                row |= self.task.evaluate(self.state.averaged, self.device)
            self.state.history.append(row)
            self._save()
            shown = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
            console.print(f"{time.strftime('%H:%M:%S')} epoch {self.state.epoch}: {shown}", highlight=False)
        return self.state.history[-1]

    def _epoch(self, batches: Iterator[Batch], progress: Progress) -> dict[str, float]:
        state, epoch = self.state, self.state.epoch
        count = self.task.batches(epoch)
        bar = progress.add_task(f"{self.task.name} {epoch + 1}/{self.settings.epochs}", total=count)
        started, totals, samples = time.monotonic(), dict[str, float](), 0
        state.network.train()
        for batch in islice(batches, count):
            losses = self._step(batch, count)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value / count
            samples += len(batch)  # type: ignore[arg-type]
            progress.advance(bar)
        before = state.history[-1]["samples"] if state.history else 0
        seconds = time.monotonic() - started
        return {"epoch": epoch + 1, "samples": before + samples, "seconds": round(seconds, 1), **totals}

    def _step(self, batch: Batch, steps_an_epoch: int) -> dict[str, float]:
        state, settings = self.state, self.settings
        factor = schedule(state.step, settings.epochs * steps_an_epoch, settings.warmup_steps, settings.decay)
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * factor
            optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.bf16):
            losses = self.task.losses(state.network, batch, self.device)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(state.network.parameters(), 10.0)
        for optimizer in state.optimizers:
            optimizer.step()
        state.step += 1
        keep = min(settings.average, (1 + state.step) / (10 + state.step))
        average_into(state.averaged, state.network, keep)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _save(self) -> None:
        self.state.save(self.checkpoint)
        record = {"task": self.task.name, "segments": self.state.segments, "history": self.state.history}
        (self.out / "run.json").write_text(json.dumps(record, indent=1))
        write_curves(self.state.history, self.out / "curves.png", self.task.name)


def averaged_weights(run: Path) -> dict[str, Tensor]:
    """The averaged weights in a run's checkpoint.

    Raises:
        BadInputError: there is none.
    """
    path = run / "checkpoint.pt"
    if not path.is_file():
        raise BadInputError(f"no checkpoint {path}", "a run leaves one after its first epoch", "train first")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["averaged"]
    return weights
