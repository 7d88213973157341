"""Pre- and post-processing on the host, around the bare networks: what most programs do, to measure ours against.

    python benchmarks/host_chain.py --engines DIR --clip CLIP [--frames 60]

DIR holds ONNX graphs (`build_engines.py --backend onnx`). The networks are cut out of them, so both sides run the same
weights at the same precision. On the host: OpenCV letterbox and crop, NumPy normalisation, decoding and suppression.
Inside: all of that in the graphs. Prints CPU time a frame on one thread, turns taken, and how far the results differ.
On a GPU `gpu_latency.py --graphs DIR` compares the same two.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.bodies import BESIDE_SHARE, LEAST_CONFIDENCE, NEWCOMERS_SHARE
from engines.errors import PosemirrorError
from engines.execution import ChainInfo, CpuChain, read_chain
from engines.geometry import CROP_PADDING, HEATMAP_HEIGHT, HEATMAP_WIDTH, Size, fit_letterbox, top_of_parabola
from engines.host_sampling import crop, letterbox
from engines.onnx_runtime import onnxruntime
from engines.options import MOST_PEOPLE
from engines.skeleton import joints_from_keypoints

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
Run = Callable[[str, Floats], list[Floats]]
"""A bare network by name on its picture float32 [N, 3, h, w]; its outputs in order."""

NETWORK_INPUT = "network_image"
OUTPUTS = {"detect": ["box_logits", "class_logits"], "pose": ["heatmaps"]}
STRIDES = (8, 16, 32)
CANDIDATES, MOST_OVERLAP = 64, 0.6
LEVELS_OF_CONFIDENCE = [LEAST_CONFIDENCE * share for share in (1, BESIDE_SHARE)]
"""Boxes below the first come after all others, those below the second last, as in the graph without an anchor."""
MEAN, DEVIATION = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


def bare_network(info: ChainInfo, name: str) -> onnx.ModelProto:
    """The network alone, with static shapes, out of the graph `name` (detect or pose) of a folder of ONNX engines."""
    whole = onnx.shape_inference.infer_shapes(onnx.load(info.directory / f"{name}.onnx"))
    model = onnx.utils.Extractor(whole).extract_model([NETWORK_INPUT], OUTPUTS[name])
    width, height = info.manifests[name].image_size
    model.graph.input[0].CopyFrom(picture_input(1 if name == "detect" else info.people, height, width))
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def picture_input(count: int, height: int, width: int) -> onnx.ValueInfoProto:
    """What a bare network takes: normalised RGB."""
    return onnx.helper.make_tensor_value_info(NETWORK_INPUT, onnx.TensorProto.FLOAT, [count, 3, height, width])


class HostChain:
    """Detector and pose network with everything else on the host.

    Args:
        info: of the engines.
        run: runs a bare network.
    """

    def __init__(self, info: ChainInfo, run: Run) -> None:
        width, height = info.frame_size
        image_width, image_height = info.manifests["detect"].image_size
        self.people, self._run = info.people, run
        self._frame_size, self._image_size = (height, width), (image_height, image_width)
        self._points, self._strides = cell_centres(self._image_size)

    def detect(self, frame: Picture) -> Floats:
        """Boxes float32 [8, 5] in a frame uint8 [H, W, 3], as the graph `detect` gives them without an anchor."""
        picture = letterbox(frame, self._image_size, exact=True)
        image = np.ascontiguousarray(picture[None, ..., ::-1].transpose(0, 3, 1, 2), np.float32) / 255
        box_logits, class_logits = self._run("detect", image)
        boxes, confidence = self._candidates(box_logits[0], class_logits[0])
        kept = suppressed(boxes, confidence)
        return self._in_frame(boxes[kept], confidence[kept])

    def _candidates(self, box_logits: Floats, class_logits: Floats) -> tuple[Floats, Floats]:
        """The most confident cells, in falling order: boxes [N, 4] px of the network's picture, confidence [N]."""
        cells = np.argpartition(-class_logits, CANDIDATES)[:CANDIDATES]
        cells = cells[np.argsort(-class_logits[cells], kind="stable")]
        bins = len(box_logits) // 4
        spread = box_logits[:, cells].T.reshape(len(cells), 4, bins)
        weights = np.exp(spread - spread.max(-1, keepdims=True))
        sides = (weights @ np.arange(bins, dtype=np.float32)) / weights.sum(-1) * self._strides[cells]
        points = self._points[cells]
        confidence = 1 / (1 + np.exp(-class_logits[cells]))
        return np.concatenate([points - sides[:, :2], points + sides[:, 2:]], 1), confidence

    def _in_frame(self, boxes: Floats, confidence: Floats) -> Floats:
        """In frame px, by confidence x sqrt(area), nearest the middle on ties."""
        height, width = self._frame_size
        fit = fit_letterbox(self._frame_size, self._image_size)
        scale = np.float32([fit.width / width, fit.height / height] * 2)
        boxes = np.clip((boxes - np.float32([fit.left, fit.top] * 2)) / scale, 0, np.float32([width, height] * 2))
        away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - (width / 2, height / 2), axis=1)
        order = confidence * np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], 1))
        order *= 1 - 1e-4 * away / np.hypot(width / 2, height / 2)
        best = np.lexsort((-order, sum(confidence < level for level in LEVELS_OF_CONFIDENCE)))[:MOST_PEOPLE]
        rows = np.zeros((MOST_PEOPLE, 5), np.float32)
        rows[: len(best), :4], rows[: len(best), 4] = boxes[best], confidence[best]
        return rows

    def pose(self, frame: Picture, boxes: Floats) -> Floats:
        """Keypoints float32 [K, 17, 3] of the people in `boxes` [K, 5], without smoothing."""
        image = (crop(frame, boxes)[..., ::-1].astype(np.float32) - MEAN) / DEVIATION
        (heatmaps,) = self._run("pose", np.ascontiguousarray(image.transpose(0, 3, 1, 2)))
        return decoded(heatmaps, boxes)

    def joints(self, frame: Picture, visible_confidence: float) -> tuple[Floats, Floats, Floats]:
        """A whole frame: boxes [8, 5], keypoints [K, 17, 3] and joints [K, 15, 3]."""
        boxes = self.detect(frame)
        keypoints = self.pose(frame, boxes[: self.people])
        return boxes, keypoints, joints_from_keypoints(keypoints, visible_confidence)


def cell_centres(image_size: Size) -> tuple[Floats, Floats]:
    """Centres [N, 2] px and strides [N, 1] of all cells, level after level."""
    points, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: image_size[0] // stride, : image_size[1] // stride]
        points.append((np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(strides).astype(np.float32)


def suppressed(boxes: Floats, confidence: Floats) -> list[int]:
    """Greedy suppression of boxes [N, 4] in falling order: the indices that stay."""
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), 1)
    kept: list[int] = []
    for index in range(int((confidence >= NEWCOMERS_SHARE * LEAST_CONFIDENCE).sum())):
        low, high = np.maximum(boxes[kept, :2], boxes[index, :2]), np.minimum(boxes[kept, 2:], boxes[index, 2:])
        shared = np.prod(np.clip(high - low, 0, None), 1)
        if not (shared > MOST_OVERLAP * (areas[kept] + areas[index] - shared)).any():
            kept.append(index)
    return kept


def decoded(heatmaps: Floats, boxes: Floats) -> Floats:
    """Heatmaps [K, 17, 64, 48] to keypoints [K, 17, 3] in frame px, as the graph does; zeros where there is no box."""
    people, count = heatmaps.shape[:2]
    best = heatmaps.reshape(people, count, -1).argmax(-1)
    row, column = np.divmod(best, HEATMAP_WIDTH)
    padded = np.pad(heatmaps, ((0, 0), (0, 0), (1, 1), (1, 1)))
    one, two = np.ogrid[:people, :count]
    peak = padded[one, two, row + 1, column + 1]
    left, right = (peak - padded[one, two, row + 1, column + step] for step in (0, 2))
    above, below = (peak - padded[one, two, row + step, column + 1] for step in (0, 2))
    x = column + top_of_parabola(left, right, column, HEATMAP_WIDTH) - HEATMAP_WIDTH / 2
    y = row + top_of_parabola(above, below, row, HEATMAP_HEIGHT) - HEATMAP_HEIGHT / 2
    size = boxes[:, 2:4] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    window = np.maximum(size[:, :1], size[:, 1:] * HEATMAP_WIDTH / HEATMAP_HEIGHT) * CROP_PADDING
    step = window / HEATMAP_WIDTH
    keypoints = np.stack([x * step + centre[:, :1], y * step + centre[:, 1:], np.clip(peak, 0, 1)], -1)
    return (keypoints * (size > 0).all(1)[:, None, None]).astype(np.float32)


def frames_of(clip: Path, size: tuple[int, int], count: int) -> list[Picture]:
    """The first frames of a clip, fitted to (width, height) px."""
    video, frames = cv2.VideoCapture(str(clip)), []
    while len(frames) < count and (image := video.read()[1]) is not None:
        frames.append(letterbox(image.astype(np.uint8), (size[1], size[0]), grey=0))
    return frames


def on_cpu(info: ChainInfo) -> Run:
    """The bare networks of a folder of ONNX engines in ONNX Runtime, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    sessions = {
        name: onnxruntime.InferenceSession(
            bare_network(info, name).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for name in OUTPUTS
    }
    return lambda name, image: sessions[name].run(OUTPUTS[name], {NETWORK_INPUT: image})


def compared(info: ChainInfo, frames: list[Picture]) -> dict[str, float]:
    """CPU ms a frame of both ways and of the loop's own (OpenCV pictures, cut graphs), and how far they differ."""
    host, state = HostChain(info, on_cpu(info)), np.zeros((info.people, 17, 4), np.float32)
    chains = {"in the graphs": CpuChain(info, sampling="graph", threads=1), "cut graphs": CpuChain(info, threads=1)}
    times: dict[str, list[float]] = {name: [] for name in ("on the host", *chains)}
    shifts: list[float] = []
    for frame in frames:
        began = time.process_time()
        boxes = host.joints(frame, info.visible_confidence)[0]
        times["on the host"].append(time.process_time() - began)
        for name, chain in chains.items():
            began = time.process_time()
            found = chain.detect(frame, np.zeros(4, np.float32))
            pose = chain.pose(frame, found[: info.people], state, 0.0)
            times[name].append(time.process_time() - began)
            if name == "in the graphs" and np.allclose(found[: info.people], boxes[: info.people], atol=1):
                again = host.pose(frame, found[: info.people])
                sure = pose.keypoints[..., 2] >= info.visible_confidence
                shifts += np.linalg.norm((again - pose.keypoints)[sure][:, :2], axis=1).tolist()
    figures = {f"{name}, CPU ms": 1e3 * statistics.median(values) for name, values in times.items()}
    return figures | {
        "keypoints compared": len(shifts),
        "shift median, px": float(np.median(shifts)),
        "shift p95, px": float(np.percentile(shifts, 95)),
    }


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=60)
    arguments = parser.parse_args()
    try:
        info = read_chain(arguments.engines, "graded")
    except PosemirrorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    frames = frames_of(arguments.clip, info.frame_size, arguments.frames)
    if not frames:
        print(f"error: {arguments.clip} holds no video; a clip is needed; give --clip", file=sys.stderr)
        return 2
    for name, value in compared(info, frames).items():
        print(f"{name:24} {value:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
