"""Who is kept when people cross: cut-outs of real people moved past each other, with the lock and without.

    python benchmarks/crossings.py --clips ../shared/media --engines DIR [--changes] [--seed N] [--most-switches 0]

Each of the people cut from the clips passes each other one, and a copy of themselves in the same clothes: in front and
behind, standing or walking, slow and fast, in opposite directions and overtaking, completely or by half. The locked
person is the one that is scored in the first frames. A *switch*: at the end, both apart for 0.3 s, another is locked.
*Wrong* frames are those whose skeleton is on the other one, *none* those without anybody. CPU-ms a frame are
process_time of the whole executor, the picture's making apart; lock-ms what is left of it without the engines' calls.
"""

import argparse
import sys
import time
import zlib
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from engines.execution import CpuChain, read_chain
from engines.int8 import CHOICES, DEFAULT_INT8, choose_int8
from realtime.executor import CpuExecutor
from realtime.frames import Frame
from realtime.tracking import Plan, Tracker
from tests.realtime.crossing_scenes import BODY, FPS, TALL, WALKS, Crossing, CutOut, background, cast, frame_of, whom


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


CHANGES = {
    # a walk, from when to when the speeds are others, as shares of the time until they meet, and which
    "slows down": ("stands, slow passer", (0.9, 2.0), (0, 5)),
    "stops, goes on": ("stands, slow passer", (1.0, 1.3), (0, 0)),
    "both stop, go on": ("opposite, slow", (1.0, 1.4), (0, 0)),
    "turns back": ("stands, slow passer", (1.0, 9.0), (0, -10)),
}
APART_AT_END = 300


def walks(*, changes: bool) -> dict[str, Crossing]:
    """The ways in which two can meet; nobody in particular walks yet."""
    nobody = CutOut(())
    found = {
        name: Crossing(nobody, nobody, starts, speeds, True, frames=frames)
        for name, (starts, speeds, frames) in WALKS.items()
    }
    if not changes:
        return found
    changed = {}
    for name, (walk, times, speeds) in CHANGES.items():
        old = found[walk]
        meeting = (old.starts[0] - old.starts[1]) / (old.speeds[1] - old.speeds[0])
        first, last = (round(share * meeting) for share in times)
        changed[name] = long_enough(replace(old, turns=((first, last, speeds),), frames=first + 1))
    return changed


def long_enough(crossing: Crossing) -> Crossing:
    """The same with so many more frames that both are well apart at the end."""
    frames = crossing.frames
    while abs(np.subtract(*crossing.places(frames - 1))) < APART_AT_END and frames < 200:
        frames += 1
    return replace(crossing, frames=frames)


def varied(crossing: Crossing, chance: np.random.Generator) -> Crossing:
    """The same with another pace (0.7 to 1.4), other places, another distance and other poses at the beginning."""
    pace = chance.uniform(0.7, 1.4)
    start, start_too = (x + chance.uniform(-40, 40) for x in crossing.starts)
    speed, speed_too = (x * pace * chance.uniform(0.9, 1.1) for x in crossing.speeds)
    turns = tuple(
        (round(first / pace), round(last / pace), (speeds[0] * pace, speeds[1] * pace))
        for first, last, speeds in crossing.turns
    )
    other = replace(
        crossing,
        starts=(start, start_too),
        speeds=(speed, speed_too),
        turns=turns,
        frames=round(crossing.frames / pace),
        lift=int(np.clip(crossing.lift + chance.integers(-30, 31), 0, 100)),
        phase=int(chance.integers(0, 10)),
    )
    return long_enough(other)


def crossings(
    people: dict[str, CutOut], only: str = "", *, same: bool = False, changes: bool = False, seed: int | None = None
) -> dict[str, Crossing]:
    """All crossings, by name; those of `same` clothes alone, with `changes` of speed, varied by a `seed`."""
    found = {}
    for one, two in product(people, people):
        if same and one != two:
            continue
        second = people[two].mirrored() if one == two else people[two]
        for (walk, how), front, lift in product(walks(changes=changes).items(), (True, False), (0, 70)):
            name = f"{walk} | {one} / {two} | {'in front' if front else 'behind'}, lift {lift}"
            if only not in name:
                continue
            crossing = replace(how, first=people[one], second=second, first_in_front=front, lift=lift)
            if seed is not None:
                crossing = varied(crossing, np.random.default_rng([seed, zlib.crc32(name.encode())]))
            found[name] = crossing
    return found


class TimedChain:
    """The engines, and the CPU time that their calls took."""

    def __init__(self, chain: CpuChain) -> None:
        self.info, self.seconds = chain.info, 0.0
        self.detect, self.pose, self.encode = map(self._timed, (chain.detect, chain.pose, chain.encode))

    def _timed(self, call):
        def timed(*arguments):
            began = time.process_time()
            answer = call(*arguments)
            self.seconds += time.process_time() - began
            return answer

        return timed


def played(crossing: Crossing, ground, chain: CpuChain, *, lock: bool, detect_every: int | None) -> dict[str, float]:
    """Runs one crossing; counts."""
    tracker = (Tracker if lock else OverlapTracker)(chain.info.people, detect_every=detect_every)
    timed = TimedChain(chain)
    executor = CpuExecutor(timed, None, tracker, scored=1)
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
        on = whom(result.joints, torsos)
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
    counts["engines"] = timed.seconds
    counts["switch"] = float(last.count("wrong") > len(last) / 2)
    counts["lost"] = float(last.count("none") > len(last) / 2 or not last)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--engines", type=Path, required=True)
    parser.add_argument("--encoder", default="bones")
    parser.add_argument("--int8", choices=CHOICES, default=DEFAULT_INT8, help="as run_live.py has it")
    parser.add_argument("--detect-every", default="auto")
    parser.add_argument("--only", default="", help="part of a crossing's name")
    parser.add_argument("--same-clothes", action="store_true", help="only people and copies of themselves")
    parser.add_argument("--changes", action="store_true", help="who slows down, stops or turns back as they meet")
    parser.add_argument("--seed", type=int, help="other speeds, places, distances and poses, drawn by chance")
    parser.add_argument("--every", type=int, default=1, help="every Nth crossing only")
    parser.add_argument("--no-lock", action="store_true", help="by overlap of boxes alone, to compare with")
    parser.add_argument("--most-switches", type=int, default=0)
    arguments = parser.parse_args()
    int8, form = choose_int8(arguments.engines, arguments.int8)
    chain = CpuChain(read_chain(arguments.engines, arguments.encoder, int8=int8), threads=1)
    print(form or arguments.engines, flush=True)
    ground = background(arguments.clips / "laban_ballet_1woman.mp4")
    people = cast(arguments.clips, chain)
    every = None if arguments.detect_every == "auto" else int(arguments.detect_every)
    totals: dict[str, dict[str, float]] = {}
    chosen = crossings(
        people, arguments.only, same=arguments.same_clothes, changes=arguments.changes, seed=arguments.seed
    )
    if not chosen:
        parser.error(
            f"no crossing's name has {arguments.only!r} in it; they read 'overtaken | green / navy | behind, lift 70'"
        )
    for name, crossing in list(chosen.items())[:: arguments.every]:
        counts = played(crossing, ground, chain, lock=not arguments.no_lock, detect_every=every)
        if counts["switch"] or counts["lost"]:
            print(f"{'SWITCH' if counts['switch'] else 'LOST'}: {name}", flush=True)
        row = totals.setdefault(name.split(" | ")[0], {})
        for key, value in {**counts, "crossings": 1}.items():
            row[key] = row.get(key, 0) + value
    print(
        f"{'':24}{'crossings':>10}{'switches':>10}{'lost':>6}{'wrong':>7}{'none':>6}{'frames':>8}{'CPU-ms':>8}{'lock-ms':>8}"
    )
    rows = [*totals.items()]
    rows.append(("all", {key: sum(row[key] for _, row in rows) for key in rows[0][1]}))
    for name, row in rows:
        cpu_ms, lock_ms = (1e3 * value / row["frames"] for value in (row["seconds"], row["seconds"] - row["engines"]))
        print(
            f"{name:24}{row['crossings']:10.0f}{row['switch']:10.0f}{row['lost']:6.0f}{row['wrong']:7.0f}"
            f"{row['none']:6.0f}{row['frames']:8.0f}{cpu_ms:8.1f}{lock_ms:8.2f}"
        )
    return int(rows[-1][1]["switch"] > arguments.most_switches)


if __name__ == "__main__":
    sys.exit(main())
