"""What a batch is and what it costs: the paper's recipe and the graded one. Knows losses and pairs, not the loop."""

import dataclasses

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calibration.datasets.poseset import PoseSet
from calibration.limb_bends import BendSet, bend_test
from calibration.losses import PAPER_MARGIN, contrastive_loss, cosine_distance, graded_loss, supervised_contrast
from calibration.measures import area_under_curve, spearman
from calibration.pairs import Pairs, label_pairs
from calibration.synthetic.families import FamilySettings, families
from calibration.synthetic.graded_pairs import WEIGHT_FLOOR, GradedSettings, bent_pictures, dropped, graded_batch
from calibration.training import BatchLoss, Validation
from engines.networks.graded import HALF, KEPT, GradedEncoder

PAPER_BATCH = 64
PHASES = 4
CONTRAST_BATCH, CONTRAST_EACH, CONTRAST_WEIGHT = 96, 4, 0.1
"""Real poses in a batch of the supervised contrast, how many of them have one label, and what it weighs."""

STRANGERS_WEIGHT, BENDS_WEIGHT = 0.5, 4.0
"""What pairs of two families and bent limbs weigh, where pairs of one family weigh 1."""


@dataclasses.dataclass(frozen=True)
class LabelledPoses:
    """Complete poses with the labels that say which belong together.

    Attributes:
        xy: `float32 [N, 15, 2]`, the longer side of each pose's box 1.
        similar: `int64 [N]`, equal for similar poses (activity; action and quarter of the sequence).
        action: `int64 [N]`, different for dissimilar poses.
        group: `int64 [N]`, poses of one group are no similar pair.
    """

    xy: npt.NDArray[np.float32]
    similar: npt.NDArray[np.int64]
    action: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]


def labelled(poses: PoseSet) -> LabelledPoses:
    """The complete poses; similar means the same label and the same quarter of the sequence."""
    complete = poses.complete()
    side = (complete.xy.max(1) - complete.xy.min(1)).max(1)[:, None, None]
    quarter = np.minimum((complete.phase * PHASES).astype(np.int64), PHASES - 1)
    xy = (complete.xy - complete.xy.mean(1, keepdims=True)) / np.maximum(side, 1e-6)
    return LabelledPoses(xy.astype(np.float32), complete.label * PHASES + quarter, complete.label, complete.group)


class PairSampler:
    """Draws similar and dissimilar pairs of one set of poses; holds them sorted by label.

    Args:
        poses: the poses to draw from.
    """

    def __init__(self, poses: LabelledPoses) -> None:
        self.xy = torch.from_numpy(poses.xy)
        self.action = torch.from_numpy(poses.action)
        index = np.unique(poses.similar, return_inverse=True)[1]
        self.label = torch.from_numpy(index.astype(np.int64))
        self.order = torch.from_numpy(np.argsort(index, kind="stable"))
        self.size = torch.from_numpy(np.bincount(index))
        self.start = torch.cumsum(self.size, 0) - self.size

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Two poses `[count, 15, 2]` each and Y `float32 [count]`; half are similar on average.

        A dissimilar draw of the same action is drawn again, up to eight times; then a similar pair takes its place.
        """
        first = torch.randint(0, len(self.xy), (count,), generator=generator)
        label = self.label[first]
        place = (torch.rand(count, generator=generator) * self.size[label]).long()
        partner = self.order[self.start[label] + place]
        other = torch.randint(0, len(self.xy), (count,), generator=generator)
        for _ in range(8):
            again = torch.randint(0, len(self.xy), (count,), generator=generator)
            other = torch.where(self.action[other] == self.action[first], again, other)
        similar = (torch.rand(count, generator=generator) < 0.5) | (self.action[other] == self.action[first])
        second = torch.where(similar, partner, other)
        return self.xy[first], self.xy[second], similar.float()

    def draw_labelled(self, count: int, each: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`count` poses `[count, 15, 2]` and labels, `each` of one label, for the supervised contrast."""
        labels = torch.randint(0, len(self.size), (count // each,), generator=generator).repeat_interleave(each)
        place = (torch.rand(len(labels), generator=generator) * self.size[labels]).long()
        return self.xy[self.order[self.start[labels] + place]], labels


def paper_recipe(poses: LabelledPoses, batch: int = PAPER_BATCH, margin: float = PAPER_MARGIN) -> BatchLoss:
    """Equations 4 and 5 on batches of 64 pairs, as published."""
    sampler = PairSampler(poses)

    def loss(encoder: nn.Module, generator: torch.Generator) -> Tensor:
        first, second, similar = sampler.draw(batch, generator)
        embedding = encoder(torch.cat([first, second]), torch.ones(2 * batch, 15))
        return contrastive_loss(cosine_distance(embedding[:batch], embedding[batch:]), similar, margin)

    return loss


def graded_recipe(
    poses: LabelledPoses | None, settings: GradedSettings, contrast: float = 0.0, contrast_batch: int = 96
) -> BatchLoss:
    """Graded regression on synthetic pairs and on bent limbs, plus supervised contrast if asked for.

    Args:
        poses: real poses; half of the bent pictures are made from them. None: synthetic data only.
        settings: what the synthetic pairs look like.
        contrast: weight of the supervised contrast over the real poses' labels.
        contrast_batch: poses in it, four of a label.
    """
    sampler = PairSampler(poses) if poses is not None else None

    def loss(encoder: nn.Module, generator: torch.Generator) -> Tensor:
        batch = graded_batch(settings, generator, sampler.xy if sampler else None)
        count = len(batch.first)
        embedding = encoder(torch.cat([batch.first, batch.second]), torch.cat([batch.mask, batch.mask]))
        result = graded_loss(cosine_distance(embedding[:count], embedding[count:]), batch.wanted, batch.weight)
        if sampler is not None and contrast > 0:
            xy, labels = sampler.draw_labelled(contrast_batch, 4, generator)
            result = result + contrast * supervised_contrast(encoder(xy, torch.ones(len(xy), 15)), labels)
        return result

    return loss


def labels_recipe(poses: LabelledPoses, settings: FamilySettings) -> BatchLoss:
    """Graded regression on families of synthetic people and bent limbs, plus supervised contrast over real labels.

    Args:
        poses: real poses; half of the bent pictures are made from them.
        settings: what the synthetic pictures look like.
    """
    sampler = PairSampler(poses)

    def loss(encoder: nn.Module, generator: torch.Generator) -> Tensor:
        people = families(settings, generator)
        chosen = torch.randint(0, len(sampler.xy), (settings.bends // 2,), generator=generator)
        original = torch.cat([sampler.xy[chosen], people.xy[settings.bends // 2 : settings.bends]])
        bent, wanted = bent_pictures(original, settings.bend_sharpness, generator)
        bent_mask = dropped(len(original), settings.dropping, generator)
        real, labels = sampler.draw_labelled(CONTRAST_BATCH, CONTRAST_EACH, generator)
        real = real + torch.randn(real.shape, generator=generator) * settings.jitter
        pictures = [people.xy, original, bent, real]
        masks = [people.mask, bent_mask, bent_mask, torch.ones(real.shape[:2])]
        embedding = encoder(torch.cat(pictures), torch.cat(masks)).split([len(part) for part in pictures])
        distance = 1 - embedding[0] @ embedding[0].T
        weight = 1 / (people.wanted + WEIGHT_FLOOR)
        result = CONTRAST_WEIGHT * supervised_contrast(embedding[3], labels)
        for pairs, counts in ((people.related, 1.0), (people.strangers, STRANGERS_WEIGHT)):
            if pairs.any():
                result = result + counts * graded_loss(distance[pairs], people.wanted[pairs], weight[pairs])
        bends = cosine_distance(embedding[1], embedding[2])
        return result + BENDS_WEIGHT * graded_loss(bends, wanted, 1 / (wanted + WEIGHT_FLOOR))

    return loss


def beside_bones(encoder: GradedEncoder, xy: npt.NDArray[np.float32]) -> GradedEncoder:
    """A trained graded encoder with the bones beside the strongest directions of what it learnt.

    The directions are the leading right singular vectors of the embeddings of `xy` [N, 15, 2], for each half by itself,
    so that the mirror symmetry stays. Measured, this lifts recall of near matches and costs nothing elsewhere.
    """
    finished = GradedEncoder(**{**encoder.settings, "beside_bones": True})  # type: ignore[arg-type]
    embedding = embed_all(encoder, xy)
    weights = encoder.state_dict()
    for number, half in enumerate((embedding[:, :HALF], embedding[:, HALF:])):
        _, _, directions = np.linalg.svd(half.astype(np.float64), full_matrices=False)
        weights[f"kept.{number}.weight"] = torch.tensor(directions[:KEPT], dtype=torch.float32)
    finished.load_state_dict(weights)
    return finished.eval()


def embed_all(encoder: nn.Module, xy: npt.NDArray[np.float32], chunk: int = 4096) -> npt.NDArray[np.float32]:
    """Embeddings `float32 [N, 50]` of complete poses `[N, 15, 2]`."""
    with torch.no_grad():
        parts = [
            encoder(torch.from_numpy(part), torch.ones(len(part), 15)).numpy()
            for part in np.split(np.ascontiguousarray(xy), range(chunk, len(xy), chunk))
        ]
    return np.concatenate(parts)


def pair_distances(
    encoder: nn.Module, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Equation 5 of two arrays of complete poses `[N, 15, 2]`: `float64 [N]`."""
    distance: npt.NDArray[np.float64] = 1 - (
        embed_all(encoder, first).astype(np.float64) * embed_all(encoder, second)
    ).sum(1)
    return distance


def held_out_validation(poses: LabelledPoses, seed: int = 0, count: int = 5000) -> Validation:
    """AUC of same-label pairs and Spearman on bent limbs, of poses whose labels were kept out of training."""
    generator = np.random.default_rng(seed)
    pairs: Pairs = label_pairs(poses.similar, poses.action, poses.group, count, generator)
    bends: BendSet = bend_test(poses.xy, generator, 300)

    def validate(encoder: nn.Module) -> dict[str, float]:
        distance = pair_distances(encoder, poses.xy[pairs.first], poses.xy[pairs.second])
        bent = pair_distances(encoder, bends.original, bends.bent)
        return {
            "auc": area_under_curve(distance, pairs.similar),
            "bend_spearman": spearman(bent, bends.degrees.astype(float)),
        }

    return validate
