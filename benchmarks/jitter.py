"""How much the keypoints of a person who stands still move: pictures from clips, held still, with a camera's noise.

    python benchmarks/jitter.py --clips ../shared/media --engines engines/quickstart

A true still person cannot be told from a moving one in a clip, so single frames are held for `--frames` frames at 30 a
second, each with fresh noise: Gaussian, `--noise` grey levels (4 is a webcam indoors), and a shake of the camera of at
most `--shake` px. The figure is the mean over visible joints of the way from frame to frame, in px of the 1280x720
frame, the first half second left out, the shake itself taken off. It depends on the noise, so each picture is held
`--draws` times and its figure is their mean. Draws in which nobody is found are counted apart ("nobody").
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.execution import CpuChain, read_chain
from engines.host_sampling import letterbox
from engines.int8 import CHOICES, DEFAULT_INT8, choose_int8
from realtime.executor import CpuExecutor
from realtime.frames import Frame
from realtime.tracking import Tracker

FPS = 30.0
SETTLING_FRAMES = 15


def picture_at(clip: Path, share: float, size: tuple[int, int]) -> np.ndarray:
    """The frame at a share of the clip's length, letterboxed to (width, height)."""
    video = cv2.VideoCapture(str(clip))
    video.set(cv2.CAP_PROP_POS_FRAMES, int(video.get(cv2.CAP_PROP_FRAME_COUNT) * share))
    image = video.read()[1]
    if image is None:
        sys.exit(f"{clip} has no frame at {share}: give another --at")
    return letterbox(image, (size[1], size[0]), grey=0)


def still(
    chain: CpuChain, picture: np.ndarray, arguments: argparse.Namespace, smoothing: bool, seed: int
) -> float | None:
    """Px a frame of the visible joints with one draw of the noise; None where nobody is found."""
    rng = np.random.default_rng(seed)
    tracker = Tracker(chain.info.people, smoothing=smoothing, visible_confidence=chain.info.visible_confidence)
    executor = CpuExecutor(chain, None, tracker)
    height, width = picture.shape[:2]
    last, moves = None, []
    for index in range(arguments.frames):
        shake = rng.uniform(-1, 1, 2) * arguments.shake
        moved = cv2.warpAffine(picture, np.array([[1, 0, shake[0]], [0, 1, shake[1]]]), (width, height))
        grain = rng.standard_normal(picture.shape, np.float32) * arguments.noise
        image = np.clip(moved + grain, 0, 255).astype(np.uint8)
        executor.submit(Frame(image, index, index / FPS, 0), wait_ms=0)
        joints = executor.collect().joints
        if joints is None:
            last = None
            continue
        joints = np.array(joints) - [*shake, 0]
        if last is not None and index >= SETTLING_FRAMES:
            seen = (joints[:, 2] >= chain.info.visible_confidence) & (last[:, 2] >= chain.info.visible_confidence)
            if seen.any():
                moves.append(np.linalg.norm((joints - last)[seen, :2], axis=1).mean())
        last = joints
    return float(np.mean(moves)) if moves else None


def main() -> int:
    """Prints the table; 1 when a pose is less still than `--most` on the average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--int8", choices=CHOICES, default=DEFAULT_INT8, help="as run_live.py has it")
    parser.add_argument("--at", type=float, nargs="+", default=[0.2, 0.5, 0.8], help="shares of each clip's length")
    parser.add_argument("--frames", type=int, default=45)
    parser.add_argument("--noise", type=float, default=4.0)
    parser.add_argument("--shake", type=float, default=0.3)
    parser.add_argument("--draws", type=int, default=4, help="of the noise")
    parser.add_argument("--most", type=float, default=1.5, metavar="PX", help="allowed with smoothing")
    arguments = parser.parse_args()
    int8, form = choose_int8(arguments.engines, arguments.int8)
    chain = CpuChain(read_chain(arguments.engines, "bones", int8=int8))
    columns = ("clip", "pictures", "nobody", "px a frame", "worst", "worst draw", "without smoothing")
    table = Table(*columns, title=f"Still poses, {form or arguments.engines}")
    poses: list[float] = []
    draws: list[float] = []
    for clip in sorted(arguments.clips.glob("*.mp4")):
        pictures = [picture_at(clip, share, chain.info.frame_size) for share in arguments.at]
        smooth, raw = (
            np.array(
                [
                    [still(chain, picture, arguments, smoothing, draw) for draw in range(arguments.draws)]
                    for picture in pictures
                ],
                float,
            )
            for smoothing in (True, False)
        )
        found = [float(np.nanmean(row)) for row in smooth if np.isfinite(row).any()]
        each = smooth[np.isfinite(smooth)].tolist()
        poses, draws = poses + found, draws + each
        cells = ["-"] * 4
        if found and np.isfinite(raw).any():
            cells = [f"{figure:.2f}" for figure in (np.mean(found), max(found), max(each), np.nanmean(raw))]
        table.add_row(clip.stem, str(len(pictures)), f"{smooth.size - len(each)} of {smooth.size}", *cells)
    console = Console(width=120)
    console.print(table)
    if not poses:
        sys.exit("nobody was found in any picture")
    console.print(
        f"{len(poses)} pictures: mean {np.mean(poses):.2f}, worst {max(poses):.2f}, "
        f"worst draw of {len(draws)} {max(draws):.2f} px a frame",
        highlight=False,
    )
    return int(np.mean(poses) > arguments.most)


if __name__ == "__main__":
    sys.exit(main())
