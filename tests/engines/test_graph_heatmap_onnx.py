"""A heatmap network given as ONNX: brought to the project's contract, or refused in one sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from engines.errors import EXIT_ENGINE, EngineError
from engines.graphs.parts import OPSET
from engines.networks.heatmap_onnx import load_heatmap_network
from tests.fixtures import open_graph, run

IN, OUT = (3, 256, 192), (17, 64, 48)
Dimension = str | int


def network(
    batch: Dimension = "n",
    *,
    inputs: tuple[Dimension, ...] = IN,
    outputs: tuple[Dimension, ...] = OUT,
    names: tuple[str, str] = ("image", "maps"),
    inner: str = "looked",
    opset: int = OPSET,
    kind: int = TensorProto.FLOAT,
) -> ModelProto:
    """A one-convolution network [batch, *inputs] -> [batch, *outputs]; what it states may be untrue."""
    random = np.random.default_rng(27)
    weight = random.normal(0, 0.1, (17, 3, 4, 4)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [names[0], "weight"], [inner], strides=[4, 4]),
            helper.make_node("Sigmoid", [inner], [names[1]]),
        ],
        "network",
        [helper.make_tensor_value_info(names[0], kind, (batch, *inputs))],
        [helper.make_tensor_value_info(names[1], kind, (batch, *outputs))],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def load(path: Path, people: int) -> ModelProto:
    return load_heatmap_network(path, people, input_name="network_image", output_name="heatmaps")


def saved(tmp_path: Path, model: ModelProto) -> Path:
    path = tmp_path / "network.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("people", [1, 3])
@pytest.mark.parametrize(
    "model",
    [
        network(),
        network(outputs=("a", "b", "c")),
        network(names=("heatmaps", "network_image")),
        network(inner="heatmaps"),
        network(inner="network_image"),
        network(opset=11),
    ],
    ids=["plain", "output of unknown size", "names the wrong way round", "inner name taken", "other inner name taken",
         "older opset"],
)  # fmt: skip
def test_a_dynamic_batch_is_fixed_and_the_tensors_are_renamed(tmp_path: Path, model: ModelProto, people: int) -> None:
    image = np.random.default_rng(28).normal(size=(people, *IN)).astype(np.float32)
    (wanted,) = open_graph(model).run(None, {model.graph.input[0].name: image})
    graph = open_graph(load(saved(tmp_path, model), people))
    assert [(one.name, one.shape) for one in graph.get_inputs()] == [("network_image", [people, *IN])]
    assert [(one.name, one.shape) for one in graph.get_outputs()] == [("heatmaps", [people, *OUT])]
    np.testing.assert_allclose(run(graph, network_image=image)[0], wanted, atol=1e-6)


def test_a_batch_that_is_fixed_already_must_be_the_number_of_people(tmp_path: Path) -> None:
    path = saved(tmp_path, network(2))
    assert load(path, 2).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    with pytest.raises(EngineError, match=r"image \[2, 3, 256, 192\].*\[3 or N, 3, 256, 192\]"):
        load(path, 3)


def test_weights_listed_among_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    model = network()
    inputs = [helper.make_tensor_value_info("weight", TensorProto.FLOAT, (17, 3, 4, 4)), *model.graph.input]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    assert [one.name for one in load(saved(tmp_path, model), 1).graph.input] == ["network_image"]


def two_inputs() -> ModelProto:
    model = network()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 2)))
    return model


def two_outputs() -> ModelProto:
    model = network()
    model.graph.output.append(helper.make_tensor_value_info("looked", TensorProto.FLOAT, ("n", *OUT)))
    return model


def own_operator() -> ModelProto:
    model = network()
    model.graph.node[1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def graph_within() -> ModelProto:
    model = network()
    branch = helper.make_graph(
        [helper.make_node("Sigmoid", ["looked"], ["chosen"])],
        "branch",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, ("n", *OUT))],
    )
    condition = numpy_helper.from_array(np.array(True), "condition")
    model.graph.initializer.append(condition)
    model.graph.node[1].CopyFrom(
        helper.make_node("If", ["condition"], ["maps"], then_branch=branch, else_branch=branch)
    )
    return model


def newer_opset() -> ModelProto:
    """Opset 18 splits by a number, which no older opset says."""
    model = network(opset=18)
    model.graph.node[1].CopyFrom(helper.make_node("Split", ["looked"], ["maps"], num_outputs=1, axis=1))
    return model


def batch_of_one_inside() -> ModelProto:
    model = network()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, *OUT]), "shape"))
    model.graph.node[1].CopyFrom(helper.make_node("Reshape", ["looked", "shape"], ["maps"]))
    return model


BAD: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "other picture size": (lambda: network(inputs=(3, 384, 288), outputs=(17, 96, 72)), "image [N, 3, 384, 288]"),
    "other number of keypoints": (lambda: network(outputs=(16, 64, 48)), "maps [N, 16, 64, 48]"),
    "channels last": (lambda: network(inputs=(256, 192, 3)), "image [N, 256, 192, 3]"),
    "double": (lambda: network(kind=TensorProto.DOUBLE), "one float32 input"),
    "two inputs": (two_inputs, "more [1, 2]"),
    "two outputs": (two_outputs, "looked [N, 17, 64, 48]"),
    "an operator of its own": (own_operator, "Sigmoid of com.example"),
    "a graph within": (graph_within, "If, which has a graph of its own"),
    "a newer opset": (newer_opset, "opset 18"),
    "a batch of one inside": (batch_of_one_inside, "a batch of 3"),
}


def refused(path: Path, people: int, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        load(path, people)
    message = str(caught.value)
    assert caught.value.exit_code == EXIT_ENGINE
    assert str(path) in message and words in message, message
    assert "\n" not in message and message.count("; ") >= 2 and "build_engines.py" in message


@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
def test_another_contract_is_refused_with_what_was_seen(
    tmp_path: Path, make: Callable[[], ModelProto], words: str
) -> None:
    refused(saved(tmp_path, make()), 3, words)


@pytest.mark.parametrize(
    "content", [b"", b"no network at all", b"\x08\x08" * 40, b"\xff" * 300], ids=["empty", "text", "fields", "bytes"]
)
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    refused(path, 1, "cannot be read as ONNX")


def test_a_truncated_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, network())
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, 1, "cannot be read as ONNX")
    refused(tmp_path / "nothing.onnx", 1, "cannot be read as ONNX")


def test_tinypose_keeps_its_values_with_its_batch_fixed(shared: Path) -> None:
    path = shared / "weights" / "tinypose_256x192.onnx"
    image = np.random.default_rng(29).normal(size=(2, *IN)).astype(np.float32)
    (wanted,) = open_graph(onnx.load(path)).run(None, {"image": image})
    (heatmaps,) = run(open_graph(load(path, 2)), network_image=image)
    np.testing.assert_allclose(heatmaps, wanted, atol=1e-5)
