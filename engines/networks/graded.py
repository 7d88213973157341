"""The graded encoder: a residual graph network whose distance follows how far limbs are bent. Knows no scores.

Mirror symmetry is exact by construction: with f the network and M the mirror (x negated, left and right swapped), the
embedding is [f(p) + f(Mp), f(p) - f(Mp)]. Mirroring p negates its second half and changes nothing else, so the cosine
of two mirrored poses is the cosine of the two poses.
"""

import torch
from torch import Tensor, nn

from engines.networks.normalise import EMBEDDING_SIZE, EPSILON, adjacency, centred, unit
from engines.skeleton import MIRRORED_JOINT, PARENT

JOINT_FEATURES = 7
"""Per joint: position (2), bone to the parent (2), its direction (2), usable or not (1)."""

DIRECTION_SOFTENING = 1e-3
"""Added to a bone's length where its direction is taken, so that a bone seen end-on has no wild direction."""


class GradedEncoder(nn.Module):
    """Residual GCN (or, with `graph=False`, an MLP of about equal size) over positions and bones, mirror-symmetric.

    Args:
        graph: whether joints exchange features along bones; without it the features go straight to the linear maps.
        channels: features per joint in the two graph convolutions.
        hidden: widths of the linear maps after them.
    """

    masked = True
    bones: Tensor
    parent: Tensor
    mirrored: Tensor
    flip: Tensor

    def __init__(self, graph: bool = True, channels: int = 16, hidden: tuple[int, ...] = (192, 128)) -> None:
        super().__init__()
        self.settings = {"graph": graph, "channels": channels, "hidden": list(hidden)}
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
        self.head = nn.Sequential(*layers, nn.Linear(size, EMBEDDING_SIZE // 2))

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2] under `mask` [N, 15]. Returns unit vectors [N, 50]; zeros for a pose of no extent."""
        pose, extent = centred(xy, mask)
        mirror_image = torch.index_select(pose * self.flip, 1, self.mirrored)
        mirror_mask = torch.index_select(mask, 1, self.mirrored)
        straight = self.network(pose, mask)
        mirrored = self.network(mirror_image, mirror_mask)
        return unit(torch.cat([straight + mirrored, straight - mirrored], 1)) * extent

    def network(self, pose: Tensor, mask: Tensor) -> Tensor:
        """The network f itself, of a centred pose [N, 15, 2] and its mask [N, 15]: `float32 [N, 25]`."""
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
