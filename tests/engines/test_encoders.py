"""The encoders' contract: unit vectors, no NaN, masks, mirrors, files, and export."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines.errors import EngineError
from engines.networks.encoders import (
    ENCODER_NAMES,
    BlendedEncoder,
    BonesEncoder,
    GradedEncoder,
    MlpEncoder,
    PaperEncoder,
    load_encoder,
    save_encoder,
)
from engines.skeleton import MIRRORED_JOINT

ENCODERS: dict[str, nn.Module] = {}
for seed, (name, kind) in enumerate(
    {
        "graded": lambda: GradedEncoder(beside_bones=True),
        "graded, all learnt": GradedEncoder,
        "graded-labels": lambda: GradedEncoder(bones_first=True),
        "blended": lambda: BlendedEncoder({"bones_first": True}),
        "graded-mlp": lambda: GradedEncoder(graph=False),
        "paper": PaperEncoder,
        "mlp": MlpEncoder,
        "bones": BonesEncoder,
    }.items()
):
    torch.manual_seed(seed + 1)
    ENCODERS[name] = kind().eval()
MASKED = [name for name, encoder in ENCODERS.items() if encoder.masked]


def some_poses(count: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 15, 2, generator=torch.Generator().manual_seed(seed)) * 400 + 100


def all_visible(poses: torch.Tensor) -> torch.Tensor:
    return torch.ones(poses.shape[:2])


def mirror(poses: torch.Tensor) -> torch.Tensor:
    return (poses * torch.tensor([-1.0, 1.0]))[:, list(MIRRORED_JOINT)]


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_gives_fifty_numbers_of_length_one(name: str) -> None:
    poses = some_poses()
    with torch.no_grad():
        embedding = ENCODERS[name](poses, all_visible(poses))
    assert embedding.shape == (64, 50)
    assert embedding.dtype == torch.float32
    lengths = torch.linalg.vector_norm(embedding, dim=1)
    if name == "paper":  # a random initialisation may give some poses nothing to embed
        lengths = lengths[lengths > 0]
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("shape", ["zeros", "one point", "horizontal", "vertical", "huge", "tiny", "no joint usable"])
def test_a_degenerate_pose_never_gives_nan(name: str, shape: str) -> None:
    pose = some_poses(1)
    mask = all_visible(pose)
    if shape == "zeros":
        pose = torch.zeros_like(pose)
    elif shape == "one point":
        pose = torch.full_like(pose, 321.5)
    elif shape == "horizontal":
        pose[..., 1] = 7.0
    elif shape == "vertical":
        pose[..., 0] = 7.0
    elif shape == "huge":
        pose = pose * 1e6
    elif shape == "tiny":
        pose = pose * 1e-9
    else:
        mask = torch.zeros_like(mask)
    with torch.no_grad():
        embedding = ENCODERS[name](pose, mask)
    assert torch.isfinite(embedding).all()
    assert torch.linalg.vector_norm(embedding) < 1 + 1e-4


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_joint_has_exactly_no_influence(name: str) -> None:
    poses, mask = some_poses(), all_visible(some_poses())
    mask[:, [0, 8, 14]] = 0
    elsewhere = poses.clone()
    elsewhere[:, [0, 8, 14]] = 12345.0
    with torch.no_grad():
        assert torch.equal(ENCODERS[name](poses, mask), ENCODERS[name](elsewhere, mask))


@pytest.mark.parametrize("name", MASKED)
def test_a_row_with_no_usable_joint_is_all_zeros(name: str) -> None:
    with torch.no_grad():
        assert not ENCODERS[name](some_poses(3), torch.zeros(3, 15)).any()


@pytest.mark.parametrize("name", MASKED)
def test_moving_and_scaling_the_picture_changes_nothing(name: str) -> None:
    poses = some_poses()
    with torch.no_grad():
        here = ENCODERS[name](poses, all_visible(poses))
        there = ENCODERS[name](poses * 2.5 + torch.tensor([30.0, -80.0]), all_visible(poses))
    assert torch.allclose(here, there, atol=1e-4)


@pytest.mark.parametrize("name", MASKED)
def test_mirroring_both_poses_leaves_their_distance_the_same(name: str) -> None:
    first, second = some_poses(seed=1), some_poses(seed=2)
    mask = all_visible(first)
    mask[:20, [0, 13]] = 0
    mirrored_mask = mask[:, list(MIRRORED_JOINT)]
    with torch.no_grad():
        straight = (ENCODERS[name](first, mask) * ENCODERS[name](second, mask)).sum(1)
        mirrored = (ENCODERS[name](mirror(first), mirrored_mask) * ENCODERS[name](mirror(second), mirrored_mask)).sum(1)
    assert torch.allclose(straight, mirrored, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_exported_to_onnx_an_encoder_agrees_with_torch(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    poses = some_poses(4)
    mask = all_visible(poses)
    mask[1, :3] = 0
    path = tmp_path / "encoder.onnx"
    torch.onnx.export(
        ENCODERS[name], (poses, mask), str(path), input_names=["xy", "mask"], output_names=["embedding"], dynamo=False
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {"xy": poses.numpy(), "mask": mask.numpy()}
    wanted = {entry.name for entry in session.get_inputs()}
    (exported,) = session.run(None, {key: value for key, value in inputs.items() if key in wanted})
    with torch.no_grad():
        assert np.abs(exported - ENCODERS[name](poses, mask).numpy()).max() < 1e-5


@pytest.mark.parametrize("name", ENCODERS)
def test_saved_weights_load_as_the_same_encoder(name: str, tmp_path: Path) -> None:
    save_encoder(ENCODERS[name], tmp_path / "weights.safetensors", {"note": "test"})
    loaded = load_encoder(tmp_path / "weights.safetensors")
    poses = some_poses()
    with torch.no_grad():
        assert torch.equal(loaded(poses, all_visible(poses)), ENCODERS[name](poses, all_visible(poses)))


@pytest.mark.parametrize("name", ENCODER_NAMES)
def test_every_shipped_encoder_loads_by_its_name(name: str) -> None:
    encoder = load_encoder(name)
    poses = some_poses(2)
    with torch.no_grad():
        assert encoder(poses, all_visible(poses)).shape == (2, 50)
    assert not encoder.training


def test_an_unknown_encoder_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(EngineError, match=r"no encoder weights at nonsense.*graded, paper, mlp, bones"):
        load_encoder("nonsense")


def test_a_file_that_is_no_encoder_is_refused_by_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not weights")
    with pytest.raises(EngineError, match=r"broken\.safetensors is not the weights of an encoder"):
        load_encoder(broken)


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise FileNotFoundError("No such file or directory: mine.safetensors")  # what safetensors makes of EACCES

    path = tmp_path / "mine.safetensors"
    path.touch()
    monkeypatch.setattr("safetensors.safe_open", closed)
    with pytest.raises(EngineError, match=r"the encoder weights .*mine\.safetensors cannot be read"):
        load_encoder(path)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"mlp.0.weight": torch.zeros(3, 3)}, path, {"architecture": "mlp", "settings": "{}"})
    with pytest.raises(EngineError, match=r"other\.safetensors is not the weights"):
        load_encoder(path)
