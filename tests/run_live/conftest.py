"""A clip and engines, for a run of the live command line that needs no screen."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import run_live
from engines.exits import ENDS
from realtime import live as live_wiring
from tests.fixtures import bright_blob, the_sentence, tiny_graphs, write_engines
from tests.realtime.fakes import FakeChain
from tests.run_live.program import HEIGHT, WIDTH, Fails, written_video


@pytest.fixture(autouse=True)
def own_signals(no_display: None) -> Iterator[None]:
    """`main` sets signals' handlers; the tests keep theirs. No run opens a window."""
    handlers = {number: signal.getsignal(number) for number in ENDS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def fake_engines(monkeypatch: pytest.MonkeyPatch) -> FakeChain:
    """Engines without networks, whatever folder is named."""
    chain = FakeChain()
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (chain, "nothing at all"))
    return chain


@pytest.fixture(scope="session")
def tiny_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real engines of tiny networks, in a folder."""
    folder = tmp_path_factory.mktemp("tiny")
    size = (HEIGHT, WIDTH)
    write_engines(folder, tiny_graphs(size, (96, 160), 1), size, (96, 160), 1)
    return folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of a bright blob that wanders: a person, for the tiny networks."""
    pictures = [bright_blob((HEIGHT, WIDTH), 120 + index / 4, 90, 30) for index in range(250)]
    return written_video(tmp_path_factory.mktemp("clip") / "clip.avi", pictures)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs the command line, which must fail with a code; gives the sentence."""

    def failing(code: int, *arguments: object) -> str:
        assert run_live.main([str(argument) for argument in arguments]) == code
        return the_sentence(capsys.readouterr().err)

    return failing
