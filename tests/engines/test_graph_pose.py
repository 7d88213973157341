"""From heatmaps to smoothed keypoints and joints, against the decode and the One Euro filter written plainly."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engines.graphs.parts import export_part
from engines.graphs.pose import (
    CUTOFF_PER_SPEED,
    DOUBTED_CUTOFF_HZ,
    FASTEST_SPEED,
    LEAST_APART,
    LEAST_SECONDS,
    MIN_CUTOFF_HZ,
    NEAR_PARTNER,
    PARTNER_CUTOFF_HZ,
    SAME_HILL,
    SPEED_CUTOFF_HZ,
    STAYING_SHARE,
    STILL_SPEED,
    PosePost,
)
from engines.onnx_runtime import onnxruntime
from engines.skeleton import JOINT_INDEX, KEYPOINTS, MIRRORED_KEYPOINT, joints_from_keypoints
from tests.fixtures import open_graph, run

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Posts = dict[int, onnxruntime.InferenceSession]

VISIBLE = 0.3
ROWS, COLUMNS = 64, 48
BOX = (300.0, 100.0, 500.0, 600.0, 0.9)
FRAME_SECONDS = 1 / 30


@pytest.fixture(scope="module")
def posts() -> Posts:
    """The post-processing for one and for three people."""
    sessions = {}
    for people in (1, 3):
        inputs = {
            "heatmaps": torch.rand(people, 17, ROWS, COLUMNS),
            "boxes": torch.tensor([BOX] * people),
            "state": torch.zeros(people, 17, 4),
            "seconds": torch.ones(1),
        }
        outputs = ["keypoints", "joints", "next_boxes", "next_state"]
        sessions[people] = open_graph(export_part(PosePost(VISIBLE), inputs, outputs))
    return sessions


@dataclass
class Output:
    keypoints: Floats
    joints: Floats
    next_boxes: Floats
    state: Floats


def post(
    posts: Posts, heatmaps: Floats, boxes: Floats, state: Floats | None = None, seconds: float = FRAME_SECONDS
) -> Output:
    people = len(boxes)
    state = np.zeros((people, 17, 4), np.float32) if state is None else state
    inputs = {"heatmaps": heatmaps, "boxes": boxes, "state": state, "seconds": np.array([seconds], np.float32)}
    output = Output(*run(posts[people], **inputs))
    assert output.keypoints.shape == (people, 17, 3) and output.joints.shape == (people, 15, 3)
    assert output.next_boxes.shape == (people, 5) and output.state.shape == (people, 17, 4)
    return output


def random_boxes(random: np.random.Generator, people: int) -> Floats:
    corner = random.uniform(-50, 900, (people, 2))
    size = random.uniform(20, 500, (people, 2))
    return np.concatenate([corner, corner + size, random.uniform(0.3, 1, (people, 1))], 1).astype(np.float32)


def one_peak(column: int, row: int, height: float = 0.9) -> Floats:
    """Heatmaps [1, 17, 64, 48], all of one peak on flat ground."""
    heatmaps = np.full((1, 17, ROWS, COLUMNS), 0.01, np.float32)
    heatmaps[:, :, row, column] = height
    return heatmaps


def peaks_with(confidence: npt.ArrayLike) -> Floats:
    """Heatmaps [1, 17, 64, 48] with peaks on a diagonal, of the given heights."""
    heatmaps = np.zeros((1, 17, ROWS, COLUMNS), np.float32)
    for index, height in enumerate(np.broadcast_to(confidence, 17)):
        heatmaps[0, index, 10 + 2 * index, 5 + 2 * index] = height
    return heatmaps


# ---- decode


def parabola_top(before: float, peak: float, after: float) -> float:
    """Where a parabola through three values at -1, 0 and 1 is highest."""
    square, slope = (before + after) / 2 - peak, (after - before) / 2
    return -slope / (2 * square) if square < -1e-12 else 0.0


def plain_decode(heatmaps: Floats, boxes: Floats) -> Doubles:
    """Cell by cell: argmax, the top of the parabola through it and its neighbours, back through the crop."""
    keypoints = np.zeros((len(boxes), 17, 3))
    for person, box in enumerate(boxes.astype(np.float64)):
        width = 1.25 * max(box[2] - box[0], (box[3] - box[1]) * 0.75)
        height = width * 4 / 3
        for index, heatmap in enumerate(heatmaps[person].astype(np.float64)):
            row, column = divmod(int(heatmap.argmax()), COLUMNS)
            x, y = float(column), float(row)
            if 0 < column < COLUMNS - 1:
                x += parabola_top(*heatmap[row, column - 1 : column + 2])
            if 0 < row < ROWS - 1:
                y += parabola_top(*heatmap[row - 1 : row + 2, column])
            keypoints[person, index] = (
                (box[0] + box[2]) / 2 + (x / COLUMNS - 0.5) * width,
                (box[1] + box[3]) / 2 + (y / ROWS - 0.5) * height,
                min(max(heatmap.max(), 0), 1),
            )
    return keypoints


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


# ---- two hills


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


# ---- joints


def test_joints_in_the_graph_are_those_of_the_skeleton(posts: Posts) -> None:
    random = np.random.default_rng(12)
    for _ in range(20):
        heatmaps = random.uniform(0, 0.1, (3, 17, ROWS, COLUMNS)).astype(np.float32)
        for person in range(3):
            for index in range(17):
                heatmaps[person, index, random.integers(64), random.integers(48)] = random.uniform(0.1, 1)
        boxes = random_boxes(random, 3)
        boxes[random.integers(3)] = 0
        output = post(posts, heatmaps, boxes)
        np.testing.assert_allclose(output.joints, joints_from_keypoints(output.keypoints, VISIBLE), atol=1e-3)


def joint(output: Output, name: str) -> Floats:
    row: Floats = output.joints[0, JOINT_INDEX[name]]
    return row


def keypoint(output: Output, name: str) -> Floats:
    row: Floats = output.keypoints[0, KEYPOINTS.index(name)]
    return row


def test_pelvis_and_neck_are_middles_with_the_lowest_confidence(posts: Posts) -> None:
    confidence = np.full(17, 0.8)
    confidence[[KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_shoulder")]] = 0.35, 0.1
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    for name, part, lowest in (("pelvis", "hip", 0.35), ("neck", "shoulder", 0.1)):
        middle = (keypoint(output, f"left_{part}") + keypoint(output, f"right_{part}")) / 2
        np.testing.assert_allclose(joint(output, name), [*middle[:2], lowest], atol=1e-4)


def test_head_is_the_mean_of_the_visible_face_points_only(posts: Posts) -> None:
    confidence = np.full(17, 0.8)
    confidence[:5] = 0.9, 0.29, 0.3, 0.1, 0.0
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    middle = (keypoint(output, "nose") + keypoint(output, "right_eye")) / 2
    np.testing.assert_allclose(joint(output, "head"), [*middle[:2], 0.3], atol=1e-4)


def test_head_without_a_visible_face_point_is_zeros(posts: Posts) -> None:
    confidence = np.full(17, 0.8)
    confidence[:5] = 0.29
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    assert (joint(output, "head") == 0).all()
    np.testing.assert_allclose(joint(output, "neck")[2], 0.8, atol=1e-6)


# ---- the One Euro filter


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


# ---- the next frame's boxes


@pytest.mark.parametrize(("unsure", "framed"), [(0.29, True), (0.16, True), (0.14, False)])
def test_next_box_bounds_half_sure_keypoints_with_the_mean_confidence_of_the_visible(
    posts: Posts, unsure: float, framed: bool
) -> None:
    random = np.random.default_rng(14)
    for count in (5, 6, 11, 17):
        confidence = np.full(17, unsure)
        confidence[random.permutation(17)[:count]] = random.uniform(0.31, 1, count)
        output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
        visible = confidence >= VISIBLE
        points = output.keypoints[0, visible | framed, :2].astype(np.float64)
        wanted = [*points.min(0), *points.max(0), output.keypoints[0, visible, 2].mean()]
        np.testing.assert_allclose(output.next_boxes[0], wanted, atol=1e-3)


def test_a_keypoint_of_exactly_the_least_confidence_is_visible(posts: Posts) -> None:
    confidence = np.zeros(17)
    confidence[:5] = np.float32(0.3)
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    np.testing.assert_allclose(output.next_boxes[0, 4], 0.3, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_fewer_than_five_visible_keypoints_give_no_next_box(posts: Posts, count: int) -> None:
    confidence = np.full(17, 0.29)
    confidence[:count] = 0.9
    output = post(posts, peaks_with(confidence), np.array([BOX], np.float32))
    assert (output.next_boxes == 0).all()
    assert output.keypoints.any()
