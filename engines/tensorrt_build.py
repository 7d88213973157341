"""ONNX graph to TensorRT engine, for TensorRT 10.13 to 11 and TensorRT-RTX in one path. Knows no graph's meaning.

Strongly typed always: the graph's own tensor types decide the precision. TensorRT-RTX differs in three places, all
marked here: its engines can be built without a GPU for a named compute capability, it needs user allocation for stream
capture, and it has no timing cache worth keeping. (A fourth, its own compiler, is in `tensorrt_engine.py`.)
"""

import contextlib
import gc
import importlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from engines.build_phases import BuildPhases
from engines.errors import BadInputError, EngineError
from engines.exits import Terminated
from engines.timing_cache import NONE, load_timing_cache, store_timing_cache

MOST_TARGETS = 1024
USUAL_TARGETS = 8
LONGEST_REASON = 400
INTERRUPT_POLL_SECONDS = 0.2

Work = TypeVar("Work")
BuildProgress = Callable[[str, float], None]
"""Told the name of the phase, and the share of the build that is done, 0..1."""


@dataclass(frozen=True)
class ComputeCapability:
    """A GPU generation, such as 8.9."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True)
class BuildSettings:
    """How hard TensorRT tries.

    Args:
        optimisation_level: 0 (quick build) to 5 (slow build, fastest engine).
        workspace_bytes: device memory that one layer may use for scratch.
        timing_cache: measurements kept from build to build; None for none. TensorRT-RTX measures nothing.
    """

    optimisation_level: int = 3
    workspace_bytes: int = 2 << 30
    timing_cache: Path | None = None


@dataclass(frozen=True)
class BuiltEngine:
    """A serialised engine, and how it came to be.

    Args:
        plan: the engine.
        seconds: from the graph to the plan.
        timing_cache: what the timing cache was worth: see `timing_cache.store_timing_cache`.
    """

    plan: bytes
    seconds: float
    timing_cache: str


def parse_compute_capability(text: str) -> ComputeCapability:
    """`sm89` or `8.9` as a compute capability.

    Raises:
        BadInputError: anything else.
    """
    match = re.fullmatch(r"(?:sm_?)?(\d{1,2})\.?(\d)", text.strip().lower())
    if match is None:
        raise BadInputError(
            f"--for {text!r} is no compute capability", "one such as sm89 or 8.9 is allowed", "give --for sm89"
        )
    return ComputeCapability(int(match[1]), int(match[2]))


def import_tensorrt(name: str) -> ModuleType:
    """The package `tensorrt` or `tensorrt_rtx`.

    Raises:
        EngineError: not installed, or its libraries are missing.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(
            f"the package {name} cannot be imported ({str(error).splitlines()[0]})",
            "it and its libraries are needed for a TensorRT engine",
            f"run pip install {'tensorrt-rtx-cu13' if name.endswith('rtx') else 'tensorrt'}, or use --backend onnx",
        ) from error


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keeps Python's garbage collector off.

    TensorRT calls its logger while it holds a lock that the end of a builder takes too: a collection that starts in the
    logger and finds an old builder never returns.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@collector_paused()
def build_engine(
    graph: Path,
    trt: ModuleType,
    *,
    compute_capability: ComputeCapability | None,
    settings: BuildSettings | None = None,
    on_progress: BuildProgress | None = None,
    cancel: threading.Event | None = None,
) -> BuiltEngine:
    """The serialised engine of an ONNX graph whose only dynamic axis is the number of targets.

    Args:
        graph: the ONNX file.
        trt: the module from `import_tensorrt`.
        compute_capability: the GPU to build for; None for the one in this machine. TensorRT-RTX only.
        settings: how hard it tries.
        on_progress: told of every step.
        cancel: stops the build soon after it is set.

    Raises:
        EngineError: no usable driver, a graph that the parser or builder refuses, or a cancelled build.
    """
    began = time.monotonic()
    faults: list[str] = []
    logger = collecting_logger(trt, faults)
    try:
        builder = trt.Builder(logger)
    except TypeError as error:
        raise EngineError(
            f"{trt.__name__} {trt.__version__} cannot create a builder ({'; '.join(faults) or error})",
            "a working NVIDIA driver is needed to build for the GPU in this machine",
            "check nvidia-smi, or build without a GPU with tensorrt-rtx and --for sm89",
        ) from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(os.fspath(graph)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        told = [f"{error.node_operator()} {error.node_name()}: {error.desc()}".strip(" :") for error in errors]
        raise refused(graph, trt, "parser", told or faults)
    settings = settings or BuildSettings()
    config = builder_config(builder, network, trt, compute_capability, settings)
    cache = None if is_rtx(trt) else settings.timing_cache
    known = b"" if cache is None else load_timing_cache(config, cache)
    monitor = progress_monitor(trt, on_progress, cancel)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if cancel is not None and cancel.is_set():
        raise EngineError(
            f"the build of {graph.stem} was cancelled", "nothing was written", "run the same command again"
        )
    if plan is None:
        raise refused(graph, trt, "builder", faults)
    worth = NONE if cache is None else store_timing_cache(config, cache, known)
    return BuiltEngine(bytes(plan), time.monotonic() - began, worth)


def interruptible(work: Callable[[threading.Event], Work], on_stop: Callable[[], None] = lambda: None) -> Work:
    """Runs `work` in a thread of its own; Ctrl-C sets the event that it is given and is raised once it has stopped.

    TensorRT's build call holds its thread for minutes, and Python handles signals in the main thread alone. It stops
    after its current step, which may take seconds: `on_stop` says so, and another Ctrl-C changes nothing, because a
    process that ends while TensorRT runs is aborted.
    """
    cancel, finished = threading.Event(), threading.Event()
    done: list[Work] = []
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            done.append(work(cancel))
        except BaseException as error:
            failed.append(error)
        finally:
            finished.set()

    thread = threading.Thread(target=guarded, name="tensorrt-build", daemon=True)
    stopped: BaseException | None = None
    told = False
    while not finished.is_set():
        try:
            if thread.ident is None:
                thread.start()
            if stopped and not told:
                told = True
                on_stop()
            # not join: until Python 3.13 a join that Ctrl-C interrupts takes the thread for ended
            finished.wait(INTERRUPT_POLL_SECONDS)
        except (KeyboardInterrupt, Terminated) as signal:
            stopped = signal
            cancel.set()
            if thread.ident is None:
                raise
    if stopped:
        raise stopped
    if failed:
        raise failed[0]
    return done[0]


def refused(graph: Path, trt: ModuleType, who: str, faults: list[str]) -> EngineError:
    """The error for a graph that TensorRT does not take."""
    reason = " ".join(", ".join(faults[-2:]).split())[:LONGEST_REASON] or "no reason given"
    return EngineError(
        f"the {who} of {trt.__name__} {trt.__version__} refuses {graph.name} ({reason})",
        "a graph of the operators that TensorRT knows is needed",
        "report this graph, or use --backend onnx",
    )


def builder_config(
    builder: Any,
    network: Any,
    trt: ModuleType,
    target: ComputeCapability | None,
    settings: BuildSettings | None = None,
) -> Any:
    """The builder's settings, with one optimisation profile if the graph has a dynamic axis."""
    settings = settings or BuildSettings()
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_bytes)
    config.builder_optimization_level = settings.optimisation_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.max_aux_streams = 0  # one stream, so that an execution can be captured into a CUDA graph
    if is_rtx(trt):
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if target is not None:
            config.num_compute_capabilities = 1
            config.set_compute_capability(rtx_capability(trt, target), 0)
    elif target is not None:
        raise BadInputError(
            f"--for sm{target.major}{target.minor} was given with the package tensorrt",
            "only TensorRT-RTX builds for a GPU that is not in this machine",
            "run pip install tensorrt-rtx-cu13, or leave --for out",
        )
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    if any(-1 in tuple(tensor.shape) for tensor in inputs):
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            shapes = [
                tuple(count if side == -1 else side for side in tensor.shape)
                for count in (1, USUAL_TARGETS, MOST_TARGETS)
            ]
            profile.set_shape(tensor.name, *shapes)
        config.add_optimization_profile(profile)
    return config


def is_rtx(trt: ModuleType) -> bool:
    """Whether the module is TensorRT-RTX."""
    return trt.__name__.startswith("tensorrt_rtx")


def rtx_capability(trt: ModuleType, target: ComputeCapability) -> Any:
    """TensorRT-RTX's own value for a compute capability."""
    value = getattr(trt.ComputeCapability, f"SM{target.major}{target.minor}", None)
    if value is None:
        known = ", ".join(name.lower() for name in dir(trt.ComputeCapability) if re.fullmatch(r"SM\d+", name))
        raise BadInputError(
            f"{trt.__name__} {trt.__version__} cannot build for sm{target.major}{target.minor}",
            f"it builds for {known}",
            "give one of them to --for, or use the package tensorrt on the machine itself",
        )
    return value


def collecting_logger(trt: ModuleType, faults: list[str]) -> Any:
    """A TensorRT logger that keeps errors and drops everything else."""

    class CollectingLogger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                faults.append(message.strip())

    return CollectingLogger()


def progress_monitor(trt: ModuleType, on_progress: BuildProgress | None, cancel: threading.Event | None) -> Any:
    """TensorRT's progress monitor, telling `on_progress` and stopping when `cancel` is set."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases = BuildPhases()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            share = self.phases.step(phase_name, step + 1)
            if on_progress is not None:
                on_progress(phase_name, share)
            return cancel is None or not cancel.is_set()

        def phase_finish(self, phase_name: str) -> None:
            self.phases.finish(phase_name)

    return Monitor()
