"""Routines: poses in order, each held and followed by a rest, and where a person is in them. Draws and plays nothing.

    ready --score >= pass mark--> hold --held long enough--> rest --> ready of the next pose ... --> done
      ^------- score < pass mark - 5, or no score for 0.5 s ----'

A single target is a routine of one pose that goes on until the user leaves.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engines.errors import BadInputError, name_of
from realtime.json_values import fields, items, number, read_json, shown
from realtime.pose import MAX_HOLD_SECONDS, Target
from realtime.target_fields import title

FORMAT, VERSION = "posemirror-routine", 1
READABLE = "a routine is JSON of poses (docs/routine.schema.json)"
READY, HOLD, REST, DONE = "ready", "hold", "rest", "done"
REQUIRED, OPTIONAL = ("format", "version", "name", "poses"), ("repetitions",)
POSE_FIELDS = ("target", "hold_seconds", "rest_seconds")
MOST_REPETITIONS = 1000
SINGLE_REST_SECONDS = 3.0
LEAVE_MARGIN = 5.0
"""Points below the pass mark at which a hold is lost: so a score that trembles at the mark does not end it."""

GRACE_SECONDS = 0.5
"""A hold outlives this long without a score; that time is not counted as held."""

LONGEST_STEP_SECONDS = 0.5
"""More time than this between two frames is not counted: nobody saw what happened in it."""


@dataclass(frozen=True)
class Step:
    """One pose of a routine."""

    target: Target
    hold_seconds: float
    rest_seconds: float


@dataclass(frozen=True)
class Routine:
    """Poses in order.

    Args:
        name: one line of text.
        steps: at least one; different targets have different names.
        repetitions: how often all of them are done; None for no end.
    """

    name: str
    steps: tuple[Step, ...]
    repetitions: int | None

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target once, in order."""
        return tuple({step.target.name: step.target for step in self.steps}.values())


def single(target: Target) -> Routine:
    """The routine that a target alone stands for: hold it, rest 3 s, again, without end."""
    return Routine(target.name, (Step(target, target.hold_seconds, SINGLE_REST_SECONDS),), None)


def read_routine(path: Path, open_target: Callable[[Path], Target]) -> Routine:
    """A routine.json with its targets, whose paths start at the routine's own folder.

    Args:
        path: the file.
        open_target: reads one target.

    Raises:
        BadInputError: the file or one of its targets cannot be read or does not fit; file and field are named.
    """
    source = name_of(path)
    entry = fields(read_json(path, READABLE), source)
    if "format" in entry and entry["format"] != FORMAT:
        is_target = entry["format"] == "posemirror-target"
        raise BadInputError(
            f"{source}: format is {shown(entry['format'])}",
            f'a routine has "{FORMAT}"',
            "give it with --target" if is_target else "give another file, or correct that value",
        )
    check_keys(entry, REQUIRED, OPTIONAL, source)
    version = entry["version"]
    if isinstance(version, bool) or version != VERSION:
        raise BadInputError(f"{source}: version is {shown(version)}", f"version {VERSION} is read", "correct it")
    count = number(entry.get("repetitions", 1), f"{source}: repetitions", 1, MOST_REPETITIONS)
    if not count.is_integer():
        raise BadInputError(f"{source}: repetitions is {count}", "it must be a whole number", "correct that value")
    poses = items(entry["poses"], f"{source}: poses")
    if not poses:
        raise BadInputError(f"{source}: poses is empty", "a routine has at least one pose", "add one")
    opened: dict[Path, Target] = {}
    steps = [
        step_from_object(pose, f"{source}: poses[{index}]", path.parent, opened, open_target)
        for index, pose in enumerate(poses)
    ]
    return Routine(title(entry["name"], f"{source}: name"), tuple(steps), int(count))


def target_files(path: Path) -> list[Path]:
    """The files of a routine's targets, as far as it can be read; what is wrong with it `read_routine` says."""
    if not path.is_file():  # a pipe can be read only once
        return []
    try:
        poses = items(fields(read_json(path, READABLE), "")["poses"], "")
        files = [fields(pose, "")["target"] for pose in poses]
    except (BadInputError, KeyError):
        return []
    return [path.parent / file for file in files if isinstance(file, str) and "\0" not in file]


def check_keys(entry: dict[str, object], required: tuple[str, ...], optional: tuple[str, ...], source: str) -> None:
    """No field missing, none unknown."""
    missing = [key for key in required if key not in entry]
    known = required + optional
    unknown = [key for key in entry if key not in known]
    if missing:
        raise BadInputError(f"{source} lacks {', '.join(missing)}", f"it needs {', '.join(required)}", "add it")
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        raise BadInputError(
            f"{source} has the unknown field {shown(unknown[0])}",
            f"the fields are {', '.join(known)}",
            f"rename it to {close[0]}" if close else "take it out",
        )


def step_from_object(
    pose: object, where: str, folder: Path, opened: dict[Path, Target], open_target: Callable[[Path], Target]
) -> Step:
    """One pose; `opened` keeps the targets read so far, and sees to names that differ."""
    entry = fields(pose, where)
    check_keys(entry, POSE_FIELDS[:1], POSE_FIELDS[1:], where)
    file = entry["target"]
    if not isinstance(file, str) or not file or "\0" in file:
        raise BadInputError(f"{where}.target is {shown(file)}", "it must be the path of a target", "correct that value")
    path = folder / file
    if path not in opened:
        target = open_target(path)
        names = {other.name for other in opened.values()}
        number_of = next(count for count in range(1, len(names) + 2) if numbered(target.name, count) not in names)
        opened[path] = replace(target, name=numbered(target.name, number_of))
    target = opened[path]
    hold = number(entry.get("hold_seconds", target.hold_seconds), f"{where}.hold_seconds", 0, MAX_HOLD_SECONDS)
    rest = number(entry.get("rest_seconds", 0), f"{where}.rest_seconds", 0, MAX_HOLD_SECONDS)
    return Step(target, hold, rest)


def numbered(name: str, count: int) -> str:
    """The name itself, or with a number where it is taken."""
    return name if count == 1 else f"{name[:100]} ({count})"


@dataclass(frozen=True)
class Progress:
    """Where a person is in a routine.

    Args:
        phase: ready, hold, rest or done.
        repetition: from 1.
        step: index of the pose that is to be held, or that comes after the rest.
        hold_seconds: how long it has been held.
        rest_left: seconds of rest that remain.
        paused: whether time stands still.
        event: what happened with this frame: entered, held, lost, done, or empty.
    """

    phase: str = READY
    repetition: int = 1
    step: int = 0
    hold_seconds: float = 0.0
    rest_left: float = 0.0
    paused: bool = False
    event: str = ""


class RoutineState:
    """Follows a routine. Time is a parameter: seconds that never go back."""

    def __init__(self, routine: Routine) -> None:
        self.routine = routine
        self.progress = Progress()
        self._seconds: float | None = None
        self._without = 0.0
        self._ended: dict[str, Progress] = {}

    @property
    def step(self) -> Step:
        """The pose that is to be held, or that comes after the rest."""
        return self.routine.steps[self.progress.step]

    def place(self, target: str) -> Progress:
        """Where a frame belongs that was scored against `target`: one in flight, to the pose that ended before it.

        So does the one that completes a hold, where no rest follows.
        """
        now = self.progress
        behind = target != self.step.target.name or (now.event == "held" and now.phase == READY)
        return self._ended.get(target, now) if behind else now

    def at(self, place: Progress) -> "RoutineState":
        """The same routine at another place."""
        other = RoutineState(self.routine)
        other.progress = place
        return other

    def update(self, seconds: float, score: float | None) -> Progress:
        """Takes the score of the frame at `seconds`; None where there is none."""
        passed = 0.0 if self._seconds is None else min(max(seconds - self._seconds, 0.0), LONGEST_STEP_SECONDS)
        self._seconds = seconds
        if score is not None:  # of the pose that is to be held: none of an earlier one is in flight any more
            self._ended = {}
        now = replace(self.progress, event="")
        if not now.paused:
            follow = {READY: self._ready, HOLD: self._hold, REST: self._rest}.get(now.phase)
            now = follow(now, passed, score) if follow else now
        self.progress = now
        return now

    def _ready(self, now: Progress, passed: float, score: float | None) -> Progress:
        now = replace(now, hold_seconds=0.0)
        if score is None or score < self.step.target.pass_score:
            return now
        self._without = 0.0
        return replace(now, phase=HOLD, hold_seconds=0.0, event="entered")

    def _hold(self, now: Progress, passed: float, score: float | None) -> Progress:
        if score is None:
            self._without += passed
            if self._without > GRACE_SECONDS:
                return replace(now, phase=READY, hold_seconds=0.0, event="lost")
            return now
        self._without = 0.0
        if score < self.step.target.pass_score - LEAVE_MARGIN:
            return replace(now, phase=READY, hold_seconds=0.0, event="lost")
        held = now.hold_seconds + passed
        if held >= self.step.hold_seconds:
            return self._after(replace(now, hold_seconds=held), self.step.rest_seconds, "held")
        return replace(now, hold_seconds=held)

    def _rest(self, now: Progress, passed: float, score: float | None) -> Progress:
        left = now.rest_left - passed
        return replace(now, rest_left=left) if left > 0 else replace(now, phase=READY, rest_left=0.0, hold_seconds=0.0)

    def _after(self, now: Progress, rest: float, event: str) -> Progress:
        """What follows the pose: a rest or at once the next pose; done after the last."""
        last = now.step + 1 == len(self.routine.steps)
        if last and now.repetition == self.routine.repetitions:
            return replace(now, phase=DONE, event="done")
        # what follows a hold is a rest, if only until the first frame that is scored against the next pose
        self._ended[self.step.target.name] = replace(now, phase=REST, event="") if event else now
        step, repetition = (0, now.repetition + 1) if last else (now.step + 1, now.repetition)
        now = replace(now, step=step, repetition=repetition, event=event, rest_left=rest)
        return replace(now, phase=REST if rest > 0 else READY)  # how long it was held is told once more

    def pause(self) -> None:
        """Stops or starts the clock; a hold goes on where it stood."""
        self.progress = replace(self.progress, paused=not self.progress.paused)

    def skip(self) -> None:
        """On to the next pose: ends a rest, or gives up the pose, without a rest after it."""
        now = self.progress
        if now.phase == REST:
            self.progress = replace(now, phase=READY, rest_left=0.0, hold_seconds=0.0)
        elif now.phase != DONE:
            self.progress = replace(self._after(now, 0.0, ""), hold_seconds=0.0)

    def restart(self) -> None:
        """From the beginning."""
        self._ended[self.step.target.name] = self.progress
        self.progress = Progress()
