"""The tensors that each engine must have, whatever runs it. Knows no runtime."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines.device import Tensor
from engines.errors import EngineError
from engines.int8 import task_of
from engines.manifest import Manifest, built_again
from engines.options import MOST_PEOPLE

JOINT_COUNT, KEYPOINT_COUNT, EMBEDDING_SIZE = 15, 17, 50


def contract(manifest: Manifest, *, cut: bool = False) -> dict[str, Tensor]:
    """The tensors that an engine must have; see the README, "The three graphs".

    With `cut` those of its cut graph, which sees a sampled picture instead of the frame.
    """
    width, height = manifest.frame_size
    people, floats, task = manifest.people, np.float32, task_of(manifest.name)
    frame = Tensor("frame", (height, width, 3), np.uint8, True)
    if cut:
        width, height = manifest.image_size
        frame = Tensor("image", (1 if task == "detect" else people, height, width, 3), np.uint8, True)
    if task == "detect":
        tensors = [frame, Tensor("anchor", (5,), floats, True), Tensor("boxes", (MOST_PEOPLE, 5), floats, False)]
    elif task == "pose":
        tensors = [
            frame,
            Tensor("boxes", (people, 5), floats, True),
            Tensor("state", (people, KEYPOINT_COUNT, 4), floats, True),
            Tensor("seconds", (1,), floats, True),
            Tensor("keypoints", (people, KEYPOINT_COUNT, 3), floats, False),
            Tensor("joints", (people, JOINT_COUNT, 3), floats, False),
            Tensor("next_boxes", (people, 5), floats, False),
            Tensor("next_state", (people, KEYPOINT_COUNT, 4), floats, False),
        ]
    else:
        tensors = [
            Tensor("joints", (people, JOINT_COUNT, 3), floats, True),
            Tensor("targets", (-1, JOINT_COUNT, 3), floats, True),
            Tensor("counts", (-1, JOINT_COUNT), floats, True),
            Tensor("width", (-1,), floats, True),
            Tensor("embedding", (people, EMBEDDING_SIZE), floats, False),
            Tensor("distance", (people, -1), floats, False),
            Tensor("score", (people, -1), floats, False),
        ]
    return {tensor.name: tensor for tensor in tensors}


def check_tensors(seen: Mapping[str, Tensor], manifest: Manifest, directory: Path, *, cut: bool = False) -> None:
    """Compares an engine's tensors, or those of its cut graph, with the contract.

    Raises:
        EngineError: naming the first that differs.
    """
    wanted = contract(manifest, cut=cut)
    boxes, anchor = seen.get("boxes"), seen.get("anchor")
    if manifest.backend == "onnx" and task_of(manifest.name) == "detect":
        if boxes is not None and boxes.shape[1:] == (5,):
            wanted["boxes"] = replace(wanted["boxes"], shape=boxes.shape)  # on a CPU it may give any number of rows
        if anchor is not None and anchor.shape == (4,):  # and may follow nobody: the host does
            wanted["anchor"] = anchor
    backend = "onnx" if manifest.backend == "onnx" else "tensorrt"
    for name in sorted(set(seen) | set(wanted)):
        one, other = (described(tensors.get(name)) for tensors in (seen, wanted))
        if one != other:
            raise EngineError(
                f"{manifest.engine_file} has {name} as {one}",
                f"its manifest needs {other}",
                built_again(directory, f"--backend {backend}"),
            )


def described(tensor: Tensor | None) -> str:
    """A tensor in words, for comparison and for the user."""
    if tensor is None:
        return "nothing"
    shape = "x".join("T" if side == -1 else str(side) for side in tensor.shape)
    return f"{'input' if tensor.is_input else 'output'} {np.dtype(tensor.dtype).name} {shape}"
