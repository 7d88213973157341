"""From one frame's numbers to its result: is somebody there, what is missing, what is the score. Runs no network."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets
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


@dataclass(frozen=True)
class Judgement:
    """What the numbers of one person say; fields as in `FrameResult`."""

    status: str
    reason: str | None
    score: float | None = None
    distance: float | None = None
    missing: tuple[str, ...] = ()
    deviation_degrees: dict[str, float | None] = field(default_factory=dict)
    mirrored: bool = False


def judged(
    joints: Floats, encoded: EncodeOutput, row: int, targets: Targets, visible_confidence: float, *, masked: bool
) -> Judgement:
    """Judges one person against the target or its mirror image, whichever is nearer.

    Args:
        joints: float32 [15, 3] px.
        encoded: of a batch of people.
        row: the person's in that batch.
        targets: what they were compared with.
        visible_confidence: the least confidence of a visible joint.
        masked: whether the encoder leaves out joints that are not visible.
    """
    best = scoring.best_row(encoded, row)
    counts = targets.counts[best]
    missing = scoring.missing_joints(joints, counts, visible_confidence)
    deviation = scoring.deviation_degrees(joints, targets.joints[best], counts, visible_confidence)
    if not scoring.enough_visible(missing, counts, masked):
        reason = f"not visible: {', '.join(missing).replace('_', ' ')}"
        return Judgement(JOINTS_MISSING, reason, None, None, missing, deviation, best == 1)
    score, distance = float(encoded.score[row, best]), float(encoded.distance[row, best])
    return Judgement(SCORED, None, score, distance, missing, deviation, best == 1)


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
        if there:
            judgement = self._judged(0, pose, encoded) or Judgement(JOINTS_MISSING, "no target")
        else:
            judgement = Judgement(NO_PERSON, HIDDEN if hidden else NO_PERSON_REASON)
        return FrameResult(
            frame=frame.index,
            seconds=frame.seconds,
            captured_ns=frame.captured_ns,
            **vars(judgement),
            box=boxes[0] if there else None,
            keypoints=pose.keypoints[0] if there and pose is not None else None,
            joints=pose.joints[0] if there and pose is not None else None,
            target=self._target.name if self._target else "",
            stages_ms=stages_ms,
            people=self._everybody(boxes, pose, encoded, ids),
            person=ids[0],
        )

    def _judged(self, row: int, pose: PoseOutput | None, encoded: EncodeOutput | None) -> Judgement | None:
        """What there is to say of a row; None where nothing is to be compared."""
        if pose is None or encoded is None or self.rows is None:
            return None
        visible, masked = self._info.visible_confidence, self._info.masked
        return judged(pose.joints[row], encoded, row, self.rows, visible, masked=masked)

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
            judgement = self._judged(row, pose, encoded)
            score = judgement.score if judgement else None
            people.append(PersonResult(number, boxes[row], pose.keypoints[row], pose.joints[row], score))
        return tuple(people)
