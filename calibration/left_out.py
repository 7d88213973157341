"""Command line for whole actions left out: `python -m calibration.left_out --runs runs`, one table of three folds.

`runs/fold1`, `runs/fold2` and `runs/fold3` are folders of `calibration.train --dataset penn --leave-out`, each trained
without the actions of that fold. Knows the folds and the table; how numbers are measured is in calibration.evaluation.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from calibration.evaluate import DATA, measure_rows, methods_of
from calibration.evaluation import read_test_set
from engines.errors import EXIT_OK
from engines.exits import documented_exits
from engines.options import OptionParser

FOLDS = (
    "baseball_pitch,bowl,jump_rope,pushup,strum_guitar",
    "baseball_swing,clean_and_jerk,jumping_jacks,situp,tennis_forehand",
    "bench_press,golf_swing,pullup,squat,tennis_serve",
)
"""The actions left out of training, and tested, in each fold: what `--leave-out` and `--actions` are given."""

COLUMNS = ("AUC", "R@1", "bends")


def parser() -> argparse.ArgumentParser:
    """The command line of the folds."""
    line = OptionParser(prog="python -m calibration.left_out", description=__doc__)
    line.add_argument("--data", type=Path, default=DATA, help="folder with the annotation files (%(default)s)")
    line.add_argument("--encoders", default="graded", help="shipped names or files, comma separated (%(default)s)")
    line.add_argument("--runs", type=Path, default=None, help="folder with fold1, fold2 and fold3")
    line.add_argument("--no-classical", action="store_true", help="leave the classical distances out")
    return line


def cell(numbers: npt.NDArray[np.float64]) -> str:
    """AUC, recall and bends of seeds `[S, 3]`: their means, with standard deviations if there is more than one."""
    spread = numbers.std(0)
    several = len(numbers) > 1
    parts = [f"{mean:.3f}" + (f" ± {spread[k]:.3f}" if several else "") for k, mean in enumerate(numbers.mean(0))]
    return " / ".join(parts) + (f" ({len(numbers)})" if several else "")


def table(folds: list[dict[str, npt.NDArray[np.float64]]]) -> str:
    """The Markdown table; a row's numbers are `[S, 3]` in each fold, and the last column is the mean of their means."""
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    heads = [f"fold {number + 1}" for number in range(len(folds))]
    lines = ["| method | " + " | ".join([f"{heads[0]}: {' / '.join(COLUMNS)}", *heads[1:], "mean of the folds"]) + " |"]
    lines.append("| --- " * (len(folds) + 2) + "|")
    for name in names:
        mean = np.mean([fold[name].mean(0) for fold in folds], axis=0)
        lines.append("| " + " | ".join([name, *(cell(fold[name]) for fold in folds), cell(mean[None])]) + " |")
    return "\n".join(lines) + "\n"


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    runs, folds = options.runs, []
    for number, actions in enumerate(FOLDS, 1):
        options.runs = runs / f"fold{number}" if runs else None
        tests = read_test_set(options.data, tuple(actions.split(",")))
        measured = measure_rows(methods_of(options), tests, short=True)
        folds.append({name: np.array([[row[c] for c in COLUMNS] for row in rows]) for name, rows in measured.items()})
    print(table(folds), end="")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
