"""Random plausible human poses in 3D, as directions of bones within joint limits. Knows no camera and no encoder.

Axes: x to the person's left, y up, z forward. The numbers are ours, read off everyday movement, not fitted to any data.
"""

import torch
from torch import Tensor

from calibration.synthetic.geometry import RADIANS, chance, mixture, normal, rotate_about, rotation, uniform, unit3

BODY_BONES = (
    (3, 2), (3, 4), (2, 1), (4, 5), (1, 0), (5, 6), (3, 10), (10, 9), (10, 11), (9, 8), (11, 12), (8, 7), (12, 13),
    (10, 14),
)  # fmt: skip
"""The paper's 14 bones as (from, to), away from the pelvis, in the order in which a body is built."""

BONE_WEIGHTS = (0.3, 0.3, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 0.7)
"""How much each bone's direction counts in the true difference; hips and shoulders say little beyond the torso."""

LENGTHS = (0.55, 0.55, 2.35, 2.35, 2.3, 2.3, 2.65, 0.95, 0.95, 1.6, 1.6, 1.35, 1.35, 0.95)
"""Mean bone lengths; only their ratios matter."""

SIDE_OF_BONE = (0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7)
"""Bones of both sides that share a person's proportion."""

BENDABLE = ((2, 4), (4,), (3, 5), (5,), (9, 11), (11,), (10, 12), (12,), (13,), (6, 7, 8, 9, 10, 11, 12, 13))
"""Parts of the body that move together when one joint bends, as indices into BODY_BONES; the last is the upper body."""


def _leg(count: int, generator: torch.Generator) -> Tensor:
    """Hip flexion, abduction, knee flexion and twist of the thigh, radians, `[N, 4]`."""
    g = generator
    flexion = mixture(
        (0.4, 0.25, 0.35), [normal(count, 8, g), uniform(count, 60, 115, g), uniform(count, -25, 100, g)], g
    )
    abduction = mixture((0.6, 0.4), [normal(count, 7, g) + 5, uniform(count, -10, 60, g)], g)
    knee = mixture((0.4, 0.6), [normal(count, 8, g).abs(), uniform(count, 0, 140, g)], g)
    return torch.stack([flexion, abduction, knee, normal(count, 20, g)], 1) * RADIANS


def _leg_directions(leg: Tensor, side: float) -> Tensor:
    """Thigh and shin of the left (`side` 1) or right (-1) leg, `[N, 2, 3]`; a knee bends backwards only."""
    flexion, abduction, knee, twist = leg.unbind(1)
    thigh = torch.stack([side * abduction.sin(), -abduction.cos() * flexion.cos(), abduction.cos() * flexion.sin()], 1)
    back = torch.stack([torch.zeros_like(flexion), -flexion.sin(), -flexion.cos()], 1)
    sideways = torch.cross(thigh, back, dim=1) * side
    bending = back * twist.cos()[:, None] + sideways * twist.sin()[:, None]
    shin = thigh * knee.cos()[:, None] + bending * knee.sin()[:, None]
    return torch.stack([thigh, unit3(shin)], 1)


def _left_arm(count: int, generator: torch.Generator) -> Tensor:
    """Upper arm and forearm of a left arm, `[N, 2, 3]`: hanging, forward, raised or anywhere in reach."""
    g = generator

    def about(direction: tuple[float, float, float], spread: float) -> Tensor:
        return torch.tensor(direction) + torch.randn(count, 3, generator=g) * spread

    anywhere = torch.randn(count, 3, generator=g)
    out_of_reach = (anywhere[:, 2] < -0.4) | (anywhere[:, 0] < -0.5)
    anywhere = torch.where(out_of_reach[:, None], anywhere * torch.tensor([-1.0, 1.0, -1.0]), anywhere)
    choices = [about((0.15, -1, 0.1), 0.2), about((0.1, 0, 1), 0.35), about((0.2, 1, 0.1), 0.3), unit3(anywhere)]
    upper = unit3(mixture((0.3, 0.15, 0.1, 0.45), choices, g))
    elbow = mixture((0.35, 0.65), [normal(count, 10, g).abs(), uniform(count, 0, 145, g)], g)[:, None] * RADIANS
    inward = about((-0.4, 0.5, 0.7), 0.5)
    inward = unit3(inward - (inward * upper).sum(1, keepdim=True) * upper)
    return torch.stack([upper, upper * elbow.cos() + inward * elbow.sin()], 1)


def _limbs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Left leg, right leg, left arm, right arm, each `[N, 2, 3]`; two of five people move both sides nearly alike."""
    g = generator
    alike = chance(count, 0.4, g)
    left_leg, right_leg = _leg(count, g), _leg(count, g)
    right_leg = torch.where(alike[:, None], left_leg + torch.randn(count, 4, generator=g) * 0.12, right_leg)
    alike = chance(count, 0.4, g)[:, None, None]
    left_arm, right_arm = _left_arm(count, g), _left_arm(count, g)
    right_arm = torch.where(alike, unit3(left_arm + torch.randn(count, 2, 3, generator=g) * 0.15), right_arm)
    across = torch.tensor([-1.0, 1.0, 1.0])
    return _leg_directions(left_leg, 1.0), _leg_directions(right_leg, -1.0), left_arm, right_arm * across


def random_bodies(count: int, generator: torch.Generator) -> Tensor:
    """Random poses as unit bone directions `float32 [N, 14, 3]` in BODY_BONES' order, before any turn about y."""
    g = generator
    left_leg, right_leg, left_arm, right_arm = _limbs(count, g)
    sideways = torch.tensor([1.0, 0.0, 0.0]).expand(count, 3)
    hips = unit3(sideways + torch.randn(count, 3, generator=g) * torch.tensor([0.0, 0.06, 0.03]))
    shrug = torch.randn(count, 2, 3, generator=g) * torch.tensor([0.03, 0.15, 0.12])
    shoulders = unit3(torch.stack([-sideways, sideways], 1) + shrug)
    head = unit3(torch.tensor([0.0, 1.0, 0.25]) + torch.randn(count, 3, generator=g) * 0.25)
    up = torch.tensor([0.0, 1.0, 0.0]).expand(count, 3)
    stoop = mixture((0.6, 0.4), [normal(count, 8, g), uniform(count, -25, 70, g)], g)
    spine = rotation(0, stoop * RADIANS) @ rotation(2, normal(count, 10, g) * RADIANS)
    spine = spine @ rotation(1, normal(count, 20, g) * RADIANS)
    upper = torch.stack(
        [up, shoulders[:, 0], shoulders[:, 1], right_arm[:, 0], left_arm[:, 0], right_arm[:, 1], left_arm[:, 1], head],
        1,
    )
    lower = torch.stack([-hips, hips, right_leg[:, 0], left_leg[:, 0], right_leg[:, 1], left_leg[:, 1]], 1)
    body = torch.cat([lower, torch.einsum("nij,nbj->nbi", spine, upper)], 1)
    pitch = mixture(
        (0.55, 0.3, 0.15), [normal(count, 6, g), uniform(count, -30, 90, g), uniform(count, -180, 180, g)], g
    )
    roll = mixture((0.8, 0.2), [normal(count, 6, g), uniform(count, -90, 90, g)], g)
    whole = rotation(2, roll * RADIANS) @ rotation(0, pitch * RADIANS)
    return torch.einsum("nij,nbj->nbi", whole, body)


def bent_bodies(bodies: Tensor, generator: torch.Generator, limit_degrees: float = 110) -> Tensor:
    """One to three parts of each body turned by up to `limit_degrees` about any axis (the upper body by less)."""
    count = len(bodies)
    moved = torch.zeros(len(BENDABLE), len(BODY_BONES), dtype=torch.bool)
    for number, bones in enumerate(BENDABLE):
        moved[number, list(bones)] = True
    rounds = torch.randint(1, 4, (count,), generator=generator)
    for turn in range(3):
        part = torch.randint(0, len(BENDABLE), (count,), generator=generator)
        axis = unit3(torch.randn(count, 3, generator=generator))
        angle = uniform(count, 0, limit_degrees, generator) * RADIANS
        angle = torch.where(part == len(BENDABLE) - 1, angle * 0.4, angle)
        chosen = moved[part] & (rounds > turn)[:, None]
        bodies = torch.where(chosen[..., None], rotate_about(bodies, axis, angle), bodies)
    return bodies


def random_lengths(count: int, generator: torch.Generator, spread: float = 0.09) -> Tensor:
    """Bone lengths `float32 [N, 14]` of random people; both sides of one person nearly agree."""
    person = torch.exp(torch.randn(count, 8, generator=generator) * spread)[:, list(SIDE_OF_BONE)]
    return torch.tensor(LENGTHS) * person * torch.exp(torch.randn(count, 14, generator=generator) * spread / 2)


def joint_positions(directions: Tensor, lengths: Tensor) -> Tensor:
    """Joints `float32 [N, 15, 3]` of bodies given as bone directions [N, 14, 3] and lengths [N, 14]; pelvis at 0."""
    steps = directions * lengths[..., None]
    joints = [torch.zeros(len(directions), 3)] * 15
    for bone, (start, end) in enumerate(BODY_BONES):
        joints[end] = joints[start] + steps[:, bone]
    return torch.stack(joints, 1)
