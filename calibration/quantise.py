"""Int8 forms (u8 activations, s8 weights) of the compact networks, quantised by ONNX Runtime. Trains nothing.

python -m calibration.quantise pose        # calibration/runs/pose_compact_int8.onnx, which make quickstart takes
python -m calibration.quantise detector    # and detector_compact_int8.onnx

The ranges of activations are means over training pictures of each picture's range: the ranges of all of them together
are so wide that steps become coarse, and a still pose jitters. Weights take 7 bits of the 8: the sum of two products
of a u8 and a 7-bit number fits into 16 bits, so that a CPU which adds pairs of them with saturation (x86 before VNNI)
gives the same sums. The last convolutions (heatmaps, visibility, boxes, classes) and the pose network's last fusion
stay float32. The file says which weights it was made from. The command prints what a picture costs in both forms;
`calibration.distill evaluate` says what is lost.
"""

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from rich.console import Console

from calibration.crops import CropSet, FloatArray
from calibration.detector_task import LEFT_OUT
from calibration.evaluate_detector import LIVE_SIZE, scaled_rgb
from calibration.evaluate_pose import normalised
from calibration.scenes import SceneSet, letterboxed
from engines.download import file_sha256
from engines.errors import BadInputError
from engines.exits import documented_exits
from engines.graphs.chain import NETWORK_INPUT, torch_detector_network, torch_pose_network
from engines.graphs.parts import SHARED_VALUES, half, layout_sha256
from engines.networks.loading import load_detector, load_pose_network
from engines.onnx_runtime import onnxruntime
from engines.options import OptionParser
from engines.weights_registry import MADE_FROM, MADE_FROM_GRAPH, OWN_INT8, OWN_WEIGHTS
from engines.whole_files import write_whole

OPERATORS = ("Conv", "Relu", "Add", "Concat", "Resize", "MaxPool")
LAST = ("final_layer", "visibility", "/box/", "/person/")
"""Parts of the names of convolutions whose outputs are what is asked for."""
FUSION = ("/stage4/stage4.0/fuse_layers.0", "/stage4/stage4.0/Add", "/stage4/stage4.0/Relu")
"""The pose network's last fusion: ONNX Runtime enlarges 8-bit maps five times as slowly as float32 ones."""
TIMED, REPEATS = 10, 5


class Pictures:
    """What ONNX Runtime asks for pictures: one a call, then None."""

    def __init__(self, pictures: FloatArray) -> None:
        self._rows: Iterator[FloatArray] = iter(pictures)

    def get_next(self) -> dict[str, FloatArray] | None:
        """The network's next input."""
        row = next(self._rows, None)
        return None if row is None else {NETWORK_INPUT: row[None]}


def pose_pictures(crops: Path, count: int) -> FloatArray:
    """Windows of training crops as the pose network sees them, `float32 [N, 3, 256, 192]`."""
    people = CropSet(crops / "train")
    chosen = np.random.default_rng(0).choice(len(people), min(count, len(people)), replace=False)
    return np.asarray(normalised(torch.from_numpy(people.windows(chosen))).numpy(), np.float32)


def detector_pictures(crops: Path, count: int) -> FloatArray:
    """Training scenes as the detector sees live ones, `float32 [N, 3, 224, 384]`."""
    scenes = SceneSet(crops / "scenes_train", LEFT_OUT)
    chosen = np.random.default_rng(0).choice(len(scenes), min(count, len(scenes)), replace=False)
    fitted = np.stack([letterboxed(scenes[one].picture, into=LIVE_SIZE)[0] for one in chosen])
    return np.asarray(scaled_rgb(torch.from_numpy(fitted)).numpy(), np.float32)


def exported(kind: str, weights: Path, pictures: FloatArray) -> onnx.ModelProto:
    """The float32 network as an ONNX graph for one picture, its large weights rounded to float16 as in what ships."""
    if kind == "pose":
        model = torch_pose_network(load_pose_network(weights), 1)
    else:
        height, width = pictures.shape[2:]
        model = torch_detector_network(load_detector(weights), (height, width))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= SHARED_VALUES:
            rounded = onnx.numpy_helper.to_array(half(tensor)).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
    return model


def quantised(model: onnx.ModelProto, pictures: FloatArray, out: Path, weights_sha256: str) -> None:
    """Writes the int8 form of a network to `out`, whole or not at all; `weights_sha256` is of its weights file."""
    quantization = importlib.import_module(f"{onnxruntime.__name__}.quantization")
    quant_pre_process = importlib.import_module(f"{quantization.__name__}.shape_inference").quant_pre_process

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain, prepared, small = (Path(scratch) / f"{name}.onnx" for name in ("plain", "prepared", "small"))
        onnx.save_model(model, plain)
        quant_pre_process(os.fspath(plain), os.fspath(prepared), skip_symbolic_shape=True)
        tidied = onnx.load(prepared)
        nodes = tidied.graph.node
        kept = [node.name for node in nodes if any(part in node.name for part in (*LAST, *FUSION))]
        # what belongs to no layer: the detector's levels joined, the pose network's visibilities
        kept += [node.name for node in nodes if node.op_type in ("Concat", "Add") and node.name.count("/") == 1]
        quantization.quantize_static(
            with_fourth_channel(tidied),
            os.fspath(small),
            Pictures(pictures),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=kept,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},
        )
        result = for_any_batch(onnx.load(small))
    onnx.helper.set_model_props(result, {MADE_FROM: weights_sha256, MADE_FROM_GRAPH: layout_sha256(model)})
    write_whole(out, result.SerializeToString(deterministic=True))


def with_fourth_channel(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph, changed in place to give its first convolution a fourth channel of zeros, which changes no sum.

    ONNX Runtime's quick 8-bit convolutions take channels by fours; the first, of three, took more than twice as long.
    """
    graph = model.graph
    (first,) = (node for node in graph.node if NETWORK_INPUT in node.input)
    (weights,) = (tensor for tensor in graph.initializer if tensor.name == first.input[1])
    padded = np.pad(onnx.numpy_helper.to_array(weights), ((0, 0), (0, 1), (0, 0), (0, 0)))
    weights.CopyFrom(onnx.numpy_helper.from_array(padded, weights.name))
    pads = np.array([0, 0, 0, 0, 0, 1, 0, 0], np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(pads, "fourth_channel"))
    graph.node.insert(0, onnx.helper.make_node("Pad", [NETWORK_INPUT, "fourth_channel"], ["four_channels"]))
    first.input[0] = "four_channels"
    return model


def for_any_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph of one picture, changed in place to one of N: each Reshape takes N from what it reshapes."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Reshape":
            shape = onnx.numpy_helper.to_array(constants[node.input[1]]).copy()
            assert shape[0] in (0, 1), f"{node.name} reshapes to {shape}"
            shape[0] = 0
            constants[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(shape, node.input[1]))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    return model


def cpu_ms(model: bytes, pictures: FloatArray) -> float:
    """CPU time of one picture on one thread, ms: the least of a few rounds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rounds = []
    for _ in range(REPEATS + 1):
        started = time.process_time()
        for row in pictures[:TIMED]:
            session.run(None, {NETWORK_INPUT: row[None]})
        rounds.append((time.process_time() - started) / len(pictures[:TIMED]) * 1e3)
    return min(rounds[1:])


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Quantises one network. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.quantise", description=__doc__.splitlines()[0])
    options.add_argument("kind", choices=("pose", "detector"))
    options.add_argument("--weights", type=Path, help=".safetensors of the network; default: those that ship")
    options.add_argument("--crops", type=Path, default=Path("../shared/crops"), help="folder with training pictures")
    options.add_argument("--pictures", type=int, default=512, help="that the ranges are taken from")
    options.add_argument("--out", type=Path, help="the .onnx file; default, for our own weights: the one that ships")
    given = options.parse_args(arguments)
    weights = given.weights or OWN_WEIGHTS[given.kind]
    out = given.out or (OWN_INT8[given.kind] if given.weights is None else None)
    if out is None:
        raise BadInputError(
            "--weights without --out",
            "only the weights that ship have a place for their int8 form",
            f"give --out runs/int8/{given.kind}.onnx",
        )
    taken = pose_pictures if given.kind == "pose" else detector_pictures
    pictures = taken(given.crops, given.pictures)
    model = exported(given.kind, weights, pictures)
    quantised(model, pictures, out, file_sha256(weights))
    before, after = cpu_ms(model.SerializeToString(), pictures), cpu_ms(out.read_bytes(), pictures)
    size = out.stat().st_size / 1e6
    Console().print(
        f"{out}: {size:.1f} MB, {after:.2f} CPU-ms a picture, float32 {before:.2f}",
        highlight=False,
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
