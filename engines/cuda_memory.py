"""The memory of a frame on its way through a GPU: pinned frames, blocks that one copy moves, and slots made of both.

Knows no stream and no engine but the sizes of its tensors. All of it is allocated once.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.device import Context, Device, Engine, Event, Graph, HostMemory, Memory, Tensor
from engines.execution import Targets

Picture = npt.NDArray[np.uint8]

HOST_FRAMES = 4
"""One being written, two in flight, one being drawn."""
ALIGNMENT = 256
CHOICES = ("seconds", "targets", "counts", "width")
RESULTS = ("boxes", "keypoints", "joints", "next_boxes", "embedding", "distance", "score")


class FramePool:
    """A few pinned frames uint8 [H, W, 3] that sources write into and the GPU reads from."""

    def __init__(self, device: Device, shape: tuple[int, int, int], count: int = HOST_FRAMES) -> None:
        self._shape = shape
        self._free = deque(device.host_memory(int(np.prod(shape))) for _ in range(count))
        self._lent: dict[int, HostMemory] = {}

    def take(self) -> Picture | None:
        """A frame to write into, or None while all are in use. Threads may take and give back at the same time."""
        try:
            memory = self._free.popleft()
        except IndexError:
            return None
        picture: Picture = memory.array(self._shape, np.uint8)
        self._lent[address_of(picture)] = memory
        return picture

    def give_back(self, picture: Picture) -> None:
        """Ends the use of a frame; one that is not of this pool is ignored."""
        memory = self._lent.pop(address_of(picture), None)
        if memory is not None:
            self._free.append(memory)

    def memory(self, picture: Picture) -> HostMemory:
        """The memory of a frame that was taken."""
        return self._lent[address_of(picture)]


def address_of(picture: Picture) -> int:
    """Where an array's data begins."""
    return int(picture.__array_interface__["data"][0])


class Block:
    """Tensors one behind the other in device memory, and again in pinned host memory: one copy moves them all.

    Args:
        device: gives the memory.
        tensors: what lies in the block.
        targets: T.
    """

    def __init__(self, device: Device, tensors: Iterable[Tensor], targets: int) -> None:
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._targets = targets
        self._places: dict[str, slice] = {}
        end = 0
        for name, tensor in self._tensors.items():
            self._places[name] = slice(end, end + tensor.nbytes(targets))
            end += -(-tensor.nbytes(targets) // ALIGNMENT) * ALIGNMENT
        self.device, self.host = device.memory(end), device.host_memory(end)
        self.parts: dict[str, Memory] = {
            name: self.device.part(place.start, place.stop - place.start) for name, place in self._places.items()
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors in pinned memory; ask anew at each use, while no copy of the block is under way."""
        content = self.host.array((self.host.nbytes,), np.uint8)
        return {
            name: content[place].view(self._tensors[name].dtype).reshape(self._tensors[name].sized(self._targets))
            for name, place in self._places.items()
        }


class Slot:
    """The memory, events and captured work of one frame in flight.

    `choices` goes up with the frame, `results` comes back; the rest stays on the device.

    Args:
        device: gives the memory.
        engines: for the sizes of their tensors.
        targets: T.
    """

    def __init__(self, device: Device, engines: Mapping[str, Engine], targets: int) -> None:
        tensors: dict[str, Tensor] = {}
        for tensor in (tensor for engine in engines.values() for tensor in engine.tensors.values()):
            known = tensors.get(tensor.name, tensor)  # the detector gives more boxes than the pose engine takes
            tensors[tensor.name] = max(known, tensor, key=lambda one: one.nbytes(targets))
        self.choices = Block(device, (tensors[name] for name in CHOICES), targets)
        self.results = Block(device, (tensors[name] for name in RESULTS), targets)
        self.memory: dict[str, Memory] = self.choices.parts | self.results.parts
        for name in ("frame", "next_state"):
            self.memory[name] = device.memory(tensors[name].nbytes(targets))
        self.override = device.host_memory(tensors["next_boxes"].nbytes(targets))
        self.uploaded = device.event()
        self.began = device.event(timed=True)
        self.done = device.event(timed=True)
        self.stage_done: list[Event] = []
        self.contexts: dict[str, Context] = {}
        self.graphs: dict[tuple[int, bool], Graph] = {}
        self._targets: Targets | None = None

    def choose(self, seconds: float, targets: Targets) -> None:
        """Writes down the time since the last frame and what to compare with, before both go up."""
        arrays = self.choices.arrays()
        arrays["seconds"][0] = seconds
        if targets is not self._targets:
            arrays["targets"][:], arrays["counts"][:] = targets.joints, targets.counts
            arrays["width"][:] = targets.width
            self._targets = targets
