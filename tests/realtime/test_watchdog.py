"""A GPU that does not come back: noticed by the clock, and the process ends all the same."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engines.errors import EXIT_GPU, GpuHangError, PosemirrorError
from realtime import watchdog
from realtime.pipeline import STALE_MS, STUCK_JOIN_SECONDS
from realtime.watchdog import LIMIT_SECONDS, Deadline, Watchdog
from tests.fixtures import the_sentence
from tests.realtime.fakes import FakeClock, wait_for


def test_only_work_under_way_for_longer_than_the_limit_is_a_hang() -> None:
    clock = FakeClock()
    watchdog = Watchdog(clock)
    clock.advance(100)
    watchdog.require_answer()
    with watchdog.waiting():
        clock.advance(LIMIT_SECONDS - 0.1)
        watchdog.require_answer()
    with watchdog.waiting():
        clock.advance(LIMIT_SECONDS + 0.1)
        with pytest.raises(GpuHangError, match=r"for 5\.1 s; one frame may take 5 s; ") as caught:
            watchdog.require_answer()
    assert caught.value.exit_code == EXIT_GPU
    watchdog.require_answer()


def test_work_that_fails_is_not_under_way_any_more() -> None:
    clock = FakeClock()
    watchdog = Watchdog(clock)
    with pytest.raises(ValueError), watchdog.waiting():
        raise ValueError
    clock.advance(100)
    watchdog.require_answer()


def test_a_hang_is_noticed_and_left_within_a_second_past_the_limit() -> None:
    assert STALE_MS / 1e3 + STUCK_JOIN_SECONDS < 1  # one look at the clock, and a farewell to the worker


def test_a_deadline_that_is_kept_ends_nothing_and_one_that_is_not_is_told_with_what_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[PosemirrorError] = []
    told = threading.Event()

    def end(error: PosemirrorError) -> None:
        ended.append(error)
        told.set()

    monkeypatch.setattr(watchdog, "end_at_once", end)
    with Deadline("nothing was asked", 3600.0):
        pass
    with pytest.raises(ValueError), Deadline("it was asked in vain", 3600.0):
        raise ValueError
    with watchdog.opening("an engine was opened", 0.01):
        wait_for(told)
    (error,) = ended
    assert isinstance(error, GpuHangError) and error.exit_code == EXIT_GPU
    assert str(error).startswith("the GPU has not answered for 0.01 s while an engine was opened; --open-seconds 0.01")
    assert "--backend onnx" in str(error)


def test_a_gpu_that_hangs_while_engines_are_opened_ends_the_process_with_exit_code_5(tmp_path: Path) -> None:
    program = OPENING % str(tmp_path)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (EXIT_GPU, "")
    said = the_sentence(done.stderr)
    assert f"has not answered for 1 s while the engines in {tmp_path} were opened; --open-seconds 1 are allowed" in said


OPENING = """
import sys, threading
from dataclasses import replace
from pathlib import Path
import run_live
from engines.gpu import GpuState
from engines.manifest import write_manifest
from realtime import opening
from tests.realtime.fakes import chain_info

folder = Path(%r)
for manifest in chain_info(backend="tensorrt").manifests.values():
    write_manifest(manifest, folder)
opening.find_gpu = lambda: GpuState("RTX", "8.9", "")
opening.open_tensorrt = lambda info, gpu: threading.Event().wait()
options = {"--target": "none.json", "--engines": str(folder), "--encoder": "bones", "--open-seconds": "1"}
sys.exit(run_live.main([word for pair in options.items() for word in pair]))
"""
ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import contextlib, sys, threading
from engines.exits import documented_exits
from realtime.frames import MonotonicClock
from realtime.pipeline import Pipeline
from realtime.watchdog import Watchdog
from tests.realtime.fakes import FakeExecutor, FakeSource

class Held:
    def __del__(self):
        threading.Event().wait()  # as freeing memory of a GPU that hangs

held = Held()

def hang(index):
    if index == 3:
        threading.Event().wait()

@documented_exits()
def main():
    watchdog = Watchdog(MonotonicClock(), limit_seconds=1.0)
    executor = FakeExecutor(on_collect=hang, watchdog=watchdog)
    for shown in Pipeline(FakeSource(None), executor, (180, 320), MonotonicClock(), silence_ms=100).run():
        print("shown", shown.result.frame)
    return 0

sys.exit(main())
"""


def test_the_process_ends_with_exit_code_5_and_the_results_before_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == EXIT_GPU
    assert done.stdout.splitlines() == ["shown 0", "shown 1", "shown 2"]
    assert done.stderr.startswith("error: the GPU has not answered for") and done.stderr.count("\n") == 1
