"""YOLOv5u person detectors through ultralytics, cut to the person class. Knows no frame and no post-processing.

ultralytics and its weights are AGPL-3.0; this module is imported only where such a detector is built, or teaches ours.
"""

import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engines.errors import BadInputError, EngineError

PERSON = "person"
STRIDES = (8, 16, 32)
LONGEST_PX = 640
"""Longest side of the picture it looks at. At 320 px it lost people a fifth of the frame high that it found at 640."""


class PersonYolo(nn.Module):
    """A YOLOv5u network with one class: `image` float32 [1, 3, h, w] RGB 0..1 -> box logits, class logits.

    Returns `box_logits` [1, 4*bins, N] and `class_logits` [1, N], N cells of the levels of stride 8, 16 and 32.
    """

    def __init__(self, layers: Any, saved: list[int], person: int) -> None:
        super().__init__()
        self.layers: Any = layers[:-1]
        self.saved = set(saved)
        self.sources: list[int] = list(layers[-1].f)
        self.box_branches: Any = layers[-1].cv2
        self.class_branches: Any = layers[-1].cv3
        self.bins = int(layers[-1].reg_max)
        self.strides = STRIDES
        self.longest_px = LONGEST_PX
        for branch in self.class_branches:
            branch[-1] = cut_to_channel(branch[-1], person)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features: dict[int, Tensor] = {}
        current = image
        for index, layer in enumerate(self.layers):
            if layer.f == -1:
                current = layer(current)
            elif isinstance(layer.f, int):
                current = layer(features[layer.f])
            else:
                current = layer([current if source == -1 else features[source] for source in layer.f])
            if index in self.saved:
                features[index] = current
        levels = [features[source] for source in self.sources]
        boxes = [branch(level).flatten(2) for branch, level in zip(self.box_branches, levels, strict=True)]
        classes = [branch(level).flatten(2) for branch, level in zip(self.class_branches, levels, strict=True)]
        return torch.cat(boxes, 2), torch.cat(classes, 2)[:, 0]


def cut_to_channel(convolution: nn.Conv2d, channel: int) -> nn.Conv2d:
    """A 1x1 convolution that computes only one output channel of `convolution`."""
    cut = nn.Conv2d(convolution.in_channels, 1, 1)
    assert convolution.bias is not None and cut.bias is not None
    cut.weight.data = convolution.weight.data[channel : channel + 1].clone()
    cut.bias.data = convolution.bias.data[channel : channel + 1].clone()
    return cut


def load_yolov5(path: Path) -> PersonYolo:
    """The person detector in an ultralytics checkpoint. Loading it RUNS CODE: check that the file is trusted first.

    Raises:
        EngineError: a classic yolov5 checkpoint, a corrupt file, another architecture.
        BadInputError: a network that knows no class `person`.
    """
    model = read_checkpoint(path)
    layers = getattr(model, "model", None)
    head = layers[-1] if isinstance(layers, nn.Sequential) and len(layers) else model
    if type(head).__name__ != "Detect" or not hasattr(head, "reg_max"):
        raise EngineError(
            f"{path} holds a {type(model).__name__} with the head {type(head).__name__}",
            "an anchor-free YOLOv5u detector is needed",
            "run build_engines.py --detector yolov5nu",
        )
    strides = tuple(int(stride) for stride in torch.as_tensor(head.stride))
    if strides != STRIDES:
        raise EngineError(
            f"{path} has levels of stride {', '.join(map(str, strides))}",
            f"a detector with levels of stride {', '.join(map(str, STRIDES))} is needed",
            "run build_engines.py --detector yolov5nu",
        )
    names = {str(name).lower(): index for index, name in model.names.items()}
    if len(names) == 1:
        person = 0
    elif PERSON in names:
        person = names[PERSON]
    else:
        raise BadInputError(
            f"{path} knows the classes {', '.join(list(names)[:5])}",
            "one class, or several with one named person, are allowed",
            "run build_engines.py --detector yolov5nu",
        )
    model = model.float().eval().fuse(verbose=False)
    return PersonYolo(model.model, model.save, person).eval()


def read_checkpoint(path: Path) -> Any:
    """The torch module inside an ultralytics checkpoint; its classes are ultralytics' own."""
    # ultralytics installs packages and goes on line by itself unless told not to
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
    try:
        import ultralytics.nn.tasks  # noqa: F401  (the classes that the checkpoint names)

        checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        if importlib.util.find_spec("ultralytics") is None:
            raise EngineError(
                f"the module {error.name} is not installed",
                "YOLOv5 checkpoints need the build extra",
                "run pip install 'posemirror[build]'",
            ) from error
        if error.name and error.name.split(".")[0] in ("models", "utils"):
            raise EngineError(
                f"{path} is a classic yolov5 checkpoint (it needs the module {error.name})",
                "only YOLOv5u checkpoints are read, such as yolov5nu.pt and yolov5su.pt",
                "run build_engines.py --detector yolov5nu",
            ) from error
        raise unreadable(path, error) from error
    except Exception as error:  # a pickle calls what it names, so a broken one can raise anything
        raise unreadable(path, error) from error
    model = checkpoint.get("ema") or checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, nn.Module):
        raise EngineError(
            f"{path} holds no network",
            "an ultralytics checkpoint has one under 'model' or 'ema'",
            "run build_engines.py --detector yolov5nu",
        )
    return model


def unreadable(path: Path, error: Exception) -> EngineError:
    """The error for a file that is no checkpoint, or only a part of one."""
    return EngineError(
        f"{path} cannot be read as a checkpoint ({type(error).__name__})",
        "a complete ultralytics .pt file is needed",
        "download it again, or run build_engines.py --detector yolov5nu",
    )
