"""Letterbox and crop, in the graph and on the host, against OpenCV and float64 arithmetic.

The pictures are noise, the worst case for interpolation.
"""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from engines.graphs.parts import export_part
from engines.graphs.sampling import IMAGENET_DEVIATION, IMAGENET_MEAN, CropSampling, LetterboxSampling, Normalise
from engines.host_sampling import crop, letterbox
from tests.fixtures import open_graph, run

Picture = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]

GREY = 114
LETTERBOX_TOLERANCE = 0.51
CROP_TOLERANCE = 0.52
ROUNDING = 0.5
"""What the host loses, and the graph does not, by giving uint8."""

LETTERBOXES = {
    "landscape, four to one": ((720, 1280), (192, 320)),
    "portrait": ((1280, 720), (320, 192)),
    "portrait into landscape": ((1280, 720), (192, 320)),
    "odd sizes": ((479, 641), (256, 320)),
    "odd sizes, bars above and below": ((721, 1283), (192, 320)),
    "two to one": ((360, 640), (192, 320)),
    "enlarged": ((120, 160), (256, 320)),
    "enlarged oddly": ((97, 131), (192, 320)),
    "same size": ((192, 320), (192, 320)),
    "odd bars": ((100, 333), (192, 320)),
}


def noise(height: int, width: int) -> Picture:
    return np.random.default_rng(height * 10_000 + width).integers(0, 256, (height, width, 3), np.uint8)


def opencv_letterbox(picture: Picture, height: int, width: int) -> Doubles:
    """OpenCV's bilinear resize without its 8-bit rounding, and grey bars."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    inner_height, inner_width = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
    resized = cv2.resize(picture.astype(np.float64), (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
    above, left = (height - inner_height) // 2, (width - inner_width) // 2
    below, right = height - inner_height - above, width - inner_width - left
    bars = cv2.copyMakeBorder(resized, above, below, left, right, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
    return bars.astype(np.float64)


def graph_letterbox(picture: Picture, image_size: tuple[int, int]) -> Doubles:
    frame_size = picture.shape[:2]
    module = LetterboxSampling(frame_size, image_size)
    part = export_part(module, {"frame": torch.zeros(picture.shape, dtype=torch.uint8)}, ["picture"])
    (sampled,) = run(open_graph(part), frame=picture)
    assert sampled.shape == (1, 3, *image_size) and sampled.dtype == np.float32
    return sampled[0].transpose(1, 2, 0).astype(np.float64)


@pytest.mark.parametrize(("frame_size", "image_size"), LETTERBOXES.values(), ids=LETTERBOXES)
def test_letterbox_of_graph_and_host_is_opencvs_resize_between_grey_bars(
    frame_size: tuple[int, int], image_size: tuple[int, int]
) -> None:
    picture = noise(*frame_size)
    wanted = opencv_letterbox(picture, *image_size)
    in_graph = graph_letterbox(picture, image_size)
    on_host = letterbox(picture, image_size, exact=True)
    in_float32 = 0.025  # coordinates of float32 on noise
    assert np.abs(in_graph - wanted).max() <= in_float32
    assert np.abs(on_host - wanted).max() <= LETTERBOX_TOLERANCE
    assert np.abs(on_host - in_graph).max() <= ROUNDING + in_float32


def test_letterbox_of_the_default_sizes_is_within_the_tolerance_of_8_bit_opencv_too() -> None:
    picture = noise(720, 1280)
    in_graph = graph_letterbox(picture, (192, 320))
    resized = cv2.resize(picture, (320, 180), interpolation=cv2.INTER_LINEAR)
    assert np.abs(in_graph[6:186] - resized).max() <= LETTERBOX_TOLERANCE
    assert (in_graph[:6] == GREY).all() and (in_graph[186:] == GREY).all()
    assert (letterbox(picture, (192, 320)) == letterbox(picture, (192, 320), exact=True)).all()


def test_fast_letterbox_of_the_host_stays_within_one_grey_level() -> None:
    for frame_size, image_size in LETTERBOXES.values():
        picture = noise(*frame_size)
        assert np.abs(letterbox(picture, image_size) - opencv_letterbox(picture, *image_size)).max() < 1


def test_letterbox_of_the_host_makes_bars_of_the_grey_asked_for() -> None:
    boxed = letterbox(noise(100, 100), (64, 128), grey=7)
    assert (boxed[:, :32] == 7).all() and (boxed[:, 96:] == 7).all() and boxed[:, 32:96].std() > 10


def bilinear_crop(frame: Picture, box: npt.NDArray[np.float32]) -> Doubles:
    """HRNet's crop in float64: box to 3:4, times 1.25, no half-pixel offset, black outside."""
    x1, y1, x2, y2 = (float(value) for value in box[:4])
    width = 1.25 * max(x2 - x1, 0.75 * (y2 - y1))
    x = (x1 + x2) / 2 + (np.arange(192) / 192 - 0.5) * width
    y = (y1 + y2) / 2 + (np.arange(256) / 256 - 0.5) * width * 4 / 3
    limit = 1e5  # far outside is black wherever it is
    x, y = x.clip(-limit, limit), y.clip(-limit, limit)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)

    def pixels(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Doubles:
        inside_rows = (rows >= 0) & (rows < frame.shape[0])
        inside_columns = (columns >= 0) & (columns < frame.shape[1])
        values = frame[rows.clip(0, frame.shape[0] - 1)][:, columns.clip(0, frame.shape[1] - 1)].astype(np.float64)
        return values * (inside_rows[:, None] & inside_columns)[..., None]

    right, down = (x - column)[None, :, None], (y - row)[:, None, None]
    upper = pixels(row, column) * (1 - right) + pixels(row, column + 1) * right
    lower = pixels(row + 1, column) * (1 - right) + pixels(row + 1, column + 1) * right
    return upper * (1 - down) + lower * down


BOXES = {
    "inside, tall": (300, 100, 500, 600, 0.9),
    "inside, wide, fractions": (210.37, 300.71, 610.93, 420.19, 0.9),
    "outside on the left and above": (-100.5, -50.25, 300, 500, 0.5),
    "outside on the right and below": (600, 500, 1400, 1400, 0.7),
    "wholly outside": (3000, 3000, 3100, 3200, 0.7),
    "tiny": (400.2, 300.9, 402.7, 305.3, 0.8),
    "less than a pixel": (400.2, 300.9, 400.4, 301.2, 0.8),
    "huge": (-1200, -1500, 2500, 2400, 0.8),
    "the whole frame": (0, 0, 1280, 720, 1),
    "at the corner": (0, 0, 40, 60, 1),
}


@pytest.mark.parametrize("frame_size", [(720, 1280), (1280, 720)], ids=["landscape", "portrait"])
@pytest.mark.parametrize("people", [1, 3])
def test_crop_of_graph_and_host_is_hrnets_bilinear_crop(frame_size: tuple[int, int], people: int) -> None:
    frame = noise(*frame_size)
    boxes = np.array(list(BOXES.values()), np.float32)
    inputs = {"frame": torch.zeros((*frame_size, 3), dtype=torch.uint8), "boxes": torch.from_numpy(boxes[:people])}
    graph = open_graph(export_part(CropSampling(frame_size, people), inputs, ["picture"]))
    for start in range(0, len(boxes) - people + 1, people):
        rows = boxes[start : start + people]
        (in_graph,) = run(graph, frame=frame, boxes=rows)
        on_host = crop(frame, rows)
        assert in_graph.shape == (people, 3, 256, 192) and on_host.shape == (people, 256, 192, 3)
        for row, box in enumerate(rows):
            wanted = bilinear_crop(frame, box)
            drawn = in_graph[row].transpose(1, 2, 0)
            in_float32 = 0.04  # coordinates of float32 on noise
            assert np.abs(drawn - wanted).max() <= in_float32, box
            assert np.abs(on_host[row] - wanted).max() <= CROP_TOLERANCE, box
            assert np.abs(on_host[row] - drawn).max() <= ROUNDING + in_float32, box


def test_crop_of_a_row_of_zeros_is_finite_and_leaves_its_neighbours_alone() -> None:
    frame = noise(720, 1280)
    boxes = np.zeros((3, 5), np.float32)
    boxes[1] = BOXES["inside, tall"]
    inputs = {"frame": torch.zeros((720, 1280, 3), dtype=torch.uint8), "boxes": torch.from_numpy(boxes)}
    graph = open_graph(export_part(CropSampling((720, 1280), 3), inputs, ["picture"]))
    (in_graph,) = run(graph, frame=frame, boxes=boxes)
    assert np.isfinite(in_graph).all() and in_graph.min() >= 0 and in_graph.max() <= 255
    assert np.abs(in_graph[1].transpose(1, 2, 0) - bilinear_crop(frame, boxes[1])).max() <= CROP_TOLERANCE
    (of_nobody,) = run(graph, frame=frame, boxes=np.zeros((3, 5), np.float32))
    assert np.isfinite(of_nobody).all()
    assert np.abs(crop(frame, boxes)[1] - bilinear_crop(frame, boxes[1])).max() <= CROP_TOLERANCE


@pytest.mark.parametrize(
    ("mean", "deviation"), [((0.0,) * 3, (255.0,) * 3), (IMAGENET_MEAN, IMAGENET_DEVIATION)], ids=["0..1", "imagenet"]
)
def test_normalising_turns_bgr_to_rgb_then_subtracts_and_divides(
    mean: tuple[float, ...], deviation: tuple[float, ...]
) -> None:
    picture = noise(8, 6).astype(np.float32).transpose(2, 0, 1)[None]
    part = export_part(Normalise(mean, deviation), {"picture": torch.zeros(1, 3, 8, 6)}, ["network_image"])
    (normalised,) = run(open_graph(part), picture=picture)
    for channel in range(3):
        wanted = (picture[0, 2 - channel].astype(np.float64) - mean[channel]) / deviation[channel]
        np.testing.assert_allclose(normalised[0, channel], wanted, atol=1e-5)
