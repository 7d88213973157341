"""What the loop says of a frame, and the results file's rows. Knows no network, camera or screen."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from realtime.json_values import float_for_json

Floats = npt.NDArray[np.float32]

SCORED, NO_PERSON, JOINTS_MISSING, STALE = "scored", "no_person", "joints_missing", "stale"
NO_PERSON_REASON, HIDDEN = "no person in view", "hidden behind another person"
CAMERA_LOST, CAMERA_FROZEN = "camera lost", "camera frozen"
"""How the reason of a stale frame begins when it is the camera that fails."""

MOMENTS = ("submitted", "detected", "posed", "scored", "delivered", "drawn", "shown")
"""What happens to a captured picture, in order: given to the engines, through each of them, handed to the sinks, its
overlay drawn, on the screen (the window has taken it)."""


@dataclass(frozen=True)
class Bystander:
    """Somebody in view who is not scored: id, box float32 [4] px, joints [15, 3] as last looked at, or None, and when
    that was, seconds as `FrameResult` has them.
    """

    id: int
    box: Floats
    joints: Floats | None
    looked_at: float


@dataclass(frozen=True)
class PersonResult:
    """One person in view, when several are scored: id, box float32 [5], keypoints [17, 3], joints [15, 3], score.

    Px of the fitted frame. The id stays theirs; the score is None where too few joints are seen.
    """

    id: int
    box: Floats
    keypoints: Floats
    joints: Floats
    score: float | None


@dataclass(frozen=True)
class FrameResult:
    """Everything that is known of one frame. Coordinates are px of the fitted frame.

    Args:
        frame: 0-based index in the source.
        seconds: media time (file), or since the start (live).
        captured_ns: see `realtime.frames.Capture`.
        status: scored, no_person, joints_missing or stale.
        reason: why there is no score, in words; None with one.
        score: 0..100, or None.
        distance: cosine distance to the target, or None.
        box: float32 [5], or None when nobody is there.
        keypoints: float32 [17, 3], or None.
        joints: float32 [15, 3], or None.
        deviation_degrees: see `realtime.scoring.deviation_degrees`.
        missing: joints that count and are not visible.
        mirrored: whether the target's mirror image was the nearer one.
        target: the target's name.
        stages_ms: time in each stage.
        people: everybody who is scored, when several are.
        person: the id of the person that is locked, whom the rest of this result is about; None while nobody is.
        others: who is in view and not scored; not written to files.
        age_ms: age at display, set by the loop: until its picture is on the screen, or, where nothing is drawn, until
            it reaches the sinks.
        moments_ms: when each of MOMENTS was, ms after the picture was captured; without those that did not happen.
        dropped_before: frames given up between the last one delivered and this one.
        duplicate: whether the source gave the same picture as just before.
        phase: ready, hold, rest or done, set by the station; so are the next three.
        step: the pose of the routine that is to be held, or that comes after the rest, from 0; None where it is not
            known.
        repetition: from 1.
        hold_seconds: how long the pose has been held.
    """

    frame: int
    seconds: float
    captured_ns: int
    status: str
    reason: str | None
    score: float | None
    distance: float | None
    box: Floats | None
    keypoints: Floats | None
    joints: Floats | None
    deviation_degrees: dict[str, float | None]
    missing: tuple[str, ...]
    mirrored: bool
    target: str
    stages_ms: dict[str, float]
    people: tuple[PersonResult, ...] = ()
    person: int | None = None
    others: tuple[Bystander, ...] = ()
    age_ms: float = 0.0
    phase: str = "ready"
    step: int | None = None
    repetition: int = 1
    hold_seconds: float = 0.0
    moments_ms: dict[str, float] = field(default_factory=dict)
    dropped_before: int = 0
    duplicate: bool = False


def rows_for_json(values: Floats | None) -> list[list[float]] | None:
    """A float32 matrix as nested lists that read back to the same bits."""
    return None if values is None else [[float_for_json(value) for value in row] for row in values]


def row_for_json(values: Floats | None) -> list[float] | None:
    """A float32 vector as a list that reads back to the same bits."""
    return None if values is None else [float_for_json(value) for value in values]


def frame_row(result: FrameResult) -> dict[str, object]:
    """The results file's row of a frame."""
    row: dict[str, object] = {
        "type": "frame",
        "frame": result.frame,
        "time": round(result.seconds, 6),
        "status": result.status,
        "reason": result.reason,
        "score": exact(result.score),
        "distance": exact(result.distance),
        "box": row_for_json(result.box),
        "keypoints": rows_for_json(result.keypoints),
        "joints": rows_for_json(result.joints),
        "deviation_degrees": result.deviation_degrees,
        "missing": list(result.missing),
        "target": result.target,
        "phase": result.phase,
        "repetition": result.repetition,
        "hold_seconds": result.hold_seconds,
        "age_ms": round(result.age_ms, 3),
        "stages_ms": {name: round(value, 3) for name, value in result.stages_ms.items()},
        "moments_ms": {name: round(value, 3) for name, value in result.moments_ms.items()},
        "dropped_before": result.dropped_before,
        "duplicate": result.duplicate,
    }
    if result.step is not None:
        row["step"] = result.step
    if result.people:
        if result.person is not None:
            row["person"] = result.person
        row["people"] = [person_row(person) for person in result.people]
    return row


def exact(value: float | None) -> float | None:
    """A float32 value as the shortest decimal that reads back to it."""
    return None if value is None else float_for_json(np.float32(value))


def person_row(person: PersonResult) -> dict[str, object]:
    """One entry of a frame row's `people`."""
    return {
        "id": person.id,
        "box": row_for_json(person.box),
        "keypoints": rows_for_json(person.keypoints),
        "joints": rows_for_json(person.joints),
        "score": exact(person.score),
    }
