"""What the chain asks of a GPU and of an engine on it: two small protocols. Imports no CUDA and no TensorRT.

Real: `cuda_device.CudaDevice` and `tensorrt_engine.TensorRtEngine`. The tests' fakes run the same graphs on the host
and watch for races. Everything raises GpuError when the GPU fails; such an error is sticky: nothing works after it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from engines.errors import GpuError

ABANDONED: list[object] = []
"""What was open on a GPU that hangs or has failed, or belongs to a capture that broke. Kept, so that nobody frees it:
the driver would wait for the GPU, refuse each piece with a warning, or free what is gone."""


class OnGpu(ABC):
    """Something open on a GPU: a context manager that closes, unless the GPU hangs or has failed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, GpuError):
            ABANDONED.append(self)
        else:
            self.close()

    @abstractmethod
    def close(self) -> None:
        """Gives back what is open."""


class Memory(Protocol):
    """A piece of device or pinned host memory."""

    nbytes: int
    address: int

    def part(self, start: int, nbytes: int) -> "Memory":
        """A piece of this piece; lives as long as the whole."""


class HostMemory(Memory, Protocol):
    """Page-locked host memory, which the GPU copies from and to while the host goes on."""

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The first bytes as an array, without a copy. Ask for it anew at each use; no operation may be under way."""


class Event(Protocol):
    """A point in a stream's work."""

    def sync(self) -> None:
        """Waits on the host until the point last recorded is reached."""

    def milliseconds_since(self, earlier: "Event") -> float:
        """Device time between two timed events, both reached."""


class Stream(Protocol):
    """Operations in order, beside those of other streams."""

    def record(self, event: Event) -> None:
        """Puts the event behind what was enqueued so far."""

    def wait(self, event: Event) -> None:
        """What is enqueued from now on waits for the event; the host does not."""

    def sync(self) -> None:
        """Waits on the host for everything enqueued."""


class Graph(Protocol):
    """Operations recorded once, launched as one."""

    def launch(self, stream: Stream) -> None:
        """Enqueues all of them."""


class Device(Protocol):
    """One GPU. Whoever opened it closes it, and with it all that it gave."""

    name: str
    not_captured: list[str]
    """Why `capture` gave None, each time."""

    def attach(self) -> None:
        """Makes the GPU usable from the calling thread."""

    def stream(self, *, urgent: bool = False) -> Stream:
        """A new stream, independent of the default one; an urgent one's work goes first."""

    def event(self, *, timed: bool = False) -> Event:
        """A new event; the host sleeps, not spins, while it waits for it."""

    def memory(self, nbytes: int) -> Memory:
        """Device memory, aligned to 256 bytes, of arbitrary content."""

    def host_memory(self, nbytes: int) -> HostMemory:
        """Pinned host memory, zeroed."""

    def copy(self, destination: Memory, source: Memory, stream: Stream) -> None:
        """Enqueues a copy of the whole of `source` into `destination`, which is as large."""

    def capture(self, work: Callable[[Stream], None]) -> Graph | None:
        """What `work` enqueues on the stream it is given, as a graph; None where it cannot be captured.

        `not_captured` then says why.
        """

    def close(self) -> None:
        """Waits for nothing; never raises."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine: `shape` has -1 for the number of targets."""

    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    is_input: bool

    def sized(self, targets: int) -> tuple[int, ...]:
        """The shape with that many targets."""
        return tuple(targets if side == -1 else side for side in self.shape)

    def nbytes(self, targets: int) -> int:
        """Its size in memory with that many targets."""
        return int(np.prod(self.sized(targets))) * np.dtype(self.dtype).itemsize


class Context(Protocol):
    """An engine bound to memory. Two contexts of an engine can run at the same time."""

    def enqueue(self, stream: Stream) -> None:
        """Enqueues one execution. Allocates nothing."""

    def capturable(self, stream: Stream) -> bool:
        """Whether `enqueue` can be recorded in a graph."""

    def close(self) -> None:
        """Frees its scratch memory."""


class Engine(Protocol):
    """An opened engine."""

    tensors: Mapping[str, Tensor]

    def context(self, memory: Mapping[str, Memory], targets: int) -> Context:
        """A context whose tensors lie in `memory`, one piece for each tensor."""

    def close(self) -> None:
        """Frees the engine; its contexts must have been closed."""
