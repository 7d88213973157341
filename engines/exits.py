"""How every program of the project ends: one sentence on stderr and a documented exit code. Knows no program."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

from engines.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED, GpuHangError, PosemirrorError
from engines.options import system_error

Arguments = ParamSpec("Arguments")


class Terminated(BaseException):
    """SIGTERM came."""


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
    a `GpuHangError` the process ends at once: an orderly end would free GPU memory, and wait for the GPU for ever.
    """

    def decorator(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
        @functools.wraps(main)
        def program(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
            try:
                return main(*args, **kwargs)
            except GpuHangError as error:
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
