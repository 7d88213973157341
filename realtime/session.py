"""One run of the live loop: session row, loop, sinks, summary. Draws nothing and opens no engine itself."""

import contextlib
import datetime
from collections.abc import Callable

from engines.execution import ChainInfo
from engines.geometry import fit_letterbox
from engines.options import posemirror_version
from realtime.displays import Displays, Outputs
from realtime.mailbox import Ledger
from realtime.pipeline import Pipeline
from realtime.pose import Target, target_object
from realtime.results import FrameResult
from realtime.routine import Routine, single
from realtime.signals import held_signals
from realtime.sinks import ResultsFile
from realtime.sources import LiveSource, Source
from realtime.station import Station
from realtime.statistics import Statistics, latency_line
from realtime.web.hub import Hub


def session_row(
    info: ChainInfo,
    source: Source,
    target: Target,
    smoothing: bool,
    routine: Routine | None = None,
    not_captured: str = "",
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
        "stills": source.stills,
        "frame_size": [width, height],
        "fit": {"scale": fit.scale, "left": fit.left, "top": fit.top},
        "engines": {name: manifest.files[manifest.engine_file] for name, manifest in info.manifests.items()},
        "encoder": {"name": info.encoder, "weights_sha256": encoder.weights_sha256 or None},
        "targets": [target_object(one) | {"width": one.score_width} for one in targets],
        "smoothing": smoothing,
    } | optional_fields(source, routine, not_captured)


def optional_fields(source: Source, routine: Routine | None, not_captured: str) -> dict[str, object]:
    """What a camera's driver gives, the routine, and why a GPU captured no graphs; where there are such."""
    camera = source.camera if isinstance(source, LiveSource) else None
    found = {
        "camera": camera and camera.row(),
        "routine": routine and routine_object(routine),
        "not_captured": not_captured,
    }
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
    not_captured: str = "",
    statistics: Statistics | None = None,
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
        not_captured: see `engines.cuda_chain.CudaChain`; for the session row.
        statistics: what results are added to, and what is returned; new where it is None.
    """
    station = station or Station(
        routine or (single(target) if target else None), info.frame_size, info.visible_confidence
    )
    statistics = statistics or Statistics()
    hub = outputs.hub
    with held_signals(pipeline.interrupt), contextlib.ExitStack() as stack:
        displays = stack.enter_context(Displays(outputs, station, info, source.fps, live=source.live))
        # last: an older file is replaced only once nothing else can refuse to open
        results = stack.enter_context(ResultsFile(outputs.results)) if outputs.results else None
        if target and (results or hub):
            begin_rows(results, hub, session_row(info, source, target, smoothing, routine, not_captured))
            stack.callback(
                lambda: end_rows(results, hub, summary_row(pipeline.ledger, statistics, source.capture_clock))
            )
        frames = stack.enter_context(contextlib.closing(pipeline.run()))
        for shown in frames:
            if displays.is_left():
                pipeline.stop()  # the frames still in flight go to the files
            if shown.repeated:
                if not displays.show_again(shown):
                    break
                continue
            result = station.take(shown.result, shown.image)
            result, stays = displays.show(
                shown.image, result, pipeline, lambda: latency_line(statistics, pipeline.ledger)
            )
            if not stays:
                pipeline.stop()
            statistics.add(result)
            if results:
                results.write(result)
            if hub and target:
                hub.publish(result)
            on_result(result, statistics)
            if station.finished:
                pipeline.interrupt()  # and not `break`: this frame was delivered
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
