"""The int8 form of a network as a part of a graph, its weights made of the float32 form's when the graph is opened.

So both forms lie in one weights file. Knows ONNX and the names that ONNX Runtime's quantisation gives; no network.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

LAST_BITS = 2**-10
"""How far, as a part of it, a float16 weight may be from the same one folded on another CPU."""
INT8_SUFFIX = "_quantized"
"""What ONNX Runtime's quantisation puts behind a weight's name; its steps are called by the name and `_scale`."""


def int8_part(int8: ModelProto, plain: ModelProto) -> ModelProto:
    """A copy of the network `int8` for the batch and picture size of `plain`, the float32 network it was made from.

    Each 8-bit weight that is a weight of `plain` divided by its step and rounded becomes just that division, which ONNX
    Runtime carries out when it opens the graph. It may be 1 off, since folded batch norms differ in their last bits
    between CPUs, and so may float32 weights, which become those of `plain` too. Whatever is another stays what it was.
    """
    part = ModelProto()
    part.CopyFrom(int8)
    graph = part.graph
    weights = {tensor.name: tensor for tensor in plain.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored, divisions = [], []
    for tensor in graph.initializer:
        name = tensor.name.removesuffix(INT8_SUFFIX)
        weight = weights.get(name)
        if weight is None or weight.dims != tensor.dims:
            stored.append(tensor)
        elif tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(weight)
            same = np.allclose(numbers[tensor.name], values, rtol=LAST_BITS, atol=LAST_BITS * np.abs(values).max())
            stored.append(weight if same else tensor)
        elif tensor.data_type == TensorProto.INT8 and is_rounded(
            numbers[tensor.name], numpy_helper.to_array(weight), numbers[f"{name}_scale"]
        ):
            stored.append(weight)
            inputs = [name, f"{name}_scale", f"{name}_zero_point"]
            divisions.append(helper.make_node("QuantizeLinear", inputs, [tensor.name], f"{name}_divided", axis=0))
        else:  # a bias, or the first convolution with its fourth channel
            stored.append(tensor)
    nodes = [*divisions, *graph.node]
    for field, values in (
        (graph.initializer, stored),
        (graph.node, nodes),
        (graph.input, plain.graph.input),
        (graph.output, plain.graph.output),
    ):
        kept = list(values)
        del field[:]
        field.extend(kept)
    return part


def is_rounded(whole: np.ndarray, weight: np.ndarray, step: np.ndarray) -> bool:
    """Whether whole numbers are a weight divided by its steps, one an output channel, each within 1."""
    divided = np.rint(weight / step.reshape(-1, *[1] * (weight.ndim - 1)))
    return bool((np.abs(divided - whole) <= 1).all())
