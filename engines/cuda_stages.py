"""What the device does for a frame, stage by stage: engines bound to the slots' memory, warmed up, captured as graphs.

Knows no camera and no clock, and neither CUDA nor TensorRT: they are behind `device.py`. Frame n works in one slot and
takes the person to stay with, the boxes and the smoothing state of frame n - 1 from the other, where it left them.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engines.cuda_memory import Slot
from engines.device import Device, Engine, Memory, Stream


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


class Stages:
    """The stages of a schedule on two slots. Closed by whoever opened it, after the streams have come to rest.

    Args:
        device: opened.
        engines: `detect`, `pose` and `encode`.
        slots: both.
        schedule: `IN_TURN` or `SIDE_BY_SIDE`.
        targets: T.
        no_state: zeros to be taken for the smoothing state of every frame; None to pass it on from frame to frame.
    """

    def __init__(
        self,
        device: Device,
        engines: Mapping[str, Engine],
        slots: Sequence[Slot],
        schedule: Schedule,
        targets: int,
        no_state: Memory | None,
    ) -> None:
        self._device, self._slots, self._schedule = device, slots, schedule
        self.streams = [device.stream(urgent=True) for _ in schedule.stages]
        with contextlib.ExitStack() as stack:
            for slot in slots:
                slot.stage_done = [device.event() for _ in schedule.stages[:-1]] + [slot.done]
                self._bind(slot, engines, targets, no_state, stack)
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Frees the execution contexts."""
        self._closing.close()

    def _other(self, slot: Slot) -> Slot:
        return self._slots[1 - self._slots.index(slot)]

    def _bind(
        self,
        slot: Slot,
        engines: Mapping[str, Engine],
        targets: int,
        no_state: Memory | None,
        stack: contextlib.ExitStack,
    ) -> None:
        """Opens a slot's contexts; their addresses stay as they are, whatever a frame does."""
        other = self._other(slot)
        left = other if self._schedule.anchor_age == 1 else slot
        memory = slot.memory | {"anchor": left.memory["next_boxes"], "state": no_state or other.memory["next_state"]}
        for name, engine in engines.items():
            own = {one.name: memory[one.name].part(0, one.nbytes(targets)) for one in engine.tensors.values()}
            slot.contexts[name] = engine.context(own, targets)
            stack.callback(slot.contexts[name].close)

    def start(self, slot: Slot, *, detect: bool, override: bool, other_in_flight: bool) -> None:
        """Enqueues the frame in `slot`, after its upload; see `cuda_chain.CudaChain.submit`."""
        before = slot.uploaded
        first = 0 if detect or len(self.streams) == 1 else 1
        for index in range(first, len(self.streams)):
            stream = self.streams[index]
            stream.wait(before)
            if index == first:
                stream.record(slot.began)
                if override:
                    self._override(slot, stream, other_in_flight)
            graph = slot.graphs.get((index, detect))
            if graph is not None:
                graph.launch(stream)
            else:
                self._enqueue(slot, index, detect, stream)
            before = slot.stage_done[index]
            stream.record(before)

    def _override(self, slot: Slot, stream: Stream, other_in_flight: bool) -> None:
        """Puts the host's boxes where this frame's detector looks for its anchor."""
        other = self._other(slot)
        if self._schedule.anchor_age == 1:
            self._device.copy(other.memory["next_boxes"], slot.override, stream)
            return
        # the frame before may still be following its people by the boxes that are replaced here
        if other_in_flight:
            stream.wait(other.done)
        self._device.copy(slot.memory["next_boxes"], slot.override, stream)

    def _enqueue(self, slot: Slot, stage: int, detect: bool, stream: Stream) -> None:
        """All operations of one stage of a frame."""
        for name in self._schedule.stages[stage]:
            if name == "pose" and not detect:
                followed = self._other(slot).memory["next_boxes"]
                self._device.copy(slot.memory["boxes"].part(0, followed.nbytes), followed, stream)
            if name != "detect" or detect:
                slot.contexts[name].enqueue(stream)
        if stage == len(self.streams) - 1:
            self._device.copy(slot.results.host, slot.results.device, stream)

    def prepare(self, graphs: bool) -> str:
        """Runs everything once, so that the engines are warm, and captures it if `graphs` asks for that.

        The memory of both slots must hold valid numbers; what is left behind as people is to be wiped out after.

        Returns:
            Why nothing could be captured; empty where everything was, or nothing had to be.
        """
        works = [
            (slot, stage, detect)
            for slot in self._slots
            for detect in (True, False)
            for stage in range(len(self.streams))
            if detect or self._schedule.stages[stage] != ("detect",)
        ]
        for slot, stage, detect in works:
            self._enqueue(slot, stage, detect, self.streams[stage])
            self.streams[stage].sync()
        problem = self._capture(works) if graphs else ""
        if problem:
            for slot in self._slots:
                slot.graphs.clear()
        return problem

    def _capture(self, works: Sequence[tuple[Slot, int, bool]]) -> str:
        """Captures slots' stages, with and without the detector, as graphs; returns why one could not be."""
        contexts = [named for slot in self._slots for named in slot.contexts.items()]
        fixed = [name for name, context in contexts if not context.capturable(self.streams[0])]
        if fixed:
            return f"{' and '.join(dict.fromkeys(fixed))} cannot be captured"
        for slot, stage, detect in works:
            graph = self._device.capture(self._work(slot, stage, detect))
            if graph is None:
                return self._device.not_captured[-1]
            slot.graphs[stage, detect] = graph
        return ""

    def _work(self, slot: Slot, stage: int, detect: bool) -> Callable[[Stream], None]:
        def work(stream: Stream) -> None:
            self._enqueue(slot, stage, detect, stream)

        return work
