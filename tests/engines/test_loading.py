"""Which network a weights file holds: told by its ending and its shapes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engines.errors import BadInputError, EngineError
from engines.graphs.chain import detect_graphs
from engines.networks.hrnet import hrnet
from engines.networks.loading import load_detector, load_pose_network
from engines.networks.yolov5_compact import FlatYoloCompact, YoloCompact


def saved(network: nn.Module, path: Path) -> Path:
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_compact_pose_network_is_known_by_its_width(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    network = hrnet("hrnet_compact").eval()
    loaded = load_pose_network(saved(network, tmp_path / f"weights{suffix}"))
    image = torch.rand(1, 3, 256, 192)
    with torch.no_grad():
        assert torch.equal(loaded(image), network(image))


def test_a_compact_detector_becomes_a_detect_graph(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = load_detector(saved(YoloCompact(), tmp_path / "weights.safetensors"))
    assert isinstance(detector, FlatYoloCompact)
    graph = detect_graphs(detector, (360, 640), (192, 320), 1, "fp16").whole.graph
    assert [value.name for value in graph.input] == ["frame", "anchor"]
    assert [value.name for value in graph.output] == ["boxes"]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = saved(nn.Linear(2, 2), tmp_path / "weights.safetensors")
    for load in (load_detector, load_pose_network):
        with pytest.raises(EngineError, match="weights do not fit"):
            load(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    for load in (load_detector, load_pose_network):
        with pytest.raises(BadInputError, match=r"is a \.npz file"):
            load(tmp_path / "weights.npz")
