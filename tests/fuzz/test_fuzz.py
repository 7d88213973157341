"""Whatever a file holds, a reader takes it or says why not in a sentence. `benchmarks/fuzz.py` tries 100,000 files."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.reader import MARK, attempt
from tests.fuzz.readers import READERS

EXAMPLES = 200


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_a_file_or_says_why_not(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    taken: list[bool] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=reader.files)
    def try_it(data: bytes) -> None:
        taken.append(attempt(reader, tmp_path, data))

    try_it()
    assert len(taken) >= EXAMPLES // 2 and False in taken, "nothing was refused: the files are not wrong enough"
    assert not MARK.exists()


def test_a_traceback_is_found(tmp_path: Path) -> None:
    """The harness itself: an error that is not ours comes through."""
    from tests.fuzz.reader import Reader

    def broken(path: Path) -> object:
        return path.read_bytes()[3]

    with pytest.raises(IndexError):
        attempt(Reader("x", broken, st.just(b"")), tmp_path, b"")
