"""A GPU through cuda.core: streams, events, pinned and device memory, graphs. Knows no engine and no frame.

cuda.core is imported when a device is opened, never before. docs/gpu.md says what has run on a GPU.
"""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines import device as protocol
from engines.errors import GpuError, PosemirrorError

URGENT_PRIORITY = -1


@contextlib.contextmanager
def gpu_errors(what: str) -> Iterator[None]:
    """Turns whatever cuda.core or the driver raises into a GpuError."""
    try:
        yield
    except PosemirrorError:
        raise
    except Exception as error:  # cuda.core's own error class is not public
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise GpuError(
            f"the GPU failed to {what} ({reason})",
            "a GPU that has failed stays unusable for this process",
            "run again, and if it repeats look at nvidia-smi and dmesg, or give --backend onnx",
        ) from error


def reason_of(error: Exception) -> str:
    """An error in one line, with the line of code that raised it."""
    raised = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__} in {Path(raised.filename).name}:{raised.lineno}: {text}"


class CudaMemory:
    """A cuda.core Buffer."""

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
        self.nbytes, self.address = int(buffer.size), int(buffer.handle)

    def part(self, start: int, nbytes: int) -> "CudaMemory":
        """See `device.Memory`."""
        return CudaMemory(type(self.buffer).from_handle(self.address + start, nbytes, owner=self.buffer))


class HostBytes:
    """A buffer of host memory for NumPy, whose arrays keep it, and so the memory, alive.

    Not through DLPack: before NumPy 2.2.5 its arrays cannot be written to.
    """

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
        place = {"data": (int(buffer.handle), False), "shape": (int(buffer.size),), "typestr": "|u1"}
        self.__array_interface__ = {**place, "version": 3}


class CudaHostMemory(CudaMemory):
    """Pinned host memory; `content` is the whole of it as bytes, without a copy."""

    def __init__(self, buffer: Any, content: npt.NDArray[np.uint8]) -> None:
        super().__init__(buffer)
        self._content = content

    @classmethod
    def of(cls, buffer: Any) -> "CudaHostMemory":
        """A whole allocation, as NumPy sees it."""
        return cls(buffer, np.asarray(HostBytes(buffer)))

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """See `device.HostMemory`."""
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._content[:nbytes].view(dtype).reshape(shape)

    def part(self, start: int, nbytes: int) -> "CudaHostMemory":
        """See `device.Memory`."""
        buffer = type(self.buffer).from_handle(self.address + start, nbytes, owner=self.buffer)
        return CudaHostMemory(buffer, self._content[start : start + nbytes])


class CudaEvent:
    """A cuda.core Event."""

    def __init__(self, event: Any) -> None:
        self.event = event

    def sync(self) -> None:
        """See `device.Event`."""
        with gpu_errors("finish its work"):
            self.event.sync()

    def milliseconds_since(self, earlier: protocol.Event) -> float:
        """See `device.Event`."""
        assert isinstance(earlier, CudaEvent)
        with gpu_errors("time its work"):
            return float(self.event - earlier.event)


class CudaStream:
    """A cuda.core Stream, or a GraphBuilder while a graph is captured (`target`, with the `stream` beneath it)."""

    def __init__(self, target: Any, stream: Any) -> None:
        self.target, self.stream = target, stream
        self.handle = int(stream.handle)

    def record(self, event: protocol.Event) -> None:
        """See `device.Stream`."""
        assert isinstance(event, CudaEvent)
        with gpu_errors("record an event"):
            self.stream.record(event.event)

    def wait(self, event: protocol.Event) -> None:
        """See `device.Stream`."""
        assert isinstance(event, CudaEvent)
        with gpu_errors("wait for an event"):
            self.stream.wait(event.event)

    def sync(self) -> None:
        """See `device.Stream`."""
        with gpu_errors("finish its work"):
            self.stream.sync()


class CudaGraph:
    """A cuda.core Graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def launch(self, stream: protocol.Stream) -> None:
        """See `device.Graph`."""
        assert isinstance(stream, CudaStream)
        with gpu_errors("launch a graph"):
            self.graph.launch(stream.stream)


class CudaDevice:
    """The first CUDA device. A context manager.

    Raises:
        GpuError: it cannot be initialised.
    """

    def __init__(self) -> None:
        with gpu_errors("start"):
            from cuda.core import Device, LegacyPinnedMemoryResource

            self.device = Device(0)
            self.device.set_current()
            self.name = str(self.device.name)
            self._pinned = LegacyPinnedMemoryResource()
            self._allocation_stream = self.device.create_stream()
        self.not_captured: list[str] = []
        self._given: list[Any] = []
        self._pages: list[CudaHostMemory] = []

    def __enter__(self) -> "CudaDevice":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def attach(self) -> None:
        """See `device.Device`."""
        with gpu_errors("attach to a thread"):
            self.device.set_current()

    def _keep(self, resource: Any) -> Any:
        self._given.append(resource)
        return resource

    def stream(self, *, urgent: bool = False) -> CudaStream:
        """See `device.Device`."""
        with gpu_errors("create a stream"):
            from cuda.core import StreamOptions

            options = StreamOptions(nonblocking=True, priority=URGENT_PRIORITY if urgent else 0)
            stream = self.device.create_stream(options=options)
        self._keep(stream)
        return CudaStream(stream, stream)

    def event(self, *, timed: bool = False) -> CudaEvent:
        """See `device.Device`."""
        with gpu_errors("create an event"):
            from cuda.core import EventOptions

            return CudaEvent(
                self._keep(self.device.create_event(EventOptions(timing_enabled=timed, blocking_sync=True)))
            )

    def memory(self, nbytes: int) -> CudaMemory:
        """See `device.Device`."""
        with gpu_errors(f"allocate {nbytes} bytes"):
            buffer = self.device.allocate(nbytes, stream=self._allocation_stream)
            self._allocation_stream.sync()  # stream-ordered: usable on other streams only from here
        return CudaMemory(self._keep(buffer))

    def host_memory(self, nbytes: int) -> CudaHostMemory:
        """See `device.Device`."""
        with gpu_errors(f"allocate {nbytes} bytes of pinned host memory"):
            memory = CudaHostMemory.of(self._pinned.allocate(nbytes))
        memory.array((nbytes,), np.uint8)[:] = 0
        self._pages.append(memory)
        return memory

    def copy(self, destination: protocol.Memory, source: protocol.Memory, stream: protocol.Stream) -> None:
        """See `device.Device`."""
        assert isinstance(destination, CudaMemory) and isinstance(source, CudaMemory)
        assert isinstance(stream, CudaStream)
        with gpu_errors("copy"):
            destination.buffer.copy_from(source.buffer, stream=stream.target)

    def capture(self, work: Callable[[protocol.Stream], None]) -> CudaGraph | None:
        """See `device.Device`."""
        with gpu_errors("capture a graph"):
            builder = self.device.create_graph_builder()
            builder.begin_building("thread_local")
            try:
                work(CudaStream(builder, builder.stream))
                builder.end_building()
                graph = builder.complete()
            except Exception as error:  # some operation cannot be captured; whether the GPU still works is seen below
                self.not_captured.append(reason_of(error))
                try:
                    builder.close()
                except Exception:  # CUDA has freed the graph of a capture that broke, and the builder would once more
                    protocol.ABANDONED.append(builder)
                self.device.sync()
                return None
            graph.upload(self._allocation_stream)
            self._allocation_stream.sync()
        self._keep(graph)
        return CudaGraph(graph)

    def close(self) -> None:
        """See `device.Device`."""
        for resource in reversed(self._given):
            with contextlib.suppress(Exception):  # after a failure nothing can be freed, and the process ends
                resource.close()
        self._given.clear()
        self._pages.clear()  # freed with the last array of them: a picture may still be shown
        with contextlib.suppress(Exception):
            self._allocation_stream.close()
