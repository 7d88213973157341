"""Settings of a TensorRT build, the timing cache that builds share, and Ctrl-C in the middle of one."""

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from engines.options import optimisation_level, workspace_bytes
from engines.tensorrt_build import BuildSettings, builder_config, interruptible
from engines.timing_cache import ADDED, HIT, NEW, load_timing_cache, locked, store_timing_cache


class FakeCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def combine(self, other: "FakeCache", ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.content += other.content
        return True

    def serialize(self) -> bytes:
        return self.content


class FakeConfig:
    """A builder config; `foreign` is content of another TensorRT."""

    def __init__(self, foreign: bytes = b"foreign") -> None:
        self.cache: FakeCache | None = None
        self.foreign = foreign

    def create_timing_cache(self, content: bytes) -> FakeCache | None:
        return FakeCache(content)

    def set_timing_cache(self, cache: FakeCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.content == self.foreign:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> FakeCache | None:
        return self.cache


def test_what_a_build_measured_is_there_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "built.timing"
    first = FakeConfig()
    load_timing_cache(first, path)
    assert first.cache is not None and first.cache.content == b""
    first.cache.content = b"measured"
    assert store_timing_cache(first, path, b"") == NEW
    second = FakeConfig()
    assert load_timing_cache(second, path) == b"measured"
    assert second.cache is not None and second.cache.content == b"measured"


@pytest.mark.parametrize(("measured", "worth"), [(b"", HIT), (b" and more", ADDED)])
def test_what_the_cache_was_worth_to_a_build_is_told(tmp_path: Path, measured: bytes, worth: str) -> None:
    path = tmp_path / "built.timing"
    path.write_bytes(b"measured")
    config = FakeConfig()
    loaded = load_timing_cache(config, path)
    assert config.cache is not None
    config.cache.content += measured
    assert store_timing_cache(config, path, loaded) == worth


def test_two_builds_at_once_keep_what_both_measured(tmp_path: Path) -> None:
    path = tmp_path / "built.timing"
    configs = [FakeConfig(), FakeConfig()]
    for index, config in enumerate(configs):
        load_timing_cache(config, path)
        assert config.cache is not None
        config.cache.content = f"[{index}]".encode()
    for config in configs:
        store_timing_cache(config, path, b"")
    assert path.read_bytes() == b"[1][0]"
    assert {one.name for one in tmp_path.iterdir()} <= {path.name, f"{path.name}.lock"}, "nothing half written is left"


def test_a_cache_of_another_tensorrt_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "built.timing"
    path.write_bytes(b"foreign")
    config = FakeConfig()
    assert load_timing_cache(config, path) == b""
    assert config.cache is not None and config.cache.content == b""
    config.cache.content = b"measured"
    assert store_timing_cache(config, path, b"") == NEW


def test_the_cache_is_locked_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "built.timing"
    entered = threading.Event()

    def other() -> None:
        with locked(path):
            entered.set()

    with locked(path):
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        assert not entered.is_set()
    assert entered.wait(20)
    thread.join(20)


def test_settings_reach_the_builder() -> None:
    builder = MagicMock()
    network = SimpleNamespace(num_inputs=0)
    trt = MagicMock(__name__="tensorrt", __version__="11.4.0")
    config: Any = builder_config(builder, network, trt, None, BuildSettings(5, 123))
    assert config.builder_optimization_level == 5
    config.set_memory_pool_limit.assert_called_once_with(trt.MemoryPoolType.WORKSPACE, 123)
    config.set_flag.assert_not_called()


@pytest.mark.parametrize("text", ["6", "-1", "3.0", "", "fast"])
def test_no_optimisation_level(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="0 to 5"):
        optimisation_level(text)


@pytest.mark.parametrize("text", ["0", "-2", "nan", "inf", "2048", "much"])
def test_no_workspace(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="1024 GiB"):
        workspace_bytes(text)


def test_levels_and_sizes_are_read() -> None:
    assert [optimisation_level(text) for text in "05"] == [0, 5]
    assert workspace_bytes("0.5") == 1 << 29


def test_work_in_another_thread_gives_its_result_or_its_error() -> None:
    assert interruptible(lambda cancel: b"plan") == b"plan"

    def fails(cancel: threading.Event) -> bytes:
        raise ValueError("no plan")

    with pytest.raises(ValueError, match="no plan"):
        interruptible(fails)


INTERRUPTED = """
import sys
from engines.exits import Terminated, end_by_exception
from engines.tensorrt_build import interruptible

end_by_exception()

def work(cancel):
    print("working", flush=True)
    assert cancel.wait(30)
    sys.stdin.readline()
    print("cancelled", flush=True)
    return b""

try:
    interruptible(work, lambda: print("stopping", flush=True))
except (KeyboardInterrupt, Terminated) as error:
    print(type(error).__name__, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated")])
def test_a_signal_cancels_the_work_waits_for_it_and_is_raised(number: signal.Signals, raised: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(number)  # a process that ends while TensorRT runs would be aborted
    assert process.communicate("\n", timeout=30)[0] == f"cancelled\n{raised}\n"
    assert process.returncode == 0
