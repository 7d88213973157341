"""The optimiser and its schedule: Muon for convolutions, AdamW for the rest. Knows parameters, not what they mean."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al., "Muon" (2024): five steps bring all singular values near 1."""


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrices, roughly; `[B, rows, columns]` to the same.

    Each step multiplies from the left by a polynomial of the Gram matrix, so the steps are taken on the small square
    matrices and applied to the wide one once.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + 1e-7)
    gram = wide @ wide.mT
    identity = torch.eye(gram.shape[1], device=gram.device)
    steps = identity.expand_as(gram)
    for _ in range(5):
        factor = a * identity + b * gram + c * gram @ gram
        steps, gram = factor @ steps, factor @ gram @ factor
    result: Tensor = steps @ wide
    return result.mT if tall else result


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; for convolutions, each a matrix [outputs, inputs * kernel].

    The update is scaled to the size that AdamW's would have, so that both take the same learning rate and weight decay
    (Liu et al., "Muon is scalable for LLM training", 2025).
    """

    def __init__(
        self, parameters: Iterable[Tensor], learning_rate: float, momentum: float = 0.95, decay: float = 0.05
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum, "weight_decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; parameters of one shape are orthogonalised together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                updates = torch.stack([self._momentum(parameter, group["momentum"]) for parameter in parameters])
                updates = orthogonalised(updates.flatten(2).float())
                rows, columns = updates.shape[1:]
                size = 0.2 * max(rows, columns) ** 0.5 * group["lr"]
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update.view(shape), alpha=size)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        average: Tensor = state["average"]
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)


def optimizers(network: nn.Module, kind: str, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Optimisers that together hold every parameter of `network` once.

    Args:
        network: whose parameters.
        kind: `muon` (convolutions by Muon, the rest by AdamW) or `adamw`.
        learning_rate: of all of them, before the schedule.
    """
    matrices, decayed, plain = [], [], []
    for name, parameter in network.named_parameters():
        if parameter.ndim < 4:
            plain.append(parameter)
        elif kind == "muon" and parameter.shape[0] > 1 and "final" not in name and "visibility" not in name:
            matrices.append(parameter)
        else:
            decayed.append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    rest = torch.optim.AdamW([group for group in groups if group["params"]], learning_rate, betas=(0.9, 0.99))
    return [Muon(matrices, learning_rate), rest] if matrices else [rest]


def schedule(step: int, total: int, warmup: int, decay: float) -> float:
    """The factor of the learning rate: linear warm-up, constant, then linear to zero over the last `decay` of the run.

    A run that may go on later is trained with `decay` 0 and finished by a short one with `decay` 1.
    """
    rising = min(1.0, (step + 1) / max(warmup, 1))
    falling = (total - step) / max(decay * total, 1e-9)
    return rising * min(1.0, max(falling, 0.0))
