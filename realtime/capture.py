"""A target taken from the person in view, after a countdown. Knows no window; time is a parameter."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import BadInputError
from realtime.pose import target_from_joints, write_target
from realtime.results import NO_PERSON, STALE, FrameResult

COUNTDOWN_SECONDS = 5.0
NOTICE_SECONDS = 3.0


@dataclass
class Capture:
    """Counts down while a whole person is in view, then writes their pose.

    Args:
        path: the file to write.
        frame_size: width and height px of the fitted frame.
        visible_confidence: the least confidence of a visible joint.
        ignore: joints that do not count.
        required: a file that cannot be written is an error; else it is only told of, and the session goes on.
    """

    path: Path
    frame_size: tuple[int, int]
    visible_confidence: float
    ignore: Sequence[str] = ()
    required: bool = True
    left: float = COUNTDOWN_SECONDS
    written: bool = False
    ended_at: float | None = None
    _outcome: str = ""
    _seconds: float | None = None

    def update(self, result: FrameResult) -> str:
        """Takes one frame; gives what to show: seconds left, why it does not count down, or how it ended.

        Raises:
            BadInputError: the file is required and cannot be written.
        """
        passed = 0.0 if self._seconds is None else min(max(result.seconds - self._seconds, 0.0), 1.0)
        self._seconds = result.seconds
        if self.ended_at is not None:
            return self._outcome
        joints = result.joints
        if joints is None or result.status in (NO_PERSON, STALE):
            self.left = COUNTDOWN_SECONDS
            return "Step into view"
        name = self.path.stem.replace("_", " ")
        try:
            target = target_from_joints(
                joints, self.frame_size, name, "the picture", ignore=self.ignore,
                visible_confidence=self.visible_confidence,
            )  # fmt: skip
        except BadInputError as error:
            self.left = COUNTDOWN_SECONDS
            unseen = error.seen.removeprefix("the picture lacks ").replace("_", " ").split(", ")
            return f"Out of view: {', '.join(unseen[:2])}" if "lacks" in error.seen else "Step into view"
        self.left -= passed
        if self.left > 0:
            return str(math.ceil(self.left))
        self._outcome, self.written, self.ended_at = "Captured", True, result.seconds
        try:
            write_target(target, self.path)
        except BadInputError as error:
            if self.required:
                raise
            self._outcome, self.written = f"Not captured: {error.seen.replace(str(self.path), self.path.name)}", False
        return self._outcome

    def over(self, seconds: float) -> bool:
        """Whether the notice of how it ended has been shown long enough."""
        return self.ended_at is not None and seconds - self.ended_at >= NOTICE_SECONDS


def free_name(folder: Path) -> Path:
    """The first of captured_1.json, captured_2.json, ... that is not there yet."""
    number = 1
    while os.path.exists(folder / f"captured_{number}.json"):  # noqa: PTH110 (False too where nothing can be read)
        number += 1
    return folder / f"captured_{number}.json"
