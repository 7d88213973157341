"""Ctrl-C, SIGTERM and SIGHUP, held back until the files of a run are complete. Knows no file and no loop."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from engines.exits import ENDS

HELD = (signal.SIGINT, *ENDS)


@contextlib.contextmanager
def held_signals(on_signal: Callable[[], None]) -> Iterator[None]:
    """The first signal that comes within the block calls `on_signal`, which should end it soon, and does what it always
    does only after the block. A second one does so at once.

    Outside the main thread, where Python takes no signals, the block is just run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in HELD}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    seen: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        again = bool(seen)
        seen.append(number)
        if again:
            release()
            signal.raise_signal(number)
        else:
            on_signal()

    def release() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, hold)
    try:
        yield
    finally:
        release()
    if seen:
        signal.raise_signal(seen[0])
