"""From one frame's numbers to its result: is somebody there, what is missing, what is the score. Runs no network."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engines.execution import ChainInfo, EncodeOutput, PoseOutput
from realtime import scoring
from realtime.frames import Frame
from realtime.pose import Target
from realtime.results import (
    HIDDEN,
    JOINTS_MISSING,
    NO_PERSON,
    NO_PERSON_REASON,
    SCORED,
    FrameResult,
    PersonResult,
)

Floats = npt.NDArray[np.float32]


class Judge:
    """Judges row 0 of every frame against a target.

    Args:
        info: of the engines.
        target: what row 0 is scored against; None to look only.
        scored: how many rows are scored; all when None.

    Raises:
        BadInputError: the encoder cannot leave out what the target ignores.
    """

    def __init__(self, info: ChainInfo, target: Target | None, scored: int | None = None) -> None:
        self._info, self._target = info, target
        self._scored = scored or info.people
        self.rows = None
        if target is not None:
            scoring.require_masked(target, info.encoder, info.masked)
            self.rows = scoring.target_rows(target)

    def verdict(
        self,
        frame: Frame,
        boxes: Floats,
        pose: PoseOutput | None,
        encoded: EncodeOutput | None,
        stages_ms: dict[str, float],
        ids: Sequence[int | None] | None = None,
        *,
        hidden: bool = False,
    ) -> FrameResult:
        """Puts one frame's numbers together; `pose` and `encoded` are None where they were not run.

        `ids` says who is in each row (the row itself when None); `hidden`, that the locked person is behind another.
        """
        ids = range(self._info.people) if ids is None else ids
        there = pose is not None and bool(boxes[0].any()) and bool(pose.next_boxes[0].any())
        status = NO_PERSON
        reason: str | None = HIDDEN if hidden else NO_PERSON_REASON
        score = distance = None
        deviation: dict[str, float | None] = {}
        missing: tuple[str, ...] = ()
        mirrored = False
        if there and pose is not None and encoded is not None and self.rows is not None:
            visible = self._info.visible_confidence
            row = scoring.best_row(encoded, 0)
            mirrored = row == 1
            joints, counts = self.rows.joints[row], self.rows.counts[row]
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
            stages_ms=stages_ms,
            people=self._everybody(boxes, pose, encoded, ids),
            person=ids[0] or 0,
        )

    def _everybody(
        self, boxes: Floats, pose: PoseOutput | None, encoded: EncodeOutput | None, ids: Sequence[int | None]
    ) -> tuple[PersonResult, ...]:
        """All rows that hold a person, when more than one is looked for."""
        if pose is None or self._scored == 1:
            return ()
        people = []
        for row, number in enumerate(ids[: self._scored]):
            if number is None or not boxes[row].any() or not pose.next_boxes[row].any():
                continue
            score = None
            if encoded is not None and self.rows is not None:
                best = scoring.best_row(encoded, row)
                counts = self.rows.counts[best]
                missing = scoring.missing_joints(pose.joints[row], counts, self._info.visible_confidence)
                if scoring.enough_visible(missing, counts, self._info.masked):
                    score = float(encoded.score[row, best])
            people.append(PersonResult(number, boxes[row], pose.keypoints[row], pose.joints[row], score))
        return tuple(people)
