"""What a person sees of a build: how far it is, in one line that moves on a terminal, and a line a step elsewhere."""

import io

import pytest
from rich.console import Console

from engines.build_display import BuildDisplay
from engines.build_phases import BuildPhases


def test_phases_within_each_other_are_one_number_that_never_falls() -> None:
    phases = BuildPhases()
    phases.start("building", None, 4)
    phases.start("cloning", "building", 10)
    seen = [phases.step("cloning", done) for done in (1, 5, 10)]
    assert seen == pytest.approx([0.025, 0.125, 0.25])
    phases.finish("cloning")
    assert phases.step("building", 1) == 0.25
    phases.start("subgraph", "building", 2)
    phases.start("timing", "subgraph", 2)
    assert phases.step("timing", 1) == pytest.approx(0.25 + 0.25 * 0.25)
    phases.finish("timing")
    assert phases.step("subgraph", 1) == pytest.approx(0.375)
    phases.start("timing", "subgraph", 8)
    assert phases.step("timing", 1) > 0.375
    phases.finish("subgraph")
    assert [phases.step("building", done) for done in (2, 3, 4)] == [0.5, 0.75, 1.0]


def test_steps_of_unknown_phases_and_of_too_many_do_no_harm() -> None:
    phases = BuildPhases()
    assert phases.step("never begun", 3) == 0
    phases.start("building", None, 0)
    assert phases.step("building", 7) == 1
    phases.finish("building")
    phases.finish("building")
    phases.start("again", "gone", 2)
    assert phases.step("again", 1) == 1


def shown(*, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, markup=False, highlight=False, color_system=None)
    with BuildDisplay(console) as display:
        display.steps = 3
        for act in (
            lambda: display.step("weights of x[y]"),
            lambda: display.download(1_500_000, 3_000_000),
            lambda: display.step("pose: tensorrt_rtx"),
            lambda: display.tensorrt("Timing graph nodes", 0.42),
            display.stopping,
            lambda: display.tensorrt("Timing graph nodes", 0.43),
        ):
            act()
            display._progress.refresh()
    return out.getvalue()


def test_on_a_terminal_one_line_says_step_engine_phase_and_share_and_goes_at_the_end() -> None:
    said = shown(terminal=True)
    lines = [" ".join(line.split()) for line in said.replace("\r", "\n").splitlines()]
    for words in (
        "1 of 3 weights of x[y]", "1.5 MB of 3.0 MB", "2 of 3 pose: timing graph nodes", " 42% ",
        "stopping after TensorRT's step",
    ):  # fmt: skip
        assert any(words in line for line in lines), words
    assert "timing" not in lines[-1] and "timing" not in lines[-2]
    assert said.endswith("\x1b[1A\x1b[2K")  # the line is taken away


def test_elsewhere_each_step_is_a_line() -> None:
    said = shown(terminal=False)
    assert said.splitlines() == [
        "  weights of x[y]",
        "  pose: tensorrt_rtx",
        "  stopping after TensorRT's step",
    ]
