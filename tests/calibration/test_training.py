"""Training: it learns, it resumes as if never interrupted, and it refuses dead networks, naming the seed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibration.datasets.poseset import PoseSet
from calibration.losses import graded_loss, supervised_contrast
from calibration.pairs import paper_pairs
from calibration.paper_rule import paired_recipe
from calibration.recipes import (
    beside_bones,
    embed_all,
    graded_recipe,
    held_out_validation,
    labelled,
    labels_recipe,
    paper_recipe,
)
from calibration.synthetic.families import FamilySettings, families
from calibration.synthetic.graded_pairs import GradedSettings, graded_batch
from calibration.training import DeadEncoderError, Schedule, check_alive, dead_channels, train
from engines.errors import BadInputError
from engines.networks.encoders import GradedEncoder, MlpEncoder, PaperEncoder

SMALL = GradedSettings(pairs=24, bends=8)
SMALL_FAMILIES = FamilySettings(families=6, members=4, bends=8)


def two_actions(count: int = 60, seed: int = 0) -> PoseSet:
    """Two clearly different poses with noise, six sequences each."""
    generator = np.random.default_rng(seed)
    means = generator.uniform(0, 100, (2, 15, 2))
    label = np.arange(count) % 2
    xy = (means[label] + generator.normal(0, 3, (count, 15, 2))).astype(np.float32)
    group = np.arange(count) // 10
    return PoseSet("made up", xy, np.ones((count, 15), bool), label, ("a", "b"), group, np.zeros(count, np.float32), {})


def no_validation(encoder: nn.Module) -> dict[str, float]:
    return {}


def probe() -> Tensor:
    return torch.from_numpy(labelled(two_actions()).xy)


def weights_of(encoder: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()])


def test_the_papers_recipe_reduces_its_loss_on_tiny_data() -> None:
    schedule = Schedule(seed=3, steps=60, learning_rate=3e-3, validate_every=20)
    _, history = train(MlpEncoder, paper_recipe(labelled(two_actions())), no_validation, probe(), schedule)
    assert history.loss[-1] < history.loss[0] * 0.8


def test_the_graded_recipe_reduces_its_loss_on_tiny_data() -> None:
    schedule = Schedule(0, 60, 3e-3, 1e-3, True, 20)
    recipe = graded_recipe(labelled(two_actions()), SMALL, contrast=0.01, contrast_batch=16)
    _, history = train(GradedEncoder, recipe, no_validation, probe(), schedule)
    assert history.loss[-1] < history.loss[0] * 0.8


def test_the_papers_pair_rule_trains_on_performances() -> None:
    generator = torch.Generator().manual_seed(0)
    sequences = torch.rand(10, 4, 15, 2, generator=generator)
    recipe = paired_recipe(sequences, paper_pairs(np.zeros(10, np.int64), np.arange(10.0)))
    schedule = Schedule(0, 40, 3e-3, validate_every=20)
    _, history = train(MlpEncoder, recipe, no_validation, probe(), schedule)
    assert history.loss[-1] < history.loss[0]


def test_the_pair_rule_refuses_performances_without_both_kinds_of_pair() -> None:
    with pytest.raises(BadInputError, match="0 similar and 1 dissimilar pairs"):
        paired_recipe(torch.zeros(2, 4, 15, 2), paper_pairs(np.zeros(2, np.int64), np.arange(2.0)))


@pytest.mark.parametrize("annealed", [False, True])
def test_a_resumed_run_ends_as_if_it_was_never_interrupted(tmp_path: Path, annealed: bool) -> None:
    recipe = graded_recipe(labelled(two_actions()), SMALL)
    schedule = Schedule(1, 12, 1e-3, 1e-3, annealed, 4)

    def stop_after_nine(step: int) -> None:
        if step == 9:
            raise KeyboardInterrupt

    whole, whole_history = train(GradedEncoder, recipe, no_validation, probe(), schedule)
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        train(GradedEncoder, recipe, no_validation, probe(), schedule, checkpoint, stop_after_nine)
    resumed, history = train(GradedEncoder, recipe, no_validation, probe(), schedule, checkpoint)
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert history == whole_history


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    recipe, checkpoint = paper_recipe(labelled(two_actions()), batch=8), tmp_path / "checkpoint.pt"
    train(MlpEncoder, recipe, no_validation, probe(), Schedule(0, 2, validate_every=1), checkpoint)
    with pytest.raises(BadInputError, match="was written by a run with other settings"):
        train(MlpEncoder, recipe, no_validation, probe(), Schedule(1, 2, validate_every=1), checkpoint)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"nonsense")
    recipe = paper_recipe(labelled(two_actions()), batch=8)
    with pytest.raises(BadInputError, match="is not a checkpoint"):
        train(MlpEncoder, recipe, no_validation, probe(), Schedule(0, 2), tmp_path / "checkpoint.pt")


def dead_paper_encoder() -> PaperEncoder:
    encoder = PaperEncoder()
    with torch.no_grad():
        encoder.convolution1.weight.fill_(-0.5)
    return encoder


def test_a_dead_network_is_refused_and_the_seed_is_named() -> None:
    assert dead_channels(dead_paper_encoder(), probe()) == 2
    with pytest.raises(DeadEncoderError, match=r"seed 17 gave a dead PaperEncoder.*--first-seed 18"):
        check_alive(dead_paper_encoder(), probe(), seed=17)


def test_training_refuses_a_network_that_is_dead_at_birth() -> None:
    with pytest.raises(DeadEncoderError, match="seed 5 gave a dead"):
        train(dead_paper_encoder, paper_recipe(labelled(two_actions())), no_validation, probe(), Schedule(5, 2))


def test_training_refuses_a_network_that_collapses_on_the_way() -> None:
    def vanishing(encoder: nn.Module, generator: torch.Generator) -> Tensor:
        return sum((parameter**2).sum() for parameter in encoder.parameters()) * 1e3  # type: ignore[return-value]

    schedule = Schedule(2, 400, learning_rate=5e-2, validate_every=400)
    with pytest.raises(DeadEncoderError, match="seed 2"):
        train(MlpEncoder, vanishing, no_validation, probe(), schedule)


def test_the_same_seed_gives_the_same_synthetic_batch() -> None:
    first = graded_batch(SMALL, torch.Generator().manual_seed(4))
    again = graded_batch(SMALL, torch.Generator().manual_seed(4))
    assert torch.equal(first.first, again.first)
    assert torch.equal(first.wanted, again.wanted)


def test_synthetic_pairs_are_finite_and_their_wanted_distance_lies_in_0_to_1() -> None:
    batch = graded_batch(GradedSettings(pairs=400, bends=100), torch.Generator().manual_seed(0))
    for tensor in (batch.first, batch.second, batch.wanted, batch.weight):
        assert torch.isfinite(tensor).all()
    assert batch.wanted.min() >= 0
    assert batch.wanted.max() <= 1
    assert batch.mask.unique().tolist() == [0.0, 1.0]


def test_families_are_finite_and_relatives_are_wanted_nearer_than_strangers() -> None:
    people = families(FamilySettings(), torch.Generator().manual_seed(0))
    assert torch.isfinite(people.xy).all()
    assert people.wanted.min() >= 0
    assert people.wanted.max() <= 1
    assert torch.allclose(people.wanted, people.wanted.T)
    assert people.wanted[people.related].mean() < 0.5 * people.wanted[people.strangers].mean()


def test_a_picture_is_no_pair_with_itself_and_strangers_see_every_joint() -> None:
    people = families(SMALL_FAMILIES, torch.Generator().manual_seed(1))
    assert not people.related.diagonal().any()
    assert people.related.sum() == 6 * 4 * 3
    assert (people.mask[people.strangers.any(1)] == 1).all()


def test_with_labels_actions_part_and_limbs_stay_graded() -> None:
    poses = labelled(two_actions())
    validate = held_out_validation(poses, count=100)
    torch.manual_seed(0)
    before = validate(GradedEncoder(bones_first=True).eval())
    recipe, new = labels_recipe(poses, SMALL_FAMILIES), lambda: GradedEncoder(bones_first=True)
    encoder, _ = train(new, recipe, no_validation, probe(), Schedule(0, 40, 2e-3, 1e-3, True, 40))
    after = validate(encoder)
    assert after["auc"] >= before["auc"]
    assert after["bend_spearman"] > 0.8


def test_the_graded_loss_of_hand_computed_distances() -> None:
    loss = graded_loss(torch.tensor([0.5, 0.2]), torch.tensor([0.1, 0.2]), torch.tensor([2.0, 9.0]))
    assert float(loss) == pytest.approx(2 * 0.16 / 2)


def test_supervised_contrast_prefers_equal_labels_together() -> None:
    embedding = torch.eye(4)[[0, 0, 1, 1]]
    together = supervised_contrast(embedding, torch.tensor([0, 0, 1, 1]))
    apart = supervised_contrast(embedding, torch.tensor([0, 1, 0, 1]))
    assert together < apart


def test_a_label_without_a_partner_is_left_out_of_the_contrast() -> None:
    embedding = torch.eye(3)
    assert float(supervised_contrast(embedding, torch.tensor([0, 1, 2]))) == 0.0


def test_validation_on_held_out_actions_gives_an_auc_and_a_rank_correlation() -> None:
    torch.manual_seed(0)
    numbers = held_out_validation(labelled(two_actions()), count=100)(MlpEncoder())
    assert set(numbers) == {"auc", "bend_spearman"}
    assert 0.5 < numbers["auc"] <= 1


def test_bones_take_their_place_beside_the_strongest_of_what_was_learnt() -> None:
    torch.manual_seed(0)
    poses = labelled(two_actions()).xy
    learnt = GradedEncoder().eval()
    finished = beside_bones(learnt, poses)
    embedding = embed_all(finished, poses)
    assert np.linalg.norm(embedding, axis=1) == pytest.approx(1, abs=1e-5)
    kept = embedding[:, 28:] / np.linalg.norm(embedding[:, 28:], axis=1, keepdims=True)
    assert np.abs(kept @ kept.T - embed_all(learnt, poses) @ embed_all(learnt, poses).T).max() < 0.02
