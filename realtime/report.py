"""Command line: a session's results as one HTML page that needs nothing else, and a CSV. Knows no network.

python -m realtime.report RESULTS.jsonl --out REPORT.html
"""

import csv
import datetime
import glob
import html
import io
import itertools
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.exits import documented_exits, starting

with starting(__name__):
    import numpy as np

    from engines.errors import name_of
    from engines.options import OptionParser, add_version, posemirror_version
    from engines.output_paths import PAGE_ENDINGS, require_ending, require_writable
    from engines.skeleton import JOINTS
    from engines.whole_files import write_whole
    from realtime.advice import FAIR_DEGREES, POOR_DEGREES
    from realtime.recording import Recording, read_recording
    from realtime.results import SCORED
    from realtime.routine import HOLD, Routine
    from realtime.svg import bars, histogram, line_plot

CSV_ENDING = ".csv"
WORDS = {
    "scored": "scored",
    "no_person": "nobody in view",
    "joints_missing": "joints out of view",
    "stale": "picture too late",
}
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1c1c1c;background:#fff}
h1{margin-bottom:0}h2{margin-top:2.2rem}p.quiet{color:#5a5a5a;margin-top:.2rem}
.figures{display:flex;flex-wrap:wrap;gap:1rem}.figures div{background:#f1f4f6;border-radius:.7rem;padding:.7rem 1.2rem}
.figures b{display:block;font-size:1.9rem;line-height:1.2}table{display:block;overflow-x:auto;border-collapse:collapse}
td,th{padding:.25rem .9rem .25rem 0;text-align:left;border-bottom:1px solid #dde2e5}td.n,th.n{text-align:right}
h1,p.quiet{overflow-wrap:anywhere}.chart{overflow-x:auto}
svg{width:100%;min-width:52rem;height:auto;display:block}svg text{font:13px system-ui,sans-serif;fill:#444}
@media(prefers-color-scheme:dark){body{background:#15181a;color:#e8e8e8}.figures div{background:#23282b}
p.quiet{color:#a5a5a5}svg text{fill:#c4c4c4}td,th{border-color:#343a3e}}@media print{svg{min-width:0}
.chart,table{overflow:visible}section{break-inside:avoid}}
td:first-child{overflow-wrap:anywhere;min-width:4.5rem}@media(max-width:30rem){table{font-size:.85rem}td,th{padding-right:.4rem}}
"""


@dataclass(frozen=True)
class Hold:
    """One time that a pose was held.

    Args:
        target: the pose.
        repetition: of the routine, from 1.
        start: media or session time, s.
        seconds: how long it was held.
        complete: whether it was held as long as was asked.
        score: mean while it was held.
    """

    target: str
    repetition: int
    start: float
    seconds: float
    complete: bool
    score: float


def holds_of(recording: Recording) -> list[Hold]:
    """Every hold, in order: frames of phase `hold` that follow each other in one pose of one round."""
    frames = recording.frames
    runs = [list(run) for _, run in itertools.groupby(frames, lambda one: (one.phase, one.target, one.repetition))]
    wanted: dict[str, float] = {}
    for step in recording.routine.steps:
        wanted[step.target.name] = min(step.hold_seconds, wanted.get(step.target.name, step.hold_seconds))
    holds = []
    for run, after in zip(runs, [*runs[1:], []], strict=False):
        if run[0].phase != HOLD:
            continue
        # the frame that completes a hold is already of the phase that follows, and says how long it was
        after_seconds = after[0].hold_seconds if after else -1.0
        complete = after_seconds >= wanted.get(run[0].target, 0.0)
        held = max(run[-1].hold_seconds, after_seconds)
        scores = [one.score for one in run if one.score is not None]
        mean = sum(scores) / len(scores) if scores else 0.0
        holds.append(Hold(run[0].target, run[0].repetition, run[0].seconds, held, complete, mean))
    return holds


def page(recording: Recording) -> str:
    """The whole page."""
    holds = holds_of(recording)
    sections = [
        ("Score over time", score_plot(recording, holds)),
        ("Holds", hold_table(holds)),
        ("Which joints were off", joint_plot(recording)),
        ("Delay", delay_plot(recording)),
        ("Why there was no score", status_table(recording)),
    ]
    title = recording.routine.name or " and ".join(recording.targets)
    body = "".join(f"<section><h2>{escape(name)}</h2>{content}</section>" for name, content in sections)
    cut = "" if recording.dropped is not None else "<p><b>The file was cut off: its last row is missing.</b></p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)} - posemirror</title><style>{STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="quiet">{escape(readable(recording.started))}, {source_shown(recording)}, '
        f"encoder {escape(recording.encoder)}, posemirror {escape(posemirror_version())}</p>{cut}"
        f"{figures(recording, holds)}{body}</body></html>\n"
    )


def escape(text: str) -> str:
    """Text as HTML; what is no Unicode becomes a question mark."""
    return html.escape(text.encode("utf-8", "replace").decode())


def readable(moment: str) -> str:
    """A moment of ISO 8601 as a date and a time with its zone; a text that is none stays as it is."""
    try:
        when = datetime.datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{when.day} {when:%B %Y, %H:%M:%S} {when.tzname() or ''}".rstrip()


def source_shown(recording: Recording) -> str:
    """The source as HTML: of a file its name, which shows the whole path where a pointer rests on it."""
    source = recording.source
    several = recording.stills and glob.has_magic(source)
    name = source if several or "://" in source else Path(source).name
    return escape(source) if name in ("", source) else f'<span title="{escape(source)}">{escape(name)}</span>'


def figures(recording: Recording, holds: Sequence[Hold]) -> str:
    """The numbers that matter, large."""
    frames = recording.frames
    scores = [frame.score for frame in frames if frame.score is not None]
    length = frames[-1].seconds - frames[0].seconds if frames else 0.0
    numbers = [
        ("length", f"{int(length // 60)}:{int(length % 60):02d}"),
        ("holds completed", completed(recording.routine, holds)),
        ("time held", f"{sum(hold.seconds for hold in holds):.1f} s"),
        ("best score", f"{max(scores):.0f}" if scores else "-"),
        ("frames scored", f"{len(scores)} of {len(frames)}"),
    ]
    return '<div class="figures">' + "".join(f"<div><b>{value}</b>{name}</div>" for name, value in numbers) + "</div>"


def completed(routine: Routine, holds: Sequence[Hold]) -> str:
    """How many holds were completed, and of how many where a routine asked for a number."""
    done = str(sum(hold.complete for hold in holds))
    return done if routine.repetitions is None else f"{done} of {len(routine.steps) * routine.repetitions}"


def score_plot(recording: Recording, holds: Sequence[Hold]) -> str:
    """Scores as a line, holds as bands, the pass mark of the pose that was asked for as dashes."""
    points = [(frame.seconds, frame.score) for frame in recording.frames]
    bands = [(hold.start, hold.start + hold.seconds, hold.complete) for hold in holds]
    return line_plot(points, bands, pass_marks(recording), "time, s", "score")


def pass_marks(recording: Recording) -> list[tuple[float, float, float]]:
    """From when to when, in seconds, which score passed."""
    asked = [(frame.seconds, recording.targets[frame.target].pass_score) for frame in recording.frames]
    starts = [next(run) for _, run in itertools.groupby(asked, lambda one: one[1])]
    ends = [start for start, _ in starts[1:]] + [start for start, _ in asked[-1:]]
    return [(start, end, mark) for (start, mark), end in zip(starts, ends, strict=True)]


def hold_table(holds: Sequence[Hold]) -> str:
    """One row for each hold."""
    if not holds:
        return "<p>No pose was held.</p>"
    rows = "".join(
        f"<tr><td>{escape(hold.target)}</td><td class=n>{hold.repetition}</td><td class=n>{hold.start:.1f}</td>"
        f"<td class=n>{hold.seconds:.1f}</td><td class=n>{hold.score:.0f}</td>"
        f"<td>{'complete' if hold.complete else 'left early'}</td></tr>"
        for hold in holds
    )
    head = "<tr><th>pose<th class=n>round<th class=n>from, s<th class=n>held, s<th class=n>mean score<th></tr>"
    return f"<table>{head}{rows}</table>"


def joint_deviations(recording: Recording) -> dict[str, float]:
    """Median of how far each joint's bone was off, degrees, over the scored frames."""
    values: dict[str, list[float]] = defaultdict(list)
    for frame in recording.frames:
        if frame.status == SCORED:
            for joint, degrees in frame.deviation_degrees.items():
                if degrees is not None:
                    values[joint].append(abs(degrees))
    return {joint: float(np.median(values[joint])) for joint in JOINTS if values[joint]}


def joint_plot(recording: Recording) -> str:
    """Median deviation of each joint, the largest first."""
    deviations = sorted(joint_deviations(recording).items(), key=lambda pair: -pair[1])
    return bars(
        [(joint.replace("_", " "), value) for joint, value in deviations], "degrees, median", FAIR_DEGREES, POOR_DEGREES
    )


def delay_plot(recording: Recording) -> str:
    """How old the pictures were when they were shown."""
    ages = [frame.age_ms for frame in recording.frames]
    if not ages:
        return "<p>No frame was shown.</p>"
    p50, p95 = np.percentile(ages, [50, 95])
    dropped = (
        "" if recording.dropped is None else f", {recording.dropped} frame{'s' * (recording.dropped != 1)} dropped"
    )
    return (
        f"<p>Half of all pictures were at most {p50:.0f} ms old, 95 % at most {p95:.0f} ms{dropped}.</p>"
        + histogram(ages, "age of the picture when shown, ms")
    )


def status_table(recording: Recording) -> str:
    """How many frames had a score, and why the others had none."""
    count: dict[str, int] = defaultdict(int)
    for frame in recording.frames:
        count[frame.status] += 1
    total = max(len(recording.frames), 1)
    rows = "".join(
        f"<tr><td>{words}</td><td class=n>{count[status]}</td><td class=n>{100 * count[status] / total:.0f} %</td></tr>"
        for status, words in WORDS.items()
    )
    return f"<table><tr><th>frames<th class=n>number<th class=n>share</tr>{rows}</table>"


def csv_of(recording: Recording) -> str:
    """One line a frame: time, status, score, phase, repetition, hold, target, age, and each joint's deviation."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    head = ("frame", "time_s", "status", "score", "target", "phase", "repetition", "hold_s", "age_ms")
    writer.writerow([*head, *(f"{joint}_degrees" for joint in JOINTS if joint != "pelvis")])
    for frame in recording.frames:
        named = [frame.deviation_degrees.get(joint) for joint in JOINTS if joint != "pelvis"]
        row = (frame.frame, frame.seconds, frame.status, frame.score, spreadsheet_safe(frame.target), frame.phase)
        writer.writerow([*row, frame.repetition, frame.hold_seconds, frame.age_ms, *named])
    return table.getvalue()


def spreadsheet_safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    plain = text.encode("utf-8", "replace").decode()
    return f"'{plain}" if plain[:1] in ("=", "+", "-", "@") else plain


@documented_exits()
def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = OptionParser(
        prog="python -m realtime.report",
        description="Write a session's results as one HTML page and a CSV.",
        epilog="Exit codes: 0 done, 2 bad argument or file.",
    )
    parser.add_argument("results", type=Path, metavar="RESULTS.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="REPORT.html")
    parser.add_argument("--csv", type=Path, metavar="FILE.csv", help="default: beside the page")
    add_version(parser)
    arguments = parser.parse_args(argv)
    require_writable(arguments.out, "--out", apart_from=[arguments.results])
    require_ending(arguments.out, "--out", PAGE_ENDINGS, pipes=True)
    table = arguments.csv or arguments.out.with_suffix(CSV_ENDING)
    require_writable(table, "--csv", apart_from=[arguments.results, arguments.out])
    require_ending(table, "--csv", [CSV_ENDING], pipes=True)
    recording = read_recording(arguments.results)
    write_whole(arguments.out, page(recording))
    write_whole(table, csv_of(recording))
    print(f"Wrote {name_of(arguments.out)} and {name_of(table)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
