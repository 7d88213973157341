"""One run of the live loop: session row, loop, sinks, summary. Draws nothing and opens no engine itself."""

import contextlib
import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engines.execution import ChainInfo
from engines.geometry import fit_letterbox
from engines.options import posemirror_version
from realtime.brush import POOR
from realtime.coach import LATE, brightness, hint_for
from realtime.frames import Picture
from realtime.gauges import draw_banner, hint_lines
from realtime.overlay import REFERENCE_SIZE, View, draw_overlay
from realtime.pipeline import Ledger, Pipeline, late
from realtime.pose import Target, target_object
from realtime.results import SCORED, STALE, FrameResult
from realtime.routine import Routine, single
from realtime.signals import held_signals
from realtime.sinks import QUIT_KEYS, Recorder, ResultsFile, Window
from realtime.sources import LiveSource, Source
from realtime.station import Station
from realtime.statistics import Distribution
from realtime.web.hub import Hub
from realtime.web.words import page_words

STAGES = ("wait", "detect", "pose", "encode")


@dataclass(frozen=True)
class Outputs:
    """Where results go; None for nowhere."""

    record: Path | None = None
    results: Path | None = None
    window: bool = False
    hub: Hub | None = None


class Statistics:
    """What the summary is made of, in bounded memory."""

    def __init__(self) -> None:
        self.scored = 0
        self.duplicates = 0
        self.best: FrameResult | None = None
        self.age = Distribution()
        self.stages = {name: Distribution() for name in STAGES}

    def add(self, result: FrameResult) -> None:
        """Counts one result."""
        self.age.add(result.age_ms)
        self.duplicates += result.duplicate
        for name in {**self.stages, **result.stages_ms}:
            self.stages.setdefault(name, Distribution()).add(result.stages_ms.get(name, 0.0))
        if result.status == SCORED:
            self.scored += 1
            if self.best is None or (result.score or 0) > (self.best.score or 0):
                self.best = result


def session_row(
    info: ChainInfo, source: Source, target: Target, smoothing: bool, routine: Routine | None = None
) -> dict[str, object]:
    """The results file's first row: all that scoring the rest again needs."""
    width, height = info.frame_size
    fit = fit_letterbox((source.size[1], source.size[0]), (height, width))
    targets = routine.targets if routine else (target,)
    encoder = info.manifests[f"encode_{info.encoder}"]
    return {
        "type": "session",
        "version": posemirror_version(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "backend": info.backend,
        "source": source.name,
        "source_size": list(source.size),
        "capture_clock": source.capture_clock,
        "frame_size": [width, height],
        "fit": {"scale": fit.scale, "left": fit.left, "top": fit.top},
        "engines": {name: manifest.files[manifest.engine_file] for name, manifest in info.manifests.items()},
        "encoder": {"name": info.encoder, "weights_sha256": encoder.weights_sha256 or None},
        "targets": [target_object(one) | {"width": one.score_width} for one in targets],
        "smoothing": smoothing,
    } | optional_fields(source, routine)


def optional_fields(source: Source, routine: Routine | None) -> dict[str, object]:
    """What a camera's driver gives, and the routine; where there are such."""
    camera = source.camera if isinstance(source, LiveSource) else None
    found = {"camera": camera and camera.row(), "routine": routine and routine_object(routine)}
    return {name: value for name, value in found.items() if value}


def routine_object(routine: Routine) -> dict[str, object]:
    """A routine as the session row has it: its targets by name."""
    poses = [
        {"target": step.target.name, "hold_seconds": step.hold_seconds, "rest_seconds": step.rest_seconds}
        for step in routine.steps
    ]
    return {"name": routine.name, "repetitions": routine.repetitions, "poses": poses}


def summary_row(ledger: Ledger, statistics: Statistics, capture_clock: str) -> dict[str, object]:
    """The results file's last row."""
    return {
        "type": "summary",
        "captured": ledger.captured,
        "shown": ledger.shown,
        "dropped": ledger.dropped,
        "scored": statistics.scored,
        "duplicates": statistics.duplicates,
        "capture_clock": capture_clock,
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
    target: Target | None,
    outputs: Outputs,
    *,
    smoothing: bool,
    on_result: Callable[[FrameResult, Statistics], None],
    station: Station | None = None,
    routine: Routine | None = None,
) -> Statistics:
    """Runs the loop into its sinks until the source ends or the user leaves the window.

    The files are complete whatever ends the loop, an exception or a signal at any moment included; the summary row is
    the last.

    Args:
        pipeline: not yet running.
        source: the opened source of the pipeline.
        info: of the engines.
        target: what is scored; None when a target is only captured.
        outputs: the sinks.
        smoothing: for the session row.
        on_result: told of every result, for a status line.
        station: what the person sees and steers; one that holds `target` again and again when None.
        routine: what the station follows; `target` alone when None.
    """
    station = station or Station(
        routine or (single(target) if target else None), info.frame_size, info.visible_confidence
    )
    statistics = Statistics()
    width, height = info.frame_size
    with held_signals(pipeline.interrupt), contextlib.ExitStack() as stack:
        results = stack.enter_context(ResultsFile(outputs.results)) if outputs.results else None
        recorder = (
            stack.enter_context(Recorder(outputs.record, (width, height), source.fps)) if outputs.record else None
        )
        window = stack.enter_context(Window("posemirror", (width, height))) if outputs.window else None
        if window:
            window.on_key = station.press
        hub = outputs.hub
        if target and (results or hub):
            begin_rows(results, hub, session_row(info, source, target, smoothing, routine))
            stack.callback(
                lambda: end_rows(results, hub, summary_row(pipeline.ledger, statistics, source.capture_clock))
            )
        frames = stack.enter_context(contextlib.closing(pipeline.run()))
        for shown in frames:
            if hub and leaves(hub, station):
                pipeline.stop()  # the frames still in flight go to the files
            looked_at = hub is not None and hub.wanted
            if shown.repeated:
                if window or looked_at:
                    screen = old_screen(shown.image, shown.result, station.mirror)
                    if hub and looked_at:
                        hub.offer(screen.picture, page_words(screen.view, shown.result))
                    if window and not window.show(screen.picture):
                        break
                continue
            result = station.take(shown.result, shown.image)
            moments: dict[str, float] = {}
            if recorder or window or looked_at:
                latency = latency_line(statistics, pipeline.ledger)
                screen = drawn(shown.image, result, station, info, latency)
                if result.status != STALE and pipeline.too_old(result):  # while it was drawn
                    result = late(result, pipeline.age_ms(result))
                    screen = drawn(shown.image, result, station, info, latency)
                moments["drawn"] = pipeline.age_ms(result)
                if hub and looked_at:
                    hub.offer(screen.picture, page_words(screen.view, result))
                if window:
                    stays = window.show(screen.picture)
                    moments["shown"] = pipeline.age_ms(result)
                    if not stays:
                        window = None  # its user left; the frames still in flight go to the files
                        pipeline.stop()
                if recorder:
                    recorder.write(screen.picture)
            result = with_moments(result, moments)
            statistics.add(result)
            if results:
                results.write(result)
            if hub and target:
                hub.publish(result)
            on_result(result, statistics)
            if station.finished:
                break
    return statistics


def begin_rows(results: ResultsFile | None, hub: Hub | None, row: dict[str, object]) -> None:
    """Gives the session row to the file and to whoever listens."""
    if results:
        results.write_row(row)
    if hub:
        hub.begin(row)


def end_rows(results: ResultsFile | None, hub: Hub | None, row: dict[str, object]) -> None:
    """Gives the summary row to whoever listens and to the file."""
    if hub:
        hub.publish(row)
    if results:
        results.write_row(row)


def leaves(hub: Hub, station: Station) -> bool:
    """Acts on the keys that came from browsers; whether one of them was to leave."""
    keys = hub.keys()
    for key in keys:
        station.press(key)
    return any(key in QUIT_KEYS for key in keys)


@dataclass(frozen=True)
class Screen:
    """A picture as a person sees it, a new one each time, and what is drawn on it."""

    picture: Picture
    view: View


def old_screen(image: Picture, result: FrameResult, mirror: bool) -> Screen:
    """A picture too old to be live: no skeleton, no score, and what to do; darkened if the camera is at fault."""
    picture = np.ascontiguousarray(image[:, ::-1]) if mirror else image
    height, width = picture.shape[:2]
    hint = hint_for(result, (width, height), brightness(picture))
    canvas = picture.copy() if hint == LATE else (picture // 4).astype(picture.dtype)
    draw_banner(canvas, hint_lines(hint), POOR, min(height / REFERENCE_SIZE[1], width / REFERENCE_SIZE[0]))
    return Screen(canvas, View(title=result.target, hint=hint))


def drawn(image: Picture, result: FrameResult, station: Station, info: ChainInfo, latency: str) -> Screen:
    """The frame as a person sees it."""
    if result.status == STALE:
        return old_screen(image, result, station.mirror)
    joints, view = station.view(result, latency)
    return Screen(draw_overlay(image, result, joints, view, info.visible_confidence), view)


def with_moments(result: FrameResult, moments_ms: dict[str, float]) -> FrameResult:
    """The result with the moments of its display; the last of them is its age."""
    age_ms = max([result.age_ms, *moments_ms.values()])
    return replace(result, age_ms=age_ms, moments_ms=result.moments_ms | moments_ms)
