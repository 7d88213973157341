"""An int8 network that takes its weights from the float32 one that it was made from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, numpy_helper
from safetensors.torch import save_file

from calibration.quantise import exported, quantised
from engines.graphs.chain import NETWORK_INPUT
from engines.graphs.int8_form import int8_part
from engines.networks.yolov5_compact import YoloCompact
from tests.fixtures import open_graph

PICTURES = np.random.default_rng(0).random((4, 3, 64, 64), np.float32)


def written(folder: Path) -> Path:
    """Weights of a detector that has learnt nothing."""
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in YoloCompact().state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelProto, ModelProto]:
    """A float32 network, and its int8 form as ONNX Runtime quantised it."""
    folder = tmp_path_factory.mktemp("forms")
    plain = exported("detector", written(folder), PICTURES)
    quantised(plain, PICTURES, folder / "int8.onnx", "12ab")
    return plain, onnx.load(folder / "int8.onnx")


def large_int8(model: ModelProto) -> list[TensorProto]:
    """The 8-bit weights that a graph holds itself."""
    return [one for one in model.graph.initializer if one.data_type == TensorProto.INT8 and len(one.dims) == 4]


def outputs(model: ModelProto) -> list[np.ndarray]:
    """What it says of the first picture."""
    return list(open_graph(model).run(None, {NETWORK_INPUT: PICTURES[:1]}))


def test_it_says_the_same_and_holds_but_the_first_convolution_itself(forms: tuple[ModelProto, ModelProto]) -> None:
    plain, int8 = forms
    part = int8_part(int8, plain)
    assert len(large_int8(int8)) > 60 and len(large_int8(part)) == 1, "the first has a fourth channel"
    for one, other in zip(outputs(part), outputs(int8), strict=True):
        np.testing.assert_array_equal(one, other)
    onnx.shape_inference.infer_shapes(part, strict_mode=True)


def multiplied(model: ModelProto, factor: float) -> ModelProto:
    """A copy with all its weights, also those that stay float32 in int8, times a factor."""
    result = ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 4:
            values = numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return result


def test_last_bits_may_differ_and_other_weights_stay_what_they_were(forms: tuple[ModelProto, ModelProto]) -> None:
    plain, int8 = forms
    elsewhere, kept = (int8_part(int8, multiplied(plain, factor)) for factor in (1.0005, 1.2))
    assert len(large_int8(elsewhere)) == 1
    assert len(large_int8(kept)) == len(large_int8(int8))
    for one, other, wanted in zip(outputs(elsewhere), outputs(kept), outputs(int8), strict=True):
        np.testing.assert_array_equal(other, wanted)
        np.testing.assert_allclose(one, wanted, atol=0.02 * np.abs(wanted).max())


def test_it_takes_the_size_of_the_float32_network(forms: tuple[ModelProto, ModelProto], tmp_path: Path) -> None:
    other = np.zeros((1, 3, 96, 160), np.float32)
    part = int8_part(forms[1], exported("detector", written(tmp_path), other))
    boxes, persons = open_graph(part).run(None, {NETWORK_INPUT: other})
    assert boxes.shape == (1, 32, 315) and persons.shape == (1, 315)
