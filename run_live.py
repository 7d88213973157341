#!/usr/bin/env python3
"""Command line of the live loop: parse, wire, run. What it does is in `realtime/`."""

import sys
from collections.abc import Sequence

from engines.errors import EXIT_OK
from engines.exits import documented_exits, end_by_exception, starting

with starting(__name__):
    from engines.terminal import Terminal
    from realtime.demo import demo_arguments
    from realtime.live import run
    from realtime.live_options import parser
    from realtime.settings import with_settings


@documented_exits()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    end_by_exception()
    console = Terminal()
    words = with_settings(parser(), sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(words)
    if arguments.demo:
        arguments = demo_arguments(arguments, console)
    run(arguments, console, {word.partition("=")[0] for word in words})
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
