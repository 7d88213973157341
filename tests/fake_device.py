"""A GPU without a GPU: it runs the real graphs on host arrays, in any order that the streams allow, and sees races.

Operations are kept until the host waits for an event. Then they are run in random order, as far as stream order and
events permit. Each operation knows which others surely come before it; two that touch the same bytes, one of them
writing, without such an order are a race, whatever the random order made of them. The host's own looks into pinned
memory are checked in the same way. Operations fail on demand, and then, as on a GPU, everything after fails too.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from engines import device as protocol
from engines.contract import contract
from engines.device import Tensor
from engines.errors import GpuError
from engines.execution import ChainInfo
from engines.onnx_runtime import onnxruntime
from tests.fixtures import open_graph

GARBAGE = 0xA5


class RaceError(AssertionError):
    """Two accesses to the same bytes without an order between them."""


class FakeMemory:
    """Bytes of one allocation, or of a part of it; `address` tells allocations apart."""

    def __init__(self, device: "FakeDevice", content: npt.NDArray[np.uint8], address: int) -> None:
        self.device, self.content, self.address, self.nbytes = device, content, address, content.nbytes

    def part(self, start: int, nbytes: int) -> "FakeMemory":
        assert start >= 0 and start + nbytes <= self.nbytes
        return type(self)(self.device, self.content[start : start + nbytes], self.address + start)

    @property
    def span(self) -> tuple[int, int]:
        return self.address, self.address + self.nbytes


class FakeHostMemory(FakeMemory):
    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.device.host_touches((self.address, self.address + nbytes))
        return self.content[:nbytes].view(dtype).reshape(shape)


@dataclass
class Operation:
    """One thing on a stream: what it does, reads and writes, and the bits of all operations before it."""

    number: int
    name: str
    run: Callable[[], None]
    reads: list[tuple[int, int]]
    writes: list[tuple[int, int]]
    before: int
    done: bool = False


@dataclass
class FakeEvent:
    device: "FakeDevice"
    timed: bool
    reached: int | None = None
    """Bits of everything before the point last recorded; None before the first."""

    def sync(self) -> None:
        self.device.may_fail("sync")
        assert self.reached is not None, "an event that was never recorded is waited for"
        self.device.run_until(self.reached)

    def milliseconds_since(self, earlier: protocol.Event) -> float:
        assert isinstance(earlier, FakeEvent) and self.timed and earlier.timed
        assert self.reached is not None and earlier.reached is not None
        assert not earlier.reached & ~self.reached
        return 1.5


@dataclass
class FakeStream:
    device: "FakeDevice"
    order: int = 0
    """Bits of everything that comes before the next operation."""
    recording: list[tuple[str, Callable[[], None], list[FakeMemory], list[FakeMemory]]] | None = None

    def record(self, event: protocol.Event) -> None:
        assert isinstance(event, FakeEvent) and self.recording is None
        self.device.may_fail("record")
        event.reached = self.order

    def wait(self, event: protocol.Event) -> None:
        assert isinstance(event, FakeEvent) and event.reached is not None and self.recording is None
        self.device.may_fail("wait")
        self.order |= event.reached

    def sync(self) -> None:
        self.device.may_fail("sync")
        self.device.run_until(self.order)


@dataclass
class FakeGraph:
    device: "FakeDevice"
    operations: list[tuple[str, Callable[[], None], list[FakeMemory], list[FakeMemory]]]

    def launch(self, stream: protocol.Stream) -> None:
        assert isinstance(stream, FakeStream)
        self.device.may_fail("launch")
        self.device.launches += 1
        for operation in self.operations:
            self.device.add(stream, *operation)


@dataclass
class FakeDevice:
    """See the module.

    Args:
        seed: of the order in which operations run.
        fails: what fails, and at which time of asking from 0: memory, host_memory, copy, enqueue, launch, record, wait,
            sync, capture.
        captures: False for a device that captures no graphs.
        hangs: the same for what does not come back; `on_hang` is then called, which may wait as long as it likes.
    """

    seed: int = 0
    fails: dict[str, int] = field(default_factory=dict)
    captures: bool = True
    hangs: dict[str, int] = field(default_factory=dict)
    on_hang: Callable[[], None] = lambda: None
    name: str = "fake"

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.operations: list[Operation] = []
        self.seen_by_host = 0
        self.asked: dict[str, int] = {}
        self.broken = False
        self.closed = False
        self.done = 0
        self.not_captured: list[str] = []
        self.launches = self.allocated = self.contexts = 0
        self._kept: list[npt.NDArray[np.uint8]] = []

    # ---- the protocol

    def attach(self) -> None:
        self.may_fail("attach")

    def stream(self, *, urgent: bool = False) -> FakeStream:
        return FakeStream(self)

    def event(self, *, timed: bool = False) -> FakeEvent:
        return FakeEvent(self, timed)

    def memory(self, nbytes: int) -> FakeMemory:
        self.may_fail("memory")
        return self._allocate(FakeMemory, np.full(nbytes, GARBAGE, np.uint8))

    def host_memory(self, nbytes: int) -> FakeHostMemory:
        self.may_fail("host_memory")
        return self._allocate(FakeHostMemory, np.zeros(nbytes, np.uint8))

    def copy(self, destination: protocol.Memory, source: protocol.Memory, stream: protocol.Stream) -> None:
        assert isinstance(destination, FakeMemory) and isinstance(source, FakeMemory)
        assert isinstance(stream, FakeStream) and destination.nbytes == source.nbytes
        self.may_fail("copy")

        def run() -> None:
            destination.content[:] = source.content

        self.add(stream, "copy", run, [source], [destination])

    def capture(self, work: Callable[[protocol.Stream], None]) -> FakeGraph | None:
        self.may_fail("capture")
        if not self.captures:
            self.not_captured.append("this fake captures nothing")
            return None
        stream = FakeStream(self, recording=[])
        work(stream)
        assert stream.recording
        return FakeGraph(self, stream.recording)

    def close(self) -> None:
        self.closed = True

    # ---- behind it

    def _allocate(self, kind: Any, content: npt.NDArray[np.uint8]) -> Any:
        self.allocated += 1
        self._kept.append(content)  # so that no address is ever given twice
        return kind(self, content, int(content.__array_interface__["data"][0]))

    def may_fail(self, what: str) -> None:
        """Counts a request, and fails it if it is the one, or if anything has failed before."""
        count = self.asked.get(what, 0)
        self.asked[what] = count + 1
        if self.hangs.get(what) == count:
            self.on_hang()
        if self.broken or self.fails.get(what) == count:
            self.broken = True
            raise GpuError(f"the GPU failed to {what}", "a working one is needed", "run again")

    def add(
        self,
        stream: FakeStream,
        name: str,
        run: Callable[[], None],
        reads: list[FakeMemory],
        writes: list[FakeMemory],
    ) -> None:
        """Enqueues an operation, or records it, and looks for races with all that came before."""
        if stream.recording is not None:
            stream.recording.append((name, run, reads, writes))
            return
        before = stream.order | self.seen_by_host
        operation = Operation(
            len(self.operations), name, run, [one.span for one in reads], [one.span for one in writes], before
        )
        for other in self.operations:
            if not before >> other.number & 1:
                self.require_apart(operation, other)
        self.operations.append(operation)
        stream.order = before | 1 << operation.number

    @staticmethod
    def require_apart(one: Operation, other: Operation) -> None:
        for writes, touched in ((one.writes, other.reads + other.writes), (other.writes, one.reads)):
            if any(overlap(first, second) for first in writes for second in touched):
                raise RaceError(f"{one.name} ({one.number}) and {other.name} ({other.number}) touch the same memory")

    def host_touches(self, span: tuple[int, int]) -> None:
        """The host looks into pinned memory, or writes: nothing that uses it may still be under way."""
        for operation in self.operations:
            if not self.seen_by_host >> operation.number & 1 and any(
                overlap(span, other) for other in operation.reads + operation.writes
            ):
                raise RaceError(f"the host touches memory of {operation.name} ({operation.number}) too early")

    def run_until(self, wanted: int) -> None:
        """Runs operations in random order until all those `wanted` are done, and perhaps some others."""
        while wanted & ~self.done:
            ready = [one for one in self.operations if not one.done and not one.before & ~self.done]
            one = self.random.choice(ready)
            one.run()
            one.done = True
            self.done |= 1 << one.number
        self.seen_by_host |= wanted


def overlap(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two spans of bytes have one in common."""
    return first[0] < second[1] and second[0] < first[1]


class FakeContext:
    """Runs a graph in ONNX Runtime on a context's memory."""

    def __init__(
        self,
        device: FakeDevice,
        session: onnxruntime.InferenceSession,
        tensors: Mapping[str, Tensor],
        memory: Mapping[str, FakeMemory],
        targets: int,
        capturable: bool,
    ) -> None:
        self._device, self._session, self._tensors = device, session, tensors
        self._memory, self._targets, self._capturable = memory, targets, capturable
        device.contexts += 1

    def _view(self, name: str) -> npt.NDArray[Any]:
        tensor = self._tensors[name]
        content = self._memory[name].content[: tensor.nbytes(self._targets)]
        return content.view(tensor.dtype).reshape(tensor.sized(self._targets))

    def enqueue(self, stream: protocol.Stream) -> None:
        assert isinstance(stream, FakeStream)
        self._device.may_fail("enqueue")
        inputs = [name for name, tensor in self._tensors.items() if tensor.is_input]
        outputs = [name for name, tensor in self._tensors.items() if not tensor.is_input]

        def run() -> None:
            values = self._session.run(outputs, {name: self._view(name) for name in inputs})
            for name, value in zip(outputs, values, strict=True):
                self._view(name)[:] = value

        touched = [[self._memory[name] for name in names] for names in (inputs, outputs)]
        self._device.add(stream, "+".join(outputs), run, *touched)

    def capturable(self, stream: protocol.Stream) -> bool:
        return self._capturable

    def close(self) -> None:
        self._device.contexts -= 1


class FakeEngine:
    """A graph as an engine of a `FakeDevice`."""

    def __init__(self, device: FakeDevice, model: onnx.ModelProto, tensors: Mapping[str, Tensor]) -> None:
        self.device, self.tensors = device, tensors
        self.session = open_graph(model)
        self.is_capturable = True
        self.closed = False

    def context(self, memory: Mapping[str, protocol.Memory], targets: int) -> FakeContext:
        assert set(memory) == set(self.tensors)
        for name, tensor in self.tensors.items():
            assert memory[name].nbytes >= tensor.nbytes(targets), name
        fake = {name: one for name, one in memory.items() if isinstance(one, FakeMemory)}
        return FakeContext(self.device, self.session, self.tensors, fake, targets, self.is_capturable)

    def close(self) -> None:
        self.closed = True


def engines_on(device: FakeDevice, info: ChainInfo) -> dict[str, FakeEngine]:
    """The ONNX engines of a chain on a fake GPU: detect, pose and encode."""
    return {
        name.partition("_")[0]: FakeEngine(device, onnx.load(info.directory / one.engine_file), contract(one))
        for name, one in info.manifests.items()
    }
