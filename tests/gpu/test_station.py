"""`run_live.py` on a real GPU, each time in a process of its own: to the end, into a fault, and into a hang.

torch runs the networks (`benchmarks/torch_live.py`), so TensorRT is not needed.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engines.errors import EXIT_GPU, EXIT_OK
from tests.fixtures import the_sentence

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "realtime" / "demo_clip"
BREAK_AT, FRAMES = 30, 90
FAULT = "torch.zeros(4, device='cuda')[torch.full((1,), 9, device='cuda')]"
HANG = "torch.cuda._sleep(40_000_000_000)  # 20 s at 2 GHz"
PROGRAM = """
import sys, time, torch
from benchmarks import torch_live
from engines.cuda_chain import CudaChain
from engines.cuda_stages import Stages
from realtime import opening

opening.CLOSE_SECONDS = 2.0
calls = 0

def breaking(name, kind, stages, after):
    whole = getattr(kind, name)

    def broken(self, *given):
        global calls
        calls += 1
        if calls == after:
            with torch.cuda.stream(torch.cuda.ExternalStream(stages(self).streams[0].handle)):
                print("broken at", time.time(), flush=True)
                BREAK
        return whole(self, *given)

    setattr(kind, name, broken)

WHERE
sys.exit(torch_live.main(sys.argv[1:]))
"""
IN_A_FRAME = f"breaking('_submit', CudaChain, lambda chain: chain._stages, {BREAK_AT})"
AT_WARM_UP = "breaking('prepare', Stages, lambda stages: stages, 1)"
AT_THE_END = "breaking('close', CudaChain, lambda chain: chain._stages, 1)"


pytestmark = pytest.mark.usefixtures("gpu", "place")


def broken(folder: Path, how: str, where: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    """`session` on the GPU, which something happens to; without the words of the kernel that fails."""
    done, rows = session(folder, "-c", PROGRAM.replace("BREAK", how).replace("WHERE", where), "--open-seconds", "15")
    seconds = time.time() - float(re.findall(r"broken at ([\d.]+)", done.stdout)[0])
    print(f"over {seconds:.2f} s after it broke")
    done.stderr = "".join(line for line in done.stderr.splitlines(keepends=True) if "Assertion" not in line)
    return done, rows


def session(folder: Path, *program: str) -> tuple[subprocess.CompletedProcess[str], list[dict[str, object]]]:
    """The process after its end, and the rows of its results file.

    Of the clip only what both loops surely see alike: after that the man tumbles, and any rounding decides.
    """
    results = folder / "results.jsonl"
    options = {"--target": CLIP / "roof.json", "--source": CLIP / "roof.mp4", "--max-frames": FRAMES}
    options |= {"--results": results}
    words = [*program, "--headless", *(str(word) for pair in options.items() for word in pair)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    print(done.stdout[-3000:], done.stderr[-3000:], sep="\n")
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return done, [row for row in rows if row["type"] == "frame"]


def test_a_session_on_the_gpu_scores_a_clip_as_one_on_the_cpu_does(tmp_path: Path) -> None:
    on_cpu, wanted = session(tmp_path, "run_live.py", "--backend", "onnx", "--int8", "off")
    on_gpu, got = session(tmp_path, "benchmarks/torch_live.py")
    assert on_cpu.returncode == on_gpu.returncode == EXIT_OK and "torch on NVIDIA" in on_gpu.stdout
    assert [row["frame"] for row in got] == list(range(len(wanted)))
    scores = [(one["score"], other["score"]) for one, other in zip(wanted, got, strict=True)]
    both = [abs(one - other) for one, other in scores if isinstance(one, float) and isinstance(other, float)]
    alone = sum((one is None) != (other is None) for one, other in scores)
    print(f"{len(both)} frames scored by both, {alone} by one; scores differ by {np.median(both):.3f}, {max(both):.3f}")
    assert len(both) > 80 and alone <= 5 and np.median(both) < 0.3


def test_a_gpu_that_fails_ends_it_with_exit_code_5_and_the_results_until_then(tmp_path: Path) -> None:
    done, rows = broken(tmp_path, FAULT, IN_A_FRAME)
    assert done.returncode == EXIT_GPU
    assert the_sentence(done.stderr).startswith("error: the GPU failed to ")
    assert BREAK_AT - 4 <= len(rows) < BREAK_AT


def test_a_gpu_that_hangs_ends_it_with_exit_code_5_and_the_results_until_then(tmp_path: Path) -> None:
    done, rows = broken(tmp_path, HANG, IN_A_FRAME)
    assert done.returncode == EXIT_GPU
    assert "error: the GPU has not answered for 5" in the_sentence(done.stderr)
    assert BREAK_AT - 4 <= len(rows) < BREAK_AT


def test_a_gpu_that_hangs_while_it_is_warmed_up_ends_it_with_exit_code_5(tmp_path: Path) -> None:
    done, rows = broken(tmp_path, HANG, AT_WARM_UP)
    assert done.returncode == EXIT_GPU and not rows
    assert "has not answered for 15 s while the engines were warmed up" in the_sentence(done.stderr)


def test_a_gpu_that_hangs_at_the_end_loses_no_result(tmp_path: Path) -> None:
    done, rows = broken(tmp_path, HANG, AT_THE_END)
    assert done.returncode == EXIT_GPU and len(rows) == FRAMES
    assert "has not answered for 2 s while the engines were closed" in the_sentence(done.stderr)
