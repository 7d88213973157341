"""Frames through the chain on a GPU, two in flight, each judged when it comes back. Knows no thread, file or window."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engines.cuda_chain import DEPTH, ChainOutput, CudaChain
from engines.errors import GpuError
from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets
from realtime.device_tracking import EMPTY, DevicePlan, DeviceTracker
from realtime.executor import bystanders
from realtime.frames import Frame, FrameBuffers
from realtime.pose import Target
from realtime.results import FrameResult
from realtime.scoring import stacked
from realtime.verdict import Judge
from realtime.watchdog import Watchdog

Floats = npt.NDArray[np.float32]

NO_TARGET = Targets(np.zeros((1, 15, 3), np.float32), np.zeros((1, 15), np.float32), np.ones(1, np.float32))
"""What the encoder compares with when there is nothing to compare with."""


@dataclass(frozen=True)
class Submitted:
    """A frame on its way: by whom it will be judged, and how it was sent; no plan where the GPU had failed before."""

    frame: Frame
    wait_ms: float
    judge: Judge
    plan: DevicePlan | None


def device_rows(judge: Judge) -> Targets:
    """What the device compares with: always two rows, so that targets with and without their mirror image can follow
    each other. A single one comes twice; of equal scores the first counts.
    """
    rows = judge.rows or NO_TARGET
    return rows if len(rows.width) > 1 else stacked([rows, rows])


class CudaExecutor:
    """Runs a `CudaChain` and scores row 0; see `realtime.executor.Executor`.

    A failure of the GPU reaches the caller when the next result is asked for. It is sticky: frames that were in flight
    are lost with the one that failed, and nothing is asked of the GPU again.

    Args:
        chain: opened and closed by the caller, with `device_rows(judge)` as its targets.
        judge: says what each frame's numbers mean.
        tracker: says whom to stay with.
        attach: makes the GPU usable from the thread that submits.
        scored: how many people are scored.
        watchdog: told whenever the GPU is waited for.
    """

    depth = DEPTH

    def __init__(
        self,
        chain: CudaChain,
        judge: Judge,
        tracker: DeviceTracker,
        attach: Callable[[], None] = lambda: None,
        *,
        scored: int = 1,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._chain, self._tracker, self._attach, self._scored = chain, tracker, attach, scored
        self._aim = judge, device_rows(judge)
        self.buffers: FrameBuffers | None = chain.frames
        self.watchdog = watchdog
        self._attached = False
        self._wishes: deque[int | None] = deque()
        self._submitted: deque[Submitted] = deque()
        self._failure: GpuError | None = None

    @property
    def info(self) -> ChainInfo:
        """What the opened engines are."""
        return self._chain.info

    @property
    def not_captured(self) -> str:
        """See `CudaChain`."""
        return self._chain.not_captured

    def aim(self, target: Target) -> None:
        """See `CpuExecutor`. Frames that are under way are still judged against the target before."""
        judge = Judge(self.info, target, self._scored)
        self._aim = judge, device_rows(judge)

    def choose(self, person: int | None) -> None:
        """See `CpuExecutor`. Frames that are under way are still about the person before."""
        self._wishes.append(person)

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """See `Executor`."""
        judge, rows = self._aim
        plan = None
        try:
            if self._failure is None:
                if not self._attached:
                    self._attach()
                    self._attached = True
                while self._wishes:
                    self._tracker.choose(self._wishes.popleft())
                plan = self._tracker.plan(frame.seconds)
                with self._watched():
                    self._chain.submit(
                        frame.image, seconds=plan.seconds, detect=plan.detect, override=plan.override, targets=rows
                    )
        except GpuError as error:
            self._failure = error
        self._submitted.append(Submitted(frame, wait_ms, judge, plan))

    def collect(self) -> FrameResult:
        """See `Executor`.

        Raises:
            GpuError: the GPU failed at this frame, or at one submitted after it.
        """
        submitted = self._submitted.popleft()
        if self._failure is not None and not self._chain.in_flight:
            raise self._failure
        with self._watched():
            output = self._chain.collect()
        assert submitted.plan is not None
        return self._result(submitted, submitted.plan, output)

    def _watched(self) -> AbstractContextManager[None]:
        return self.watchdog.waiting() if self.watchdog else nullcontext()

    def _result(self, submitted: Submitted, plan: DevicePlan, output: ChainOutput) -> FrameResult:
        frame, judge, tracker = submitted.frame, submitted.judge, self._tracker
        order = tracker.accept(frame.seconds, plan, output.boxes, output.pose, frame.image)
        boxes, pose, encoded = in_order(output, order)
        if tracker.followed is not None and order[0] == 0:
            boxes[0, 4] = tracker.followed
        # one launch does all three: their times within it cannot be told apart
        stages = {"wait": submitted.wait_ms, "detect": 0.0, "pose": 0.0, "encode": 0.0, "gpu": output.device_ms}
        scores = None if judge.rows is None else of_rows(encoded, len(judge.rows.width))
        verdict = judge.verdict(frame, boxes, pose, scores, stages, tracker.rows, hidden=tracker.hidden)
        moments = {"submitted": submitted.wait_ms}
        return replace(verdict, moments_ms=moments, others=bystanders(tracker, self._scored))


def of_rows(encoded: EncodeOutput, count: int) -> EncodeOutput:
    """The comparisons with the first `count` targets alone."""
    return EncodeOutput(encoded.embedding, encoded.distance[:, :count], encoded.score[:, :count])


def in_order(output: ChainOutput, order: Sequence[int]) -> tuple[Floats, PoseOutput, EncodeOutput]:
    """A frame's numbers, the device's rows in another order; zeros for EMPTY."""
    rows = np.maximum(order, 0)
    empty = np.equal(order, EMPTY)

    def moved(values: Floats) -> Floats:
        taken: Floats = values[rows]
        taken[empty] = 0
        return taken

    pose = PoseOutput(*map(moved, vars(output.pose).values()))
    return moved(output.boxes), pose, EncodeOutput(*map(moved, vars(output.encoded).values()))
