from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import EngineError
from engines.networks.hrnet import (
    BODY_BLUR,
    FACE_BLUR,
    HRNET_CONFIGS,
    LEAST_PROBABILITY,
    HRNet,
    gaussian_matrix,
    hrnet,
    near_probability,
)
from engines.networks.hrnet_weights import load_hrnet
from engines.networks.state_dicts import read_state_dict
from engines.onnx_runtime import onnxruntime

COMPACT = HRNET_CONFIGS["hrnet_compact"]
IMAGE = torch.rand(1, 3, 256, 192, generator=torch.Generator().manual_seed(0)) * 4 - 2


def randomised(name: str) -> HRNet:
    """A network whose batch norms are not the identity, in evaluation mode."""
    torch.manual_seed(1)
    network = hrnet(name)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.normal_(layer.running_mean, 0, 0.1)
    return network.eval()


def parameters(network: HRNet) -> float:
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def as_mmpose(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        ("keypoint_head." if name.startswith("final_layer") else "backbone.") + name: value
        for name, value in weights.items()
    }


def test_w32_and_w48_have_the_published_number_of_parameters() -> None:
    assert parameters(hrnet("hrnet_w32")) == pytest.approx(28.5, abs=0.05)
    assert parameters(hrnet("hrnet_w48")) == pytest.approx(63.6, abs=0.05)


def test_compact_has_under_two_million_parameters() -> None:
    assert parameters(hrnet("hrnet_compact")) == pytest.approx(1.78, abs=0.005)


@pytest.mark.parametrize("key", [
    "conv1.weight", "bn2.running_var", "layer1.0.downsample.1.weight", "layer1.3.conv3.weight",
    "transition1.0.0.weight", "transition1.1.0.0.weight", "transition2.2.0.1.bias", "transition3.3.0.0.weight",
    "stage2.0.branches.1.3.bn2.weight", "stage3.3.fuse_layers.2.0.0.0.weight", "stage3.0.fuse_layers.2.0.1.1.weight",
    "stage4.1.fuse_layers.3.0.2.0.weight", "stage4.2.fuse_layers.0.3.0.weight", "final_layer.bias",
])  # fmt: skip
def test_w32_uses_the_official_names(key: str) -> None:
    assert key in hrnet("hrnet_w32").state_dict()


def test_the_last_module_of_w32_fuses_into_the_finest_branch_only() -> None:
    assert not any(name.startswith("stage4.2.fuse_layers.1") for name in hrnet("hrnet_w32").state_dict())


def test_official_layout_round_trips_through_a_file(tmp_path: Path) -> None:
    network = randomised("hrnet_w32")
    torch.save(network.state_dict(), tmp_path / "w32.pth")
    loaded = load_hrnet(read_state_dict(tmp_path / "w32.pth"), HRNET_CONFIGS["hrnet_w32"])
    with torch.inference_mode():
        assert torch.equal(network(IMAGE), loaded(IMAGE))


def test_mmpose_layout_nested_in_a_checkpoint_round_trips(tmp_path: Path) -> None:
    network = randomised("hrnet_compact")
    torch.save({"meta": {"epoch": 3}, "state_dict": as_mmpose(network.state_dict())}, tmp_path / "mm.pth")
    loaded = load_hrnet(read_state_dict(tmp_path / "mm.pth"), COMPACT)
    with torch.inference_mode():
        assert torch.equal(network(IMAGE), loaded(IMAGE))


def test_parallel_prefix_and_absent_batch_counters_are_accepted() -> None:
    weights = {
        "module." + name: value
        for name, value in randomised("hrnet_compact").state_dict().items()
        if "num_batches_tracked" not in name
    }
    load_hrnet(weights, COMPACT)


def test_a_missing_key_is_named() -> None:
    weights = hrnet("hrnet_compact").state_dict()
    del weights["stage3.0.branches.1.0.conv2.weight"]
    with pytest.raises(EngineError, match=r"missing keys \(stage3\.0\.branches\.1\.0\.conv2\.weight\)"):
        load_hrnet(weights, COMPACT)


def test_an_unexpected_key_is_named() -> None:
    weights = hrnet("hrnet_compact").state_dict() | {"incre_modules.0.weight": torch.zeros(1)}
    with pytest.raises(EngineError, match=r"unexpected keys \(incre_modules\.0\.weight\)"):
        load_hrnet(weights, COMPACT)


def test_a_wrong_shape_is_named_with_both_shapes() -> None:
    weights = hrnet("hrnet_compact").state_dict() | {"final_layer.weight": torch.zeros(16, 16, 1, 1)}
    with pytest.raises(EngineError, match=r"final_layer\.weight \[16, 16, 1, 1\] instead of \[17, 48, 1, 1\]"):
        load_hrnet(weights, COMPACT)


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="cannot be read as weights"):
        read_state_dict(path)


@pytest.mark.parametrize("name", ["hrnet_w32", "hrnet_compact"])
def test_onnx_agrees_with_torch(tmp_path: Path, name: str) -> None:
    network = randomised(name)
    path = tmp_path / "pose.onnx"
    torch.onnx.export(network, (IMAGE,), path, dynamo=False, opset_version=17, input_names=["image"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(IMAGE).numpy()
    found = session.run(None, {"image": IMAGE.numpy()})[0]
    assert found.shape == (1, 17, 64, 48)
    assert np.abs(found - expected).max() <= 1e-4


def test_a_broad_hill_is_more_probable_than_a_lone_spike_of_the_face_only_a_narrower_one() -> None:
    rows, columns = torch.arange(64)[:, None], torch.arange(48)
    hill = -(((rows - 40) / 3.0) ** 2 + ((columns - 30) / 3.0) ** 2) / 2
    spike = torch.full((64, 48), -20.0)
    spike[10, 8] = 3.3
    maps = torch.logaddexp(hill, spike).expand(1, 17, 64, 48)
    near = near_probability(maps.flatten(2).softmax(-1).view(maps.shape))[0]
    assert int(maps[0, 0].argmax()) == 10 * 48 + 8
    assert near.flatten(1).argmax(1).tolist() == [10 * 48 + 8] * 5 + [40 * 48 + 30] * 12
    place = maps[0, 0].flatten().softmax(0).view(64, 48)
    for keypoint, blur in ((0, FACE_BLUR), (4, FACE_BLUR), (5, BODY_BLUR), (16, BODY_BLUR)):
        weights = torch.exp(-(((rows - 20) / blur) ** 2 + ((columns - 12) / blur) ** 2) / 2)
        assert float(near[keypoint, 20, 12]) == pytest.approx(float((place * weights).sum()), rel=1e-4)
    assert float(near.max()) <= 1


def test_no_probability_near_a_place_is_a_denormal_number_which_some_cpus_are_slow_with() -> None:
    maps = torch.full((1, 17, 64, 48), -95.0)
    maps[..., 10, 8] = 0
    place = maps.flatten(2).softmax(-1).view(maps.shape)
    tiny = torch.finfo(torch.float32).tiny
    assert 0 < float(place.min()) < tiny
    near = near_probability(place)
    assert float(near.min()) >= tiny
    assert float(near[..., 10, 8].min()) == pytest.approx(1)
    for size, blur in ((64, FACE_BLUR), (48, BODY_BLUR)):
        weights = gaussian_matrix(size, blur)
        assert float(weights[weights > 0].min()) * LEAST_PROBABILITY >= tiny


def test_the_peaks_of_the_compact_network_are_probabilities() -> None:
    network = randomised("hrnet_compact")
    with torch.inference_mode():
        heatmaps, (_, _, visibility) = network(IMAGE), network.logits(IMAGE)
    assert torch.allclose(heatmaps.amax((2, 3)), visibility.sigmoid())
    assert float(heatmaps.min()) >= 0
