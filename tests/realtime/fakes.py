"""Stand-ins for time, sources, engines and executors: they follow a script and fail on demand."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engines.execution import ChainInfo, EncodeOutput, PoseOutput, Targets
from engines.manifest import Manifest
from engines.skeleton import JOINTS, joints_from_keypoints
from realtime.frames import Capture, Frame, FrameBuffers, Picture, Room, no_room
from realtime.pose import Target
from realtime.results import SCORED, FrameResult
from realtime.scoring import score_from_distance
from realtime.watchdog import Watchdog

Floats = npt.NDArray[np.float32]
Rows = list[dict[str, object]]

DEADLINE_SECONDS = 20.0
"""How long a test waits for a hand-shake before it says that the loop hangs."""

FRAME_SIZE = (320, 180)
SHA256 = "56ec5228c683dca5d09c2b861a93281dae7dcbdc2bc5daa379eeeeaf47d59639"

STANDING = np.array(
    [
        (0.50, 0.05), (0.54, 0.03), (0.46, 0.03), (0.58, 0.05), (0.42, 0.05), (0.65, 0.20), (0.35, 0.20), (0.80, 0.35),
        (0.20, 0.35), (0.90, 0.50), (0.10, 0.50), (0.60, 0.52), (0.40, 0.52), (0.62, 0.75), (0.38, 0.75), (0.63, 0.98),
        (0.37, 0.98),
    ],
    np.float32,
)  # fmt: skip
"""COCO's 17 keypoints of a person who stands and faces the camera, as parts of their box."""


def wait_for(event: threading.Event, what: str = "the other thread") -> None:
    """Waits for a hand-shake; a deadlock fails the test instead of hanging it."""
    assert event.wait(DEADLINE_SECONDS), f"{what} never came"


def finished(work: Callable[[], None], deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Runs `work` in a thread of its own, with a deadline, and raises what it raises."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(deadline_seconds)
    assert not thread.is_alive(), f"not done after {deadline_seconds:g} s"
    if raised:
        raise raised[0]


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """The block may not look into `folder`; a test that runs as root becomes nobody for its time."""
    folder.chmod(0)
    try:
        with as_nobody():
            yield
    finally:
        folder.chmod(0o700)


@contextmanager
def virtual_screen(size: str = "640x480", folder: Path | None = None) -> Iterator[dict[str, str]]:
    """Xvfb, a screen without a screen, which can be looked at in `folder`.

    Gives the environment in which programs find it, and its process (XVFB_PID).
    """
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb, a screen without a screen; it is not installed")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24"]
    command += ["-fbdir", str(folder)] if folder else []
    server = subprocess.Popen(command, pass_fds=[write])
    os.close(write)
    try:
        number = os.read(read, 16).decode().strip()
        assert number, "Xvfb did not start"
        environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
        yield environment | {"DISPLAY": f":{number}", "XVFB_PID": str(server.pid)}
    finally:
        server.terminate()
        server.wait(DEADLINE_SECONDS)
        os.close(read)


@contextmanager
def as_nobody() -> Iterator[None]:
    """A block that is not run as root."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.setresuid(65534, 65534, 0)
    except OSError:
        pytest.skip("this root cannot become another user, and nothing is closed to it")
    try:
        if not all(os.access(path, os.R_OK) for path in (__file__, np.__file__)):
            pytest.skip("only root can read this checkout and its packages")
        yield
    finally:
        os.setresuid(0, 0, 0)


class FakeClock:
    """Time that moves only when told to, or when someone waits; `waits` are the seconds asked for."""

    def __init__(self, now_ms: float = 1000.0) -> None:
        self._now_ns = round(now_ms * 1e6)
        self.waits: list[float] = []

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)

    def wait(self, seconds: float, until: threading.Event) -> None:
        self.waits.append(seconds)
        self.advance(max(0.0, seconds))


class FakeSource:
    """Gives `count` grey pictures, 40 ms apart, timed by the grab.

    Args:
        count: how many; None for ever.
        live: see `realtime.sources.Source`.
        clock: what captures are timed with.
        before_read: told the index that is asked for, before it is given; it may wait, check or raise.
        size: (width, height) px.
    """

    def __init__(
        self,
        count: int | None,
        *,
        live: bool = False,
        clock: FakeClock | None = None,
        before_read: Callable[[int], None] = lambda index: None,
        size: tuple[int, int] = FRAME_SIZE,
        stills: bool = False,
    ) -> None:
        self.capture_clock = "grab"
        self.name, self.live, self.stills, self.size, self.fps = "fake", live, stills, size, 25.0
        self._count, self._clock, self._before_read = count, clock or FakeClock(), before_read
        self.reads = 0
        self.closed = False

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        index = self.reads
        self._before_read(index)
        if index == self._count or stop.is_set():
            return None
        self.reads += 1
        width, height = self.size
        image = np.full((height, width, 3), index % 256, np.uint8)
        return Capture(image, index * 0.04, self._clock.now_ns())

    def close(self) -> None:
        self.closed = True


class FakeExecutor:
    """Gives every frame a score of 50.

    Args:
        depth: frames held before one is given.
        on_submit: told the index of each frame that begins; it may wait, check or raise.
        on_collect: the same, before its result is given.
        watchdog: told while results are waited for.
    """

    buffers: FrameBuffers | None = None

    def __init__(
        self,
        depth: int = 1,
        *,
        on_submit: Callable[[int], None] = lambda index: None,
        on_collect: Callable[[int], None] = lambda index: None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.depth, self.watchdog = depth, watchdog
        self._on_submit, self._on_collect = on_submit, on_collect
        self.held: deque[Frame] = deque()
        self.most_held = 0
        self.submitted: list[int] = []

    def submit(self, frame: Frame, *, wait_ms: float) -> None:
        self._on_submit(frame.index)
        self.submitted.append(frame.index)
        self.held.append(frame)
        self.most_held = max(self.most_held, len(self.held))

    def collect(self) -> FrameResult:
        frame = self.held.popleft()
        with self.watchdog.waiting() if self.watchdog else contextlib.nullcontext():
            self._on_collect(frame.index)
        return result_of(frame.index, captured_ns=frame.captured_ns, seconds=frame.seconds)


def standing(box: Sequence[float] = (100, 20, 200, 170), confidence: float | Floats = 0.9) -> Floats:
    """Keypoints float32 [17, 3] of a person who fills the box (x1, y1, x2, y2)."""
    x1, y1, x2, y2 = box[:4]
    points = STANDING * (x2 - x1, y2 - y1) + (x1, y1)
    return np.column_stack([points, np.broadcast_to(confidence, 17)]).astype(np.float32)


def standing_joints(box: Sequence[float] = (100, 20, 200, 170), confidence: float | Floats = 0.9) -> Floats:
    """The 15 joints float32 [15, 3] of `standing`."""
    return joints_from_keypoints(standing(box, confidence))


def standing_target(name: str = "Standing", **changes: object) -> Target:
    """A target that the person of `standing` matches."""
    return Target(name, FRAME_SIZE, standing_joints(), **changes)  # type: ignore[arg-type]


def result_of(frame: int, *, captured_ns: int = 0, seconds: float = 0.0, **changes: object) -> FrameResult:
    """A scored result; `changes` are fields of `FrameResult`."""
    fields: dict[str, object] = {
        "frame": frame,
        "seconds": seconds,
        "captured_ns": captured_ns,
        "status": SCORED,
        "reason": None,
        "score": 50.0,
        "distance": 0.35,
        "box": np.array([100, 20, 200, 170, 0.9], np.float32),
        "keypoints": standing(),
        "joints": standing_joints(),
        "deviation_degrees": {"left_elbow": -12.4, "head": None},
        "missing": (),
        "mirrored": False,
        "target": "Standing",
        "stages_ms": {"wait": 1.0, "detect": 0.0, "pose": 9.7, "encode": 0.3},
    }
    return FrameResult(**fields | changes)  # type: ignore[arg-type]


def chain_info(
    *,
    people: int = 1,
    frame_size: tuple[int, int] = FRAME_SIZE,
    encoder: str = "bones",
    masked: bool = True,
    backend: str = "onnx",
) -> ChainInfo:
    """What `read_chain` would say of engines in a folder that is not there."""
    manifests = {
        name: Manifest(
            name=name,
            backend=backend,
            files={f"{name}.onnx": SHA256},
            graph_sha256=SHA256,
            network="fake",
            weights_sha256="" if name.startswith("encode") else SHA256,
            licence="Apache-2.0",
            precision="fp32",
            frame_size=(0, 0) if name.startswith("encode") else frame_size,
            image_size=(0, 0),
            people=people,
            visible_confidence=0.3,
            masked=masked,
            posemirror="test",
        )
        for name in ("detect", "pose", f"encode_{encoder}")
    }
    return ChainInfo(backend, Path("nowhere"), frame_size, people, 0.3, encoder, masked, manifests)


class FakeChain:
    """Engines without networks: people stand where the script says, and are as far from the target as it says.

    Args:
        people: K.
        detections: what each call of `detect` finds, boxes of 5; after the last one, the last again.
        confidence: of every keypoint, or float32 [17].
        distance: to every target, or to each row of them.
    """

    def __init__(
        self,
        people: int = 1,
        *,
        detections: Iterable[Sequence[Sequence[float]]] = (((100, 20, 200, 170, 0.9),),),
        confidence: float | Floats = 0.9,
        distance: float | Sequence[float] = 0.1,
        masked: bool = True,
        frame_size: tuple[int, int] = FRAME_SIZE,
    ) -> None:
        self.info = chain_info(people=people, masked=masked, frame_size=frame_size)
        self._detections = list(detections)
        self.confidence, self.distance = confidence, distance
        self.calls: list[str] = []
        self.anchors: list[Floats] = []
        self.seconds: list[float] = []
        self.states: list[Floats] = []
        self.boxes: list[Floats] = []

    def detect(self, frame: Picture, anchor: Floats) -> Floats:
        found = self._detections[min(self.calls.count("detect"), len(self._detections) - 1)]
        self.calls.append("detect")
        self.anchors.append(anchor.copy())
        boxes = np.zeros((self.info.people, 5), np.float32)
        for row, box in zip(boxes, found, strict=False):
            row[:] = box
        return boxes

    def pose(self, frame: Picture, boxes: Floats, state: Floats, seconds: float) -> PoseOutput:
        self.calls.append("pose")
        self.seconds.append(seconds)
        self.states.append(state.copy())
        self.boxes.append(boxes.copy())
        keypoints = np.zeros((self.info.people, 17, 3), np.float32)
        next_boxes = np.zeros((self.info.people, 5), np.float32)
        for row, box in enumerate(boxes):
            if box.any():
                keypoints[row] = standing(box, self.confidence)
                next_boxes[row] = bounds(keypoints[row])
        next_state = np.concatenate([keypoints[..., :2], np.ones_like(keypoints[..., :2])], -1)
        return PoseOutput(keypoints, joints_from_keypoints(keypoints), next_boxes, next_state)

    def encode(self, joints: Floats, targets: Targets) -> EncodeOutput:
        self.calls.append("encode")
        distances = np.broadcast_to(self.distance, (len(joints), len(targets.width))).astype(np.float32)
        scores = [
            [score_from_distance(distance, width) for distance, width in zip(row, targets.width, strict=True)]
            for row in distances
        ]
        return EncodeOutput(np.zeros((len(joints), 50), np.float32), distances, np.array(scores, np.float32))


def bounds(keypoints: Floats) -> Floats:
    """`next_boxes` of one person, float32 [5]: bounds of the visible keypoints, zeros when fewer than 5."""
    seen = keypoints[:, 2] >= 0.3
    if seen.sum() < 5:
        return np.zeros(5, np.float32)
    points = keypoints[seen]
    return np.array([*points[:, :2].min(0), *points[:, :2].max(0), points[:, 2].mean()], np.float32)


RESULTS_SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "results.schema.json"


def valid_rows(text: str) -> Rows:
    """The rows of a results file that is complete to its last byte, each checked against the schema of the docs."""
    import jsonschema  # not on every machine that has a GPU

    validator = jsonschema.Draft202012Validator(json.loads(RESULTS_SCHEMA.read_text(encoding="utf-8")))
    assert text.endswith("\n")
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        validator.validate(row)
    return rows


def rows_of(path: Path) -> Rows:
    """The rows of a results file; see `valid_rows`."""
    return valid_rows(path.read_text(encoding="utf-8"))


def written_clip(path: Path, pictures: Iterable[Picture], fps: float) -> Path:
    """A video file (.avi) of the pictures, all of one size."""
    video = None
    for picture in pictures:
        if video is None:
            size = (picture.shape[1], picture.shape[0])
            video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
        video.write(picture)
    if video is not None:
        video.release()
    return path


def target_json(**changes: object) -> dict[str, object]:
    """A pose.json of the standing person."""
    joints = {name: [float(value) for value in row] for name, row in zip(JOINTS, standing_joints(), strict=True)}
    document: dict[str, object] = {
        "format": "posemirror-target",
        "version": 1,
        "name": "Standing",
        "image_size": list(FRAME_SIZE),
        "joints": joints,
    }
    return {**document, **changes}


def frames_in(path: Path) -> int:
    """How many pictures a video can be read to."""
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[1] is not None:
        count += 1
    video.release()
    return count
