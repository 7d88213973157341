"""Reads HRNet weights in the layouts they are published in. Knows names and shapes; downloads nothing.

Two layouts load: the official one (`pose_hrnet_w32_256x192.pth`: `conv1.weight`, `stage2.0.branches...`,
`final_layer.weight`; also with a leading `module.`), and MMPose's (`backbone.conv1.weight`,
`keypoint_head.final_layer.weight`, in version 1 `head.final_layer.weight`), bare or under `state_dict`. In both the
last exchange module of stage 4 has one fuse row, that of the finest branch, because the pose networks give one
resolution; a file with all four rows (a classification backbone) is refused.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from engines.errors import EngineError
from engines.networks.hrnet import HRNet, HRNetConfig

PREFIXES = (("backbone.", ""), ("keypoint_head.", ""), ("head.", ""))
NAMES_SHOWN = 5


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def official_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the official names, whichever of the layouts they came in."""
    renamed = {}
    for key, value in state_dict.items():
        name = key.removeprefix("module.")
        for prefix, replacement in PREFIXES:
            if name.startswith(prefix):
                name = replacement + name.removeprefix(prefix)
                break
        renamed[name] = value
    return renamed


def load_hrnet(state_dict: Mapping[str, Tensor], config: HRNetConfig) -> HRNet:
    """An HRNet with the given weights, in evaluation mode.

    Args:
        state_dict: official or MMPose layout, float32 or float16 tensors; `num_batches_tracked` may be absent.
        config: the network they are for.

    Raises:
        EngineError: keys are missing or unexpected, or a shape is wrong; they are named.
    """
    network = HRNet(config)
    expected = network.state_dict()
    weights = official_names(state_dict)
    counters = {name: value for name, value in expected.items() if name.endswith("num_batches_tracked")}
    weights = {**counters, **weights}
    missing = [name for name in expected if name not in weights]
    unexpected = [name for name in weights if name not in expected]
    wrong = [
        f"{name} {list(weights[name].shape)} instead of {list(value.shape)}"
        for name, value in expected.items()
        if name in weights and weights[name].shape != value.shape
    ]
    problems = [
        f"{len(names)} {kind} ({_named(names)})"
        for kind, names in (("missing keys", missing), ("unexpected keys", unexpected), ("wrong shapes", wrong))
        if names
    ]
    if problems:
        raise EngineError(
            f"weights do not fit an HRNet of width {config.width}: {'; '.join(problems)}",
            "a pose_hrnet state dict of that width fits, in the official or the MMPose layout",
            "choose the network that the file was made for, or fetch the file again",
        )
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )
    return network.eval()


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict of a `.pth` or `.safetensors` file; nothing in the file is executed.

    Raises:
        EngineError: the file is missing, damaged, needs code to load, or holds no state dict.
    """
    allowed, next_step = "a .pth state dict or .safetensors file is read", "fetch the file again, or name another"
    if not path.is_file():
        raise EngineError(f"no weights file {path}", allowed, next_step)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise EngineError(f"{path} cannot be read as weights ({type(error).__name__})", allowed, next_step) from error
    except Exception as error:  # safetensors raises a type of its own, unknown to type checkers
        raise EngineError(f"{path} cannot be read as weights ({error})", allowed, next_step) from error
    nested = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(nested, dict) or not all(isinstance(value, Tensor) for value in nested.values()) or not nested:
        raise EngineError(f"{path} holds no state dict", allowed, next_step)
    return dict(nested)
