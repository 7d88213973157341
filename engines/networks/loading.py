"""Which network a weights file holds, and the network itself, ready to be exported. Knows no graph and no frame."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from engines.errors import BadInputError
from engines.networks.hrnet import HRNET_CONFIGS, HRNet
from engines.networks.hrnet_weights import load_hrnet
from engines.networks.state_dicts import read_state_dict
from engines.networks.yolov5 import PersonYolo, load_yolov5
from engines.networks.yolov5_compact import FlatYoloCompact, load_yolov5_compact


def load_detector(path: Path) -> PersonYolo | FlatYoloCompact:
    """A person detector: YOLOv5u from a `.pt` (which runs code), or `yolov5_compact` from a `.safetensors`.

    Raises:
        BadInputError: another kind of file.
        EngineError: weights that cannot be read, or do not fit.
    """
    if path.suffix == ".pt":
        return load_yolov5(path)
    if path.suffix == ".safetensors":
        return FlatYoloCompact(load_yolov5_compact(read_state_dict(path))).eval()
    raise BadInputError(
        f"--detector {path} is a {path.suffix} file",
        "a YOLOv5u checkpoint (.pt) or yolov5_compact (.safetensors) is allowed",
        "run build_engines.py --detector yolov5nu",
    )


def load_pose_network(path: Path) -> HRNet:
    """An HRNet from a `.pth` or `.safetensors`, of the size that its weights have.

    Raises:
        BadInputError: another kind of file.
        EngineError: weights that cannot be read, or do not fit.
    """
    if path.suffix not in (".pth", ".safetensors"):
        raise BadInputError(
            f"--pose {path} is a {path.suffix} file",
            "an HRNet checkpoint (.pth, .safetensors) or a heatmap network (.onnx) is allowed",
            "run build_engines.py --pose hrnet_w32",
        )
    state_dict = read_state_dict(path)
    width = width_of(state_dict)
    fitting = (config for config in HRNET_CONFIGS.values() if config.width == width)
    return load_hrnet(state_dict, next(fitting, HRNET_CONFIGS["hrnet_w32"]))


def width_of(state_dict: Mapping[str, Tensor]) -> int:
    """The width of the HRNet that a state dict belongs to: the channels of its finest branch; 0 without one."""
    first = (value for key, value in state_dict.items() if key.endswith("transition1.0.0.weight") and value.ndim == 4)
    return next((int(value.shape[0]) for value in first), 0)
