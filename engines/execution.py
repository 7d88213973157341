"""The chain of engines on a CPU: one frame in, boxes, keypoints and scores out. Knows no loop and no window."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.contract import check_tensors
from engines.device import Tensor
from engines.errors import EngineError
from engines.host_sampling import crop, letterbox
from engines.int8 import INT8_FORMS, int8_tasks
from engines.manifest import Manifest, built_again, check_files, read_manifest
from engines.onnx_runtime import onnxruntime, open_graph

Floats = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint8]

ONE_CORE_MS = 16.0
"""A pose engine that one core runs in this time gets one: half of what a camera of 30 frames a second leaves for all.
The halves of a small network wait for each other, and camera, drawing and browsers need cores (docs/latency.md)."""


@dataclass(frozen=True)
class PoseOutput:
    """What the pose engine says of K people, px of the frame.

    Args:
        keypoints: float32 [K, 17, 3], smoothed; x, y, confidence; zeros where there is no box.
        joints: float32 [K, 15, 3].
        next_boxes: float32 [K, 5]; bounds of the keypoints of at least half the confidence of visible ones, and mean
            confidence of the visible ones, zeros when fewer than 5.
        state: float32 [K, 17, 4]; smoothed position and speed (px a second), to be given back with the next frame.
    """

    keypoints: Floats
    joints: Floats
    next_boxes: Floats
    state: Floats


@dataclass(frozen=True)
class Targets:
    """The encode engine's view of T targets: joints float32 [T, 15, 3], counts [T, 15] (0 or 1), width [T] > 0."""

    joints: Floats
    counts: Floats
    width: Floats


@dataclass(frozen=True)
class EncodeOutput:
    """Embedding float32 [K, 50], and distance [K, T] and score [K, T] (0..100) to each target."""

    embedding: Floats
    distance: Floats
    score: Floats


@dataclass(frozen=True)
class ChainInfo:
    """What the opened engines are: sizes are (width, height) in px, `manifests` by task: detect, pose, encode_NAME."""

    backend: str
    directory: Path
    frame_size: tuple[int, int]
    people: int
    visible_confidence: float
    encoder: str
    masked: bool
    manifests: dict[str, Manifest]


class CpuChain:
    """The three engines on ONNX Runtime. Not for use from several threads at once.

    Args:
        sampling: `host` samples the networks' pictures with OpenCV and runs the cut graphs (measured faster on a CPU);
            `graph` runs the whole graphs.
        threads: of detector and pose each; None for one where that is enough (`ONE_CORE_MS`), else as many as there
            are cores.

    Attributes:
        threads: of detector and pose; `encode` always has one.
    """

    def __init__(self, info: ChainInfo, *, sampling: str = "host", threads: int | None = None) -> None:
        self.info = info
        self.cut = sampling == "host"
        self.threads = threads or 1
        self.poser = open_session(info, "pose", cut=self.cut, threads=self.threads)
        cores = os.cpu_count() or 1
        if threads is None and cores > 1 and cpu_ms(self.poser) > ONE_CORE_MS:
            self.threads = cores
            self.poser = open_session(info, "pose", cut=self.cut, threads=self.threads)
        self.detector = open_session(info, "detect", cut=self.cut, threads=self.threads)
        self.encoder = open_session(info, f"encode_{info.encoder}", cut=False, threads=1)
        width, height = info.manifests["detect"].image_size
        self.detect_image_size = (height, width)
        self._anchor_size = int(session_tensors(self.detector)["anchor"].shape[0])

    def detect(self, frame: Frame, anchor: Floats) -> Floats:
        """Boxes float32 [D, 5] in `frame` uint8 [H, W, 3].

        `anchor` float32 [4] is whom to stay with, or zeros. With a confidence > 0 behind it, float32 [5], it is row 0
        itself, of confidence 0, where they are not found.
        """
        picture = {"frame": frame}
        if self.cut:
            picture = {"image": letterbox(frame, self.detect_image_size, exact=True)[None]}
        boxes: Floats = self.detector.run(None, {**picture, "anchor": anchor_row(anchor)[: self._anchor_size]})[0]
        return boxes

    def pose(self, frame: Frame, boxes: Floats, state: Floats, seconds: float) -> PoseOutput:
        """Keypoints of the people in `boxes` float32 [K, 5], `seconds` after the frame that gave `state`."""
        picture = {"image": crop(frame, boxes)} if self.cut else {"frame": frame}
        inputs = {**picture, "boxes": boxes, "state": state, "seconds": np.array([seconds], np.float32)}
        return PoseOutput(*self.poser.run(None, inputs))

    def encode(self, joints: Floats, targets: Targets) -> EncodeOutput:
        """Embeds `joints` float32 [K, 15, 3] and compares them with every target."""
        inputs = {"joints": joints, "targets": targets.joints, "counts": targets.counts, "width": targets.width}
        return EncodeOutput(*self.encoder.run(None, inputs))


def anchor_row(anchor: Floats) -> Floats:
    """An anchor float32 [4] or [5] as the graph takes it, [5]."""
    row = np.zeros(5, np.float32)
    row[: len(anchor)] = anchor
    return row


def open_session(info: ChainInfo, name: str, *, cut: bool, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session of one engine, its files checked against the manifest first."""
    manifest = info.manifests[name]
    check_files(manifest, info.directory)
    path = info.directory / (f"{manifest.name}.cut.onnx" if cut else manifest.engine_file)
    if path.name not in manifest.files:
        raise EngineError(
            f"{manifest.name}.json in {info.directory} does not list {path.name}",
            "a file is opened only when its manifest has its hash",
            built_again(info.directory, "--backend onnx"),
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # a pool that spins between frames would take its core from the other engines' pools
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = open_graph(
        path, options, "a graph written by build_engines.py is needed",
        built_again(info.directory, "--backend onnx"),
    )  # fmt: skip
    check_tensors(session_tensors(session), manifest, info.directory, cut=cut)
    return session


def cpu_ms(session: onnxruntime.InferenceSession) -> float:
    """CPU time of one run, of zeros, of a session with one thread: the less of two runs, the first one being cold."""
    tensors = session_tensors(session).values()
    zeros = {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in tensors if tensor.is_input}
    times = []
    for _ in range(2):
        began = time.thread_time()
        session.run(None, zeros)
        times.append((time.thread_time() - began) * 1e3)
    return min(times)


def session_tensors(session: onnxruntime.InferenceSession) -> dict[str, Tensor]:
    """What ONNX Runtime says of a graph's inputs and outputs; -1 for a size that is open."""
    return {
        value.name: Tensor(
            value.name,
            tuple(side if isinstance(side, int) else -1 for side in value.shape),
            {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}.get(value.type, np.object_),
            value in inputs,
        )
        for inputs in [session.get_inputs()]
        for value in [*inputs, *session.get_outputs()]
    }


def read_chain(directory: Path, encoder: str, *, int8: bool = False) -> ChainInfo:
    """The three manifests of a folder of engines, checked against each other; with `int8` those of its int8 engines,
    and of float32 where there is none.

    Raises:
        EngineError: a missing or bad manifest, an encoder that was not built, or engines of different sizes.
    """
    if not directory.is_dir():
        raise EngineError(
            f"{directory} is not a folder", "a folder written by build_engines.py is needed", "run build_engines.py"
        )
    built = sorted(path.stem.removeprefix("encode_") for path in directory.glob("encode_*.json"))
    if encoder not in built and built:
        raise EngineError(
            f"{directory} has no encode engine named {encoder}",
            f"it has {', '.join(built)}",
            f"give --encoder {built[0]}, or other engines: build_engines.py builds every encoder that ships, and FILE "
            "with --encoder FILE",
        )
    files = {name: name for name in ("detect", "pose", f"encode_{encoder}")}
    files |= {task: INT8_FORMS[task] for task in int8_tasks(directory) if int8}
    manifests = {name: read_manifest(directory / f"{file}.json") for name, file in files.items()}
    detect, pose, encode = manifests.values()
    for one, other, what in (
        (detect.backend, pose.backend, "backend"),
        (detect.backend, encode.backend, "backend"),
        (detect.frame_size, pose.frame_size, "frame size"),
        (detect.people, pose.people, "number of people"),
        (detect.people, encode.people, "number of people"),
        (pose.visible_confidence, encode.visible_confidence, "least confidence of a visible joint"),
    ):
        if one != other:
            raise EngineError(
                f"the engines in {directory} differ in their {what}: {one} and {other}",
                "all must be built in one run",
                built_again(directory),
            )
    return ChainInfo(
        backend=detect.backend,
        directory=directory,
        frame_size=detect.frame_size,
        people=detect.people,
        visible_confidence=pose.visible_confidence,
        encoder=encoder,
        masked=encode.masked,
        manifests=manifests,
    )
