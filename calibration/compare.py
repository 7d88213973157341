"""Command line that scores one pose against another: `python -m calibration.compare A B`. Knows no pose network.

A and B are `.npz` or target `.json` files, or pictures where a picture reader is wired in (calibration.pose_files).
With `--figure` several pairs are drawn in rows, as in the paper's Figure 3 (high, medium and low similarity).
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from calibration.datasets.poseset import Floats
from calibration.methods import embed
from calibration.outcome_scores import score_from_distance
from calibration.pose_files import PictureReader, read_pose
from engines.errors import EXIT_OK, BadInputError
from engines.exits import documented_exits
from engines.networks.encoders import load_encoder
from engines.skeleton import BONES, JOINTS, VISIBLE_CONFIDENCE

LEAST_COMMON_JOINTS = 12
GRADES = ("high", "medium", "low")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two poses and what an encoder says of them.

    Attributes:
        names: of the two files.
        poses: `float32 [15, 3]` each, x px, y px, confidence.
        distance: equation 5 under the common mask.
        score: equation 6, 0..100.
    """

    names: tuple[str, str]
    poses: tuple[Floats, Floats]
    distance: float
    score: float


def parser() -> argparse.ArgumentParser:
    """The command line of comparing."""
    line = argparse.ArgumentParser(prog="python -m calibration.compare", description=__doc__)
    line.add_argument("poses", nargs="+", type=Path, help="two poses; with --figure any even number, pair by pair")
    line.add_argument("--encoder", default="graded", help="graded, paper, mlp, bones or a .safetensors file")
    line.add_argument("--width", type=float, default=0.3, help="score width u (%(default)s, the paper's)")
    line.add_argument("--out", type=Path, default=Path("compare.png"), help="picture to write (%(default)s)")
    line.add_argument("--figure", action="store_true", help="draw all pairs, best score first (the paper's Figure 3)")
    return line


def compare(encoder: nn.Module, first: Floats, second: Floats, width: float) -> tuple[float, float]:
    """Distance (equation 5) and score (equation 6) of two poses `[15, 3]` under their common mask.

    Raises:
        BadInputError: fewer than 12 joints are visible in both, or the encoder knows no mask and one is missing.
    """
    visible = (first[:, 2] >= VISIBLE_CONFIDENCE) & (second[:, 2] >= VISIBLE_CONFIDENCE)
    least = LEAST_COMMON_JOINTS if encoder.masked else len(JOINTS)
    if visible.sum() < least:
        missing = ", ".join(name for name, seen in zip(JOINTS, visible, strict=True) if not seen)
        raise BadInputError(
            f"only {visible.sum()} joints are visible in both (not {missing})",
            f"this encoder needs {least} of 15",
            "choose poses that show the whole person",
        )
    mask = visible.astype(np.float32)[None]
    one, other = embed(encoder, first[None, :, :2], mask), embed(encoder, second[None, :, :2], mask)
    distance = float(1 - (one.astype(np.float64) * other).sum())
    return distance, float(score_from_distance(np.array([distance]), width)[0])


def draw(comparisons: list[Comparison], path: Path, graded: bool) -> None:
    """Each pair side by side, one row a pair, with its score; written to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2 * len(comparisons)), layout="constrained")
    grid = figure.subplots(len(comparisons), 2, squeeze=False)
    for row, (axes, comparison) in enumerate(zip(grid, comparisons, strict=True)):
        for place, name, pose in zip(axes, comparison.names, comparison.poses, strict=True):
            for start, end in BONES:
                if min(pose[start, 2], pose[end, 2]) >= VISIBLE_CONFIDENCE:
                    place.plot(pose[[start, end], 0], pose[[start, end], 1], color="tab:blue", linewidth=3)
            shown = pose[pose[:, 2] >= VISIBLE_CONFIDENCE]
            place.scatter(shown[:, 0], shown[:, 1], color="tab:orange", zorder=2)
            place.set(aspect="equal", title=name)
            place.invert_yaxis()
            place.axis("off")
        grade = f"{GRADES[min(row, 2)]} similarity, " if graded and len(comparisons) == len(GRADES) else ""
        axes[1].set_title(f"{comparison.names[1]}\n{grade}score {comparison.score:.1f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


@documented_exits()
def main(arguments: list[str] | None = None, read_picture: PictureReader | None = None) -> int:
    """Runs the command line; `read_picture` is the pose pipeline, where there is one. Returns the exit code."""
    options = parser().parse_args(arguments)
    if len(options.poses) % 2 or (len(options.poses) > 2 and not options.figure):
        raise BadInputError(f"{len(options.poses)} files", "two poses, or pairs with --figure", "give two files a pair")
    if not options.width > 0:
        raise BadInputError(f"--width {options.width}", "a width is above 0", "give one, such as 0.3")
    encoder = load_encoder(options.encoder)
    comparisons = []
    for first, second in zip(options.poses[::2], options.poses[1::2], strict=True):
        poses = read_pose(first, read_picture), read_pose(second, read_picture)
        names = first.stem, second.stem
        comparisons.append(Comparison(names, poses, *compare(encoder, *poses, options.width)))
    comparisons.sort(key=lambda comparison: -comparison.score)
    draw(comparisons, options.out, options.figure)
    for comparison in comparisons:
        print(
            f"{comparison.names[0]} / {comparison.names[1]}: score {comparison.score:.1f}, "
            f"distance {comparison.distance:.4f} ({options.encoder}, width {options.width})"
        )
    print(f"drawn to {options.out}")
    return EXIT_OK


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
