"""Videos in which every keypoint is one pixel of its own colour, and engines that read them."""

from pathlib import Path

import cv2
import numpy as np

from engines.execution import PoseOutput
from engines.skeleton import joints_from_keypoints
from realtime.frames import Picture
from tests.realtime.fakes import FRAME_SIZE, STANDING, FakeChain, bounds

COLOURS = np.array([(15 * number + 10, 250 - 15 * number, 100) for number in range(17)], np.uint8)
LEFT_ARM = (7, 9)
SHOULDER = 5


def painted(keypoints: np.ndarray) -> Picture:
    """The picture uint8 [180, 320, 3] of keypoints [17, 2]."""
    picture = np.zeros((FRAME_SIZE[1], FRAME_SIZE[0], 3), np.uint8)
    x, y = keypoints.round().astype(int).T
    picture[y, x] = COLOURS
    return picture


def arm_raised(degrees: float) -> np.ndarray:
    """Keypoints [17, 2] of a standing person whose left arm is turned about the shoulder."""
    keypoints = STANDING * (100, 150) + (100, 20)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    arm = list(LEFT_ARM)
    keypoints[arm] = (keypoints[arm] - keypoints[SHOULDER]) @ turn.T + keypoints[SHOULDER]
    return np.asarray(keypoints)


def write_frames(folder: Path, degrees: np.ndarray, first: int = 0) -> None:
    """One numbered PNG for each angle of the arm."""
    folder.mkdir(parents=True)
    for number, angle in enumerate(degrees, first):
        cv2.imwrite(str(folder / f"{number:05d}.png"), painted(arm_raised(angle)))


class PaintedChain(FakeChain):
    """Engines that find the painted keypoints; a picture without any shows nobody."""

    def __init__(self) -> None:
        super().__init__(detections=[((0, 0, *FRAME_SIZE, 0.9),)])

    def detect(self, frame: Picture, anchor: np.ndarray) -> np.ndarray:
        return super().detect(frame, anchor) * float(frame.any())

    def pose(self, frame: Picture, boxes: np.ndarray, state: np.ndarray, seconds: float) -> PoseOutput:
        self.calls.append("pose")
        keypoints = np.zeros((1, 17, 3), np.float32)
        y, x = np.nonzero(frame[..., 2])
        for place, colour in zip(zip(x, y, strict=True), frame[y, x], strict=True):
            keypoints[0, (colour == COLOURS).all(1).argmax()] = *place, 0.9
        next_state = np.concatenate([keypoints[..., :2], np.ones_like(keypoints[..., :2])], -1)
        return PoseOutput(keypoints, joints_from_keypoints(keypoints), bounds(keypoints[0])[None], next_state)
