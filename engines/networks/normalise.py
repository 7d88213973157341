"""Shapes of normalisation shared by the encoders: unit vectors, min-max, masked centring. Knows no network."""

import numpy as np
import torch
from torch import Tensor

from engines.skeleton import BONES

EMBEDDING_SIZE = 50
EPSILON = 1e-6


def unit(vectors: Tensor) -> Tensor:
    """Vectors `[..., D]` scaled to length 1; vectors of length below 1e-6 become (nearly) zero instead of NaN."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.clamp(min=EPSILON)


def min_max(xy: Tensor) -> Tensor:
    """Equations 1 and 2 of the paper: per axis to 0..1 over the 15 joints, `[N, 15, 2]`; a flat axis becomes zeros."""
    low, high = xy.amin(1, keepdim=True), xy.amax(1, keepdim=True)
    return (xy - low) / (high - low).clamp(min=EPSILON)


def centred(xy: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The pose about the mean of its usable joints, in units of their root-mean-square distance from it.

    One scale for both axes keeps the picture's proportions, unlike min-max.

    Args:
        xy: `float32 [N, 15, 2]` px.
        mask: `float32 [N, 15]`, 1 where the joint is usable.

    Returns:
        `float32 [N, 15, 2]`, zeros at unusable joints, and `float32 [N, 1]`, 1 where the pose has any extent, else 0.
    """
    count = mask.sum(1).clamp(min=1)[:, None, None]
    usable = xy * mask[..., None]
    offset = (usable - usable.sum(1, keepdim=True) / count) * mask[..., None]
    spread = ((offset * offset).sum((1, 2), keepdim=True) / count).sqrt()
    return offset / spread.clamp(min=EPSILON), (spread[:, :, 0] > EPSILON).to(xy.dtype)


def adjacency(self_loops: int) -> Tensor:
    """The bones with `self_loops` on the diagonal, scaled by the degrees as in equation 3: `float32 [15, 15]`."""
    connected = np.eye(15) * self_loops
    for first, second in BONES:
        connected[first, second] = connected[second, first] = 1
    degree = connected.sum(1)
    return torch.tensor(connected / np.sqrt(np.outer(degree, degree)), dtype=torch.float32)
