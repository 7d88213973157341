"""Begins a larger compact network with what a smaller one has learnt. Trains nothing.

After Net2Net (Chen et al. 2016), but with fresh channels beside the old ones instead of copies of them: every old
channel is computed as before from the old ones alone, and learns in training what the new ones have to offer.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engines.errors import EngineError
from engines.networks.hrnet import HRNet
from engines.networks.yolov5_compact import YoloCompact

JOINED_INPUTS = {"stage32.2.join": 4, "down_path16": 2, "down_path8": 2, "up_path16": 2, "up_path32": 2}
"""Layers that take several pictures side by side, of equally many channels each; every block's `join` takes two."""
KINDS = {YoloCompact: "a yolov5_compact", HRNet: "an hrnet_compact"}
OWN_BRANCH = re.compile(r"fuse_layers\.(\d+)\.\1\.weight$")
"""From a branch to itself, where a narrower pose network has no layer: what goes in comes out."""
ADDED = {
    YoloCompact: re.compile(r"\.through\.[1-9]\d*\."),
    HRNet: re.compile(rf"{OWN_BRANCH.pattern}|\.branches\.\d+\.[1-9]\d*\.|^refinement\."),
}
"""What a smaller network may lack: bottlenecks of a detector; of a pose network residual blocks of the branches and
after the last fusion, and the layer from a branch to itself."""
LAST_FUSION = re.compile(r"^stage4\.\d+\.fuse_layers\.0\.|^refinement\.|^(final|visibility)_layer\.weight$")
"""What may be narrower in a pose network."""
COUNTER = "num_batches_tracked"
LAST_NORM = ("body.1.1.weight", "bn2.weight")
"""How the scale of a residual block's last batch norm is called."""
ADDED_SCALE = 0.1
"""Of the last batch norm of a block that the smaller network does not have: nearly only its shortcut counts."""


def joined_inputs(name: str) -> int:
    """How many groups of channels, side by side, the layer of the parameter `name` takes."""
    layer = name.removesuffix(".0.weight")
    if layer.endswith(".join"):
        return JOINED_INPUTS.get(layer, 2)
    first = layer.endswith((".through.0", ".past"))  # the layers of a block that take its input
    return JOINED_INPUTS.get(layer.partition(".")[0], 1) if first else 1


def spread(old: Tensor, new: Tensor, groups: int) -> Tensor:
    """A larger layer's weights: the old ones in the first channels of every group, zero from new to old channels.

    Args:
        old: `[O, I, k, k]`, `I` divisible by `groups`.
        new: `[O', I', k, k]`, fresh ones, no smaller.
        groups: of input channels.
    """
    result = new.clone()
    result[: len(old)] = 0
    for part, former in zip(result.chunk(groups, 1), old.chunk(groups, 1), strict=True):
        part[: len(old), : former.shape[1]] = former
    return result


def begins_as_identity(new: Tensor) -> Tensor:
    """A 1x1 convolution `[O, I, 1, 1]`, O >= I, whose first channels are those that go in."""
    return spread(torch.eye(new.shape[1])[..., None, None], new, 1)


def fits(name: str, old: Tensor, new: Tensor, kind: type) -> bool:
    """Whether a value has room in another one's place, and may be smaller there."""
    if old.shape == new.shape:
        return True
    if kind is HRNet and not (
        LAST_FUSION.match(name) and (name.startswith(("stage4", "refinement")) or len(old) == len(new))
    ):
        return False
    return old.ndim == new.ndim and all(one <= other for one, other in zip(old.shape, new.shape, strict=True))


def widened(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights for `network`, which is no narrower and no shallower than the one `weights` are of.

    Both give the same but for what added blocks do.

    Args:
        weights: of a `yolov5_compact`, or of an `hrnet_compact`, where the last fusion alone may be wider.
        network: a fresh `yolov5_compact` or `hrnet_compact`, whose own weights fill what is new.

    Raises:
        EngineError: `weights` are of another network, or of a larger one.
    """
    result, own, kind = {}, network.state_dict(), type(network)
    odd = [name for name, old in weights.items() if name not in own or not fits(name, old, own[name], kind)]
    odd += [name for name in own.keys() - weights.keys() if not (ADDED[kind].search(name) or name.endswith(COUNTER))]
    if odd:
        raise EngineError(
            f"{len(odd)} weights to begin with do not fit {KINDS[kind]} or are missing ({', '.join(sorted(odd)[:3])})",
            "those of one that is no wider and no deeper are allowed",
            "give another --init, or leave it out",
        )
    for name, fresh in own.items():
        value = fresh.clone()
        old = weights.get(name)
        if old is None and OWN_BRANCH.search(name):
            value = begins_as_identity(value)
        elif old is None:
            value = value * ADDED_SCALE if name.endswith(LAST_NORM) else value
        elif value.ndim == 4:
            value = spread(old.to(value.dtype), value, joined_inputs(name))
        elif value.ndim == 1:
            value[: len(old)] = old
        else:
            value = old.clone()
        result[name] = value
    return result
