"""A results file read back, every row checked; what is wrong is named with its line. Knows no network and no screen."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError, name_of
from engines.options import MOST_SIDE_PX
from engines.skeleton import JOINTS
from realtime.json_values import fields, items, number, shown, size_px
from realtime.pose import MAX_HOLD_SECONDS, Target, target_from_object
from realtime.results import JOINTS_MISSING, NO_PERSON, SCORED, STALE, FrameResult, PersonResult
from realtime.routine import DONE, HOLD, MOST_REPETITIONS, READY, REST, Progress, Routine, Step

Floats = npt.NDArray[np.float32]

LONGEST_LINE = 1 << 20
LARGEST = 1e9
STATUSES, PHASES = (SCORED, NO_PERSON, JOINTS_MISSING, STALE), (READY, HOLD, REST, DONE)
READABLE = "a results file of run_live.py --results is needed"


@dataclass(frozen=True)
class Recording:
    """A results file.

    Args:
        path: the file.
        source: the recorded source's name.
        source_size: width and height px.
        frame_size: width and height px of the fitted frames.
        backend: what the engines ran on.
        started: wall clock at the start, ISO 8601.
        engines: SHA-256 of each engine, by name.
        encoder: the encoder's name.
        smoothing: whether poses were smoothed.
        stills: whether the source's pictures were unrelated; False in a file that does not say.
        targets: every target, by name.
        routine: what was to be held.
        frames: a result for each frame row; `stages_ms` and `age_ms` as recorded.
        dropped: frames that were dropped; None where the file has no summary, because something cut it off.
    """

    path: Path
    source: str
    source_size: tuple[int, int]
    frame_size: tuple[int, int]
    backend: str
    started: str
    engines: dict[str, str]
    encoder: str
    smoothing: bool
    stills: bool
    targets: dict[str, Target]
    routine: Routine
    frames: tuple[FrameResult, ...]
    dropped: int | None


def read_recording(path: Path) -> Recording:
    """A results file. A last row that was cut off while it was written, as by a power failure, is left out.

    Raises:
        BadInputError: it cannot be read, is none, or a row does not fit; line and field are named.
    """
    rows: list[tuple[str, dict[str, object]]] = []
    source, blank = name_of(path), ""
    try:
        with path.open("rb") as file:
            for index, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b"")):
                where = f"{source}, line {index + 1}"
                if line.isspace():  # an editor may leave some at the end
                    blank = blank or where
                    continue
                if rows and cut_off(line):
                    break
                if blank:
                    raise BadInputError(f"{blank} is blank", READABLE, "give such a file, or take that line out")
                rows.append((where, row_of(line, where)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInputError(f"{source} could not be read ({reason})", READABLE, "give such a file") from error
    if not rows:
        raise BadInputError(f"{source} is empty", READABLE, "give such a file")
    (where, session), *rest = rows
    if session.get("type") != "session":
        raise BadInputError(f"{where} has the type {shown(session.get('type'))}", READABLE, "give such a file")
    summary = rest.pop()[1] if rest and rest[-1][1].get("type") == "summary" else None
    targets = targets_of(session, where)
    frames = tuple(frame_of(row, at, targets) for at, row in rest)
    dropped = None if summary is None else int(number(summary.get("dropped"), f"{source}: dropped", 0, LARGEST))
    for (_, row), (at, next_row) in itertools.pairwise(rest):
        if not float(str(row["time"])) <= float(str(next_row["time"])):
            raise BadInputError(f"{at}: time is {next_row['time']}", "time does not go back", "correct the file")
    encoder = text(fields(session.get("encoder"), f"{where}: encoder").get("name"), f"{where}: encoder.name")
    hashes = fields(session.get("engines"), f"{where}: engines")
    return Recording(
        path=path,
        source=text(session.get("source"), f"{where}: source"),
        source_size=size_px(session.get("source_size"), f"{where}: source_size"),
        frame_size=frame_size_px(session.get("frame_size"), f"{where}: frame_size"),
        backend=text(session.get("backend"), f"{where}: backend"),
        started=text(session.get("started"), f"{where}: started"),
        engines={name: text(value, f"{where}: engines.{name}") for name, value in hashes.items()},
        encoder=encoder,
        smoothing=session.get("smoothing") is True,
        stills=session.get("stills") is True,
        targets=targets,
        routine=routine_of(session, where, targets),
        frames=frames,
        dropped=dropped,
    )


def cut_off(line: bytes) -> bool:
    """Whether a line is a row without its end; only the last line of a file can be without a newline."""
    if line.endswith(b"\n") or len(line) > LONGEST_LINE or not line.startswith(b"{"):
        return False
    try:
        json.loads(line, parse_constant=float)
    except ValueError:
        return True
    return False


def row_of(line: bytes, where: str) -> dict[str, object]:
    """One line's object."""
    if len(line) > LONGEST_LINE:
        raise BadInputError(f"{where} is longer than 1 MB", READABLE, "give such a file")
    try:
        row = json.loads(line, parse_constant=float)
    except (ValueError, RecursionError) as error:
        cut = "ends too early" if not line.endswith(b"\n") else "is not JSON"
        raise BadInputError(f"{where} {cut}", READABLE, "give such a file, or take that line out") from error
    return fields(row, where)


def frame_size_px(value: object, where: str) -> tuple[int, int]:
    """Width and height of fitted frames, which have to be drawn again."""
    size = size_px(value, where)
    if max(size) > MOST_SIDE_PX:
        raise BadInputError(
            f"{where} is {list(size)}", f"sides of at most {MOST_SIDE_PX} px are allowed", "correct that value"
        )
    return size


def text(value: object, where: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise BadInputError(f"{where} is {shown(value)}", "it must be a text", "correct that value")
    return value


def choice(value: object, where: str, allowed: tuple[str, ...]) -> str:
    """One of several words."""
    if not isinstance(value, str) or value not in allowed:
        raise BadInputError(f"{where} is {shown(value)}", f"{', '.join(allowed)} are allowed", "correct that value")
    return value


def targets_of(session: dict[str, object], where: str) -> dict[str, Target]:
    """The session row's targets by name."""
    targets: dict[str, Target] = {}
    for index, value in enumerate(items(session.get("targets"), f"{where}: targets")):
        entry = {key: part for key, part in fields(value, f"{where}: targets[{index}]").items() if key != "width"}
        # the least confidence was checked when the target was opened; the engines may allow a lower one
        target = target_from_object(entry, f"{where}: targets[{index}]", visible_confidence=0.0)
        targets[target.name] = target
    if not targets:
        raise BadInputError(f"{where}: targets is empty", "a session has a target", "give another file")
    return targets


def routine_of(session: dict[str, object], where: str, targets: dict[str, Target]) -> Routine:
    """What was to be held; in a file without a routine, its targets one after the other."""
    value = session.get("routine")
    if value is None:
        return Routine("", tuple(Step(target, target.hold_seconds, 0.0) for target in targets.values()), None)
    entry = fields(value, f"{where}: routine")
    steps = []
    for index, pose in enumerate(items(entry.get("poses"), f"{where}: routine.poses")):
        at = f"{where}: routine.poses[{index}]"
        one = fields(pose, at)
        name = choice(one.get("target"), f"{at}.target", tuple(targets))
        seconds = [
            number(one.get(f"{key}_seconds"), f"{at}.{key}_seconds", 0, MAX_HOLD_SECONDS) for key in ("hold", "rest")
        ]
        steps.append(Step(targets[name], *seconds))
    if not steps:
        raise BadInputError(f"{where}: routine.poses is empty", "a routine has a pose", "give another file")
    times = entry.get("repetitions")
    count = None if times is None else int(number(times, f"{where}: routine.repetitions", 1, MOST_REPETITIONS))
    return Routine(text(entry.get("name"), f"{where}: routine.name"), tuple(steps), count)


def matrix(value: object, where: str, rows: int, columns: int) -> Floats | None:
    """A list of lists of numbers as float32 [rows, columns]; None for null."""
    if value is None:
        return None
    lines = [items(line, f"{where}[{index}]", columns) for index, line in enumerate(items(value, where, rows))]
    return np.array(
        [[number(cell, f"{where}[{index}]", -LARGEST, LARGEST) for cell in line] for index, line in enumerate(lines)],
        np.float32,
    )


def optional(value: object, where: str, low: float, high: float) -> float | None:
    """A number, or None for null."""
    return None if value is None else number(value, where, low, high)


def frame_of(row: dict[str, object], where: str, targets: dict[str, Target]) -> FrameResult:
    """One frame row."""
    if row.get("type") != "frame":
        raise BadInputError(f"{where} has the type {shown(row.get('type'))}", "a frame is expected there", "correct it")
    status = choice(row.get("status"), f"{where}: status", STATUSES)
    box = matrix(None if row.get("box") is None else [row["box"]], f"{where}: box", 1, 5)
    joints = matrix(row.get("joints"), f"{where}: joints", 15, 3)
    score = optional(row.get("score"), f"{where}: score", 0, 100)
    if (status == SCORED) != (score is not None) or (status == SCORED and joints is None):
        raise BadInputError(f"{where}: status is {status}", "a scored frame has score and joints", "correct that row")
    deviation = fields(row.get("deviation_degrees"), f"{where}: deviation_degrees")
    missing = [choice(name, f"{where}: missing", JOINTS) for name in items(row.get("missing"), f"{where}: missing")]
    stages = fields(row.get("stages_ms"), f"{where}: stages_ms")
    reason = row.get("reason")
    crowd = items(row.get("people", []), f"{where}: people")
    return FrameResult(
        frame=int(number(row.get("frame"), f"{where}: frame", 0, LARGEST)),
        seconds=number(row.get("time"), f"{where}: time", 0, LARGEST),
        captured_ns=0,
        status=status,
        reason=None if reason is None else text(reason, f"{where}: reason"),
        score=score,
        distance=optional(row.get("distance"), f"{where}: distance", -1, 3),
        box=None if box is None else box[0],
        keypoints=matrix(row.get("keypoints"), f"{where}: keypoints", 17, 3),
        joints=joints,
        deviation_degrees={
            choice(name, f"{where}: deviation_degrees", JOINTS): optional(value, f"{where}: {name}", -180, 180)
            for name, value in deviation.items()
        },
        missing=tuple(missing),
        mirrored=False,
        target=choice(row.get("target"), f"{where}: target", tuple(targets)),
        stages_ms={name: number(value, f"{where}: stages_ms.{name}", 0, LARGEST) for name, value in stages.items()},
        age_ms=number(row.get("age_ms"), f"{where}: age_ms", 0, LARGEST),
        phase=choice(row.get("phase"), f"{where}: phase", PHASES),
        step=int(number(row["step"], f"{where}: step", 0, LARGEST)) if "step" in row else None,
        repetition=int(number(row.get("repetition"), f"{where}: repetition", 1, LARGEST)),
        hold_seconds=number(row.get("hold_seconds"), f"{where}: hold_seconds", 0, LARGEST),
        people=tuple(person_of(one, f"{where}: people[{index}]") for index, one in enumerate(crowd)),
        person=int(number(row["person"], f"{where}: person", 0, LARGEST)) if "person" in row else None,
    )


def person_of(value: object, where: str) -> PersonResult:
    """One entry of a frame row's `people`."""
    entry = fields(value, where)
    box = matrix([entry.get("box")], f"{where}: box", 1, 5)
    keypoints = matrix(entry.get("keypoints"), f"{where}: keypoints", 17, 3)
    joints = matrix(entry.get("joints"), f"{where}: joints", 15, 3)
    if box is None or keypoints is None or joints is None:
        raise BadInputError(f"{where} has no box or joints", "somebody in view has both", "correct that entry")
    number_of = int(number(entry.get("id"), f"{where}: id", 0, LARGEST))
    return PersonResult(number_of, box[0], keypoints, joints, optional(entry.get("score"), f"{where}: score", 0, 100))


def recorded_progress(result: FrameResult, routine: Routine) -> Progress:
    """Where a recorded frame was in its routine; where no step was written, the first with its target."""
    steps = [index for index, step in enumerate(routine.steps) if step.target.name == result.target]
    written = result.step if result.step is not None and result.step < len(routine.steps) else None
    step = written if written is not None else next(iter(steps), 0)
    return Progress(result.phase, result.repetition, step, result.hold_seconds)
