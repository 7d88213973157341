"""Measured runs of the live command line: figures, limits, and what makes no sense together."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import run_live
from tests.fixtures import bright_blob
from tests.realtime.fakes import FakeChain, rows_of
from tests.run_live.program import HEIGHT, WIDTH, written_video


def test_a_benchmark_plays_its_clip_again_and_again_and_writes_its_figures(
    fake_engines: FakeChain, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = written_video(tmp_path / "short.avi", [bright_blob((HEIGHT, WIDTH), 120, 90, 30)] * 10)
    results = tmp_path / "out.jsonl"
    words = ["--target", target, "--source", clip, "--headless", "--benchmark", 25, "--results", results]
    assert run_live.main([str(word) for word in words]) == 0
    figures = json.loads((tmp_path / "out.benchmark.json").read_text())
    assert figures["frames"] == 25 and figures["cpu_ms"] > 0
    assert len(rows_of(results)) == 30 + 25 + 2
    assert "CPU time of the whole process" in capsys.readouterr().out


def test_a_benchmark_above_its_limit_ends_with_1(
    fake_engines: FakeChain, target: Path, clip: Path, fails: Callable[..., str]
) -> None:
    options = ("--target", target, "--source", clip, "--headless", "--benchmark", 5)
    assert "cpu_ms=0" in fails(1, *options, "--fail-over", "p95_ms=100000", "--fail-over", "cpu_ms=0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--benchmark", "--fail-over", "fps=30"], "names fps"),
        (["--fail-over", "p95_ms=60"], "came alone"),
        (["--benchmark", "--max-frames", "9"], "came with --max-frames"),
    ],
)
def test_a_benchmark_that_makes_no_sense_is_refused(
    words: list[str], said: str, target: Path, clip: Path, fails: Callable[..., str]
) -> None:
    assert said in fails(2, "--target", target, "--source", clip, "--headless", *words)
