"""How every program of the project ends: one sentence on stderr and a documented exit code. Knows no program."""

import contextlib
import functools
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, ParamSpec

from engines.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    GpuError,
    PosemirrorError,
    system_error,
)

Arguments = ParamSpec("Arguments")

ENDS = (signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
"""What ends a program from outside: the system, or a terminal or display that goes away."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP came."""


def terminate(number: int, frame: FrameType | None) -> None:
    """Turns a signal into an exception, so that files are completed and folders cleared."""
    raise Terminated


def end_by_exception() -> None:
    """Has `ENDS` raise `Terminated` in the main thread, but for one that is ignored, as nohup wants it."""
    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, terminate)


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Within the block Ctrl-C and `ENDS` end the process at once. For imports, while nothing is open: some of them turn
    an exception that comes in their middle into one of their own, or swallow it, and the program would go on.

    Outside the main thread, where Python takes no signals, the block is just run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    codes = {signal.SIGINT: ("stopped", EXIT_INTERRUPTED), **dict.fromkeys(ENDS, ("terminated", EXIT_TERMINATED))}

    def end(number: int, frame: FrameType | None) -> NoReturn:
        sentence, code = codes[signal.Signals(number)]
        with contextlib.suppress(OSError, ValueError):
            print(sentence, file=sys.stderr)
        leave(code)

    handlers = {number: signal.getsignal(number) for number in codes}
    before = {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def starting(name: str) -> Iterator[None]:
    """For the imports of a module that is a program: as `ends_at_once` where its `__name__` says that it is run."""
    with ends_at_once() if name == "__main__" else contextlib.nullcontext():
        yield


def leave(code: int) -> NoReturn:
    """Ends the process at once, with nothing closed but what was written to its two streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def end_at_once(error: PosemirrorError) -> NoReturn:
    """Says an error and ends the process with its code, from any thread, with nothing closed."""
    with contextlib.suppress(OSError, ValueError):
        print(f"error: {error}", file=sys.stderr)
    leave(error.exit_code)


def documented_exits(
    stopped: str = "stopped",
) -> Callable[[Callable[Arguments, int]], Callable[Arguments, int]]:
    """Makes a `main` return the exit code of what it raises, after saying it in one line; no traceback is shown.

    `PosemirrorError` has its own code; any other `OSError` is 2, Ctrl-C 130 (saying `stopped`), `Terminated` 143. After
    a `GpuError` the process ends at once: an orderly end would free GPU memory, and the driver waits for ever where the
    GPU hangs, and warns of every piece where it has failed.
    """

    def decorator(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
        @functools.wraps(main)
        def program(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
            try:
                if isinstance(sys.stdout, io.TextIOWrapper):
                    sys.stdout.reconfigure(errors="replace")  # a terminal need not have every letter of a path
                return main(*args, **kwargs)
            except GpuError as error:
                end_at_once(error)
            except PosemirrorError as error:
                sentence, code = f"error: {error}", error.exit_code
            except OSError as error:
                sentence, code = f"error: {system_error(error)}", EXIT_BAD_INPUT
            except KeyboardInterrupt:
                sentence, code = stopped, EXIT_INTERRUPTED
            except Terminated:
                sentence, code = "terminated", EXIT_TERMINATED
            print(sentence, file=sys.stderr)
            return code

        return program

    return decorator
