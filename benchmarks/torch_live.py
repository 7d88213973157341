"""`run_live.py` on a GPU without TensorRT: torch runs our own networks in its chain. Needs a GPU, and torch for CUDA.

    python benchmarks/torch_live.py --target realtime/demo_clip/roof.json --source realtime/demo_clip/roof.mp4 \
        --headless --results roof.jsonl

Everything but the networks' own kernels is what a station with TensorRT runs: the driver, streams, pinned frames, CUDA
graphs, the loop. The options are those of run_live.py, without `--engines`, `--backend` and `--int8`.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import run_live
from benchmarks.torch_engine import open_torch
from engines.device_chain import DeviceChain
from engines.execution import ChainInfo, read_chain
from engines.gpu import GpuState
from engines.weights_registry import OWN_NAME
from realtime import opening


def own_networks(*given: Any, **named: Any) -> ChainInfo:
    """As `read_chain`; what it read is to run on a GPU."""
    return replace(read_chain(*given, **named), backend="torch")


def in_place_of_tensorrt(info: ChainInfo, gpu: GpuState) -> tuple[DeviceChain, list[str]]:
    """As `open_tensorrt`."""
    return open_torch(info), []


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    opening.read_chain, opening.open_tensorrt = own_networks, in_place_of_tensorrt  # type: ignore[assignment]
    given = sys.argv[1:] if words is None else list(words)
    return run_live.main([*given, "--engines", OWN_NAME, "--backend", "auto", "--int8", "off"])


if __name__ == "__main__":
    sys.exit(main())
