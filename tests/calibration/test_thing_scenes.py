from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibration.cutouts import put
from calibration.evaluate_detector import Levels
from calibration.scenes import SceneSet, write_scenes
from calibration.thing_scenes import SCENE_SIZE, THING_SIDE, composed, on_grey, read_pictures, thing_scenes
from engines.errors import BadInputError

STRIDE, BINS = 32, 8


def cut_out(height: int, width: int, colour: tuple[int, int, int], margin: int = 10) -> np.ndarray:
    """An opaque rectangle inside a transparent frame."""
    picture = np.zeros((height + 2 * margin, width + 2 * margin, 4), np.uint8)
    picture[margin : margin + height, margin : margin + width] = (*colour, 255)
    return picture


def afraid_of_red(image: Tensor) -> tuple[Tensor, Tensor]:
    """A person wherever a cell of 32 px is red."""
    cells = nn.functional.avg_pool2d(image, STRIDE)
    red = (cells[:, 0] > 0.8) & (cells[:, 1:] < 0.3).all(1)
    count = red[0].numel()
    return torch.zeros(len(image), 4 * BINS, count), torch.where(red, 6.0, -6.0).flatten(1)


TEACHER = Levels(afraid_of_red, (STRIDE,), BINS)


def test_transparent_pictures_are_things_and_others_backgrounds(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    cv2.imwrite(str(tmp_path / "deep" / "thing.png"), cut_out(700, 400, (10, 200, 30)))
    cv2.imwrite(str(tmp_path / "nothing.png"), cut_out(2, 2, (0, 0, 0), 100))
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((300, 500, 3), 90, np.uint8))
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    things, backgrounds = read_pictures([tmp_path])
    assert [thing.shape for thing in things] == [(THING_SIDE, round(400 * THING_SIDE / 700), 4)]
    assert (things[0][..., 3] == 255).all()
    assert [picture.shape for picture in backgrounds] == [(300, 500, 3)]


def encoded(picture: np.ndarray, suffix: str) -> bytes:
    settings = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    return cv2.imencode(suffix, picture, settings)[1].tobytes()


def test_pictures_within_resource_files_are_read_too(tmp_path: Path) -> None:
    thing, photo = cut_out(60, 40, (10, 200, 30)), np.full((50, 90, 3), 90, np.uint8)
    filling = b"RIFFnot a picture\xff\xd8 nor this"
    parts = [filling, encoded(thing, ".webp"), filling, encoded(photo, ".jpg"), filling, encoded(photo[:8], ".jpg")]
    (tmp_path / "all.rcc").write_bytes(b"".join(parts))
    (tmp_path / "cut.rcc").write_bytes(encoded(photo, ".jpg")[:-30] + b"\xff\xd8\xff")
    things, backgrounds = read_pictures([tmp_path])
    assert [thing.shape for thing in things] == [(60, 40, 4)]
    assert [picture.shape for picture in backgrounds] == [(50, 90, 3)], "the one of 8 px is too small"


def test_a_folder_without_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no cut-out picture"):
        read_pictures([tmp_path])


def test_a_thing_covers_what_lies_behind_it_and_may_reach_beyond() -> None:
    canvas = np.zeros((*SCENE_SIZE[::-1], 3), np.uint8)
    thing = cut_out(40, 20, (0, 255, 0), margin=0)
    thing[:20, :, 3] = 0
    put(canvas, thing, 80, -10, 200)
    assert (canvas[:, :, 1] > 0).sum() == pytest.approx(0, abs=0)  # the opaque half lies below the scene
    put(canvas, thing, 80, -10, 100)
    assert (canvas[142:178, 0:28, 1] == 255).all() and not canvas[:138].any() and not canvas[:, 32:].any()


def test_scenes_in_which_the_teacher_sees_a_person_are_left_out(tmp_path: Path) -> None:
    green, red = cut_out(60, 40, (0, 200, 0), margin=0), cut_out(60, 40, (0, 0, 255), margin=0)
    backgrounds = [np.full((234, 416, 3), 60, np.uint8)]
    rng = np.random.default_rng(0)
    written, boxes = write_scenes(tmp_path / "green", thing_scenes([green], backgrounds, TEACHER, 12, rng))
    assert boxes == 0 and 0 < written <= 12  # a plain background may be red
    scenes = SceneSet(tmp_path / "green")
    assert {scene.source for scene in scenes} == {"things"} and len(scenes) == written
    both, _ = write_scenes(tmp_path / "both", thing_scenes([red], backgrounds, TEACHER, 12, np.random.default_rng(0)))
    assert both < written


def test_composed_scenes_show_their_things_and_come_again_with_the_seed() -> None:
    thing = cut_out(60, 40, (0, 200, 0), margin=0)
    pictures = [composed([thing], [], np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])
    assert all(((picture == (0, 200, 0)).all(-1)).sum() > 200 for picture in pictures)


def test_a_wide_thing_fits_into_a_scene() -> None:
    wide = cut_out(10, 300, (0, 200, 0), margin=0)
    alone = on_grey(wide)
    assert (alone[:, 0] == 114).all() and ((alone == (0, 200, 0)).all(-1)).sum() > 1000
    for seed in range(20):
        composed([wide], [], np.random.default_rng(seed))
