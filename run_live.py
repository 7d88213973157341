#!/usr/bin/env python3
"""Command line of the live loop: parse, wire, run. What it does is in `realtime/`."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from rich.console import Console

from engines.errors import EXIT_OK
from engines.exits import Terminated, documented_exits
from realtime.demo import demo_arguments
from realtime.live import run
from realtime.live_options import parser
from realtime.settings import with_settings
from realtime.signals import ENDS


def terminate(number: int, frame: FrameType | None) -> None:
    """Turns SIGTERM and SIGHUP into an exception, so that files are completed."""
    raise Terminated


@documented_exits()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    console = Console(markup=False, highlight=False)
    arguments = parser().parse_args(with_settings(parser(), sys.argv[1:] if argv is None else argv))
    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, terminate)
    if arguments.demo:
        arguments = demo_arguments(arguments, console)
    run(arguments, console)
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
