"""Small networks that act alike on every machine, and engines written from them without the build step."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto
from torch import Tensor, nn

from engines.download import file_sha256
from engines.geometry import HEATMAP_HEIGHT, HEATMAP_WIDTH, Size
from engines.graphs.chain import Graphs, detect_graphs, encode_graph, pose_graphs, torch_pose_network
from engines.graphs.parts import save_sharing_weights
from engines.manifest import Manifest, write_manifest
from engines.networks.encoders import BonesEncoder, PaperEncoder
from engines.onnx_runtime import onnxruntime
from engines.options import MOST_PEOPLE

Array = npt.NDArray[Any]

BINS = 16
STRIDES = (8, 16, 32)


def open_graph(model: ModelProto) -> onnxruntime.InferenceSession:
    """The graph in ONNX Runtime, as every CPU runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(graph: onnxruntime.InferenceSession, **inputs: Array) -> list[Array]:
    """All outputs of a graph, in order."""
    outputs: list[Array] = graph.run(None, inputs)
    return outputs


def bright_blob(frame_size: Size, x: float, y: float, radius: float) -> npt.NDArray[np.uint8]:
    """A soft bright blob on dark ground, uint8 [H, W, 3]: what `BlobDetector` takes for a person."""
    rows, columns = np.mgrid[: frame_size[0], : frame_size[1]]
    glow = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2))
    return np.rint(30 + glow[..., None] * np.array([200.0, 190.0, 180.0])).astype(np.uint8)


class BlobDetector(nn.Module):
    """A detector with one convolution a level: the brighter a cell, the surer a person; boxes of random logits."""

    bins = BINS
    strides = STRIDES

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.boxes = nn.ModuleList(nn.Conv2d(3, 4 * BINS, 1) for _ in STRIDES)
        self.classes = nn.ModuleList(nn.Conv2d(3, 1, 1) for _ in STRIDES)
        for level, (box, person) in enumerate(zip(self.boxes, self.classes, strict=True)):
            box.weight.data = torch.randn(box.weight.shape, generator=generator) * 0.3
            box.bias.data = torch.linspace(0, 3, BINS).repeat(4)
            person.weight.data.fill_(4.0)
            person.bias.data.fill_(-8.0 - 2 * level)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """`image` [1, 3, h, w] -> `box_logits` [1, 64, N], `class_logits` [1, N]."""
        levels = [nn.functional.avg_pool2d(image, stride) for stride in STRIDES]
        boxes = [box(level).flatten(2) for box, level in zip(self.boxes, levels, strict=True)]
        classes = [person(level).flatten(2) for person, level in zip(self.classes, levels, strict=True)]
        return torch.cat(boxes, 2), torch.cat(classes, 2)[:, 0]


class PlantedPose(nn.Module):
    """Heatmaps with one peak a keypoint at a fixed place, whose height follows the picture's brightness there."""

    peaks: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        x = torch.rand(17, generator=generator) * (HEATMAP_WIDTH - 12) + 6.2
        y = torch.rand(17, generator=generator) * (HEATMAP_HEIGHT - 12) + 6.2
        rows, columns = torch.meshgrid(torch.arange(HEATMAP_HEIGHT), torch.arange(HEATMAP_WIDTH), indexing="ij")
        square = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
        heights = torch.linspace(0.7, 1.3, 17)[:, None, None]  # some surer than others: a body, not all of it visible
        self.register_buffer("peaks", torch.exp(-square / 4.5) * heights)
        self.look = nn.Conv2d(3, 17, 4, stride=4)
        self.look.weight.data = torch.rand(self.look.weight.shape, generator=generator) * 0.004
        self.look.bias.data.fill_(0.5)

    def forward(self, image: Tensor) -> Tensor:
        """`image` [K, 3, 256, 192] -> heatmaps [K, 17, 64, 48]."""
        heatmaps: Tensor = self.look(image).clamp(min=0.05) * self.peaks
        return heatmaps


def tiny_graphs(frame_size: Size, image_size: Size, people: int, precision: str = "fp32") -> dict[str, Graphs]:
    """All three engines' graphs, of networks so small that they are built in a second."""
    torch.manual_seed(6)
    pose = torch_pose_network(PlantedPose(), people)
    return {
        "detect": detect_graphs(BlobDetector(), frame_size, image_size, MOST_PEOPLE, precision),
        "pose": pose_graphs(pose, frame_size, people, precision, 0.3),
        "encode_bones": encode_graph(BonesEncoder(), people, 0.3),
        "encode_paper": encode_graph(PaperEncoder(), people, 0.3),
    }


def write_engines(
    folder: Path, graphs: Mapping[str, Graphs], frame_size: Size, image_size: Size, people: int
) -> dict[str, Manifest]:
    """Writes ONNX engines with their manifests into `folder`, as the build step would."""
    folder.mkdir(parents=True, exist_ok=True)
    manifests = {}
    for name, forms in graphs.items():
        models = {folder / f"{name}.onnx": deepcopy(forms.whole)}  # saving moves the weights out of the graph
        if forms.cut is not None:
            models[folder / f"{name}.cut.onnx"] = deepcopy(forms.cut)
        save_sharing_weights(models, folder / f"{name}.weights")
        files = [*models, folder / f"{name}.weights"]
        seen = {"detect": image_size, "pose": (256, 192)}.get(name, (0, 0))
        manifests[name] = Manifest(
            name=name,
            backend="onnx",
            files={path.name: file_sha256(path) for path in files},
            graph_sha256=file_sha256(files[0]),
            network="tiny",
            weights_sha256="",
            licence="Apache-2.0",
            precision="fp32",
            frame_size=(0, 0) if name.startswith("encode") else (frame_size[1], frame_size[0]),
            image_size=(seen[1], seen[0]),
            people=people,
            visible_confidence=0.3,
            masked=name != "encode_paper",
            posemirror="test",
        )
        write_manifest(manifests[name], folder)
    return manifests


def the_sentence(stderr: str) -> str:
    """What stands on stderr: one line of three parts."""
    assert stderr.count("\n") == 1 and stderr.endswith(".\n"), stderr
    assert stderr.startswith("error: ")
    assert stderr.count("; ") >= 2
    assert "Traceback" not in stderr
    return stderr
