"""Training by the paper's pair rule on performances with a known outcome. Knows no table and no command line."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calibration.datasets.outcomes import OutcomeSet
from calibration.losses import contrastive_loss, cosine_distance
from calibration.methods import Method, encoder_method
from calibration.outcome_scores import distance_to_good_half, folds_by_performer, sequence_distances
from calibration.pairs import Pairs, paper_pairs
from calibration.recipes import PAPER_BATCH
from calibration.training import BatchLoss, DeadEncoderError, Schedule, train
from engines.errors import BadInputError
from engines.networks.encoders import MlpEncoder, PaperEncoder

Floats64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
PAPER_ENCODERS: dict[str, type[nn.Module]] = {"paper": PaperEncoder, "mlp": MlpEncoder}
SEEDS_TO_TRY = 20


def paired_recipe(sequences: Tensor, pairs: Pairs, batch: int = PAPER_BATCH) -> BatchLoss:
    """The paper's loss on frames of equal phase of paired performances; half of a batch is similar.

    Args:
        sequences: `float32 [S, F, 15, 2]`.
        pairs: pairs of performances by the paper's rule.
        batch: pairs of frames in a batch.

    Raises:
        BadInputError: the rule found no similar or no dissimilar pair.
    """
    couples = torch.from_numpy(np.stack([pairs.first, pairs.second], 1))
    similar = torch.from_numpy(np.flatnonzero(pairs.similar))
    dissimilar = torch.from_numpy(np.flatnonzero(~pairs.similar))
    if not len(similar) or not len(dissimilar):
        raise BadInputError(
            f"{len(similar)} similar and {len(dissimilar)} dissimilar pairs",
            "the paper's rule needs both kinds",
            "use more performances or a smaller --minimum-deviations",
        )
    frames = sequences.shape[1]

    def loss(encoder: nn.Module, generator: torch.Generator) -> Tensor:
        half = batch // 2
        chosen = torch.cat(
            [
                similar[torch.randint(0, len(similar), (half,), generator=generator)],
                dissimilar[torch.randint(0, len(dissimilar), (batch - half,), generator=generator)],
            ]
        )
        frame = torch.randint(0, frames, (batch,), generator=generator)
        first, second = sequences[couples[chosen, 0], frame], sequences[couples[chosen, 1], frame]
        embedding = encoder(torch.cat([first, second]), torch.ones(2 * batch, 15))
        wanted = (torch.arange(batch) < half).float()
        return contrastive_loss(cosine_distance(embedding[:batch], embedding[batch:]), wanted)

    return loss


def trained_by_rule(encoder: str, data: OutcomeSet, known: Integers, seed: int, steps: int) -> Method:
    """`paper` or `mlp` trained as published on the `known` performances; a dead seed is followed by the next.

    Raises:
        BadInputError: the rule finds no pairs.
        DeadEncoderError: twenty seeds in a row are dead.
    """
    pairs = paper_pairs(data.action[known], data.outcome[known])
    sequences = torch.from_numpy(np.ascontiguousarray(data.xy[known]))
    recipe = paired_recipe(sequences, pairs)
    probe = sequences.flatten(0, 1)[:512]
    for attempt in range(seed, seed + SEEDS_TO_TRY):
        schedule = Schedule(attempt, steps, 1e-4, validate_every=steps)
        try:
            network, _ = train(PAPER_ENCODERS[encoder], recipe, lambda _: {}, probe, schedule)
        except DeadEncoderError:
            continue
        return encoder_method(encoder, network)
    raise DeadEncoderError(
        f"seeds {seed} to {seed + SEEDS_TO_TRY - 1} are all dead", "one must live", "look at the poses"
    )


def cross_validated(encoder: str, data: OutcomeSet, folds: int, seed: int, steps: int) -> Floats64:
    """Every performance judged by an encoder trained on the other folds, against their good half: `float64 [S]`."""
    fold = folds_by_performer(data.performer, folds)
    result = np.empty(len(fold))
    for number in range(folds):
        judged, known = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        method = trained_by_rule(encoder, data, known, seed, steps)
        result[judged] = distance_to_good_half(sequence_distances(method, data), data.outcome, judged, known)
    return result
