"""The build step with TensorRT-RTX, end to end: three engines with their manifests, on a machine without a GPU."""

from pathlib import Path

import pytest

from engines.build_request import BuildEvents, BuildRequest
from engines.build_writing import Network, Prepared, write_engine
from engines.download import file_sha256
from engines.execution import read_chain
from engines.manifest import TensorRtBuild
from engines.tensorrt_build import ComputeCapability
from tests.fixtures import tiny_graphs

FRAME, IMAGE = (180, 320), (96, 160)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_three_engines_are_written_with_manifests_that_say_what_they_are(tmp_path: Path, precision: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13 (Linux x86-64)")
    request = BuildRequest(
        detector="tiny",
        pose="tiny",
        encoders=["bones"],
        frame_size=FRAME,
        people=1,
        backend="tensorrt_rtx",
        precision=precision,
        out=tmp_path,
        target=ComputeCapability(8, 9),
    )
    steps: list[str] = []
    phases: list[tuple[str, float]] = []
    events = BuildEvents(on_step=steps.append, on_tensorrt=lambda *step: phases.append(step))
    graphs = tiny_graphs(FRAME, IMAGE, 1, precision)
    for name in ("detect", "pose", "encode_bones"):
        size = (0, 0) if name.startswith("encode") else FRAME
        prepared = Prepared(name, graphs[name], Network("tiny"), image_size=IMAGE, frame_size=size)
        write_engine(prepared, request, tmp_path, events)
    info = read_chain(tmp_path, "bones")
    assert info.backend == "tensorrt_rtx"
    for name, manifest in info.manifests.items():
        assert manifest.files == {f"{name}.engine": file_sha256(tmp_path / f"{name}.engine")}
        seconds = manifest.tensorrt.build_seconds if manifest.tensorrt else None
        assert seconds is not None and seconds > 0
        how = {"optimisation_level": 3, "workspace_bytes": 2 << 30, "timing_cache": "none"}
        assert manifest.tensorrt == TensorRtBuild(trt.__version__, "8.9", "", "", seconds, **how)
        assert manifest.precision == ("fp32" if name.startswith("encode") else precision)
    assert not list(tmp_path.glob("*.onnx")) and not list(tmp_path.glob("*.timing"))
    assert len(steps) == 3 and len(phases) >= 9
    assert all(phase and 0 < share <= 1 for phase, share in phases)
