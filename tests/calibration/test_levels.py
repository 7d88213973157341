from pathlib import Path

import torch
from torch import Tensor

from calibration.evaluate_detector import Levels, detector_of
from engines.graphs.parts import export_part
from engines.networks.yolov5_compact import FlatYoloCompact, YoloCompact


def same(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = [(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)]
    return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-4) for a, b in pairs)


def test_a_joined_detector_is_parted_into_its_levels_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = YoloCompact().eval()
    image = torch.rand(2, 3, 64, 96)
    flat = FlatYoloCompact(network).eval()
    path = tmp_path / "detector.onnx"
    path.write_bytes(export_part(flat, {"image": image[:1]}, ["box_logits", "class_logits"]).SerializeToString())
    with torch.inference_mode():
        expected = network(image)
        assert same(Levels(flat, flat.strides, flat.bins)(image), expected)
        assert same(detector_of(path)(image), expected)
