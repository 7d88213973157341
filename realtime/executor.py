"""One frame through the chain: detect, pose, encode, verdict. Knows no threads, files or windows.

An executor takes frames with `submit` and gives results with `collect`, in order, at most `depth` of them between. On a
CPU the work is done in `submit`, and `depth` is 1.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engines.bodies import same_skeleton
from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets
from realtime.frames import Frame, FrameBuffers, Picture
from realtime.people import Crowd
from realtime.pose import Target
from realtime.recognition import is_somebody
from realtime.results import Bystander, FrameResult
from realtime.tracking import Tracker
from realtime.verdict import Judge
from realtime.watchdog import Watchdog

Floats = npt.NDArray[np.float32]

MOMENT_AFTER = {"detect": "detected", "pose": "posed", "encode": "scored"}
"""Each engine's stage, and the moment of `realtime.results.MOMENTS` that it ends with."""


class Chain(Protocol):
    """The engines, as `engines.execution.CpuChain`."""

    info: ChainInfo

    def detect(self, frame: Picture, anchor: Floats) -> Floats:
        """Boxes float32 [D, 5], D at least 1; the ONNX engines of the build step give 8 whatever K is."""

    def pose(self, frame: Picture, boxes: Floats, state: Floats, seconds: float) -> PoseOutput:
        """Keypoints of the people in the boxes."""

    def encode(self, joints: Floats, targets: Targets) -> EncodeOutput:
        """Distances and scores to the targets."""


class Executor(Protocol):
    """Takes frames, gives results in the same order.

    Attributes:
        depth: how many frames may have been submitted and not collected.
        buffers: where frames must lie; None where any array will do.
        watchdog: knows when the work does not come back; None where it always does.
    """

    depth: int
    buffers: FrameBuffers | None
    watchdog: Watchdog | None

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """Begins a frame; `wait_ms` is the time it waited for its turn."""

    def collect(self) -> FrameResult:
        """The oldest frame's result; blocks until it is there."""


class Stopwatch:
    """Times of one frame's stages.

    Args:
        wait_ms: time since the frame was captured.
    """

    def __init__(self, wait_ms: float) -> None:
        self._began = time.perf_counter() - wait_ms / 1e3
        self.spans_ms = {"wait": wait_ms} | dict.fromkeys(MOMENT_AFTER, 0.0)
        self.moments_ms = {"submitted": wait_ms}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures its block as the stage `name`."""
        began = time.perf_counter()
        yield
        ended = time.perf_counter()
        self.spans_ms[name] = (ended - began) * 1e3
        self.moments_ms[MOMENT_AFTER[name]] = (ended - self._began) * 1e3


class CpuExecutor:
    """Runs a `Chain` frame by frame and scores row 0 against a target.

    Args:
        chain: the opened engines.
        target: what row 0 is scored against; None to look only.
        tracker: follows people from frame to frame.
        stills: every frame stands for itself.
        scored: how many people are scored; all that the engines hold when None.
    """

    depth = 1
    buffers: FrameBuffers | None = None
    watchdog: Watchdog | None = None

    def __init__(
        self, chain: Chain, target: Target | None, tracker: Tracker, *, stills: bool = False, scored: int | None = None
    ) -> None:
        self._chain, self._tracker, self._stills = chain, tracker, stills
        self._scored = scored or chain.info.people
        self._judge = Judge(chain.info, target, self._scored)
        self._wishes: deque[int | None] = deque()
        self._done: deque[FrameResult] = deque()
        self._next_judge: Judge | None = None

    def aim(self, target: Target) -> None:
        """Scores against another target from the next submitted frame on; may be called from any thread."""
        self._next_judge = Judge(self._chain.info, target, self._scored)

    def choose(self, person: int | None) -> None:
        """Scores another person from the next submitted frame on, or the next in view; any thread may call."""
        self._wishes.append(person)

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """See `Executor`."""
        if self._next_judge is not None:
            self._judge = self._next_judge
        watch = Stopwatch(wait_ms)
        if self._stills:
            self._tracker.reset()
        tracker = self._tracker
        while self._wishes:
            tracker.choose(self._wishes.popleft())
        plan = tracker.plan(frame.seconds)
        boxes = tracker.boxes
        if plan.detect:
            with watch.stage("detect"):
                detected = self._chain.detect(frame.image, plan.anchor)
            boxes = tracker.boxes_after_detection(detected, frame.image)
        pose = None
        if boxes.any():
            with watch.stage("pose"):
                pose = self._chain.pose(frame.image, boxes, tracker.state, plan.seconds)
                pose, boxes = tracker.update(frame.seconds, pose, boxes, frame.image)
                self._look_at_others(frame)
        else:
            tracker.nobody()
        encoded = None
        if pose is not None and self._judge.rows is not None:
            with watch.stage("encode"):
                encoded = self._chain.encode(pose.joints, self._judge.rows)
        verdict = self._judge.verdict(frame, boxes, pose, encoded, watch.spans_ms, tracker.rows, hidden=tracker.hidden)
        others = bystanders(tracker, self._scored)
        self._done.append(replace(verdict, moments_ms=watch.moments_ms, others=others))

    def _look_at_others(self, frame: Frame) -> None:
        """Now and then, the pose of one who has no row: they may raise a hand."""
        person = None if self._stills else self._tracker.to_look_at(frame.seconds)
        if person is None:
            return
        boxes = np.zeros((self._chain.info.people, 5), np.float32)
        boxes[0, :4], boxes[0, 4] = person.box, 1
        pose = self._chain.pose(frame.image, boxes, np.zeros_like(self._tracker.state), 0.0)
        person.joints, person.joints_at = pose.joints[0], frame.seconds

    def collect(self) -> FrameResult:
        """See `Executor`."""
        return self._done.popleft()


def find_pose(chain: Chain, picture: Picture) -> Sequence[Floats]:
    """The joints float32 [15, 3] of everybody in one fitted picture uint8 [H, W, 3], the likeliest subject first."""
    people, visible = chain.info.people, chain.info.visible_confidence
    boxes = chain.detect(picture, np.zeros(4, np.float32))
    found: list[tuple[Floats, Floats]] = []
    for first in range(0, len(boxes), people):
        some = np.zeros((people, 5), np.float32)
        some[: len(boxes[first : first + people])] = boxes[first : first + people]
        if not some.any():
            continue
        pose = chain.pose(picture, some, np.zeros((people, 17, 4), np.float32), 0.0)
        for box, keypoints, joints in zip(some, pose.keypoints, pose.joints, strict=True):
            if not box.any() or not is_somebody(box, keypoints, visible):
                continue
            if not any(same_skeleton(keypoints, other, visible) for other, _ in found):
                found.append((keypoints, joints))
    return [joints for _, joints in found]


class Rows(Protocol):
    """Who is known, and who has a row of the result: `Tracker` on a CPU, `DeviceTracker` on a GPU."""

    @property
    def crowd(self) -> Crowd:
        """Everybody who is known."""

    @property
    def rows(self) -> Sequence[int | None]:
        """The id of who is in each row."""


def bystanders(tracker: Rows, scored: int) -> tuple[Bystander, ...]:
    """Everybody in view who is not scored."""
    return tuple(
        Bystander(person.id, person.box, person.joints, person.joints_at)
        for person in tracker.crowd.people
        if person.id not in tracker.rows[:scored] and person.hidden_since is None
    )
