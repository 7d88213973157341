"""The paper's network and formulas against a NumPy reference written from the equations, and by hand."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from calibration.losses import contrastive_loss, cosine_distance
from engines.networks.encoders import PaperEncoder, paper_adjacency
from engines.networks.normalise import min_max
from engines.skeleton import BONES
from realtime.scoring import score_from_distance

Array = npt.NDArray[np.float64]


def reference_embedding(pose: Array, encoder: PaperEncoder) -> Array:
    """Equations 1 to 3 and the MLP, one step a line, for one pose [15, 2]."""
    x, y = pose[:, 0], pose[:, 1]
    X = np.stack([(x - x.min()) / (x.max() - x.min()), (y - y.min()) / (y.max() - y.min())], 1)  # (1), (2)
    C = np.eye(15)
    for i, j in BONES:
        C[i, j] = C[j, i] = 1
    C_hat = C + np.eye(15)
    D = np.diag(C_hat.sum(1) ** -0.5)
    H = X
    for layer in (encoder.convolution1, encoder.convolution2):
        W = layer.weight.detach().double().numpy().T
        H = np.maximum(D @ C_hat @ D @ H @ W, 0)  # (3)
    F = H.reshape(30)
    for index in (0, 2, 4):
        linear = encoder.mlp[index]
        F = linear.weight.detach().double().numpy() @ F + linear.bias.detach().double().numpy()
        if index < 4:
            F = np.maximum(F, 0)
    return F / np.linalg.norm(F)


def living_encoder() -> PaperEncoder:
    torch.manual_seed(1)
    encoder = PaperEncoder()
    with torch.no_grad():
        encoder.convolution1.weight.copy_(torch.tensor([[0.5, -0.25], [0.75, 1.0]]))
        encoder.convolution2.weight.copy_(torch.tensor([[1.0, 0.5], [-0.5, 1.0]]))
    return encoder.eval()


def test_the_network_follows_equations_1_to_3() -> None:
    encoder = living_encoder()
    poses = np.random.default_rng(0).uniform(0, 500, (20, 15, 2))
    with torch.no_grad():
        embedding = encoder(torch.tensor(poses, dtype=torch.float32), torch.ones(20, 15)).numpy()
    for pose, row in zip(poses, embedding, strict=True):
        assert np.abs(reference_embedding(pose, encoder) - row).max() < 1e-5


def test_min_max_of_a_hand_computed_pose() -> None:
    pose = torch.zeros(1, 15, 2)
    pose[0, 0] = torch.tensor([10.0, 40.0])
    pose[0, 1] = torch.tensor([30.0, 20.0])
    pose[0, 2:] = torch.tensor([20.0, 25.0])
    result = min_max(pose)[0]
    assert result[0].tolist() == [0.0, 1.0]  # x: 10 is least; y: 40 is most
    assert result[1].tolist() == [1.0, 0.0]
    assert result[2].tolist() == [0.5, 0.25]  # (20 - 10) / 20, (25 - 20) / 20


def test_the_adjacency_of_a_hand_computed_bone() -> None:
    # The ankle has one bone: degree 2 + 1 = 3. The knee has two: 2 + 2 = 4. The diagonal counts twice (C, then C + I).
    adjacency = paper_adjacency()
    assert adjacency[0, 0] == pytest.approx(2 / 3)
    assert adjacency[1, 1] == pytest.approx(2 / 4)
    assert adjacency[0, 1] == pytest.approx(1 / np.sqrt(3 * 4))
    assert adjacency[0, 2] == 0


def test_one_graph_convolution_of_a_hand_computed_pose() -> None:
    # Only the right ankle is not at 0 after min-max: (1, 1). W maps (1, 1) to (0.5 - 0.25, 0.75 + 1.0) = (0.25, 1.75).
    encoder = living_encoder()
    pose = torch.zeros(1, 15, 2)
    pose[0, 0] = torch.tensor([2.0, 2.0])
    hidden = torch.relu(encoder.adjacency @ encoder.convolution1(min_max(pose)))[0].detach().numpy()
    assert hidden[0] == pytest.approx([0.25 * 2 / 3, 1.75 * 2 / 3])
    assert hidden[1] == pytest.approx([0.25 / np.sqrt(12), 1.75 / np.sqrt(12)])
    assert not hidden[2:].any()


def test_the_loss_of_hand_computed_distances() -> None:
    # Similar at 0.4: 0.5 * 0.16 = 0.08. Dissimilar at 0.35: 0.5 * (1.35 - 0.35)^2 = 0.5. Beyond the margin: 0.
    distance, similar = torch.tensor([0.4, 0.35, 1.5]), torch.tensor([1.0, 0.0, 0.0])
    assert float(contrastive_loss(distance, similar)) == pytest.approx((0.08 + 0.5 + 0) / 3)


def test_the_distance_of_hand_computed_vectors() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.6, -0.8]])
    assert cosine_distance(first, second).tolist() == pytest.approx([0.0, 1.0, 2.0])


def test_the_score_of_hand_computed_distances() -> None:
    # f(0) = 100; f(u) = 100 e^-0.5 = 60.65; f(2u) = 100 e^-2 = 13.53.
    assert score_from_distance([0.0, 0.3, 0.6], 0.3) == pytest.approx([100.0, 60.653, 13.534], abs=1e-3)
