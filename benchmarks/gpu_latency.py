"""Latency and throughput of the chain on a GPU, with ratios that need no absolute clock. Needs a GPU.

    python benchmarks/gpu_latency.py --engines engines/built --clip CLIP

Starts: `submit` of a frame that already lies in pinned memory; stops: `collect` has returned its numbers. Device times
come from events around the work on its stream. Decoding, drawing and writing are not in it. Repeats take turns, so that
a drift of the clocks meets all variants alike; figures are medians over the repeats.

HAS NEVER RUN: no GPU was at hand when it was written.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.cuda_chain import DEPTH, CudaChain
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE
from engines.device_chain import DeviceChain
from engines.errors import PosemirrorError
from engines.execution import Targets, read_chain
from engines.gpu import find_gpu
from engines.host_sampling import crop, letterbox
from engines.tensorrt_engine import open_tensorrt

VARIANTS = {
    "in turn, graph": {"schedule": IN_TURN, "graphs": True},
    "in turn, enqueue": {"schedule": IN_TURN, "graphs": False},
    "side by side, graph": {"schedule": SIDE_BY_SIDE, "graphs": True},
}
SECONDS_BETWEEN_FRAMES = 1 / 30
WARM_UP, REPEATS = 50, 5


def frames_of(clip: Path, size: tuple[int, int], count: int) -> list[np.ndarray]:
    width, height = size
    video, frames = cv2.VideoCapture(str(clip)), []
    while len(frames) < count and (image := video.read()[1]) is not None:
        frames.append(letterbox(image, (height, width), grey=0))
    return frames


def alone_ms(chain: DeviceChain, name: str, targets: int, count: int) -> float:
    """Device time of one engine alone, on whatever its memory holds; median of `count` runs."""
    device, engine = chain.device, chain.engines[name]
    stream = device.stream(urgent=True)
    memory = {tensor: device.memory(one.nbytes(targets)) for tensor, one in engine.tensors.items()}
    zeros = {tensor: device.host_memory(one.nbytes(targets)) for tensor, one in engine.tensors.items()}
    for tensor in memory:
        device.copy(memory[tensor], zeros[tensor], stream)
    context = engine.context(memory, targets)
    began, ended = device.event(timed=True), device.event(timed=True)
    times = []
    for _ in range(WARM_UP + count):
        stream.record(began)
        context.enqueue(stream)
        stream.record(ended)
        ended.sync()
        times.append(ended.milliseconds_since(began))
    context.close()
    return statistics.median(times[WARM_UP:])


def one_at_a_time(chain: CudaChain, frames: list[np.ndarray], count: int) -> dict[str, float]:
    """Latency: each frame alone in the chain."""
    buffer = chain.frames.take()
    device_ms, whole_ms = [], []
    for index in range(WARM_UP + count):
        buffer[:] = frames[index % len(frames)]
        started = time.perf_counter()
        chain.submit(buffer, seconds=SECONDS_BETWEEN_FRAMES)
        output = chain.collect()
        whole_ms.append((time.perf_counter() - started) * 1e3)
        device_ms.append(output.device_ms)
    chain.frames.give_back(buffer)
    kept = sorted(whole_ms[WARM_UP:])
    return {
        "chain_device_ms": statistics.median(device_ms[WARM_UP:]),
        "latency_ms_p50": statistics.median(kept),
        "latency_ms_p95": kept[int(0.95 * (len(kept) - 1))],
    }


def two_in_flight(chain: CudaChain, frames: list[np.ndarray], count: int) -> dict[str, float]:
    """Throughput with uploads hidden behind the frame before, and the host's CPU time a frame."""
    buffers = [chain.frames.take() for _ in range(DEPTH + 1)]
    for buffer, frame in zip(buffers, frames, strict=False):
        buffer[:] = frame
    started, cpu = 0.0, 0.0
    for index in range(WARM_UP + count):
        if index == WARM_UP:
            while chain.in_flight:
                chain.collect()
            started, cpu = time.perf_counter(), time.thread_time()
        if chain.in_flight == DEPTH:
            chain.collect()
        chain.submit(buffers[index % len(buffers)], seconds=SECONDS_BETWEEN_FRAMES)
    while chain.in_flight:
        chain.collect()
    seconds, cpu_seconds = time.perf_counter() - started, time.thread_time() - cpu
    for buffer in buffers:
        chain.frames.give_back(buffer)
    return {"frames_a_second": count / seconds, "host_cpu_ms": cpu_seconds / count * 1e3}


def host_sampling_ms(chain: DeviceChain, frames: list[np.ndarray], count: int) -> float:
    """What OpenCV takes for both networks' pictures, on the host, a frame: the part that the graphs take over."""
    width, height = chain.info.manifests["detect"].image_size
    boxes = np.array([[400, 100, 800, 700, 1.0]] * chain.info.people, np.float32)
    times = []
    for index in range(count):
        frame = frames[index % len(frames)]
        started = time.perf_counter()
        letterbox(frame, (height, width), exact=True)
        crop(frame, boxes)
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def measured(chain: DeviceChain, frames: list[np.ndarray], targets: Targets, count: int) -> dict[str, object]:
    names = ("detect", "pose", "encode")
    engines = {name: alone_ms(chain, name, len(targets.width), count) for name in names}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    used: dict[str, bool] = {}
    for _ in range(REPEATS):
        for name, how in VARIANTS.items():
            with CudaChain(chain.info, chain.device, chain.engines, targets, **how) as running:
                used[name] = running.uses_graphs
                runs[name].append(one_at_a_time(running, frames, count) | two_in_flight(running, frames, count))
    median: Callable[[str, str], float] = lambda name, key: statistics.median(one[key] for one in runs[name])  # noqa: E731
    variants = {name: {key: median(name, key) for key in runs[name][0]} | {"graph": used[name]} for name in VARIANTS}
    in_turn, beside = variants["in turn, graph"], variants["side by side, graph"]
    return {
        "engines_alone_device_ms": engines,
        "variants": variants,
        "ratios": {
            "chain / sum of engines (goal: at most 1.10)": in_turn["chain_device_ms"] / sum(engines.values()),
            "throughput x chain time, in turn (goal: at least 0.95)": in_turn["frames_a_second"]
            * in_turn["chain_device_ms"]
            / 1e3,
            "throughput x slowest stage, side by side (goal: at least 0.85)": beside["frames_a_second"]
            * max(engines.values())
            / 1e3,
        },
        "host pictures with OpenCV, ms a frame (not on the host when in the graphs)": host_sampling_ms(
            chain, frames, count
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--encoder", default="graded")
    parser.add_argument("--targets", type=int, default=1)
    parser.add_argument("--frames", type=int, default=300, help="a repeat")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    gpu = find_gpu()
    if gpu.reason:
        print(f"This benchmark needs a GPU, and {gpu.reason}. Nothing was measured.")
        return 4
    try:
        chain, warnings = open_tensorrt(read_chain(arguments.engines, arguments.encoder), gpu)
    except PosemirrorError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    frames = frames_of(arguments.clip, chain.info.frame_size, 120)
    if not frames:
        print(f"error: {arguments.clip} holds no video; a clip is needed; give --clip", file=sys.stderr)
        return 2
    count = arguments.targets
    targets = Targets(
        np.ones((count, 15, 3), np.float32), np.ones((count, 15), np.float32), np.full(count, 0.3, np.float32)
    )
    try:
        figures = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "gpu": gpu.name,
            "driver": gpu.driver,
            "host": platform.processor() or platform.machine(),
            "backend": chain.info.backend,
            "warnings": warnings,
            "engines": {name: one.network for name, one in chain.info.manifests.items()},
        } | measured(chain, frames, targets, arguments.frames)
    finally:
        chain.close()
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
