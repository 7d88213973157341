"""Notices a GPU that does not come back. Knows no engine and has no thread: who waits for its results asks here."""

import contextlib
from collections.abc import Iterator

from engines.errors import GpuHangError
from realtime.frames import Clock

LIMIT_SECONDS = 5.0
"""A frame takes milliseconds; a driver that resets a GPU after a fault of another program, about two seconds."""


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
                "look at nvidia-smi and dmesg, restart the machine if it repeats, or give --backend onnx",
            )
