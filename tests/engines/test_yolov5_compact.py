from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import EngineError
from engines.networks.yolov5_compact import FlatYoloCompact, YoloCompact, YoloConfig, load_yolov5_compact
from engines.onnx_runtime import onnxruntime

IMAGE = torch.rand(1, 3, 192, 320, generator=torch.Generator().manual_seed(0))


def test_each_level_gives_distances_and_one_class() -> None:
    network = YoloCompact().eval()
    with torch.inference_mode():
        levels = network(IMAGE)
    for (box, person), stride in zip(levels, network.strides, strict=True):
        assert box.shape == (1, 4 * network.reg_max, 192 // stride, 320 // stride)
        assert person.shape == (1, 1, 192 // stride, 320 // stride)


def test_its_cost_stays_under_half_a_giga_mac() -> None:
    """Which takes 4.5 of the 5 CPU-ms that a look may cost (docs/compact_models.md)."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        YoloCompact().eval()(IMAGE)
    assert counter.get_total_flops() / 2e9 < 0.5


def test_onnx_agrees_with_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = YoloCompact().eval()
    names = [f"{kind}{stride}" for stride in network.strides for kind in ("box", "person")]
    path = tmp_path / "detector.onnx"
    torch.onnx.export(
        network, (IMAGE,), path, dynamo=False, opset_version=17, input_names=["image"], output_names=names
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = [value.numpy() for level in network(IMAGE) for value in level]
    for found, value in zip(session.run(names, {"image": IMAGE.numpy()}), expected, strict=True):
        assert np.abs(found - value).max() <= 1e-4


def test_weights_round_trip_in_half_precision() -> None:
    network = YoloCompact().eval()
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()
    }
    loaded = load_yolov5_compact(weights)
    assert torch.allclose(loaded.heads[0].box.weight, network.heads[0].box.weight, atol=1e-3)


def test_weights_of_another_size_are_refused_by_name() -> None:
    other = YoloCompact(YoloConfig(head_width=48))
    with pytest.raises(EngineError, match=r"heads\.0\.stem\.0\.weight"):
        load_yolov5_compact(other.state_dict())


def test_joined_levels_keep_their_order() -> None:
    network = YoloCompact().eval()
    with torch.inference_mode():
        levels = network(IMAGE)
        boxes, persons = FlatYoloCompact(network)(IMAGE)
    assert boxes.shape == (1, 32, 960 + 240 + 60)
    assert torch.equal(boxes[0, :, 960 + 20], levels[1][0][0, :, 1, 0])
    assert torch.equal(persons[0, -1], levels[2][1][0, 0, -1, -1])
