"""The graded encoder: bone directions beside a residual graph network that looks past the camera. Knows no scores.

The cosine of two embeddings is a fixed mean of two: that of the bones (directions, softened so that a bone seen
end-on counts less), which tells near matches apart, and that of a learnt part, which follows the 3D pose.

Mirror symmetry is exact by construction. Bones are only swapped and negated by a mirror M (x negated, left and right
swapped). The learnt part is [f(p) + f(Mp), f(p) - f(Mp)] with f the network: mirroring p negates its second half. So
the cosine of two mirrored poses is the cosine of the two poses.
"""

import torch
from torch import Tensor, nn

from engines.networks.normalise import EMBEDDING_SIZE, EPSILON, adjacency, centred, unit
from engines.skeleton import BONES, MIRRORED_JOINT, PARENT

JOINT_FEATURES = 7
"""Per joint: position (2), bone to the parent (2), its direction (2), usable or not (1)."""

DIRECTION_SOFTENING = 1e-3
"""Added to a bone's length where its direction is taken, so that a bone seen end-on has no wild direction."""

BONE_SOFTENING = 0.8
"""The bone length, in units of the pose's root-mean-square radius, at which a bone counts 71 %."""

BONE_NUMBERS = 2 * len(BONES)
LEARNT_NUMBERS = EMBEDDING_SIZE - BONE_NUMBERS


class GradedEncoder(nn.Module):
    """Bones and a residual GCN (or, with `graph=False`, an MLP of about equal size), mirror-symmetric.

    Args:
        graph: whether joints exchange features along bones; without it the features go straight to the linear maps.
        channels: features per joint in the two graph convolutions.
        hidden: widths of the linear maps after them.
        bone_share: the bones' share of the cosine; the rest is learnt.
    """

    masked = True
    first: Tensor
    second: Tensor
    bones: Tensor
    parent: Tensor
    mirrored: Tensor
    flip: Tensor

    def __init__(
        self,
        graph: bool = True,
        channels: int = 16,
        hidden: tuple[int, ...] = (128, 128),
        bone_share: float = 0.6,
    ) -> None:
        super().__init__()
        self.settings = {"graph": graph, "channels": channels, "hidden": list(hidden), "bone_share": bone_share}
        self.bone_share = bone_share
        self.register_buffer("first", torch.tensor([bone[0] for bone in BONES]), persistent=False)
        self.register_buffer("second", torch.tensor([bone[1] for bone in BONES]), persistent=False)
        self.register_buffer("bones", adjacency(self_loops=1), persistent=False)
        self.register_buffer("parent", torch.tensor(PARENT), persistent=False)
        self.register_buffer("mirrored", torch.tensor(MIRRORED_JOINT), persistent=False)
        self.register_buffer("flip", torch.tensor([-1.0, 1.0]), persistent=False)
        width = JOINT_FEATURES
        self.along_bones, self.own = nn.ModuleList(), nn.ModuleList()
        if graph:
            self.along_bones.extend([nn.Linear(JOINT_FEATURES, channels), nn.Linear(channels, channels)])
            self.own.append(nn.Linear(JOINT_FEATURES, channels))
            width = channels
        layers: list[nn.Module] = []
        size = 15 * width
        for units in hidden:
            layers += [nn.Linear(size, units), nn.GELU()]
            size = units
        self.head = nn.Sequential(*layers, nn.Linear(size, LEARNT_NUMBERS // 2))

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2] under `mask` [N, 15]. Returns unit vectors [N, 50]; zeros for a pose of no extent."""
        bones, learnt, extent = self.parts(xy, mask)
        shares = self.bone_share**0.5, (1 - self.bone_share) ** 0.5
        return unit(torch.cat([bones * shares[0], learnt * shares[1]], 1)) * extent

    def parts(self, xy: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The bones as a unit vector [N, 28], the learnt part as a unit vector [N, 22], and 1 where there is a pose."""
        pose, extent = centred(xy, mask)
        straight = self.network(pose, mask)
        mirror_image = torch.index_select(pose * self.flip, 1, self.mirrored)
        mirrored = self.network(mirror_image, torch.index_select(mask, 1, self.mirrored))
        learnt = unit(torch.cat([straight + mirrored, straight - mirrored], 1))
        return unit(self.soft_bones(pose, mask).flatten(1)), learnt, extent

    def soft_bones(self, pose: Tensor, mask: Tensor) -> Tensor:
        """Bones of a centred pose [N, 15, 2], length l scaled to l / sqrt(l^2 + softening^2): `float32 [N, 14, 2]`."""
        bone = torch.index_select(pose, 1, self.second) - torch.index_select(pose, 1, self.first)
        usable = torch.index_select(mask, 1, self.second) * torch.index_select(mask, 1, self.first)
        return bone / ((bone * bone).sum(2, keepdim=True) + BONE_SOFTENING**2).sqrt() * usable[..., None]

    def network(self, pose: Tensor, mask: Tensor) -> Tensor:
        """The network f itself, of a centred pose [N, 15, 2] and its mask [N, 15]: `float32 [N, 11]`."""
        usable = mask * torch.index_select(mask, 1, self.parent)
        bone = (torch.index_select(pose, 1, self.parent) - pose) * usable[..., None]
        length = (bone * bone).sum(2, keepdim=True).clamp(min=EPSILON * EPSILON).sqrt()
        features = torch.cat([pose, bone, bone / (length + DIRECTION_SOFTENING), mask[..., None]], 2)
        if len(self.along_bones):
            first, second = self.along_bones
            features = torch.relu(self.bones @ first(features) + self.own[0](features))
            features = features + torch.relu(self.bones @ second(features))
        result: Tensor = self.head(features.flatten(1))
        return result
