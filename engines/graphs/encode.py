"""The Siamese network as one graph: a live pose and the targets in, distances and scores out. Knows no picture."""

import torch
from torch import Tensor, nn

from engines.networks.normalise import EMBEDDING_SIZE

JOINT_COUNT = 15


class Encode(nn.Module):
    """`joints` [K, 15, 3], `targets` [T, 15, 3], `counts` [T, 15], `width` [T] -> `embedding`, `distance`, `score`.

    Each pair is compared under its common mask: a joint takes part when the target counts it and it is visible in both.
    `distance` is equation 5 of the paper, 1 - cosine; `score` is equation 6, 100 exp(-(distance / width)^2 / 2). A row
    of zeros in `joints` gives zeros; a pair with no joint in common has distance 1, whatever the encoder.
    """

    def __init__(self, encoder: nn.Module, visible_confidence: float) -> None:
        """`encoder(xy [N, 15, 2], mask [N, 15]) -> [N, 50]`, unit vectors."""
        super().__init__()
        self.encoder = encoder
        self.visible_confidence = visible_confidence

    def forward(self, joints: Tensor, targets: Tensor, counts: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class. Returns `embedding` [K, 50], `distance` [K, T], `score` [K, T]."""
        people, count = joints.shape[0], targets.shape[0]
        seen = (joints[..., 2] >= self.visible_confidence).float()  # [K, 15]
        usable = (targets[..., 2] >= self.visible_confidence).float() * counts  # [T, 15]
        there = (joints[..., 2].amax(1, keepdim=True) > 0).float()  # [K, 1]
        mask = (seen[:, None] * usable[None]).reshape(-1, JOINT_COUNT)  # [K*T, 15]
        live = joints[:, None, :, :2].expand(people, count, JOINT_COUNT, 2).reshape(-1, JOINT_COUNT, 2)
        wanted = targets[None, :, :, :2].expand(people, count, JOINT_COUNT, 2).reshape(-1, JOINT_COUNT, 2)
        # one pass for the people by themselves and both sides of each pair: few operators
        rows = self.encoder(torch.cat([joints[..., :2], live, wanted]), torch.cat([seen, mask, mask]))
        pairs = rows[people:].reshape(2, -1, EMBEDDING_SIZE)
        cosine = (pairs[0] * pairs[1]).sum(-1) * mask.amax(1)
        distance = (1 - cosine.reshape(people, count)).clamp(min=0) * there
        score = 100 * torch.exp(-0.5 * (distance / width) ** 2) * there
        return rows[:people].reshape(people, EMBEDDING_SIZE) * there, distance, score
