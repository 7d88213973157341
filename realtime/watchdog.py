"""Notices a GPU that does not come back. Knows no engine.

While frames run, who waits for their results asks a `Watchdog`; it has no thread. Before and after, while a GPU is
opened and closed, the thread that calls the driver is the only one: a `Deadline` watches it from beside.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Self

from engines.errors import GpuHangError
from engines.exits import end_at_once
from realtime.frames import Clock

LIMIT_SECONDS = 5.0
"""A frame takes milliseconds; a driver that resets a GPU after a fault of another program, about two seconds."""

OPEN_SECONDS = 120.0
"""Opening takes a second or two, but TensorRT-RTX compiles every engine for the card when it is opened first."""
CLOSE_SECONDS = 20.0
ADVICE = "look at nvidia-smi and dmesg, restart the machine if it repeats, or give --backend onnx"


class Watchdog:
    """Told when the GPU is waited for; asked, from another thread, whether that has been too long.

    Args:
        clock: of the loop.
        limit_seconds: how long one frame may be waited for.
    """

    def __init__(self, clock: Clock, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._clock, self._limit_seconds = clock, limit_seconds
        self._since_ns: int | None = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Watches its block."""
        self._since_ns = self._clock.now_ns()
        try:
            yield
        finally:
            self._since_ns = None

    def require_answer(self) -> None:
        """Raises what a GPU that does not answer amounts to.

        Raises:
            GpuHangError: the block is still under way, for longer than the limit.
        """
        since_ns = self._since_ns
        waited = 0.0 if since_ns is None else (self._clock.now_ns() - since_ns) / 1e9
        if waited >= self._limit_seconds:
            raise GpuHangError(
                f"the GPU has not answered for {waited:.1f} s",
                f"one frame may take {self._limit_seconds:g} s",
                ADVICE,
            )


class Deadline:
    """Ends the program, with one sentence and exit code 5, when its block takes longer. A context manager, for once.

    A driver that hangs raises nothing and hears no signal: nobody could be told but the user.

    Args:
        doing: what the GPU is asked for, as in "while it looks for ...".
        limit_seconds: how long it may take.
        allowed: why it may take that long, and what allows more.
    """

    def __init__(self, doing: str, limit_seconds: float, allowed: str = "") -> None:
        self._doing, self._limit_seconds = doing, limit_seconds
        self._allowed = allowed or f"this may take {limit_seconds:g} s"
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        if not self._over.wait(self._limit_seconds):
            seen = f"the GPU has not answered for {self._limit_seconds:g} s while {self._doing}"
            end_at_once(GpuHangError(seen, self._allowed, ADVICE))


def opening(doing: str, seconds: float) -> Deadline:
    """For what is done before frames run."""
    return Deadline(doing, seconds, f"--open-seconds {seconds:g} are allowed (TensorRT-RTX compiles at first)")
