"""What a session needs: the right folder of engines, and a target from whatever file the user has."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import int8
from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, BadInputError, EngineError, PosemirrorError
from engines.gpu import GpuState
from engines.int8 import INT8_FORMS
from engines.manifest import Manifest, read_manifest, write_manifest
from engines.weights_registry import SHIPPED_ENGINES
from realtime import opening
from realtime.opening import BUILT, engines_folder, open_chain, open_routine, open_target
from tests.fixtures import tiny_graphs, write_engines
from tests.realtime.fakes import FRAME_SIZE, FakeChain, standing_joints, target_json

HEIGHT_WIDTH = (FRAME_SIZE[1], FRAME_SIZE[0])
IMAGE = (96, 160)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real engines of tiny networks."""
    folder = tmp_path_factory.mktemp("engines")
    write_engines(folder, tiny_graphs(HEIGHT_WIDTH, IMAGE, 1), HEIGHT_WIDTH, IMAGE, 1)
    return folder


@pytest.fixture
def engines(built: Path, tmp_path: Path) -> Path:
    """A folder of engines to damage."""
    return Path(shutil.copytree(built, tmp_path / "engines"))


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_gpu", lambda: GpuState("", "", "no usable NVIDIA driver"))


def changed(folder: Path, name: str, **changes: object) -> Manifest:
    """Rewrites one manifest."""
    manifest = replace(read_manifest(folder / f"{name}.json"), **changes)  # type: ignore[arg-type]
    write_manifest(manifest, folder)
    return manifest


def assert_one_sentence(error: PosemirrorError) -> None:
    assert all((error.seen, error.allowed, error.next_step))
    assert str(error) == f"{error.seen}; {error.allowed}; {error.next_step}."
    assert "\n" not in str(error)


def refused_engines(folder: Path, encoder: str = "bones", backend: str = "auto") -> str:
    with pytest.raises(EngineError) as caught:
        open_chain(folder, encoder, backend)
    assert caught.value.exit_code == EXIT_ENGINE == 4
    assert_one_sentence(caught.value)
    return str(caught.value)


def test_engines_come_from_the_folder_that_is_named() -> None:
    assert engines_folder("somewhere") == Path("somewhere")
    assert engines_folder("quickstart") == SHIPPED_ENGINES


def test_without_a_folder_the_built_one_is_taken_if_it_is_there_else_quickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert engines_folder(None) == SHIPPED_ENGINES
    BUILT.mkdir(parents=True)
    assert engines_folder(None) == BUILT


def test_engines_are_opened_and_it_is_said_what_they_run_on(built: Path) -> None:
    chain, where = open_chain(built, "bones", "auto")
    assert where == "ONNX Runtime on the CPU, because no usable NVIDIA driver; one thread"
    assert (chain.info.frame_size, chain.info.people, chain.info.masked) == (FRAME_SIZE, 1, True)
    assert open_chain(built, "paper", "onnx")[1] == "ONNX Runtime on the CPU; one thread"
    assert open_chain(built, "bones", "onnx", threads=2)[1] == "ONNX Runtime on the CPU; 2 threads"


@pytest.mark.parametrize("tasks", [["detect"], ["pose"], ["detect", "pose"]])
def test_int8_engines_run_where_the_cpu_gains_by_it_or_where_they_are_asked_for(
    tasks: list[str], engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in tasks:
        form = INT8_FORMS[task]
        for path in engines.glob(f"{task}.*"):
            shutil.copy(path, engines / path.name.replace(f"{task}.", f"{form}."))
        plain = read_manifest(engines / f"{task}.json")
        files = {name.replace(f"{task}.", f"{form}.", 1): digest for name, digest in plain.files.items()}
        write_manifest(replace(plain, name=form, precision="int8", files=files), engines)

    def opened(wish: str) -> tuple[dict[str, str], str]:
        chain, where = open_chain(engines, "bones", "onnx", int8=wish)
        precisions = {task: chain.info.manifests[task].precision for task in ("detect", "pose")}
        return precisions, where.removeprefix("ONNX Runtime on the CPU; ").removesuffix("; one thread")

    plain_all = {"detect": "fp32", "pose": "fp32"}
    in_int8, both = plain_all | dict.fromkeys(tasks, "int8"), " and ".join(tasks)
    monkeypatch.setattr(int8, "dot_product", lambda: "avx_vnni")
    assert opened("auto") == (in_int8, f"{both} in int8 (avx_vnni)")
    assert opened("off") == (plain_all, f"{both} in float32 as asked")
    monkeypatch.setattr(int8, "dot_product", lambda: "")
    precisions, where = opened("auto")
    assert precisions == plain_all and where.startswith(f"{both} in float32, because")
    assert opened("on") == (in_int8, f"{both} in int8 as asked")


def test_int8_is_refused_where_there_is_none(engines: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="has no engine detect_int8 or pose_int8") as caught:
        open_chain(engines, "bones", "auto", int8="on")
    assert_one_sentence(caught.value)
    with pytest.raises(EngineError, match="is not a folder"):
        open_chain(tmp_path / "none", "bones", "auto", int8="on")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "is not a folder" in refused_engines(tmp_path / "none")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "detect.json does not exist" in refused_engines(tmp_path)


def test_an_encoder_that_was_not_built_is_refused_with_those_that_were(engines: Path) -> None:
    said = refused_engines(engines, "graded")
    assert "no encode engine named graded" in said and "it has bones, paper" in said


@pytest.mark.parametrize("name", ["detect.json", "pose.json", "pose.cut.onnx", "detect.weights", "encode_bones.onnx"])
def test_a_missing_file_is_named(engines: Path, name: str) -> None:
    (engines / name).unlink()
    assert f"{name} does not exist" in refused_engines(engines)


@pytest.mark.parametrize("name", ["pose.cut.onnx", "detect.weights", "encode_bones.onnx"])
def test_a_file_that_was_changed_is_refused(engines: Path, name: str) -> None:
    with (engines / name).open("ab") as file:
        file.write(b"x")
    assert "has the hash" in refused_engines(engines)


def test_engines_for_different_frame_sizes_are_refused_with_both_sizes(engines: Path) -> None:
    changed(engines, "detect", frame_size=(640, 360))
    said = refused_engines(engines)
    assert "frame size: (640, 360) and (320, 180)" in said and "run build_engines.py" in said


def test_every_command_that_mends_engines_can_be_pasted_whatever_their_folder_is_called(
    engines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "choose_backend", lambda *_: ("tensorrt", "as asked"))
    folder = engines.rename(engines.with_name("my engines"))
    out = f"--out '{folder}'."
    assert f"run build_engines.py --backend tensorrt {out}" in refused_engines(folder, backend="tensorrt")
    chain, _ = open_chain(folder, "bones", "onnx")
    with (
        pytest.raises(EngineError, match=re.escape(f"run build_engines.py --people 2 {out}")),
        opening.opened_executor(chain, None, detect_every=None, smoothing=True, stills=False, scored=2),
    ):
        pass
    with pytest.raises(EngineError, match=re.escape(out)):
        open_chain(folder, "bones", "onnx", int8="on")
    changed(folder, "pose", frame_size=(64, 64))
    assert f"run build_engines.py {out}" in refused_engines(folder)


@pytest.mark.parametrize("name", ["pose", "encode_bones"])
def test_engines_for_different_numbers_of_people_are_refused(engines: Path, name: str) -> None:
    changed(engines, name, people=3)
    assert "number of people" in refused_engines(engines)


def test_engines_of_different_backends_are_refused(engines: Path) -> None:
    changed(engines, "pose", backend="tensorrt")
    assert "backend: onnx and tensorrt" in refused_engines(engines)


def test_tensorrt_engines_are_refused_on_a_machine_that_cannot_run_them(engines: Path) -> None:
    for name in ("detect", "pose", "encode_bones"):
        changed(engines, name, backend="tensorrt")
    assert "are of tensorrt, and no usable NVIDIA driver" in refused_engines(engines)


def test_tensorrt_is_refused_where_there_is_no_gpu_and_with_onnx_engines(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no usable NVIDIA driver" in refused_engines(built, backend="tensorrt")
    monkeypatch.setattr(opening, "choose_backend", lambda *_: ("tensorrt", "as asked"))
    assert "are ONNX graphs" in refused_engines(built, backend="tensorrt")


def refused_target(path: Path, chain: FakeChain | None = None, person: int | None = None) -> str:
    with pytest.raises(BadInputError) as caught:
        open_target(path, chain or FakeChain(), ignore=(), person=person)
    assert caught.value.exit_code == EXIT_BAD_INPUT == 2
    assert_one_sentence(caught.value)
    return str(caught.value)


def picture(path: Path, size: tuple[int, int]) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, np.full((size[1], size[0], 3), 90, np.uint8))[1].tobytes())
    return path


def test_a_target_is_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(target_json(name="Tree")))
    target = open_target(path, FakeChain(), ignore=("head",), person=None)
    assert (target.name, target.ignore, target.image_size) == ("Tree", ("head",), FRAME_SIZE)
    assert (target.joints == standing_joints()).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPG", ".webp"])
def test_a_target_is_found_in_a_picture(tmp_path: Path, suffix: str) -> None:
    target = open_target(picture(tmp_path / f"tree{suffix}", FRAME_SIZE), FakeChain(), ignore=(), person=None)
    assert (target.name, target.image_size) == ("tree", FRAME_SIZE)
    assert np.allclose(target.joints, standing_joints())


@pytest.mark.parametrize("size", [(640, 360), (180, 320), (1000, 200)])
def test_a_targets_joints_lie_in_its_own_picture_whatever_its_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    """The person stands in the middle of the fitted frame, and so in the middle of the picture."""
    chain = FakeChain(detections=[((150, 80, 170, 100, 0.9),)])
    target = open_target(picture(tmp_path / "tree.png", size), chain, ignore=(), person=None)
    assert target.image_size == size
    scale = min(FRAME_SIZE[0] / size[0], FRAME_SIZE[1] / size[1])
    middle = standing_joints((150, 80, 170, 100))[:, :2] - (160, 90)
    assert np.allclose(target.joints[:, :2], middle / scale + np.array(size) / 2, atol=1 / scale)


LEFT, RIGHT = (10, 60, 60, 120, 0.8), (100, 20, 200, 170, 0.9)


def two_people() -> FakeChain:
    """A small person on the left and a large one on the right, of whom the detector is surer."""
    return FakeChain(2, detections=[(RIGHT, LEFT)])


def test_of_several_people_in_a_picture_the_largest_whole_one_is_the_target(tmp_path: Path) -> None:
    path = picture(tmp_path / "two.png", FRAME_SIZE)
    target = open_target(path, two_people(), ignore=(), person=None)
    assert np.allclose(target.joints, standing_joints(RIGHT[:4]))


def test_the_people_of_a_picture_are_numbered_from_left_to_right(tmp_path: Path) -> None:
    path = picture(tmp_path / "two.png", FRAME_SIZE)
    for person, box in ((1, LEFT), (2, RIGHT)):
        target = open_target(path, two_people(), ignore=(), person=person)
        assert np.allclose(target.joints, standing_joints(box[:4]))
    assert "holds 2 persons" in refused_target(path, two_people(), person=3)


def test_people_are_in_the_order_of_their_middles_whatever_their_widths(tmp_path: Path) -> None:
    boxes = ((20, 20, 300, 170, 0.9), (60, 20, 120, 170, 0.8))
    path = picture(tmp_path / "wide.png", FRAME_SIZE)
    target = open_target(path, FakeChain(2, detections=[boxes]), ignore=(), person=1)
    assert np.allclose(target.joints, standing_joints(boxes[1][:4]))


def test_whom_of_several_people_a_picture_gave_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    path = picture(tmp_path / "two.png", FRAME_SIZE)
    open_target(path, two_people(), ignore=(), person=None, say=said.append)
    open_target(path, two_people(), ignore=(), person=1, say=said.append)
    open_target(path, FakeChain(), ignore=(), person=None, say=said.append)
    assert said == [
        "took person 2 of 2, from left to right: choose another with --target-person N",
        "took person 1 of 2, from left to right",
    ]


def test_whom_a_routines_picture_gave_is_said_with_the_command_that_can_choose(tmp_path: Path) -> None:
    said: list[str] = []
    picture(tmp_path / "two.png", FRAME_SIZE)
    path = tmp_path / "routine.json"
    poses = [{"target": "two.png"}]
    path.write_text(json.dumps({"format": "posemirror-routine", "version": 1, "name": "one", "poses": poses}))
    open_routine(path, two_people(), ignore=(), say=said.append)
    assert said == [
        f"target {tmp_path / 'two.png'}: took person 2 of 2, from left to right: "
        "choose another with python -m realtime.targets make --person N"
    ]


def test_where_there_is_one_person_no_other_number_is_proposed(tmp_path: Path) -> None:
    said = refused_target(picture(tmp_path / "one.png", FRAME_SIZE), person=2)
    assert said.endswith("holds 1 person; leave the option out.")


def test_a_routines_target_of_several_pictures_names_a_command_that_can_choose(tmp_path: Path) -> None:
    keypoints = [1.0] * 51
    people = {"annotations": [{"image_id": image, "keypoints": keypoints} for image in (1, 2)]}
    (tmp_path / "people.json").write_text(json.dumps(people))
    poses = [{"target": "people.json"}]
    path = tmp_path / "routine.json"
    path.write_text(json.dumps({"format": "posemirror-routine", "version": 1, "name": "one", "poses": poses}))
    with pytest.raises(BadInputError, match=r"choose one with python -m .* make --person 1 to 2"):
        open_routine(path, FakeChain(), ignore=())


def test_a_picture_without_a_person_is_refused(tmp_path: Path) -> None:
    chain = FakeChain(detections=[()])
    assert "shows no person" in refused_target(picture(tmp_path / "empty.png", FRAME_SIZE), chain)


def test_a_picture_in_which_a_joint_is_hidden_is_refused_and_the_joint_named(tmp_path: Path) -> None:
    confidence = np.full(17, 0.9, np.float32)
    confidence[9] = 0.1
    said = refused_target(picture(tmp_path / "tree.png", FRAME_SIZE), FakeChain(confidence=confidence))
    assert "lacks left_wrist" in said and "--ignore left_wrist" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"no picture", "holds no picture"), (None, "cannot be read (No such file")],
)
def test_a_picture_that_is_none_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "tree.png"
    if content is not None:
        path.write_bytes(content)
    assert said in refused_target(path)


def test_a_picture_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (180, 320, 3)).astype(np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "tree.jpg").write_bytes(data[: len(data) // 2])
    assert "holds no picture" in refused_target(tmp_path / "tree.jpg")


def test_a_folder_named_like_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree.png").mkdir()
    assert "cannot be read (Is a directory)" in refused_target(tmp_path / "tree.png")
