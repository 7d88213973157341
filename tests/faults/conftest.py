"""The stage's threads hand over to each other many times a frame."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quick_turns() -> Iterator[None]:
    """Python lets a thread that waits for its turn wait for 5 ms by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)
