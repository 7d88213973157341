"""A measured run: what counts, what it is called, and when a script is told that it was too slow."""

import json
from pathlib import Path

import cv2
import pytest

import run_live
from engines.errors import EXIT_BAD_INPUT, BadInputError
from realtime.benchmark import LIMIT_NAMES, Benchmark, LimitPassedError, limit, require_known, require_within
from realtime.benchmark_run import write_benchmark
from realtime.histogram import latency_picture
from realtime.statistics import Distribution
from tests.faults.disks import files_of_at_most
from tests.fixtures import the_sentence
from tests.realtime.fakes import result_of


class FakeCpu:
    """CPU time of a process: 5 s of start-up, then 20 ms a frame."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def __call__(self) -> float:
        return self.seconds


def measured(ages: list[float], *, warm_up: int = 2, dropped: int = 0, **changes: object) -> Benchmark:
    cpu = FakeCpu()
    benchmark = Benchmark(len(ages) - warm_up, warm_up, cpu)
    for index, age in enumerate(ages):
        cpu.seconds += 0.02
        done = benchmark.take(result_of(index, age_ms=age, dropped_before=dropped, **changes))
        assert done == (index == len(ages) - 1)
    return benchmark


def test_frames_of_the_warm_up_count_in_no_figure() -> None:
    figures = measured([900.0, 900.0, *[40.0] * 50]).figures()
    assert figures["max_ms"] == 40
    assert figures["p50_ms"] == pytest.approx(40, rel=0.006)
    assert figures["cpu_ms"] == pytest.approx(20)


def test_drops_and_duplicates_are_shares() -> None:
    figures = measured([40.0] * 12, dropped=1, duplicate=True).figures()
    assert (figures["dropped_percent"], figures["duplicates_percent"]) == (50, 100)


def test_what_happens_after_the_engines_has_stages_of_its_own() -> None:
    moments = {"submitted": 1.0, "posed": 20.0, "scored": 21.0, "delivered": 22.0, "drawn": 26.0, "shown": 29.0}
    figures = measured([29.0] * 5, moments_ms=moments).figures()
    assert [figures[f"{stage}_max_ms"] for stage in ("deliver", "draw", "show")] == [1, 4, 3]


def test_every_figure_can_be_a_limit() -> None:
    moments = {"submitted": 1.0, "delivered": 22.0, "drawn": 26.0, "shown": 29.0}
    figures = measured([29.0] * 5, moments_ms=moments).figures()
    assert set(figures) <= set(LIMIT_NAMES)
    require_within(figures, [(name, value) for name, value in figures.items()])


def test_a_passed_limit_ends_with_1_and_names_each_figure() -> None:
    figures = measured([40.0] * 12).figures()
    with pytest.raises(LimitPassedError, match=r"max_ms is 40, cpu_ms is 20; --fail-over allows max_ms=39") as caught:
        require_within(figures, [("max_ms", 39.0), ("p50_ms", 60.0), ("cpu_ms", 19.0)])
    assert caught.value.exit_code == 1


def test_a_limit_on_a_stage_that_was_not_run_is_told_of() -> None:
    with pytest.raises(BadInputError, match="this run had no such stage"):
        require_within(measured([40.0] * 12).figures(), [("draw_p95_ms", 9.0)])


def test_an_unknown_limit_is_refused_with_the_list() -> None:
    with pytest.raises(BadInputError, match=r"--fail-over names fps; p50_ms, .*cpu_ms.*detect.* are allowed|names fps"):
        require_known([("p95_ms", 60.0), ("fps", 30.0)])


@pytest.mark.parametrize("text", ["p95_ms", "p95_ms=", "p95_ms=fast", "=60", "p95_ms=-1", "p95_ms=nan"])
def test_what_is_no_limit_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError):
        limit(text)


def test_a_source_that_ends_in_the_warm_up_is_told_of() -> None:
    benchmark = Benchmark(10, 5, FakeCpu())
    benchmark.take(result_of(0))
    with pytest.raises(BadInputError, match="the source gave 1 frames"):
        benchmark.figures()


def test_figures_and_picture_are_written_beside_the_results(tmp_path: Path) -> None:
    benchmark = measured([40.0 + index for index in range(40)])
    figures, picture = write_benchmark(benchmark, tmp_path / "out.jsonl")
    content = json.loads(figures.read_text())
    assert content["frames"] == 38 and content["p95_ms"] == benchmark.figures()["p95_ms"]
    assert "from the capture" in content["explained"]["age"]
    assert cv2.imread(str(picture)).shape == (540, 960, 3)


def test_a_folder_in_the_place_of_the_results_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_live.main(["--demo", "--headless", "--benchmark", "5", "--results", "."]) == EXIT_BAD_INPUT
    assert "--results . cannot be written: it is a folder" in the_sentence(capsys.readouterr().err)


def test_on_a_full_disk_older_figures_stay(tmp_path: Path) -> None:
    (tmp_path / "out.benchmark.json").write_text("old")
    with pytest.raises(BadInputError, match=r"out\.benchmark\.json could not be written"), files_of_at_most(100):
        write_benchmark(measured([40.0] * 40), tmp_path / "out.jsonl")
    assert (tmp_path / "out.benchmark.json").read_text() == "old"


@pytest.mark.parametrize("ages", [[], [0.0], [41.0] * 9, [1.0, 1e7]])
def test_any_distribution_can_be_drawn(ages: list[float]) -> None:
    age = Distribution()
    for one in ages:
        age.add(one)
    assert latency_picture(age, {"pose": age}, "any").shape == (540, 960, 3)
