"""What the networks' int8 forms save in the whole loop, and how far their results are from float32's, one run.

    python benchmarks/int8.py --clip realtime/demo_clip/roof.mp4 --target realtime/demo_clip/roof.json

The same frames, decoded and fitted beforehand, go through the loop (threads, tracking, scoring, results as JSON; no
drawing, no video) with each form in turn; the figure is the median ratio of CPU time of the process. Then the results:
px between joints that both forms see, and points between scores that both give.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.overhead import fitted_frames, loop_seconds
from engines.execution import CpuChain, read_chain
from engines.int8 import choose_int8, dot_product
from engines.weights_registry import SHIPPED_ENGINES
from realtime.live_options import DEFAULT_ENCODER
from realtime.opening import open_target
from realtime.results import FrameResult


def apart(one: list[FrameResult], other: list[FrameResult], visible: float) -> tuple[np.ndarray, np.ndarray]:
    """Px between joints that both see, and points between scores that both give."""
    joints, scores = [], []
    for a, b in zip(one, other, strict=True):
        if a.joints is not None and b.joints is not None:
            both = np.stack([a.joints, b.joints])
            seen = (both[..., 2] >= visible).all(0)
            joints.append(np.linalg.norm(both[0, seen, :2] - both[1, seen, :2], axis=-1))
        if a.score is not None and b.score is not None:
            scores.append(abs(a.score - b.score))
    return np.concatenate(joints), np.array(scores)


def main() -> None:
    """Prints three lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--engines", type=Path, default=SHIPPED_ENGINES)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--pairs", type=int, default=7)
    arguments = parser.parse_args()
    forms = choose_int8(arguments.engines, "on")[1]
    chains = [CpuChain(read_chain(arguments.engines, DEFAULT_ENCODER, int8=int8)) for int8 in (False, True)]
    target = open_target(arguments.target, chains[0], ignore=(), person=None)
    frames = fitted_frames(arguments.clip, chains[0].info.frame_size, arguments.frames)
    first = [loop_seconds(chain, target, frames)[1] for chain in chains]  # warm-up of both
    pairs = [[loop_seconds(chain, target, frames)[0] for chain in chains] for _ in range(arguments.pairs)]
    plain_ms, int8_ms = (statistics.median(pair[form] for pair in pairs) / len(frames) * 1e3 for form in (0, 1))
    ratios = sorted(int8 / plain for plain, int8 in pairs)
    print(f"{len(frames)} frames, {len(pairs)} pairs, {forms}, 8-bit dot product: {dot_product() or 'none known'}")
    print(
        f"float32 {plain_ms:.2f}, int8 {int8_ms:.2f} CPU-ms a frame; int8 / float32: "
        f"median {statistics.median(ratios):.3f} (least {ratios[0]:.3f}, most {ratios[-1]:.3f})"
    )
    joints, scores = apart(*first, chains[0].info.visible_confidence)
    places = "p50 {:.2f}, p95 {:.2f}, p99 {:.2f}".format(*np.percentile(joints, (50, 95, 99)))
    points = "p50 {:.2f}, p95 {:.2f}, most {:.2f}".format(*np.percentile(scores, (50, 95, 100)))
    seen = " and ".join(str(sum(result.score is not None for result in results)) for results in first)
    print(f"joints apart by px: {places}; scores of {seen} frames apart by points: {points}")


if __name__ == "__main__":
    main()
