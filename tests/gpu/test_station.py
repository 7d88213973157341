"""`run_live.py` on a real GPU, each time in a process of its own: to the end, into a fault, and into a hang.

torch runs the networks (`benchmarks/torch_live.py`), so TensorRT is not needed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import EXIT_GPU, EXIT_OK
from engines.gpu import GpuState
from realtime.watchdog import LIMIT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "realtime" / "demo_clip"
BREAK_AT = 30
NOTHING = "pass"
FAULT = "torch.zeros(4, device='cuda')[torch.full((1,), 9, device='cuda')]"
HANG = "torch.cuda._sleep(40_000_000_000)  # 20 s at 2 GHz"
PROGRAM = """
import os, sys, time, torch
from benchmarks import torch_engine, torch_live
from engines.cuda_chain import CudaChain

submit, kept, frames = CudaChain._submit, [], 0

def breaking(chain, *given):
    global frames
    frames += 1
    if frames == BREAK_AT:
        print("broken at", time.time(), flush=True)
        with torch.cuda.stream(torch.cuda.ExternalStream(chain._stages.streams[0].handle)):
            BREAK
    submit(chain, *given)

class Kept(torch_engine.TorchContext):
    def __init__(self, *given):
        super().__init__(*given)
        kept.append(self)  # torch ends the process when it frees memory of a GPU that has failed

CudaChain._submit, torch_engine.TorchContext = breaking, Kept
code = torch_live.main(sys.argv[1:])
print("ended at", time.time(), flush=True)
os._exit(code)
"""


@pytest.fixture(autouse=True)
def usable(gpu: GpuState) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device that torch can use")


def ran(folder: Path, breaking: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    """`session` on the GPU."""
    return session(folder, "-c", PROGRAM.replace("BREAK_AT", str(BREAK_AT)).replace("BREAK", breaking))


def session(folder: Path, *program: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    """The process after its end, and the rows of its results file.

    Only the frames in which both loops surely see the man: later he tumbles, and any rounding decides.
    """
    results = folder / "results.jsonl"
    options = {"--target": CLIP / "roof.json", "--source": CLIP / "roof.mp4", "--results": results}
    words = [*program, "--headless", "--max-frames", "90", *(str(word) for pair in options.items() for word in pair)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    print(done.stdout[-3000:], done.stderr[-3000:], sep="\n")
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    return done, [row for row in rows if row["type"] == "frame"]


def seconds_from_break_to_end(output: str) -> float:
    began, ended = (float(re.findall(rf"{word} at ([\d.]+)", output)[0]) for word in ("broken", "ended"))
    return ended - began


def test_a_session_on_the_gpu_scores_a_clip_as_one_on_the_cpu_does(tmp_path: Path) -> None:
    on_cpu, wanted = session(tmp_path, "run_live.py", "--backend", "onnx", "--int8", "off", "--detect-every", "1")
    on_gpu, got = ran(tmp_path, NOTHING)
    assert on_cpu.returncode == on_gpu.returncode == EXIT_OK and "torch on NVIDIA" in on_gpu.stdout
    assert [row["frame"] for row in got] == list(range(len(wanted)))
    scores = [(one["score"], other["score"]) for one, other in zip(wanted, got, strict=True)]
    both = [abs(one - other) for one, other in scores if isinstance(one, float) and isinstance(other, float)]
    alone = sum((one is None) != (other is None) for one, other in scores)
    print(f"{len(both)} frames scored by both, {alone} by one; scores differ by {np.median(both):.3f}, {max(both):.3f}")
    assert len(both) > 80 and alone <= 5 and np.median(both) < 0.3


def test_a_gpu_that_fails_ends_it_with_exit_code_5_and_the_results_until_then(tmp_path: Path) -> None:
    done, rows = ran(tmp_path, FAULT)
    assert done.returncode == EXIT_GPU
    assert "error: the GPU failed to " in done.stderr and "Traceback" not in done.stderr
    assert BREAK_AT - 4 <= len(rows) < BREAK_AT
    assert seconds_from_break_to_end(done.stdout) < LIMIT_SECONDS


def test_a_gpu_that_hangs_ends_it_with_exit_code_5_and_the_results_until_then(tmp_path: Path) -> None:
    done, rows = ran(tmp_path, HANG)
    assert done.returncode == EXIT_GPU
    assert "error: the GPU has not answered for 5" in done.stderr and "Traceback" not in done.stderr
    assert BREAK_AT - 4 <= len(rows) < BREAK_AT
