"""Waves over bones and the shape beside a trained encoder: what the fitted maps keep, where they move the middle."""

import numpy as np
import pytest
import torch
from torch import nn

from calibration import blending
from calibration.blending import blended
from calibration.datasets.poseset import Floats
from calibration.recipes import embed_all
from calibration.synthetic.bodies import random_bodies
from calibration.synthetic.graded_pairs import photographed
from engines.networks.graded import GradedEncoder
from engines.networks.normalise import centred
from engines.skeleton import mirror_joints


def people(count: int, seed: int = 0) -> Floats:
    generator = torch.Generator().manual_seed(seed)
    bodies = random_bodies(count, generator)
    pictures: Floats = photographed(bodies, torch.zeros(count), torch.zeros(count), generator).numpy()
    return pictures


def trained() -> GradedEncoder:
    torch.manual_seed(0)
    return GradedEncoder(bones_first=True).eval()


def cosines(rows: Floats) -> Floats:
    unit_rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    product: Floats = unit_rows @ unit_rows.T
    return product


def test_of_few_poses_the_cosine_is_the_weighted_mean_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blending, "TOWARDS_MIDDLE", 0.0)
    monkeypatch.setattr(blending, "SHAPE_EVENNESS", 0.0)
    xy, encoder = people(12), trained()  # 12 poses span no more than the 25 directions that are kept
    finished, mask = blended(encoder, xy), torch.ones(24, 15)
    pose, _ = centred(torch.from_numpy(np.concatenate([xy, mirror_joints(xy)])), mask)
    with torch.no_grad():
        bones = finished.bones(pose, mask)
        waves = nn.Linear(28, 24)
        counts = blending._fit_waves(waves, bones.numpy().astype(np.float64))
        phases = waves(bones)[:12].numpy()
    near = np.cos(phases[:, None] - phases[None]) @ counts
    wanted = cosines(embed_all(encoder, xy)) + 0.5 * near + 0.15 * cosines(pose[:12].flatten(1).numpy())
    assert cosines(embed_all(finished, xy)) == pytest.approx(wanted / 1.65, abs=1e-4)


def test_a_wave_turns_equally_far_over_a_deviation_and_counts_by_the_deviation() -> None:
    scale = np.array([3.0] + [1.0] * 23 + [0.1] * 4)
    bones = np.random.default_rng(0).normal(size=(5000, 28)) * scale
    waves = nn.Linear(28, 24)
    with torch.no_grad():
        counts = blending._fit_waves(waves, bones)
        phases = waves(torch.from_numpy(bones).float()).numpy()
    assert phases.std(0) == pytest.approx(np.full(24, blending.RADIANS_PER_DEVIATION), rel=1e-3)
    assert phases.mean(0) == pytest.approx(np.zeros(24), abs=1e-4)
    assert counts.max() / counts.min() == pytest.approx(3, rel=0.2)
    assert counts.sum() == pytest.approx(1)


def test_evening_out_brings_the_spread_of_every_direction_nearer() -> None:
    rows = np.random.default_rng(0).normal(size=(400, 3)) * [4.0, 2.0, 1.0]
    before = np.linalg.eigvalsh(rows.T @ rows)
    evened = rows @ blending._evening(rows)
    after = np.linalg.eigvalsh(evened.T @ evened)
    assert after[-1] / after[0] == pytest.approx((before[-1] / before[0]) ** (1 - blending.SHAPE_EVENNESS), rel=1e-6)


def test_moving_the_middle_sets_strangers_further_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    xy, encoder = people(200), trained()
    moved = cosines(embed_all(blended(encoder, xy), xy)).mean()
    monkeypatch.setattr(blending, "TOWARDS_MIDDLE", 0.0)
    assert moved < cosines(embed_all(blended(encoder, xy), xy)).mean() - 0.02


def test_the_trained_encoder_inside_is_not_changed() -> None:
    xy, encoder = people(40), trained()
    before = embed_all(encoder, xy)
    assert np.array_equal(embed_all(blended(encoder, xy).learnt, xy), before)
