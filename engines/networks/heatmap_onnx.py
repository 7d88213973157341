"""Any top-down heatmap network given as an ONNX file. Knows its contract, not its inside.

Contract: one input float32 [N, 3, 256, 192], RGB with ImageNet mean and deviation; one output float32 [N, 17, 64, 48],
heatmaps in COCO order in HRNet's crop convention, whose peak is a confidence in 0..1.
"""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto

from engines.errors import EngineError
from engines.geometry import CROP_HEIGHT, CROP_WIDTH, HEATMAP_HEIGHT, HEATMAP_WIDTH
from engines.graphs.parts import OPSET

INPUT_SHAPE = (3, CROP_HEIGHT, CROP_WIDTH)
OUTPUT_SHAPE = (17, HEATMAP_HEIGHT, HEATMAP_WIDTH)


def load_heatmap_network(path: Path, people: int, *, input_name: str, output_name: str) -> ModelProto:
    """The network with its batch fixed to `people` and its two tensors renamed, converted to the project's opset.

    Raises:
        EngineError: not an ONNX file, or another contract.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError) as error:
        raise unusable(path, f"cannot be read as ONNX ({type(error).__name__})") from error
    check_operators(path, model)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    outputs = list(model.graph.output)
    fits = (
        len(inputs) == len(outputs) == 1
        and shape_fits(inputs[0], INPUT_SHAPE, people)
        and shape_fits(outputs[0], OUTPUT_SHAPE, people)
    )
    if not fits:
        seen = ", ".join(describe(value) for value in [*inputs, *outputs])
        raise EngineError(
            f"{path} has the tensors {seen}",
            f"one float32 input [{people} or N, 3, 256, 192] and one float32 output [N, 17, 64, 48] are allowed",
            "export the network with this contract, or run build_engines.py --pose hrnet_w32",
        )
    model = with_opset(path, model)
    try:
        return with_fixed_batch(model, people, {inputs[0].name: input_name, outputs[0].name: output_name})
    except onnx.shape_inference.InferenceError as error:
        raise unusable(path, f"cannot run on a batch of {people} with the shapes that it states") from error


def unusable(path: Path, fault: str) -> EngineError:
    """The error for a file that holds no usable network."""
    return EngineError(
        f"{path} {fault}",
        f"a complete ONNX file of standard operators, opset {OPSET} or older, is needed",
        "export it again, or run build_engines.py --pose hrnet_w32",
    )


def check_operators(path: Path, model: ModelProto) -> None:
    """Refuses what cannot be joined into a larger graph: foreign operators, and operators with a graph of their own."""
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise unusable(path, f"holds the operator {node.op_type} of {node.domain}, which is not standard")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise unusable(path, f"holds the operator {node.op_type}, which has a graph of its own")


def with_opset(path: Path, model: ModelProto) -> ModelProto:
    """The model in the project's opset."""
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset == OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except RuntimeError as error:
        raise unusable(path, f"has opset {opset}, which cannot be converted to {OPSET}") from error


def shape_of(value: onnx.ValueInfoProto) -> list[int]:
    """The dimensions of a tensor, 0 for a dynamic one."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def shape_fits(value: onnx.ValueInfoProto, shape: tuple[int, ...], people: int) -> bool:
    """Whether a tensor is float32 [N or people, *shape]."""
    seen = shape_of(value)
    right_type = value.type.tensor_type.elem_type == TensorProto.FLOAT
    return right_type and len(seen) == 4 and tuple(seen[1:]) in (shape, (0, 0, 0)) and seen[0] in (0, people)


def describe(value: onnx.ValueInfoProto) -> str:
    """A tensor's name and shape, for an error."""
    return f"{value.name} [{', '.join(str(size or 'N') for size in shape_of(value))}]"


def with_fixed_batch(model: ModelProto, people: int, names: dict[str, str]) -> ModelProto:
    """A copy with `names` replaced and shapes inferred anew for a batch of `people`."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    del graph.input[:]
    graph.input.extend(inputs)
    inner = {tensor for node in graph.node for tensor in node.output} | stored
    names = {name: f"{name}_inside" for name in (inner | set(names)) & set(names.values())} | names
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value, shape in ((graph.input[0], INPUT_SHAPE), (graph.output[0], OUTPUT_SHAPE)):
        value.name = names.get(value.name, value.name)
        del value.type.tensor_type.shape.dim[:]
        for size in (people, *shape):
            value.type.tensor_type.shape.dim.add(dim_value=size)
    del graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
