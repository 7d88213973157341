"""What several tests share. Heavy packages are imported by the fixtures that need them."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engines.graphs.chain import Graphs

SHARED = Path(__file__).resolve().parents[2] / "shared"
FRAME_SIZE = (720, 1280)
DETECTOR_SIZE = (384, 640)


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """No X11 and no Wayland, so that no run opens a window."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The file of a target: a person who stands."""
    from tests.realtime.fakes import target_json

    path = tmp_path / "pose.json"
    path.write_text(json.dumps(target_json()))
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """The developers' folder of weights, clips and pictures, which no clone has of itself."""
    if not (SHARED / "weights").is_dir() or not (SHARED / "media").is_dir():
        pytest.skip(f"needs ../shared: {SHARED} has no weights and media")
    return SHARED


@pytest.fixture(scope="session")
def real_detect(shared: Path) -> "Callable[[str], Graphs]":
    """YOLOv5nu in its graphs, for one person, by precision."""
    from engines.graphs.chain import detect_graphs
    from engines.networks.yolov5 import load_yolov5

    @cache
    def graphs(precision: str) -> "Graphs":
        network = load_yolov5(shared / "weights" / "yolov5nu.pt")
        return detect_graphs(network, FRAME_SIZE, DETECTOR_SIZE, 1, precision)

    return graphs


@pytest.fixture(scope="session")
def real_pose(shared: Path) -> "Callable[[str, int], Graphs]":
    """TinyPose in its graphs, by precision and number of people."""
    from engines.graphs.chain import HEATMAPS, NETWORK_INPUT, pose_graphs
    from engines.networks.heatmap_onnx import load_heatmap_network

    @cache
    def graphs(precision: str, people: int) -> "Graphs":
        path = shared / "weights" / "tinypose_256x192.onnx"
        network = load_heatmap_network(path, people, input_name=NETWORK_INPUT, output_name=HEATMAPS)
        return pose_graphs(network, FRAME_SIZE, people, precision, 0.3)

    return graphs
