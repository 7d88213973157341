"""One run of the live loop: session row, loop, sinks, summary. Draws nothing and opens no engine itself."""

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines.execution import ChainInfo
from engines.geometry import fit_letterbox
from engines.options import posemirror_version
from realtime.executor import target_as_matched
from realtime.frames import Picture
from realtime.overlay import OverlayText, draw_overlay
from realtime.pipeline import Ledger, Pipeline, Shown
from realtime.pose import Target, target_object
from realtime.results import SCORED, FrameResult
from realtime.sinks import Recorder, ResultsFile, Window
from realtime.sources import Source
from realtime.statistics import Distribution

STAGES = ("wait", "detect", "pose", "encode")


@dataclass(frozen=True)
class Outputs:
    """Where results go; None for nowhere."""

    record: Path | None = None
    results: Path | None = None
    window: bool = False


class Statistics:
    """What the summary is made of, in bounded memory."""

    def __init__(self) -> None:
        self.scored = 0
        self.best: FrameResult | None = None
        self.age = Distribution()
        self.stages = {name: Distribution() for name in STAGES}

    def add(self, result: FrameResult) -> None:
        """Counts one result."""
        self.age.add(result.age_ms)
        for name in {**self.stages, **result.stages_ms}:
            self.stages.setdefault(name, Distribution()).add(result.stages_ms.get(name, 0.0))
        if result.status == SCORED:
            self.scored += 1
            if self.best is None or (result.score or 0) > (self.best.score or 0):
                self.best = result


def session_row(info: ChainInfo, source: Source, target: Target, smoothing: bool) -> dict[str, object]:
    """The results file's first row: all that scoring the rest again needs."""
    width, height = info.frame_size
    fit = fit_letterbox((source.size[1], source.size[0]), (height, width))
    encoder = info.manifests[f"encode_{info.encoder}"]
    return {
        "type": "session",
        "version": posemirror_version(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "backend": info.backend,
        "source": source.name,
        "source_size": list(source.size),
        "frame_size": [width, height],
        "fit": {"scale": fit.scale, "left": fit.left, "top": fit.top},
        "engines": {name: manifest.files[manifest.engine_file] for name, manifest in info.manifests.items()},
        "encoder": {"name": info.encoder, "weights_sha256": encoder.weights_sha256 or None},
        "targets": [target_object(target) | {"width": target.score_width}],
        "smoothing": smoothing,
    }


def summary_row(ledger: Ledger, statistics: Statistics) -> dict[str, object]:
    """The results file's last row."""
    return {
        "type": "summary",
        "captured": ledger.captured,
        "shown": ledger.shown,
        "dropped": ledger.dropped,
        "scored": statistics.scored,
        "age_ms": statistics.age.summary(),
        "stages_ms": {name: distribution.summary() for name, distribution in statistics.stages.items()},
    }


def latency_line(statistics: Statistics, ledger: Ledger) -> str:
    """Frame age and drops in one line."""
    age = statistics.age
    return f"age p50 {age.percentile(0.5):.0f} ms  p95 {age.percentile(0.95):.0f} ms  dropped {ledger.dropped}"


def run_session(
    pipeline: Pipeline,
    source: Source,
    info: ChainInfo,
    target: Target,
    outputs: Outputs,
    *,
    smoothing: bool,
    on_result: Callable[[FrameResult, Statistics], None],
) -> Statistics:
    """Runs the loop into its sinks until the source ends or the user leaves the window.

    The files are complete whatever ends the loop, an exception or a signal included; the summary row is the last.

    Args:
        pipeline: not yet running.
        source: the opened source of the pipeline.
        info: of the engines.
        target: what is scored.
        outputs: the sinks.
        smoothing: for the session row.
        on_result: told of every result, for a status line.
    """
    statistics = Statistics()
    width, height = info.frame_size
    with contextlib.ExitStack() as stack:
        results = stack.enter_context(ResultsFile(outputs.results)) if outputs.results else None
        recorder = (
            stack.enter_context(Recorder(outputs.record, (width, height), source.fps)) if outputs.record else None
        )
        window = stack.enter_context(Window("posemirror", (width, height))) if outputs.window else None
        if results:
            results.write_row(session_row(info, source, target, smoothing))
            stack.callback(lambda: results.write_row(summary_row(pipeline.ledger, statistics)))
        frames = stack.enter_context(contextlib.closing(pipeline.run()))
        for shown in frames:
            if shown.repeated:
                if window and not window.show(drawn(shown, target, info, latency_line(statistics, pipeline.ledger))):
                    break
                continue
            statistics.add(shown.result)
            if results:
                results.write(shown.result)
            if recorder or window:
                picture = drawn(shown, target, info, latency_line(statistics, pipeline.ledger))
                if recorder:
                    recorder.write(picture)
                if window and not window.show(picture):
                    window = None  # its user left; the frames still in flight go to the files
                    pipeline.stop()
            on_result(shown.result, statistics)
    return statistics


def drawn(shown: Shown, target: Target, info: ChainInfo, latency: str) -> Picture:
    """The frame as a person sees it."""
    joints = target_as_matched(target, shown.result.mirrored)
    text = OverlayText(target.name, latency)
    return draw_overlay(shown.image, shown.result, joints, text, info.visible_confidence)
