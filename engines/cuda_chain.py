"""The chain on a GPU: a frame goes up once, the engines pass device memory to each other, one small block comes back.

Knows no camera, thread or clock, and neither CUDA nor TensorRT. Frame n works in slot n % 2 (`cuda_memory.py`); what
the device does with it is in `cuda_stages.py`.

    copy stream   upload n          upload n+1
    stage(s)               graph n             graph n+1        (one launch: detect, pose, encode, download)
    host          submit n | submit n+1 | collect n | submit n+2 | ...
"""

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.cuda_memory import FramePool, Picture, Slot
from engines.cuda_stages import IN_TURN, Schedule, Stages
from engines.device import Device, Engine, Memory, OnGpu
from engines.errors import GpuError
from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets

Floats = npt.NDArray[np.float32]

DEPTH = 2
"""Frames in flight: slots."""


@dataclass(frozen=True)
class ChainOutput:
    """One frame's numbers, and the GPU's time for it, ms.

    `boxes` float32 [D, 5] are the detector's, the first K of them those the pose engine looked into. Row 0 with
    confidence 0 is somebody whom it did not find, followed by their last keypoints. Where the detector did not run,
    those K are all that is of this frame.
    """

    boxes: Floats
    pose: PoseOutput
    encoded: EncodeOutput
    device_ms: float


class CudaChain(OnGpu):
    """Runs frames through the three engines, two in flight. A context manager; for use from one thread at a time.

    Args:
        info: of the opened engines.
        device: opened, and closed after this, by the caller.
        engines: `detect`, `pose` and `encode`, opened and closed by the caller.
        targets: what the first frame is compared with; their number holds for all frames.
        smoothing: False gives the pose engine no past.
        schedule: `IN_TURN` or `SIDE_BY_SIDE`.
        graphs: False enqueues every operation of every frame, for comparison.

    Attributes:
        uses_graphs: whether a frame's stage is one launch.
        not_captured: why it is not, although `graphs` asked for it; else empty.

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
        self.info, self._device = info, device
        width, height = info.frame_size
        count = len(targets.width)
        self.frames = FramePool(device, (height, width, 3))
        self._targets = targets
        self._upload = device.stream()
        self._slots = [Slot(device, engines, count) for _ in range(DEPTH)]
        self._in_flight: deque[Slot] = deque()
        self._count = 0
        self._failure: GpuError | None = None
        self._no_state = np.zeros((info.people, 17, 4), np.float32)
        self._no_state.flags.writeable = False
        state = None if smoothing else device.memory(self._no_state.nbytes)
        with contextlib.ExitStack() as stack:
            self._stages = Stages(device, engines, self._slots, schedule, count, state)
            stack.callback(self._stages.close)
            if state is not None:
                self._wipe([state])
            self._wipe([slot.memory[name] for slot in self._slots for name in ("frame", "next_boxes", "next_state")])
            for slot in self._slots:
                slot.choose(0.0, targets)
                device.copy(slot.choices.device, slot.choices.host, self._upload)
            self._upload.sync()
            self.not_captured = self._stages.prepare(graphs)
            self.uses_graphs = graphs and not self.not_captured
            self._wipe([slot.memory[name] for slot in self._slots for name in ("next_boxes", "next_state")])
            self._closing = stack.pop_all()

    def close(self) -> None:
        """Waits for the frames in flight and frees the execution contexts; the memory goes with the device."""
        for stream in (self._upload, *self._stages.streams):
            with contextlib.suppress(GpuError):  # after a failure nothing runs any more
                stream.sync()
        self._closing.close()

    @property
    def in_flight(self) -> int:
        """Frames submitted and not yet collected, at most `DEPTH`."""
        return len(self._in_flight)

    def submit(
        self,
        picture: Picture,
        *,
        seconds: float,
        detect: bool = True,
        override: Floats | None = None,
        targets: Targets | None = None,
    ) -> None:
        """Begins a frame; returns while the GPU works.

        Args:
            picture: one of `frames`, not written to until the frame has been collected.
            seconds: since the frame before it.
            detect: whether to run the detector; else the people are followed by their keypoints.
            override: float32 [K, 5], taken in place of what the last frame left as `next_boxes`: row 0 is the person
                to stay with, followed where they are not found if its confidence is > 0; zeros for nobody. Needs
                `detect`.
            targets: what this frame and those after it are compared with, as many as ever; None for no change.
        """
        assert len(self._in_flight) < DEPTH and (detect or override is None)
        with self._failing_for_good():
            self._submit(picture, seconds, detect, override, targets)

    def _submit(
        self, picture: Picture, seconds: float, detect: bool, override: Floats | None, targets: Targets | None
    ) -> None:
        slot = self._slots[self._count % DEPTH]
        self._targets = targets or self._targets
        slot.choose(seconds, self._targets)
        if override is not None:
            slot.override.array(override.shape, np.float32)[:] = override
        self._device.copy(slot.memory["frame"], self.frames.memory(picture), self._upload)
        self._device.copy(slot.choices.device, slot.choices.host, self._upload)
        self._upload.record(slot.uploaded)
        self._stages.start(slot, detect=detect, override=override is not None, other_in_flight=bool(self._in_flight))
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
        values = {name: array.copy() for name, array in slot.results.arrays().items()}
        return ChainOutput(
            values["boxes"],
            PoseOutput(values["keypoints"], values["joints"], values["next_boxes"], self._no_state),
            EncodeOutput(values["embedding"], values["distance"], values["score"]),
            slot.done.milliseconds_since(slot.began),
        )

    def _wipe(self, pieces: Sequence[Memory]) -> None:
        """Fills device memory with zeros."""
        zeros = self._device.host_memory(max(piece.nbytes for piece in pieces))
        for piece in pieces:
            self._device.copy(piece, zeros.part(0, piece.nbytes), self._upload)
        self._upload.sync()
