"""What the terminal shows: a live status line, and the summary table at the end. Knows no picture."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from realtime.mailbox import Ledger
from realtime.results import SCORED, FrameResult
from realtime.statistics import Statistics, latency_line

REFRESH_PER_SECOND = 8


class StatusLine:
    """One line that tells how the loop goes; silent where the output is no terminal. Use as a context manager."""

    def __init__(self, console: Console, source: str) -> None:
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_SECOND, transient=True)
        self._source = source
        self._shown = console.is_terminal

    def __enter__(self) -> Self:
        """Starts drawing the line."""
        if self._shown:
            self._live.start()
        return self

    def update(self, result: FrameResult, statistics: Statistics, ledger: Ledger) -> None:
        """Shows one result."""
        if self._shown:
            self._live.update(status_text(self._source, result, statistics, ledger))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes the line away."""
        if self._shown:
            self._live.stop()


def status_text(source: str, result: FrameResult, statistics: Statistics, ledger: Ledger) -> Text:
    """Frame, score or the reason there is none, frame age and drops."""
    said = f"score {result.score:5.1f}" if result.status == SCORED and result.score is not None else result.reason
    return Text(f"{source}  frame {result.frame}  {said}  {latency_line(statistics, ledger)}")


def summary_table(ledger: Ledger, statistics: Statistics) -> Table:
    """Counts, the best frame, and percentiles of frame age and of every stage."""
    best = statistics.best
    shown = f"{ledger.shown} frame{'s' * (ledger.shown != 1)} shown"
    counts = f"{shown}, {ledger.dropped} dropped, {statistics.scored} scored"
    best_score = "" if best is None else f"\nbest score {best.score:.1f} at frame {best.frame}"
    table = Table("ms", "p50", "p90", "p95", "p99", "max", title=counts + best_score)
    rows = {"frame age": statistics.age.summary()}
    rows |= {name: distribution.summary() for name, distribution in statistics.stages.items()}
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in values.values()))
    return table
