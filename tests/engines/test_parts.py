"""Joining parts, the float16 network between float32 edges, the audit of tensor types, and shared weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from engines.errors import EXIT_ENGINE, EngineError
from engines.graphs.parts import (
    NETWORK,
    audit_types,
    export_part,
    join,
    large_floats,
    layout_sha256,
    save_sharing_weights,
    tensor_types,
    to_float16,
)
from engines.onnx_runtime import onnxruntime
from tests.fixtures import open_graph, run


class Before(nn.Module):
    def forward(self, frame: Tensor) -> Tensor:
        return frame.float() / 255


class Network(nn.Module):
    """Some of everything that a network holds: weights, constants, resizing, reductions, a cast to float."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(30)
        self.first = nn.Conv2d(3, 16, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 4, 1)
        self.linear = nn.Linear(4, 4)

    def forward(self, picture: Tensor) -> Tensor:
        hidden = nn.functional.interpolate(torch.relu(self.norm(self.first(picture))), scale_factor=2.0, mode="nearest")
        hidden = hidden * 0.5 + 1.25 * (hidden > 0.1).float()
        hidden = self.second(nn.functional.interpolate(hidden, (8, 8), mode="bilinear"))
        maps: Tensor = hidden * self.linear(hidden.mean((2, 3))).sigmoid()[..., None, None]
        return maps


class After(nn.Module):
    """Reads the network's output and, once more, the frame."""

    def forward(self, maps: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        return maps.amax((2, 3)), frame.float().mean((2, 3))


FRAME = torch.randint(0, 256, (1, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(31))
OUTPUTS = ["peak", "grey"]


def parts(network: nn.Module | None = None) -> dict[str, ModelProto]:
    picture = Before()(FRAME)
    module = (network or Network()).eval()
    return {
        "before": export_part(Before(), {"frame": FRAME}, ["picture"]),
        NETWORK: export_part(module, {"picture": picture}, ["maps"]),
        "after": export_part(After(), {"maps": module(picture).detach(), "frame": FRAME}, OUTPUTS),
    }


def half_parts() -> dict[str, ModelProto]:
    whole = parts()
    return whole | {NETWORK: to_float16(whole[NETWORK])}


def refused(model: ModelProto, precision: str, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        audit_types(model, precision)
    assert words in str(caught.value) and caught.value.exit_code == EXIT_ENGINE


def test_joined_parts_compute_what_the_modules_compute_in_turn() -> None:
    model = join(parts(), OUTPUTS)
    assert [value.name for value in model.graph.input] == ["frame"]
    assert [value.name for value in model.graph.output] == OUTPUTS
    onnx.checker.check_model(model, full_check=True)
    with torch.no_grad():
        wanted = After()(Network().eval()(Before()(FRAME)), FRAME)
    for seen, value in zip(run(open_graph(model), frame=FRAME.numpy()), wanted, strict=True):
        np.testing.assert_allclose(seen, value.numpy(), atol=1e-5)


def test_every_inner_tensor_carries_its_parts_name() -> None:
    model = join(parts(), OUTPUTS)
    shared_names = {"frame", "picture", "maps", *OUTPUTS}
    for node in model.graph.node:
        part = node.name.split("/")[0]
        assert part in ("before", NETWORK, "after")
        for tensor in [*node.input, *node.output]:
            assert tensor in shared_names or tensor == "" or tensor.startswith(f"{part}/")


def test_float16_network_is_near_float32_and_keeps_float32_edges() -> None:
    single, halved = join(parts(), OUTPUTS), join(half_parts(), OUTPUTS)
    audit_types(single, "fp32")
    audit_types(halved, "fp16")
    types = tensor_types(halved)
    assert types["picture"] == types["maps"] == types["peak"] == TensorProto.FLOAT
    convolutions = [node for node in halved.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(convolutions) == 3
    for node in convolutions:
        assert {types[name] for name in [*node.input, *node.output]} == {TensorProto.FLOAT16}
    expected = run(open_graph(single), frame=FRAME.numpy())
    for seen, value in zip(run(open_graph(halved), frame=FRAME.numpy()), expected, strict=True):
        np.testing.assert_allclose(seen, value, atol=5e-3)


def test_float16_leaves_the_given_network_as_it_was() -> None:
    network = parts()[NETWORK]
    before = network.SerializeToString()
    to_float16(network)
    assert network.SerializeToString() == before


def test_a_weight_beyond_float16_is_refused_by_name() -> None:
    network = Network()
    network.second.weight.data[0] = 70_000.0
    with pytest.raises(EngineError, match=r"second\.weight holds 70000") as caught:
        to_float16(parts(network)[NETWORK])
    assert "--precision fp32" in str(caught.value)


def test_an_operator_with_a_graph_of_its_own_is_refused_for_float16() -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["b"])], "b", [], [helper.make_tensor_value_info("b", 1, [1])]
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array(True), "condition")],
    )
    with pytest.raises(EngineError, match="operator If, with a graph of its own"):
        to_float16(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


# ---- the audit


def test_audit_refuses_float16_outside_the_network() -> None:
    after = export_part(After(), {"maps": torch.rand(1, 4, 8, 8), "frame": FRAME}, OUTPUTS)
    for node in after.graph.node:
        node.input[:] = ["rough" if name == "maps" else name for name in node.input]
    after.graph.node.insert(0, helper.make_node("Cast", ["small"], ["rough"], to=TensorProto.FLOAT))
    after.graph.node.insert(0, helper.make_node("Cast", ["maps"], ["small"], name="squeeze", to=TensorProto.FLOAT16))
    for network, precision in ((half_parts(), "fp16"), (parts(), "fp32")):
        model = join(network | {"after": after}, OUTPUTS)
        refused(model, precision, "after/squeeze works in float16 outside the network")


def test_audit_refuses_a_float32_convolution_in_a_float16_graph() -> None:
    refused(join(parts(), OUTPUTS), "fp16", "Conv does not work in float16")


def test_audit_refuses_one_convolution_left_in_float32() -> None:
    network = half_parts()[NETWORK]
    last = next(node for node in reversed(network.graph.node) if node.op_type == "Conv")
    position = list(network.graph.node).index(last)
    for index, name in enumerate(list(last.input)):
        network.graph.node.insert(position, helper.make_node("Cast", [name], [f"wide{index}"], to=TensorProto.FLOAT))
        last.input[index] = f"wide{index}"
        position += 1
    result = last.output[0]
    last.output[0] = "wide_result"
    network.graph.node.insert(position + 1, helper.make_node("Cast", ["wide_result"], [result], to=TensorProto.FLOAT16))
    del network.graph.value_info[:]
    refused(join(parts() | {NETWORK: network}, OUTPUTS), "fp16", "Conv does not work in float16")


def test_audit_refuses_a_float16_convolution_in_a_float32_graph() -> None:
    refused(join(half_parts(), OUTPUTS), "fp32", "works in float16")


@pytest.mark.parametrize(
    ("kind", "name"), [(TensorProto.FLOAT16, "FLOAT16"), (TensorProto.INT64, "INT64"), (TensorProto.DOUBLE, "DOUBLE")]
)
def test_audit_refuses_inputs_and_outputs_that_are_neither_float32_nor_uint8(kind: int, name: str) -> None:
    for where in ("input", "output"):
        model = join(parts(), OUTPUTS)
        if where == "output":
            model.graph.node.append(helper.make_node("Cast", ["peak"], ["odd"], name=f"{NETWORK}/odd", to=kind))
            model.graph.output.append(helper.make_tensor_value_info("odd", kind, [1, 4]))
        else:
            model.graph.input.append(helper.make_tensor_value_info("odd", kind, [1, 4]))
        refused(model, "fp32", f"odd is {name}")


# ---- shared weights


def test_graphs_that_share_weights_compute_the_same_from_their_files(tmp_path: Path) -> None:
    whole = parts()
    models = {"whole": join(whole, OUTPUTS), "cut": join({name: whole[name] for name in (NETWORK,)}, ["maps"])}
    frame = FRAME.numpy()
    wanted = run(open_graph(models["whole"]), frame=frame)
    (wanted_maps,) = run(open_graph(models["cut"]), picture=Before()(FRAME).numpy())
    save_sharing_weights({tmp_path / f"{name}.onnx": model for name, model in models.items()}, tmp_path / "w.weights")
    opened = {
        name: onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        for name in models
    }
    for seen, value in zip(run(opened["whole"], frame=frame), wanted, strict=True):
        np.testing.assert_array_equal(seen, value)
    np.testing.assert_array_equal(run(opened["cut"], picture=Before()(FRAME).numpy())[0], wanted_maps)


def test_weights_stored_as_float16_take_half_the_place_and_compute_in_float32(tmp_path: Path) -> None:
    model = join(parts(), OUTPUTS)
    (wanted, *_) = run(open_graph(model), frame=FRAME.numpy())
    save_sharing_weights({tmp_path / "one.onnx": model}, tmp_path / "w.weights", large_floats(model))
    assert (tmp_path / "w.weights").stat().st_size == Network().first.weight.numel() * 2
    audit_types(onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "one.onnx")), "fp32")
    opened = onnxruntime.InferenceSession(str(tmp_path / "one.onnx"), providers=["CPUExecutionProvider"])
    (seen, *_) = run(opened, frame=FRAME.numpy())
    assert 0 < np.abs(seen - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_large_weights_lie_once_in_their_file_and_small_ones_in_the_graph(tmp_path: Path) -> None:
    whole = parts()
    models = {tmp_path / f"{name}.onnx": join(whole, OUTPUTS) for name in ("one", "other")}
    save_sharing_weights(models, tmp_path / "w.weights")
    weight = Network().first.weight
    assert (tmp_path / "w.weights").stat().st_size == weight.numel() * 4
    for path in models:
        outside = [tensor for tensor in onnx.load(path, load_external_data=False).graph.initializer
                   if tensor.data_location == TensorProto.EXTERNAL]  # fmt: skip
        assert len(outside) == 1 and list(outside[0].dims) == list(weight.shape)
        onnx.checker.check_model(str(path))


def test_a_layout_is_the_same_whatever_the_weights_and_another_for_another_graph() -> None:
    inputs = {"x": torch.zeros(1, 3, 8, 8)}
    torch.manual_seed(0)
    first, same = (export_part(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), inputs, ["y"]) for _ in range(2))
    assert first != same and layout_sha256(first) == layout_sha256(same)
    for other in (nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid())):
        assert layout_sha256(export_part(other, inputs, ["y"])) != layout_sha256(first)
    assert first.graph.initializer[0].raw_data, "the graph itself keeps its weights"
