"""Does the loop on a GPU say what the loop on a CPU says? On a fake GPU, with real networks; needs no GPU.

    python benchmarks/gpu_loop.py --engines DIR --clip CLIP [--frames 30] [--start 0] [--torch]

The frames of a clip go through `CpuExecutor` and through `CudaExecutor` on the fake GPU of the tests, which runs the
same whole graphs in ONNX Runtime, two frames in flight, in any order that its streams allow (`tests/fake_device.py`).
Exit code 1 when a frame has a pose on one of the two alone. No time is measured.

With `--torch` the other side is a real GPU, on which torch runs our own networks at float16 (`torch_engine.py`).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.host_chain import frames_of
from engines.cuda_chain import CudaChain
from engines.device_chain import DeviceChain
from engines.execution import ChainInfo, CpuChain, read_chain
from engines.exits import documented_exits
from engines.skeleton import VISIBLE_CONFIDENCE
from realtime.cuda_executor import CudaExecutor, device_rows
from realtime.device_tracking import DeviceTracker
from realtime.executor import CpuExecutor, Floats, find_pose
from realtime.frames import Frame, Picture
from realtime.pose import Target
from realtime.results import FrameResult
from realtime.tracking import Tracker
from realtime.verdict import Judge
from tests.fake_device import FakeDevice, engines_on

FPS = 25
UNITS = {"boxes": "px", "keypoints": "px", "scores": "points"}


def on_cpu(info: ChainInfo, target: Target, pictures: Sequence[Picture]) -> Iterator[FrameResult]:
    """Each frame's result, engine after engine."""
    executor = CpuExecutor(CpuChain(info, sampling="graph", threads=1), target, Tracker(info.people))
    for index, picture in enumerate(pictures):
        executor.submit(Frame(picture, index, index / FPS, 0), wait_ms=0)
        yield executor.collect()


def fake_chain(info: ChainInfo) -> DeviceChain:
    """The graphs of a folder of ONNX engines on a fake GPU."""
    device = FakeDevice(seed=1)
    return DeviceChain(info, device, engines_on(device, info))


def by_torch(info: ChainInfo) -> DeviceChain:
    """Our own networks on a real GPU; torch is imported only for them."""
    from benchmarks.torch_engine import open_torch

    return open_torch(info)


def on_gpu(opened: DeviceChain, target: Target, pictures: Sequence[Picture]) -> Iterator[tuple[FrameResult, bool]]:
    """Each frame's result from a GPU, two in flight, and whether it was followed where the detector missed it."""
    judge, tracker = Judge(opened.info, target), DeviceTracker(opened.info.people)
    with CudaChain(opened.info, opened.device, opened.engines, device_rows(judge)) as chain:
        executor = CudaExecutor(chain, judge, tracker, opened.device.attach)
        lent: list[Picture] = []
        for index, picture in enumerate([*pictures, None, None]):
            if len(lent) == executor.depth or (picture is None and lent):
                yield executor.collect(), tracker.followed is not None
                chain.frames.give_back(lent.pop(0))
            if picture is not None:
                buffer = chain.frames.take()
                assert buffer is not None
                buffer[:] = picture
                lent.append(buffer)
                executor.submit(Frame(buffer, index, index / FPS, 0), wait_ms=0)


@dataclass(frozen=True)
class Agreement:
    """Each frame's results from both loops.

    Args:
        pairs: from the CPU, from the GPU.
        followed: on how many frames the GPU followed somebody whom the detector missed.
    """

    pairs: Sequence[tuple[FrameResult, FrameResult]]
    followed: int

    @property
    def alone(self) -> list[int]:
        """The frames that have a pose on one of the two alone."""
        return [index for index, (one, other) in enumerate(self.pairs) if has_pose(one) != has_pose(other)]

    def apart(self) -> dict[str, Floats]:
        """How far the two are from each other where both have a pose: sides of boxes, visible keypoints, scores."""
        both = [pair for pair in self.pairs if all(map(has_pose, pair))]
        boxes, keypoints, scores = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
        for one, other in both:
            boxes.append(np.abs(one.box - other.box)[:4])
            sure = one.keypoints[:, 2] >= VISIBLE_CONFIDENCE
            keypoints.append(np.linalg.norm((one.keypoints - other.keypoints)[sure, :2], axis=-1))
            if one.score is not None and other.score is not None:
                scores.append(np.abs([one.score - other.score]))
        return {name: np.concatenate(values) for name, values in zip(UNITS, (boxes, keypoints, scores), strict=True)}


def has_pose(result: FrameResult) -> bool:
    """Whether somebody was found in a frame."""
    return result.keypoints is not None


def first_pose(info: ChainInfo, pictures: Sequence[Picture]) -> Target | None:
    """The first person in the pictures as a target; None where nobody is in them."""
    chain = CpuChain(info, threads=1)
    looks = (find_pose(chain, picture) for picture in pictures)
    poses = next((found for found in looks if found), None)
    return None if poses is None else Target("first pose", info.frame_size, poses[0])


def compared(opened: DeviceChain, info: ChainInfo, target: Target, pictures: Sequence[Picture]) -> Agreement:
    """The pictures through both loops; `info` is of the ONNX engines for the CPU."""
    cpu, gpu = on_cpu(info, target, pictures), list(on_gpu(opened, target, pictures))
    pairs = [(one, other) for one, (other, _) in zip(cpu, gpu, strict=True)]
    return Agreement(pairs, sum(followed for _, followed in gpu))


@documented_exits()
def main() -> int:
    """Prints how many frames have a pose on either, and how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--encoder", default="graded")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--torch", action="store_true", help="a real GPU with our own networks, for the fake one")
    arguments = parser.parse_args()
    info = read_chain(arguments.engines, arguments.encoder)
    pictures = frames_of(arguments.clip, info.frame_size, arguments.start + arguments.frames)[arguments.start :]
    target = first_pose(info, pictures)
    if target is None:
        sys.exit(f"nobody was found in {arguments.clip}")
    with by_torch(info) if arguments.torch else fake_chain(info) as opened:
        agreement = compared(opened, info, target, pictures)
        name = opened.device.name if arguments.torch else "the fake GPU"
    posed = [sum(has_pose(pair[side]) for pair in agreement.pairs) for side in (0, 1)]
    print(f"{len(agreement.pairs)} frames: {posed[0]} with a pose on the CPU, {posed[1]} on {name}, "
          f"{agreement.followed} of them followed where the detector missed the person; "
          f"on one alone: {agreement.alone or 'none'}")  # fmt: skip
    for what, values in agreement.apart().items():
        if len(values):
            print(f"{what} differ by {np.median(values):.4f} {UNITS[what]} (median), at most {values.max():.4f}")
    return int(bool(agreement.alone))


if __name__ == "__main__":
    sys.exit(main())
