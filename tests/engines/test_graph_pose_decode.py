"""From heatmaps to keypoints, against the decode written plainly."""

import numpy as np
import pytest

from tests.engines.pose_posts import BOX, COLUMNS, ROWS, Posts, one_peak, plain_decode, post, random_boxes


@pytest.mark.parametrize("people", [1, 3])
def test_decode_of_random_heatmaps_is_that_written_plainly(posts: Posts, people: int) -> None:
    random = np.random.default_rng(10)
    for _ in range(20):
        heatmaps = random.uniform(0.001, 1.3, (people, 17, ROWS, COLUMNS)).astype(np.float32)
        boxes = random_boxes(random, people)
        output = post(posts, heatmaps, boxes)
        np.testing.assert_allclose(output.keypoints, plain_decode(heatmaps, boxes), atol=1e-3)


@pytest.mark.parametrize("row", [0, 1, 2, 31, 61, 62, 63])
@pytest.mark.parametrize("column", [0, 1, 2, 20, 45, 46, 47])
def test_decode_of_a_peak_anywhere_and_at_every_border_is_that_written_plainly(
    posts: Posts, row: int, column: int
) -> None:
    boxes = np.array([BOX], np.float32)
    random = np.random.default_rng(row * 100 + column)
    slope = random.uniform(0, 0.2, (1, 17, ROWS, COLUMNS)).astype(np.float32)
    for heatmaps in (one_peak(column, row) + slope, one_peak(column, row)):
        output = post(posts, heatmaps, boxes)
        np.testing.assert_allclose(output.keypoints, plain_decode(heatmaps, boxes), atol=1e-3)


def test_a_peak_between_two_cells_does_not_jump_when_its_heatmap_is_rounded_to_float16(posts: Posts) -> None:
    """A step of a fixed length toward the larger neighbour would turn over here, by half a cell."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    places = 20 + np.linspace(0.45, 0.55, 17)
    square = (columns - places[:, None, None]) ** 2 + (rows - 30) ** 2
    heatmaps = (0.9 * np.exp(-square / 8))[None].astype(np.float32)
    box = np.array([[0, 0, 96 / 1.25, 128 / 1.25, 1]], np.float32)  # two px of the frame are one cell
    exact, rounded = (
        post(posts, one, box).keypoints[0, :, 0] for one in (heatmaps, heatmaps.astype(np.float16).astype(np.float32))
    )
    assert np.abs(exact - rounded).max() < 0.02
    left = 96 / 1.25 / 2 - 48
    np.testing.assert_allclose((exact - left) / 2, places, atol=0.02)
    assert (np.diff(exact) > 0).all()


def test_a_peak_in_the_middle_of_the_crop_is_the_middle_of_the_box(posts: Posts) -> None:
    output = post(posts, one_peak(24, 32), np.array([BOX], np.float32))
    np.testing.assert_allclose(output.keypoints[0], [[400, 350, 0.9]] * 17, atol=1e-4)


def test_confidence_is_the_peak_clamped_to_one_and_to_zero(posts: Posts) -> None:
    boxes = np.array([BOX], np.float32)
    for height, confidence in ((1.7, 1), (0.42, 0.42), (-0.3, 0)):
        heatmaps = np.full((1, 17, ROWS, COLUMNS), -0.5, np.float32)
        heatmaps[:, :, 30, 20] = height
        np.testing.assert_allclose(post(posts, heatmaps, boxes).keypoints[..., 2], confidence, atol=1e-6)


def test_rows_of_zeros_give_zeros_whatever_the_heatmaps_and_the_state(posts: Posts) -> None:
    random = np.random.default_rng(11)
    heatmaps = random.uniform(0, 1, (3, 17, ROWS, COLUMNS)).astype(np.float32)
    state = random.uniform(1, 500, (3, 17, 4)).astype(np.float32)
    boxes = np.zeros((3, 5), np.float32)
    nobody = post(posts, heatmaps, boxes, state)
    for array in (nobody.keypoints, nobody.joints, nobody.next_boxes, nobody.state):
        assert (array == 0).all()
    boxes[1] = BOX
    one = post(posts, heatmaps, boxes, state)
    for array in (one.keypoints, one.joints, one.next_boxes, one.state):
        assert (array[[0, 2]] == 0).all() and np.isfinite(array).all() and array[1].any()
