"""Families of like poses before many cameras, each picture to be compared with each. Knows no encoder and no labels.

Where `graded_pairs` makes pairs, this compares all pictures of a batch: far more pairs for each embedded picture. The
wanted distance is the same: 1 - exp(-difference), the difference taken between the 3D poses and, less, between the
pictures.
"""

import dataclasses
import math

import torch
from torch import Tensor

from calibration.synthetic.bodies import BONE_WEIGHTS, bent_bodies, random_bodies
from calibration.synthetic.geometry import RADIANS, normal, uniform, unit3
from calibration.synthetic.graded_pairs import dropped, photographed
from engines.networks.normalise import unit

SHARE_OF_BENT, SHARE_ON_THE_WAY = 0.45, 0.35
"""Members of a family with bent limbs, and those on the way to a stranger's pose; the rest hold its first pose."""


@dataclasses.dataclass(frozen=True)
class FamilySettings:
    """What the pictures look like.

    Attributes:
        families: how many poses a batch is built around.
        members: pictures of each, with poses that differ by little or much.
        bends: pictures with one limb bent, in a batch.
        sharpness: how fast the wanted distance rises with the 3D difference.
        appearance: how fast it rises with the difference of the two shapes in the picture.
        bend_sharpness: how fast it rises with 1 - cos(bend).
        yaw: mean standard deviation of a camera's turn about the person from the family's first camera, radians.
        jitter: standard deviation of each coordinate, as a share of the longer side of the pose's box.
        dropping: share of families, and of bends, with joints dropped (one in five joints, the same in all pictures).
    """

    families: int = 28
    members: int = 6
    bends: int = 64
    sharpness: float = 3.0
    appearance: float = 0.8
    bend_sharpness: float = 0.7
    yaw: float = 0.4
    jitter: float = 0.012
    dropping: float = 0.3


@dataclasses.dataclass(frozen=True)
class Families:
    """Pictures of people, in families of like poses; every picture is to be compared with every other.

    Attributes:
        xy: `float32 [N, 15, 2]`, y down.
        mask: `float32 [N, 15]`, 1 where the joint may be used; the same in a family.
        family: `int64 [N]`.
        wanted: `float32 [N, N]`, the cosine distance of each two.
    """

    xy: Tensor
    mask: Tensor
    family: Tensor
    wanted: Tensor

    @property
    def related(self) -> Tensor:
        """Pairs of one family, `bool [N, N]`; a picture is no pair with itself."""
        return (self.family[:, None] == self.family) & ~torch.eye(len(self.family), dtype=torch.bool)

    @property
    def strangers(self) -> Tensor:
        """Pairs of two families in which every joint may be used, `bool [N, N]`."""
        whole = self.mask.amin(1) > 0
        return (self.family[:, None] != self.family) & whole[:, None] & whole


def families(settings: FamilySettings, generator: torch.Generator) -> Families:
    """A new batch of families, each picture of another person before another camera."""
    count, members, g = settings.families, settings.members - 1, generator
    first = random_bodies(count, g)
    bodies = torch.cat([first, _relatives(first.repeat_interleave(members, 0), g)])
    family = torch.cat([torch.arange(count), torch.arange(count).repeat_interleave(members)])
    yaw, pitch = uniform(count, -math.pi, math.pi, g)[family], normal(count, 8 * RADIANS, g)[family]
    turn = torch.randn(len(family), generator=g) * uniform(len(family), 0, 2 * settings.yaw, g)
    turn[:count] = 0
    pictures = photographed(bodies, yaw + turn, pitch + normal(len(family), 6 * RADIANS, g), g)
    exponent = settings.sharpness * pose_differences(bodies) + settings.appearance * shape_differences(pictures)
    noise = torch.randn(pictures.shape, generator=g) * settings.jitter
    mask = dropped(count, settings.dropping, g)[family]
    return Families(pictures + noise, mask, family, 1 - torch.exp(-exponent))


def _relatives(bodies: Tensor, generator: torch.Generator) -> Tensor:
    """Bodies `[N, 14, 3]` with bent limbs, on the way to a stranger's pose, or as they are."""
    count = len(bodies)
    share = torch.rand(count, 1, 1, generator=generator) ** 2  # mostly near: near misses decide a score
    between = unit3(bodies * (1 - share) + random_bodies(count, generator) * share)
    kind = torch.rand(count, generator=generator)[:, None, None]
    others = torch.where(kind < SHARE_OF_BENT + SHARE_ON_THE_WAY, between, bodies)
    return torch.where(kind < SHARE_OF_BENT, bent_bodies(bodies, generator), others)


def pose_differences(bodies: Tensor) -> Tensor:
    """Weighted mean of 1 - cosine of the bones of each two bodies `[N, 14, 3]`: `[N, N]`."""
    weights = torch.tensor(BONE_WEIGHTS)
    features = (bodies * (weights / weights.sum()).sqrt()[:, None]).flatten(1)
    return (1 - features @ features.T).clamp(min=0)


def shape_differences(pictures: Tensor) -> Tensor:
    """1 - cosine of each two shapes `[N, 15, 2]` about their middles (Procrustes without rotation): `[N, N]`."""
    shapes = unit((pictures - pictures.mean(1, keepdim=True)).flatten(1))
    return (1 - shapes @ shapes.T).clamp(min=0)
