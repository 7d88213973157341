"""Who to look at next: when to detect, whom to stay with, which row is whom. Knows no network and no picture."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

DETECT_EVERY_AUTO = 15
LEAST_TRACK_CONFIDENCE = 0.5
LEAST_ROW_IOU = 0.3
ANCHOR_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """What to do with one frame: whether to detect, the anchor float32 [4] to detect with, and the seconds passed."""

    detect: bool
    anchor: Floats
    seconds: float


class Tracker:
    """Follows up to K people from frame to frame by their own keypoints, and says when the detector has to look again.

    Row 0 is the person that is scored: they are kept for one second without being seen before another is chosen.

    Args:
        people: K.
        detect_every: frames from one detection to the next; None for automatic.
        smoothing: False gives the pose engine no past, which switches its filter off.
    """

    def __init__(self, people: int, *, detect_every: int | None = None, smoothing: bool = True) -> None:
        self.people = people
        self.detect_every = detect_every or DETECT_EVERY_AUTO
        self.smoothing = smoothing
        self.reset()

    def reset(self) -> None:
        """Forgets everybody."""
        self.state: Floats = np.zeros((self.people, 17, 4), np.float32)
        self.boxes: Floats = np.zeros((self.people, 5), np.float32)
        self._anchor: Floats = np.zeros(4, np.float32)
        self._anchor_seen = -np.inf
        self._matched = False
        self._last_seconds: float | None = None
        self._since_detection = self.detect_every

    def plan(self, seconds: float) -> Plan:
        """What to do with the frame at `seconds`."""
        passed = 0.0 if self._last_seconds is None else max(0.0, seconds - self._last_seconds)
        if seconds - self._anchor_seen > ANCHOR_SECONDS:
            self._anchor = np.zeros(4, np.float32)
        self._last_seconds = seconds
        due = self._since_detection + 1 >= self.detect_every
        return Plan(due or self.boxes[0, 4] < LEAST_TRACK_CONFIDENCE, self._anchor, passed)

    def boxes_after_detection(self, detected: Floats) -> Floats:
        """The boxes float32 [K, 5] to look into, from those the detector found with the planned anchor.

        Whom the detector misses is followed by their keypoints, for one second if those are unsure; the others keep
        their rows.
        """
        self._since_detection = -1
        boxes = np.zeros_like(self.boxes)
        followed = bool(self._anchor.any()) and bool(self.boxes[0].any())
        boxes[0] = self.boxes[0] if followed and not detected[0].any() else detected[0]
        self._matched = bool(detected[0].any())
        free = [row for row in detected[1:] if row.any()]
        for place in range(1, self.people):
            overlaps = [iou(row, self.boxes[place]) for row in free]
            if overlaps and max(overlaps) >= LEAST_ROW_IOU:
                boxes[place] = free.pop(int(np.argmax(overlaps)))
        for place in range(1, self.people):
            if free and not boxes[place].any():
                boxes[place] = free.pop(0)
        return boxes

    def update(self, seconds: float, next_boxes: Floats, state: Floats) -> None:
        """Takes what the pose engine said of the frame at `seconds`."""
        self.boxes = next_boxes
        self.state = state if self.smoothing else np.zeros_like(state)
        self._since_detection += 1
        if next_boxes[0].any():
            self._anchor = next_boxes[0, :4].copy()
            if self._matched or next_boxes[0, 4] >= LEAST_TRACK_CONFIDENCE:
                self._anchor_seen = seconds
        self._matched = False


def iou(first: Floats, second: Floats) -> float:
    """Intersection over union of two boxes float32 [4+]."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:4], second[2:4])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = (float(np.prod(np.clip(box[2:4] - box[:2], 0, None))) for box in (first, second))
    return shared / max(sum(areas) - shared, 1e-6)
