"""The wiring of the live loop: which parts a command line asks for, and how they meet. Parses and draws nothing."""

import argparse
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from engines.errors import BadInputError
from engines.execution import ChainInfo
from engines.exits import ends_at_once
from engines.terminal import saying
from engines.weights_registry import SHIPPED_ENGINES
from realtime.benchmark import Benchmark, require_within
from realtime.benchmark_run import chosen_source, write_benchmark
from realtime.cameras import camera_table, find_cameras
from realtime.capture import Capture
from realtime.capture_clock import FILE
from realtime.cuda_executor import CudaExecutor
from realtime.displays import Outputs
from realtime.executor import Chain, Executor
from realtime.frames import Clock, MonotonicClock
from realtime.live_checks import check_outputs, report_unused
from realtime.live_options import asks_of_camera, camera_wish
from realtime.mailbox import Ledger
from realtime.opening import (
    BUILT,
    answering,
    engines_folder,
    open_chain,
    open_routine,
    open_target,
    opened_executor,
)
from realtime.pipeline import Pipeline
from realtime.pose import parse_ignore
from realtime.recording import read_recording
from realtime.replay import ReplayExecutor, ReplaySource, find_encoder, station_of
from realtime.results import FrameResult
from realtime.routine import Routine, single
from realtime.session import run_session
from realtime.sinks import display_problem
from realtime.sound import Sound
from realtime.sources import LiveSource, Source
from realtime.station import Station
from realtime.statistics import Statistics
from realtime.status import StatusLine, summary_table
from realtime.web.address import Address
from realtime.web.hub import Hub


def run(arguments: argparse.Namespace, console: Console, given: Collection[str] = ()) -> None:
    """Opens everything, runs the loop, prints the summary; `given` are the options that were, such as `--source`."""
    if arguments.list_cameras:
        console.print(camera_table(find_cameras()))
        return
    ignore = parse_ignore(arguments.ignore) if arguments.ignore else ()
    check_outputs(arguments)
    report_unused(arguments, given, console)
    if arguments.replay:
        run_replay(arguments, console)
        return
    folder, patience = engines_folder(arguments.engines), arguments.open_seconds
    chain, backend = open_chain(
        folder, arguments.encoder, arguments.backend, patience, arguments.int8, arguments.threads
    )
    console.print(f"Engines: {folder} on {backend}.", soft_wrap=True)
    with answering(chain, "the target was looked at", patience):
        routine = open_task(arguments, chain, ignore, saying(console))
    clock = MonotonicClock()
    info = chain.info
    with contextlib.ExitStack() as stack:
        outputs = chosen_outputs(arguments, console, stack)
        wish = camera_wish(arguments, info.frame_size)
        source = stack.enter_context(contextlib.closing(chosen_source(arguments, clock, wish)))
        report_camera(arguments, source, console)
        executor = stack.enter_context(
            opened_executor(
                chain,
                routine.targets[0] if routine else None,
                stills=source.stills,
                detect_every=arguments.detect_every,
                smoothing=arguments.smoothing == "on",
                scored=arguments.people,
                seconds=patience,
            )
        )
        report_enqueued(executor, console)
        capture = arguments.capture_target
        station = Station(
            routine,
            info.frame_size,
            info.visible_confidence,
            aim=executor.aim,
            mirror=arguments.mirror,
            choose=executor.choose,
            cues=chosen_cues(arguments, console, stack),
            capture=Capture(capture, info.frame_size, info.visible_confidence, ignore) if capture else None,
            ignore=ignore,
            stills=source.stills,
        )
        run_loop(arguments, console, Wiring(source, executor, info, station, outputs, clock), routine)
    if capture and not station.captured:
        raise BadInputError(f"{capture} was not written", "a whole person has to stand in view for 5 s", "run it again")


def run_replay(arguments: argparse.Namespace, console: Console) -> None:
    """Shows a recorded session again and says whether its scores are the same."""
    recording = read_recording(arguments.replay)
    info = find_encoder(recording, (engines_folder(arguments.engines), BUILT, SHIPPED_ENGINES))
    console.print(f"Encoder: {info.encoder} of {info.directory}.", soft_wrap=True)
    clock = MonotonicClock()
    executor = ReplayExecutor(recording, info)
    station = station_of(recording, info, mirror=arguments.mirror)
    arguments.smoothing = "on" if recording.smoothing else "off"
    with contextlib.ExitStack() as stack:
        outputs = chosen_outputs(arguments, console, stack)
        watched = outputs.window or outputs.hub is not None
        source = ReplaySource(recording, clock, pace=arguments.pace or watched)
        run_loop(arguments, console, Wiring(source, executor, info, station, outputs, clock), recording.routine)
    console.print(f"Replay: {executor.agreement.sentence}.", soft_wrap=True)


@dataclass(frozen=True)
class Wiring:
    """What one run of the loop is made of."""

    source: Source
    executor: Executor
    info: ChainInfo
    station: Station
    outputs: Outputs
    clock: Clock


def not_captured(executor: Executor) -> str:
    """Why a GPU's work is not captured as graphs; empty where it is, and on a CPU."""
    return executor.not_captured if isinstance(executor, CudaExecutor) else ""


def run_loop(arguments: argparse.Namespace, console: Console, wiring: Wiring, routine: Routine | None) -> None:
    """Runs the loop to its end and prints the summary and the files written, after Ctrl-C too."""
    width, height = wiring.info.frame_size
    pipeline = Pipeline(
        wiring.source,
        wiring.executor,
        (height, width),
        wiring.clock,
        max_frames=arguments.max_frames,
        lost_seconds=None if wiring.source.capture_clock == FILE else arguments.reconnect_seconds,
    )
    benchmark = Benchmark(arguments.benchmark) if arguments.benchmark else None
    statistics, source = Statistics(), wiring.source
    files = partial(written_files, arguments, wiring.station)
    with summary_after_ctrl_c(console, pipeline.ledger, statistics, files), StatusLine(console, source.name) as status:

        def on_result(result: FrameResult, statistics: Statistics) -> None:
            status.update(result, statistics, pipeline.ledger)
            if benchmark and benchmark.take(result):
                pipeline.interrupt()

        run_session(
            pipeline,
            source,
            wiring.info,
            routine.targets[0] if routine else None,
            wiring.outputs,
            smoothing=arguments.smoothing == "on",
            on_result=on_result,
            station=wiring.station,
            routine=routine,
            not_captured=not_captured(wiring.executor),
            statistics=statistics,
        )
    written = files()
    if benchmark:
        console.print(benchmark.table())
        console.print(benchmark.explained(), soft_wrap=True)
        if arguments.results:
            written += write_benchmark(benchmark, arguments.results)
    else:
        console.print(summary_table(pipeline.ledger, statistics))
    report_written(written, console)
    if benchmark:
        require_within(benchmark.figures(), arguments.fail_over)


def written_files(arguments: argparse.Namespace, station: Station) -> list[Path]:
    """The files of a session that has ended."""
    outputs = (arguments.record, arguments.record_skeleton, arguments.results)
    return [*(path for path in outputs if path and path.exists()), *station.captured]


@contextlib.contextmanager
def summary_after_ctrl_c(
    console: Console, ledger: Ledger, statistics: Statistics, files: Callable[[], Iterable[Path]] = tuple
) -> Iterator[None]:
    """Prints the summary and the files written when Ctrl-C ends the block, unless no frame was shown.

    `realtime.signals` has let the files be completed by then. An output that can no longer be written to changes no
    exit code, and one that blocks is left by another Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            if ledger.shown:
                console.print(summary_table(ledger, statistics))
                report_written(files(), console)
        raise


def report_written(files: Iterable[Path], console: Console) -> None:
    """Says where files went."""
    for path in files:
        console.print(f"Wrote {path}", soft_wrap=True)


def open_task(
    arguments: argparse.Namespace, chain: Chain, ignore: Sequence[str], say: Callable[[str], None]
) -> Routine | None:
    """What is to be held: a routine, or a single target again and again; None when a target is captured."""
    if arguments.capture_target:
        return None
    if arguments.routine:
        return open_routine(arguments.routine, chain, ignore=ignore, say=say)
    return single(open_target(arguments.target, chain, ignore=ignore, person=arguments.target_person, say=say))


def chosen_outputs(arguments: argparse.Namespace, console: Console, stack: contextlib.ExitStack) -> Outputs:
    """The sinks; says why there is no window, and where browsers look."""
    problem = "" if arguments.headless else display_problem()
    if problem:
        console.print(f"No window: {problem}.", soft_wrap=True)
    window = not arguments.headless and not problem
    hub = stack.enter_context(served(arguments.serve, console)) if arguments.serve else None
    return Outputs(
        arguments.record,
        arguments.results,
        window,
        hub,
        skeleton=arguments.record_skeleton,
        say=saying(console),
    )


def served(address: Address, console: Console) -> contextlib.AbstractContextManager[Hub]:
    """The browser mirror at an address; its web library is loaded only now."""
    try:
        with ends_at_once():
            from realtime.web.server import serving
    except ModuleNotFoundError as error:
        raise BadInputError(
            f"--serve needs the package {error.name}, which is not installed",
            "the extra serve brings it",
            "run pip install -c constraints.txt -e '.[serve]'",
        ) from error
    return serving(address, console)


def report_camera(arguments: argparse.Namespace, source: Source, console: Console) -> None:
    """Says what a camera gives, and that the camera options do nothing elsewhere."""
    if isinstance(source, LiveSource) and source.camera:
        console.print(f"{source.name.capitalize()}: {source.camera.sentence}.", soft_wrap=True)
    elif asks_of_camera(arguments):
        console.print(f"The --camera options do nothing: {source.name} is no camera.", soft_wrap=True)


def report_enqueued(executor: Executor, console: Console) -> None:
    """Says that a GPU's work could not be captured as graphs, and why: it is slower then."""
    if reason := not_captured(executor):
        console.print(f"GPU: operations are enqueued one by one, not as one graph, because {reason}.", soft_wrap=True)


def chosen_cues(arguments: argparse.Namespace, console: Console, stack: contextlib.ExitStack) -> Sound | None:
    """Tones and speech, unless nobody is to hear them; says what is missing."""
    if arguments.mute or arguments.headless:
        return None
    sound = stack.enter_context(Sound(say=lambda sentence: console.print(f"Sound: {sentence}.", soft_wrap=True)))
    if sound.problem:
        console.print(f"Sound: {sound.problem}.", soft_wrap=True)
    return sound
