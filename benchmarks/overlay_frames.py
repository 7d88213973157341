"""Frames of the overlay as PNG: from a results file, so that no picture of a person is in them; or from a clip.

    python benchmarks/overlay_frames.py RESULTS.jsonl --frames 40 95 --out docs/overlay_dancer.png [--clip CLIP]

A results file is replayed with the encode graph that scored it; `--clip` gives the pictures it was made from, and is
for clips whose pictures may be passed on. Several frames are set side by side, each at half its size.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.host_sampling import letterbox
from engines.weights_registry import SHIPPED_ENGINES
from realtime.brush import ground
from realtime.opening import BUILT
from realtime.recording import read_recording
from realtime.replay import find_encoder, station_of
from realtime.screen import screen_of


def pictures(clip: Path | None, size: tuple[int, int], count: int):
    """What is behind the overlay, a picture uint8 [H, W, 3] for each frame."""
    video = cv2.VideoCapture(str(clip)) if clip else None
    for _ in range(count):
        yield letterbox(video.read()[1], size[::-1], grey=0) if video else ground(size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--frames", type=int, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--engines", type=Path, default=SHIPPED_ENGINES)
    parser.add_argument("--mirror", action="store_true")
    arguments = parser.parse_args()
    recording = read_recording(arguments.results)
    info = find_encoder(recording, (arguments.engines, BUILT, SHIPPED_ENGINES))
    station = station_of(recording, info, mirror=arguments.mirror)
    last = max(arguments.frames)
    found = []
    behind = pictures(arguments.clip, info.frame_size, last + 1)
    for result, picture in zip(recording.frames, behind, strict=False):
        placed = station.take(result, picture)
        screen = screen_of(picture, placed, station, info, "")
        if result.frame in arguments.frames:
            found.append(screen.over(picture))
    if len(found) > 1:
        found = [cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in found]
    cv2.imwrite(str(arguments.out), np.hstack(found), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
