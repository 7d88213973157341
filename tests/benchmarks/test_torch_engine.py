"""The graphs as torch modules, which a benchmark runs on a GPU without TensorRT, give what ONNX Runtime gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.host_chain import frames_of
from benchmarks.torch_engine import modules_of
from engines.contract import contract
from engines.execution import ChainInfo, CpuChain, Targets, read_chain
from engines.weights_registry import OWN_WEIGHTS

ROOT = Path(__file__).resolve().parents[2]


def close(seen: torch.Tensor, wanted: np.ndarray) -> None:
    """Px and a confidence at the end, or speeds of a first frame; the graphs' weights are stored as float16."""
    np.testing.assert_allclose(seen[..., :-1], wanted[..., :-1], atol=0.1)
    np.testing.assert_allclose(seen[..., -1], wanted[..., -1], atol=0.005)


@pytest.fixture(scope="module")
def info() -> ChainInfo:
    return read_chain(ROOT / "engines" / "quickstart", "graded")


class OffTheDevice(TorchDispatchMode):
    """Notes what is made on the host, comes from there or waits for it: all that a capture of a CUDA graph refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, result)) if isinstance(one, torch.Tensor)]
        name = str(function)
        waits = ("_local_scalar_dense", "nonzero", "masked_select", "index.Tensor")
        if any(one.device.type == "cpu" for one in tensors) or any(word in name for word in waits):
            self.seen.append(name)
        return result


@torch.no_grad()
@pytest.mark.parametrize("name", ["detect", "pose", "encode"])
def test_nothing_in_the_modules_of_our_own_networks_passes_by_the_host(
    info: ChainInfo, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = modules_of(info, OWN_WEIGHTS["detector"], OWN_WEIGHTS["pose"], half=True)[name].eval().to("meta")
    manifest = next(one for key, one in info.manifests.items() if key.partition("_")[0] == name)
    inputs = [
        torch.zeros(one.sized(2), dtype=getattr(torch, np.dtype(one.dtype).name), device="meta")
        for one in contract(manifest).values()
        if one.is_input
    ]
    with OffTheDevice() as watch:
        monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("a list of the host's goes up"))
        outputs = module(*inputs)
    assert watch.seen == []
    assert [tuple(one.shape) for one in outputs] == [
        one.sized(2) for one in contract(manifest).values() if not one.is_input
    ]


@torch.no_grad()
def test_modules_of_our_own_networks_agree_with_the_graphs_that_ship(info: ChainInfo) -> None:
    frame = frames_of(ROOT / "realtime" / "demo_clip" / "roof.mp4", info.frame_size, 1)[0]
    modules = modules_of(info, OWN_WEIGHTS["detector"], OWN_WEIGHTS["pose"], half=False)
    cpu = CpuChain(info, sampling="graph", threads=1)

    boxes = cpu.detect(frame, np.zeros(4, np.float32))
    assert boxes[0, 4] > 0.3
    (found,) = modules["detect"].eval()(torch.from_numpy(frame), torch.zeros(5))
    close(found, boxes)

    state, row = np.zeros((1, 17, 4), np.float32), boxes[:1]
    wanted = cpu.pose(frame, row, state, 0.5)
    inputs = [torch.from_numpy(one) for one in (frame, row, state, np.full(1, 0.5, np.float32))]
    outputs = [name for name, one in contract(info.manifests["pose"]).items() if not one.is_input]
    for name, value in zip(outputs, modules["pose"].eval()(*inputs), strict=True):
        close(value, getattr(wanted, name.replace("next_state", "state")))

    targets = Targets(wanted.joints, np.ones((1, 15), np.float32), np.full(1, 0.3, np.float32))
    rows = [wanted.joints, targets.joints, targets.counts, targets.width]
    scores = modules["encode"].eval()(*(torch.from_numpy(one) for one in rows))[-1]
    np.testing.assert_allclose(scores, cpu.encode(wanted.joints, targets).score, atol=0.01)
