"""How cost grows: with people (1 to 8), with the frame (640x360 to 3840x2160), with targets (1 to 1,000).

    python benchmarks/scale.py --build '--detector yolov5nu --pose hrnet_w32 --trust-weights' --out runs/scale

Engines are built for each number of people and each frame size (they are fixed in a graph) by build_engines.py with
the options of --build, and kept under --cache. Figures: CPU-ms a call of each engine (time.process_time, all threads),
from the call to its return, pre- and post-processing inside; median of --calls calls after 3 of warm-up. The sizes take
turns, so that other work on the machine falls on all alike. Writes OUT.md and OUT.png.
"""

import argparse
import datetime
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import build_engines
from engines.execution import CpuChain, Targets, read_chain
from engines.host_sampling import letterbox
from engines.whole_files import write_whole
from realtime.demo import CLIP

PEOPLE = (1, 2, 3, 4, 6, 8)
SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
TARGETS = (1, 3, 10, 30, 100, 300, 1000)
USUAL = (1280, 720)
WARM_UP = 3
ENCODER = "graded"


def engines_for(arguments: argparse.Namespace, people: int, size: tuple[int, int]) -> CpuChain:
    """Engines of a number of people and a frame size, built when they are not there."""
    folder = arguments.cache / f"{people}_{size[0]}x{size[1]}"
    if not (folder / f"encode_{ENCODER}.json").exists():
        words = [*shlex.split(arguments.build), "--backend", "onnx", "--people", str(people)]
        code = build_engines.main([*words, "--frame-size", f"{size[0]}x{size[1]}", "--out", str(folder)])
        if code:
            raise SystemExit(code)
    return CpuChain(read_chain(folder, ENCODER))


def calls_of(chain: CpuChain, picture: np.ndarray) -> dict[str, Callable[[], object]]:
    """A call of each engine on one picture, with as many people as it has rows."""
    width, height = chain.info.frame_size
    people = chain.info.people
    frame = letterbox(picture, (height, width), grey=0)
    boxes = np.array(
        [[0.05 + 0.1 * row, 0.2, 0.2 + 0.1 * row, 0.95, 0.9] for row in range(people)], np.float32
    ) * np.array([width, height, width, height, 1], np.float32)
    state = np.zeros((people, 17, 4), np.float32)
    joints = chain.pose(frame, boxes, state, 0.03).joints
    one = targets(1)
    return {
        "detect": lambda: chain.detect(frame, np.zeros(4, np.float32)),
        "pose": lambda: chain.pose(frame, boxes, state, 0.03),
        "encode": lambda: chain.encode(joints, one),
    }


def targets(count: int) -> Targets:
    """Random targets."""
    joints = np.random.default_rng(1).random((count, 15, 3)).astype(np.float32) * 300
    joints[..., 2] = 0.9
    return Targets(joints, np.ones((count, 15), np.float32), np.full(count, 0.3, np.float32))


def medians(calls: dict[object, Callable[[], object]], rounds: int) -> dict[object, float]:
    """CPU-ms of each call; they take turns."""
    times: dict[object, list[float]] = {name: [] for name in calls}
    for number in range(WARM_UP + rounds):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if number >= WARM_UP:
                times[name].append((time.process_time() - began) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def grown(cases: dict[object, CpuChain], picture: np.ndarray, rounds: int) -> dict[str, dict[object, float]]:
    """Engine -> case -> CPU-ms."""
    calls = {(engine, case): call for case, chain in cases.items() for engine, call in calls_of(chain, picture).items()}
    found = medians(calls, rounds)
    return {engine: {case: found[(engine, case)] for case in cases} for engine in ("detect", "pose", "encode")}


def markdown(name: str, results: dict[str, dict[object, float]]) -> list[str]:
    """One table: a column a case."""
    cases = list(next(iter(results.values())))
    titles = [f"{case[0]}x{case[1]}" if isinstance(case, tuple) else str(case) for case in cases]
    lines = ["", f"| {name} | {' | '.join(titles)} |", f"| --- |{' --- |' * len(cases)}"]
    return lines + [
        f"| {engine} | {' | '.join(f'{values[case]:.2f}' for case in cases)} |" for engine, values in results.items()
    ]


def plot(panels: list[tuple[str, dict[str, dict[object, float]]]], path: Path) -> None:
    """Three panels: cost over people, megapixels, targets."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4))
    for axis, (title, results) in zip(axes, panels, strict=True):
        for engine, values in results.items():
            x = [case[0] * case[1] / 1e6 if isinstance(case, tuple) else case for case in values]
            axis.plot(x, list(values.values()), "o-", label=engine)
        axis.set_xlabel(title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    axes[2].set_xscale("log")
    axes[0].set_ylabel("CPU-ms a call")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    """Writes the tables and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="options of build_engines.py that choose the networks")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "posemirror" / "scale")
    parser.add_argument("--out", type=Path, required=True, help="stem of the .md and .png to write")
    arguments = parser.parse_args()
    picture = cv2.VideoCapture(str(arguments.clip)).read()[1]
    by_people = grown({count: engines_for(arguments, count, USUAL) for count in PEOPLE}, picture, arguments.calls)
    by_size = grown({size: engines_for(arguments, 1, size) for size in SIZES}, picture, arguments.calls)
    chain = engines_for(arguments, 1, USUAL)
    joints = targets(1).joints
    rows = {count: targets(count) for count in TARGETS}
    encodes = {count: (lambda given=given: chain.encode(joints, given)) for count, given in rows.items()}
    by_targets = {"encode": medians(encodes, arguments.calls)}
    described = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in described if "model name" in line), "an unknown processor")
    text = [
        f"# How cost grows, {datetime.date.today().isoformat()}",
        "",
        f"`python benchmarks/scale.py --build '{arguments.build}' --calls {arguments.calls}` on {os.cpu_count()} cores "
        f"of {processor}, {platform.system()} {platform.release()}, load {os.getloadavg()[2]:.1f} from other work. "
        "CPU-ms a call, all threads; start and stop: the head of benchmarks/scale.py.",
        *markdown("people, at 1280x720", by_people),
        *markdown("frame, one person", by_size),
        *markdown("targets, one person", by_targets),
        "",
        f"![Cost over people, megapixels and targets]({arguments.out.with_suffix('.png').name})",
        "",
    ]
    write_whole(arguments.out.with_suffix(".md"), "\n".join(text))
    plot(
        [("people", by_people), ("megapixels of the frame", by_size), ("targets", by_targets)],
        arguments.out.with_suffix(".png"),
    )
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
