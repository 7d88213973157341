"""Files of trained weights: the mean of several, and how one is written. Trains nothing."""

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from engines.errors import BadInputError
from engines.networks.state_dicts import read_state_dict
from engines.whole_files import write_whole


def mean_of(files: Sequence[Path], shares: Sequence[float] | None = None) -> dict[str, Tensor]:
    """The mean of several networks' weights; counters are the last one's.

    Args:
        files: the weights.
        shares: how much each file counts; by default all the same. They need not add up to 1.

    Raises:
        BadInputError: fewer than two files, not of one network, or not a share for each.
    """
    if len(files) < 2:
        raise BadInputError(f"{len(files)} file", "a mean is of two files or more", "name another")
    counted = [1.0] * len(files) if shares is None else shares
    if len(counted) != len(files):
        raise BadInputError(
            f"{len(counted)} share{'s' * (len(counted) != 1)} for {len(files)} files",
            "each file has its share",
            "give as many of both",
        )
    networks = [read_state_dict(file) for file in files]
    shapes = [{name: value.shape for name, value in weights.items()} for weights in networks]
    for file, these in zip(files[1:], shapes[1:], strict=True):
        if these != shapes[0]:
            raise BadInputError(
                f"{files[0]} and {file} are not of one network", "a mean is of equal shapes", "name other files"
            )
    parts = [one / sum(counted) for one in counted]

    def mixed(name: str) -> Tensor:
        return torch.stack([part * weights[name].float() for part, weights in zip(parts, networks, strict=True)]).sum(0)

    return {name: mixed(name) if last.is_floating_point() else last for name, last in networks[-1].items()}


def write_weights(weights: dict[str, Tensor], to: Path, console: Console) -> None:
    """A `.safetensors` in float16; counters stay whole numbers."""
    from safetensors.torch import save

    small = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    to.parent.mkdir(parents=True, exist_ok=True)
    write_whole(to, save({name: value.contiguous() for name, value in small.items()}))
    console.print(f"{to}: {to.stat().st_size / 1e6:.1f} MB")
