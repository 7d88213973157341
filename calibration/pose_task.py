"""What the compact pose network learns from person crops, and how. Knows crops and heatmaps, not the training loop."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibration.augment import Augmentation, Sample, augment, best_places
from calibration.composites import recomposed
from calibration.crops import WINDOW_SIZE
from calibration.evaluate_pose import PoseEvaluation, normalised
from calibration.joined_crops import JoinedCrops
from engines.networks.hrnet import HRNET_CONFIGS, HRNet, hrnet

TARGET_SIGMA = 1.2
"""Of the Gaussian that a joint is on a heatmap, in cells of the map, whatever its size."""
VISIBILITY_WEIGHT = 0.5
NEAR_PX = 12.0
"""A joint found this far from its place, px of the window, is worth 0.6 of its confidence; twice as far, 0.14."""


@dataclass(frozen=True)
class PoseBatch:
    """B training examples; places in px of the 192x256 window.

    Attributes:
        pictures: `uint8 [B, h, w, 3]`, BGR.
        places: `float32 [B, 2, 17, 2]`.
        shares: `float32 [B, 2, 17]`.
        visible: `float32 [B, 17]`.
    """

    pictures: Tensor
    places: Tensor
    shares: Tensor
    visible: Tensor

    def __len__(self) -> int:
        return len(self.pictures)


def place_loss(maps: Tensor, places: Tensor, shares: Tensor, sigma: float = TARGET_SIGMA) -> Tensor:
    """Cross-entropy between the softmax of each map and Gaussians at the joint's places, the mean over what is learnt.

    Args:
        maps: `float32 [B, 17, h, w]`, logits.
        places: `float32 [B, 2, 17, 2]`, px of the 192x256 window.
        shares: `float32 [B, 2, 17]`, the weight of each place.
        sigma: of the Gaussian, cells.
    """
    height, width = maps.shape[2:]
    scale = width / WINDOW_SIZE[0]
    columns = torch.arange(width, device=maps.device) / scale  # in window px: map px times 4 at full size
    rows = torch.arange(height, device=maps.device) / scale
    spread = sigma / scale
    across = (-0.5 * ((columns - places[..., :1]) / spread) ** 2).softmax(-1)  # [B, 2, 17, w]
    down = (-0.5 * ((rows - places[..., 1:]) / spread) ** 2).softmax(-1)  # [B, 2, 17, h]
    target = torch.einsum("bpkh,bpkw,bpk->bkhw", down, across, shares)
    log_place = maps.flatten(2).log_softmax(-1).view(maps.shape)
    loss: Tensor = -(target * log_place).sum() / shares.sum().clamp_min(1.0)
    return loss


@torch.no_grad()
def closeness(near: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """How near the places found are to the joints, `float32 [B, 17]`: 1 on the spot, falling with the distance.

    Joints of which no place is known count as 1. Arguments as in `place_loss`, but for `near` `float32 [B, 17, h, w]`,
    whose highest cells are the places found.
    """
    width = near.shape[3]
    best = near.flatten(2).argmax(-1)
    peak = torch.stack([best % width, best // width], -1) * (WINDOW_SIZE[0] / width)  # [B, 17, 2], window px
    apart = torch.linalg.vector_norm(peak[:, None] - places, dim=-1)  # [B, 2, 17]
    nearest = torch.where(shares > 0, apart, torch.inf).amin(1)
    near = (-0.5 * (nearest / NEAR_PX) ** 2).exp()
    return torch.where(shares.sum(1) > 0, near, 1.0)


class PoseTask:
    """Distils `hrnet_compact` from the crops' labels.

    Args:
        crops: the folder with `train`, `holdout` and `coco_gt`.
        cache: where decoded crops are kept.
        augmentation: how far crops are changed.
        batch_size: crops a step.
        size: width and height of the pictures trained on; a smaller one first makes the start several times faster.
        seed: of everything random.
        more: further crop sets to learn from, paths without suffix.
        cutouts: outlines of some of these sets' people, paths without suffix.
    """

    name = "pose"

    def __init__(
        self,
        crops: Path,
        cache: Path,
        augmentation: Augmentation,
        batch_size: int = 32,
        size: tuple[int, int] = WINDOW_SIZE,
        seed: int = 0,
        more: Sequence[Path] = (),
        cutouts: Sequence[Path] = (),
    ) -> None:
        self.crops = JoinedCrops([crops / "train", *more], cache, cutouts)
        self.evaluation = PoseEvaluation(crops)
        self.augmentation, self.batch_size, self.size, self.seed = augmentation, batch_size, size, seed

    def network(self) -> HRNet:
        """A fresh `hrnet_compact`."""
        return hrnet("hrnet_compact")

    def batches(self, epoch: int) -> int:
        """Whole batches in an epoch; the last part of one is left out."""
        return len(self.crops) // self.batch_size

    def batch(self, epoch: int, index: int) -> PoseBatch:
        """Batch `index` of an epoch, the same whenever asked."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.crops))
        rng = np.random.default_rng((self.seed, epoch, index))
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        samples = [self.sample(int(crop), rng) for crop in chosen]
        return PoseBatch(
            torch.from_numpy(np.stack([sample.picture for sample in samples])),
            torch.from_numpy(np.stack([sample.places for sample in samples])),
            torch.from_numpy(np.stack([sample.shares for sample in samples]).astype(np.float32)),
            torch.from_numpy(np.stack([sample.visible for sample in samples]).astype(np.float32)),
        )

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """A random training example from one crop, with another for backgrounds and company."""
        labels, other = self.crops.labels, self.crops.crop(int(rng.integers(len(self.crops))))
        places, shares, visible = labels.places[index], labels.shares[index], labels.visible[index]
        best = best_places(places, shares)
        crop, visible = recomposed(self.crops.crop(index), best, visible, other, self.augmentation, rng)
        label = (places, shares, visible)
        return augment(crop.picture, crop.rect, *label, other.picture, self.augmentation, rng, self.size)

    def losses(self, network: nn.Module, batch: PoseBatch, device: torch.device) -> dict[str, Tensor]:
        """Where the joints are, and how sure one may be of each."""
        assert isinstance(network, HRNet)
        image = normalised(batch.pictures.to(device)).contiguous(memory_format=torch.channels_last)
        maps, near, visibility = network.logits(image)
        places, shares = batch.places.to(device), batch.shares.to(device)
        worth = batch.visible.to(device) * closeness(near, places, shares)
        seen = F.binary_cross_entropy_with_logits(visibility, worth)
        return {
            "place_loss": place_loss(maps.float(), places, shares),
            "visibility_loss": VISIBILITY_WEIGHT * seen,
        }

    def evaluate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        """OKS AP on human labels and PCK against the teacher on the holdout sources."""
        return self.evaluation.metrics(network, device, self.size)

    def record(self) -> dict[str, Any]:
        """Hashes and settings."""
        settings = asdict(self.augmentation)
        return {
            "data_sha256": self.crops.hashes | self.evaluation.hashes,
            "target_sigma": TARGET_SIGMA,
            "network": asdict(HRNET_CONFIGS["hrnet_compact"]),
            "augmentation": settings,
            "settings_key": hashlib.sha256(repr(settings).encode()).hexdigest()[:12],
            "batch_size": self.batch_size,
            "size": list(self.size),
        }
