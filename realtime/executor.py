"""One frame through the chain: detect, pose, encode, verdict. Knows no threads, files or windows.

An executor takes frames with `submit` and gives results with `collect`, in order, at most `depth` of them between. On a
CPU the work is done in `submit`, and `depth` is 1.
"""

import time
from collections import deque
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets
from engines.skeleton import mirror_joints
from realtime import scoring
from realtime.frames import Frame, Picture
from realtime.pose import Target
from realtime.results import JOINTS_MISSING, NO_PERSON, SCORED, FrameResult, PersonResult
from realtime.tracking import Tracker

Floats = npt.NDArray[np.float32]

STAGES = ("detect", "pose", "encode")


class Chain(Protocol):
    """The engines, as `engines.execution.CpuChain`."""

    info: ChainInfo

    def detect(self, frame: Picture, anchor: Floats) -> Floats:
        """Boxes float32 [K, 5]."""

    def pose(self, frame: Picture, boxes: Floats, state: Floats, seconds: float) -> PoseOutput:
        """Keypoints of the people in the boxes."""

    def encode(self, joints: Floats, targets: Targets) -> EncodeOutput:
        """Distances and scores to the targets."""


class Executor(Protocol):
    """Takes frames, gives results in the same order."""

    depth: int

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """Begins a frame; `wait_ms` is the time it waited for its turn."""

    def collect(self) -> FrameResult:
        """The oldest frame's result; blocks until it is there."""


@dataclass(frozen=True)
class Span:
    """Time spent in a stage: by the clock on the wall, and by this thread's processor."""

    wall_ms: float
    cpu_ms: float


class Stopwatch:
    """Times of one frame's stages."""

    def __init__(self) -> None:
        self.spans = dict.fromkeys(STAGES, Span(0.0, 0.0))

    @contextmanager
    def stage(self, name: str):  # type: ignore[no-untyped-def]
        """Measures its block as the stage `name`."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.spans[name] = Span((time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3)


class CpuExecutor:
    """Runs a `Chain` frame by frame and scores row 0 against a target.

    Args:
        chain: the opened engines.
        target: what row 0 is scored against; None to look only.
        tracker: follows people from frame to frame.
        stills: every frame stands for itself.
    """

    depth = 1

    def __init__(self, chain: Chain, target: Target | None, tracker: Tracker, *, stills: bool = False) -> None:
        self._chain, self._target, self._tracker, self._stills = chain, target, tracker, stills
        self._info = chain.info
        if target is not None:
            scoring.require_masked(target, self._info.encoder, self._info.masked)
            self._rows = scoring.target_rows(target)
        self._done: deque[FrameResult] = deque()

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """See `Executor`."""
        watch = Stopwatch()
        if self._stills:
            self._tracker.reset()
        plan = self._tracker.plan(frame.seconds)
        boxes = self._tracker.boxes
        if plan.detect:
            with watch.stage("detect"):
                detected = self._chain.detect(frame.image, plan.anchor)
            boxes = self._tracker.boxes_after_detection(detected)
        pose = None
        if boxes.any():
            with watch.stage("pose"):
                pose = self._chain.pose(frame.image, boxes, self._tracker.state, plan.seconds)
            self._tracker.update(frame.seconds, pose.next_boxes, pose.state)
        else:
            self._tracker.update(frame.seconds, boxes, np.zeros_like(self._tracker.state))
        encoded = None
        if pose is not None and self._target is not None:
            with watch.stage("encode"):
                encoded = self._chain.encode(pose.joints, self._rows)
        self._done.append(self._verdict(frame, boxes, pose, encoded, watch, wait_ms))

    def collect(self) -> FrameResult:
        """See `Executor`."""
        return self._done.popleft()

    def _verdict(
        self,
        frame: Frame,
        boxes: Floats,
        pose: PoseOutput | None,
        encoded: EncodeOutput | None,
        watch: Stopwatch,
        wait_ms: float,
    ) -> FrameResult:
        """Puts one frame's numbers together."""
        there = pose is not None and bool(boxes[0].any()) and bool(pose.next_boxes[0].any())
        status = NO_PERSON
        reason: str | None = "no person in view"
        score = distance = None
        deviation: dict[str, float | None] = {}
        missing: tuple[str, ...] = ()
        mirrored = False
        if there and pose is not None and encoded is not None and self._target is not None:
            visible = self._info.visible_confidence
            row = scoring.best_row(encoded, 0)
            mirrored = row == 1
            joints, counts = self._rows.joints[row], self._rows.counts[row]
            missing = scoring.missing_joints(pose.joints[0], counts, visible)
            deviation = scoring.deviation_degrees(pose.joints[0], joints, counts, visible)
            if scoring.enough_visible(missing, counts, self._info.masked):
                status, reason = SCORED, None
                score, distance = float(encoded.score[0, row]), float(encoded.distance[0, row])
            else:
                status, reason = JOINTS_MISSING, f"not visible: {', '.join(missing).replace('_', ' ')}"
        elif there:
            status, reason = JOINTS_MISSING, "no target"
        return FrameResult(
            frame=frame.index,
            seconds=frame.seconds,
            captured_ns=frame.captured_ns,
            status=status,
            reason=reason,
            score=score,
            distance=distance,
            box=boxes[0] if there else None,
            keypoints=pose.keypoints[0] if there and pose is not None else None,
            joints=pose.joints[0] if there and pose is not None else None,
            deviation_degrees=deviation,
            missing=missing,
            mirrored=mirrored,
            target=self._target.name if self._target else "",
            stages_ms={"wait": wait_ms} | {name: span.wall_ms for name, span in watch.spans.items()},
            stages_cpu_ms={name: span.cpu_ms for name, span in watch.spans.items()},
            people=self._everybody(boxes, pose, encoded),
        )

    def _everybody(
        self, boxes: Floats, pose: PoseOutput | None, encoded: EncodeOutput | None
    ) -> tuple[PersonResult, ...]:
        """All rows that hold a person, when more than one is looked for."""
        if pose is None or self._info.people == 1:
            return ()
        people = []
        for row in range(self._info.people):
            if not pose.next_boxes[row].any():
                continue
            score = None
            if encoded is not None:
                best = scoring.best_row(encoded, row)
                counts = self._rows.counts[best]
                missing = scoring.missing_joints(pose.joints[row], counts, self._info.visible_confidence)
                if scoring.enough_visible(missing, counts, self._info.masked):
                    score = float(encoded.score[row, best])
            people.append(PersonResult(row, boxes[row], pose.keypoints[row], pose.joints[row], score))
        return tuple(people)


def find_pose(chain: Chain, picture: Picture) -> Sequence[Floats]:
    """The joints float32 [15, 3] of everybody in one fitted picture uint8 [H, W, 3], the likeliest subject first."""
    people = chain.info.people
    boxes = chain.detect(picture, np.zeros(4, np.float32))
    pose = chain.pose(picture, boxes, np.zeros((people, 17, 4), np.float32), 0.0)
    return [joints for joints, box in zip(pose.joints, pose.next_boxes, strict=True) if box.any()]


def target_as_matched(target: Target, mirrored: bool) -> Floats:
    """The target's joints float32 [15, 3], mirrored inside its own picture if its mirror image was matched."""
    if not mirrored:
        return target.joints
    joints = mirror_joints(target.joints)
    joints[:, 0] += target.image_size[0]
    return joints
