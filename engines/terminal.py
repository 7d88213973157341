"""The console that programs print to which users or their scripts run. Knows no program."""

import os
import sys
from collections.abc import Callable

from rich.console import Console


class Terminal(Console):
    """Plain text on the standard output, without markup; goes on in silence when nobody reads it any more.

    `rich` would end the program with code 1 then, which is the code of a latency limit that was passed.
    """

    def __init__(self, width: int | None = None) -> None:
        super().__init__(markup=False, highlight=False, width=width)

    def on_broken_pipe(self) -> None:
        """What reads the output has gone."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def saying(console: Console) -> Callable[[str], None]:
    """What prints a sentence that came without its capital and its full stop."""
    return lambda sentence: console.print(f"{sentence[0].upper()}{sentence[1:]}.", soft_wrap=True)
