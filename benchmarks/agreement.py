"""Does `run_live.py --benchmark` tell the truth about CPU time? Compared with what the kernel charges the process.

    python benchmarks/agreement.py [--clip CLIP] [--engines DIR] [--pace]

`run_live.py --benchmark` runs as a child and writes its results into a pipe. When the row of its last warm-up frame
comes out, and again at that of its last counted frame, the user and system time of all its threads is read from outside
(/proc/PID/stat). The difference, divided by the frames between, stands beside what the child says itself. Exit code 1
when the median disagreement of --runs runs is above 3 %. Linux only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from realtime.benchmark import WARM_UP
from realtime.demo import CLIP, TARGET

PROGRAM = Path(__file__).parent.parent / "run_live.py"
MOST = 0.03


def charged_seconds(process: int) -> float:
    """CPU time of a process so far, all threads, as the kernel counts it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def said_and_charged(words: list[object], frames: int, folder: Path) -> tuple[float, float]:
    """CPU-ms a frame: by the benchmark's own figures, and by the kernel's."""
    results = folder / "out.jsonl"
    os.mkfifo(results)
    options = [*words, "--headless", "--benchmark", frames, "--results", results]
    child = subprocess.Popen([str(word) for word in (sys.executable, PROGRAM, *options)], stdout=subprocess.DEVNULL)
    marks = []
    with results.open(encoding="utf-8") as rows:
        for index, _ in enumerate(rows):  # row 0 is the session's
            if index in (WARM_UP, WARM_UP + frames):
                marks.append(charged_seconds(child.pid))
    if child.wait():
        raise SystemExit(f"run_live.py ended with {child.returncode}")
    said = json.loads(results.with_suffix(".benchmark.json").read_text())["cpu_ms"]
    return said, (marks[1] - marks[0]) / frames * 1e3


def main() -> int:
    """Prints both figures and their ratio for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--engines")
    parser.add_argument("--encoder")
    parser.add_argument("--pace", action="store_true")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    words: list[object] = ["--target", arguments.target, "--source", arguments.clip]
    words += ["--pace"] if arguments.pace else []
    for name in ("engines", "encoder"):
        words += [f"--{name}", value] if (value := getattr(arguments, name)) else []
    ratios = []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            said, charged = said_and_charged(words, arguments.frames, Path(folder))
        ratios.append(said / charged)
        print(f"--benchmark {said:.2f} CPU-ms a frame, the kernel {charged:.2f}: {ratios[-1] - 1:+.2%}", flush=True)
    median = statistics.median(ratios)
    print(f"median disagreement {median - 1:+.2%}; {MOST:.0%} are allowed")
    return int(abs(median - 1) > MOST)


if __name__ == "__main__":
    sys.exit(main())
