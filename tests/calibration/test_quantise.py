from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from safetensors.torch import save_file

from calibration.quantise import Pictures, cpu_ms, exported, main, quantised
from engines.build import made_from
from engines.graphs.chain import NETWORK_INPUT
from engines.networks.yolov5_compact import YoloCompact
from engines.onnx_runtime import onnxruntime


def test_an_int8_network_says_nearly_the_same_and_its_last_layers_stay_float(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights, out = tmp_path / "weights.safetensors", tmp_path / "int8" / "detector.onnx"
    save_file({name: value.contiguous() for name, value in YoloCompact().state_dict().items()}, weights)
    pictures = np.random.default_rng(0).random((4, 3, 64, 64), np.float32)
    model = exported("detector", weights, pictures)
    before = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = before.run(None, {NETWORK_INPUT: pictures[:1]})
    quantised(model, pictures, out, "12ab")
    after = onnxruntime.InferenceSession(out.read_bytes(), providers=["CPUExecutionProvider"])
    for name, one, other in zip(
        ("box_logits", "class_logits"), expected, after.run(None, {NETWORK_INPUT: pictures[:1]}), strict=True
    ):
        assert np.abs(one - other).max() < 0.25 * np.ptp(one), name
    alone, two = (after.run(None, {NETWORK_INPUT: pictures[:count]}) for count in (1, 2))
    for one, other in zip(alone, two, strict=True):
        assert len(other) == 2 and other[:1] == pytest.approx(one, abs=1e-4), "for any number of pictures"
    assert made_from(out) == "12ab"
    assert sorted(path.name for path in out.parent.iterdir()) == ["detector.onnx"]
    graph = onnx.load(out).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    int8 = [node for node in convolutions if makers.get(node.input[1]) == "DequantizeLinear"]
    weights_int8 = [numpy_helper.to_array(one) for one in graph.initializer if one.data_type == TensorProto.INT8]
    assert 60 <= max(np.abs(one.astype(int)).max() for one in weights_int8) <= 64, "pairs of products fit into 16 bits"
    assert len(convolutions) - len(int8) == 6, "a box and a class convolution for each of three levels"
    assert cpu_ms(out.read_bytes(), pictures) > 0


def test_the_pictures_end_with_none() -> None:
    reader = Pictures(np.zeros((2, 3, 4, 4), np.float32))
    assert [reader.get_next() is None for _ in range(3)] == [False, False, True]


def test_missing_pictures_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["pose", "--weights", "w.safetensors", "--crops", str(tmp_path), "--out", str(tmp_path / "o.onnx")])
    assert code == 2 and "no file" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[kind, "--weights", "other.safetensors"] for kind in ("detector", "pose")])
def test_without_a_place_nothing_is_quantised(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert f"give --out runs/int8/{words[0]}.onnx" in capsys.readouterr().err
