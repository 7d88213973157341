"""One shape for everything that compares poses: encoders and classical distances. Knows no data set."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from calibration.baselines import CLASSICAL
from calibration.datasets.poseset import Floats
from engines.skeleton import PARENT

Floats64 = npt.NDArray[np.float64]
ENCODER_HELP = (
    "graded (default) or bones, which leave unseen joints out; paper or mlp, which need all; or a .safetensors"
)


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to compare poses.

    Attributes:
        name: as it stands in the tables.
        pairs: distance of two arrays of poses `[N, 15, 2]` under a common mask `[N, 15]`: `float64 [N]`.
        matrix: distance of every pose `[N, 15, 2]` to every other: `[N, N]`.
    """

    name: str
    pairs: Callable[[Floats, Floats, Floats], Floats64]
    matrix: Callable[[Floats], npt.NDArray[np.floating]]


def embed(encoder: nn.Module, xy: Floats, mask: Floats, chunk: int = 4096) -> Floats:
    """Embeddings `float32 [N, 50]` of poses `[N, 15, 2]` under masks `[N, 15]`."""
    parts = [np.zeros((0, 50), np.float32)]
    with torch.no_grad():
        for start in range(0, len(xy), chunk):
            rows = slice(start, start + chunk)
            part = encoder(torch.tensor(xy[rows], dtype=torch.float32), torch.tensor(mask[rows], dtype=torch.float32))
            parts.append(part.numpy())
    return np.concatenate(parts)


def everything_visible(xy: Floats) -> Floats:
    """The mask `float32 [N, 15]` under which every joint counts."""
    return np.ones(xy.shape[:2], np.float32)


def encoder_method(name: str, encoder: nn.Module) -> Method:
    """An encoder's cosine distance (equation 5); one without a mask sees a missing joint where its parent is."""

    def pairs(first: Floats, second: Floats, mask: Floats) -> Floats64:
        if not encoder.masked:
            first, second = at_parent(first, mask), at_parent(second, mask)
        one, other = embed(encoder, first, mask).astype(np.float64), embed(encoder, second, mask)
        distance: Floats64 = 1 - (one * other).sum(1)
        return distance

    def matrix(xy: Floats) -> npt.NDArray[np.floating]:
        embedding = embed(encoder, xy, everything_visible(xy))
        return 1 - embedding @ embedding.T

    return Method(name, pairs, matrix)


def classical_method(name: str) -> Method:
    """One of the classical distances; it sees a missing joint where the joint's parent is."""
    distance = CLASSICAL[name]

    def pairs(first: Floats, second: Floats, mask: Floats) -> Floats64:
        return distance.pairs(at_parent(first, mask), at_parent(second, mask))

    return Method(name, pairs, distance.matrix)


def at_parent(xy: Floats, mask: Floats) -> Floats:
    """Poses `[N, 15, 2]` with each joint of mask 0 moved to its nearest usable ancestor (the pelvis at last)."""
    moved = xy.copy()
    for joint in (3, 2, 4, 10, 1, 5, 9, 11, 14, 0, 6, 8, 12, 7, 13):  # parents before children
        missing = mask[:, joint] == 0
        moved[missing, joint] = moved[missing, PARENT[joint]]
    return moved
