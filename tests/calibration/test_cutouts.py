"""People cut out of their pictures, and put elsewhere: opacity, joints and boxes must stay with the pixels."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import composites
from calibration.augment import NO_AUGMENTATION
from calibration.composites import Crop, among_others, backdrop, peopled, recomposed
from calibration.crops import CropSet
from calibration.cutouts import (
    Cutout,
    CutoutSet,
    alone,
    blended,
    bounds,
    cutout,
    main,
    masks_of,
    put,
    same_person,
    turned,
    write_cutouts,
)
from calibration.detector_task import DetectorTask
from calibration.joined_crops import JoinedCrops
from calibration.pose_task import PoseTask
from calibration.scene_views import SceneAugmentation, covered_part, with_people
from calibration.scenes import GREY
from engines.errors import EXIT_BAD_INPUT, BadInputError
from tests.calibration.tiny_set import FIGURE, colour, drawn

LEFT_ANKLE = 15
WHOLE = (0, 0, 240, 320)
VISIBLE = np.full(17, 0.9, np.float32)
RED = Cutout(np.full((40, 20, 4), (0, 0, 255, 255), np.uint8), True)


def figure_mask(picture: np.ndarray) -> np.ndarray:
    """Opacity of the drawn figure, its joints joined."""
    discs = ((picture.max(2) > 35) & (picture != GREY).any(2)).astype(np.uint8) * 255
    return np.asarray(cv2.morphologyEx(discs, cv2.MORPH_CLOSE, np.ones((61, 61), np.uint8)), np.uint8)


def outline(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A made-up segmentation teacher: it finds the drawn figure by its first joint, the topmost disc of its colour."""
    mask = figure_mask(picture)
    left, top, right, bottom = bounds(mask) or (0, 0, 1, 1)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    landmarks = FIGURE - (FIGURE.min(0) + FIGURE.max(0)) / 2 + middle
    return mask.astype(np.float32) / 255, landmarks.astype(np.float32)


@pytest.fixture
def cut(tiny_crops: Path, tmp_path: Path) -> Path:
    """The outlines of the tiny set's people but those of every third crop."""
    crops = CropSet(tiny_crops / "train")
    masks = ((index, mask) for index, mask in masks_of(crops, outline) if index % 3)
    write_cutouts(tmp_path / "cut", crops, masks)
    return tmp_path / "cut"


def test_an_outline_is_kept_where_both_teachers_mean_the_same_person() -> None:
    mask, landmarks = outline(drawn(np.zeros(2)))  # type: ignore[misc]
    keypoints = np.concatenate([FIGURE, VISIBLE[:, None]], 1)
    assert same_person(mask, landmarks, keypoints)
    assert not same_person(mask, landmarks + 40, keypoints), "another person's landmarks"
    assert not same_person(np.zeros_like(mask), landmarks, keypoints), "nobody's outline"
    keypoints[4:, 2] = 0.1
    assert not same_person(mask, landmarks, keypoints), "too few keypoints to tell"


def test_outlines_come_back_as_they_were_written(tiny_crops: Path, cut: Path) -> None:
    crops, outlines = CropSet(tiny_crops / "train"), CutoutSet(cut)
    assert len(outlines) == sum(index % 3 > 0 for index in range(len(crops)))
    assert outlines.mask(0) is None
    mask = outlines.mask(1)
    assert mask is not None
    assert np.array_equal(mask, figure_mask(crops.picture(1)))
    assert outlines.crops_key == crops.hashes_key()


def test_padding_is_never_part_of_a_person(tiny_crops: Path) -> None:
    crops = CropSet(tiny_crops / "train")
    crops.fields["image_hw"] = np.tile(np.array([200, 240], np.int32), (len(crops), 1))
    for _, mask in masks_of(crops, lambda picture: (np.ones((320, 240), np.float32), outline(picture)[1])):  # type: ignore[index]
        assert mask[:200].min() == 255
        assert mask[200:].max() == 0


def test_who_stands_on_their_hands_is_cut_out_upside_down(tiny_crops: Path) -> None:
    crops = CropSet(tiny_crops / "train")

    def of_feet_above(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Sees nobody but turned people: as the teacher, who knows few handstands, the other way round."""
        off = np.abs(picture.astype(int) - colour(LEFT_ANKLE)).sum(2)
        if off.argmin() // picture.shape[1] > 160:
            return None
        upright = outline(np.ascontiguousarray(picture[::-1, ::-1]))
        assert upright is not None
        return np.ascontiguousarray(upright[0][::-1, ::-1]), np.array([239, 319], np.float32) - upright[1]

    plain, turned = dict(masks_of(crops, outline)), dict(masks_of(crops, of_feet_above))
    assert plain.keys() == turned.keys()
    assert all(np.abs(plain[index].astype(int) - turned[index]).mean() < 2 for index in plain)


def test_others_are_out_of_sight_around_a_person_alone() -> None:
    picture = np.zeros((320, 240, 3), np.uint8)
    keypoints = np.concatenate([FIGURE, VISIBLE[:, None]], 1)
    result = alone(picture, keypoints)
    low, high = FIGURE.min(0).astype(int), FIGURE.max(0).astype(int)
    assert not result[low[1] : high[1] + 1, low[0] : high[0] + 1].any()
    assert result[:5].min() > 0
    assert result[:, :5].min() > 0
    assert result[-5:].min() > 0
    keypoints[:, 2] = 0
    assert alone(picture, keypoints) is picture


def test_a_set_that_is_named_twice_has_its_outlines_both_times(tiny_crops: Path, cut: Path, tmp_path: Path) -> None:
    joined = JoinedCrops([tiny_crops / "train", tiny_crops / "holdout", tiny_crops / "train"], None, [cut])
    once, between = len(joined) // 2 - 2, range(len(joined) // 2 - 2, len(joined) // 2 + 2)
    masked = [joined.has_mask(index) for index in range(len(joined))]
    assert any(masked[:once]) and masked[:once] == masked[between.stop :]
    assert not any(masked[index] for index in between)


def test_cutouts_of_other_crops_are_refused(tiny_crops: Path, cut: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="other crops"):
        JoinedCrops([tiny_crops / "holdout"], tmp_path, [cut])
    with pytest.raises(BadInputError, match=r"calibration\.cutouts"):
        JoinedCrops([tiny_crops / "train"], tmp_path, [tmp_path / "missing"])


def test_without_mediapipe_the_command_says_what_to_install(
    tiny_crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    assert main(["--set", str(tiny_crops / "train"), "--out", str(tmp_path / "cut")]) == EXIT_BAD_INPUT
    assert "pip install mediapipe" in capsys.readouterr().err


def test_a_cutout_is_whole_where_it_touches_no_edge() -> None:
    picture = drawn(np.zeros(2))
    mask = figure_mask(picture)
    person = cutout(picture, mask, WHOLE)
    assert person is not None
    assert person.whole
    left, top, right, bottom = bounds(mask) or WHOLE
    assert person.picture.shape == (bottom - top, right - left, 4)
    cut_off = cutout(picture, mask, (0, 0, 240, bottom + 1))
    assert cut_off is not None
    assert not cut_off.whole
    assert cutout(picture, np.zeros_like(mask), WHOLE) is None


def test_blending_follows_the_opacity() -> None:
    below, above = np.full((1, 3, 3), 100, np.uint8), np.full((1, 3, 3), 201, np.uint8)
    assert blended(below, above, np.array([[0, 255, 51]], np.uint8))[0, :, 0].tolist() == [100, 201, 120]


@pytest.mark.parametrize(("height", "left", "top"), [(80, 30, 20), (12, 5, 70), (60, -10, 80)])
def test_a_person_is_put_where_it_was_said(height: int, left: int, top: int) -> None:
    canvas = np.zeros((120, 90, 3), np.uint8)
    opacity = put(canvas, RED.picture, height, left, top)
    inner = np.zeros((120, 90), np.bool_)
    inner[max(top + 1, 0) : top + height - 1, max(left + 1, 0) : left + height // 2 - 1] = True
    outer = cv2.dilate(inner.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert opacity[inner].min() == 255
    assert opacity[~outer].max() == 0
    assert np.array_equal(canvas[inner], np.tile([0, 0, 255], (inner.sum(), 1)))
    assert canvas[~outer].max() == 0


def test_a_backdrop_shows_real_pixels_only() -> None:
    other = np.zeros((320, 240, 3), np.uint8)
    other[40:300, 30:200] = 77
    for seed in range(10):
        assert np.all(backdrop(other, (30, 40, 200, 300), np.random.default_rng(seed)) == 77)


def test_another_background_leaves_the_person_and_opens_the_whole_crop() -> None:
    picture = drawn(np.zeros(2))
    mask = figure_mask(picture)
    crop = Crop(picture, (10, 10, 230, 310), mask)
    other = Crop(np.full((320, 240, 3), 222, np.uint8), WHOLE, None)
    settings = replace(NO_AUGMENTATION, moved=1.0)
    same_colours = 0
    for seed in range(8):
        result, visible = recomposed(crop, FIGURE, VISIBLE, other, settings, np.random.default_rng(seed))
        same_colours += int(np.array_equal(result.picture[mask == 255], picture[mask == 255]))
        assert np.all(result.picture[mask == 0] == 222)
        assert result.rect == WHOLE
        assert np.array_equal(visible, VISIBLE)
    assert 0 < same_colours < 8
    same, _ = recomposed(crop, FIGURE, VISIBLE, other, NO_AUGMENTATION, np.random.default_rng(0))
    assert same is crop


def test_company_hides_the_joints_that_it_covers_and_no_others() -> None:
    picture = drawn(np.zeros(2))
    company = Cutout(np.full((200, 60, 4), 255, np.uint8), True)
    body = (68, 54, 172, 268)
    hidden = 0
    for seed in range(40):
        result, visible = among_others(picture, None, body, FIGURE, VISIBLE, company, np.random.default_rng(seed))
        rows, columns = FIGURE.astype(int)[:, 1], FIGURE.astype(int)[:, 0]
        covered = (result[rows, columns] == 255).all(1)
        clear = covered | (result[rows, columns] == picture[rows, columns]).all(1)  # not at the company's soft edge
        assert np.array_equal(visible[clear] < 0.3, covered[clear])
        assert covered.mean() <= 0.6
        hidden += int(covered.any())
    assert hidden > 5, "nobody ever stood in front"


def test_company_behind_leaves_the_person_whole() -> None:
    picture = drawn(np.zeros(2))
    mask = figure_mask(picture)
    company = Cutout(np.full((200, 200, 4), 255, np.uint8), True)
    behind = 0
    for seed in range(20):
        result, visible = among_others(picture, mask, WHOLE, FIGURE, VISIBLE, company, np.random.default_rng(seed))
        if np.array_equal(result[mask == 255], picture[mask == 255]):
            behind += int(not np.array_equal(result, picture))
            assert np.array_equal(visible, VISIBLE)
    assert behind > 5


@pytest.mark.parametrize("part_turned", [0.0, 1.0])
def test_the_bounds_of_people_are_where_their_pixels_are(part_turned: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composites, "TURNED", part_turned)
    for seed in range(10):
        canvas = np.zeros((192, 320, 3), np.uint8)
        boxes, opacities = peopled(canvas, [RED, RED, RED], np.random.default_rng(seed))
        shapes = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
        if part_turned:
            assert (np.abs(shapes - 0.5) > 0.05).sum() >= 2, "some lean so little that their bounds do not tell"
        else:
            assert np.all(np.diff(boxes[:, 3] - boxes[:, 1]) >= 0), "the far ones come first"
            assert shapes == pytest.approx(0.5)
        for box, opacity in zip(boxes, opacities, strict=True):
            seen = bounds(opacity)
            clipped = np.clip(box.reshape(2, 2), 0, (320, 192)).ravel()
            if seen is not None and (not part_turned or np.array_equal(clipped, box)):
                assert np.abs(clipped - seen).max() <= 2


def test_a_person_is_turned_whole() -> None:
    figure = np.zeros((41, 21, 4), np.uint8)
    figure[:, 10] = (10, 20, 30, 255)
    figure[0] = (200, 200, 200, 255)  # a T
    flat = turned(figure, 90)
    assert flat.shape == (21, 41, 4)
    assert np.array_equal(flat[10, 2:], figure[2:, 10]), "counterclockwise: what was above is on the left"
    assert np.all(flat[1:-1, 0] == (200, 200, 200, 255))
    assert np.array_equal(turned(figure, 0), figure)


def test_who_is_covered_or_out_of_the_picture_is_not_learnt() -> None:
    there = np.array([[100, 60, 140, 140]], np.float32)
    for seed in range(30):
        canvas = np.zeros((192, 320, 3), np.uint8)
        boxes, ignored = with_people(canvas, there, there[:0], [RED] * 4, np.random.default_rng(seed))
        assert len(boxes) + len(ignored) <= 5
        red = canvas[..., 2] > 128
        kept = any(np.array_equal(box, there[0]) for box in boxes)
        assert kept == (1 - covered_part(red, there[0]) >= 0.3)
        for box in boxes:
            assert box[0] >= 0
            assert box[3] <= 192
            assert box[3] - box[1] >= 8 - 1e-3


def test_pose_training_uses_the_cutouts(tiny_crops: Path, cut: Path, tmp_path: Path) -> None:
    settings = replace(NO_AUGMENTATION, moved=1.0)
    plain = PoseTask(tiny_crops, tmp_path, settings, batch_size=12)
    moved = PoseTask(tiny_crops, tmp_path, settings, batch_size=12, cutouts=[cut])
    changed = (plain.batch(0, 0).pictures != moved.batch(0, 0).pictures).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 12, "crops with an outline change, others do not"
    assert {"cut.tar", "cut.json"} <= set(moved.record()["data_sha256"])


def test_detector_training_puts_people_into_scenes(tiny_crops: Path, cut: Path) -> None:
    settings = replace(SceneAugmentation(), peopled=1.0)
    plain = DetectorTask(tiny_crops, settings, batch_size=8)
    with_them = DetectorTask(tiny_crops, settings, batch_size=8, cutouts=[cut])
    assert not plain.people
    assert len(with_them.people) == len(CutoutSet(cut))
    assert with_them.batch(0, 0).present.sum() > plain.batch(0, 0).present.sum()
    assert {"cut.tar", "cut.json"} <= set(with_them.record()["data_sha256"])


def test_outlines_are_made_without_torch() -> None:
    """The package that finds them stands in an environment that has the base packages alone beside it."""
    code = "import sys; sys.modules['torch'] = None; import calibration.cutouts"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
