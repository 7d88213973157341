"""The graded encoder: a residual graph network whose distance follows how far limbs are bent. Knows no scores.

As shipped, the 28 numbers of the bones (directions, softened so that a bone seen end-on counts less) stand beside the
22 strongest directions of the learnt embedding: the first tell near matches apart, the second look past the camera.
With `bones_first` the bones are there from the start of training, and the network learns the other 22 numbers beside
them, of any length: it decides pose by pose how much they weigh.

Mirror symmetry is exact by construction. With f the network and M the mirror (x negated, left and right swapped), the
learnt embedding is [f(p) + f(Mp), f(p) - f(Mp)]: mirroring p negates its second half and changes nothing else. Bones
are only swapped and negated. So the cosine of two mirrored poses is the cosine of the two poses.
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

BONE_WEIGHT = 1.5
"""How much the cosine of the bones weighs in the embedding as shipped, where that of the learnt numbers weighs 1."""

HALF = EMBEDDING_SIZE // 2
KEPT = (EMBEDDING_SIZE - 2 * len(BONES)) // 2
"""How many numbers of each half of the learnt embedding are kept beside the bones: 11."""


class GradedEncoder(nn.Module):
    """Residual GCN (or, with `graph=False`, an MLP of about equal size) over positions and bones, mirror-symmetric.

    Args:
        graph: whether joints exchange features along bones; without it the features go straight to the linear maps.
        channels: features per joint in the two graph convolutions.
        hidden: widths of the linear maps after them.
        beside_bones: whether the bones take 28 of the 50 numbers, as shipped; without, all are learnt, as in training.
        bones_first: whether the network learns 22 numbers beside the 28 of the bones from the start.
    """

    masked = True
    bones: Tensor
    first: Tensor
    second: Tensor
    parent: Tensor
    mirrored: Tensor
    flip: Tensor

    def __init__(
        self,
        graph: bool = True,
        channels: int = 16,
        hidden: tuple[int, ...] = (192, 128),
        beside_bones: bool = False,
        bones_first: bool = False,
    ) -> None:
        super().__init__()
        self.settings = {"graph": graph, "channels": channels, "hidden": list(hidden), "beside_bones": beside_bones}
        if bones_first:
            self.settings["bones_first"] = True
        self.bones_first = bones_first
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
        self.head = nn.Sequential(*layers, nn.Linear(size, 2 * KEPT if bones_first else HALF))
        self.kept = nn.ModuleList([nn.Linear(HALF, KEPT, bias=False) for _ in range(2)] if beside_bones else [])

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2] under `mask` [N, 15]. Returns unit vectors [N, 50]; zeros for a pose of no extent."""
        pose, extent = centred(xy, mask)
        mirror_image = torch.index_select(pose * self.flip, 1, self.mirrored)
        mirror_mask = torch.index_select(mask, 1, self.mirrored)
        straight = self.network(pose, mask)
        mirrored = self.network(mirror_image, mirror_mask)
        if self.bones_first:
            bones = unit(self.soft_bones(pose, mask).flatten(1))
            learnt = torch.cat([(straight + mirrored)[:, :KEPT], (straight - mirrored)[:, KEPT:]], 1)
            return unit(torch.cat([bones, learnt], 1)) * extent
        learnt = unit(torch.cat([straight + mirrored, straight - mirrored], 1))
        if len(self.kept):
            even, odd = self.kept
            bones = unit(self.soft_bones(pose, mask).flatten(1)) * BONE_WEIGHT**0.5
            learnt = unit(torch.cat([bones, even(learnt[:, :HALF]), odd(learnt[:, HALF:])], 1))
        return learnt * extent

    def soft_bones(self, pose: Tensor, mask: Tensor) -> Tensor:
        """Bones of a centred pose [N, 15, 2], length l scaled to l / sqrt(l^2 + softening^2): `float32 [N, 14, 2]`."""
        bone = torch.index_select(pose, 1, self.second) - torch.index_select(pose, 1, self.first)
        usable = torch.index_select(mask, 1, self.second) * torch.index_select(mask, 1, self.first)
        return bone / ((bone * bone).sum(2, keepdim=True) + BONE_SOFTENING**2).sqrt() * usable[..., None]

    def network(self, pose: Tensor, mask: Tensor) -> Tensor:
        """The network f itself, of a centred pose [N, 15, 2] and its mask [N, 15]: `float32 [N, 25]`, or [N, 22]."""
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
