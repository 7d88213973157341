"""What a session writes and whom it talks to: what was asked for, and nothing else.

Two ways of looking: an audit hook, which sees every file and connection of Python's own, and strace, which also sees
those of OpenCV and ONNX Runtime.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "WORK")

HOOKED = """
import json, os, sys
seen = []
def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path) != os.devnull:
            seen.append(["open", str(path)])
    elif event.startswith(("socket.", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink",
                           "tempfile.", "shutil.", "urllib.", "webbrowser.", "ftplib.", "smtplib.")):
        if event != "socket.gethostname":
            seen.append([event, str(arguments)])
sys.addaudithook(hook)
import run_live
code = run_live.main(sys.argv[1:])
sys.stdout.flush()
os.write(2, json.dumps(seen).encode())
os._exit(code)
"""

WRITES = re.compile(r'open(?:at)?\((?:AT_FDCWD, |\d+, )?"([^"]+)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT)[^)]*\)\s+= \d+')
TALKS = re.compile(r"(?:connect|bind|sendto|listen)\(.*")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home, caches and temporary files are empty folders; nothing Python writes by itself."""
    folders = {
        name: tmp_path / name.lower() for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "WORK")
    }
    for folder in folders.values():
        folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return kept | {name: str(folder) for name, folder in folders.items()} | {
        "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


CLIP = ROOT / "realtime" / "demo_clip"
RUN = ("--target", CLIP / "roof.json", "--source", CLIP / "roof.mp4", "--engines", "quickstart", "--headless")
RUN_SHORT = [*map(str, RUN), "--max-frames", "5"]
OUTPUTS = ("--results", "out.jsonl", "--record-skeleton", "out.mp4")


def test_python_opens_no_file_for_writing_and_no_connection_unasked(home: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOOKED, *RUN_SHORT], cwd=home["WORK"], env=home, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stderr)) == (0, [])
    assert "5 frames shown" in done.stdout and files_below(home) == []


def files_below(home: dict[str, str]) -> list[str]:
    """Every file in home, caches, temporary folder and the folder it was started in."""
    return sorted(path.name for name in FOLDERS for path in Path(home[name]).rglob("*") if path.is_file())


def test_the_hook_sees_what_it_is_to_see(home: dict[str, str]) -> None:
    program = HOOKED.replace("import run_live\ncode = run_live.main(sys.argv[1:])", (
        "import socket\ncode = 0\nopen('secret.txt', 'w').close()\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    ))  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=home["WORK"], env=home, capture_output=True, text=True, check=True
    )
    events = [event for event, _ in json.loads(done.stderr)]
    assert ["open", "secret.txt"] in json.loads(done.stderr)
    assert "socket.connect" in events and files_below(home) == ["secret.txt"]


def traced(command: list[str], home: dict[str, str]) -> tuple[set[str], list[str]]:
    """Files opened for writing, and connections, of a command and all its threads and children."""
    log = Path(home["WORK"]).parent / "strace.log"
    calls = "trace=openat,open,creat,connect,bind,listen,sendto"
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    done = subprocess.run(
        ["strace", "-f", "-o", log, "-e", calls, *command], cwd=home["WORK"], env=home, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip("strace is not allowed here")
    assert done.returncode == 0, done.stderr
    text = log.read_text()
    return {path for path in WRITES.findall(text) if not path.startswith("/dev/")}, TALKS.findall(text)


def test_no_library_writes_or_talks_either(home: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "run_live.py"), *RUN_SHORT, *OUTPUTS]
    assert traced(command, home) == ({"out.jsonl", "out.mp4"}, [])
    assert files_below(home) == ["out.jsonl", "out.mp4"]


def test_strace_sees_what_it_is_to_see(home: dict[str, str]) -> None:
    program = (
        "import cv2, socket; cv2.VideoWriter('seen.avi', cv2.VideoWriter.fourcc(*'MJPG'), 5, (64, 64)).release()\n"
    )
    program += "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    written, talks = traced([sys.executable, "-c", program], home)
    assert written == {"seen.avi"} and len(talks) == 1 and "127.0.0.1" in talks[0]
