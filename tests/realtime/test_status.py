"""What the terminal shows."""

import io

import pytest
from rich.console import Console

from realtime.mailbox import Ledger
from realtime.statistics import Statistics
from realtime.status import StatusLine, status_text, summary_table
from tests.realtime.fakes import result_of

NOBODY = result_of(3, status="no_person", reason="no person in view", score=None)


def counted(*scores: float) -> Statistics:
    statistics = Statistics()
    for index, score in enumerate(scores):
        statistics.add(result_of(index, score=score, age_ms=40.0))
    return statistics


def printed(thing: object) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(thing)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_line_tells_source_frame_score_age_and_drops() -> None:
    text = status_text("camera 0", result_of(12, score=87.34), counted(87.34), Ledger(dropped=4)).plain
    assert text == "camera 0  frame 12  score  87.3  age p50 40 ms  p95 40 ms  dropped 4"


def test_the_line_tells_why_there_is_no_score() -> None:
    assert "no person in view" in status_text("camera 0", NOBODY, counted(), Ledger()).plain


@pytest.mark.parametrize("name", ["clip[1].mp4", "a[/b].mp4", "[red]x[/red].mp4"])
def test_a_name_in_brackets_is_shown_as_it_is(name: str) -> None:
    assert name in printed(status_text(name, result_of(0), counted(), Ledger()))


def test_the_table_tells_counts_the_best_frame_and_percentiles() -> None:
    text = printed(summary_table(Ledger(captured=5, shown=3, dropped=2), counted(10, 90.4, 20)))
    assert "3 frames shown, 2 dropped, 3 scored" in text and "best score 90.4 at frame 1" in text
    for name in ("frame age", "wait", "detect", "pose", "encode", "p50", "p99", "max"):
        assert name in text


def test_the_table_of_a_run_without_a_score_names_no_best_frame() -> None:
    statistics = Statistics()
    statistics.add(NOBODY)
    text = printed(summary_table(Ledger(captured=1, shown=1), statistics))
    assert "1 frame shown, 0 dropped, 0 scored" in text and "best" not in text
    assert "0 frames shown" in printed(summary_table(Ledger(), Statistics()))


def test_where_the_output_is_no_terminal_nothing_is_drawn() -> None:
    console = Console(file=io.StringIO())
    with StatusLine(console, "camera 0") as status:
        status.update(result_of(0), counted(50), Ledger())
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_on_a_terminal_the_line_is_drawn_and_taken_away() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with StatusLine(console, "camera 0") as status:
        status.update(result_of(0, score=50.0), counted(50), Ledger())
    assert "score  50.0" in console.file.getvalue()  # type: ignore[attr-defined]
