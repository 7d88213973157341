"""Every reader on thousands of wrong files: only documented errors may come, never a traceback.

    python benchmarks/fuzz.py [--inputs 100000] [--seed 1] [--only NAME ...] [--out benchmarks/results/fuzz.md]

Each reader gets its share of the inputs: good files changed in their bytes, values, arrays or keys, and others
altogether (tests/fuzz). What a reader does not take it must refuse with an error of the project's own, in one sentence
of three parts; a pickle that would run code must not run it. Prints a table of what was taken and refused, with
the time a file. Exit code 1 at the first reader with any other error, whose smallest input is printed. `make test` runs
200 inputs a reader of the same kinds.
"""

import argparse
import datetime
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from engines.whole_files import write_whole
from tests.fuzz.reader import MARK, Reader, attempt
from tests.fuzz.readers import READERS


def tried(reader: Reader, inputs: int, seed: int) -> tuple[int, int, float]:
    """How many inputs were tried and taken, and the CPU time of a file in ms, making it included."""
    counts = [0, 0]
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:

        @hypothesis.seed(seed)
        @settings(
            max_examples=inputs,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(data=reader.files)
        def try_it(data: bytes) -> None:
            counts[0] += 1
            counts[1] += attempt(reader, Path(folder), data)

        try_it()
    return counts[0], counts[1], (time.process_time() - began) / max(counts[0], 1) * 1e3


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=100_000, help="in all (%(default)s)")
    options.add_argument("--seed", type=int, default=1, help="of the inputs (%(default)s)")
    options.add_argument("--only", nargs="+", choices=list(READERS), default=list(READERS), metavar="NAME")
    options.add_argument("--out", type=Path, help="write the table there too")
    return options


def main(argv: list[str] | None = None) -> int:
    """Tries every reader; 1 when one gave an error that is not documented."""
    arguments = parser().parse_args(argv)
    share = -(-arguments.inputs // len(arguments.only))
    rows = [
        f"# Wrong files, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
        "",
        f"`python benchmarks/fuzz.py --inputs {arguments.inputs} --seed {arguments.seed}`",
        "",
        "| reader | files | taken | refused in a sentence | anything else | CPU ms a file |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(rows), flush=True)
    total = 0
    failed = False
    for name in arguments.only:
        try:
            count, taken, ms = tried(READERS[name], share, arguments.seed)
        except Exception as error:
            notes = "\n".join(getattr(error, "__notes__", []))
            print(f"{name}: {type(error).__name__}: {error}\n{notes[:2000]}", file=sys.stderr, flush=True)
            failed = True
            continue
        total += count
        rows.append(f"| {name} | {count} | {taken} | {count - taken} | 0 | {ms:.1f} |")
        print(rows[-1], flush=True)
    rows += ["", f"{total} files in all."]
    print(rows[-1])
    if MARK.exists():
        print("a file ran code", file=sys.stderr)
        failed = True
    if arguments.out and not failed:
        write_whole(arguments.out, "\n".join(rows) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
