"""The build step: weights to networks to graphs to engines, each with its manifest. A chain of small steps.

Needs the `build` extra (torch, onnx); the live loop never imports this.
"""

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from engines.build_place import replace_folder, require_replaceable
from engines.download import Progress, file_sha256
from engines.errors import BadInputError, EngineError
from engines.geometry import CROP_HEIGHT, CROP_WIDTH, Size, network_size
from engines.graphs.chain import (
    HEATMAPS,
    NETWORK_INPUT,
    Graphs,
    detect_graphs,
    encode_graph,
    pose_graphs,
    torch_pose_network,
)
from engines.graphs.parts import save_sharing_weights
from engines.int8 import INT8_POSE
from engines.manifest import Manifest, TensorRtBuild, write_manifest
from engines.networks.encoders import ENCODER_NAMES, load_encoder
from engines.networks.heatmap_onnx import load_heatmap_network
from engines.networks.loading import load_detector, load_pose_network
from engines.options import MOST_PEOPLE, posemirror_version
from engines.skeleton import VISIBLE_CONFIDENCE
from engines.tensorrt_build import (
    BuildProgress,
    BuildSettings,
    BuiltEngine,
    ComputeCapability,
    build_engine,
    import_tensorrt,
    interruptible,
    rtx_capability,
)
from engines.weights_registry import (
    MADE_FROM,
    OWN_INT8_POSE,
    OWN_NAME,
    SHIPPED_ENGINES,
    WeightsFile,
    find_weights,
    own_or_given,
    require_trust,
)


@dataclass(frozen=True)
class BuildRequest:
    """What to build. Sizes are (height, width) px; names are those of the command line.

    `gpu` and `driver` are of this machine, and empty when `target` is another one's.
    """

    detector: str
    pose: str
    encoders: Sequence[str]
    frame_size: Size
    people: int
    backend: str
    precision: str
    out: Path
    weights_dir: Path | None = None
    trust_weights: bool = False
    target: ComputeCapability | None = None
    gpu: str = ""
    driver: str = ""
    settings: BuildSettings = field(default_factory=BuildSettings)


@dataclass(frozen=True)
class BuildEvents:
    """Who is told of what: the start of each step by name, a download's bytes, how far TensorRT is with an engine, and
    that it was asked to stop.
    """

    on_step: Callable[[str], None] = lambda _: None
    on_download: Progress | None = None
    on_tensorrt: BuildProgress | None = None
    on_stop: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Network:
    """Where a network came from, for the manifest."""

    name: str
    weights_sha256: str = ""
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class Prepared:
    """The graphs of one engine, ready to be written for a backend."""

    name: str
    graphs: Graphs
    network: Network
    masked: bool = True
    image_size: Size = (0, 0)
    frame_size: Size = field(default=(0, 0))


def build(request: BuildRequest, events: BuildEvents) -> list[Manifest]:
    """Builds all engines of a request into a fresh folder, then puts it in the place of `request.out`.

    Raises:
        BadInputError, EngineError: with nothing changed in `request.out`.
    """
    place = request.out.resolve()
    require_replaceable(place)
    if place == SHIPPED_ENGINES and not ships(request):
        raise BadInputError(
            f"--out {request.out} holds the engines that ship",
            "only those go there: --backend onnx --detector quickstart --pose quickstart, for one person at 1280x720",
            "leave --out out, or give another folder",
        )
    if request.backend == "tensorrt_rtx" and request.target is not None:
        rtx_capability(import_tensorrt(request.backend), request.target)  # before anything is downloaded
    for name in request.encoders:
        load_encoder(name)  # one that is none is refused before anything is downloaded or built
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=place.parent) as scratch:
        folder = Path(scratch) / "engines"
        folder.mkdir()
        prepared = [prepare_detect(request, events), prepare_pose(request, events)]
        if has_int8(request):
            prepared.append(prepare_int8_pose(request, events))
        prepared += [prepare_encode(request, name, events) for name in request.encoders]
        manifests = [write_engine(one, request, folder, events) for one in prepared]
        replace_folder(folder, place)
    return manifests


def step_count(request: BuildRequest) -> int:
    """How many steps `build` tells of: two weights, each engine's graph and writing, and four of the int8 form."""
    return 2 + 2 * (2 + len(request.encoders)) + (4 if has_int8(request) else 0)


def has_int8(request: BuildRequest) -> bool:
    """Whether our own pose network's int8 form is built too."""
    return request.pose == OWN_NAME and (request.backend, request.precision) == ("onnx", "fp32")


def ships(request: BuildRequest) -> bool:
    """Whether a request is for what `engines/quickstart` holds; see `make quickstart`."""
    networks = (request.detector, request.pose, request.backend, request.precision)
    own = networks == (OWN_NAME, OWN_NAME, "onnx", "fp32") and tuple(request.encoders) == ENCODER_NAMES
    return own and (request.frame_size, request.people) == ((720, 1280), 1)


def fetch(name: str, request: BuildRequest, events: BuildEvents) -> WeightsFile:
    """A weights file, found or downloaded, and trusted."""
    events.on_step(f"weights of {name}")
    weights = find_weights(name, request.weights_dir, on_progress=events.on_download)
    require_trust(weights, request.trust_weights)
    return weights


def prepare_detect(request: BuildRequest, events: BuildEvents) -> Prepared:
    """The detector's graphs."""
    weights = fetch(own_or_given(request.detector, "detector"), request, events)
    events.on_step("detect: graph")
    detector = load_detector(weights.path)
    image_size = network_size(request.frame_size, detector.longest_px)
    # the host hears of all, to know who is who; on a GPU the first `people` boxes go straight on to the pose engine
    graphs = detect_graphs(detector, request.frame_size, image_size, MOST_PEOPLE, request.precision)
    network = Network(weights.path.stem, weights.sha256, weights.licence)
    return Prepared("detect", graphs, network, image_size=image_size, frame_size=request.frame_size)


def prepare_pose(request: BuildRequest, events: BuildEvents) -> Prepared:
    """The pose network's graphs."""
    weights = fetch(own_or_given(request.pose, "pose"), request, events)
    events.on_step("pose: graph")
    if weights.path.suffix == ".onnx":
        part = given_pose_network(weights.path, request.people)
    else:
        part = torch_pose_network(load_pose_network(weights.path), request.people)
    graphs = pose_graphs(part, request.frame_size, request.people, request.precision, VISIBLE_CONFIDENCE)
    network = Network(weights.path.stem, weights.sha256, weights.licence)
    return Prepared("pose", graphs, network, image_size=(CROP_HEIGHT, CROP_WIDTH), frame_size=request.frame_size)


def given_pose_network(path: Path, people: int) -> onnx.ModelProto:
    """A pose network given as ONNX, as the part that `pose_graphs` takes."""
    return load_heatmap_network(path, people, input_name=NETWORK_INPUT, output_name=HEATMAPS)


def prepare_int8_pose(request: BuildRequest, events: BuildEvents) -> Prepared:
    """The graphs of our own pose network's int8 form, which has to belong to the float32 one's weights.

    Raises:
        EngineError: it was made from other weights.
    """
    weights = fetch(str(OWN_INT8_POSE), request, events)
    events.on_step(f"{INT8_POSE}: graph")
    part = given_pose_network(weights.path, request.people)
    of, wanted = made_from(weights.path), fetch(own_or_given(OWN_NAME, "pose"), request, events).sha256
    if of != wanted:
        raise EngineError(
            f"{weights.path} was made from weights with the SHA-256 {of[:12] or 'unknown'}",
            f"those of the pose network have {wanted[:12]}",
            "run python -m calibration.quantise pose, and this again",
        )
    graphs = pose_graphs(part, request.frame_size, request.people, "fp32", VISIBLE_CONFIDENCE)
    network = Network(weights.path.stem, weights.sha256, weights.licence)
    return Prepared(INT8_POSE, graphs, network, image_size=(CROP_HEIGHT, CROP_WIDTH), frame_size=request.frame_size)


def made_from(path: Path, field: str = MADE_FROM) -> str:
    """The SHA-256 of the weights (or the graph) that an int8 network was made from; empty where it does not say."""
    return next((str(one.value) for one in onnx.load(path).metadata_props if one.key == field), "")


def prepare_encode(request: BuildRequest, name: str, events: BuildEvents) -> Prepared:
    """One encoder's graph."""
    events.on_step(f"encode_{name}: graph")
    encoder = load_encoder(name)
    graphs = encode_graph(encoder, request.people, VISIBLE_CONFIDENCE)
    path = Path(str(getattr(encoder, "weights_path", "")))
    network = Network(name, file_sha256(path) if path.is_file() else "")
    return Prepared(f"encode_{Path(name).stem}", graphs, network, masked=bool(encoder.masked))


def write_engine(prepared: Prepared, request: BuildRequest, folder: Path, events: BuildEvents) -> Manifest:
    """Writes one engine, its files first and its manifest last."""
    graph_path = folder / f"{prepared.name}.onnx"
    cut_path = folder / f"{prepared.name}.cut.onnx"
    weights_path = folder / f"{prepared.name}.weights"
    tensorrt = None
    if request.backend == "onnx":
        events.on_step(f"{prepared.name}: write")
        models = {graph_path: prepared.graphs.whole}
        if prepared.graphs.cut is not None:
            models[cut_path] = prepared.graphs.cut
        # our own networks' weights are float16, rounded once more after batch norms were folded in
        own = {"detect": request.detector, "pose": request.pose}.get(prepared.name) == OWN_NAME
        save_sharing_weights(models, weights_path, stored_half=own)
        if not weights_path.stat().st_size:
            weights_path.unlink()
        graph_sha256 = file_sha256(graph_path)
        files = [path for path in (graph_path, cut_path, weights_path) if path.is_file()]
    else:
        events.on_step(f"{prepared.name}: {request.backend}")
        onnx.save_model(prepared.graphs.whole, graph_path)
        graph_sha256 = file_sha256(graph_path)
        tensorrt, engine_path = compile_tensorrt(graph_path, request, events)
        graph_path.unlink()
        files = [engine_path]
    manifest = Manifest(
        name=prepared.name,
        backend=request.backend,
        files={path.name: file_sha256(path) for path in files},
        graph_sha256=graph_sha256,
        network=prepared.network.name,
        weights_sha256=prepared.network.weights_sha256,
        licence=prepared.network.licence,
        precision=precision_of(prepared.name, request),
        frame_size=(prepared.frame_size[1], prepared.frame_size[0]),
        image_size=(prepared.image_size[1], prepared.image_size[0]),
        people=request.people,
        visible_confidence=VISIBLE_CONFIDENCE,
        masked=prepared.masked,
        posemirror=posemirror_version(),
        tensorrt=tensorrt,
    )
    write_manifest(manifest, folder)
    return manifest


def precision_of(name: str, request: BuildRequest) -> str:
    """What an engine's network computes in: encoders are float32 whatever is asked for."""
    if name == INT8_POSE:
        return "int8"
    return "fp32" if name.startswith("encode") else request.precision


def compile_tensorrt(graph: Path, request: BuildRequest, events: BuildEvents) -> tuple[TensorRtBuild, Path]:
    """Compiles a graph beside itself as `.engine`."""
    trt = import_tensorrt(request.backend)
    if request.target is None:
        raise EngineError(
            "no compute capability is known for the engine",
            "a GPU in this machine, or a named one, is needed",
            "give --for sm89",
        )
    own = request.backend == "tensorrt"
    path = graph.with_suffix(".engine")

    def work(cancel: threading.Event) -> BuiltEngine:
        return build_engine(
            graph,
            trt,
            compute_capability=None if own else request.target,
            settings=request.settings,
            on_progress=events.on_tensorrt,
            cancel=cancel,
        )

    built = interruptible(work, events.on_stop)
    path.write_bytes(built.plan)
    written = TensorRtBuild(
        trt.__version__,
        str(request.target),
        request.gpu,
        request.driver,
        build_seconds=round(built.seconds, 3),
        optimisation_level=request.settings.optimisation_level,
        workspace_bytes=request.settings.workspace_bytes,
        timing_cache=built.timing_cache,
    )
    return written, path
