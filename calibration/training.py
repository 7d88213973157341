"""The training loop: steps, checkpoints, resume, the check that a network is alive. Knows no data and no recipe."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engines.errors import BadInputError, PosemirrorError
from engines.networks.encoders import PaperEncoder

BatchLoss = Callable[[nn.Module, torch.Generator], Tensor]
"""Draws a batch with the generator and gives the loss of the encoder on it."""

Validation = Callable[[nn.Module], dict[str, float]]
"""Measures an encoder on poses kept out of training; higher is better for every number."""

SPREAD_OF_DEAD = 1e-5


class DeadEncoderError(PosemirrorError):
    """A network that gives every pose the same embedding, and whose seed is to blame. Exit code 2."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        seed: seed of the weights and of every batch.
        steps: batches in all.
        learning_rate: the rate, or its peak where it is annealed.
        weight_decay: AdamW's; 0 gives plain Adam.
        annealed: whether the rate rises over the first tenth and then falls to 0 (one cycle); else it is constant.
        validate_every: steps between two validations and checkpoints.
    """

    seed: int = 0
    steps: int = 3000
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    annealed: bool = False
    validate_every: int = 500


@dataclasses.dataclass(frozen=True)
class History:
    """What training saw: at each of `steps` the mean loss since the last, and the validation's numbers."""

    steps: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    validation: tuple[dict[str, float], ...] = ()

    def extended(self, step: int, loss: float, validation: dict[str, float]) -> "History":
        """The history with one more entry."""
        return History((*self.steps, step), (*self.loss, loss), (*self.validation, validation))


def check_alive(encoder: nn.Module, xy: Tensor, seed: int) -> None:
    """Refuses a network that can never learn.

    Args:
        encoder: any encoder.
        xy: `float32 [N, 15, 2]`, different poses.
        seed: the seed that its weights came from.

    Raises:
        DeadEncoderError: every pose gets the same embedding, or (paper) both graph channels are zero for every pose.
    """
    with torch.no_grad():
        dead = bool(encoder(xy, torch.ones(xy.shape[:2])).std(0).max() < SPREAD_OF_DEAD)
        if isinstance(encoder, PaperEncoder):
            dead = dead or not bool(encoder.graph_features(xy).any())
    if dead:
        raise DeadEncoderError(
            f"seed {seed} gave a dead {type(encoder).__name__}: every pose has the same embedding",
            "an encoder must tell poses apart",
            f"train with another seed (--first-seed {seed + 1})",
        )


def dead_channels(encoder: PaperEncoder, xy: Tensor) -> int:
    """How many of the two channels of the last graph convolution are zero for every pose `[N, 15, 2]`: 0, 1 or 2."""
    with torch.no_grad():
        return int((~encoder.graph_features(xy).flatten(0, 1).any(0)).sum())


def new_optimiser(
    encoder: nn.Module, schedule: Schedule
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Adam (AdamW with decay) and its learning-rate schedule."""
    optimiser = torch.optim.AdamW(
        encoder.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay, foreach=True
    )
    if schedule.annealed:
        return optimiser, torch.optim.lr_scheduler.OneCycleLR(
            optimiser, schedule.learning_rate, schedule.steps, pct_start=0.1
        )
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)


def train(
    new_encoder: Callable[[], nn.Module],
    batch_loss: BatchLoss,
    validate: Validation,
    poses: Tensor,
    schedule: Schedule,
    checkpoint: Path | None = None,
    on_step: Callable[[int], None] = lambda _: None,
) -> tuple[nn.Module, History]:
    """Trains one encoder; with a checkpoint on disk it goes on from there, and ends as if never interrupted.

    Args:
        new_encoder: makes the encoder; called right after the seed is set.
        batch_loss: the recipe.
        validate: called every `validate_every` steps and at the end.
        poses: `float32 [N, 15, 2]`, to check at the start and the end that the network is alive.
        schedule: how long, how fast, which seed.
        checkpoint: file to write after each validation, and to resume from.
        on_step: called with the number of finished steps.

    Returns:
        The trained encoder in evaluation mode, and its history.

    Raises:
        DeadEncoderError: the network is dead at birth or at the end.
        BadInputError: the checkpoint belongs to other settings.
    """
    torch.manual_seed(schedule.seed)
    generator = torch.Generator().manual_seed(schedule.seed)
    encoder = new_encoder()
    optimiser, rate = new_optimiser(encoder, schedule)
    history, start = History(), 0
    if checkpoint is not None and checkpoint.is_file():
        history, start = _resume(checkpoint, schedule, encoder, optimiser, rate, generator)
    check_alive(encoder, poses, schedule.seed)
    total, counted = torch.zeros(()), 0
    for step in range(start + 1, schedule.steps + 1):
        loss = batch_loss(encoder, generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
        total, counted = total + loss.detach(), counted + 1
        if step % schedule.validate_every == 0 or step == schedule.steps:
            history = history.extended(step, float(total) / counted, validate(encoder.eval()))
            total, counted = torch.zeros(()), 0
            encoder.train()
            if checkpoint is not None:
                _save(checkpoint, schedule, encoder, optimiser, rate, generator, history)
        on_step(step)
    check_alive(encoder, poses, schedule.seed)
    return encoder.eval(), history


def _fingerprint(schedule: Schedule, encoder: nn.Module) -> str:
    shapes = [(name, tuple(tensor.shape)) for name, tensor in encoder.state_dict().items()]
    text = f"{type(encoder).__name__} {shapes} {dataclasses.asdict(schedule)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _save(
    path: Path,
    schedule: Schedule,
    encoder: nn.Module,
    optimiser: torch.optim.Optimizer,
    rate: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
    history: History,
) -> None:
    state = {
        "fingerprint": _fingerprint(schedule, encoder),
        "encoder": encoder.state_dict(),
        "optimiser": optimiser.state_dict(),
        "rate": {key: value for key, value in rate.state_dict().items() if key != "lr_lambdas"},
        "generator": generator.get_state(),
        "steps": list(history.steps),
        "loss": list(history.loss),
        "validation": list(history.validation),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _resume(
    path: Path,
    schedule: Schedule,
    encoder: nn.Module,
    optimiser: torch.optim.Optimizer,
    rate: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
) -> tuple[History, int]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:
        raise BadInputError(
            f"{path} is not a checkpoint ({type(error).__name__})", "calibration.train writes them", "delete it"
        ) from error
    if state.get("fingerprint") != _fingerprint(schedule, encoder):
        raise BadInputError(
            f"{path} was written by a run with other settings",
            "a run resumes only with the settings it began with",
            "delete it, or give another --out",
        )
    encoder.load_state_dict(state["encoder"])
    optimiser.load_state_dict(state["optimiser"])
    rate.load_state_dict({**rate.state_dict(), **state["rate"]})
    generator.set_state(state["generator"])
    history = History(tuple(state["steps"]), tuple(state["loss"]), tuple(state["validation"]))
    return history, history.steps[-1]
