"""Command line that scores one pose against another: `python -m calibration.compare A B`. Knows no pose network.

A and B are pictures, targets or other keypoints in `.json`, or `.npz` files; a picture's person is found with the live
loop's engines. With `--figure` several pairs are drawn in rows, ranked by their scores, as in the paper's Figure 3.
"""

import argparse
import contextlib
import dataclasses
import functools
import math
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import EXIT_OK, BadInputError
from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np
    import torch
    from torch import nn

    from calibration.curves import FIGURE_ENDINGS, write_figure
    from calibration.datasets.poseset import Floats
    from calibration.methods import embed
    from calibration.pose_files import FilePose, read_pose
    from engines.device_chain import DeviceChain
    from engines.networks.encoders import load_encoder
    from engines.output_paths import require_ending, require_writable
    from engines.skeleton import BONES, JOINTS, VISIBLE_CONFIDENCE
    from realtime.executor import Chain
    from realtime.opening import engines_folder, open_chain
    from realtime.pose import parse_ignore
    from realtime.scoring import LEAST_VISIBLE_SHARE, enough_visible, missing_joints, score_from_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_AROUND = 0.65
"""Half the side of the square that is drawn, in units of the longer side of the pose's box."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two poses and what an encoder says of them.

    Attributes:
        names: of the two files.
        poses: with their pictures, if they come from any.
        distance: equation 5 under the common mask.
        score: equation 6, 0..100.
    """

    names: tuple[str, str]
    poses: tuple[FilePose, FilePose]
    distance: float
    score: float


def parser() -> argparse.ArgumentParser:
    """The command line of comparing."""
    line = argparse.ArgumentParser(prog="python -m calibration.compare", description=__doc__)
    line.add_argument("poses", nargs="+", type=Path, help="two files; with --figure any even number, pair by pair")
    line.add_argument("--encoder", default="graded", help="graded, paper, mlp, bones or a .safetensors file")
    line.add_argument("--width", type=float, default=0.3, help="score width u (%(default)s, the paper's)")
    line.add_argument("--ignore", type=parse_ignore, default=(), metavar="legs|JOINT,...", help="what does not count")
    line.add_argument("--engines", default=None, help="folder of engines, for pictures (engines/built, or quickstart)")
    line.add_argument("--out", type=Path, default=Path("compare.png"), help="picture to write (%(default)s)")
    line.add_argument("--figure", action="store_true", help="draw all pairs, best score first (the paper's Figure 3)")
    return line


def compare(
    encoder: nn.Module, first: Floats, second: Floats, width: float, ignore: Collection[str] = ()
) -> tuple[float, float]:
    """Distance (equation 5) and score (equation 6) of two poses `[15, 3]` under their common mask.

    Joints named in `ignore` do not count: none of them is missed, as in the live loop.

    Raises:
        BadInputError: no joint counts, or fewer than 80 % of those that do are visible in both; or one of all 15 is
            missing and the encoder knows no mask.
    """
    counts = np.array([not encoder.masked or name not in ignore for name in JOINTS], np.float32)
    common = np.where((first[:, 2] < second[:, 2])[:, None], first, second)  # of each joint the one seen less well
    missing, counted = missing_joints(common, counts, VISIBLE_CONFIDENCE), int(counts.sum())
    if not counted:
        raise BadInputError("no joint counts in both", "some joints must count", "ignore fewer of them")
    if not enough_visible(missing, counts, bool(encoder.masked)):
        least = math.ceil(LEAST_VISIBLE_SHARE * counted) if encoder.masked else counted
        raise BadInputError(
            f"only {counted - len(missing)} joints are visible in both (not {', '.join(missing)})",
            f"this encoder needs {least} of the {counted} that count",
            "choose poses that show the whole person, or leave joints out with --ignore",
        )
    mask = ((common[:, 2] >= VISIBLE_CONFIDENCE) & (counts > 0)).astype(np.float32)[None]
    one, other = embed(encoder, first[None, :, :2], mask), embed(encoder, second[None, :, :2], mask)
    distance = max(0.0, float(1 - (one.astype(np.float64) * other).sum()))
    return distance, float(score_from_distance(distance, width))


def draw(comparisons: list[Comparison], path: Path, ranked: bool) -> None:
    """Each pair side by side, one row a pair, with its score and, if `ranked`, its place; written to `path`.

    Raises:
        BadInputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6 * len(comparisons)), layout="constrained")
    parts = figure.subfigures(len(comparisons), 1, squeeze=False)[:, 0]
    for place, (part, comparison) in enumerate(zip(parts, comparisons, strict=True), start=1):
        rank = f"{place} of {len(comparisons)}: " if ranked else ""
        part.suptitle(f"{rank}score {comparison.score:.1f}".capitalize(), weight="bold")
        for half, name, pose in zip(part.subplots(1, 2), comparison.names, comparison.poses, strict=True):
            half.set(aspect="equal", title=name)
            _draw_pose(half, pose)
    write_figure(figure, path)


def _draw_pose(place: "Axes", pose: FilePose) -> None:
    """The skeleton over its picture, or on white."""
    joints, seen = pose.joints, pose.joints[:, 2] >= VISIBLE_CONFIDENCE
    low, high = joints[seen, :2].min(0), joints[seen, :2].max(0)
    (x, y), reach = (low + high) / 2, float((high - low).max()) * SHOWN_AROUND
    if pose.picture is not None:
        place.imshow(pose.picture[..., ::-1])
    for bone in BONES:
        if seen[list(bone)].all():
            place.plot(joints[bone, 0], joints[bone, 1], color="white", linewidth=5)
            place.plot(joints[bone, 0], joints[bone, 1], color="tab:blue", linewidth=3)
    place.scatter(joints[seen, 0], joints[seen, 1], color="tab:orange", edgecolor="white", zorder=2)
    place.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
    place.axis("off")


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    if len(options.poses) % 2 or (len(options.poses) > 2 and not options.figure):
        raise BadInputError(f"{len(options.poses)} files", "two poses, or pairs with --figure", "give two files a pair")
    if not options.width > 0:
        raise BadInputError(f"--width {options.width}", "a width is above 0", "give one, such as 0.3")
    require_writable(options.out, "--out", apart_from=options.poses)
    require_ending(options.out, "--out", FIGURE_ENDINGS)
    encoder = load_encoder(options.encoder)
    comparisons = []
    with contextlib.ExitStack() as stack:

        @functools.cache
        def engines() -> Chain:
            chain, _ = open_chain(engines_folder(options.engines), "bones", "auto")
            if isinstance(chain, DeviceChain):
                stack.callback(chain.close)
            return chain

        files = [read_pose(path, engines, options.ignore) for path in options.poses]
    for number in range(0, len(files), 2):
        first, second = files[number : number + 2]
        names = options.poses[number].stem, options.poses[number + 1].stem
        said = compare(encoder, first.joints, second.joints, options.width, {*first.ignore, *second.ignore})
        comparisons.append(Comparison(names, (first, second), *said))
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
    sys.exit(main())
