"""Smoothing in the pose graph, against the One Euro filter written plainly."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest

from engines.graphs.pose import (
    CUTOFF_PER_SPEED,
    DOUBTED_CUTOFF_HZ,
    FASTEST_SPEED,
    LEAST_APART,
    LEAST_SECONDS,
    MIN_CUTOFF_HZ,
    NEAR_PARTNER,
    PARTNER_CUTOFF_HZ,
    SPEED_CUTOFF_HZ,
    STILL_SPEED,
)
from engines.skeleton import KEYPOINTS, MIRRORED_KEYPOINT
from tests.engines.pose_posts import (
    BOX,
    COLUMNS,
    FRAME_SECONDS,
    ROWS,
    VISIBLE,
    Doubles,
    Floats,
    Output,
    Posts,
    keypoint,
    one_peak,
    peaks_with,
    plain_decode,
    post,
)


@dataclass
class OneEuro:
    """Casiez, Roussel and Vogel 2012, for one keypoint; its speed counts in person heights a second, above a floor, and
    not at all where nobody moves so fast."""

    position: Doubles | None = None
    speed: Doubles = field(default_factory=lambda: np.zeros(2))

    @staticmethod
    def share(cutoff_hz: float, seconds: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff_hz) / seconds)

    def jumps(self, raw: Doubles, person_width: float, person_height: float, seconds: float) -> bool:
        if self.position is None:
            return False
        return float(np.hypot(*(raw - self.position))) / seconds > FASTEST_SPEED * max(person_width, person_height)

    def __call__(
        self, raw: Doubles, person_width: float, person_height: float, seconds: float, at_partners: bool = False
    ) -> Doubles:
        if self.position is None:
            self.position, self.speed = raw, np.zeros(2)
            return raw
        if at_partners or self.jumps(raw, person_width, person_height, seconds):
            share = self.share(PARTNER_CUTOFF_HZ if at_partners else DOUBTED_CUTOFF_HZ, seconds)
            self.position = share * raw + (1 - share) * self.position
            return self.position
        share = self.share(SPEED_CUTOFF_HZ, seconds)
        self.speed = share * (raw - self.position) / seconds + (1 - share) * self.speed
        motion = max(0.0, float(np.hypot(*self.speed)) / person_height - STILL_SPEED)
        cutoff_hz = MIN_CUTOFF_HZ + CUTOFF_PER_SPEED * motion
        share = self.share(cutoff_hz, seconds)
        self.position = share * raw + (1 - share) * self.position
        return self.position


class Person:
    """A row's 17 filters and the rules that start them anew."""

    def __init__(self) -> None:
        self.filters = [OneEuro() for _ in range(17)]

    def at_partners(self, raw: Doubles, index: int, longest: float) -> bool:
        partner = MIRRORED_KEYPOINT[index]
        mine, theirs = self.filters[index].position, self.filters[partner].position
        if mine is None or theirs is None or math.dist(mine, theirs) <= LEAST_APART * longest:
            return False
        near = NEAR_PARTNER * math.dist(mine, theirs)
        they_stay_or_swap = min(math.dist(raw[partner, :2], theirs), math.dist(raw[partner, :2], mine)) <= near
        return math.dist(raw[index, :2], theirs) <= near and they_stay_or_swap

    def __call__(self, raw: Doubles, box: Floats, seconds: float) -> Doubles:
        if not box[:4].any():
            self.filters = [OneEuro() for _ in range(17)]
            return np.zeros((17, 3))
        known = np.array([one.position for one in self.filters if one.position is not None])
        if len(known):
            low, high = np.maximum(known.min(0), box[:2]), np.minimum(known.max(0), box[2:4])
            if (low > high).any():
                self.filters = [OneEuro() for _ in range(17)]
        width, height = (max(float(side), 1) for side in box[2:4] - box[:2])
        jumps = [one.jumps(raw[index, :2], width, height, seconds) for index, one in enumerate(self.filters)]
        if sum(jumps) > 0.5 * sum(one.position is not None for one in self.filters):
            self.filters = [OneEuro() for _ in range(17)]
        smoothed = raw.copy()
        swapped = [self.at_partners(raw, index, max(width, height)) for index in range(17)]
        for index, one in enumerate(self.filters):
            smoothed[index, :2] = one(raw[index, :2], width, height, seconds, swapped[index])
            if raw[index, 2] < VISIBLE:
                self.filters[index] = OneEuro()
        return smoothed


def test_smoothing_is_the_one_euro_filter_over_uneven_seconds(posts: Posts) -> None:
    random = np.random.default_rng(13)
    people = [Person() for _ in range(3)]
    boxes = np.array([BOX, (700, 200, 900, 650, 0.8), (100, 50, 180, 300, 0.7)], np.float32)
    state = np.zeros((3, 17, 4), np.float32)
    peaks = random.uniform(0, 0.1, (3, 17, ROWS, COLUMNS)).astype(np.float32)
    rows, columns = random.integers(4, 60, (3, 17)), random.integers(4, 44, (3, 17))
    moved, swapped = 0.0, 0
    for frame in range(40):
        boxes[:, :4] += random.normal(0, 4, (3, 1)) + random.normal(0, 1, (3, 4))
        if frame == 15:
            boxes[1, [0, 2]] -= 900  # somebody else
        shown = boxes.copy()
        if frame in (8, 9):
            shown[2] = 0
        heatmaps = peaks.copy()
        rows = (rows + random.integers(-1, 2, rows.shape)).clip(0, 63)
        columns = (columns + random.integers(-1, 2, columns.shape)).clip(0, 47)
        for person in range(3):
            heights = np.where(random.uniform(size=17) < 0.15, 0.2, random.uniform(0.31, 1, 17))
            order = np.arange(17)
            if frame % 3 == 0:  # some keypoints are where their partner is, and some of those change places
                order = np.where(random.uniform(size=17) < 0.4, MIRRORED_KEYPOINT, order)
                swapped += int((order != np.arange(17)).sum())
            heatmaps[person, np.arange(17), rows[person, order], columns[person, order]] = heights
        seconds = float(np.float32(random.choice([0.004, 1 / 60, 1 / 30, 0.05, 0.21])))
        output = post(posts, heatmaps, shown, state, seconds)
        raw = plain_decode(heatmaps, shown)
        wanted = np.stack([one(raw[index], shown[index], seconds) for index, one in enumerate(people)])
        np.testing.assert_allclose(output.keypoints, wanted, atol=5e-3)
        for person, one in enumerate(people):
            for index, filtered in enumerate(one.filters):
                known = filtered.position is not None
                state_wanted = [*filtered.position, *filtered.speed] if filtered.position is not None else [0] * 4
                np.testing.assert_allclose(output.state[person, index], state_wanted, rtol=1e-3, atol=0.05)
                assert known == bool(output.state[person, index].any())
        moved = max(moved, float(np.abs(output.keypoints - raw)[..., :2].max()))
        state = output.state
    assert moved > 3 and swapped > 50


def followed(posts: Posts, first: Floats, second: Floats, box: tuple[float, ...] = BOX) -> tuple[Output, Output]:
    """Two frames: `first` in the usual box, then `second` in `box`."""
    before = post(posts, first, np.array([BOX], np.float32))
    return before, post(posts, second, np.array([box], np.float32), before.state)


def test_a_keypoint_that_is_misplaced_for_one_frame_hardly_moves_and_one_that_stays_is_reached(posts: Posts) -> None:
    here, there = peaks_with(0.9), peaks_with(0.9)
    there[:, :3] = np.roll(here[:, :3], 20, axis=2)
    boxes = np.array([BOX], np.float32)
    start = post(posts, here, boxes)
    far = float((post(posts, there, boxes).keypoints - start.keypoints)[0, 0, 1])
    assert far / FRAME_SECONDS > FASTEST_SPEED * (BOX[3] - BOX[1])
    output = post(posts, there, boxes, start.state)
    moved = [float((output.keypoints - start.keypoints)[0, 0, 1])]
    assert 0.2 * far < moved[0] < 0.35 * far
    assert output.state[0, 0, 2:] == pytest.approx(0), "its speed is not believed"
    back = post(posts, here, boxes, output.state)
    assert (back.keypoints - start.keypoints)[0, 0, 1] < moved[0]
    for _ in range(4):
        output = post(posts, there, boxes, output.state)
        moved.append(float((output.keypoints - start.keypoints)[0, 0, 1]))
    assert moved == sorted(moved) and moved[-1] > 0.9 * far


LEFT_KNEE, RIGHT_KNEE = KEYPOINTS.index("left_knee"), KEYPOINTS.index("right_knee")


def knees_at(left: tuple[int, int], right: tuple[int, int]) -> Floats:
    heatmaps = peaks_with(0.9)
    heatmaps[0, [LEFT_KNEE, RIGHT_KNEE]] = 0
    for knee, (row, column) in ((LEFT_KNEE, left), (RIGHT_KNEE, right)):
        heatmaps[0, knee, row, column] = 0.9
    return heatmaps


@pytest.mark.parametrize("exchanged", [False, True], ids=["both at one place", "exchanged"])
def test_a_knee_that_jumps_to_the_other_ones_place_hardly_moves_and_if_it_stays_is_reached(
    posts: Posts, exchanged: bool
) -> None:
    here, there, boxes = (44, 16), (43, 26), np.array([BOX], np.float32)
    start = post(posts, knees_at(here, there), boxes)
    left, right = keypoint(start, "left_knee")[:2], keypoint(start, "right_knee")[:2]
    apart = float(np.linalg.norm(right - left))
    assert LEAST_APART * 500 < apart < FASTEST_SPEED * FRAME_SECONDS * 500, "no faster than a body may be"
    jumped = knees_at(there, here if exchanged else there)
    output = post(posts, jumped, boxes, start.state)
    assert np.linalg.norm(keypoint(output, "left_knee")[:2] - left) < 0.12 * apart
    assert output.state[0, LEFT_KNEE, 2:] == pytest.approx(0), "its speed is not believed"
    moved = float(np.linalg.norm(keypoint(output, "right_knee")[:2] - right))
    assert moved < 0.12 * apart if exchanged else moved == pytest.approx(0, abs=0.1)
    back = post(posts, knees_at(here, there), boxes, output.state)
    assert np.linalg.norm(keypoint(back, "left_knee")[:2] - left) < 0.12 * apart
    for _ in range(15):
        output = post(posts, jumped, boxes, output.state)
    assert np.linalg.norm(keypoint(output, "left_knee")[:2] - right) < 0.1 * apart


def test_a_knee_that_follows_the_other_one_is_believed(posts: Posts) -> None:
    """Both move by as much as they are apart: the left one to the right one's place, the right one on."""
    boxes = np.array([BOX], np.float32)
    start = post(posts, knees_at((44, 16), (44, 26)), boxes)
    output = post(posts, knees_at((44, 26), (44, 36)), boxes, start.state)
    apart = keypoint(start, "right_knee")[0] - keypoint(start, "left_knee")[0]
    assert keypoint(output, "left_knee")[0] - keypoint(start, "left_knee")[0] > 0.5 * apart
    assert output.state[0, LEFT_KNEE, 2] > 0


def test_a_skeleton_that_jumps_as_a_whole_is_somebody_else_and_starts_anew(posts: Posts) -> None:
    here = peaks_with(0.9)
    boxes = np.array([BOX], np.float32)
    start = post(posts, here, boxes)
    there = np.roll(here, 20, axis=2)
    output = post(posts, there, boxes, start.state)
    np.testing.assert_allclose(output.keypoints, post(posts, there, boxes).keypoints, atol=1e-3)
    assert (output.state[..., 2:] == 0).all()


def test_a_state_of_zeros_gives_the_raw_keypoints_and_no_speed(posts: Posts) -> None:
    boxes = np.array([BOX], np.float32)
    output = post(posts, peaks_with(0.9), boxes)
    np.testing.assert_allclose(output.keypoints, plain_decode(peaks_with(0.9), boxes), atol=1e-3)
    np.testing.assert_allclose(output.state[..., :2], output.keypoints[..., :2])
    assert (output.state[..., 2:] == 0).all()


def test_a_keypoint_that_was_not_visible_starts_anew_and_the_others_go_on(posts: Posts) -> None:
    confidence = np.full(17, 0.9)
    confidence[9] = 0.29
    moved_box = (310.0, 100.0, 510.0, 600.0, 0.9)
    before, after = followed(posts, peaks_with(confidence), peaks_with(0.9), moved_box)
    raw = plain_decode(peaks_with(0.9), np.array([moved_box], np.float32))
    assert (before.state[0, 9] == 0).all() and before.state[0, 8].any()
    np.testing.assert_allclose(after.keypoints[0, 9], raw[0, 9], atol=1e-3)
    others = [index for index in range(17) if index != 9]
    assert (after.keypoints[0, others, 0] < raw[0, others, 0] - 1).all()
    assert (after.keypoints[0, others, 0] > before.keypoints[0, others, 0] + 1).all()


@pytest.mark.parametrize(
    "elsewhere",
    [(900, 100, 1100, 600, 0.9), (300, 700, 500, 1200, 0.9), (0, 100, 200, 600, 0.9)],
    ids=["right", "below", "left"],
)
def test_a_box_elsewhere_is_somebody_else_and_starts_anew(posts: Posts, elsewhere: tuple[float, ...]) -> None:
    _, after = followed(posts, peaks_with(0.9), peaks_with(0.9), elsewhere)
    raw = plain_decode(peaks_with(0.9), np.array([elsewhere], np.float32))
    np.testing.assert_allclose(after.keypoints, raw, atol=1e-3)
    assert (after.state[..., 2:] == 0).all()


def test_a_lone_visible_keypoint_is_smoothed_too(posts: Posts) -> None:
    confidence = np.zeros(17)
    confidence[9] = 0.9
    moved_box = (310.0, 100.0, 510.0, 600.0, 0.9)
    before, after = followed(posts, peaks_with(confidence), peaks_with(confidence), moved_box)
    assert before.keypoints[0, 9, 0] < after.keypoints[0, 9, 0] < before.keypoints[0, 9, 0] + 9


def test_no_time_between_frames_changes_nothing_much_and_is_finite(posts: Posts) -> None:
    before = post(posts, peaks_with(0.9), np.array([BOX], np.float32))
    for seconds in (0.0, -1.0, LEAST_SECONDS / 10):
        after = post(posts, peaks_with(0.9), np.array([BOX], np.float32), before.state, seconds)
        np.testing.assert_allclose(after.keypoints, before.keypoints, atol=1e-3)
        moved = post(posts, one_peak(40, 3), np.array([BOX], np.float32), before.state, seconds)
        for array in (moved.keypoints, moved.joints, moved.next_boxes, moved.state):
            assert np.isfinite(array).all()
