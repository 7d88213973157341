"""Does the loop on a GPU say what the loop on a CPU says? On a fake GPU, with real networks; needs no GPU.

    python benchmarks/fake_gpu.py --engines DIR --clip CLIP [--frames 30] [--start 0]

The frames of a clip go through `CpuExecutor`, which detects in every frame, and through `CudaExecutor` on the tests'
fake GPU (`tests/fake_device.py`), which runs the same whole graphs in ONNX Runtime, two frames in flight, in any order
that its streams allow. Exit code 1 when a frame has a pose on one of the two alone. No time is measured.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.host_chain import frames_of
from engines.contract import contract
from engines.cuda_chain import CudaChain
from engines.execution import ChainInfo, CpuChain, read_chain
from realtime.cuda_executor import CudaExecutor, device_rows
from realtime.device_tracking import DeviceTracker
from realtime.executor import CpuExecutor, find_pose
from realtime.frames import Frame, Picture
from realtime.pose import Target
from realtime.results import FrameResult
from realtime.tracking import Tracker
from realtime.verdict import Judge
from tests.fake_device import FakeDevice, FakeEngine

FPS = 25


def on_cpu(info: ChainInfo, target: Target, pictures: Sequence[Picture]) -> Iterator[FrameResult]:
    """Each frame's result, engine after engine."""
    executor = CpuExecutor(CpuChain(info, sampling="graph", threads=1), target, Tracker(info.people, detect_every=1))
    for index, picture in enumerate(pictures):
        executor.submit(Frame(picture, index, index / FPS, 0), wait_ms=0)
        yield executor.collect()


def on_gpu(info: ChainInfo, target: Target, pictures: Sequence[Picture]) -> Iterator[tuple[FrameResult, bool]]:
    """Each frame's result from a fake GPU, two in flight, and whether it was followed where the detector missed it."""
    device = FakeDevice(seed=1)
    engines = {
        name.partition("_")[0]: FakeEngine(device, onnx.load(info.directory / one.engine_file), contract(one))
        for name, one in info.manifests.items()
    }
    judge, tracker = Judge(info, target), DeviceTracker(info.people)
    with CudaChain(info, device, engines, device_rows(judge)) as chain:
        executor = CudaExecutor(chain, judge, tracker, device.attach)
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


def apart(name: str, pairs: Sequence[tuple[FrameResult, FrameResult]]) -> float:
    """The largest difference of one of two results' arrays or numbers."""
    values = [(getattr(one, name), getattr(other, name)) for one, other in pairs]
    return max((float(np.abs(one - other).max()) for one, other in values if one is not None and other is not None),
               default=0.0)  # fmt: skip


def main() -> int:
    """Prints how many frames have a pose on either, and how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--encoder", default="graded")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--start", type=int, default=0)
    arguments = parser.parse_args()
    info = read_chain(arguments.engines, arguments.encoder)
    pictures = frames_of(arguments.clip, info.frame_size, arguments.start + arguments.frames)[arguments.start :]
    looks = (find_pose(CpuChain(info, threads=1), picture) for picture in pictures)
    poses = next((found for found in looks if found), None)
    if poses is None:
        sys.exit(f"nobody was found in {arguments.clip}")
    target = Target("first pose", info.frame_size, poses[0])
    cpu, gpu = list(on_cpu(info, target, pictures)), list(on_gpu(info, target, pictures))
    pairs = [(one, other) for one, (other, _) in zip(cpu, gpu, strict=True)]
    posed = [tuple(result.keypoints is not None for result in pair) for pair in pairs]
    alone = [index for index, (one, other) in enumerate(posed) if one != other]
    posed_on_cpu, posed_on_gpu = (sum(seen[side] for seen in posed) for side in (0, 1))
    print(f"{len(pairs)} frames: {posed_on_cpu} with a pose on the CPU, {posed_on_gpu} on the fake GPU, "
          f"{sum(followed for _, followed in gpu)} of them followed where the detector missed the person; "
          f"on one alone: {alone or 'none'}")  # fmt: skip
    both = [pair for pair, seen in zip(pairs, posed, strict=True) if all(seen)]
    print(f"largest differences: boxes {apart('box', both):.4f} px, keypoints {apart('keypoints', both):.4f} px, "
          f"scores {apart('score', both):.6f} points")  # fmt: skip
    return int(bool(alone))


if __name__ == "__main__":
    sys.exit(main())
