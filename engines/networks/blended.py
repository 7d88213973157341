"""The blended encoder: waves over the bones and the pose's shape beside a learnt embedding. Knows no labels.

What a network learns from the labels of some actions tells other actions apart, yet it forgets what makes two pictures
of one moment near. Bones and shape remember that. The bones enter as cosines and sines along the directions in which
poses vary most: the product of two such waves is cos(difference), which falls while poses are near and then no further,
so that it ranks near poses and leaves far ones to what was learnt. The shape's spread is evened out, so that small
movements count. Linear maps, fitted after training (`calibration.blending`), bring all down to 50 numbers and move the
middle of the poses towards zero: angles are then taken from there, not from where every pose is much alike.

Mirror symmetry is exact by construction, as in `graded`: 25 numbers are of f(p) + f(Mp) and 25 of f(p) - f(Mp).
"""

from typing import Any

import torch
from torch import Tensor, nn

from engines.networks.graded import HALF, GradedEncoder
from engines.networks.normalise import EMBEDDING_SIZE, centred, unit
from engines.skeleton import BONES

WAVES = 24
"""How many directions of the bones have a cosine and a sine."""

BONE_NUMBERS, SHAPE_NUMBERS = 2 * len(BONES), 30
FEATURES = EMBEDDING_SIZE + 2 * WAVES + SHAPE_NUMBERS


class BlendedEncoder(nn.Module):
    """A graded encoder, waves over the bones, and the shape, side by side.

    Args:
        learnt: the settings of the graded encoder.
    """

    masked = True

    def __init__(self, learnt: dict[str, Any]) -> None:
        super().__init__()
        self.learnt = GradedEncoder(**learnt)
        self.settings = {"learnt": self.learnt.settings}
        self.phases = nn.Linear(BONE_NUMBERS, WAVES)
        self.even_shape = nn.Linear(SHAPE_NUMBERS, SHAPE_NUMBERS, bias=False)
        self.symmetric = nn.Linear(FEATURES, HALF)
        self.antisymmetric = nn.Linear(FEATURES, HALF, bias=False)

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        """Embeds `xy` [N, 15, 2] under `mask` [N, 15]. Returns unit vectors [N, 50]; zeros for a pose of no extent."""
        pose, extent = centred(xy, mask)
        straight = self.features(pose, mask)
        mirrored = self.features(
            torch.index_select(pose * self.learnt.flip, 1, self.learnt.mirrored),
            torch.index_select(mask, 1, self.learnt.mirrored),
        )
        numbers = [self.symmetric(straight + mirrored), self.antisymmetric(straight - mirrored)]
        return unit(torch.cat(numbers, 1)) * extent

    def features(self, pose: Tensor, mask: Tensor) -> Tensor:
        """What is blended, of a centred pose [N, 15, 2] and its mask: learnt, cosines, sines, shape, `[N, 128]`."""
        phases = self.phases(self.bones(pose, mask))
        shape = unit(self.even_shape(pose.flatten(1)))
        return torch.cat([self.learnt(pose, mask), phases.cos(), phases.sin(), shape], 1)

    def bones(self, pose: Tensor, mask: Tensor) -> Tensor:
        """The bones of a centred pose as one unit vector, `float32 [N, 28]`."""
        return unit(self.learnt.soft_bones(pose, mask).flatten(1))
