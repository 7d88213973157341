"""Latency and throughput of the chain on a GPU, with ratios that need no absolute clock. Needs a GPU.

    python benchmarks/gpu_latency.py --engines engines/built --clip CLIP [--graphs DIR]

Starts: `submit` of a frame that already lies in pinned memory; stops: `collect` has returned its numbers. Device times
come from events around the work on its stream. Decoding, drawing and writing are not in it. Repeats take turns, so that
a drift of the clocks meets all variants alike; figures are medians over the repeats.

With `--graphs DIR` (the same networks as ONNX graphs of the same precision) it also measures what the graphs take off
the host: the bare networks are cut out of them, compiled, and run with OpenCV and NumPy around them (`host_chain.py`).

With `--torch` torch runs the networks of `--detector` and `--pose` (`torch_engine.py`), where there is no TensorRT:
what the chain adds to its engines is the same, the engines' own times are not TensorRT's. Pre- and post-processing on
the host then stand beside networks that are launched kernel by kernel, so those figures compare little.

With TensorRT it HAS NEVER RUN (docs/gpu.md). `make test` runs it on a fake GPU.
"""

import argparse
import contextlib
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.host_chain import NETWORK_INPUT, OUTPUTS, HostChain, Run, bare_network, frames_of
from engines.cuda_chain import DEPTH, CudaChain
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE
from engines.device import Device, Engine
from engines.device_chain import DeviceChain, bound
from engines.errors import BadInputError, EngineError, in_command
from engines.execution import ChainInfo, Targets, read_chain
from engines.exits import documented_exits
from engines.gpu import GpuState, find_gpu
from engines.tensorrt_build import BuildSettings, build_engine, import_tensorrt, parse_compute_capability
from engines.tensorrt_engine import TensorRtEngine, engine_tensors, open_tensorrt, read_engine
from engines.weights_registry import OWN_WEIGHTS
from engines.whole_files import write_whole

VARIANTS = {
    "in turn, graph": {"schedule": IN_TURN, "graphs": True},
    "in turn, enqueue": {"schedule": IN_TURN, "graphs": False},
    "side by side, graph": {"schedule": SIDE_BY_SIDE, "graphs": True},
}
SECONDS_BETWEEN_FRAMES = 1 / 30
WARM_UP = 50


def alone_ms(chain: DeviceChain, name: str, targets: int, count: int, frame: np.ndarray) -> float:
    """Device time of one engine alone, as a graph where it can be one; median of `count` runs on a frame.

    The frame has just gone up, as in the chain. Somebody is in its middle, and nobody was there before: other numbers
    are zeros.
    """
    device, engine = chain.device, chain.engines[name]
    stream = device.stream(urgent=True)
    memory = {tensor: device.memory(one.nbytes(targets)) for tensor, one in engine.tensors.items()}
    given = {tensor: device.host_memory(one.nbytes(targets)) for tensor, one in engine.tensors.items()}
    height, width = frame.shape[:2]
    middle = np.float32([width * 0.4, height * 0.1, width * 0.6, height * 0.9, 0.9])
    for tensor, values in (("frame", frame), ("boxes", middle)):
        if tensor in given and engine.tensors[tensor].is_input:
            given[tensor].array(values.shape, values.dtype)[:] = values

    def send() -> None:
        for tensor, one in engine.tensors.items():
            if one.is_input:
                device.copy(memory[tensor], given[tensor], stream)

    context = engine.context(memory, targets)
    began, ended = device.event(timed=True), device.event(timed=True)
    times = []
    send()
    context.enqueue(stream)
    stream.sync()
    graph = device.capture(context.enqueue) if context.capturable(stream) else None
    for _ in range(WARM_UP + count):
        send()
        stream.record(began)
        if graph is None:
            context.enqueue(stream)
        else:
            graph.launch(stream)
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


def on_gpu(chain: DeviceChain, graphs: Path, gpu: GpuState, closing: contextlib.ExitStack) -> Run:
    """The bare networks of `graphs`, compiled as the engines of the chain were.

    Raises:
        EngineError: other networks or another precision.
    """
    info = read_chain(graphs, chain.info.encoder)
    require_same(chain.info, info)
    trt, own = import_tensorrt(chain.info.backend), chain.info.backend == "tensorrt"
    capability = None if own else parse_compute_capability(gpu.compute_capability)
    engines: dict[str, Engine] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in OUTPUTS:
            path = Path(scratch) / f"{name}.onnx"
            onnx.save_model(bare_network(info, name), path)
            content = build_engine(path, trt, compute_capability=capability, settings=BuildSettings()).plan
            runtime, engine = read_engine(content, path, trt, gpu, [])
            engines[name] = TensorRtEngine(runtime, engine, engine_tensors(engine, trt), trt, chain.device)
            closing.callback(engines[name].close)
    return as_run(chain.device, engines, closing)


def by_torch(chain: DeviceChain, detector: Path, pose: Path, closing: contextlib.ExitStack) -> Run:
    """The bare networks of two files, run by torch at float16 as in `torch_engine.open_torch`."""
    from benchmarks.torch_engine import bare_engines

    return as_run(chain.device, bare_engines(chain.info, detector, pose), closing)


def as_run(device: Device, engines: Mapping[str, Engine], closing: contextlib.ExitStack) -> Run:
    """Bare networks on a device as functions of their pictures."""
    stream = device.stream(urgent=True)
    runs = {name: bound(device, engine, 1, stream, closing) for name, engine in engines.items()}

    def run(name: str, image: np.ndarray) -> list[np.ndarray]:
        values = runs[name](**{NETWORK_INPUT: image})
        return [values[output] for output in OUTPUTS[name]]

    return run


def require_same(info: ChainInfo, graphs: ChainInfo) -> None:
    """Refuses graphs of other networks, or of another precision, than the engines."""
    for name in OUTPUTS:
        for what in ("network", "weights_sha256", "precision", "frame_size", "people"):
            one, two = (getattr(some.manifests[name], what) for some in (info, graphs))
            if one != two:
                raise EngineError(
                    f"--graphs has {name} with {what} {two}, --engines {one}",
                    "both must hold the same networks at the same precision and size",
                    f"run build_engines.py --backend onnx --precision {info.manifests[name].precision} "
                    f"--out {in_command(graphs.directory)}",
                )


def host_around(
    chain: DeviceChain, run: Run, frames: list[np.ndarray], targets: Targets, count: int
) -> dict[str, float]:
    """All but the networks on the host, frame after frame; the encoder is the same engine on both sides."""
    host = HostChain(chain.info, run)
    whole_ms, cpu = [], 0.0
    for index in range(WARM_UP + count):
        cpu = time.thread_time() if index == WARM_UP else cpu
        started = time.perf_counter()
        joints = host.joints(frames[index % len(frames)], chain.info.visible_confidence)[2]
        chain.encode(joints, targets)
        whole_ms.append((time.perf_counter() - started) * 1e3)
    kept = sorted(whole_ms[WARM_UP:])
    return {
        "latency_ms_p50": statistics.median(kept),
        "latency_ms_p95": kept[int(0.95 * (len(kept) - 1))],
        "frames_a_second": 1e3 * count / sum(kept),
        "host_cpu_ms": (time.thread_time() - cpu) / count * 1e3,
    }


def measured(
    chain: DeviceChain,
    frames: list[np.ndarray],
    targets: Targets,
    count: int,
    run: Run | None = None,
    repeats: int = 1,
) -> dict[str, object]:
    """All figures; `run` has the bare networks for the ablation."""
    names = ("detect", "pose", "encode")
    engines = {name: alone_ms(chain, name, len(targets.width), count, frames[0]) for name in names}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    used: dict[str, bool] = {}
    around: list[dict[str, float]] = []
    for repeat in range(repeats):
        print(f"{repeat} of {repeats} repeats done", file=sys.stderr, flush=True)
        if run is not None:
            around.append(host_around(chain, run, frames, targets, count))
        for name, how in VARIANTS.items():
            with CudaChain(chain.info, chain.device, chain.engines, targets, **how) as running:
                used[name] = running.uses_graphs
                runs[name].append(one_at_a_time(running, frames, count) | two_in_flight(running, frames, count))
    median: Callable[[str, str], float] = lambda name, key: statistics.median(one[key] for one in runs[name])  # noqa: E731
    variants = {name: {key: median(name, key) for key in runs[name][0]} | {"graph": used[name]} for name in VARIANTS}
    in_turn, beside = variants["in turn, graph"], variants["side by side, graph"]
    figures: dict[str, object] = {
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
    }
    if around:
        outside = {key: statistics.median(one[key] for one in around) for key in around[0]}
        figures["pre- and post-processing on the host"] = outside
        figures["on the host / in the graphs"] = {key: outside[key] / in_turn[key] for key in outside}
    return figures


def report(
    arguments: argparse.Namespace, chain: DeviceChain, gpu: GpuState, closing: contextlib.ExitStack
) -> dict[str, object]:
    """The figures, and what they were measured on."""
    frames = frames_of(arguments.clip, chain.info.frame_size, 120)
    if not frames:
        raise BadInputError(f"{arguments.clip} holds no video", "a clip is needed", "give another --clip")
    count = arguments.targets
    targets = Targets(
        np.ones((count, 15, 3), np.float32), np.ones((count, 15), np.float32), np.full(count, 0.3, np.float32)
    )
    run = on_gpu(chain, arguments.graphs, gpu, closing) if arguments.graphs else None
    if arguments.torch:
        run = by_torch(chain, arguments.detector, arguments.pose, closing)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpu": gpu.name,
        "driver": gpu.driver,
        "host": platform.processor() or platform.machine(),
        "backend": "torch" if arguments.torch else chain.info.backend,
        "engines": {name: one.network for name, one in chain.info.manifests.items()}
        | ({"detect": arguments.detector.stem, "pose": arguments.pose.stem} if arguments.torch else {}),
    } | measured(chain, frames, targets, arguments.frames, run, arguments.repeats)


def opened(arguments: argparse.Namespace, info: ChainInfo, gpu: GpuState) -> tuple[DeviceChain, list[str]]:
    """The engines, and warnings."""
    if not arguments.torch:
        return open_tensorrt(info, gpu)
    try:
        from benchmarks.torch_engine import open_torch
    except ImportError as error:
        raise EngineError(str(error), "--torch needs the build extra", "run pip install .[build]") from error
    for path in (arguments.detector, arguments.pose):
        if path.suffix not in (".safetensors", ".pth"):
            raise BadInputError(f"{path} is a {path.suffix} file", ".safetensors and .pth are read", "give another")
    return open_torch(info, arguments.detector, arguments.pose), []


@documented_exits()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--graphs", type=Path, help="the same networks as ONNX graphs, for host pre- and post-processing")
    way.add_argument("--torch", action="store_true", help="run by torch: of --engines all but the networks is taken")
    parser.add_argument("--detector", type=Path, default=OWN_WEIGHTS["detector"], help="with --torch")
    parser.add_argument("--pose", type=Path, default=OWN_WEIGHTS["pose"], help="with --torch")
    parser.add_argument("--encoder", default="graded")
    parser.add_argument("--targets", type=int, default=1)
    parser.add_argument("--frames", type=int, default=300, help="a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    gpu = find_gpu()
    if gpu.reason:
        print(f"This benchmark needs a GPU, and {gpu.reason}. Nothing was measured.")
        return 4
    chain, warnings = opened(arguments, read_chain(arguments.engines, arguments.encoder), gpu)
    with chain, contextlib.ExitStack() as closing:
        figures = report(arguments, chain, gpu, closing)
        figures["warnings"] = warnings + [f"no graph: {reason}" for reason in chain.device.not_captured]
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.out:
        write_whole(arguments.out, text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
