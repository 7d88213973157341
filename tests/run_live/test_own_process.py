"""The live loop in a process of its own: signals, screens, and what comes out on stderr."""

import errno
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engines.errors import EXIT_INTERRUPTED, EXIT_TERMINATED
from engines.exits import Terminated
from engines.terminal import Terminal
from realtime.live import summary_after_ctrl_c
from realtime.mailbox import Ledger
from realtime.statistics import Statistics
from tests.fixtures import the_sentence
from tests.realtime.fakes import Rows, frames_in, rows_of, valid_rows, virtual_screen
from tests.run_live.program import FPS

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 120


def pictures_until(frames: Rows, index: int) -> int:
    """How many pictures a recording has until a frame; dropped ones are filled."""
    first, last = (float(frames[place]["time"]) for place in (0, index))  # type: ignore[arg-type]
    return round((last - first) * FPS) + 1


def started(*arguments: object, environment: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    """The program in a process of its own; a shell in the background, or nohup, would have taken signals from it."""

    def with_signals() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    command = [sys.executable, str(ROOT / "run_live.py"), *map(str, arguments), "--encoder", "bones"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=with_signals,
    )


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, EXIT_TERMINATED, "terminated\n"),
        (signal.SIGHUP, EXIT_TERMINATED, "terminated\n"),
        (signal.SIGINT, EXIT_INTERRUPTED, "stopped\n"),
    ],
)
def test_a_signal_in_the_middle_of_a_run_leaves_whole_files(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path, number: int, code: int, said: str
) -> None:
    """The results go through a pipe, which tells when the run is in its middle."""
    results, record = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    os.mkfifo(results)
    pipe = os.open(results, os.O_RDONLY | os.O_NONBLOCK)
    process = started(
        "--target", target, "--source", clip, "--pace", "--engines", tiny_engines, "--headless", "--record", record,
        "--results", results,
    )  # fmt: skip
    written = b""
    try:
        while written.count(b"\n") < 5:
            assert select.select([pipe], [], [], DEADLINE_SECONDS)[0], "no results came"
            chunk = os.read(pipe, 1 << 16)
            assert chunk, process.communicate(timeout=DEADLINE_SECONDS)
            written += chunk
        process.send_signal(number)
        while select.select([pipe], [], [], DEADLINE_SECONDS)[0] and (chunk := os.read(pipe, 1 << 16)):
            written += chunk
        stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
        os.close(pipe)
    assert (process.returncode, stderr) == (code, said)
    first, *frames, summary = valid_rows(written.decode())
    assert (first["type"], summary["type"]) == ("session", "summary")
    assert summary["captured"] == summary["shown"] + summary["dropped"]  # type: ignore[operator]
    table = f"{summary['shown']} frames shown, {summary['dropped']} dropped, {summary['scored']} scored"
    assert (table in stdout) == (number == signal.SIGINT), "SIGHUP may mean that there is no terminal any more"
    told = [line for line in stdout.splitlines() if line.startswith("Wrote ")]
    assert told == ([f"Wrote {record}", f"Wrote {results}"] if number == signal.SIGINT else [])
    assert 4 <= len(frames) < 250 and len(frames) - summary["shown"] in (0, 1)  # type: ignore[operator]
    assert frames_in(record) in (pictures_until(frames, -1), pictures_until(frames, -2)), "the last one may be missing"


@pytest.mark.parametrize("shown", [0, 1])
def test_after_ctrl_c_the_table_is_printed_where_there_is_something_to_tell(
    shown: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, statistics = Ledger(captured=shown, shown=shown), Statistics()
    with pytest.raises(KeyboardInterrupt), summary_after_ctrl_c(Terminal(), ledger, statistics):
        raise KeyboardInterrupt
    assert ("1 frame shown" in capsys.readouterr().out) == bool(shown)


def test_a_terminal_that_has_gone_does_not_change_how_ctrl_c_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Terminal, "print", gone)
    with pytest.raises(KeyboardInterrupt), summary_after_ctrl_c(Terminal(), Ledger(1, 1), Statistics()):
        raise KeyboardInterrupt


@pytest.mark.parametrize("ended", [Terminated, ValueError])
def test_what_else_ends_a_session_early_prints_no_table(
    ended: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ended), summary_after_ctrl_c(Terminal(), Ledger(1, 1), Statistics()):
        raise ended
    assert capsys.readouterr().out == ""


def test_in_a_process_of_its_own_it_runs_and_says_nothing_on_stderr(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path
) -> None:
    results, record = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    process = started(
        "--target", target, "--source", clip, "--engines", tiny_engines, "--max-frames", 10, "--results", results,
        "--record", record, "--backend", "onnx",
    )  # fmt: skip
    stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, stderr) == (0, "")
    assert f"Engines: {tiny_engines} on ONNX Runtime on the CPU; one thread." in stdout
    assert len(rows_of(results)) == 12 and frames_in(record) == 10


def test_with_a_screen_it_opens_a_window_and_says_nothing_on_stderr(
    target: Path, clip: Path, tiny_engines: Path
) -> None:
    with virtual_screen() as environment:
        process = started(
            "--target", target, "--source", clip, "--engines", tiny_engines, "--max-frames", 5, environment=environment
        )  # fmt: skip
        stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, stderr) == (0, "")
    assert "No window" not in stdout and "5 frames shown" in stdout


def test_a_display_that_is_killed_in_the_middle_of_a_run_is_told_of_and_costs_only_the_window(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path
) -> None:
    results, record = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    with virtual_screen() as environment:
        process = started(
            "--target", target, "--source", clip, "--engines", tiny_engines, "--pace", "--results", results, "--record",
            record, "--mute", "--max-frames", 100, environment=environment,
        )  # fmt: skip
        shown_on_screen(results)
        os.kill(int(environment["XVFB_PID"]), signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, stderr) == (0, "")
    assert stdout.count("The display was lost: the session goes on without a window.") == 1
    _, *frames, summary = rows_of(results)
    assert len(frames) == summary["shown"] and frames_in(record) == pictures_until(frames, -1)
    on_screen = ["shown" in row["moments_ms"] for row in frames]  # type: ignore[operator]
    assert on_screen[0] and not on_screen[-1]


def shown_on_screen(results: Path) -> None:
    """Waits for a row of a frame that a window showed."""
    ends = time.monotonic() + DEADLINE_SECONDS
    while not (results.is_file() and '"shown": ' in results.read_text().partition("\n")[2]):
        assert time.monotonic() < ends, "nothing was ever shown"
        time.sleep(0.05)


def test_in_a_process_of_its_own_a_fault_is_one_line_on_stderr(
    tmp_path: Path, target: Path, tiny_engines: Path
) -> None:
    """OpenCV and its decoders have their own ways to stderr."""
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(5000))
    for source, code in (("clip.mp4", 3), ("97", 3)):
        path = tmp_path / source if source == "clip.mp4" else source
        process = started("--target", target, "--source", path, "--engines", tiny_engines)
        _, stderr = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == code
        the_sentence(stderr)
