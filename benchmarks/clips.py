"""Every clip of a folder through the live loop: how many frames get a pose, and does a target find its own frame.

    python benchmarks/clips.py --clips ../shared/media --engines DIR --out runs/clips

For each clip: a target is made from one of its frames (`--at`, a share of its length); the clip is scored
against it; the table counts frames.

- whole: frames in which the detector, asked afresh about each frame, is sure (0.6) of a person who touches no edge. A
  detector should not judge itself: `--judge DIR` takes that of other engines.
- posed: the share of those that got a pose; waiting: the share in which the loop held on to the person it had just lost
  (1 s) while somebody else was whole in view; missed: all others.
- scored: the share of the whole frames whose pose was scored (enough joints visible).
- alike: of the keypoints that the judge's pose network is sure of (0.5) where the loop looked, the share that the loop
  has within 0.1 of the longer side of the box, whichever of the two is right.
- own: the score of the frame the target was made from; lowest: the least score in the clip.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

import run_live
from engines.execution import CpuChain, read_chain
from engines.host_sampling import letterbox
from engines.int8 import CHOICES, DEFAULT_INT8
from realtime.live_options import DEFAULT_ENCODER
from realtime.tracking import ANCHOR_SECONDS

SURE = 0.6
EDGE_PX = 4
SURE_KEYPOINT, NEAR = 0.5, 0.1


def frames_of(clip: Path) -> list[np.ndarray]:
    """All pictures of a clip."""
    video, frames = cv2.VideoCapture(str(clip)), []
    while (image := video.read()[1]) is not None:
        frames.append(image)
    return frames


def fitted(chain: CpuChain, image: np.ndarray) -> np.ndarray:
    """A clip's picture as the engines' frame."""
    width, height = chain.info.frame_size
    return letterbox(image, (height, width), grey=0)


def whole_person_in(chain: CpuChain, image: np.ndarray) -> bool:
    """Whether the detector alone is sure of a person who touches no edge of the picture."""
    width, height = chain.info.frame_size
    frame = fitted(chain, image)
    scale = min(height / image.shape[0], width / image.shape[1])
    left, top = (width - image.shape[1] * scale) / 2, (height - image.shape[0] * scale) / 2
    x1, y1, x2, y2, confidence = chain.detect(frame, np.zeros(4, np.float32))[0]
    inside = x1 > left + EDGE_PX and y1 > top + EDGE_PX and x2 < width - left - EDGE_PX and y2 < height - top - EDGE_PX
    return bool(confidence >= SURE and inside)


def alike(judge: CpuChain, image: np.ndarray, row: dict) -> list[bool]:
    """Of the keypoints that the judge is sure of where the loop looked, which the loop has near the judge's places."""
    if row["keypoints"] is None:
        return []
    boxes = np.zeros((judge.info.people, 5), np.float32)
    boxes[0] = row["box"]
    state = np.zeros((judge.info.people, 17, 4), np.float32)
    judged = judge.pose(fitted(judge, image), boxes, state, 0.0).keypoints[0]
    away = np.linalg.norm(np.array(row["keypoints"])[:, :2] - judged[:, :2], axis=1)
    near: list[bool] = (away <= NEAR * (boxes[0, 2:4] - boxes[0, :2]).max())[judged[:, 2] >= SURE_KEYPOINT].tolist()
    return near


def waits(row: dict, rows: list[dict]) -> bool:
    """Whether a frame without a pose comes at most 1 s after one with a pose."""
    posed = [other["time"] for other in rows[: row["frame"]] if other["joints"] is not None]
    return row["joints"] is None and bool(posed) and row["time"] - posed[-1] <= ANCHOR_SECONDS


def main() -> int:
    """Prints the table; 1 when a clip's own frame scores under 95."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument(
        "--judge", type=Path, help="engines that say who is whole (default: --engines) and where keypoints are"
    )
    parser.add_argument("--int8", choices=CHOICES, default=DEFAULT_INT8, help="as run_live.py has it")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--only", default="*.mp4", metavar="PATTERN", help="which files of the folder")
    parser.add_argument("--at", type=float, default=0.5, help="where in the clip its target is, 0 to 1")
    parser.add_argument("--out", type=Path, default=Path("runs/clips"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chain = CpuChain(read_chain(arguments.judge or arguments.engines, arguments.encoder))
    columns = ("clip", "frames", "whole", "posed", "waiting", "missed", "scored", "alike", "own", "lowest")
    table = Table(*columns, title="Clips through the live loop")
    failed = False
    clips = sorted(arguments.clips.glob(arguments.only))
    if not clips:
        sys.exit(f"no file {arguments.only} in {arguments.clips}: --only is a pattern, such as 'sports*.mp4'")
    for clip in clips:
        images = frames_of(clip)
        own_frame = int(len(images) * arguments.at)
        target = arguments.out / f"{clip.stem}.png"
        results = arguments.out / f"{clip.stem}.jsonl"
        cv2.imwrite(str(target), images[own_frame])
        options = [
            "--target",
            target,
            "--source",
            clip,
            "--engines",
            arguments.engines,
            "--headless",
            "--results",
            results,
        ]
        options += ["--record", arguments.out / f"{clip.stem}.mp4", "--encoder", arguments.encoder]
        options += ["--int8", arguments.int8]
        code = run_live.main([str(option) for option in options])
        if code:
            table.add_row(clip.stem, str(len(images)), *["-"] * 7, f"exit {code}")
            failed = True
            continue
        rows = [json.loads(line) for line in results.read_text().splitlines()][1:-1]
        whole = [row for row, image in zip(rows, images, strict=True) if whole_person_in(chain, image)]
        posed = sum(row["joints"] is not None for row in whole) / max(len(whole), 1)
        waiting = sum(waits(row, rows) for row in whole) / max(len(whole), 1)
        scored = sum(row["score"] is not None for row in whole) / max(len(whole), 1)
        judged = [
            near
            for row, image in zip(rows, images, strict=True)
            for near in (alike(chain, image, row) if arguments.judge else [])
        ]
        scores = [row["score"] for row in rows if row["score"] is not None]
        own = rows[own_frame]["score"] or 0.0
        failed |= own < 95
        table.add_row(
            clip.stem,
            str(len(rows)),
            str(len(whole)),
            *(f"{share:.1%}" for share in (posed, waiting, max(0.0, 1 - posed - waiting), scored)),
            f"{np.mean(judged):.1%}" if judged else "-",
            f"{own:.1f}",
            f"{min(scores):.1f}" if scores else "-",
        )
    Console(width=140).print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
