"""Puts waves over bones, and shape, beside a trained encoder: fitted after training. Knows no labels and no loop."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engines.networks.blended import WAVES, BlendedEncoder
from engines.networks.graded import HALF, GradedEncoder
from engines.networks.normalise import EMBEDDING_SIZE, centred, unit
from engines.skeleton import mirror_joints

BONES_SHARE, SHAPE_SHARE = 0.5, 0.15
"""What the waves over the bones and the cosine of shapes weigh, where that of the learnt embedding weighs 1."""

RADIANS_PER_DEVIATION = 0.9
"""How far a wave turns over one standard deviation of the poses along its direction."""

SHAPE_EVENNESS = 0.3
"""How far the spread of shapes is evened out: 0 leaves it, 1 makes it the same in every direction."""

TOWARDS_MIDDLE = 0.4
"""How far the middle of the poses is moved to zero. All the way, nearly equal poses near the middle lie far apart."""

Floats64 = npt.NDArray[np.float64]


def blended(encoder: GradedEncoder, xy: npt.NDArray[np.float32]) -> BlendedEncoder:
    """A trained encoder with waves over the bones, and the shape, beside it; all maps are fitted to the poses.

    The last maps keep the 25 directions in which symmetric features vary most, and the 25 of antisymmetric ones.

    Args:
        encoder: trained; it is not changed.
        xy: `float32 [N, 15, 2]`, complete poses, those of training.
    """
    finished = BlendedEncoder(encoder.settings).eval()
    finished.learnt.load_state_dict(encoder.state_dict())
    mask = torch.ones(2 * len(xy), 15)
    pose, _ = centred(torch.from_numpy(np.concatenate([xy, mirror_joints(xy)])), mask)
    with torch.no_grad():
        counts = _fit_waves(finished.phases, _rows(finished.bones(pose, mask)))
        _set(finished.even_shape.weight, _evening(_rows(unit(pose.flatten(1)))))
        weight = np.ones(EMBEDDING_SIZE + 2 * WAVES + len(finished.even_shape.weight))
        weight[EMBEDDING_SIZE : EMBEDDING_SIZE + 2 * WAVES] = np.sqrt(BONES_SHARE * np.concatenate([counts, counts]))
        weight[EMBEDDING_SIZE + 2 * WAVES :] = np.sqrt(SHAPE_SHARE)
        straight, mirrored = np.split(_rows(finished.features(pose, mask)) * weight, 2)
        middle = (straight + mirrored).mean(0) * TOWARDS_MIDDLE
        kept = _strongest(straight + mirrored - middle)
        _set(finished.symmetric.weight, kept * weight)
        _set(finished.symmetric.bias, -kept @ middle)
        _set(finished.antisymmetric.weight, _strongest(straight - mirrored) * weight)
    return finished


def _fit_waves(phases: nn.Linear, bones: Floats64) -> Floats64:
    """Sets the maps from bones `[N, 28]` to phases; returns what each wave counts `[24]`, by its spread, in all 1."""
    middle = bones.mean(0)
    variance, directions = np.linalg.eigh(np.cov((bones - middle).T))
    variance, directions = np.maximum(variance[-WAVES:], 1e-6), directions[:, -WAVES:]
    rates = directions.T * RADIANS_PER_DEVIATION / np.sqrt(variance)[:, None]
    _set(phases.weight, rates)
    _set(phases.bias, -rates @ middle)
    counts: Floats64 = np.sqrt(variance) / np.sqrt(variance).sum()
    return counts


def _evening(rows: Floats64) -> Floats64:
    """The symmetric map `[D, D]` under which the second moments of rows `[N, D]` rise to the power 1 - evenness."""
    moments, directions = np.linalg.eigh(rows.T @ rows / len(rows))
    scale = np.where(moments > 1e-6 * moments[-1], np.maximum(moments, 1e-12) ** (-SHAPE_EVENNESS / 2), 0)
    evening: Floats64 = (directions * scale) @ directions.T
    return evening


def _strongest(rows: Floats64) -> Floats64:
    """The 25 directions `[25, D]` along which rows `[N, D]` are longest, without their mean taken off."""
    _, directions = np.linalg.eigh(rows.T @ rows)
    strongest: Floats64 = directions[:, -HALF:].T
    return strongest


def _rows(numbers: Tensor) -> Floats64:
    return numbers.numpy().astype(np.float64)


def _set(parameter: Tensor, values: Floats64) -> None:
    parameter.copy_(torch.from_numpy(values))
