"""The pose graph's post-processing run on heatmaps, and its decode written plainly."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from engines.graphs.parts import export_part
from engines.graphs.pose import PosePost
from engines.onnx_runtime import onnxruntime
from engines.skeleton import KEYPOINTS
from tests.fixtures import open_graph, run

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Posts = dict[int, onnxruntime.InferenceSession]

VISIBLE = 0.3
ROWS, COLUMNS = 64, 48
BOX = (300.0, 100.0, 500.0, 600.0, 0.9)
FRAME_SECONDS = 1 / 30


def opened_posts() -> Posts:
    """The post-processing for one and for three people."""
    sessions = {}
    for people in (1, 3):
        inputs = {
            "heatmaps": torch.rand(people, 17, ROWS, COLUMNS),
            "boxes": torch.tensor([BOX] * people),
            "state": torch.zeros(people, 17, 4),
            "seconds": torch.ones(1),
        }
        outputs = ["keypoints", "joints", "next_boxes", "next_state"]
        sessions[people] = open_graph(export_part(PosePost(VISIBLE), inputs, outputs))
    return sessions


@dataclass
class Output:
    keypoints: Floats
    joints: Floats
    next_boxes: Floats
    state: Floats


def post(
    posts: Posts, heatmaps: Floats, boxes: Floats, state: Floats | None = None, seconds: float = FRAME_SECONDS
) -> Output:
    people = len(boxes)
    state = np.zeros((people, 17, 4), np.float32) if state is None else state
    inputs = {"heatmaps": heatmaps, "boxes": boxes, "state": state, "seconds": np.array([seconds], np.float32)}
    output = Output(*run(posts[people], **inputs))
    assert output.keypoints.shape == (people, 17, 3) and output.joints.shape == (people, 15, 3)
    assert output.next_boxes.shape == (people, 5) and output.state.shape == (people, 17, 4)
    return output


def random_boxes(random: np.random.Generator, people: int) -> Floats:
    corner = random.uniform(-50, 900, (people, 2))
    size = random.uniform(20, 500, (people, 2))
    return np.concatenate([corner, corner + size, random.uniform(0.3, 1, (people, 1))], 1).astype(np.float32)


def one_peak(column: int, row: int, height: float = 0.9) -> Floats:
    """Heatmaps [1, 17, 64, 48], all of one peak on flat ground."""
    heatmaps = np.full((1, 17, ROWS, COLUMNS), 0.01, np.float32)
    heatmaps[:, :, row, column] = height
    return heatmaps


def peaks_with(confidence: npt.ArrayLike) -> Floats:
    """Heatmaps [1, 17, 64, 48] with peaks on a diagonal, of the given heights."""
    heatmaps = np.zeros((1, 17, ROWS, COLUMNS), np.float32)
    for index, height in enumerate(np.broadcast_to(confidence, 17)):
        heatmaps[0, index, 10 + 2 * index, 5 + 2 * index] = height
    return heatmaps


def parabola_top(before: float, peak: float, after: float) -> float:
    """Where a parabola through three values at -1, 0 and 1 is highest."""
    square, slope = (before + after) / 2 - peak, (after - before) / 2
    return -slope / (2 * square) if square < -1e-12 else 0.0


def plain_decode(heatmaps: Floats, boxes: Floats) -> Doubles:
    """Cell by cell: argmax, the top of the parabola through it and its neighbours, back through the crop."""
    keypoints = np.zeros((len(boxes), 17, 3))
    for person, box in enumerate(boxes.astype(np.float64)):
        width = 1.25 * max(box[2] - box[0], (box[3] - box[1]) * 0.75)
        height = width * 4 / 3
        for index, heatmap in enumerate(heatmaps[person].astype(np.float64)):
            row, column = divmod(int(heatmap.argmax()), COLUMNS)
            x, y = float(column), float(row)
            if 0 < column < COLUMNS - 1:
                x += parabola_top(*heatmap[row, column - 1 : column + 2])
            if 0 < row < ROWS - 1:
                y += parabola_top(*heatmap[row - 1 : row + 2, column])
            keypoints[person, index] = (
                (box[0] + box[2]) / 2 + (x / COLUMNS - 0.5) * width,
                (box[1] + box[3]) / 2 + (y / ROWS - 0.5) * height,
                min(max(heatmap.max(), 0), 1),
            )
    return keypoints


def keypoint(output: Output, name: str) -> Floats:
    row: Floats = output.keypoints[0, KEYPOINTS.index(name)]
    return row
