"""Writes engines: graphs as files, or compiled by TensorRT, with a manifest for each. Knows no network."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from engines.build_request import BuildEvents, BuildRequest
from engines.download import file_sha256
from engines.errors import EngineError
from engines.geometry import Size
from engines.graphs.chain import Graphs
from engines.graphs.parts import large_floats, save_sharing_weights
from engines.int8 import INT8_FORMS
from engines.manifest import Manifest, TensorRtBuild, write_manifest
from engines.options import posemirror_version
from engines.skeleton import VISIBLE_CONFIDENCE
from engines.tensorrt_build import BuiltEngine, build_engine, import_tensorrt, interruptible
from engines.weights_registry import OWN_NAME


@dataclass(frozen=True)
class Network:
    """Where a network came from, for the manifest."""

    name: str
    weights_sha256: str = ""
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class Form:
    """One form of an engine: its graphs, and the network in them."""

    graphs: Graphs
    network: Network


@dataclass(frozen=True)
class Prepared:
    """The graphs of one engine, ready to be written for a backend; `int8` shares the weights file of the others."""

    name: str
    graphs: Graphs
    network: Network
    int8: Form | None = None
    masked: bool = True
    image_size: Size = (0, 0)
    frame_size: Size = field(default=(0, 0))


def write_engine(prepared: Prepared, request: BuildRequest, folder: Path, events: BuildEvents) -> list[Manifest]:
    """Writes one engine, in each of its forms, its files first and its manifests last."""
    forms = {prepared.name: Form(prepared.graphs, prepared.network)}
    if prepared.int8 is not None:
        forms[INT8_FORMS[prepared.name]] = prepared.int8
    tensorrt = None
    if request.backend == "onnx":
        events.on_step(f"{prepared.name}: write")
        # our own networks' weights are float16, rounded once more after batch norms were folded in
        own = {"detect": request.detector, "pose": request.pose}.get(prepared.name) == OWN_NAME
        files = write_graphs({name: form.graphs for name, form in forms.items()}, folder, stored_half=own)
        graph_sha256 = {name: file_sha256(paths[0]) for name, paths in files.items()}
    else:
        events.on_step(f"{prepared.name}: {request.backend}")
        graph_path = folder / f"{prepared.name}.onnx"
        onnx.save_model(prepared.graphs.whole, graph_path)
        graph_sha256 = {prepared.name: file_sha256(graph_path)}
        tensorrt, engine_path = compile_tensorrt(graph_path, request, events)
        graph_path.unlink()
        files = {prepared.name: [engine_path]}
    manifests = [
        Manifest(
            name=name,
            backend=request.backend,
            files={path.name: file_sha256(path) for path in files[name]},
            graph_sha256=graph_sha256[name],
            network=form.network.name,
            weights_sha256=form.network.weights_sha256,
            licence=form.network.licence,
            precision=precision_of(name, request),
            frame_size=(prepared.frame_size[1], prepared.frame_size[0]),
            image_size=(prepared.image_size[1], prepared.image_size[0]),
            people=request.people,
            visible_confidence=VISIBLE_CONFIDENCE,
            masked=prepared.masked,
            posemirror=posemirror_version(),
            tensorrt=tensorrt,
        )
        for name, form in forms.items()
    ]
    for manifest in manifests:
        write_manifest(manifest, folder)
    return manifests


def write_graphs(forms: dict[str, Graphs], folder: Path, *, stored_half: bool) -> dict[str, list[Path]]:
    """Writes the graphs of one engine's forms, and one weights file for all; the files of each, the graph first."""
    first = next(iter(forms))
    weights = folder / f"{first}.weights"
    models: dict[Path, onnx.ModelProto] = {}
    for name, graphs in forms.items():
        models[folder / f"{name}.onnx"] = graphs.whole
        if graphs.cut is not None:
            models[folder / f"{name}.cut.onnx"] = graphs.cut
    save_sharing_weights(models, weights, large_floats(forms[first].whole) if stored_half else ())
    if not weights.stat().st_size:
        weights.unlink()
    candidates = {name: [folder / f"{name}.onnx", folder / f"{name}.cut.onnx", weights] for name in forms}
    return {name: [path for path in paths if path.is_file()] for name, paths in candidates.items()}


def precision_of(name: str, request: BuildRequest) -> str:
    """What an engine's network computes in: encoders are float32 whatever is asked for."""
    if name in INT8_FORMS.values():
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
