"""Engines against their float32 graphs: equal ones pass, others are refused with the figure, and manifests say so."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration.parity import Tolerance, compare, main
from engines.errors import EXIT_BAD_INPUT, EXIT_ENGINE, EXIT_OK, BadInputError, EngineError
from engines.execution import PoseOutput
from engines.manifest import Parity, read_manifest, write_manifest
from engines.tensorrt_engine import check_fits
from tests.engines.test_tensorrt_engine import BUILT, GPU
from tests.fixtures import bright_blob, tiny_graphs, write_engines
from tests.realtime.fakes import FakeChain, chain_info

FRAME, IMAGE = (180, 320), (96, 160)
FRAMES = [np.zeros((*FRAME, 3), np.uint8)] * 10
NAMES = ("detect", "pose", "encode_bones")


class ShiftedChain(FakeChain):
    """Finds every keypoint a little to the right of where it is."""

    def __init__(self, shift_px: float, box_px: float = 0.0) -> None:
        super().__init__(detections=[((100 + box_px, 20, 200 + box_px, 170, 0.9),)])
        self.shift_px = shift_px

    def pose(self, frame, boxes, state, seconds):  # type: ignore[no-untyped-def]
        output = super().pose(frame, boxes, state, seconds)
        keypoints = output.keypoints.copy()
        keypoints[..., 0] += self.shift_px
        return PoseOutput(keypoints, output.joints, output.next_boxes, output.state)


def test_a_chain_agrees_with_itself() -> None:
    parity = compare(FakeChain(), FakeChain(), FRAMES)
    assert (parity.frames, parity.keypoint_p99_px, parity.box_iou, parity.score_points) == (10, 0.0, 1.0, 0.0)
    assert Tolerance().exceeded(parity) == [] and not parity.accepted


def test_a_shift_is_told_in_px_of_1280_x_720() -> None:
    parity = compare(FakeChain(), ShiftedChain(0.5), FRAMES)
    assert parity.keypoint_median_px == pytest.approx(2.0)  # the frame is 320 px wide
    (told,) = Tolerance().exceeded(parity)
    assert "2.00 px" in told and "at most 1" in told
    assert Tolerance(keypoint_p99_px=3).exceeded(parity) == []


def test_a_moved_box_and_another_score_are_told() -> None:
    other = ShiftedChain(0, box_px=5)
    other.distance = 0.2
    told = Tolerance().exceeded(compare(FakeChain(distance=0.1), other, FRAMES))
    assert len(told) == 2 and "0.905" in told[0] and "points" in told[1]


def test_engines_that_give_no_numbers_are_beyond_every_tolerance() -> None:
    other = ShiftedChain(np.nan, box_px=np.nan)
    other.distance = np.nan
    assert len(Tolerance().exceeded(compare(FakeChain(distance=0.1), other, FRAMES))) == 3


def test_frames_without_anybody_prove_nothing() -> None:
    with pytest.raises(BadInputError, match="show nobody"):
        compare(FakeChain(detections=[()]), FakeChain(), FRAMES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Engines at float16, their reference at float32, and pictures."""
    folder: Path = tmp_path_factory.mktemp("parity")
    for precision in ("fp32", "fp16"):
        write_engines(folder / precision, tiny_graphs(FRAME, IMAGE, 1, precision), FRAME, IMAGE, 1)
        for name in NAMES:
            manifest = read_manifest(folder / precision / f"{name}.json")
            write_manifest(replace(manifest, precision=precision), folder / precision)
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), bright_blob(FRAME, 60 + 40 * index, 90, 24))
    return folder / "fp16", folder / "fp32", str(folder / "*.png")


def judged(folders: tuple[Path, Path, str], *more: str) -> int:
    engines, reference, source = folders
    given = ["--engines", str(engines), "--reference", str(reference), "--source", source, "--encoder", "bones"]
    return main([*given, *more])


def test_float16_graphs_pass_and_their_manifests_say_so(folders: tuple[Path, Path, str]) -> None:
    assert judged(folders, "--keypoints-px", "20") == EXIT_OK
    for name in NAMES:
        parity = read_manifest(folders[0] / f"{name}.json").parity
        assert parity is not None and parity.accepted and parity.frames == 4 and parity.box_iou > 0.98


def test_what_is_beyond_the_tolerance_is_refused_unless_it_is_accepted(
    folders: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert judged(folders, "--box-iou", "1.5") == EXIT_ENGINE
    told = capsys.readouterr().err
    assert "boxes overlap by" in told and "--accept" in told and told.count("\n") == 1
    parity = read_manifest(folders[0] / "pose.json").parity
    assert parity is not None and not parity.accepted
    assert judged(folders, "--box-iou", "1.5", "--accept") == EXIT_OK


def test_a_reference_of_float16_is_none(folders: tuple[Path, Path, str]) -> None:
    engines, _, source = folders
    assert judged((engines, engines, source)) == EXIT_ENGINE


def test_a_source_that_shows_nobody_ends_with_2(folders: tuple[Path, Path, str], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((*FRAME, 3), np.uint8))
    assert judged((*folders[:2], str(tmp_path / "dark.png"))) == EXIT_BAD_INPUT


def test_a_tensorrt_engine_that_was_refused_is_not_opened(tmp_path: Path) -> None:
    parity = Parity(60, 0.1, 2.5, 0.99, 0.0, 0.2, accepted=False)
    manifest = replace(chain_info(backend="tensorrt").manifests["pose"], tensorrt=BUILT, parity=parity)
    with pytest.raises(EngineError, match=r"2\.5 px.*refused it.*--precision fp32"):
        check_fits(manifest, tmp_path, GPU, "11.4.0")
    check_fits(replace(manifest, parity=replace(parity, accepted=True)), tmp_path, GPU, "11.4.0")


@pytest.mark.parametrize("wrong", [{"frames": "60"}, {"accepted": 1}, {"more": 1}])
def test_a_manifest_with_nonsense_as_parity_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    parity = Parity(60, 0.1, 2.5, 0.99, 0.0, 0.2, accepted=True)
    write_manifest(replace(chain_info().manifests["pose"], parity=parity), tmp_path)
    assert read_manifest(tmp_path / "pose.json").parity == parity
    content = json.loads((tmp_path / "pose.json").read_text())
    content["parity"] |= wrong
    (tmp_path / "pose.json").write_text(json.dumps(content))
    with pytest.raises(EngineError, match="as parity"):
        read_manifest(tmp_path / "pose.json")


def test_a_manifest_written_before_there_was_parity_is_read(tmp_path: Path) -> None:
    write_manifest(chain_info().manifests["pose"], tmp_path)
    content = json.loads((tmp_path / "pose.json").read_text())
    del content["parity"]
    (tmp_path / "pose.json").write_text(json.dumps(content))
    assert read_manifest(tmp_path / "pose.json").parity is None
