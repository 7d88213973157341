"""What a measured run is: warm-up, frames counted, figures, limits. Knows no engine, window or file.

Every figure has a start and a stop, said in `EXPLAINED`; nothing is derived from a rate.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.table import Table

from engines.errors import EXIT_LIMIT_PASSED, BadInputError, PosemirrorError
from realtime.results import FrameResult
from realtime.statistics import Distribution, Statistics

WARM_UP = 30
DEFAULT_FRAMES = 300
QUANTILES = ("p50", "p90", "p95", "p99", "max")

EXPLAINED = {
    "age": "frame age at display: from the capture (a file: due or read) until the window has the picture; "
    "with no window, until it is drawn for the recording; with neither, until the sinks have the result",
    "wait": "from the capture until the engines begin with the frame",
    "detect": "inside the detect engine, its pre- and post-processing included; 0 in frames without a detection",
    "pose": "inside the pose engine, its pre- and post-processing included",
    "encode": "inside the encode engine",
    "gpu": "from the upload's end until the results are back (detect, pose and encode in one launch)",
    "deliver": "from the last engine's end until the main thread has the result",
    "draw": "the overlay, in the main thread",
    "show": "from the drawn picture until the window has taken it",
    "cpu_ms": "CPU time of the whole process, all threads (time.process_time), a frame shown: from the delivery of the "
    "last warm-up frame to that of the last counted one",
    "dropped_percent": "frames given up, of all captured while counting",
    "duplicates_percent": "pictures that the source gave twice, of all shown",
}


class LimitPassedError(PosemirrorError):
    """A figure is above its `--fail-over` limit. Exit code 1."""

    exit_code = EXIT_LIMIT_PASSED


@dataclass
class Benchmark:
    """Counts the frames after the warm-up.

    Args:
        frames: how many to count.
        warm_up: how many before them.
        cpu_seconds: CPU time of the process so far; a fake one in tests.
    """

    frames: int = DEFAULT_FRAMES
    warm_up: int = WARM_UP
    cpu_seconds: Callable[[], float] = time.process_time
    statistics: Statistics = field(default_factory=Statistics)
    _seen: int = 0
    _dropped: int = 0
    _began: float = 0.0
    _ended: float = 0.0

    def take(self, result: FrameResult) -> bool:
        """Counts a delivered frame; True once all are counted."""
        self._seen += 1
        if self._seen == self.warm_up:
            self._began = self.cpu_seconds()
        if self.warm_up < self._seen <= self.warm_up + self.frames:
            self.statistics.add(with_display_stages(result))
            self._dropped += result.dropped_before
            self._ended = self.cpu_seconds()
        return self._seen >= self.warm_up + self.frames

    @property
    def counted(self) -> int:
        """Frames counted so far."""
        return self.statistics.age.count

    def figures(self) -> dict[str, float]:
        """Every figure by the name that `--fail-over` knows: `p95_ms` of the age, `pose_p95_ms` of a stage, ...

        Raises:
            BadInputError: the source ended in the warm-up.
        """
        if not self.counted:
            raise BadInputError(
                f"the source gave {self._seen} frames",
                f"--benchmark needs more than its {self.warm_up} frames of warm-up",
                "give a video file, which is played again and again",
            )
        named: dict[str, Distribution] = {"": self.statistics.age} | {
            f"{name}_": distribution for name, distribution in self.statistics.stages.items()
        }
        figures = {
            f"{name}{quantile}_ms": value
            for name, distribution in named.items()
            for quantile, value in distribution.summary().items()
        }
        return figures | {
            "cpu_ms": round((self._ended - self._began) / self.counted * 1e3, 3),
            "dropped_percent": round(100 * self._dropped / (self._dropped + self.counted), 3),
            "duplicates_percent": round(100 * self.statistics.duplicates / self.counted, 3),
        }

    def table(self) -> Table:
        """Percentiles of the age and of every stage, and the other figures."""
        figures = self.figures()
        others = ", ".join(
            f"{name} {figures[name]:.2f}" for name in ("cpu_ms", "dropped_percent", "duplicates_percent")
        )
        table = Table("ms", *QUANTILES, title=f"{self.counted} frames after {self.warm_up} of warm-up\n{others}")
        for name in ("", *(f"{stage}_" for stage in self.statistics.stages)):
            table.add_row(name.rstrip("_") or "age", *(f"{figures[f'{name}{one}_ms']:.1f}" for one in QUANTILES))
        return table

    def explained(self) -> str:
        """Where each figure starts and stops, a line each."""
        names = ("age", *self.statistics.stages, "cpu_ms", "dropped_percent", "duplicates_percent")
        return "\n".join(f"{name}: {EXPLAINED[name]}" for name in names if name in EXPLAINED)


def with_display_stages(result: FrameResult) -> FrameResult:
    """The result with the stages after the engines, from its moments."""
    moments = result.moments_ms
    stages = dict(result.stages_ms)
    computed = [moments[name] for name in ("submitted", "detected", "posed", "scored") if name in moments]
    if "gpu" not in stages and computed and "delivered" in moments:
        stages["deliver"] = moments["delivered"] - max(computed)
    for stage, begins, ends in (("draw", "delivered", "drawn"), ("show", "drawn", "shown")):
        if begins in moments and ends in moments:
            stages[stage] = moments[ends] - moments[begins]
    return replace(result, stages_ms=stages)


def limit(text: str) -> tuple[str, float]:
    """`p95_ms=60` as name and value; the name is checked when the figures are known.

    Raises:
        ValueError: it has not that form.
    """
    name, _, value = text.partition("=")
    if not name or not float(value) >= 0:
        raise ValueError(text)
    return name, float(value)


LIMIT_STAGES = ("wait", "detect", "pose", "encode", "gpu", "deliver", "draw", "show")
"""Every stage that a run may have, by the names that `--fail-over` takes."""
LIMIT_NAMES = (
    *(f"{quantile}_ms" for quantile in QUANTILES), "cpu_ms", "dropped_percent", "duplicates_percent",
    *(f"{stage}_{quantile}_ms" for stage in LIMIT_STAGES for quantile in QUANTILES),
)  # fmt: skip
"""What `--fail-over` may name."""


def require_known(limits: Sequence[tuple[str, float]]) -> None:
    """Refuses a limit on what is no figure, before anything is run."""
    unknown = [name for name, _ in limits if name not in LIMIT_NAMES]
    if unknown:
        raise BadInputError(
            f"--fail-over names {unknown[0]}",
            "p50_ms, p90_ms, p95_ms, p99_ms, max_ms, cpu_ms, dropped_percent, duplicates_percent are allowed, or "
            f"{', '.join(LIMIT_STAGES)} before _p50_ms and so on",
            "give --fail-over p95_ms=60",
        )


def require_within(figures: Mapping[str, float], limits: Sequence[tuple[str, float]]) -> None:
    """Refuses figures above their limits.

    Raises:
        LimitPassedError: naming each.
        BadInputError: a limit is on a stage that this run had not.
    """
    absent = [name for name, _ in limits if name not in figures]
    if absent:
        raise BadInputError(
            f"--fail-over names {absent[0]}", "this run had no such stage", "leave it out, or record or open a window"
        )
    passed = [(name, most) for name, most in limits if figures[name] > most]
    if passed:
        raise LimitPassedError(
            ", ".join(f"{name} is {figures[name]:g}" for name, _ in passed),
            f"--fail-over allows {', '.join(f'{name}={most:g}' for name, most in passed)}",
            "look at the table above for the stage that takes the time",
        )
