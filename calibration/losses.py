"""What training minimises: the paper's contrastive loss, supervised contrast, graded regression. Knows no network."""

import torch
from torch import Tensor

PAPER_MARGIN = 1.35


def cosine_distance(first: Tensor, second: Tensor) -> Tensor:
    """Equation 5, of unit vectors `[N, 50]`: 1 - cosine, `[N]`."""
    return 1 - (first * second).sum(-1)


def contrastive_loss(distance: Tensor, similar: Tensor, margin: float = PAPER_MARGIN) -> Tensor:
    """Equation 4, the mean over pairs.

    Args:
        distance: `float32 [N]`, equation 5.
        similar: `float32 [N]`, the paper's Y, 1 for similar.
        margin: m, 1.35 in the paper.
    """
    together = 0.5 * similar * distance**2
    apart = 0.5 * (1 - similar) * torch.relu(margin - distance) ** 2
    return (together + apart).mean()


def supervised_contrast(embedding: Tensor, label: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss (Khosla et al., 2020, "out" form) over one batch.

    Args:
        embedding: unit vectors `float32 [N, 50]`.
        label: `int64 [N]`; a row with no partner of its label is left out.
        temperature: softness.
    """
    itself = torch.eye(len(embedding), dtype=torch.bool)
    similarity = (embedding @ embedding.T / temperature).masked_fill(itself, -1e9)
    log_probability = similarity - torch.logsumexp(similarity, 1, keepdim=True)
    partner = (label[:, None] == label[None]) & ~itself
    partners = partner.sum(1)
    mean = (log_probability * partner).sum(1) / partners.clamp(min=1)
    return -(mean * (partners > 0)).sum() / (partners > 0).sum().clamp(min=1)


def graded_loss(distance: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Weighted squared error of the distance, the mean over pairs.

    Args:
        distance: `float32 [N]`, equation 5.
        wanted: `float32 [N]`, from the true difference.
        weight: `float32 [N]`, larger for nearly equal poses: near misses decide a score.
    """
    return (weight * (distance - wanted) ** 2).mean()
