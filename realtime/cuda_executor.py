"""Frames through the chain on a GPU, two in flight, each judged when it comes back. Knows no thread, file or window."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engines.cuda_chain import DEPTH, ChainOutput, CudaChain
from engines.errors import GpuError
from engines.execution import ChainInfo, Targets
from realtime.device_tracking import DeviceTracker
from realtime.frames import Frame, FrameBuffers
from realtime.results import FrameResult
from realtime.verdict import Judge

NO_TARGET = Targets(np.zeros((1, 15, 3), np.float32), np.zeros((1, 15), np.float32), np.ones(1, np.float32))
"""What the encoder compares with when there is nothing to compare with."""


class CudaExecutor:
    """Runs a `CudaChain` and scores row 0; see `realtime.executor.Executor`.

    A failure of the GPU reaches the caller when the result of the failed frame is asked for, not before: what was
    computed until then still comes out.

    Args:
        chain: opened and closed by the caller, with the judge's rows (or `NO_TARGET`) as its targets.
        judge: says what each frame's numbers mean.
        tracker: says whom to stay with.
        attach: makes the GPU usable from the thread that submits.
    """

    depth = DEPTH

    def __init__(
        self,
        chain: CudaChain,
        judge: Judge,
        tracker: DeviceTracker,
        attach: Callable[[], None] = lambda: None,
    ) -> None:
        self._chain, self._judge, self._tracker, self._attach = chain, judge, tracker, attach
        self.buffers: FrameBuffers | None = chain.frames
        self._attached = False
        self._frames: deque[tuple[Frame, float]] = deque()
        self._failure: GpuError | None = None

    @property
    def info(self) -> ChainInfo:
        """What the opened engines are."""
        return self._chain.info

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """See `Executor`."""
        self._frames.append((frame, wait_ms))
        if self._failure is not None:
            return
        try:
            if not self._attached:
                self._attach()
                self._attached = True
            plan = self._tracker.plan(frame.seconds)
            self._chain.submit(frame.image, seconds=plan.seconds, detect=plan.detect, override=plan.override)
        except GpuError as error:
            self._failure = error

    def collect(self) -> FrameResult:
        """See `Executor`.

        Raises:
            GpuError: the GPU failed at this frame.
        """
        frame, wait_ms = self._frames.popleft()
        if self._failure is not None and not self._chain.in_flight:
            raise self._failure
        output = self._chain.collect()
        return self._result(frame, wait_ms, output)

    def _result(self, frame: Frame, wait_ms: float, output: ChainOutput) -> FrameResult:
        boxes, pose = output.boxes, output.pose
        if not self._tracker.accept(frame.seconds, boxes, pose.next_boxes):
            boxes, next_boxes = boxes.copy(), pose.next_boxes.copy()
            boxes[0] = next_boxes[0] = 0
            pose = type(pose)(pose.keypoints, pose.joints, next_boxes, pose.state)
        encoded = output.encoded if self._judge.rows is not None else None
        # one launch does all three: their times within it cannot be told apart
        stages = {"wait": wait_ms, "detect": 0.0, "pose": 0.0, "encode": 0.0, "gpu": output.device_ms}
        verdict = self._judge.verdict(frame, boxes, pose, encoded, stages)
        return replace(verdict, moments_ms={"submitted": wait_ms})
