"""The three graphs of the chain, put together from their parts. Knows the contracts; knows no files and no backend.

Each function returns the graph that takes the frame and, for a CPU, the same graph cut after sampling, which takes the
sampled picture as `image`. Contracts are in the README, "The three graphs".
"""

from dataclasses import dataclass

import torch
from onnx import ModelProto
from torch import Tensor, nn

from engines.geometry import CROP_HEIGHT, CROP_WIDTH, HEATMAP_HEIGHT, HEATMAP_WIDTH, Size
from engines.graphs.detect import DetectPost
from engines.graphs.encode import Encode
from engines.graphs.parts import NETWORK, audit_types, export_part, join, to_float16
from engines.graphs.pose import PosePost
from engines.graphs.sampling import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    CropSampling,
    ImageInput,
    LetterboxSampling,
    Normalise,
)

NETWORK_INPUT = "network_image"
HEATMAPS = "heatmaps"
BOX_LOGITS, CLASS_LOGITS = "box_logits", "class_logits"


@dataclass(frozen=True)
class Graphs:
    """A graph that takes the frame, and its cut form that takes `image`; `encode` has no cut form."""

    whole: ModelProto
    cut: ModelProto | None


def joined(sampling: dict[str, ModelProto], rest: dict[str, ModelProto], outputs: list[str], precision: str) -> Graphs:
    """Both forms of a graph, audited."""
    if precision == "fp16":
        rest = rest | {NETWORK: to_float16(rest[NETWORK])}
    whole, cut = (join({name: part} | rest, outputs) for name, part in sampling.items())
    for model in (whole, cut):
        audit_types(model, precision)
    return Graphs(whole, cut)


def empty_frame(frame_size: Size) -> Tensor:
    """A black frame of the graph's size, to trace with."""
    return torch.zeros((*frame_size, 3), dtype=torch.uint8)


def detect_graphs(
    detector: nn.Module,
    frame_size: Size,
    image_size: Size,
    people: int,
    precision: str,
    network: ModelProto | None = None,
) -> Graphs:
    """`frame`, `anchor` -> `boxes`. `detector` is as `networks.yolov5.PersonYolo`; sizes are (height, width).

    `network` is the detector as a part, in whichever form: `network_image` -> `box_logits`, `class_logits`; by default
    that of `torch_detector_network`.
    """
    height, width = image_size
    network_image = torch.zeros((1, 3, height, width))
    with torch.no_grad():
        box_logits, class_logits = detector(network_image)
    bins, strides = int(detector.bins), tuple(detector.strides)  # type: ignore[arg-type]
    post = DetectPost(frame_size, image_size, people, bins=bins, strides=strides)
    sampling = {
        "sample": export_part(
            LetterboxSampling(frame_size, image_size), {"frame": empty_frame(frame_size)}, ["picture"]
        ),
        "cut": export_part(ImageInput(), {"image": torch.zeros((1, height, width, 3), dtype=torch.uint8)}, ["picture"]),
    }
    logits = {BOX_LOGITS: box_logits, CLASS_LOGITS: class_logits}
    rest = {
        "normalise": export_part(Normalise(), {"picture": network_image}, [NETWORK_INPUT]),
        NETWORK: network or torch_detector_network(detector, image_size),
        "post": export_part(post, {**logits, "anchor": torch.zeros(5)}, ["boxes"]),
    }
    return joined(sampling, rest, ["boxes"], precision)


def torch_detector_network(detector: nn.Module, image_size: Size) -> ModelProto:
    """A torch detector as the part that `detect_graphs` takes."""
    return export_part(detector, {NETWORK_INPUT: torch.zeros((1, 3, *image_size))}, [BOX_LOGITS, CLASS_LOGITS])


def pose_graphs(
    network: ModelProto, frame_size: Size, people: int, precision: str, visible_confidence: float
) -> Graphs:
    """`frame`, `boxes`, `state`, `seconds` -> `keypoints`, `joints`, `next_boxes`, `state`.

    `network` maps `network_image` [K, 3, 256, 192] to `heatmaps` [K, 17, 64, 48].
    """
    boxes = torch.tensor([[100.0, 100.0, 200.0, 300.0, 1.0]]).repeat(people, 1)
    picture = torch.zeros((people, 3, CROP_HEIGHT, CROP_WIDTH))
    image = torch.zeros((people, CROP_HEIGHT, CROP_WIDTH, 3), dtype=torch.uint8)
    sampling = {
        "sample": export_part(
            CropSampling(frame_size, people), {"frame": empty_frame(frame_size), "boxes": boxes}, ["picture"]
        ),
        "cut": export_part(ImageInput(), {"image": image}, ["picture"]),
    }
    state = torch.zeros((people, 17, 4))
    heatmaps = torch.rand((people, 17, HEATMAP_HEIGHT, HEATMAP_WIDTH))
    outputs = ["keypoints", "joints", "next_boxes", "next_state"]
    rest = {
        "normalise": export_part(Normalise(IMAGENET_MEAN, IMAGENET_DEVIATION), {"picture": picture}, [NETWORK_INPUT]),
        NETWORK: network,
        "post": export_part(
            PosePost(visible_confidence),
            {HEATMAPS: heatmaps, "boxes": boxes, "state": state, "seconds": torch.ones(1)},
            outputs,
        ),
    }
    return joined(sampling, rest, outputs, precision)


def torch_pose_network(network: nn.Module, people: int) -> ModelProto:
    """A torch heatmap network as the part that `pose_graphs` takes."""
    return export_part(network, {NETWORK_INPUT: torch.zeros((people, 3, CROP_HEIGHT, CROP_WIDTH))}, [HEATMAPS])


def encode_graph(encoder: nn.Module, people: int, visible_confidence: float) -> Graphs:
    """`joints`, `targets`, `counts`, `width` -> `embedding`, `distance`, `score`, for any number T of targets.

    It stays float32 at every precision: it is tiny, and the score is what everything is for.
    """
    targets = 2
    inputs = {
        "joints": torch.rand((people, 15, 3)),
        "targets": torch.rand((targets, 15, 3)),
        "counts": torch.ones((targets, 15)),
        "width": torch.full((targets,), 0.3),
    }
    outputs = ["embedding", "distance", "score"]
    dynamic = {name: {0: "T"} for name in ("targets", "counts", "width")}
    dynamic |= {name: {1: "T"} for name in ("distance", "score")}
    part = export_part(Encode(encoder, visible_confidence), inputs, outputs, dynamic)
    model = join({"encode": part}, outputs)
    audit_types(model, "fp32")
    return Graphs(model, None)
