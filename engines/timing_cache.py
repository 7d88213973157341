"""TensorRT's timing cache in a file that several builds may share. Knows no graph; TensorRT's objects are passed in."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engines.whole_files import write_whole

NONE, NEW, ADDED, HIT = "none", "new", "added to", "hit"


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


def load_timing_cache(config: Any, path: Path) -> bytes:
    """Gives a builder config the cache kept at `path`; an empty one where there is none or it fits another TensorRT.

    Returns its content as the builder has it, to be given to `store_timing_cache`; empty for an empty cache.
    """
    with locked(path):
        kept = path.read_bytes() if path.is_file() else b""
    for content in (kept, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return bytes(cache.serialize()) if content else b""
    return b""


def store_timing_cache(config: Any, path: Path, loaded: bytes) -> str:
    """Keeps a config's cache at `path`, together with what another build has left there meanwhile.

    Returns what the cache was worth to the build: HIT where all that it needed was in what was `loaded`, ADDED where
    some was missing, NEW where nothing was there.

    Raises:
        BadInputError: it cannot be written.
    """
    cache = config.get_timing_cache()
    if cache is None:
        return NONE
    worth = NEW if not loaded else HIT if len(bytes(cache.serialize())) <= len(loaded) else ADDED
    with locked(path):
        if path.is_file():
            other = config.create_timing_cache(path.read_bytes())
            if other is not None:
                cache.combine(other, ignore_mismatch=False)
        write_whole(path, bytes(cache.serialize()))
    return worth
