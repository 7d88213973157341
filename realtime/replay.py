"""A recorded session again, from its skeletons: shown, and scored anew by the encoder that scored it.

Knows no camera and no pose network. `ReplaySource` and `ReplayExecutor` take the places of a camera and the engines in
the loop, so that window, recording and results are the same.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.errors import EngineError, PosemirrorError
from engines.execution import ChainInfo, EncodeOutput, Targets, open_session
from engines.manifest import Manifest, read_manifest
from engines.onnx_runtime import onnxruntime
from realtime import scoring
from realtime.brush import ground
from realtime.capture_clock import FILE
from realtime.frames import USUAL_FPS, Capture, Clock, Frame, FrameBuffers, Room, no_room
from realtime.recording import Recording
from realtime.results import NO_PERSON, STALE, FrameResult
from realtime.station import Station
from realtime.verdict import Judgement, judged
from realtime.watchdog import Watchdog

Floats = npt.NDArray[np.float32]


def find_encoder(recording: Recording, folders: Iterable[Path]) -> ChainInfo:
    """The ONNX encode graph that the recording names by its hash, in one of the folders.

    A recording made with a TensorRT engine names the engine; its manifest, where it is still there, names the graph.

    Raises:
        EngineError: no folder has it.
    """
    name = f"encode_{recording.encoder}"
    wanted = recording.engines.get(name, "")
    folders = list(dict.fromkeys(folders))
    manifests = [(folder, manifest) for folder in folders for manifest in encoders_in(folder)]
    graphs = {wanted} | {one.graph_sha256 for _, one in manifests if one.files[one.engine_file] == wanted}
    for folder, manifest in manifests:
        if manifest.backend == "onnx" and {manifest.files[manifest.engine_file], manifest.graph_sha256} & graphs:
            return ChainInfo(
                backend="onnx",
                directory=folder,
                frame_size=recording.frame_size,
                people=manifest.people,
                visible_confidence=manifest.visible_confidence,
                encoder=manifest.name.removeprefix("encode_"),
                masked=manifest.masked,
                manifests={manifest.name: manifest},
            )
    looked = ", ".join(str(folder) for folder in folders)
    raise EngineError(
        f"{recording.path} was scored by {name} of hash {wanted[:12] or '(none)'}",
        f"no ONNX graph of that hash is in {looked}",
        "give --engines with the folder it was recorded with, or run build_engines.py as for that one",
    )


def encoders_in(folder: Path) -> list[Manifest]:
    """Manifests of the encode engines in a folder; those that cannot be read are left out."""
    found = []
    for path in sorted(folder.glob("encode_*.json")):
        try:
            found.append(read_manifest(path))
        except PosemirrorError:
            continue
    return found


def station_of(recording: Recording, info: ChainInfo, *, mirror: bool) -> Station:
    """The station at which a recording is shown again; `info` is of the encoder that scored it."""
    return Station(
        recording.routine,
        info.frame_size,
        info.visible_confidence,
        mirror=mirror,
        replayed=True,
        stills=recording.stills,
    )


class ReplaySource:
    """An empty ground for each recorded frame; with `pace` each at its own time."""

    live = False
    capture_clock = FILE

    def __init__(self, recording: Recording, clock: Clock, *, pace: bool) -> None:
        self.name = f"replay of {recording.path.name}"
        self.size, self.stills = recording.source_size, recording.stills
        self._times = [frame.seconds for frame in recording.frames]
        steps = np.diff(self._times)
        usual = float(np.median(steps)) if len(steps) else 0.0
        self.fps = 1 / usual if usual > 1e-3 else USUAL_FPS
        self._ground = ground(recording.frame_size)
        self._clock, self._pace = clock, pace
        self._next = 0
        self._started_ns = 0

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        """See `realtime.sources.Source`."""
        if self._next == len(self._times) or stop.is_set():
            return None
        seconds = self._times[self._next]
        if self._next == 0:
            self._started_ns = self._clock.now_ns() - round(seconds * 1e9)
        if self._pace:
            due_ns = self._started_ns + round(seconds * 1e9)
            self._clock.wait((due_ns - self._clock.now_ns()) / 1e9, stop)
        self._next += 1
        return Capture(self._ground, seconds, self._clock.now_ns())

    def close(self) -> None:
        """See `realtime.sources.Source`; nothing is held open."""


@dataclass
class Agreement:
    """How the new scores compare with the recorded ones."""

    compared: int = 0
    identical: int = 0
    largest: float = 0.0

    def add(self, recorded: FrameResult, again: FrameResult) -> None:
        """Compares one frame; a score on one side only counts as 100 points apart."""
        if recorded.score is None and again.score is None:
            return
        self.compared += 1
        if recorded.score is None or again.score is None:
            self.largest = 100.0
            return
        self.identical += np.float32(recorded.score) == np.float32(again.score)
        self.largest = max(self.largest, abs(recorded.score - again.score))

    @property
    def sentence(self) -> str:
        """For the user."""
        if not self.compared:
            return "no frame has a score to compare"
        if self.compared == self.identical:
            return f"{self.compared} scores, all identical to the recorded ones"
        return (
            f"{self.compared} scores, {self.identical} identical to the recorded ones, "
            f"the largest difference {self.largest:.4f} points"
        )


class ReplayExecutor:
    """Scores recorded joints again; see `realtime.executor.Executor`."""

    depth = 1
    buffers: FrameBuffers | None = None
    watchdog: Watchdog | None = None

    def __init__(self, recording: Recording, info: ChainInfo) -> None:
        self._recording, self._info = recording, info
        self._session: onnxruntime.InferenceSession = open_session(info, f"encode_{info.encoder}", cut=False, threads=1)
        self._rows = {name: scoring.target_rows(target) for name, target in recording.targets.items()}
        self._done: deque[FrameResult] = deque()
        self.agreement = Agreement()

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        """See `Executor`."""
        recorded = self._recording.frames[frame.index]
        started = time.perf_counter()
        again = self._scored(recorded)
        stages = {"wait": wait_ms, "detect": 0.0, "pose": 0.0, "encode": (time.perf_counter() - started) * 1e3}
        self.agreement.add(recorded, again)
        self._done.append(replace(again, captured_ns=frame.captured_ns, stages_ms=stages))

    def collect(self) -> FrameResult:
        """See `Executor`."""
        return self._done.popleft()

    def _scored(self, recorded: FrameResult) -> FrameResult:
        """The recorded frame with score, distance, deviation and missing joints worked out anew."""
        if recorded.joints is None or recorded.status in (NO_PERSON, STALE):
            return recorded
        rows = self._rows[recorded.target]
        recorded = self._scored_people(recorded, rows)
        assert recorded.joints is not None
        return replace(recorded, **vars(self._judged(recorded.joints, rows)))

    def _judged(self, joints: Floats, rows: Targets) -> Judgement:
        """One person's joints float32 [15, 3], scored anew."""
        visible, masked = self._info.visible_confidence, self._info.masked
        return judged(joints, self._encoded(joints, rows), 0, rows, visible, masked=masked)

    def _encoded(self, joints: Floats, rows: Targets) -> EncodeOutput:
        """One person's joints float32 [15, 3] through the encoder, in row 0."""
        padded = np.zeros((self._info.people, *joints.shape), np.float32)
        padded[0] = joints
        inputs = {"joints": padded, "targets": rows.joints, "counts": rows.counts, "width": rows.width}
        return EncodeOutput(*self._session.run(None, inputs))

    def _scored_people(self, recorded: FrameResult, rows: Targets) -> FrameResult:
        """The recorded frame with everybody's score worked out anew."""
        people = (replace(person, score=self._judged(person.joints, rows).score) for person in recorded.people)
        return replace(recorded, people=tuple(people))
