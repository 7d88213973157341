"""Refusals that have to be true: what a sentence says of an input, and what it tells to do, fit that input."""

import pytest

import run_live
from engines.errors import EXIT_BAD_INPUT, SourceError
from realtime.sources import LiveSource
from tests.realtime.fakes import FakeClock


def test_a_stream_that_does_not_answer_is_not_looked_for_among_the_cameras() -> None:
    with pytest.raises(SourceError) as caught:
        LiveSource("rtsp://user:secret@127.0.0.1:9/door", FakeClock(), 0.0)
    said = str(caught.value)
    assert "rtsp://127.0.0.1:9/door cannot be opened" in said and "check the address and the network" in said
    assert "camera" not in said and "cable" not in said and "secret" not in said


@pytest.mark.parametrize("text", ["0", "-3", "2.5", "many"])
@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ("--max-frames", "a whole number of 1 and more is; give 1"),
        ("--benchmark", "a whole number of 1 and more is; give 1"),
        ("--detect-every", "a whole number of 1 and more, or auto, is; give auto"),
    ],
)
def test_a_number_that_is_too_small_is_not_called_no_number(
    option: str, allowed: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_live.main(["--demo", f"{option}={text}"])
    assert ended.value.code == EXIT_BAD_INPUT
    assert f"{option}: '{text}' is not allowed; {allowed}" in capsys.readouterr().err
