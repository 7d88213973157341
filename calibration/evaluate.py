"""Command line that prints one table for all encoders and classical distances: `python -m calibration.evaluate`.

Knows where the numbers come from and how they are laid out; how each is measured is in calibration.evaluation.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from engines.errors import EXIT_OK, BadInputError
from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np
    import torch
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table
    from torch import nn

    from calibration.baselines import CLASSICAL
    from calibration.datasets.outcomes import read_ski_jumps, read_speed21
    from calibration.evaluation import SHORT_COLUMNS, TestSet, measure, read_test_set
    from calibration.methods import Method, classical_method, encoder_method
    from calibration.outcome_scores import spearman_with_interval
    from calibration.paper_rule import PAPER_ENCODERS, cross_validated
    from calibration.paper_tables import SEEDS, STEPS, paper_tables
    from calibration.training import SPREAD_OF_DEAD
    from engines.networks.encoders import PaperEncoder, load_encoder
    from engines.options import OptionParser
    from engines.output_paths import require_writable
    from engines.whole_files import write_whole

DATA = Path("../shared/data")
COLUMNS = (*SHORT_COLUMNS, "jitter", "outliers", "dropped", "mirror", "drop 3", "climb", "ski")
COLLAPSE_SEEDS = 200
RULE_FOLDS = 5
RULE_STEPS = 2000


def parser() -> argparse.ArgumentParser:
    """The command line of evaluation."""
    line = OptionParser(prog="python -m calibration.evaluate", description=__doc__)
    line.add_argument("--data", type=Path, default=DATA, help="folder with the annotation files (%(default)s)")
    line.add_argument("--encoders", default="graded,paper,mlp", help="names or files, comma separated (%(default)s)")
    line.add_argument("--runs", type=Path, default=None, help="folder of calibration.train: mean and spread over seeds")
    line.add_argument("--actions", default="", help="only these Penn actions, comma separated")
    line.add_argument("--short", action="store_true", help=f"only the columns {', '.join(SHORT_COLUMNS)}")
    line.add_argument("--no-classical", action="store_true", help="leave the classical distances out")
    line.add_argument("--no-collapse", action="store_true", help="leave the collapse rate out")
    line.add_argument("--out", type=Path, default=None, help="also write the table as Markdown")
    line.add_argument(
        "--paper", type=Path, default=None, help="folder with AQA data: print the paper's Tables I and II"
    )
    line.add_argument("--seeds", type=int, default=SEEDS, help="with --paper: seeds of each encoder (%(default)s)")
    line.add_argument("--steps", type=int, default=STEPS, help="with --paper: batches of each training (%(default)s)")
    line.add_argument("--rule", action="store_true", help="train paper and mlp by the paper's rule on climbs and jumps")
    return line


def methods_of(arguments: argparse.Namespace) -> dict[str, list[Method]]:
    """For each row of the table its methods, one a seed.

    Raises:
        EngineError: an encoder's weights are missing or broken.
        BadInputError: the folder of runs holds none.
    """
    rows: dict[str, list[Method]] = {}
    for name in filter(None, arguments.encoders.split(",")):
        rows[name] = [encoder_method(name, load_encoder(name))]
    if arguments.runs:
        found = sorted(arguments.runs.glob("*/weights.safetensors"))
        if not found:
            raise BadInputError(
                f"no */weights.safetensors in {arguments.runs}",
                "a folder of calibration.train is needed",
                "train first",
            )
        for path in found:
            recipe = path.parent.name.rpartition("-")[0]
            rows.setdefault(f"{recipe}, seeds", []).append(encoder_method(recipe, load_encoder(path)))
    if not arguments.no_classical:
        rows |= {name: [classical_method(name)] for name in CLASSICAL}
    return rows


def measure_rows(
    rows: dict[str, list[Method]], tests: TestSet, short: bool = False
) -> dict[str, list[dict[str, float]]]:
    """The numbers of every method of every row."""
    measured: dict[str, list[dict[str, float]]] = {}
    jobs = [(name, method) for name, methods in rows.items() for method in methods]
    for name, method in track(jobs, "measuring", console=Console(stderr=True)):
        measured.setdefault(name, []).append(measure(method, tests, short))
    return measured


def cell(values: Iterable[dict[str, float]], column: str) -> str:
    """One number, or mean ± standard deviation over seeds; the ski jumps with their 95 % interval."""
    listed = list(values)
    numbers = np.array([entry[column] for entry in listed])
    if len(numbers) > 1:
        return f"{numbers.mean():.3f} ± {numbers.std():.3f}"
    if column == "ski":
        return f"{numbers[0]:.2f} [{listed[0]['ski low']:.2f}, {listed[0]['ski high']:.2f}]"
    return f"{numbers[0]:.3f}"


def columns_of(measured: dict[str, list[dict[str, float]]]) -> list[str]:
    """The columns that were measured, in order."""
    return [column for column in COLUMNS if all(column in entry for rows in measured.values() for entry in rows)]


def markdown(measured: dict[str, list[dict[str, float]]]) -> str:
    """The table as Markdown."""
    columns = columns_of(measured)
    lines = ["| method | seeds | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 2) + "|"]
    for name, values in measured.items():
        cells = [cell(values, column) for column in columns]
        lines.append(f"| {name} | {len(values)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def show(measured: dict[str, list[dict[str, float]]], console: Console) -> None:
    """Prints the table."""
    table = Table(title="Poses of people and actions that no encoder was trained on (Penn Action)")
    columns = columns_of(measured)
    for column in ("method", "seeds", *columns):
        table.add_column(column, no_wrap=True)
    for name, values in measured.items():
        table.add_row(name, str(len(values)), *(cell(values, column) for column in columns))
    console.print(table)


def collapse_rate(new_encoder: type[nn.Module], xy: torch.Tensor, seeds: int = COLLAPSE_SEEDS) -> float:
    """The share of random initialisations that give every pose `[N, 15, 2]` the same embedding."""
    dead = 0
    for seed in range(seeds):
        torch.manual_seed(seed)
        with torch.no_grad():
            dead += bool(new_encoder()(xy, torch.ones(xy.shape[:2])).std(0).max() < SPREAD_OF_DEAD)
    return dead / seeds


def show_rule(data: Path, console: Console, steps: int = RULE_STEPS) -> None:
    """Prints how encoders trained by the paper's pair rule rank real outcomes, five folds by performer."""
    table = Table(title="Trained by the paper's pair rule on the other folds: Spearman's rho [95 %]")
    for column in ("method", "climb", "ski"):
        table.add_column(column)
    outcomes = read_speed21(data / "speed21.npz"), read_ski_jumps(data / "skijump.npz")
    for encoder in PAPER_ENCODERS:
        cells = []
        for outcome in outcomes:
            distance = cross_validated(encoder, outcome, RULE_FOLDS, seed=0, steps=steps)
            cells.append("{:.2f} [{:.2f}, {:.2f}]".format(*spearman_with_interval(distance, outcome.outcome)))
        table.add_row(encoder, *cells)
    console.print(table)


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    console = Console(width=160)
    if options.paper:
        console.print(paper_tables(options.paper, options.seeds, options.steps))
        return EXIT_OK
    if options.rule:
        show_rule(options.data, console)
        return EXIT_OK
    if options.out:
        require_writable(options.out, "--out")  # before minutes of work
    tests = read_test_set(options.data, tuple(filter(None, options.actions.split(","))))
    measured = measure_rows(methods_of(options), tests, options.short)
    show(measured, console)
    if not options.no_collapse:
        rate = collapse_rate(PaperEncoder, torch.from_numpy(tests.poses.xy[:500]))
        console.print(f"paper: {rate:.1%} of {COLLAPSE_SEEDS} random initialisations are dead at birth")
    if options.out:
        write_whole(options.out, markdown(measured))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
