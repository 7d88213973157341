"""Command line that scores one pose against another: `python -m calibration.compare A B`. Knows no pose network.

A and B are pictures, targets or other keypoints in `.json`, or `.npz` files; a picture's person is found with the live
loop's engines. What a target asks for holds as there: joints to ignore, and of the first target the score width and the
mirrored pose. With `--figure` several pairs are drawn in rows, ranked by their scores, as in the paper's Figure 3.
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
    from calibration.methods import ENCODER_HELP, embed
    from calibration.pose_files import FilePose, read_pose
    from engines.device_chain import DeviceChain
    from engines.networks.encoders import load_encoder
    from engines.options import OptionParser
    from engines.output_paths import require_ending, require_writable
    from engines.skeleton import BONES, JOINTS, VISIBLE_CONFIDENCE
    from realtime.executor import Chain
    from realtime.opening import engines_folder, open_chain
    from realtime.pose import SCORE_WIDTH_RANGE, Target, ignore_words, parse_ignore
    from realtime.scoring import LEAST_VISIBLE_SHARE, enough_visible, missing_joints, score_from_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_AROUND = 0.65
"""Half the side of the square that is drawn, in units of the longer side of the pose's box."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two poses and what an encoder says of them.

    Attributes:
        poses: with their pictures, if they come from any.
        distance: equation 5 under the common mask.
        score: equation 6, 0..100.
        width: of equation 6.
        target: name of the file whose own width that is; empty where it is none's.
        mirrored: whether the target's mirrored pose was the nearer one.
    """

    poses: tuple[FilePose, FilePose]
    distance: float
    score: float
    width: float
    target: str
    mirrored: bool = False


def parser() -> argparse.ArgumentParser:
    """The command line of comparing."""
    line = OptionParser(prog="python -m calibration.compare", description=__doc__)
    line.add_argument("poses", nargs="+", type=Path, help="two files; with --figure any even number, pair by pair")
    line.add_argument("--encoder", default="graded", help=ENCODER_HELP)
    line.add_argument(
        "--width", type=float, help=f"score width u (a target's own, A's first; else {Target.score_width})"
    )
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
        leave_out = f"leave them out with --ignore {','.join(ignore_words({*ignore, *missing}))}"
        way = leave_out if encoder.masked else "give --encoder graded, which leaves joints out"
        least = math.ceil(LEAST_VISIBLE_SHARE * counted) if encoder.masked else counted
        raise BadInputError(
            f"only {counted - len(missing)} joints are visible in both (not {', '.join(missing)})",
            f"this encoder needs {least} of the {counted} that count",
            f"choose poses that show the whole person, or {way}",
        )
    mask = ((common[:, 2] >= VISIBLE_CONFIDENCE) & (counts > 0)).astype(np.float32)[None]
    one, other = embed(encoder, first[None, :, :2], mask), embed(encoder, second[None, :, :2], mask)
    distance = max(0.0, float(1 - (one.astype(np.float64) * other).sum()))
    return distance, float(score_from_distance(distance, width))


def compared(encoder: nn.Module, first: FilePose, second: FilePose, width: float | None) -> Comparison:
    """The poses of two files, as the target among them asks for it: of two targets the first one.

    Where no width is given it is the target's own; the target's mirrored pose counts too if the target says so.

    Raises:
        BadInputError: see `compare`.
    """
    target, named = first.target or second.target, first if first.target else second
    own = width is None and target is not None
    if width is None:
        width = target.score_width if target else Target.score_width
    forms = [(first, second)]
    if target and target.match_mirrored:
        forms.append((first.mirrored(), second) if named is first else (first, second.mirrored()))
    try:
        said = [compare(encoder, a.joints, b.joints, width, {*a.ignore, *b.ignore}) for a, b in forms]
    except BadInputError as error:
        raise BadInputError(f"{first.name} / {second.name}: {error.seen}", error.allowed, error.next_step) from error
    best = min(range(len(said)), key=lambda form: said[form][0])
    return Comparison((first, second), *said[best], width, named.name if own else "", mirrored=best > 0)


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
        form = ", mirrored" if comparison.mirrored else ""
        part.suptitle(f"{rank}score {comparison.score:.1f}{form}".capitalize(), weight="bold")
        for half, pose in zip(part.subplots(1, 2), comparison.poses, strict=True):
            half.set(aspect="equal", title=pose.name)
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


def sentence(comparison: Comparison, encoder: str) -> str:
    """What is printed of two poses."""
    names = " / ".join(pose.name for pose in comparison.poses)
    whose = f" of {comparison.target}" if comparison.target else ""
    mirrored = ", mirrored" if comparison.mirrored else ""
    return (
        f"{names}: score {comparison.score:.1f}, distance {comparison.distance:.4f} "
        f"({encoder}, width {comparison.width:g}{whose}{mirrored})"
    )


@documented_exits()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)
    if len(options.poses) % 2 or (len(options.poses) > 2 and not options.figure):
        seen = f"{len(options.poses)} file{'s' * (len(options.poses) > 1)} came"
        raise BadInputError(seen, "two poses, or pairs with --figure, are compared", "give two files a pair")
    least, most = SCORE_WIDTH_RANGE
    if options.width is not None and not least <= options.width <= most:
        raise BadInputError(
            f"--width is {options.width}", f"a width is a number from {least} to {most}", "give one, such as 0.3"
        )
    require_writable(options.out, "--out", apart_from=options.poses)
    require_ending(options.out, "--out", FIGURE_ENDINGS)
    encoder = load_encoder(options.encoder)
    with contextlib.ExitStack() as stack:

        @functools.cache
        def engines() -> Chain:
            chain, _ = open_chain(engines_folder(options.engines), "bones", "auto")
            if isinstance(chain, DeviceChain):
                stack.callback(chain.close)
            return chain

        files = [read_pose(path, engines, options.ignore, say=print) for path in options.poses]
    pairs = zip(files[::2], files[1::2], strict=True)
    comparisons = [compared(encoder, first, second, options.width) for first, second in pairs]
    comparisons.sort(key=lambda comparison: -comparison.score)
    draw(comparisons, options.out, options.figure)
    for comparison in comparisons:
        print(sentence(comparison, options.encoder))
    print(f"drawn to {options.out}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
