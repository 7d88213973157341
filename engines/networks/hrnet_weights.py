"""Puts published HRNet weights into our module. Knows the layouts' names; see `state_dicts` for files.

Two layouts load: the official one (`pose_hrnet_w32_256x192.pth`: `conv1.weight`, `stage2.0.branches...`,
`final_layer.weight`; also with a leading `module.`), and MMPose's (`backbone.conv1.weight`,
`keypoint_head.final_layer.weight`, in version 1 `head.final_layer.weight`), bare or under `state_dict`. In both the
last exchange module of stage 4 has one fuse row, that of the finest branch, because the pose networks give one
resolution; a file with all four rows (a classification backbone) is refused.
"""

from collections.abc import Mapping

from torch import Tensor

from engines.networks.hrnet import HRNet, HRNetConfig
from engines.networks.state_dicts import fill
from engines.networks.state_dicts import read_state_dict as read_state_dict

PREFIXES = ("backbone.", "keypoint_head.", "head.")


def official_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the official names, whichever of the layouts they came in."""
    renamed = {}
    for key, value in state_dict.items():
        name = key.removeprefix("module.")
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
        renamed[name.removeprefix(prefix)] = value
    return renamed


def load_hrnet(state_dict: Mapping[str, Tensor], config: HRNetConfig) -> HRNet:
    """An HRNet with the given weights, in evaluation mode.

    Args:
        state_dict: official or MMPose layout, float32 or float16 tensors; `num_batches_tracked` may be absent.
        config: the network they are for.

    Raises:
        EngineError: keys are missing or unexpected, or a shape is wrong; they are named.
    """
    network, wanted = HRNet(config), f"an HRNet of width {config.width}"
    if config.fused_width:
        wanted += (
            f", {config.blocks} blocks a branch, {config.fused_width} fused channels, {config.refinement} blocks last"
        )
    allowed = "a pose_hrnet state dict of that width fits, in the official or the MMPose layout"
    fill(network, official_names(state_dict), wanted, allowed)
    return network.eval()
