"""Ctrl-C and SIGTERM at any moment: every line of the main thread is such a moment."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import run_live
from engines import exits
from engines.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_TERMINATED
from engines.exits import Terminated
from realtime import live as live_wiring
from tests.faults.stage import Seen, Stage, StagedCamera, numbered
from tests.realtime.fakes import FakeChain, FakeClock, valid_rows, written_clip

ROOT = Path(__file__).resolve().parents[2]
OURS = (str(ROOT / "realtime"), str(ROOT / "engines"), str(ROOT / "run_live.py"))
CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}
MOMENTS = 40


class AtLine:
    """Raises a signal at the n-th line of ours that the main thread comes to; counts them when there is none."""

    def __init__(self, number: signal.Signals | None, line: int) -> None:
        self._number, self._line = number, line
        self.lines = 0
        self.raised = False

    def __enter__(self) -> "AtLine":
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: object):  # type: ignore[no-untyped-def]
        if not frame.f_code.co_filename.startswith(OURS) or frame.f_code.co_filename.endswith("exits.py"):
            return None  # before `main` is entered a signal does what it does to every Python program
        if event == "line":
            self.lines += 1
            if self.lines == self._line and self._number is not None:
                self.raised = True
                signal.raise_signal(self._number)
        return self._trace


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch, no_display: None) -> Iterator[None]:
    """`main` sets a signal's handler; the tests keep theirs."""
    before = {number: signal.getsignal(number) for number in CODES}
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (FakeChain(), "nothing at all"))
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def command(tmp_path: Path, target: Path) -> list[str]:
    """A run of six frames with every output."""
    clip = written_clip(tmp_path / "clip.avi", [numbered(number) for number in range(6)], 25)
    return [
        "--target", str(target), "--source", str(clip), "--headless", "--results",
        str(tmp_path / "out.jsonl"), "--record", str(tmp_path / "out.mp4"),
    ]  # fmt: skip


def lines_of(command: list[str]) -> int:
    with AtLine(None, 0) as count:
        assert run_live.main(command) == EXIT_OK
    return count.lines


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_at_any_line_leaves_a_complete_file_or_none(
    tmp_path: Path, command: list[str], number: signal.Signals
) -> None:
    results = tmp_path / "out.jsonl"
    lines = lines_of(command)
    assert lines > 1000
    results.unlink()
    complete = raised = 0
    for line in range(1, lines, max(1, lines // MOMENTS)):
        with AtLine(number, line) as at:
            signal.signal(signal.SIGTERM, exits.terminate)
            code = run_live.main(command)
        raised += at.raised
        assert code in (CODES[number], EXIT_OK), (line, code)
        assert at.raised or code == EXIT_OK
        if not results.exists():
            continue
        text = results.read_text()
        results.unlink()
        assert text, "a file that is opened begins with its session row"
        first, *frames, last = valid_rows(text)
        assert (first["type"], last["type"]) == ("session", "summary"), line
        assert [row["frame"] for row in frames] == list(range(len(frames))), line
        assert last["captured"] == last["shown"] + last["dropped"], line  # type: ignore[operator]
        assert len(frames) - last["shown"] in (0, 1), line  # type: ignore[operator]
        complete += 1
    assert raised > 0.8 * MOMENTS and complete > 5, "the number of lines differs a little from run to run"


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_while_the_camera_hangs_leaves_a_complete_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    """Nobody waits for the driver."""
    clock = FakeClock()
    camera = StagedCamera(clock, lambda seconds, count: numbered(count), hangs=lambda count: count == 12)
    stage = Stage(monkeypatch, tmp_path, camera, clock)
    raised: list[signal.Signals] = []

    def press(seen: Seen) -> None:
        if camera.hanging.is_set() and not seen.live and not raised:
            clock.advance(2)
            raised.append(number)
            signal.raise_signal(number)

    stage.on_seen = press
    signal.signal(signal.SIGTERM, exits.terminate)
    with pytest.raises((KeyboardInterrupt, Terminated)):
        stage.play(in_main=True)
    assert raised and len(stage.results) == 12
