"""What the smoothing does to people who really move, and to keypoints that are misplaced for one frame.

    python benchmarks/smoothing.py --data ../shared/data/penn_action_train.npz

The tracks are joints that people labelled in clips of Penn Action (golf swings, pitches, push-ups and others), taken as
30 frames a second. The filter of `engines.graphs.pose` follows them with its two rules (a limit of speed; who jumps to
their partner's place is doubted), without the second, and without both; distances from the labels are in percent of the
person's height. Then `--misplaced` of the joints of a frame are put anywhere within the person's bounds, or where their
partner on the other side of the body is, as a network does that takes the left foot for the right.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from calibration.datasets.penn import read_penn
from engines.errors import BadInputError
from engines.graphs import pose
from engines.skeleton import MIRRORED_JOINT

FPS = 30.0
LEAST_VISIBLE = 5
SPEEDS = (3, 4, 5, 6, 8, 10)

Track = tuple[np.ndarray, np.ndarray]
"""Joints `float32 [F, 15, 2]` px and whether each was labelled, `bool [F, 15]`."""


def read_tracks(data: Path) -> list[Track]:
    """One track a clip; of clips with fewer than five joints in some frame none."""
    poses = read_penn(data)
    ends = np.flatnonzero(np.diff(poses.group)) + 1
    tracks = zip(np.split(poses.xy, ends), np.split(poses.visible, ends), strict=True)
    return [track for track in tracks if (track[1].sum(1) >= LEAST_VISIBLE).all()]


def bounds(track: Track) -> np.ndarray:
    """The box around the labelled joints of each frame, `float32 [F, 4]`."""
    xy, visible = track
    low = np.where(visible[..., None], xy, np.inf).min(1)
    high = np.where(visible[..., None], xy, -np.inf).max(1)
    return np.concatenate([low, high], 1).astype(np.float32)


def height(boxes: np.ndarray) -> float:
    """Of the person: the median of the frames' longer sides, px."""
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).max(1)))


def speeds(track: Track) -> np.ndarray:
    """Every labelled joint's move from frame to frame, heights a second."""
    xy, visible = track
    moves = np.linalg.norm(np.diff(xy, axis=0), axis=-1) * FPS / height(bounds(track))
    return moves[visible[1:] & visible[:-1]]


def smoothed(track: Track, boxes: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """The filter's positions `[F, 15, 2]` for `raw` ones; a joint that is not labelled starts anew."""
    post, seconds = pose.PosePost(0.3, MIRRORED_JOINT), torch.tensor([1 / FPS])
    state, result = torch.zeros(1, raw.shape[1], 4), np.empty_like(raw)
    for frame, (places, box, seen) in enumerate(zip(raw, boxes, track[1], strict=True)):
        position, speed = post.smooth(torch.from_numpy(places)[None], torch.from_numpy(box)[None], state, seconds)
        result[frame] = position[0].numpy()
        state = torch.cat([position, speed], -1) * torch.from_numpy(seen)[None, :, None]
    return result


def misplaced(track: Track, boxes: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The track with a share of its joints anywhere within the frame's box."""
    anywhere = boxes[:, None, :2] + rng.random(track[0].shape) * (boxes[:, None, 2:] - boxes[:, None, :2])
    return np.where(rng.random(track[0].shape[:2])[..., None] < share, anywhere, track[0]).astype(np.float32)


def at_partners(track: Track, share: float, rng: np.random.Generator) -> np.ndarray:
    """The track with a share of its joints where the joint on the other side of the body is."""
    partners = list(MIRRORED_JOINT)
    chosen = (rng.random(track[0].shape[:2]) < share) & track[1][:, partners]
    return np.where(chosen[..., None], track[0][:, partners], track[0]).astype(np.float32)


def off(track: Track, boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How far every labelled joint lies from its label, percent of the person's height."""
    return 100 * np.linalg.norm(places - track[0], axis=-1)[track[1]] / height(boxes)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--misplaced", type=float, default=0.02, help="share of a frame's joints")
    parser.add_argument("--clips", type=int, default=200, help="clips to filter, evenly over the set")
    arguments = parser.parse_args()
    try:
        tracks = read_tracks(arguments.data)
    except BadInputError as error:
        sys.exit(f"error: {error}")
    moves = np.concatenate([speeds(track) for track in tracks])
    table = Table(
        *(f"> {limit}" for limit in SPEEDS), title=f"Moves faster than so many heights a second, of {len(moves):,}"
    )
    table.add_row(*(f"{100 * np.mean(moves > limit):.3f} %" for limit in SPEEDS))
    console = Console(width=120)
    console.print(table)

    chosen = tracks[:: max(1, len(tracks) // arguments.clips)]
    table = Table("from the labels, percent of the height", "mean", "p99", "p99.9", title=f"{len(chosen)} clips")
    share, boxes = arguments.misplaced, [bounds(track) for track in chosen]
    mistakes: dict[str, Callable[[Track, np.ndarray, np.random.Generator], np.ndarray]] = {
        "as labelled": lambda track, *_: track[0],
        f"{share:.0%} anywhere": lambda track, box, rng: misplaced(track, box, share, rng),
        f"{share:.0%} at the partner's": lambda track, _, rng: at_partners(track, share, rng),
    }
    rules = {
        "both rules": (pose.FASTEST_SPEED, pose.LEAST_APART),
        "limit of speed alone": (pose.FASTEST_SPEED, math.inf),
        "no rule": (math.inf, math.inf),
    }
    for mistake, made in mistakes.items():
        for rule, limits in rules.items():
            pose.FASTEST_SPEED, pose.LEAST_APART = limits
            rng = np.random.default_rng(0)
            away = [
                off(track, box, smoothed(track, box, made(track, box, rng)))
                for track, box in zip(chosen, boxes, strict=True)
            ]
            everything = np.concatenate(away)
            cells = [f"{value:.2f}" for value in (everything.mean(), *np.percentile(everything, [99, 99.9]))]
            table.add_row(f"{mistake}, {rule}", *cells)
    console.print(table)


if __name__ == "__main__":
    main()
