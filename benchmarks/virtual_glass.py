"""Does `realtime.glass_to_glass` find a known delay? A virtual screen's framebuffer stands in for the camera.

    python benchmarks/virtual_glass.py [--delay-ms 100] [--engines DIR]

Xvfb is started with its framebuffer in a file; the program runs with its real window and threads; its camera is the
file, looked at 30 times a second, each picture handed over at once, and in a second run --delay-ms later. The medians
must differ by the delay, within a camera's frame (33 ms): exit code 1 when they do not. Needs Xvfb.
"""

import argparse
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from realtime import glass_to_glass
from realtime.frames import Capture, Picture, Room, no_room

WIDTH, HEIGHT, FPS = 1280, 720, 30.0
WITHIN_MS = 1000 / FPS


class FramebufferCamera:
    """Looks at an Xvfb framebuffer (XWD form) and hands each picture over `delay` seconds later."""

    name, live, stills, size, fps, capture_clock = "framebuffer", True, False, (WIDTH, HEIGHT), FPS, "grab"

    def __init__(self, path: Path, delay: float) -> None:
        with path.open("rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        words = struct.unpack(">25I", self.memory[:100])
        self.begin, self.stride = words[0] + 12 * words[19], words[12]
        self.delay, self.began, self.looks = delay, time.monotonic(), 0
        self.pictures: deque[tuple[float, Picture]] = deque()

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        while not stop.is_set():
            look_at = self.began + self.looks / FPS
            hand_over_at = self.pictures[0][0] + self.delay if self.pictures else look_at + 1e9
            stop.wait(max(0.0, min(look_at, hand_over_at) - time.monotonic()))
            if hand_over_at <= look_at:
                return Capture(self.pictures.popleft()[1], self.looks / FPS, time.monotonic_ns())
            lines = np.frombuffer(self.memory, np.uint8, self.stride * HEIGHT, self.begin).reshape(HEIGHT, -1, 4)
            self.pictures.append((time.monotonic(), lines[:, :WIDTH, :3].copy()))
            self.looks += 1
        return None

    def close(self) -> None:
        pass


def main() -> int:
    """Prints both medians and their difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    parser.add_argument("--engines")
    parser.add_argument("--frames", type=int, default=90)
    arguments = parser.parse_args()
    medians = []
    with tempfile.TemporaryDirectory() as folder:
        read, write = os.pipe()
        screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", folder, "-displayfd", str(write)]
        server = subprocess.Popen(["Xvfb", *screen], pass_fds=[write], stderr=subprocess.DEVNULL)
        os.environ["DISPLAY"] = f":{os.read(read, 16).decode().strip()}"
        try:
            for delay in (0.0, arguments.delay_ms / 1e3):
                camera = FramebufferCamera(Path(folder) / "Xvfb_screen0", delay)
                glass_to_glass.open_source = lambda *_, camera=camera, **__: camera
                out = Path(folder) / "out.json"
                words = ["--frames", str(arguments.frames), "--out", str(out)]
                words += ["--engines", arguments.engines] if arguments.engines else []
                if code := glass_to_glass.main(words):
                    return code
                medians.append(json.loads(out.read_text())["delay_ms"]["p50"])
        finally:
            server.terminate()
            server.wait()
    found = medians[1] - medians[0]
    print(f"{arguments.delay_ms:g} ms added, {found:.0f} ms found; {WITHIN_MS:.0f} ms of error are allowed")
    return int(abs(found - arguments.delay_ms) > WITHIN_MS)


if __name__ == "__main__":
    sys.exit(main())
