"""The build step: weights to networks to graphs to engines, each with its manifest. A chain of small steps.

Needs the `build` extra (torch, onnx); the live loop never imports this.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

from engines.build_place import replace_folder, require_replaceable
from engines.build_request import BuildEvents, BuildRequest
from engines.build_writing import Form, Network, Prepared, write_engine
from engines.download import file_sha256
from engines.errors import BadInputError, EngineError
from engines.geometry import CROP_HEIGHT, CROP_WIDTH, network_size
from engines.graphs.chain import (
    HEATMAPS,
    NETWORK_INPUT,
    Graphs,
    detect_graphs,
    encode_graph,
    pose_graphs,
    torch_detector_network,
    torch_pose_network,
)
from engines.graphs.int8_form import int8_part
from engines.int8 import INT8_FORMS
from engines.manifest import Manifest
from engines.networks.encoders import ENCODER_NAMES, load_encoder
from engines.networks.heatmap_onnx import load_heatmap_network
from engines.networks.loading import load_detector, load_pose_network
from engines.options import MOST_PEOPLE
from engines.skeleton import VISIBLE_CONFIDENCE
from engines.tensorrt_build import (
    import_tensorrt,
    rtx_capability,
)
from engines.weights_registry import (
    MADE_FROM,
    OWN_INT8,
    OWN_NAME,
    SHIPPED_ENGINES,
    WeightsFile,
    find_weights,
    own_or_given,
    require_trust,
)


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
        prepared += [prepare_encode(request, name, events) for name in request.encoders]
        manifests = [manifest for one in prepared for manifest in write_engine(one, request, folder, events)]
        replace_folder(folder, place)
    return manifests


def step_count(request: BuildRequest) -> int:
    """How many steps `build` tells of: two weights, each engine's graph and writing, and one of each int8 form."""
    int8_forms = sum(has_int8(name, request) for name in (request.detector, request.pose))
    return 2 + 2 * (2 + len(request.encoders)) + int8_forms


def has_int8(name: str, request: BuildRequest) -> bool:
    """Whether a network's int8 form is built too: our own ones have one, for a CPU."""
    return name == OWN_NAME and (request.backend, request.precision) == ("onnx", "fp32")


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
    frame_size, image_size = request.frame_size, network_size(request.frame_size, detector.longest_px)

    def graphs(part: onnx.ModelProto) -> Graphs:
        # the host hears of all, to know who is who; on a GPU the first `people` boxes go straight on to the pose engine
        return detect_graphs(detector, frame_size, image_size, MOST_PEOPLE, request.precision, part)

    part = torch_detector_network(detector, image_size)
    int8 = (
        prepare_int8("detect", "detector", part, graphs, weights, events)
        if has_int8(request.detector, request)
        else None
    )
    return Prepared("detect", graphs(part), network_of(weights), int8, image_size=image_size, frame_size=frame_size)


def prepare_pose(request: BuildRequest, events: BuildEvents) -> Prepared:
    """The pose network's graphs."""
    weights = fetch(own_or_given(request.pose, "pose"), request, events)
    events.on_step("pose: graph")

    def graphs(part: onnx.ModelProto) -> Graphs:
        return pose_graphs(part, request.frame_size, request.people, request.precision, VISIBLE_CONFIDENCE)

    if weights.path.suffix == ".onnx":
        part = load_heatmap_network(weights.path, request.people, input_name=NETWORK_INPUT, output_name=HEATMAPS)
    else:
        part = torch_pose_network(load_pose_network(weights.path), request.people)
    int8 = prepare_int8("pose", "pose", part, graphs, weights, events) if has_int8(request.pose, request) else None
    size = (CROP_HEIGHT, CROP_WIDTH)
    return Prepared("pose", graphs(part), network_of(weights), int8, image_size=size, frame_size=request.frame_size)


def network_of(weights: WeightsFile) -> Network:
    """A weights file's network, for the manifest."""
    return Network(weights.path.stem, weights.sha256, weights.licence)


def prepare_int8(
    task: str,
    kind: str,
    part: onnx.ModelProto,
    graphs: Callable[[onnx.ModelProto], Graphs],
    weights: WeightsFile,
    events: BuildEvents,
) -> Form:
    """The int8 form of one of our own networks, which has to belong to the float32 one's weights.

    Args:
        task: `detect` or `pose`.
        kind: of the weights: `detector` or `pose`.
        part: its float32 form.
        graphs: makes the engine's graphs of a form.
        weights: of the float32 form.
        events: told of the step.

    Raises:
        EngineError: it was made from other weights.
    """
    events.on_step(f"{INT8_FORMS[task]}: graph")
    int8 = find_weights(str(OWN_INT8[kind]))
    of = made_from(int8.path)
    if of != weights.sha256:
        raise EngineError(
            f"{int8.path} was made from weights with the SHA-256 {of[:12] or 'unknown'}",
            f"those of the {kind} network have {weights.sha256[:12]}",
            f"run python -m calibration.quantise {kind}, and this again",
        )
    return Form(graphs(int8_part(onnx.load(int8.path), part)), network_of(int8))


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
