"""CPU time of the overlay: one frame with skeleton, ghost, arrows, words, hold ring and latency line.

    python benchmarks/overlay.py [--size 1280x720] [--frames 300]

Prints CPU-ms a frame (process_time, all threads), for the whole of the station's view and drawing. 1 when above --most.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.skeleton import KEYPOINTS, joints_from_keypoints
from realtime.demo import TARGET
from realtime.overlay import draw_overlay
from realtime.pose import read_target
from realtime.results import SCORED, FrameResult
from realtime.routine import single
from realtime.scoring import deviation_degrees
from realtime.station import Station

FPS = 30


def moving_result(target, size: tuple[int, int], index: int) -> FrameResult:
    """Somebody who fills the picture and whose limbs swing about the target."""
    width, height = size
    low, high = target.joints[:, :2].min(0), target.joints[:, :2].max(0)
    joints = target.joints.copy()
    joints[:, :2] = (joints[:, :2] - (low + high) / 2) * (0.8 * height / float(high[1] - low[1])) + (
        width / 2,
        height / 2,
    )
    joints[:, :2] += 0.04 * height * np.sin(index / 9 + np.arange(15))[:, None]
    joints[:, 2] = 0.9
    deviation = deviation_degrees(joints, target.joints, target.counts, 0.3)
    score = 60 + 15 * float(np.sin(index / 20))
    box = np.array([*joints[:, :2].min(0), *joints[:, :2].max(0), 0.9], np.float32)
    keypoints = np.zeros((len(KEYPOINTS), 3), np.float32)
    assert joints_from_keypoints(keypoints).shape == joints.shape
    return FrameResult(
        index, index / FPS, 0, SCORED, None, score, 0.2, box, keypoints, joints, deviation, (), False, target.name, {}
    )


def main() -> int:
    """Prints the table of views; 1 when one costs more than allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--most", type=float, default=4.0, help="CPU-ms a frame that are allowed")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    target = read_target(TARGET)
    image = np.random.default_rng(1).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    image = cv2.resize(image, (width, height))
    worst = 0.0
    for name, keys, mirror in (
        ("moves", "", False),
        ("moves, mirrored", "", True),
        ("with latency line and help", "lh", False),
    ):
        station = Station(single(target), (width, height), 0.3, mirror=mirror)
        for key in keys:
            station.press(ord(key))
        times = []
        for index in range(arguments.frames):
            result = moving_result(target, (width, height), index)
            started = time.process_time()
            result = station.take(result, image)
            joints, view = station.view(result, "age p50 41 ms  p95 48 ms  30.0 fps  dropped 0")
            draw_overlay(image, replace(result), joints, view, 0.3)
            times.append((time.process_time() - started) * 1e3)
        mean, high = statistics.mean(times[10:]), sorted(times[10:])[int(0.95 * len(times[10:]))]
        worst = max(worst, mean)
        print(f"{width}x{height} {name}: {mean:.2f} CPU-ms a frame (p95 {high:.2f})")
    return int(worst > arguments.most)


if __name__ == "__main__":
    sys.exit(main())
