"""How programs end: at a signal while they start, with nobody who reads, on a terminal that lacks letters."""

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import EXIT_BAD_INPUT, EXIT_GPU, EXIT_INTERRUPTED, EXIT_OK, EXIT_TERMINATED

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("engines", "realtime", "calibration")
SECONDS = 60
SIGNALLED = """
import os, signal, sys
from engines.exits import ends_at_once
signal.signal(signal.SIGINT, signal.default_int_handler)
with ends_at_once():
    try:
        os.kill(os.getpid(), {number})
    except BaseException:
        raise ImportError
"""
PROGRAMS = (
    "run_live", "build_engines", "realtime.report", "realtime.targets", "realtime.glass_to_glass",
    "calibration.compare", "calibration.embed", "calibration.evaluate", "calibration.parity", "calibration.score_width",
)  # fmt: skip
"""Those that the README tells users of."""
NOT_FOR_USERS = "realtime.window_process"
"""A session starts it for its window."""
COMMANDS = (
    *(f"realtime.targets {command}" for command in ("gallery", "make", "edit")),
    *(
        f"calibration.distill {command}"
        for command in ("pose", "detector", "answers", "evaluate", "export", "mean", "statistics")
    ),
)
INTERRUPTED = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
raise ImportError
"""
SWALLOWED = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGTERM)
except BaseException:
    pass
"""
TALKING = """
from engines.exits import documented_exits
from engines.terminal import Terminal

@documented_exits()
def main():
    console = Terminal()
    for _ in range(20000):
        console.print("a line that nobody reads")
    open("{path}", "w").write("done")
    return 0

raise SystemExit(main())
"""
FAILED_GPU = """
from engines.device import ABANDONED
from engines.errors import GpuError
from engines.exits import documented_exits

class Piece:
    def __del__(self):
        print("Warning: deallocate() failed")  # as cuda.core says of every piece

@documented_exits()
def main():
    ABANDONED.append(Piece())
    print("one result")
    raise GpuError("the GPU failed to copy", "it must not", "run again")

raise SystemExit(main())
"""


def test_after_a_gpu_has_failed_the_process_ends_with_one_sentence_and_frees_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FAILED_GPU], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    said = "error: the GPU failed to copy; it must not; run again.\n"
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_GPU, "one result\n", said)


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, EXIT_INTERRUPTED, "stopped\n"), (signal.SIGTERM, EXIT_TERMINATED, "terminated\n")],
)
def test_a_signal_in_the_middle_of_an_import_ends_the_process_at_once(number: int, code: int, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SIGNALLED.format(number=int(number))], capture_output=True, text=True, timeout=SECONDS,
        cwd=ROOT,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (code, said)


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_a_program_starts_shows_no_traceback(program: str, tmp_path: Path) -> None:
    for package in ("numpy", "rich"):
        (tmp_path / f"{package}.py").write_text(INTERRUPTED)
    ran = subprocess.run(
        [sys.executable, "-m", program, "--help"], capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (EXIT_INTERRUPTED, "", "stopped\n")


@pytest.mark.parametrize("package", ["cuda", "aiohttp"])
def test_a_signal_that_a_package_swallows_while_run_live_imports_it_still_ends_the_run(
    package: str, tmp_path: Path
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(SWALLOWED)
    clip = ROOT / "realtime" / "demo_clip"
    results = tmp_path / "out.jsonl"
    ran = subprocess.run(
        [
            sys.executable, "run_live.py", "--target", clip / "roof.json", "--source", clip / "roof.mp4", "--headless",
            "--max-frames", "2", "--results", results, *(["--serve", "0"] if package == "aiohttp" else []),
        ],
        capture_output=True, text=True, timeout=SECONDS, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (EXIT_TERMINATED, "terminated\n")
    assert not results.exists()


def every_program() -> list[str]:
    """All that can be run by a user: those of `PROGRAMS`, and those that make weights and training sets."""
    files = [*ROOT.glob("*.py"), *(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))]
    run = [file for file in files if '\nif __name__ == "__main__":\n' in file.read_text(encoding="utf-8")]
    found = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in run}
    return sorted(found.union(PROGRAMS) - {NOT_FOR_USERS})


def refusal(program: str, *words: str) -> int | str | None:
    """The exit code of a program that must end by refusing its command line."""
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(program).main(list(words))
    return ended.value.code


@pytest.mark.parametrize("program", every_program())
def test_an_option_that_a_program_does_not_know_is_refused_in_one_line(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(program, "--none-such") == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    name = f"python -m {program}" if "." in program else f"{program}.py"
    assert said.startswith(f"{name}: error: ") and said.endswith(f"; see {name} --help.\n") and said.count("\n") == 1


@pytest.mark.parametrize("line", COMMANDS)
def test_so_it_is_after_a_command_of_a_program_that_has_several(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, command = line.split()
    assert refusal(program, command, "--none-such") == EXIT_BAD_INPUT
    said = capsys.readouterr().err
    name = rf"python -m {re.escape(program)}( {command})?"
    assert re.fullmatch(rf"{name}: error: .+; see {name} --help\.\n", said)


def test_a_program_whose_output_nobody_reads_any_more_goes_on(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with subprocess.Popen(
        [sys.executable, "-c", TALKING.format(path=done)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "a line that nobody reads\n"
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(SECONDS), said) == (EXIT_OK, "")
    assert done.read_text() == "done"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["build_engines.py", "--list", "--out"], EXIT_OK),
        (["run_live.py", "--source", "0", "--target"], EXIT_BAD_INPUT),
    ],
)
def test_a_terminal_without_the_letters_of_a_name_gets_other_ones(tmp_path: Path, words: list[str], code: int) -> None:
    ran = subprocess.run(
        [sys.executable, *words, tmp_path / "木"], capture_output=True, timeout=SECONDS, cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert ran.returncode == code and b"Traceback" not in ran.stderr
