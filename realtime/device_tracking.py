"""Whom to stay with when the frames follow each other on a GPU, and the host hears of each up to two frames late.

On the device every frame takes the last one's `next_boxes[0]` as its anchor. That is all that is needed while the
person is seen. Here is the rest: what the host says when they are not, for one second, and which of the frames that ran
meanwhile without a good anchor are about them. Knows no GPU.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime.tracking import ANCHOR_SECONDS, LEAST_TRACK_CONFIDENCE, iou

Floats = npt.NDArray[np.float32]

LEAST_ANCHOR_IOU = 0.2
"""As in the detector's graph."""


@dataclass(frozen=True)
class DevicePlan:
    """What a frame is submitted with: see `engines.cuda_chain.CudaChain.submit`."""

    seconds: float
    detect: bool
    override: Floats | None


class DeviceTracker:
    """Keeps the scored person while anchors pass from frame to frame on the device.

    Args:
        people: K.
        detect_every: frames from one detection to the next; every frame by default.
        stills: every frame stands for itself.
    """

    def __init__(self, people: int, *, detect_every: int | None = None, stills: bool = False) -> None:
        self._people, self._detect_every, self._stills = people, detect_every or 1, stills
        self._anchor: Floats | None = None
        self._anchor_seen = 0.0
        self._sure = False
        self._lost = False
        self._last_seconds: float | None = None
        self._until_detection = 0

    def plan(self, seconds: float) -> DevicePlan:
        """How to submit the frame at `seconds`."""
        passed = 0.0 if self._last_seconds is None or self._stills else max(0.0, seconds - self._last_seconds)
        self._last_seconds = seconds
        override = None
        if self._stills:
            override = np.zeros((self._people, 5), np.float32)
        elif self._anchor is not None and seconds - self._anchor_seen > ANCHOR_SECONDS:
            self._anchor, self._lost = None, False
            override = np.zeros((self._people, 5), np.float32)
        elif self._anchor is not None and self._lost:
            override = np.zeros((self._people, 5), np.float32)
            override[0, :4], override[0, 4] = self._anchor, 1
        detect = override is not None or not self._sure or self._until_detection <= 0
        self._until_detection = self._detect_every - 1 if detect else self._until_detection - 1
        return DevicePlan(passed, detect, override)

    def accept(self, seconds: float, boxes: Floats, next_boxes: Floats) -> bool:
        """Takes the result of the frame at `seconds`, in order; False when row 0 is not the person to stay with.

        Args:
            seconds: of the frame.
            boxes: float32 [K, 5], where the frame's people were looked for.
            next_boxes: float32 [K, 5], where they were found.
        """
        self._sure = bool(next_boxes[0, 4] >= LEAST_TRACK_CONFIDENCE)
        if self._stills:
            return True
        there = bool(boxes[0].any()) and bool(next_boxes[0].any())
        same = there and (self._anchor is None or iou(boxes[0], self._anchor) >= LEAST_ANCHOR_IOU)
        if same:
            self._anchor, self._anchor_seen = next_boxes[0, :4].copy(), seconds
        self._lost = self._anchor is not None and not same
        return same or not there
