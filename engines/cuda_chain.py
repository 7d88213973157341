"""The chain on a GPU: a frame goes up once, the engines pass device memory to each other, one small block comes back.

Knows no camera, thread or clock, and neither CUDA nor TensorRT: they are behind `device.py`. Two slots hold the memory
of the two frames in flight. Frame n works in slot n % 2, and takes the person to stay with, the boxes and the smoothing
state of frame n - 1 from the other slot, where that frame left them.

    copy stream   upload n          upload n+1
    stage(s)               graph n             graph n+1        (one launch: detect, pose, encode, download)
    host          submit n | submit n+1 | collect n | submit n+2 | ...
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.device import Context, Device, Engine, Event, Graph, HostMemory, Memory, Stream
from engines.errors import GpuError
from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

DEPTH = 2
"""Frames in flight: slots."""
HOST_FRAMES = 4
"""One being written, two in flight, one being drawn."""
ALIGNMENT = 256
ANCHOR_BYTES = 16
RESULTS = ("boxes", "keypoints", "joints", "next_boxes", "embedding", "distance", "score")


@dataclass(frozen=True)
class Schedule:
    """Which engines share a stream and a launch, and how many frames back the detector's anchor comes from.

    `IN_TURN`: one launch a frame. `SIDE_BY_SIDE`: the detector of a frame runs beside the pose network of the one
    before, so its anchor is one frame older.
    """

    name: str
    stages: tuple[tuple[str, ...], ...]
    anchor_age: int


IN_TURN = Schedule("in turn", (("detect", "pose", "encode"),), anchor_age=1)
SIDE_BY_SIDE = Schedule("side by side", (("detect",), ("pose",), ("encode",)), anchor_age=2)


@dataclass(frozen=True)
class ChainOutput:
    """One frame's numbers: boxes float32 [K, 5], pose and encoding, and the GPU's time for it, ms."""

    boxes: Floats
    pose: PoseOutput
    encoded: EncodeOutput
    device_ms: float


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


class Slot:
    """The memory and events of one frame in flight. Nothing in it is allocated again.

    Args:
        device: gives the memory.
        engines: for the sizes of their tensors.
        targets: T.
    """

    def __init__(self, device: Device, engines: Mapping[str, Engine], targets: int) -> None:
        tensors = {tensor.name: tensor for engine in engines.values() for tensor in engine.tensors.values()}
        starts, end = {}, 0
        for name in RESULTS:
            starts[name] = end
            end += -(-tensors[name].nbytes(targets) // ALIGNMENT) * ALIGNMENT
        self.shapes = {name: tensors[name].sized(targets) for name in RESULTS}
        self.places = {name: slice(starts[name], starts[name] + tensors[name].nbytes(targets)) for name in RESULTS}
        self.block = device.memory(end)
        self.memory: dict[str, Memory] = {
            name: self.block.part(place.start, place.stop - place.start) for name, place in self.places.items()
        }
        for name in ("frame", "seconds", "next_state"):
            self.memory[name] = device.memory(tensors[name].nbytes(targets))
        self.results = device.host_memory(end)
        self.seconds = device.host_memory(tensors["seconds"].nbytes(targets))
        self.override = device.host_memory(tensors["next_boxes"].nbytes(targets))
        self.uploaded = device.event()
        self.began = device.event(timed=True)
        self.done = device.event(timed=True)
        self.contexts: dict[str, Context] = {}
        self.stage_done: list[Event] = []
        self.graphs: dict[tuple[int, bool], Graph] = {}

    def read(self) -> dict[str, Floats]:
        """The results, copied out of the pinned block."""
        content = self.results.array((self.results.nbytes,), np.uint8)
        return {
            name: content[place].view(np.float32).reshape(self.shapes[name]).copy()
            for name, place in self.places.items()
        }


class CudaChain:
    """Runs frames through the three engines, two in flight. A context manager; for use from one thread at a time.

    Args:
        info: of the opened engines.
        device: opened, and closed after this, by the caller.
        engines: `detect`, `pose` and `encode`, opened and closed by the caller.
        targets: what every frame is compared with.
        smoothing: False gives the pose engine no past.
        schedule: `IN_TURN` or `SIDE_BY_SIDE`.
        graphs: False enqueues every operation of every frame, for comparison.

    Raises:
        GpuError: here and from every method, when the GPU fails. It is sticky.
    """

    def __init__(
        self,
        info: ChainInfo,
        device: Device,
        engines: Mapping[str, Engine],
        targets: Targets,
        *,
        smoothing: bool = True,
        schedule: Schedule = IN_TURN,
        graphs: bool = True,
    ) -> None:
        self.info, self._device, self._schedule = info, device, schedule
        width, height = info.frame_size
        self.frames = FramePool(device, (height, width, 3))
        self._upload = device.stream()
        self._streams = [device.stream(urgent=True) for _ in schedule.stages]
        self._slots = [Slot(device, engines, len(targets.width)) for _ in range(DEPTH)]
        self._in_flight: deque[Slot] = deque()
        self._count = 0
        self._failure: GpuError | None = None
        self._no_state = np.zeros((info.people, 17, 4), np.float32)
        self._no_state.flags.writeable = False
        with contextlib.ExitStack() as stack:
            self._targets = self._load_targets(targets)
            state = self._zeroed(self._slots[0].memory["next_state"].nbytes) if not smoothing else None
            for index, slot in enumerate(self._slots):
                other = self._slots[1 - index]
                self._bind(slot, other, engines, state, len(targets.width), stack)
                slot.stage_done = [device.event() for _ in schedule.stages[:-1]] + [slot.done]
            self.uses_graphs = self._prepare(graphs)
            self._closing = stack.pop_all()

    def __enter__(self) -> "CudaChain":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Waits for the frames in flight and frees the execution contexts; the memory goes with the device."""
        for stream in (self._upload, *self._streams):
            with contextlib.suppress(GpuError):  # after a failure nothing runs any more
                stream.sync()
        self._closing.close()

    @property
    def in_flight(self) -> int:
        """Frames submitted and not yet collected, at most `DEPTH`."""
        return len(self._in_flight)

    def submit(self, picture: Picture, *, seconds: float, detect: bool = True, override: Floats | None = None) -> None:
        """Begins a frame; returns while the GPU works.

        Args:
            picture: one of `frames`, not written to until the frame has been collected.
            seconds: since the frame before it.
            detect: whether to run the detector; else the people are followed by their keypoints.
            override: float32 [K, 5], taken in place of what the last frame left as `next_boxes`: row 0 is the person
                to stay with, zeros for nobody. Needs `detect`.
        """
        assert len(self._in_flight) < DEPTH and (detect or override is None)
        with self._failing_for_good():
            self._submit(picture, seconds, detect, override)

    def _submit(self, picture: Picture, seconds: float, detect: bool, override: Floats | None) -> None:
        slot, other = self._slots[self._count % DEPTH], self._slots[(self._count + 1) % DEPTH]
        slot.seconds.array((1,), np.float32)[0] = seconds
        if override is not None:
            slot.override.array(override.shape, np.float32)[:] = override
        self._device.copy(slot.memory["frame"], self.frames.memory(picture), self._upload)
        self._device.copy(slot.memory["seconds"], slot.seconds, self._upload)
        self._upload.record(slot.uploaded)
        before = slot.uploaded
        first = 0 if detect or len(self._streams) == 1 else 1
        for index in range(first, len(self._streams)):
            stream = self._streams[index]
            stream.wait(before)
            if index == first:
                stream.record(slot.began)
                if override is not None:
                    self._override(slot, other, stream)
            graph = slot.graphs.get((index, detect))
            if graph is not None:
                graph.launch(stream)
            else:
                self._enqueue(slot, index, detect, stream)
            before = slot.stage_done[index]
            stream.record(before)
        self._in_flight.append(slot)
        self._count += 1

    def collect(self) -> ChainOutput:
        """The oldest frame's numbers, as soon as they are there."""
        with self._failing_for_good():
            return self._collect()

    @contextlib.contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """After one failure everything fails, with the same error and without asking the GPU again."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except GpuError as error:
            self._failure = error
            raise

    def _collect(self) -> ChainOutput:
        slot = self._in_flight.popleft()
        slot.done.sync()
        values = slot.read()
        return ChainOutput(
            values["boxes"],
            PoseOutput(values["keypoints"], values["joints"], values["next_boxes"], self._no_state),
            EncodeOutput(values["embedding"], values["distance"], values["score"]),
            slot.done.milliseconds_since(slot.began),
        )

    def _override(self, slot: Slot, other: Slot, stream: Stream) -> None:
        """Puts the host's boxes where this frame's detector looks for its anchor."""
        if self._schedule.anchor_age == 1:
            self._device.copy(other.memory["next_boxes"], slot.override, stream)
            return
        # the frame before may still be following its people by the boxes that are replaced here
        if self._in_flight:
            stream.wait(other.done)
        self._device.copy(slot.memory["next_boxes"], slot.override, stream)

    def _load_targets(self, targets: Targets) -> dict[str, Memory]:
        """The targets in device memory."""
        memory: dict[str, Memory] = {}
        for name, values in (("targets", targets.joints), ("counts", targets.counts), ("width", targets.width)):
            staged = self._device.host_memory(values.nbytes)
            staged.array(values.shape, np.float32)[:] = values
            memory[name] = self._device.memory(values.nbytes)
            self._device.copy(memory[name], staged, self._upload)
        self._upload.sync()
        return memory

    def _zeroed(self, nbytes: int) -> Memory:
        """Device memory of zeros."""
        memory = self._device.memory(nbytes)
        self._device.copy(memory, self._device.host_memory(nbytes), self._upload)
        self._upload.sync()
        return memory

    def _bind(
        self,
        slot: Slot,
        other: Slot,
        engines: Mapping[str, Engine],
        state: Memory | None,
        targets: int,
        stack: contextlib.ExitStack,
    ) -> None:
        """Opens a slot's contexts; their addresses stay as they are, whatever a frame does."""
        left = other if self._schedule.anchor_age == 1 else slot
        memory = {
            "detect": {**slot.memory, "anchor": left.memory["next_boxes"].part(0, ANCHOR_BYTES)},
            "pose": {**slot.memory, "state": state or other.memory["next_state"]},
            "encode": {**slot.memory, **self._targets},
        }
        for name, engine in engines.items():
            own = {tensor: memory[name][tensor] for tensor in engine.tensors}
            slot.contexts[name] = engine.context(own, targets)
            stack.callback(slot.contexts[name].close)

    def _enqueue(self, slot: Slot, stage: int, detect: bool, stream: Stream) -> None:
        """All operations of one stage of a frame."""
        other = self._slots[1 - self._slots.index(slot)]
        for name in self._schedule.stages[stage]:
            if name == "pose" and not detect:
                self._device.copy(slot.memory["boxes"], other.memory["next_boxes"], stream)
            if name != "detect" or detect:
                slot.contexts[name].enqueue(stream)
        if stage == len(self._streams) - 1:
            self._device.copy(slot.results, slot.block, stream)

    def _prepare(self, wanted: bool) -> bool:
        """Runs everything once, so that the engines are warm, then captures it; returns whether that worked.

        What the warm-up left behind as people is wiped out.
        """
        stages = [
            (slot, stage, detect)
            for slot in self._slots
            for detect in (True, False)
            for stage in range(len(self._streams))
            if detect or self._schedule.stages[stage] != ("detect",)
        ]
        self._wipe(("frame", "seconds", "next_boxes", "next_state"))
        for slot, stage, detect in stages:
            self._enqueue(slot, stage, detect, self._streams[stage])
            self._streams[stage].sync()
        captured = wanted and all(
            context.capturable(self._streams[0]) for slot in self._slots for context in slot.contexts.values()
        )
        for slot, stage, detect in stages if captured else ():
            graph = self._device.capture(self._stage_of(slot, stage, detect))
            if graph is None:
                captured = False
                break
            slot.graphs[stage, detect] = graph
        if not captured:
            for slot in self._slots:
                slot.graphs.clear()
        self._wipe(("next_boxes", "next_state"))
        return captured

    def _stage_of(self, slot: Slot, stage: int, detect: bool) -> Callable[[Stream], None]:
        def work(stream: Stream) -> None:
            self._enqueue(slot, stage, detect, stream)

        return work

    def _wipe(self, names: Sequence[str]) -> None:
        """Zeros in some memory of both slots."""
        zeros = self._device.host_memory(max(self._slots[0].memory[name].nbytes for name in names))
        for slot in self._slots:
            for name in names:
                self._device.copy(slot.memory[name], zeros.part(0, slot.memory[name].nbytes), self._upload)
        self._upload.sync()


class DeviceChain:
    """The engines one call at a time on arrays of the host: for targets, parity and benchmarks, not for the loop.

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
        """Boxes float32 [K, 5]."""
        boxes: Floats = self.run("detect", frame=frame, anchor=anchor)["boxes"]
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
            self._runs[name, targets] = self._prepared(self.engines[name], targets)
        return self._runs[name, targets](**inputs)

    def _prepared(self, engine: Engine, targets: int) -> Callable[..., dict[str, npt.NDArray[Any]]]:
        """Memory and a context for an engine, as a function of its inputs."""
        tensors = engine.tensors
        memory = {name: self.device.memory(tensor.nbytes(targets)) for name, tensor in tensors.items()}
        staged = {name: self.device.host_memory(tensor.nbytes(targets)) for name, tensor in tensors.items()}
        context = engine.context(memory, targets)
        self._closing.callback(context.close)

        def run(**inputs: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
            for name, values in inputs.items():
                staged[name].array(values.shape, tensors[name].dtype)[:] = values
                self.device.copy(memory[name], staged[name], self._stream)
            context.enqueue(self._stream)
            outputs = {name: tensor for name, tensor in tensors.items() if not tensor.is_input}
            for name in outputs:
                self.device.copy(staged[name], memory[name], self._stream)
            self._stream.sync()
            return {
                name: staged[name].array(tensor.sized(targets), tensor.dtype).copy() for name, tensor in outputs.items()
            }

        return run
