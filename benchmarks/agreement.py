"""Does `run_live.py --benchmark` tell the truth about CPU time? Compared with what the kernel says of the process.

    python benchmarks/agreement.py [--clip CLIP] [--engines DIR] [--pace]

`run_live.py --benchmark` runs as a child, over one turn of the clip and over --turns (whole turns, because some frames
of a clip cost more than others). What the kernel charged the two (wait4: user and system time, from start to exit,
children of theirs included) is subtracted, which leaves start-up out, and divided by the difference in frames. Beside
it: what the longer run said itself. Pairs are repeated; exit code 1 when the median disagreement is above 3 %.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from realtime.demo import CLIP, TARGET

MOST = 0.03


def charged_and_said(arguments: argparse.Namespace, frames: int, folder: Path) -> tuple[float, float]:
    """CPU seconds of a whole run, by the kernel; CPU-ms a frame, by its own figures."""
    results = folder / "out.jsonl"
    options = [
        "--target",
        TARGET,
        "--source",
        arguments.clip,
        "--headless",
        "--benchmark",
        frames,
        "--results",
        results,
    ]
    options += ["--engines", arguments.engines] if arguments.engines else []
    options += ["--pace"] if arguments.pace else []
    command = [sys.executable, ROOT / "run_live.py", *options]
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"run_live.py ended with status {status}")
    said = json.loads(results.with_suffix(".benchmark.json").read_text())["cpu_ms"]
    return usage.ru_utime + usage.ru_stime, said


def main() -> int:
    """Prints both figures and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--engines")
    parser.add_argument("--pace", action="store_true")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    turn = int(cv2.VideoCapture(str(arguments.clip)).get(cv2.CAP_PROP_FRAME_COUNT))
    ratios = []
    for _ in range(arguments.pairs):
        with tempfile.TemporaryDirectory() as folder:
            (few, _), (many, said) = (
                charged_and_said(arguments, n, Path(folder)) for n in (turn, arguments.turns * turn)
            )
        outside = (many - few) / ((arguments.turns - 1) * turn) * 1e3
        ratios.append(said / outside)
        print(f"--benchmark {said:.2f} CPU-ms a frame, the kernel {outside:.2f}: {ratios[-1] - 1:+.1%}", flush=True)
    median = statistics.median(ratios)
    print(f"median disagreement {median - 1:+.1%}; {MOST:.0%} are allowed")
    return int(abs(median - 1) > MOST)


if __name__ == "__main__":
    sys.exit(main())
