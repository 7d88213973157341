"""Sinks: files that are whole whatever happens, and no window where there is no screen."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engines.errors import EXIT_BAD_INPUT, BadInputError
from engines.output_paths import require_writable
from realtime.sinks import CODECS, Recorder, ResultsFile, Window, display_problem
from tests.realtime.fakes import result_of, rows_of, virtual_screen

ROOT = Path(__file__).resolve().parents[2]
FREE_DISPLAYS = (4301, 4302, 4303)


def grey(value: int, width: int = 320, height: int = 180) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def recorded(path: Path) -> list[npt.NDArray[np.uint8]]:
    """Every frame of a video, as it is read back."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (frame := video.read()[1]) is not None:
        frames.append(frame)
    video.release()
    return frames


@pytest.mark.parametrize("suffix", [*CODECS, ".MP4"])
@pytest.mark.parametrize("size", [(320, 180), (322, 182)], ids=str)
def test_a_recording_can_be_played(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    path = tmp_path / f"out{suffix}"
    with Recorder(path, size, 25.0) as recorder:
        for index in range(10):
            recorder.write(grey(20 * index, *size))
    frames = recorded(path)
    assert [frame.shape for frame in frames] == [(size[1], size[0], 3)] * 10
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(range(10))


@pytest.mark.parametrize("fps", [1.0, 23.976, 29.97, 60.0])
def test_a_recording_plays_at_the_rate_of_its_source(tmp_path: Path, fps: float) -> None:
    with Recorder(tmp_path / "out.mp4", (320, 180), fps) as recorder:
        for index in range(5):
            recorder.write(grey(index))
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-3)
    video.release()


def test_a_recording_that_an_error_ends_can_be_played_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Recorder(tmp_path / "out.mp4", (320, 180), 25.0) as recorder:
        recorder.write(grey(90))
        raise KeyboardInterrupt
    assert len(recorded(tmp_path / "out.mp4")) == 1


@pytest.mark.parametrize("name", ["out.txt", "out", "out.mp4.gz", ".mp4"])
def test_a_recording_whose_ending_is_unknown_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError) as caught:
        Recorder(tmp_path / name, (320, 180), 25.0)
    assert caught.value.exit_code == EXIT_BAD_INPUT
    assert ".mp4, .avi, .webm are allowed" in str(caught.value)
    assert not (tmp_path / name).exists()


def test_every_row_of_the_results_is_whole_on_disk_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with ResultsFile(path) as results:
        for index in range(5):
            results.write(result_of(index))
            assert [row["frame"] for row in rows_of(path)] == list(range(index + 1))


def test_results_are_text_that_a_person_can_read(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "out.jsonl") as results:
        results.write(result_of(0, target="Árvore 木"))
    assert "Árvore 木" in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_older_results_are_replaced_when_the_file_is_opened_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    results = ResultsFile(path)
    assert path.read_text() == "old\n"
    with results:
        results.write_row({"a": 1})
    assert path.read_text() == '{"a": 1}\n'


def test_a_number_that_json_has_not_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with ResultsFile(path) as results:
        results.write_row({"a": 1})
        with pytest.raises(ValueError, match="JSON"):
            results.write_row({"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_told_of_in_one_sentence() -> None:
    with (
        pytest.raises(BadInputError, match="--results /dev/full could not be written"),
        ResultsFile(Path("/dev/full")) as results,
    ):
        results.write(result_of(0))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("folder.mp4", "it is a folder; .* in it", id="a folder"),
        pytest.param("a b/c/out.mp4", "its folder does not exist; .*; run mkdir -p '.*/a b/c'", id="no folder"),
        pytest.param("file/out.mp4", "/file is no folder; .*; give another path", id="a file for a folder"),
        pytest.param("file/a/out.mp4", "its folder does not exist; .*; give another path", id="a file above a folder"),
        pytest.param("x" * 300 + ".mp4", "its name is too long; .*; give a shorter name", id="a name too long"),
        pytest.param("\udcff.mp4", "its name is not UTF-8; .*; give another name", id="a name that is not UTF-8"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_with_what_is_wrong(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / name
    for refuse in (
        lambda: require_writable(path, "--record"),
        lambda: Recorder(path, (320, 180), 25.0),
        lambda: ResultsFile(path),
    ):
        with pytest.raises(BadInputError, match=f"cannot be written: .*{said}") as caught:
            refuse()
        error = caught.value
        assert str(error) == f"{error.seen}; {error.allowed}; {error.next_step}."


def test_a_recording_without_a_picture_leaves_no_file(tmp_path: Path) -> None:
    with Recorder(tmp_path / "out.mp4", (320, 180), 25.0):
        pass
    assert not any(tmp_path.iterdir())


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11 displays are asked for on Linux")


@linux
@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "DISPLAY is not set"),
        ({"DISPLAY": ""}, "DISPLAY is not set"),
        ({"DISPLAY": "nonsense"}, "DISPLAY=nonsense is no display"),
        ({"DISPLAY": ":"}, "DISPLAY=: is no display"),
        ({"DISPLAY": ":x.0"}, "DISPLAY=:x.0 is no display"),
        ({"DISPLAY": ":-1"}, "DISPLAY=:-1 is no display"),
        ({"DISPLAY": f":{FREE_DISPLAYS[0]}"}, f"nothing answers at DISPLAY=:{FREE_DISPLAYS[0]}"),
        ({"DISPLAY": f":{FREE_DISPLAYS[0]}.1"}, f"nothing answers at DISPLAY=:{FREE_DISPLAYS[0]}.1"),
        ({"DISPLAY": f"unix:{FREE_DISPLAYS[0]}"}, f"nothing answers at DISPLAY=unix:{FREE_DISPLAYS[0]}"),
        ({"DISPLAY": f"127.0.0.1:{FREE_DISPLAYS[0]}"}, f"nothing answers at DISPLAY=127.0.0.1:{FREE_DISPLAYS[0]}"),
        ({"DISPLAY": "127.0.0.1:99999"}, "nothing answers at DISPLAY=127.0.0.1:99999"),
        ({"DISPLAY": "a..b:0"}, "nothing answers at DISPLAY=a..b:0"),
        ({"DISPLAY": ":" + "9" * 200}, f"nothing answers at DISPLAY=:{'9' * 200}"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "only Wayland is there, and OpenCV needs X11"),
        ({"WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "wayland"}, ""),
    ],
)
def test_where_no_window_can_be_opened_the_reason_is_told(environment: dict[str, str], problem: str) -> None:
    assert display_problem(environment) == problem


@linux
def test_a_display_that_answers_is_no_problem() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0/tmp/.X11-unix/X{FREE_DISPLAYS[1]}")
        server.listen()
        assert display_problem({"DISPLAY": f":{FREE_DISPLAYS[1]}"}) == ""
        assert display_problem({"DISPLAY": f"unix:{FREE_DISPLAYS[1]}.0"}) == ""


@pytest.mark.usefixtures("no_display")
def test_without_an_environment_given_the_processs_own_is_asked() -> None:
    assert bool(display_problem()) == sys.platform.startswith("linux")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """OpenCV's windows, without a screen: the key that is pressed, and whether the window is visible."""
    state = {"key": -1, "visible": 1.0, "shown": 0, "closed": 0}
    for name in ("namedWindow", "resizeWindow"):
        monkeypatch.setattr(cv2, name, lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda *_: state.update(shown=state["shown"] + 1))
    monkeypatch.setattr(cv2, "waitKey", lambda _: state["key"])
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: state["visible"])
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: state.update(closed=1))
    yield state


@pytest.mark.parametrize(
    ("key", "visible", "going_on"),
    [(-1, 1, True), (ord("x"), 1, True), (ord("q"), 1, False), (27, 1, False), (-1, 0, False), (-1, -1, False)],
)
def test_a_window_stays_until_it_is_closed_or_q_or_escape_is_pressed(
    screen: dict[str, float], key: int, visible: float, going_on: bool
) -> None:
    screen.update(key=key, visible=visible)
    with Window("posemirror", (320, 180)) as window:
        assert window.show(grey(90)) is going_on
    assert (screen["shown"], screen["closed"]) == (1, 1)


def test_a_window_opens_on_a_screen() -> None:
    script = (
        "import numpy as np; from realtime.sinks import Window, display_problem\n"
        "assert display_problem() == '', display_problem()\n"
        "with Window('posemirror', (320, 180)) as window: print(window.show(np.zeros((180, 320, 3), np.uint8)))\n"
    )
    with virtual_screen() as environment:
        command = [sys.executable, "-c", script]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")
