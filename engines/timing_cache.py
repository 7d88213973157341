"""TensorRT's timing cache in a file that several builds may share. Knows no graph; TensorRT's objects are passed in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file beside `path`; waits for another build that holds it. Without POSIX locks, does nothing."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.with_name(path.name + ".lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load_timing_cache(config: Any, path: Path) -> None:
    """Gives a builder config the cache kept at `path`; an empty one where there is none or it fits another TensorRT."""
    with locked(path):
        kept = path.read_bytes() if path.is_file() else b""
    for content in (kept, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return


def store_timing_cache(config: Any, path: Path) -> None:
    """Keeps a config's cache at `path`, together with what another build has left there meanwhile."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    with locked(path):
        if path.is_file():
            other = config.create_timing_cache(path.read_bytes())
            if other is not None:
                cache.combine(other, ignore_mismatch=False)
        partial = path.with_name(path.name + ".part")
        partial.write_bytes(bytes(cache.serialize()))
        partial.replace(path)
