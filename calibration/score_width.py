"""Command line that fits a target's score width to recorded holds: `python -m calibration.score_width`. Knows no pose.

Recordings are results files of the live loop (`--results FILE.jsonl`), or `.npz` with `distance` [N]. Some hold the
pose well (`--good`), some badly (`--bad`). The width is the one at which the pass mark parts them best; with good holds
alone it is the one at which 19 of 20 of their frames pass.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from engines.errors import EXIT_OK, BadInputError
from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np
    import numpy.typing as npt

    from calibration.curves import FIGURE_ENDINGS, draw_score
    from calibration.datasets.poseset import load_arrays, require_file
    from calibration.measures import area_under_curve
    from engines.options import OptionParser
    from engines.output_paths import require_ending, require_writable
    from realtime.scoring import score_from_distance

Floats64 = npt.NDArray[np.float64]
PASSING_SHARE = 0.95
LEAST_AUC, LEAST_WIDTH = 0.6, 0.02
"""Below these good and bad holds are not told apart: by chance the AUC is 0.5, and so small a width passes nobody."""

RECORD_IT = "record it with run_live.py --results"


def parser() -> argparse.ArgumentParser:
    """The command line of fitting."""
    line = OptionParser(prog="python -m calibration.score_width", description=__doc__)
    line.add_argument("--good", nargs="+", type=Path, required=True, help="recordings of good holds")
    line.add_argument("--bad", nargs="*", type=Path, default=[], help="recordings of bad holds")
    line.add_argument("--target", default=None, help="only frames scored against the target of this name")
    line.add_argument("--pass-score", type=float, default=80, help="the target's pass mark (%(default)s)")
    line.add_argument("--out", type=Path, default=Path("score_width.png"), help="curve to write (%(default)s)")
    return line


def unusable(path: Path, seen: str, needed: str) -> BadInputError:
    """The error of a recording: nobody can download a hold again, but hold it again."""
    return BadInputError(f"{path.name}: {seen}", f"a recording needs {needed}", RECORD_IT)


def read_distances(path: Path, target: str | None = None) -> Floats64:
    """The distances of all scored frames of a recording: `float64 [N]`.

    Raises:
        BadInputError: the file is missing or malformed, or has no scored frame (of that target).
    """
    if path.suffix == ".npz":
        found = load_arrays(path, ("distance",), "recording", advice=RECORD_IT)["distance"].astype(np.float64).ravel()
    else:
        found = np.array(_frame_distances(path, target), np.float64)
    if not len(found) and target is not None:
        raise BadInputError(
            f"{path.name} has no frame that was scored against {target!r}",
            "--target is the name of a target as the recording has it",
            "leave --target out, or give that name",
        )
    if not len(found) or not np.isfinite(found).all() or (found < 0).any():
        raise unusable(path, f"{len(found)} usable distances", "at least one scored frame, distances of 0 and above")
    return found


def _frame_distances(path: Path, target: str | None) -> list[float]:
    distances = []
    lines = require_file(path, "recording").read_bytes().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row: Any = json.loads(line)
            scored = row["type"] == "frame" and row["status"] == "scored"
            if scored and target in (None, row.get("target")):
                distances.append(float(row["distance"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            seen = f"line {number}: {type(error).__name__}"
            raise unusable(path, seen, "one JSON object a line, as --results writes them") from error
    return distances


def fit_width(good: Floats64, bad: Floats64, pass_score: float) -> float:
    """The width at which the pass mark parts good from bad best (equal weight to both kinds of error).

    Args:
        good: `float64 [G]`, distances of frames of good holds.
        bad: `float64 [B]`, of bad holds; may be empty.
        pass_score: the pass mark, between 0 and 100.

    Raises:
        BadInputError: the pass mark is out of range, every good distance is 0, or good and bad cannot be told apart.
    """
    if not 0 < pass_score < 100:
        raise BadInputError(f"--pass-score {pass_score}", "a pass mark lies between 0 and 100", "give one, such as 80")
    if len(bad):
        edges = np.unique(np.concatenate([good, bad]))
        limits = (edges + np.append(edges[1:], edges[-1] * 1.1)) / 2
        right = [(good <= limit).mean() + (bad > limit).mean() for limit in limits]
        limit = float(limits[int(np.argmax(right))])
    else:
        limit = float(np.quantile(good, PASSING_SHARE))
    if limit <= 0:
        raise BadInputError("every distance is 0", "recordings of a person, not of the target", "record holds again")
    width = float(limit / np.sqrt(-2 * np.log(pass_score / 100)))
    if len(bad):
        require_apart(good, bad, width)
    return width


def require_apart(good: Floats64, bad: Floats64, width: float) -> None:
    """Refuses a width that parts nothing.

    Raises:
        BadInputError: bad holds are hardly ever farther from the target than good ones, or the width is tiny.
    """
    auc = area_under_curve(np.concatenate([good, bad]), np.arange(len(good) + len(bad)) < len(good))
    if auc < LEAST_AUC or width < LEAST_WIDTH:
        raise BadInputError(
            f"good and bad holds cannot be told apart (AUC {auc:.2f}, where 0.5 is chance; width {width:.4f})",
            f"an AUC of {LEAST_AUC} and a width of {LEAST_WIDTH} or more are a result",
            "give other recordings, of one target, the good ones with --good and the bad ones with --bad",
        )


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    require_ending(options.out, "--out", FIGURE_ENDINGS)
    require_writable(options.out, "--out", apart_from=[*options.good, *options.bad])
    good = np.concatenate([read_distances(path, options.target) for path in options.good])
    bad = np.concatenate([np.zeros(0), *(read_distances(path, options.target) for path in options.bad)])
    width = fit_width(good, bad, options.pass_score)
    distance, is_good = np.concatenate([good, bad]), np.arange(len(good) + len(bad)) < len(good)
    draw_score(distance, is_good, width, options.pass_score, options.out)
    passed = score_from_distance(distance, width) >= options.pass_score
    failed = f", {(~passed[~is_good]).mean():.1%} of bad ones fail" if len(bad) else ""
    print(f"score_width {width:.4f}: {passed[is_good].mean():.1%} of good frames pass{failed}; drawn to {options.out}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
