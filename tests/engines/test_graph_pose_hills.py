"""Which of several hills of a heatmap a keypoint is on: the highest, or its own while that is nearly as high."""

import numpy as np
import pytest

from engines.graphs.pose import SAME_HILL, STAYING_SHARE
from tests.engines.pose_posts import BOX, COLUMNS, ROWS, VISIBLE, Floats, Output, Posts, plain_decode, post


def hills(*places: tuple[float, float, float]) -> Floats:
    """Heatmaps [1, 17, 64, 48], all with the same round hills of (row, column, height)."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    each = [height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18) for row, column, height in places]
    return np.broadcast_to(np.max(each, 0), (1, 17, ROWS, COLUMNS)).astype(np.float32)


def next_to_the_first(posts: Posts, first: Floats, second: Floats) -> Output:
    """The second of two frames, so long after the first that hardly anything is left of smoothing."""
    boxes = np.array([BOX], np.float32)
    return post(posts, second, boxes, post(posts, first, boxes).state, seconds=1e4)


@pytest.mark.parametrize(("share", "stays"), [(1.0, True), (STAYING_SHARE + 0.02, True), (STAYING_SHARE - 0.02, False)])
def test_a_keypoint_stays_on_its_hill_while_that_is_nearly_as_high_as_the_highest(
    posts: Posts, share: float, stays: bool
) -> None:
    boxes = np.array([BOX], np.float32)
    here, there = (40.3, 12.4), (41.6, 30.2)
    output = next_to_the_first(posts, hills((*here, 0.8)), hills((*here, 0.9 * share), (*there, 0.9)))
    wanted = plain_decode(hills((*(here if stays else there), 0.9)), boxes)
    np.testing.assert_allclose(output.keypoints[..., :2], wanted[..., :2], atol=0.5)
    highest = plain_decode(hills((*there, 0.9)), boxes)
    np.testing.assert_allclose(
        output.keypoints[..., 2], highest[..., 2], atol=1e-4, err_msg="confidence: the highest's"
    )


def test_a_keypoint_that_was_nowhere_is_on_the_highest_hill(posts: Posts) -> None:
    boxes = np.array([BOX], np.float32)
    both = hills((40, 12, 0.85), (41, 30, 0.9))
    unseen = next_to_the_first(posts, hills((40, 12, VISIBLE - 0.01)), both)
    for output in (post(posts, both, boxes), unseen):
        np.testing.assert_allclose(output.keypoints, plain_decode(both, boxes), atol=0.5)


@pytest.mark.parametrize("columns", [2, 4, 8, 16])
def test_a_keypoint_that_moves_with_its_hill_is_not_held_back_by_the_slope_behind(posts: Posts, columns: int) -> None:
    boxes = np.array([BOX], np.float32)
    moved = hills((40, 14 + columns, 0.9))
    px = columns / COLUMNS * (BOX[3] - BOX[1]) * 0.75 * 1.25
    assert (px > SAME_HILL * (BOX[3] - BOX[1])) == (columns > 6), "within reach, and beyond it"
    output = next_to_the_first(posts, hills((40, 14, 0.9)), moved)
    np.testing.assert_allclose(output.keypoints, plain_decode(moved, boxes), atol=0.5)


def test_a_hill_out_of_reach_is_another_one(posts: Posts) -> None:
    boxes = np.array([BOX], np.float32)
    both = hills((40, 24, 0.85), (41, 40, 0.9))
    output = next_to_the_first(posts, hills((40, 12, 0.9)), both)
    np.testing.assert_allclose(output.keypoints, plain_decode(both, boxes), atol=0.5)


def test_a_keypoint_that_was_beyond_the_window_is_on_the_highest_hill_not_in_the_corner(posts: Posts) -> None:
    boxes = np.array([BOX], np.float32)
    both = hills((0, 0, 0.85), (41, 30, 0.9))
    beyond = np.full((1, 17, 4), 5000, np.float32)
    output = post(posts, both, boxes, beyond, seconds=1e4)
    np.testing.assert_allclose(output.keypoints, plain_decode(both, boxes), atol=0.5)
