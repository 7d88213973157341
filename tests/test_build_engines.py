"""The build's command line: each fault is one sentence and its exit code, and a folder changes whole or not at all.

The networks are tiny; the build with real ones is in `run_live/test_real_clips.py`.
"""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import build_engines
import engines.build
from engines.build_request import BuildEvents, BuildRequest
from engines.build_writing import Network, Prepared
from engines.download import file_sha256
from engines.errors import EngineError
from engines.execution import CpuChain, read_chain
from engines.gpu import GpuState, choose_backend
from engines.graphs.chain import Graphs
from engines.manifest import TensorRtBuild, check_files, read_manifest, write_manifest
from engines.networks.encoders import ENCODER_NAMES
from engines.weights_registry import SHIPPED_ENGINES
from tests.fixtures import the_sentence, tiny_graphs
from tests.realtime.fakes import chain_info, without_rights

ROOT = Path(__file__).resolve().parent.parent
SIZE, IMAGE, POSE_IMAGE = (192, 320), (96, 160), (256, 192)
NO_GPU = GpuState("", "", "no usable NVIDIA driver (DynamicLibNotFoundError)")
DEADLINE_SECONDS = 120

Build = Callable[..., int]
Fails = Callable[..., str]
Tree = dict[str, bytes]


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a GPU, whose downloads so far are none."""
    monkeypatch.setattr(build_engines, "find_gpu", lambda: NO_GPU)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graphs]:
    return tiny_graphs(SIZE, IMAGE, 1)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, graphs: dict[str, Graphs]) -> Build:
    """The command line with tiny networks instead of real ones; gives the exit code."""

    def prepared(name: str) -> Prepared:
        size = (0, 0) if name.startswith("encode") else SIZE
        # writing a graph moves its weights into a file
        return Prepared(
            name,
            copy.deepcopy(graphs[name]),
            Network("tiny"),
            image_size={"detect": IMAGE, "pose": POSE_IMAGE}.get(name, (0, 0)),
            frame_size=size,
        )

    monkeypatch.setattr(engines.build, "prepare_detect", lambda request, events: prepared("detect"))
    monkeypatch.setattr(engines.build, "prepare_pose", lambda request, events: prepared("pose"))
    monkeypatch.setattr(engines.build, "prepare_encode", lambda request, name, events: prepared("encode_bones"))

    def building(out: Path, *arguments: object) -> int:
        return build_engines.main(["--backend", "onnx", "--out", str(out), *map(str, arguments)])

    return building


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Fails:
    """Runs the command line, which must fail with a code and change nothing; gives the sentence."""

    def failing(code: int, *arguments: object) -> str:
        out = tmp_path / "out"
        before = tree(tmp_path)
        given = [str(argument) for argument in arguments]
        assert build_engines.main(given if "--out" in given else [*given, "--out", str(out)]) == code
        assert tree(tmp_path) == before
        return the_sentence(capsys.readouterr().err)

    return failing


def tree(folder: Path) -> Tree:
    """Every file and folder in a folder."""
    return {
        str(path.relative_to(folder)): b"" if path.is_dir() else path.read_bytes() for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ("nope", "neither a file nor the name of known weights"),
        ("yolov5n", "give yolov5nu"),
        ("none.pt", "neither a file"),
        ("x" * 300, "x" * 300),
    ],
)
def test_an_unknown_detector_ends_with_2(fails: Fails, detector: str, said: str) -> None:
    assert said in fails(2, "--backend", "onnx", "--detector", detector)


def test_a_weights_folder_that_is_none_ends_with_2(fails: Fails, tmp_path: Path) -> None:
    assert "is not a folder" in fails(2, "--backend", "onnx", "--weights-dir", tmp_path / "none")


def test_a_weights_folder_without_the_weights_ends_with_4(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    said = fails(4, "--backend", "onnx", "--weights-dir", tmp_path / "weights")
    assert "yolov5nu.pt is neither in" in said and "https://" in said


@pytest.mark.parametrize("content", [b"", b"these are no weights" * 100, b"PK\x03\x04" + bytes(500)])
def test_a_corrupt_checkpoint_ends_with_4_once_it_is_trusted_and_2_before(
    fails: Fails, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    assert "unknown SHA-256" in fails(2, "--backend", "onnx", "--detector", path)
    assert "broken.pt" in fails(4, "--backend", "onnx", "--detector", path, "--trust-weights")


@pytest.mark.parametrize("suffix", [".onnx", ".pth"])
@pytest.mark.parametrize("content", [b"", b"these are no weights" * 100, b"PK\x03\x04" + bytes(500)])
def test_a_corrupt_pose_network_ends_with_4(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, content: bytes
) -> None:
    monkeypatch.setattr(engines.build, "prepare_detect", lambda request, events: None)
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    assert f"broken{suffix}" in fails(4, "--backend", "onnx", "--pose", path)


def test_weights_of_another_kind_end_with_2(fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.bin").touch()
    (tmp_path / "w.onnx").touch()
    assert "ends in .bin" in fails(2, "--backend", "onnx", "--detector", tmp_path / "w.bin")
    assert "is a .onnx file" in fails(2, "--backend", "onnx", "--detector", tmp_path / "w.onnx")


@pytest.mark.parametrize("text", ["nonsense", "sm", "sm8", "smXY", "8.9.1"])
def test_a_gpu_that_is_no_gpu_ends_with_2(fails: Fails, text: str) -> None:
    assert text in fails(2, "--for", text)


def test_a_gpu_that_tensorrt_rtx_does_not_build_for_is_said_before_anything_is_downloaded(fails: Fails) -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx-cu13 (Linux x86-64)")
    assert "cannot build for sm90; it builds for " in fails(2, "--backend", "tensorrt", "--for", "sm90")


def test_tensorrt_without_a_gpu_ends_with_4(fails: Fails) -> None:
    said = fails(4, "--backend", "tensorrt")
    assert "TensorRT cannot be used here" in said and "--backend onnx" in said


def test_the_backend_chosen_is_told_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert build_engines.main(["--detector", "nope"]) == 2
    said = capsys.readouterr().out
    assert said.startswith("Backend: ONNX Runtime on the CPU, because ")
    assert build_engines.main(["--detector", "nope", "--backend", "onnx"]) == 2
    assert capsys.readouterr().out.startswith("Backend: ONNX Runtime on the CPU, as asked.\n")


@pytest.mark.parametrize(
    ("packages", "gpu", "others", "backend"),
    [
        ((), GpuState("L4", "8.9", ""), False, "onnx"),
        (("tensorrt",), NO_GPU, False, "onnx"),
        (("tensorrt",), GpuState("L4", "8.9", ""), False, "tensorrt"),
        (("tensorrt", "tensorrt_rtx"), GpuState("L4", "8.9", ""), False, "tensorrt"),
        (("tensorrt_rtx",), GpuState("L4", "8.9", ""), False, "tensorrt_rtx"),
        (("tensorrt_rtx",), NO_GPU, True, "tensorrt_rtx"),
        (("tensorrt",), NO_GPU, True, "onnx"),
    ],
)
def test_the_backend_follows_packages_and_gpu(
    monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], gpu: GpuState, others: bool, backend: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in packages else None)
    chosen, why = choose_backend("auto", gpu, builds_for_other_gpu=others)
    assert chosen == backend and why
    assert choose_backend("onnx", gpu, builds_for_other_gpu=others)[0] == "onnx"
    if backend == "onnx":
        with pytest.raises(EngineError):
            choose_backend("tensorrt", gpu, builds_for_other_gpu=others)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frame-size", "1280"],
        ["--frame-size", "63x720"],
        ["--frame-size", "1280x99999"],
        ["--frame-size", "-1x5"],
        ["--people", "0"],
        ["--people", "9"],
        ["--people", "many"],
        ["--backend", "cuda"],
        ["--precision", "int8"],
        ["--colour"],
    ],
)
def test_bad_arguments_end_with_2_and_no_traceback(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_engines.main(arguments)
    assert caught.value.code == 2
    stderr = capsys.readouterr().err
    assert "build_engines.py: error: " in stderr and "Traceback" not in stderr


def test_it_tells_its_version_its_options_and_the_weights_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    for option, words in (("--version", ["posemirror "]), ("--help", ["--detector", "--pose", "--out", "Exit codes"])):
        with pytest.raises(SystemExit) as caught:
            build_engines.main([option])
        said = capsys.readouterr().out
        assert caught.value.code == 0 and all(word in said for word in words)
    assert build_engines.main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("yolov5nu", "yolov5su", "hrnet_w32", "hrnet_w48", "AGPL-3.0", "Apache-2.0"))


def test_a_build_writes_engines_that_can_be_opened(
    tiny: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "engines"
    assert tiny(out) == 0
    said = capsys.readouterr()
    assert said.err == "" and f"Next: run_live.py --engines {out} --target POSE.json" in said.out
    for manifest in out.glob("*.json"):
        check_files(read_manifest(manifest), out)
    assert CpuChain(read_chain(out, "bones")).info.frame_size == (SIZE[1], SIZE[0])
    assert [path.name for path in out.parent.iterdir()] == ["engines"]
    assert "bones" in ENCODER_NAMES


def test_what_a_build_proposes_can_be_pasted_whatever_the_folder_is_called(
    tiny: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my engines"
    assert tiny(out) == 0
    assert f"Next: run_live.py --engines '{out}' --target POSE.json" in capsys.readouterr().out


def test_after_a_build_for_several_people_as_many_are_proposed_to_be_scored(
    tiny: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tiny(tmp_path / "engines", "--people", 3) == 0
    assert f"Next: run_live.py --engines {tmp_path / 'engines'} --people 3 --target" in capsys.readouterr().out


def test_engines_are_listed_with_how_they_were_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = chain_info(backend="tensorrt_rtx").manifests["detect"]
    how = TensorRtBuild("1.7.1.116", "8.9", "", "")
    write_manifest(replace(manifest, tensorrt=how), tmp_path)  # of before build times were kept
    write_manifest(replace(manifest, name="pose", tensorrt=replace(how, build_seconds=12.34, optimisation_level=5,
                           workspace_bytes=3 << 29, timing_cache="added to")), tmp_path)  # fmt: skip
    assert build_engines.main(["--list", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    rows = [" ".join(line.replace("│", "").split()) for line in said.splitlines()]
    assert "Built by tensorrt_rtx 1.7.1.116 for another machine's GPU" in rows
    assert "detect sm89 - - - -" in rows and "pose sm89 12.3 s 5 1.5 GiB added to" in rows
    (tmp_path / "pose.json").write_text("{}")
    assert build_engines.main(["--list", "--out", str(tmp_path)]) == 4
    assert "pose.json" in the_sentence(capsys.readouterr().err)


def test_a_build_replaces_older_engines_whole(tiny: Build, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    assert tiny(out) == 0
    (out / "encode_old.json").write_text("{}")
    (out / "encode_old.onnx").write_text("old")
    assert tiny(out) == 0
    assert not list(out.glob("encode_old*"))
    assert [path.name for path in tmp_path.iterdir()] == ["engines"]


def test_a_build_into_an_empty_folder_is_no_fault(tiny: Build, tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    assert tiny(tmp_path / "engines") == 0


def test_a_build_through_a_link_goes_where_the_link_leads(tiny: Build, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "engines").symlink_to(tmp_path / "disk")
    assert tiny(tmp_path / "engines") == 0
    assert (tmp_path / "engines").is_symlink() and (tmp_path / "disk" / "detect.json").is_file()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("beside_engines", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "detect.txt", ".git/config", "pose.onnx/x"])
def test_a_folder_that_holds_anything_else_is_refused_and_left_as_it_was(
    tiny: Build, fails: Fails, tmp_path: Path, name: str, beside_engines: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "engines"
    if beside_engines:
        assert tiny(out) == 0
        (out / "pose.onnx").unlink()
        capsys.readouterr()
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("precious")
    said = fails(2, "--backend", "onnx", "--out", out)
    assert "would replace" in said and name.split("/")[0] in said


@pytest.mark.usefixtures("tiny")
def test_a_file_is_not_replaced_by_a_folder(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("precious")
    assert "would replace" in fails(2, "--backend", "onnx", "--out", tmp_path / "engines")


@pytest.mark.usefixtures("tiny")
def test_the_current_folder_and_the_engines_that_ship_are_not_replaced(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "the folder that you are in" in fails(2, "--backend", "onnx", "--out", ".")
    before = tree(SHIPPED_ENGINES)
    assert "the engines that ship" in fails(2, "--backend", "onnx", "--people", "2", "--out", SHIPPED_ENGINES)
    assert tree(SHIPPED_ENGINES) == before


def test_only_what_make_quickstart_builds_ships() -> None:
    own = BuildRequest("quickstart", "quickstart", ENCODER_NAMES, (720, 1280), 1, "onnx", "fp32", SHIPPED_ENGINES)
    assert engines.build.ships(own)
    others: list[dict[str, object]] = [
        {"people": 2}, {"detector": "yolov5nu"}, {"pose": "hrnet_w32"}, {"precision": "fp16"},
        {"frame_size": (480, 640)}, {"encoders": [*ENCODER_NAMES, "mine.safetensors"]},
    ]  # fmt: skip
    assert not any(engines.build.ships(replace(own, **other)) for other in others)  # type: ignore[arg-type]


def test_an_encoder_that_ships_is_built_once_and_none_takes_its_name(fails: Fails) -> None:
    assert build_engines.one_more_encoder("graded", ENCODER_NAMES) == []
    assert build_engines.one_more_encoder("mine.safetensors", ENCODER_NAMES) == ["mine.safetensors"]
    assert "an encoder that ships" in fails(2, "--backend", "onnx", "--encoder", "mine/graded.safetensors")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no encoder weights at"),
        (b"", "is not the weights"),
        (b"these are no weights" * 100, "is not the weights"),
    ],
)
def test_an_encoder_that_is_none_is_refused_before_anything_is_built(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(engines.build, "prepare_detect", lambda request, events: steps.append("detect"))
    path = tmp_path / "mine.safetensors"
    if content is not None:
        path.write_bytes(content)
    sentence = fails(4, "--backend", "onnx", "--encoder", path)
    assert said in sentence and "mine.safetensors" in sentence and steps == []


def test_graphs_for_any_machine_are_for_no_gpu(fails: Fails) -> None:
    assert "--for sm89 came with --backend onnx" in fails(2, "--backend", "onnx", "--for", "sm89")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("out", ["file/engines", "x" * 300])
def test_a_place_where_no_folder_can_be_is_refused(fails: Fails, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    fails(2, "--backend", "onnx", "--out", tmp_path / out)


def test_a_folder_without_rights_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    with without_rights(closed):
        assert build_engines.main(["--backend", "onnx", "--out", str(closed / "engines")]) == 2
    the_sentence(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("the graph is broken", "it must not be", "report it"), 4),
        (OSError(28, "No space left on device", "detect.onnx"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
@pytest.mark.parametrize("step", ["prepare_pose", "write_engine", "replace_folder"])
def test_a_build_that_fails_leaves_the_older_engines_untouched(
    tiny: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: str,
    error: BaseException, code: int,
) -> None:  # fmt: skip
    out = tmp_path / "engines"
    assert tiny(out) == 0
    before = tree(tmp_path)
    capsys.readouterr()

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(engines.build, step, broken)
    assert tiny(out) == code
    assert tree(tmp_path) == before
    stderr = capsys.readouterr().err
    assert stderr == "stopped; nothing was changed\n" if code == 130 else the_sentence(stderr)


def test_older_engines_come_back_when_the_new_ones_cannot_take_their_place(
    tiny: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "engines"
    assert tiny(out) == 0
    before = tree(tmp_path)
    rename = Path.rename

    def fails_for_the_new(path: Path, place: Path) -> Path:
        if path.name == "engines" and place == out:
            raise OSError(16, "Device or resource busy", str(place))
        return rename(path, place)

    monkeypatch.setattr(Path, "rename", fails_for_the_new)
    assert tiny(out) == 2
    assert tree(tmp_path) == before


def test_the_steps_are_told_to_whoever_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the first that fails: here the weights, which are nowhere."""
    (tmp_path / "weights").mkdir()
    steps: list[str] = []
    request = BuildRequest(
        "yolov5nu", "hrnet_w32", ["bones"], SIZE, 1, "onnx", "fp32", tmp_path / "out", tmp_path / "weights"
    )
    with pytest.raises(EngineError):
        engines.build.build(request, BuildEvents(steps.append))
    assert steps == ["weights of yolov5nu"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"], ids=["with int8", "without"])
def test_as_many_steps_are_told_as_were_announced(tmp_path: Path, precision: str) -> None:
    steps: list[str] = []
    request = BuildRequest("quickstart", "quickstart", ["bones"], SIZE, 1, "onnx", precision, tmp_path / "out")
    engines.build.build(request, BuildEvents(steps.append))
    assert len(steps) == engines.build.step_count(request), steps
    assert ("detect_int8: graph" in steps) == ("pose_int8: graph" in steps) == (precision == "fp32")


def test_in_a_process_of_its_own_a_fault_is_one_line_on_stderr(tmp_path: Path) -> None:
    """torch and ultralytics have their own ways to stderr."""
    path = tmp_path / "broken.pt"
    path.write_bytes(b"these are no weights" * 100)
    ran = subprocess.run(
        [
            sys.executable, ROOT / "build_engines.py", "--backend", "onnx", "--detector", path, "--trust-weights",
            "--out", tmp_path / "out",
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        env={**os.environ, "COLUMNS": "40"},
    )  # fmt: skip
    assert ran.returncode == 4, ran.stderr
    assert "broken.pt" in the_sentence(ran.stderr)
    assert file_sha256(path) and not (tmp_path / "out").exists()
