"""ONNX graphs from parts: torch modules exported one by one, joined where tensor names meet. Knows no pose or box.

A graph is a chain of parts (sampling, normalisation, network, post-processing). The network alone is ever float16.
"""

import hashlib
import io
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from engines.errors import EngineError

OPSET = 17
NETWORK = "network"
SHARED_VALUES = 256
"""Initializers of the network of at least this many values lie once, in the weights file beside the graphs."""


def export_part(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str]] | None = None,
) -> ModelProto:
    """One part as ONNX, traced on example `inputs`, its tensors named as given."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter warns of its successor, which needs one more package
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]  # a file object is taken, as it ever was
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamic_axes=dynamic_axes,
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def layout_sha256(model: ModelProto) -> str:
    """SHA-256 of a float32 graph without the values of its arrays: the same wherever the same module is exported.

    Where batch norms are folded into weights, the last bits depend on the instructions that a CPU has. Single numbers
    stay.
    """
    layout = ModelProto()
    layout.CopyFrom(model)
    inner = (attribute.t for node in layout.graph.node for attribute in node.attribute if attribute.HasField("t"))
    for tensor in (*layout.graph.initializer, *inner):
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > 1:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    return hashlib.sha256(layout.SerializeToString(deterministic=True)).hexdigest()


def join(parts: Mapping[str, ModelProto], outputs: Sequence[str]) -> ModelProto:
    """The parts as one graph: equal input and output names are one tensor, everything else gets its part's prefix.

    Args:
        parts: name -> part, in the order of computation.
        outputs: which of the parts' outputs the graph returns.
    """
    nodes, initializers = [], []
    given: dict[str, onnx.ValueInfoProto] = {}
    made: dict[str, onnx.ValueInfoProto] = {}
    for name, part in parts.items():
        graph = part.graph
        stored = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in stored]
        kept = {value.name for value in [*inputs, *graph.output]} | {""}
        given |= {value.name: value for value in inputs if value.name not in made and value.name not in given}
        made |= {value.name: value for value in graph.output}

        def inside(tensor: str, name: str = name, kept: set[str] = kept) -> str:
            return tensor if tensor in kept else f"{name}/{tensor}"

        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = f"{name}/{node.name or node.output[0]}"
            copy.input[:] = [inside(tensor) for tensor in node.input]
            copy.output[:] = [inside(tensor) for tensor in node.output]
            nodes.append(copy)
        for tensor in graph.initializer:
            stored_copy = onnx.TensorProto()
            stored_copy.CopyFrom(tensor)
            stored_copy.name = inside(tensor.name)
            initializers.append(stored_copy)
    graph = helper.make_graph(nodes, "posemirror", list(given.values()), [made[name] for name in outputs], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


FLOAT32_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Operators some of whose inputs stay float32 whatever their data is (sizes and scales)."""


def to_float16(network: ModelProto) -> ModelProto:
    """A network with float32 inputs and outputs that computes in float16: casts at its edges, weights converted.

    Raises:
        EngineError: a weight that float16 cannot hold, or an operator that holds another graph.
    """
    model = ModelProto()
    model.CopyFrom(network)
    graph = model.graph
    del graph.value_info[:]
    kept = {
        node.input[index]
        for node in graph.node
        for index in FLOAT32_INPUTS.get(node.op_type, ())
        if index < len(node.input)
    }
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(half(tensor))
    for node in graph.node:
        convert_attributes(node, keep=bool(kept & set(node.output)))
    stored = {tensor.name for tensor in graph.initializer}
    edges = {value.name: value for value in [*graph.input, *graph.output] if value.name not in stored}
    floats = [name for name, value in edges.items() if value.type.tensor_type.elem_type == TensorProto.FLOAT]
    for node in graph.node:
        node.input[:] = [f"{name}_half" if name in floats else name for name in node.input]
        node.output[:] = [f"{name}_half" if name in floats else name for name in node.output]
    inputs = {value.name for value in graph.input}
    casts_in = [cast(name, f"{name}_half", TensorProto.FLOAT16) for name in floats if name in inputs]
    casts_out = [cast(f"{name}_half", name, TensorProto.FLOAT) for name in floats if name not in inputs]
    nodes = [*casts_in, *graph.node, *casts_out]
    del graph.node[:]
    graph.node.extend(nodes)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def cast(source: str, target: str, to: int) -> onnx.NodeProto:
    """A Cast node."""
    return helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=to)


def half(tensor: TensorProto) -> TensorProto:
    """A float32 tensor as float16."""
    values = numpy_helper.to_array(tensor)
    if values.size and np.abs(values).max() > np.finfo(np.float16).max:
        raise EngineError(
            f"the weight {tensor.name} holds {np.abs(values).max():g}",
            "float16 holds at most 65504",
            "run build_engines.py --precision fp32",
        )
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)


def convert_attributes(node: onnx.NodeProto, *, keep: bool) -> None:
    """Turns the float32 constants and casts that a node holds into float16, unless its output must `keep` float32."""
    for attribute in node.attribute:
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise EngineError(
                f"the network holds the operator {node.op_type}, with a graph of its own",
                "float16 conversion takes plain operators only",
                "run build_engines.py --precision fp32",
            )
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT and not keep:
            attribute.t.CopyFrom(half(attribute.t))
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT and not keep:
            attribute.i = TensorProto.FLOAT16


def tensor_types(model: ModelProto) -> dict[str, int]:
    """The element type of every tensor of a graph whose shapes have been inferred."""
    graph = model.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def audit_types(model: ModelProto, precision: str) -> None:
    """Refuses a graph whose tensor types break the project's rule on precision.

    Float16 tensors may exist only inside the network, and at `fp16` all its convolutions and products are float16;
    coordinates, boxes, grids and normalisation are float32 everywhere; inputs and outputs are float32 or uint8.

    Raises:
        EngineError: naming the first node that breaks the rule.
    """
    types = tensor_types(model)
    faults = [
        f"{value.name} is {TensorProto.DataType.Name(types[value.name])}"
        for value in [*model.graph.input, *model.graph.output]
        if types[value.name] not in (TensorProto.FLOAT, TensorProto.UINT8)
    ]
    for node in model.graph.node:
        is_network = node.name.startswith(f"{NETWORK}/")
        held = {types.get(tensor) for tensor in [*node.input, *node.output]}
        if TensorProto.FLOAT16 in held and not is_network:
            faults.append(f"{node.name} works in float16 outside the network")
        heavy = is_network and node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")
        if heavy and precision == "fp16" and {types.get(name) for name in node.input if name} != {TensorProto.FLOAT16}:
            faults.append(f"{node.name} does not work in float16")
        if heavy and precision == "fp32" and TensorProto.FLOAT16 in held:
            faults.append(f"{node.name} works in float16")
    if faults:
        raise EngineError(
            f"the graph's tensor types are wrong at {len(faults)} places, the first: {faults[0]}",
            f"a graph of precision {precision} has float16 in its network alone",
            "run build_engines.py --precision fp32 and report the network",
        )


def save_sharing_weights(models: Mapping[Path, ModelProto], weights: Path, halves: Collection[str] = ()) -> None:
    """Writes graphs of one network; what large tensors they have in common lies once in the file `weights` beside them.

    The float32 tensors named in `halves` lie there as float16, and the graphs bring them to float32 when opened.
    """
    places: dict[bytes, tuple[int, int]] = {}
    with weights.open("wb") as file:
        for path, model in models.items():
            store_half(model, halves)
            for tensor in network_tensors(model):
                raw = numpy_helper.to_array(tensor).tobytes()
                digest = hashlib.sha256(raw).digest()
                if digest not in places:
                    places[digest] = (file.tell(), len(raw))
                    file.write(raw)
                point_to(tensor, weights.name, *places[digest])
            del model.graph.value_info[:]  # a fifth of the file, and whoever needs the shapes can infer them
            onnx.save_model(model, path)


def store_half(model: ModelProto, names: Collection[str]) -> None:
    """Makes the named float32 weights of a graph's network float16, each with a cast, in place."""
    casts = []
    for tensor in network_tensors(model):
        if tensor.name in names:
            name = tensor.name
            tensor.CopyFrom(half(tensor))
            tensor.name = f"{name}_half"
            casts.append(cast(tensor.name, name, TensorProto.FLOAT))
            casts[-1].name = f"{name}_cast"  # a part of the network
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def network_tensors(model: ModelProto) -> list[TensorProto]:
    """The large weights of a graph's network."""
    return [
        tensor
        for tensor in model.graph.initializer
        if tensor.name.startswith(f"{NETWORK}/") and int(np.prod(tensor.dims)) >= SHARED_VALUES
    ]


def large_floats(model: ModelProto) -> set[str]:
    """The names of the network's large float32 weights."""
    return {tensor.name for tensor in network_tensors(model) if tensor.data_type == TensorProto.FLOAT}


def point_to(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    """Makes `tensor` a reference into an external file."""
    kept = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=list(tensor.dims))
    kept.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        kept.external_data.add(key=key, value=value)
    tensor.CopyFrom(kept)
