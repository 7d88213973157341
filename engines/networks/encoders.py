"""Pose encoders: 15 joints and a mask in, a 50-dimensional embedding out. Knows nothing of pictures or scores.

Every encoder is a module called as `encoder(xy, mask)`, with `xy` float32 [N, 15, 2] in px (any scale) and `mask`
float32 [N, 15], 1 where the joint may be used and 0 where it must have no influence. It returns `float32 [N, 50]`, unit
vectors, or zeros where nothing can be said (no usable joint, degenerate pose). It never returns NaN. `encoder.masked`
is False where the method knows no mask (`paper`, `mlp`): the mask is then ignored.
"""

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import BadInputError
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


def paper_adjacency() -> Tensor:
    """The fixed matrix of equation 3, `[15, 15]`: D^-1/2 (C + I) D^-1/2, where C already holds the diagonal."""
    connected = np.eye(15)
    for first, second in BONES:
        connected[first, second] = connected[second, first] = 1
    connected += np.eye(15)
    degree = connected.sum(1)
    return torch.tensor(connected / np.sqrt(np.outer(degree, degree)), dtype=torch.float32)


class PaperEncoder(nn.Module):
    """GCN-PSN exactly as published: min-max, two 2-channel graph convolutions without bias, MLP 30-40-50-50.

    Activations the paper leaves open: ReLU between the linear maps, none after the last (PAPER.md, "Gaps").
    """

    masked = False
    adjacency: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("adjacency", paper_adjacency(), persistent=False)
        self.convolution1 = nn.Linear(2, 2, bias=False)
        self.convolution2 = nn.Linear(2, 2, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 50), nn.ReLU(), nn.Linear(50, EMBEDDING_SIZE)
        )

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2]; `mask` is ignored, the method knows none. Returns unit vectors [N, 50]."""
        hidden = min_max(xy)
        hidden = torch.relu(self.adjacency @ self.convolution1(hidden))
        hidden = torch.relu(self.adjacency @ self.convolution2(hidden))
        return unit(self.mlp(hidden.flatten(1)))


class BonesEncoder(nn.Module):
    """Classical bone directions, no weights: 14 unit vectors side by side, those with an unusable end left out.

    The cosine of two embeddings under one mask is then the mean cosine of the angles between their bones.
    """

    masked = True
    first: Tensor
    second: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("first", torch.tensor([bone[0] for bone in BONES]), persistent=False)
        self.register_buffer("second", torch.tensor([bone[1] for bone in BONES]), persistent=False)

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2] under `mask` [N, 15]. Returns unit vectors [N, 50], the last 22 entries zero."""
        bones = torch.index_select(xy, 1, self.second) - torch.index_select(xy, 1, self.first)
        usable = torch.index_select(mask, 1, self.second) * torch.index_select(mask, 1, self.first)
        directions = (unit(bones) * usable[..., None]).flatten(1)  # [N, 28]
        return unit(nn.functional.pad(directions, (0, EMBEDDING_SIZE - 2 * len(BONES))))


SHIPPED_ENCODERS = ("bones",)


def load_encoder(name: str) -> BonesEncoder:
    """The shipped encoder of that name, ready to run.

    Raises:
        BadInputError: no encoder has that name.
    """
    if name != "bones":
        raise BadInputError(
            f"--encoder {name} is not known", f"{', '.join(SHIPPED_ENCODERS)} are allowed", "give --encoder bones"
        )
    return BonesEncoder().eval()
