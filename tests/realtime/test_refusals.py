"""Refusals that have to be true: what a sentence says of an input, and what it tells to do, fit that input."""

import pytest

from engines.errors import SourceError
from realtime.sources import LiveSource
from tests.realtime.fakes import FakeClock


def test_a_stream_that_does_not_answer_is_not_looked_for_among_the_cameras() -> None:
    with pytest.raises(SourceError) as caught:
        LiveSource("rtsp://user:secret@127.0.0.1:9/door", FakeClock(), 0.0)
    said = str(caught.value)
    assert "rtsp://127.0.0.1:9/door cannot be opened" in said and "check the address and the network" in said
    assert "camera" not in said and "cable" not in said and "secret" not in said
