"""The Siamese graph, against equations 1, 2, 3, 5 and 6 of the paper written in NumPy."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from engines.graphs.chain import encode_graph
from engines.networks.encoders import BonesEncoder, PaperEncoder, paper_adjacency
from engines.onnx_runtime import onnxruntime
from engines.skeleton import JOINT_INDEX
from tests.fixtures import open_graph, run

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BONES = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (7, 8), (8, 9), (9, 10), (10, 11), (11, 12), (12, 13),
         (10, 14), (3, 10)]  # fmt: skip
VISIBLE = 0.3

STANDING = np.array(
    [(560, 660), (565, 540), (570, 420), (600, 415), (630, 420), (640, 540), (645, 660), (470, 420), (500, 330),
     (540, 240), (600, 235), (660, 240), (700, 330), (730, 420), (600, 160)],
    np.float32,
)  # fmt: skip
"""A person with arms a little out, px, in the paper's order."""


def poses(count: int, *, seed: int = 15, seen: float = 1.0) -> Floats:
    """Bent and moved copies of `STANDING` [count, 15, 3]; a share `seen` of the joints is visible."""
    random = np.random.default_rng(seed)
    joints = np.ones((count, 15, 3), np.float32)
    joints[..., :2] = STANDING * random.uniform(0.5, 1.5, (count, 1, 1)) + random.normal(0, 40, (count, 15, 2))
    joints[..., 2] = np.where(random.uniform(size=(count, 15)) <= seen, random.uniform(0.31, 1, (count, 15)), 0.2)
    return joints


class Output:
    def __init__(self, embedding: Floats, distance: Floats, score: Floats) -> None:
        self.embedding, self.distance, self.score = embedding, distance, score


def encode(
    graph: onnxruntime.InferenceSession,
    joints: Floats,
    targets: Floats,
    counts: Floats | None = None,
    width: float | Floats = 0.3,
) -> Output:
    counts = np.ones(targets.shape[:2], np.float32) if counts is None else counts
    widths = np.broadcast_to(np.asarray(width, np.float32), len(targets)).copy()
    output = Output(*run(graph, joints=joints, targets=targets, counts=counts, width=widths))
    assert output.embedding.shape == (len(joints), 50)
    assert output.distance.shape == output.score.shape == (len(joints), len(targets))
    for array in (output.embedding, output.distance, output.score):
        assert array.dtype == np.float32 and np.isfinite(array).all()
    return output


def open_encoder(encoder: nn.Module, people: int) -> onnxruntime.InferenceSession:
    return open_graph(encode_graph(encoder, people, VISIBLE).whole)


@pytest.fixture(scope="module")
def paper() -> PaperEncoder:
    """Random weights with which no channel is dead."""
    torch.manual_seed(16)
    encoder = PaperEncoder()
    with torch.no_grad():
        encoder.convolution1.weight.copy_(torch.tensor([[0.8, -0.3], [0.4, 0.9]]))
        encoder.convolution2.weight.copy_(torch.tensor([[1.1, 0.2], [-0.5, 0.7]]))
    return encoder


@pytest.fixture(scope="module")
def paper_graphs(paper: PaperEncoder) -> dict[int, onnxruntime.InferenceSession]:
    return {people: open_encoder(paper, people) for people in (1, 3)}


@pytest.fixture(scope="module")
def bones_graphs() -> dict[int, onnxruntime.InferenceSession]:
    return {people: open_encoder(BonesEncoder(), people) for people in (1, 3)}


@pytest.fixture(scope="module", params=["bones", "paper"])
def graphs(request: pytest.FixtureRequest) -> dict[int, onnxruntime.InferenceSession]:
    opened: dict[int, onnxruntime.InferenceSession] = request.getfixturevalue(f"{request.param}_graphs")
    return opened


# ---- the paper's equations


def normalised_adjacency() -> Doubles:
    """Equation 3's fixed matrix: C has bones and diagonal, C-hat = C + I, D its degrees."""
    c = np.eye(15)
    for first, second in BONES:
        c[first, second] = c[second, first] = 1
    c_hat = c + np.eye(15)
    d = np.diag(c_hat.sum(1) ** -0.5)
    return d @ c_hat @ d


def gcn_psn(encoder: PaperEncoder, xy: Doubles) -> Doubles:
    """The embedding F* of one pose [15, 2] by the paper's equations 1 to 3 and its MLP, in float64."""
    weights = {name: value.double().numpy() for name, value in encoder.state_dict().items()}
    span = xy.max(0) - xy.min(0)
    hidden = (xy - xy.min(0)) / span
    for layer in ("convolution1", "convolution2"):
        hidden = np.maximum(normalised_adjacency() @ hidden @ weights[f"{layer}.weight"].T, 0)
    vector = hidden.reshape(30)
    for index, layer in enumerate(("mlp.0", "mlp.2", "mlp.4")):
        vector = weights[f"{layer}.weight"] @ vector + weights[f"{layer}.bias"]
        vector = np.maximum(vector, 0) if index < 2 else vector
    return vector


def cosine_distance(first: Doubles, second: Doubles) -> float:
    return float(1 - first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.mark.parametrize("people", [1, 3])
def test_paper_encoder_is_equations_1_2_3_5_and_6(
    paper: PaperEncoder, paper_graphs: dict[int, onnxruntime.InferenceSession], people: int
) -> None:
    joints, targets = poses(people), poses(4, seed=17)
    widths = np.array([0.3, 0.05, 0.6, 0.01], np.float32)
    output = encode(paper_graphs[people], joints, targets, width=widths)
    for row in range(people):
        live = gcn_psn(paper, joints[row, :, :2].astype(np.float64))
        np.testing.assert_allclose(output.embedding[row], live / np.linalg.norm(live), atol=1e-5)
        for column in range(4):
            distance = cosine_distance(live, gcn_psn(paper, targets[column, :, :2].astype(np.float64)))
            score = 100 * np.exp(-0.5 * (distance / widths[column]) ** 2)
            np.testing.assert_allclose(output.distance[row, column], distance, atol=2e-6)
            np.testing.assert_allclose(output.score[row, column], score, atol=0.05)
    assert output.distance.max() > 1e-3


def test_adjacency_counts_the_diagonal_twice_as_the_paper_has_it() -> None:
    adjacency = paper_adjacency().numpy()
    np.testing.assert_allclose(adjacency, normalised_adjacency(), atol=1e-7)
    # by hand: an ankle has degree 2 + 1, a knee 2 + 2, the pelvis 2 + 3, the neck 2 + 4
    ankle, knee = JOINT_INDEX["right_ankle"], JOINT_INDEX["right_knee"]
    pelvis, neck = JOINT_INDEX["pelvis"], JOINT_INDEX["neck"]
    assert adjacency[ankle, ankle] == pytest.approx(2 / 3) and adjacency[neck, neck] == pytest.approx(2 / 6)
    assert adjacency[ankle, knee] == pytest.approx(1 / np.sqrt(12))
    assert adjacency[pelvis, neck] == pytest.approx(1 / np.sqrt(30)) and adjacency[ankle, neck] == 0


class FirstJoints(nn.Module):
    """Stands for an encoder: a unit vector along the first joint's coordinates."""

    masked = True

    def forward(self, xy: Tensor, mask: Tensor) -> Tensor:
        direction = xy[:, 0] / torch.linalg.vector_norm(xy[:, 0], dim=-1, keepdim=True).clamp(min=1e-6)
        return nn.functional.pad(direction, (0, 48)) * mask.amax(1, keepdim=True)


def test_distance_and_score_are_equations_5_and_6_by_hand() -> None:
    joints = np.ones((1, 15, 3), np.float32)
    joints[0, 0, :2] = 1, 0
    targets = np.ones((5, 15, 3), np.float32)
    targets[:, 0, :2] = [(5, 0), (0.8, 0.6), (0.7, 0.714142842854285), (0, 2), (-3, 0)]
    output = encode(open_encoder(FirstJoints(), 1), joints, targets)
    np.testing.assert_allclose(output.distance[0], [0, 0.2, 0.3, 1, 2], atol=1e-6)
    # exp(-0.5 (0.2 / 0.3)^2) = 0.800737, exp(-0.5) = 0.606531, exp(-0.5 / 0.09) = 0.003866
    np.testing.assert_allclose(output.score[0], [100, 80.0737, 60.6531, 0.3866, 0], atol=1e-3)


def test_bones_distance_of_one_bone_at_a_right_angle_is_a_fourteenth(
    bones_graphs: dict[int, onnxruntime.InferenceSession],
) -> None:
    live = np.ones((1, 15, 3), np.float32)
    live[0, :, :2] = STANDING
    target = live.copy()
    neck, head = STANDING[JOINT_INDEX["neck"]], STANDING[JOINT_INDEX["head"]]
    target[0, JOINT_INDEX["head"], :2] = neck + (head - neck)[[1, 0]] * (-1, 1)
    output = encode(bones_graphs[1], live, target)
    assert output.distance[0, 0] == pytest.approx(1 / 14, abs=1e-6)
    assert output.score[0, 0] == pytest.approx(100 * np.exp(-0.5 * (1 / 14 / 0.3) ** 2), abs=1e-3)


# ---- masks


def bones_reference(live: Floats, target: Floats, counts: Floats) -> float:
    """1 minus the mean cosine of the bones both of whose ends count and are visible in both; 1 without any."""
    usable = (live[:, 2] >= VISIBLE) & (target[:, 2] >= VISIBLE) & (counts > 0)
    cosines = []
    for first, second in BONES:
        if usable[first] and usable[second]:
            a = (live[second] - live[first])[:2].astype(np.float64)
            b = (target[second] - target[first])[:2].astype(np.float64)
            cosines.append(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return 1 - float(np.mean(cosines)) if cosines else 1.0


@pytest.mark.parametrize("people", [1, 3])
def test_bones_compares_each_pair_under_its_common_mask(
    bones_graphs: dict[int, onnxruntime.InferenceSession], people: int
) -> None:
    joints, targets = poses(people, seen=0.8), poses(7, seed=18, seen=0.8)
    counts = (np.random.default_rng(19).uniform(size=(7, 15)) < 0.8).astype(np.float32)
    output = encode(bones_graphs[people], joints, targets, counts)
    wanted = [[bones_reference(live, *pair) for pair in zip(targets, counts, strict=True)] for live in joints]
    np.testing.assert_allclose(output.distance, wanted, atol=1e-5)


@pytest.mark.parametrize("side", ["live", "target", "ignored"])
def test_coordinates_of_a_joint_that_is_left_out_change_nothing(
    bones_graphs: dict[int, onnxruntime.InferenceSession], side: str
) -> None:
    joints, targets = poses(1), poses(3, seed=20)
    counts = np.ones((3, 15), np.float32)
    wrist = JOINT_INDEX["left_wrist"]
    if side == "live":
        joints[:, wrist, 2] = 0.29
    elif side == "target":
        targets[:, wrist, 2] = 0.0
    else:
        counts[:, wrist] = 0
    before = encode(bones_graphs[1], joints, targets, counts)
    for array in (joints, targets):
        array[:, wrist, :2] = (-5000, 12345)
    after = encode(bones_graphs[1], joints, targets, counts)
    assert (after.distance == before.distance).all() and (after.score == before.score).all()


def test_a_joint_that_counts_does_change_the_score(bones_graphs: dict[int, onnxruntime.InferenceSession]) -> None:
    joints, wrist = poses(1), JOINT_INDEX["left_wrist"]
    targets = joints.copy()
    targets[:, wrist, :2] += (80, -120)
    counts = np.ones((1, 15), np.float32)
    assert encode(bones_graphs[1], joints, targets, counts).score[0, 0] < 99
    counts[0, wrist] = 0
    assert encode(bones_graphs[1], joints, targets, counts).score[0, 0] == pytest.approx(100, abs=1e-3)


def test_paper_encoder_knows_no_mask(paper_graphs: dict[int, onnxruntime.InferenceSession]) -> None:
    joints, targets = poses(1), poses(2, seed=21)
    whole = encode(paper_graphs[1], joints, targets)
    partly = encode(paper_graphs[1], joints, targets, (np.arange(30).reshape(2, 15) % 3 > 0).astype(np.float32))
    assert (whole.distance == partly.distance).all()
    assert PaperEncoder.masked is False and BonesEncoder.masked is True


# ---- shapes and degenerate poses


def test_every_encoder_has_the_inputs_and_outputs_of_the_contract(
    graphs: dict[int, onnxruntime.InferenceSession],
) -> None:
    for people, graph in graphs.items():
        shapes = {tensor.name: tensor.shape for tensor in [*graph.get_inputs(), *graph.get_outputs()]}
        assert shapes == {
            "joints": [people, 15, 3], "targets": ["T", 15, 3], "counts": ["T", 15], "width": ["T"],
            "embedding": [people, 50], "distance": [people, "T"], "score": [people, "T"],
        }  # fmt: skip


@pytest.mark.parametrize("count", [1, 7, 1024])
@pytest.mark.parametrize("people", [1, 3])
def test_any_number_of_targets_gives_what_each_alone_gives(
    graphs: dict[int, onnxruntime.InferenceSession], people: int, count: int
) -> None:
    joints, targets = poses(people, seen=0.9), poses(count, seed=22, seen=0.9)
    together = encode(graphs[people], joints, targets)
    for index in {0, count // 2, count - 1}:
        alone = encode(graphs[people], joints, targets[index : index + 1])
        np.testing.assert_allclose(together.distance[:, index], alone.distance[:, 0], atol=1e-6)
        np.testing.assert_allclose(together.score[:, index], alone.score[:, 0], atol=1e-3)


def test_rows_of_zeros_give_zeros_and_leave_their_neighbours_alone(
    graphs: dict[int, onnxruntime.InferenceSession],
) -> None:
    joints, targets = poses(3), poses(4, seed=23)
    whole = encode(graphs[3], joints, targets)
    joints[1] = 0
    output = encode(graphs[3], joints, targets)
    assert (output.embedding[1] == 0).all() and (output.distance[1] == 0).all() and (output.score[1] == 0).all()
    for row in (0, 2):
        np.testing.assert_allclose(output.score[row], whole.score[row], atol=1e-4)


def test_embeddings_have_length_one(graphs: dict[int, onnxruntime.InferenceSession]) -> None:
    embedding = encode(graphs[3], poses(3), poses(1)).embedding
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)


def test_the_same_pose_scores_100_moved_and_scaled(graphs: dict[int, onnxruntime.InferenceSession]) -> None:
    joints = poses(3)
    targets = joints.copy()
    targets[..., :2] = targets[..., :2] * 0.5 + (300, -40)
    for same in (joints, targets):
        output = encode(graphs[3], joints, same)
        np.testing.assert_allclose(np.diag(output.score), 100, atol=1e-3)
        assert (output.distance >= 0).all()


def degenerate() -> dict[str, Floats]:
    """Poses that divide by zero if one lets them."""
    flat, tall, point = (poses(1).copy() for _ in range(3))
    flat[..., 1] = 300
    tall[..., 0] = 500
    point[..., :2] = 400
    unseen = poses(1)
    unseen[..., 2] = 0.1
    lonely = unseen.copy()
    lonely[0, 4, 2] = 0.9
    far = poses(1)
    far[..., :2] *= 1e6
    return {"flat": flat, "tall": tall, "one point": point, "unseen": unseen, "one joint": lonely, "far": far,
            "zeros": np.zeros((1, 15, 3), np.float32)}  # fmt: skip


@pytest.mark.parametrize("pose", degenerate().values(), ids=degenerate())
def test_degenerate_poses_never_give_nan(graphs: dict[int, onnxruntime.InferenceSession], pose: Floats) -> None:
    others = np.concatenate([*degenerate().values(), poses(2)])
    output = encode(graphs[1], pose, others)
    assert output.score.min() >= 0 and output.score.max() <= 100 and output.distance.max() <= 2 + 1e-5
    encode(graphs[1], poses(1), pose, np.zeros((1, 15), np.float32))


def test_nothing_in_common_is_no_match(graphs: dict[int, onnxruntime.InferenceSession]) -> None:
    joints, targets = poses(1), poses(1)
    output = encode(graphs[1], joints, targets, np.zeros((1, 15), np.float32))
    assert output.distance[0, 0] == 1 and output.score[0, 0] < 1


@pytest.mark.parametrize("width", [1e-3, 1e-6, 100.0])
def test_any_width_above_zero_gives_a_finite_score(
    graphs: dict[int, onnxruntime.InferenceSession], width: float
) -> None:
    output = encode(graphs[1], poses(1), poses(3, seed=24), width=width)
    assert output.score.min() >= 0 and output.score.max() <= 100
