"""Small pieces of 3D geometry and random sampling, batched. Knows nothing of bodies."""

import math

import torch
from torch import Tensor

RADIANS = math.pi / 180


def unit3(vectors: Tensor) -> Tensor:
    """Vectors `[..., 3]` scaled to length 1."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.clamp(min=1e-6)


def rotation(axis: int, angle: Tensor) -> Tensor:
    """Rotation matrices `[N, 3, 3]` about coordinate axis 0, 1 or 2 by `angle` [N] radians, right-handed."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = torch.zeros(len(angle), 3, 3)
    matrix[:, axis, axis] = 1
    matrix[:, first, first] = matrix[:, second, second] = angle.cos()
    matrix[:, first, second], matrix[:, second, first] = -angle.sin(), angle.sin()
    return matrix


def rotate_about(vectors: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Rodrigues' formula: `vectors` [N, B, 3] turned about unit `axis` [N, 3] by `angle` [N] radians."""
    around = axis[:, None].expand_as(vectors)
    along = (vectors * around).sum(-1, keepdim=True)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return vectors * cosine + torch.cross(around, vectors, dim=-1) * sine + around * along * (1 - cosine)


def rotate_flat(vectors: Tensor, angle: Tensor) -> Tensor:
    """`vectors` [N, J, 2] turned in the picture by `angle` [N] radians."""
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x, y = vectors.unbind(-1)
    return torch.stack([x * cosine - y * sine, x * sine + y * cosine], -1)


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`[count]` numbers, uniform between `low` and `high`."""
    return torch.rand(count, generator=generator) * (high - low) + low


def normal(count: int, deviation: float, generator: torch.Generator) -> Tensor:
    """`[count]` numbers, normal about zero."""
    return torch.randn(count, generator=generator) * deviation


def chance(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """`bool [count]`, True with the given probability."""
    return torch.rand(count, generator=generator) < probability


def mixture(probabilities: tuple[float, ...], choices: list[Tensor], generator: torch.Generator) -> Tensor:
    """Row by row one of the `choices` (each `[N, ...]`), drawn with the given probabilities."""
    stacked = torch.stack(choices)  # [C, N, ...]
    count = stacked.shape[1]
    drawn = torch.multinomial(torch.tensor(probabilities), count, True, generator=generator)
    return stacked[drawn, torch.arange(count)]
