"""A long run of the live loop: memory, open files, threads and frame age must not grow.

    python benchmarks/soak.py --minutes 60 [--fps 10] [--window] --out runs/soak

A clip is played again and again as a camera would, at a steady rate (`--frames N` instead: as fast as the loop takes
them), through the whole of the live loop: engines, scoring, station, results file, and with `--window` the overlay on a
screen. Every 10 s of media time (60 times at least) the process itself is looked at:

- memory_mb: resident memory (/proc/self/statm); files: open file handles; threads; all of this process.
- age_ms: median frame age at display since the last look. Starts: the picture is due; stops: the window, or without one
  the sinks, have it.

The first tenth is warm-up and counts in nothing. Slopes are Theil-Sen with a 95 % interval (benchmarks/trend.py).
Writes OUT.json and OUT.png; Ctrl-C ends it early, and the report is of what was seen until then. Exit code 1 when
memory grows by 0.2 MB/min or more, age by 0.05 ms/min or more, or files or threads have grown. Linux only.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.trend import trend
from engines.whole_files import write_whole
from realtime.demo import CLIP, TARGET
from realtime.displays import Outputs
from realtime.frames import MonotonicClock
from realtime.looped import LoopedSource
from realtime.opening import engines_folder, open_chain, open_target, opened_executor
from realtime.pipeline import Pipeline
from realtime.results import FrameResult
from realtime.session import run_session
from realtime.sources import open_source
from realtime.statistics import Statistics

LIMITS = {"memory_mb": 0.2, "age_ms": 0.05}
UNITS = {"memory_mb": "MB", "age_ms": "ms", "files": "handles", "threads": "threads"}
WARM_UP = 0.1
LOOK_SECONDS = 10.0
LEAST_LOOKS = 60
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Look:
    """What the process held at one moment; `minutes` of media time."""

    minutes: float
    memory_mb: float
    files: int
    threads: int
    age_ms: float
    dropped: int


class Observer:
    """Looks at the process every `every` seconds of media time."""

    def __init__(self, every: float) -> None:
        self._every, self._next = every, every
        self._ages: list[float] = []
        self._dropped = 0
        self.looks: list[Look] = []

    def take(self, result: FrameResult) -> None:
        """Counts one result."""
        self._ages.append(result.age_ms)
        self._dropped += result.dropped_before
        if result.seconds < self._next:
            return
        self._next = result.seconds + self._every
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files, threads = (len(os.listdir(f"/proc/self/{kind}")) for kind in ("fd", "task"))  # noqa: PTH208
        age = statistics.median(self._ages)
        self.looks.append(Look(result.seconds / 60, pages * PAGE / 1e6, files, threads, age, self._dropped))
        self._ages, self._dropped = [], 0


def soak(arguments: argparse.Namespace) -> tuple[list[Look], dict[str, object]]:
    """Runs the loop; gives the looks and what was run."""
    clock = MonotonicClock()
    chain, backend = open_chain(engines_folder(arguments.engines), arguments.encoder, "auto")
    target = open_target(arguments.target, chain, ignore=(), person=None)

    def reopen():
        return open_source(str(arguments.clip), clock, pace=False, reconnect_seconds=1)

    paced = arguments.frames is None
    with contextlib.ExitStack() as stack:
        rate = (arguments.fps or reopen().fps) if paced else None
        source = stack.enter_context(contextlib.closing(LoopedSource(reopen, clock, rate=rate)))
        frames = arguments.frames or round(arguments.minutes * 60 * source.fps)
        media_seconds = frames / source.fps
        executor = stack.enter_context(opened_executor(chain, target, stills=False, detect_every=None, smoothing=True))
        width, height = chain.info.frame_size
        pipeline = Pipeline(source, executor, (height, width), clock)
        observer = Observer(min(LOOK_SECONDS, media_seconds / LEAST_LOOKS))
        began, began_cpu = time.monotonic(), time.process_time()
        kept = Statistics()

        def on_result(result: FrameResult, so_far: Statistics) -> None:
            nonlocal kept
            kept = so_far
            observer.take(result)
            if result.seconds >= media_seconds:
                pipeline.stop()

        outputs = Outputs(results=arguments.out.with_suffix(".jsonl"), window=arguments.window)
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: what was seen until then is reported
            run_session(pipeline, source, chain.info, target, outputs, smoothing=True, on_result=on_result)
    ledger = pipeline.ledger
    ran = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "load_15_minutes": os.getloadavg()[2],
        "engines": str(arguments.engines or "default"),
        "backend": backend,
        "clip": Path(arguments.clip).name,
        "frames_a_second": source.fps if paced else None,
        "window": arguments.window,
        "wall_minutes": (time.monotonic() - began) / 60,
        "cpu_ms_a_frame": (time.process_time() - began_cpu) / max(ledger.shown, 1) * 1e3,
        "shown": ledger.shown,
        "dropped": ledger.dropped,
        "age_ms": kept.age.summary(),
    }
    return observer.looks, ran


def judged(looks: list[Look]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Trends after the warm-up, and what grew."""
    kept = [look for look in looks if look.minutes >= WARM_UP * looks[-1].minutes]
    minutes = [look.minutes for look in kept]
    trends = {name: trend(minutes, [getattr(look, name) for look in kept]) for name in UNITS}
    grown = [
        f"{name} grows by {trends[name].slope:.3f} a minute" for name in LIMITS if trends[name].slope >= LIMITS[name]
    ]
    grown += [
        f"{name} grew from {trends[name].first:g} to {trends[name].last:g}"
        for name in ("files", "threads")
        if trends[name].last > trends[name].first
    ]
    return {name: asdict(one) for name, one in trends.items()}, grown


def plot(looks: list[Look], trends: dict[str, dict[str, float]], ran: dict[str, object], path: Path) -> None:
    """Four series over time, with their slopes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, figsize=(9, 9), sharex=True, height_ratios=(3, 3, 1, 1))
    minutes = [look.minutes for look in looks]
    for axis, (name, one) in zip(axes, trends.items(), strict=True):
        axis.plot(minutes, [getattr(look, name) for look in looks], ".-", color="#2a8fc7", markersize=3, linewidth=0.8)
        axis.axvspan(0, WARM_UP * minutes[-1], color="#88888833", linewidth=0)
        said = f"{one['slope']:+.4f} {UNITS[name]}/min (95 %: {one['low']:+.4f} to {one['high']:+.4f})"
        axis.set_title(f"{name.split('_')[0]}: {said}", loc="left", fontsize=10)
        axis.set_ylabel(UNITS[name])
        axis.grid(alpha=0.3)
        axis.margins(y=0.25)
    axes[-1].set_xlabel("minutes of media time; grey: warm-up, not counted")
    figure.suptitle(f"Soak, {ran['date']}: {ran['shown']} frames shown, {ran['dropped']} dropped", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = options.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of wall time, paced as a camera")
    length.add_argument("--frames", type=int, help="as fast as the loop takes them")
    options.add_argument("--clip", type=Path, default=CLIP)
    options.add_argument("--target", type=Path, default=TARGET)
    options.add_argument("--engines", help="as run_live.py's")
    options.add_argument("--encoder", default="graded")
    options.add_argument("--fps", type=float, help="default: the clip's own")
    options.add_argument("--window", action="store_true", help="also draw, and show on DISPLAY")
    options.add_argument("--out", type=Path, required=True, help="stem of the .json, .png and .jsonl to write")
    return options


def main(argv: list[str] | None = None) -> int:
    """Runs the soak; 1 when something grew."""
    arguments = parser().parse_args(argv)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started deaf to it
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    looks, ran = soak(arguments)
    trends, grown = judged(looks)
    report = ran | {"trends_a_minute": trends, "grown": grown, "looks": [asdict(look) for look in looks]}
    write_whole(arguments.out.with_suffix(".json"), json.dumps(report, indent=1) + "\n")
    plot(looks, trends, ran, arguments.out.with_suffix(".png"))
    for name, one in trends.items():
        print(
            f"{name}: {one['slope']:+.4f} {UNITS[name]}/min (95 %: {one['low']:+.4f} to {one['high']:+.4f}), "
            f"{one['first']:.1f} at the start, {one['last']:.1f} at the end"
        )
    print("; ".join(grown) if grown else "nothing grew")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
