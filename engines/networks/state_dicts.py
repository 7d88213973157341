"""Reads weights files and puts them into networks, strictly. Knows names and shapes; executes and downloads nothing."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.errors import EngineError

NAMES_SHOWN = 5


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def fill(network: nn.Module, weights: Mapping[str, Tensor], what: str, allowed: str) -> None:
    """Puts weights into a network that must fit it exactly.

    Args:
        network: to be filled, in place; float32 whatever the weights' precision.
        weights: name -> value; the batch norms' `num_batches_tracked` may be absent.
        what: the network, for the error: `an HRNet of width 32`.
        allowed: the weights that fit it, for the error.

    Raises:
        EngineError: keys are missing or unexpected, or a shape is wrong; they are named.
    """
    expected = network.state_dict()
    counters = {name: value for name, value in expected.items() if name.endswith("num_batches_tracked")}
    weights = {**counters, **weights}
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    wrong = [
        f"{name} {list(weights[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if name in weights and weights[name].shape != value.shape
    ]
    problems = [
        f"{len(names)} {kind} ({_named(names)})"
        for kind, names in (("missing keys", missing), ("unexpected keys", unexpected), ("wrong shapes", wrong))
        if names
    ]
    if problems:
        raise EngineError(
            f"weights do not fit {what}: {'; '.join(problems)}",
            allowed,
            "choose the network that the file was made for, or fetch the file again",
        )
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.pth` or `.safetensors` file; nothing in the file is executed.

    Raises:
        EngineError: the file is missing, damaged, needs code to load, or holds no state dict.
    """
    allowed, next_step = "a .pth state dict or .safetensors file is read", "fetch the file again, or name another"
    if not path.is_file():
        raise EngineError(f"no weights file {path}", allowed, next_step)
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch wonders aloud at a broken pickle
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader of a broken pickle can stumble anywhere: IndexError, TypeError, ...
        raise EngineError(f"{path} cannot be read as weights ({type(error).__name__})", allowed, next_step) from error
    nested = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(nested, dict) or not nested or not all(isinstance(value, Tensor) for value in nested.values()):
        raise EngineError(f"{path} holds no state dict", allowed, next_step)
    return dict(nested)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
