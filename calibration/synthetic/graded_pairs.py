"""Pairs of pictures of synthetic people, and the distance their poses deserve. Knows no encoder and no real data.

The wanted distance is 1 - exp(-difference): 0 for the same pose, near 1 for poses that share nothing. The difference is
mostly taken between the 3D poses, before the camera, so that an encoder that reaches it has learnt to look past the
camera; a smaller part is how much the pictures themselves differ, so that of two equal poses the one seen from the same
side is nearer.
"""

import dataclasses
import math

import torch
from torch import Tensor

from calibration.limb_bends import LIMBS
from calibration.synthetic.bodies import BONE_WEIGHTS, bent_bodies, joint_positions, random_bodies, random_lengths
from calibration.synthetic.geometry import RADIANS, chance, normal, rotate_flat, rotation, uniform, unit3
from engines.networks.normalise import unit

WEIGHT_FLOOR = 0.03
"""Keeps the weight of equal poses finite."""


@dataclasses.dataclass(frozen=True)
class GradedSettings:
    """What the synthetic pairs look like.

    Attributes:
        pairs: pairs of two bodies in a batch.
        bends: pairs of a picture and the same picture with one limb bent, in a batch.
        sharpness: how fast the wanted distance rises with the 3D difference.
        appearance: how fast it rises with the difference of the two shapes in the picture.
        bend_sharpness: how fast it rises with 1 - cos(bend).
        yaw: standard deviation of the second camera's turn about the person, radians.
        jitter: standard deviation of each coordinate, as a share of the longer side of the pose's box.
        dropping: share of pairs with joints dropped (one in five joints, the same on both sides).
    """

    pairs: int = 320
    bends: int = 96
    sharpness: float = 3.0
    appearance: float = 0.8
    bend_sharpness: float = 0.7
    yaw: float = 0.1
    jitter: float = 0.01
    dropping: float = 0.3


@dataclasses.dataclass(frozen=True)
class GradedBatch:
    """Pairs with their common mask and wanted distance.

    Attributes:
        first: `float32 [N, 15, 2]`, y down.
        second: `float32 [N, 15, 2]`.
        mask: `float32 [N, 15]`, 1 where the joint may be used.
        wanted: `float32 [N]`, cosine distance.
        weight: `float32 [N]`, how much the pair counts; most for equal poses, as near misses decide a score.
    """

    first: Tensor
    second: Tensor
    mask: Tensor
    wanted: Tensor
    weight: Tensor


def graded_batch(settings: GradedSettings, generator: torch.Generator, real: Tensor | None = None) -> GradedBatch:
    """A new batch of `pairs + bends` pairs; half of the bent pictures are of `real` poses [R, 15, 2] if given."""
    first, second, wanted = _two_bodies(settings, generator)
    original = first[: settings.bends]
    if real is not None:
        chosen = torch.randint(0, len(real), (settings.bends // 2,), generator=generator)
        original = torch.cat([real[chosen], original[settings.bends // 2 :]])
    bent, bent_wanted = bent_pictures(original, settings.bend_sharpness, generator)
    mask = dropped(len(first) + len(bent), settings.dropping, generator)
    return GradedBatch(
        torch.cat([first, original]),
        torch.cat([second, bent]),
        mask,
        torch.cat([wanted, bent_wanted]),
        1 / (torch.cat([wanted, bent_wanted]) + WEIGHT_FLOOR),
    )


def _two_bodies(settings: GradedSettings, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two bodies, each another person before another camera; nearly half differ by bent limbs, a fifth altogether."""
    count, g = settings.pairs, generator
    body, other = random_bodies(count, g), random_bodies(count, g)
    share = torch.rand(count, 1, 1, generator=g) ** 2  # mostly near the first: near misses decide a score
    between = unit3(body * (1 - share) + other * share)
    kind = torch.rand(count, generator=g)[:, None, None]
    second = torch.where(kind < 0.45, bent_bodies(body, g), torch.where(kind < 0.8, between, other))
    weights = torch.tensor(BONE_WEIGHTS)
    difference = ((1 - (body * second).sum(-1)) * weights).sum(1) / weights.sum()
    yaw, pitch = uniform(count, -math.pi, math.pi, g), normal(count, 8 * RADIANS, g)
    picture = photographed(body, yaw, pitch, g)
    yaw, pitch = yaw + normal(count, settings.yaw, g), pitch + normal(count, 6 * RADIANS, g)
    other_picture = photographed(second, yaw, pitch, g)
    noise = torch.randn(2, count, 15, 2, generator=g) * settings.jitter
    exponent = settings.sharpness * difference + settings.appearance * shape_difference(picture, other_picture)
    return picture + noise[0], other_picture + noise[1], 1 - torch.exp(-exponent)


def shape_difference(first: Tensor, second: Tensor) -> Tensor:
    """1 - cosine of two batches of shapes `[N, 15, 2]` about their middles (Procrustes without rotation): `[N]`."""
    shapes = [unit((xy - xy.mean(1, keepdim=True)).flatten(1)) for xy in (first, second)]
    return 1 - (shapes[0] * shapes[1]).sum(1)


def photographed(body: Tensor, yaw: Tensor, pitch: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures of random people holding the poses: `float32 [N, 15, 2]`, y down, longer side of the box 1."""
    count, g = len(body), generator
    joints = joint_positions(body, random_lengths(count, g))
    joints = joints - joints.mean(1, keepdim=True)
    camera = rotation(2, normal(count, 3 * RADIANS, g)) @ rotation(0, pitch) @ rotation(1, yaw)
    seen = torch.einsum("nij,nbj->nbi", camera, joints)
    nearness = 1 / (1 - seen[..., 2] / uniform(count, 18, 60, g)[:, None])
    picture = torch.stack([seen[..., 0] * nearness, -seen[..., 1] * nearness], -1)
    return picture / (picture.amax(1) - picture.amin(1)).amax(1)[:, None, None]


def bent_pictures(xy: Tensor, sharpness: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The pictures with one limb bent by up to 90 degrees and slightly disturbed, and the distance that deserves."""
    count, g = len(xy), generator
    moved = torch.zeros(len(LIMBS), 15)
    for number, joints in enumerate(LIMBS.values()):
        moved[number, list(joints)] = 1
    limb = torch.randint(0, len(LIMBS), (count,), generator=g)
    angle = uniform(count, -90, 90, g) * RADIANS
    corner = xy[torch.arange(count), torch.tensor(tuple(LIMBS))[limb]][:, None]
    share = moved[limb][..., None]
    bent = xy * (1 - share) + (rotate_flat(xy - corner, angle) + corner) * share
    turned = rotate_flat(bent - bent.mean(1, keepdim=True), uniform(count, -6, 6, g) * RADIANS)
    stretched = turned * torch.exp(torch.randn(count, 1, 2, generator=g) * 0.03)
    disturbed = stretched + torch.randn(count, 15, 2, generator=g) * 0.006
    return disturbed, 1 - torch.exp(-sharpness * (1 - angle.cos()))


def dropped(count: int, dropping: float, generator: torch.Generator) -> Tensor:
    """Masks `float32 [N, 15]`: in a share `dropping` of them one joint in five is 0."""
    drop = chance(count, dropping, generator)[:, None] & (torch.rand(count, 15, generator=generator) < 0.2)
    return 1 - drop.to(torch.float32)
