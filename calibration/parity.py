"""How far a folder of engines is from the float32 graphs, on sample frames; refuses what is too far.

    python -m calibration.parity --engines engines/built --reference DIR --source CLIP

DIR holds the same networks built with `build_engines.py --backend onnx --precision fp32`. Both pose engines look into
the reference's boxes, so that a pose is compared with the same pose; from there on each side goes its own way to the
score. Knows no backend.
"""

import argparse
import contextlib
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from engines.errors import BadInputError, EngineError, in_command
from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console
    from rich.table import Table

    from engines.execution import Targets
    from engines.geometry import iou
    from engines.host_sampling import letterbox
    from engines.manifest import Parity, write_manifest
    from engines.options import OptionParser
    from realtime.executor import Chain
    from realtime.frames import MonotonicClock, Picture
    from realtime.opening import open_chain
    from realtime.pipeline import BAR_GREY
    from realtime.sources import open_source

Floats = npt.NDArray[np.float32]

REFERENCE_WIDTH_PX = 1280
SCORE_WIDTH = 0.3
MOST_TARGETS = 8
SURE_CONFIDENCE = 0.4
"""Detections below it may be there in one and not in the other without either being wrong."""


@dataclass(frozen=True)
class Tolerance:
    """What is accepted; see `Parity` for what is compared with it."""

    keypoint_p99_px: float = 1.0
    box_iou: float = 0.98
    score_points: float = 1.0

    def exceeded(self, parity: Parity) -> list[str]:
        """What is beyond the tolerance, in words; a figure that is no number is."""
        told = []
        if not parity.keypoint_p99_px <= self.keypoint_p99_px:
            told.append(f"keypoints shift by {parity.keypoint_p99_px:.2f} px (at most {self.keypoint_p99_px:g})")
        if not parity.box_iou >= self.box_iou:
            told.append(f"boxes overlap by {parity.box_iou:.3f} (at least {self.box_iou:g})")
        if not parity.score_points <= self.score_points:
            told.append(f"scores differ by {parity.score_points:.2f} points (at most {self.score_points:g})")
        return told


@dataclass
class Differences:
    """What was seen so far, one value for each keypoint, box and pair of poses."""

    frames: int = 0
    shifts_px: list[float] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    embedding_distances: list[float] = field(default_factory=list)
    score_points: list[float] = field(default_factory=list)

    def summary(self) -> Parity:
        """The figures for the manifest, not accepted yet.

        Raises:
            BadInputError: nobody was seen.
        """
        if not self.shifts_px or not self.ious:
            raise BadInputError(
                f"the {self.frames} sample frames show nobody that the float32 graphs can find",
                "frames with at least one whole person are needed",
                "give another --source",
            )
        return Parity(
            frames=self.frames,
            keypoint_median_px=rounded(self.shifts_px, 50),
            keypoint_p99_px=rounded(self.shifts_px, 99),
            box_iou=rounded(self.ious, 1),
            embedding_distance=rounded(self.embedding_distances, 99),
            score_points=rounded(self.score_points, 99),
            accepted=False,
        )


def rounded(values: Sequence[float], percentile: float) -> float:
    """A percentile, to six digits after the point."""
    return round(float(np.percentile(values, percentile)), 6)


def compare(reference: Chain, other: Chain, frames: Iterable[Picture]) -> Parity:
    """Runs frames uint8 [H, W, 3] through two chains of the same sizes.

    Raises:
        BadInputError: see `Differences.summary`.
    """
    seen = Differences()
    poses: list[tuple[Floats, Floats]] = []
    visible = reference.info.visible_confidence
    scale = REFERENCE_WIDTH_PX / reference.info.frame_size[0]
    for frame in frames:
        seen.frames += 1
        wanted, got = (chain.detect(frame, np.zeros(4, np.float32)) for chain in (reference, other))
        seen.ious += [best_iou(row, got) for row in wanted if row[4] >= SURE_CONFIDENCE]
        if not wanted.any():
            continue
        boxes = wanted[: reference.info.people]  # the detector gives more, for those who keep people apart
        state = np.zeros((len(boxes), 17, 4), np.float32)
        first, second = (chain.pose(frame, boxes, state, 0.0) for chain in (reference, other))
        sure = first.keypoints[..., 2] >= visible
        shift = np.linalg.norm((first.keypoints - second.keypoints)[sure][:, :2], axis=1)
        seen.shifts_px += (shift * scale).tolist()
        if first.joints.any():
            poses.append((first.joints, second.joints))
    compare_encoders(reference, other, poses, seen)
    return seen.summary()


def best_iou(box: Floats, boxes: Floats) -> float:
    """The largest overlap of a box float32 [5] with any of `boxes` [K, 5]."""
    return max(iou(box, one) for one in boxes)


def compare_encoders(reference: Chain, other: Chain, poses: list[tuple[Floats, Floats]], seen: Differences) -> None:
    """Scores of all pairs of poses float32 [K, 15, 3], each by its own side, against some of the reference's poses."""
    step = max(1, len(poses) // MOST_TARGETS)
    chosen = [joints[0] for joints, _ in poses[::step] if joints[0].any()][:MOST_TARGETS]
    if not chosen:
        return
    count = len(chosen)
    width = np.full(count, SCORE_WIDTH, np.float32)
    targets = Targets(np.stack(chosen), np.ones((count, 15), np.float32), width)
    for joints, others in poses:
        first, second = reference.encode(joints, targets), other.encode(others, targets)
        there = joints.any((1, 2))
        seen.score_points += np.abs(first.score - second.score)[there].ravel().tolist()
        one, two = first.embedding[there].astype(np.float64), second.embedding[there].astype(np.float64)
        lengths = np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1), 1e-12)
        seen.embedding_distances += np.maximum(1 - (one * two).sum(1) / lengths, 0).tolist()


def require_same(reference: Chain, other: Chain) -> None:
    """Refuses two folders that do not hold the same networks at the same sizes."""
    for what, one, two in (
        ("frame size", reference.info.frame_size, other.info.frame_size),
        ("number of people", reference.info.people, other.info.people),
        *(
            (f"weights of {name}", manifest.weights_sha256[:12], other.info.manifests[name].weights_sha256[:12])
            for name, manifest in reference.info.manifests.items()
        ),
    ):
        if one != two:
            raise EngineError(
                f"--reference has the {what} {one}, --engines {two}",
                "both must be built from the same weights at the same size",
                f"run build_engines.py --backend onnx --precision fp32 --out {in_command(reference.info.directory)}",
            )
    if any(manifest.precision != "fp32" for manifest in reference.info.manifests.values()):
        raise EngineError(
            f"the engines in {reference.info.directory} are not float32",
            "a reference must be",
            f"run build_engines.py --backend onnx --precision fp32 --out {in_command(reference.info.directory)}",
        )


def sample(source: str, frame_size: tuple[int, int], count: int) -> Iterable[Picture]:
    """The first `count` frames of a clip or of pictures, fitted to (width, height)."""
    width, height = frame_size
    with contextlib.closing(open_source(source, MonotonicClock(), pace=False, reconnect_seconds=0)) as opened:
        for _ in range(count):
            capture = opened.read(threading.Event())
            if capture is None:
                return
            yield letterbox(capture.image, (height, width), grey=BAR_GREY)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = OptionParser(
        prog="python -m calibration.parity",
        description="Compare engines with the float32 graphs they come from; the result goes into their manifests.",
        epilog="Exit codes: 0 within the tolerance, 2 bad arguments or file, 3 no such source, 4 refused.",
    )
    options.add_argument("--engines", type=Path, required=True, metavar="DIR", help="the engines to judge")
    options.add_argument("--reference", type=Path, required=True, metavar="DIR", help="the same as float32 ONNX graphs")
    options.add_argument("--source", required=True, metavar="FILE|GLOB", help="frames with people")
    options.add_argument("--encoder", default="graded", metavar="NAME")
    options.add_argument("--frames", type=int, default=60, metavar="N", help="at most so many (default 60)")
    tolerance = options.add_argument_group("tolerance")
    tolerance.add_argument("--keypoints-px", type=float, default=Tolerance.keypoint_p99_px, metavar="PX")
    tolerance.add_argument("--box-iou", type=float, default=Tolerance.box_iou, metavar="IOU")
    tolerance.add_argument("--score-points", type=float, default=Tolerance.score_points, metavar="POINTS")
    tolerance.add_argument("--accept", action="store_true", help="accept the engines whatever the figures are")
    return options


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Compares, tells, writes, and refuses.

    Raises:
        EngineError: beyond the tolerance, and not accepted.
    """
    reference, _ = open_chain(arguments.reference, arguments.encoder, "onnx", int8="off")
    other, where = open_chain(arguments.engines, arguments.encoder, "auto")
    require_same(reference, other)
    console.print(f"Engines: {arguments.engines} on {where}.", soft_wrap=True)
    parity = compare(reference, other, sample(arguments.source, other.info.frame_size, arguments.frames))
    tolerance = Tolerance(arguments.keypoints_px, arguments.box_iou, arguments.score_points)
    beyond = tolerance.exceeded(parity)
    parity = replace(parity, accepted=arguments.accept or not beyond)
    for manifest in other.info.manifests.values():
        write_manifest(replace(manifest, parity=parity), arguments.engines)
    table = Table("figure", "value", title=f"Against float32, {parity.frames} frames")
    for name, value in asdict(parity).items():
        if name != "frames":
            table.add_row(name.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value).lower())
    console.print(table)
    if not parity.accepted:
        raise EngineError(
            f"the engines in {arguments.engines} are too far from float32: {', '.join(beyond)}",
            "the figures above are within the tolerance for a good engine",
            "run build_engines.py --precision fp32, or give --accept",
        )


@documented_exits()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = parser().parse_args(argv)
    run(arguments, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
