"""What the engines read: manifests, weights and networks."""

import functools
import io
import json
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import json_bytes, near
from tests.fuzz.reader import MARK, ROOT, Reader, documents, pickles


def manifest_document() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "engines" / "quickstart" / "detect.json").read_text())
    return content


def read_engine_manifest(path: Path) -> object:
    from engines.manifest import read_manifest

    return read_manifest(path)


@functools.cache
def checkpoints() -> tuple[bytes, ...]:
    """State dicts as torch writes them, now and before, one of them nested, and pickles that would run code."""
    import torch

    files = []
    for content in ({"a.weight": torch.ones(2, 3)}, {"state_dict": {"b": torch.zeros(4, dtype=torch.float16)}}):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            files.append(file.getvalue())
    return (*files, *pickles())


@functools.cache
def safetensors_files() -> tuple[bytes, ...]:
    import torch
    from safetensors.torch import save

    good = save({"a.weight": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float16)})
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])

    def with_header(document: Any) -> bytes:
        text = json_bytes(document)
        return len(text).to_bytes(8, "little") + text + good[8 + length :]

    wrong = header | {"b": header["b"] | {"data_offsets": [0, 2**60]}}
    return good, with_header(wrong), with_header(header | {"b": header["b"] | {"shape": [2**40, 2**40]}})


def read_weights(path: Path) -> object:
    from engines.networks.state_dicts import read_state_dict

    state_dict = read_state_dict(path)
    assert not MARK.exists(), "a weights file ran code"
    return state_dict


def read_compact_detector(path: Path) -> object:
    """The network that a state dict is put into: its keys and shapes are the file's own claim."""
    from engines.networks.loading import load_detector

    return load_detector(path)


def read_encoder_weights(path: Path) -> object:
    from engines.networks.encoders import load_encoder

    return load_encoder(path)


def encoder_files() -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "engines" / "weights").glob("*.safetensors"))]


@functools.cache
def onnx_files() -> tuple[bytes, ...]:
    from tests.engines.test_graph_heatmap_onnx import network

    return (network().SerializeToString(), network(batch=1).SerializeToString())


def read_heatmap_network(path: Path) -> object:
    from engines.networks.heatmap_onnx import load_heatmap_network

    return load_heatmap_network(path, 2, input_name="image", output_name="heatmaps")


ENGINE_READERS = {
    "manifest": Reader("detect.json", read_engine_manifest, documents(lambda: [manifest_document()])),
    ".pth": Reader("weights.pth", read_weights, near(checkpoints)),
    ".safetensors": Reader("weights.safetensors", read_weights, near(safetensors_files)),
    "detector's weights": Reader("detector.safetensors", read_compact_detector, near(safetensors_files)),
    "encoder's weights": Reader("encoder.safetensors", read_encoder_weights, near(encoder_files)),
    "heatmap network": Reader("network.onnx", read_heatmap_network, near(onnx_files)),
}
