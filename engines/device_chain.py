"""The engines on a GPU one call at a time, on arrays of the host: for targets, parity and benchmarks, not for the loop.

Knows neither CUDA nor TensorRT: they are behind `device.py`.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.device import Device, Engine, OnGpu, Stream
from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets, anchor_row

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


class DeviceChain(OnGpu):
    """The three engines; see `engines.execution.CpuChain` for the same on a CPU.

    Args:
        info: of the opened engines.
        device: opened; closed with `close`, after the engines.
        engines: `detect`, `pose` and `encode`.
    """

    def __init__(self, info: ChainInfo, device: Device, engines: Mapping[str, Engine]) -> None:
        self.info, self.device, self.engines = info, device, engines
        self._stream = device.stream()
        self._runs: dict[tuple[str, int], Callable[..., dict[str, npt.NDArray[Any]]]] = {}
        self._closing = contextlib.ExitStack()
        self._closing.callback(device.close)
        for engine in engines.values():
            self._closing.callback(engine.close)

    def close(self) -> None:
        """Closes contexts, engines and the device."""
        self._closing.close()

    def detect(self, frame: Picture, anchor: Floats) -> Floats:
        """Boxes float32 [D, 5], D as the detector was built: at least K; see `CpuChain` for `anchor`."""
        boxes: Floats = self.run("detect", frame=frame, anchor=anchor_row(anchor))["boxes"]
        return boxes

    def pose(self, frame: Picture, boxes: Floats, state: Floats, seconds: float) -> PoseOutput:
        """Keypoints of the people in the boxes."""
        past = np.array([seconds], np.float32)
        values = self.run("pose", frame=frame, boxes=boxes, state=state, seconds=past)
        return PoseOutput(values["keypoints"], values["joints"], values["next_boxes"], values["next_state"])

    def encode(self, joints: Floats, targets: Targets) -> EncodeOutput:
        """Distances and scores to the targets."""
        rows = {"targets": targets.joints, "counts": targets.counts, "width": targets.width}
        values = self.run("encode", len(targets.width), joints=joints, **rows)
        return EncodeOutput(values["embedding"], values["distance"], values["score"])

    def run(self, name: str, targets: int = 1, /, **inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """One execution of an engine."""
        self.device.attach()
        if (name, targets) not in self._runs:
            self._runs[name, targets] = bound(self.device, self.engines[name], targets, self._stream, self._closing)
        return self._runs[name, targets](**inputs)


def bound(
    device: Device, engine: Engine, targets: int, stream: Stream, closing: contextlib.ExitStack
) -> Callable[..., dict[str, npt.NDArray[Any]]]:
    """An engine as a function of its inputs: host arrays in by name, all outputs back, one execution a call.

    `closing` gets what frees its context.
    """
    tensors = engine.tensors
    memory = {name: device.memory(tensor.nbytes(targets)) for name, tensor in tensors.items()}
    staged = {name: device.host_memory(tensor.nbytes(targets)) for name, tensor in tensors.items()}
    context = engine.context(memory, targets)
    closing.callback(context.close)

    def run(**inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        for name, values in inputs.items():
            staged[name].array(values.shape, tensors[name].dtype)[:] = values
            device.copy(memory[name], staged[name], stream)
        context.enqueue(stream)
        outputs = {name: tensor for name, tensor in tensors.items() if not tensor.is_input}
        for name in outputs:
            device.copy(staged[name], memory[name], stream)
        stream.sync()
        return {
            name: staged[name].array(tensor.sized(targets), tensor.dtype).copy() for name, tensor in outputs.items()
        }

    return run
