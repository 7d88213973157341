"""What the chain on a GPU costs the host, with engines that only copy, so that no TensorRT is needed. Needs a GPU.

    python benchmarks/gpu_host.py [--frames 5000]

Starts: `submit` of a frame that already lies in pinned memory; stops: `collect` has returned its numbers; two frames in
flight, one after the other without a pause. `submit` is the CPU time of that call alone; the CPU time of a frame, of
all threads, includes waiting in `collect`, which the driver may do awake. Real engines add their own time on the GPU,
and in plain enqueueing their launches; a CUDA graph stays one launch.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.cuda_chain import DEPTH, CudaChain
from engines.cuda_device import CudaDevice
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE
from engines.gpu import find_gpu
from tests.gpu.test_device import copying_chain

WARM_UP = 500


def costs(chain: CudaChain, frames: int) -> tuple[float, float, float]:
    """CPU ms of `submit`, CPU ms and wall ms of a frame: the first a median, the others means."""
    submits, buffers = [], []
    for index in range(WARM_UP + frames):
        if index == WARM_UP:
            cpu, wall = time.process_time(), time.perf_counter()
        if chain.in_flight == DEPTH:
            chain.collect()
            chain.frames.give_back(buffers.pop(0))
        buffers.append(chain.frames.take())
        began = time.thread_time()
        chain.submit(buffers[-1], seconds=0.03, detect=index % 15 == 0)
        submits.append(time.thread_time() - began)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    while chain.in_flight:
        chain.collect()
        chain.frames.give_back(buffers.pop(0))
    return 1e3 * float(np.median(submits[WARM_UP:])), 1e3 * cpu / frames, 1e3 * wall / frames


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    arguments = parser.parse_args()
    gpu = find_gpu()
    if gpu.reason:
        sys.exit(f"error: needs a CUDA device: {gpu.reason}")
    table = Table(
        "schedule", "submit, CPU ms", "frame, CPU ms", "frame, wall ms", title=f"{gpu.name}, engines that copy"
    )
    for schedule in (IN_TURN, SIDE_BY_SIDE):
        for graphs in (True, False):
            with CudaDevice() as device, copying_chain(device, schedule, graphs=graphs) as chain:
                cells = [f"{value:.3f}" for value in costs(chain, arguments.frames)]
            table.add_row(f"{schedule.name}, {'graph' if graphs else 'enqueue'}", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
