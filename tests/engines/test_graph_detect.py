"""From the detector's raw levels to boxes, against greedy suppression and a plain decode in float64."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from engines.graphs.detect import CANDIDATES, SUPPRESSION_IOU, SUPPRESSION_ROUNDS, DetectPost, Suppression
from engines.graphs.parts import export_part
from engines.onnx_runtime import onnxruntime
from realtime.tracking import is_piece
from tests.fixtures import BINS, STRIDES, open_graph, run

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Size = tuple[int, int]

FRAME, IMAGE = (720, 1280), (192, 320)
NOBODY = np.zeros(5, np.float32)
NOTHING = -20.0
"""A class logit that stands for an empty cell."""


# ---- suppression


def overlap(boxes: Doubles) -> Doubles:
    """Intersection over union of all pairs [N, N]; 0 where there is no union."""
    x1, y1, x2, y2 = boxes.T
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
    shared = width.clip(0) * height.clip(0)
    area = (x2 - x1) * (y2 - y1)
    union = area[:, None] + area - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def greedy(boxes: Doubles, alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The textbook loop: take the best box that is left, drop what it covers."""
    iou = overlap(boxes)
    left = alive.copy()
    kept = np.zeros(len(boxes), bool)
    for index in range(len(boxes)):
        if left[index]:
            kept[index] = True
            left &= iou[index] <= SUPPRESSION_IOU
    return kept


def scattered(random: np.random.Generator, extent: float) -> Doubles:
    """Boxes of like size over an area of `extent` box sides: the smaller, the more overlap."""
    corner = random.uniform(0, extent * 100, (CANDIDATES, 2))
    return np.concatenate([corner, corner + random.uniform(70, 130, (CANDIDATES, 2))], 1)


def around_people(random: np.random.Generator, people: int) -> Doubles:
    """What a detector gives: clusters around few people."""
    centre = random.uniform(100, 900, (people, 2))[random.integers(0, people, CANDIDATES)]
    half = random.uniform(40, 120, (people, 2))[random.integers(0, people, CANDIDATES)]
    centre, half = centre + random.normal(0, 8, centre.shape), half * random.uniform(0.8, 1.25, half.shape)
    return np.concatenate([centre - half, centre + half], 1)


def shuffled_chain(random: np.random.Generator) -> Doubles:
    """A row of boxes of which each covers only its neighbours, their confidences in any order."""
    left = np.cumsum(random.uniform(14, 24, CANDIDATES))
    boxes = np.stack([left, np.zeros(CANDIDATES), left + 100, np.full(CANDIDATES, 100.0)], 1)
    return random.permutation(boxes)


def falling_chain(random: np.random.Generator) -> Doubles:
    """Boxes whose confidence falls along a row, the longest line of consequences that rounds must follow."""
    length = SUPPRESSION_ROUNDS
    left = np.arange(CANDIDATES) * 200.0
    left[:length] = np.arange(length) * random.uniform(14, 24) - 10_000
    return np.stack([left, np.zeros(CANDIDATES), left + 100, np.full(CANDIDATES, 100.0)], 1)


KINDS: dict[str, Callable[[np.random.Generator], Doubles]] = {
    "hardly any overlap": lambda random: scattered(random, 12),
    "some overlap": lambda random: scattered(random, 4),
    "much overlap": lambda random: scattered(random, 1.5),
    "all on one spot": lambda random: scattered(random, 0.4),
    "one person": lambda random: around_people(random, 1),
    "three people": lambda random: around_people(random, 3),
    "twelve people": lambda random: around_people(random, 12),
    "chains in any order": shuffled_chain,
    "chains of falling confidence": falling_chain,
    "boxes of no area": lambda random: scattered(random, 2) * np.array([1, 1, 0, 0]),
}


def random_sets(kind: Callable[[np.random.Generator], Doubles], count: int) -> list[tuple[Doubles, Doubles]]:
    """Boxes and who takes part. Sets with a pair within rounding of the limit are drawn again."""
    random = np.random.default_rng(7)
    sets = []
    while len(sets) < count:
        boxes = kind(random).astype(np.float32).astype(np.float64)
        if np.abs(overlap(boxes) - SUPPRESSION_IOU).min() > 1e-5:
            sets.append((boxes, (np.arange(CANDIDATES) < random.integers(8, CANDIDATES + 1)).astype(np.float64)))
    return sets


@pytest.fixture(scope="module")
def suppression() -> onnxruntime.InferenceSession:
    inputs = {"boxes": torch.rand(CANDIDATES, 4), "alive": torch.ones(CANDIDATES)}
    return open_graph(export_part(Suppression(), inputs, ["keep"]))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_suppression_equals_the_greedy_loop_on_a_hundred_random_sets(
    suppression: onnxruntime.InferenceSession, kind: Callable[[np.random.Generator], Doubles]
) -> None:
    for boxes, alive in random_sets(kind, 100):
        (keep,) = run(suppression, boxes=boxes.astype(np.float32), alive=alive.astype(np.float32))
        assert (keep == greedy(boxes, alive > 0)).all()


def test_suppression_follows_a_chain_of_one_box_more_than_its_rounds(
    suppression: onnxruntime.InferenceSession,
) -> None:
    left = np.arange(CANDIDATES) * 20.0
    boxes = np.stack([left, np.zeros(CANDIDATES), left + 100, np.full(CANDIDATES, 100.0)], 1)
    alive = np.arange(CANDIDATES) <= SUPPRESSION_ROUNDS
    (keep,) = run(suppression, boxes=boxes.astype(np.float32), alive=alive.astype(np.float32))
    assert (keep == greedy(boxes, alive)).all() and keep.sum() == SUPPRESSION_ROUNDS / 2 + 1


# ---- the whole of it


def opened(frame_size: Size, image_size: Size, people: int) -> onnxruntime.InferenceSession:
    cells = sum(image_size[0] // stride * (image_size[1] // stride) for stride in STRIDES)
    inputs: dict[str, Tensor] = {
        "box_logits": torch.randn(1, 4 * BINS, cells),
        "class_logits": torch.randn(1, cells),
        "anchor": torch.zeros(5),
    }
    post = DetectPost(frame_size, image_size, people, bins=BINS, strides=STRIDES)
    return open_graph(export_part(post, inputs, ["boxes"]))


@pytest.fixture(scope="module")
def posts() -> dict[int, onnxruntime.InferenceSession]:
    return {people: opened(FRAME, IMAGE, people) for people in (1, 3)}


def cells_of(image_size: Size) -> Doubles:
    """x, y of the centre and the stride of every cell, [N, 3]."""
    return np.array(
        [
            ((column + 0.5) * stride, (row + 0.5) * stride, stride)
            for stride in STRIDES
            for row in range(image_size[0] // stride)
            for column in range(image_size[1] // stride)
        ]
    )


def plant(image_size: Size, boxes: list[tuple[float, ...]]) -> dict[str, Floats]:
    """Logits whose decode is exactly `boxes`: x1, y1, x2, y2 in px of the network's picture, confidence."""
    cells = cells_of(image_size)
    box_logits = np.full((4, BINS, len(cells)), -40.0)
    class_logits = np.full(len(cells), NOTHING)
    for x1, y1, x2, y2, confidence in boxes:
        sides = np.stack([cells[:, 0] - x1, cells[:, 1] - y1, x2 - cells[:, 0], y2 - cells[:, 1]]) / cells[:, 2]
        free = (sides >= 0).all(0) & (sides <= BINS - 1).all(0) & (class_logits == NOTHING)
        centre = np.hypot(cells[:, 0] - (x1 + x2) / 2, cells[:, 1] - (y1 + y2) / 2)
        cell = int(np.where(free, centre, np.inf).argmin())
        assert free[cell], "no cell can hold this box"
        for side, distance in enumerate(sides[:, cell]):
            low = min(int(distance), BINS - 2)
            box_logits[side, low, cell] = np.log(max(1 - (distance - low), 1e-30))
            box_logits[side, low + 1, cell] = np.log(max(distance - low, 1e-30))
        class_logits[cell] = np.log(confidence / (1 - confidence))
    return {
        "box_logits": box_logits.reshape(1, 4 * BINS, -1).astype(np.float32),
        "class_logits": class_logits[None].astype(np.float32),
    }


def in_picture(*boxes: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Boxes of the default frame in px of the default picture: a quarter, 6 px of bar above."""
    return [(x1 / 4, y1 / 4 + 6, x2 / 4, y2 / 4 + 6, confidence) for x1, y1, x2, y2, confidence in boxes]


def detected(post: onnxruntime.InferenceSession, *boxes: tuple[float, ...], anchor: Floats = NOBODY) -> Floats:
    """What the post-processing says of `boxes`, given in px of the default frame."""
    (rows,) = run(post, **plant(IMAGE, in_picture(*boxes)), anchor=anchor)
    return rows


def assert_rows(rows: Floats, *wanted: tuple[float, ...] | None) -> None:
    """Every row as wanted; None stands for a row of zeros."""
    assert rows.dtype == np.float32 and rows.shape == (len(wanted), 5)
    for row, box in zip(rows, wanted, strict=True):
        if box is None:
            assert (row == 0).all()
        else:
            np.testing.assert_allclose(row[:4], box[:4], atol=0.05)
            np.testing.assert_allclose(row[4], box[4], atol=1e-5)


SIZES = {
    "landscape, four to one": ((720, 1280), (192, 320)),
    "portrait": ((1280, 720), (320, 192)),
    "portrait in landscape": ((1280, 720), (192, 320)),
    "odd sizes": ((479, 641), (256, 320)),
    "enlarged": ((120, 200), (192, 320)),
    "a GPU's size": ((1080, 1920), (384, 640)),
}


def true_edges(length: int, inner: int, offset: int, edges: Doubles) -> Doubles:
    """Where OpenCV's resize took the picture's `edges` from, px of the frame, measured on a ramp."""
    ramp = (np.arange(length) + 0.5)[None]
    drawn = cv2.resize(np.repeat(ramp, 2, 0), (inner, 2), interpolation=cv2.INTER_LINEAR)[0]
    at = np.arange(inner) + 0.5 + offset
    inside = slice(3, -3)  # where the ramp is still a ramp
    return np.interp(edges, at[inside], drawn[inside])


@pytest.mark.parametrize(("frame_size", "image_size"), SIZES.values(), ids=SIZES)
def test_boxes_are_mapped_back_to_where_opencv_took_them_from(frame_size: Size, image_size: Size) -> None:
    post = opened(frame_size, image_size, 1)
    scale = min(image_size[0] / frame_size[0], image_size[1] / frame_size[1])
    height, width = round(frame_size[0] * scale), round(frame_size[1] * scale)
    above, left = (image_size[0] - height) // 2, (image_size[1] - width) // 2
    random = np.random.default_rng(8)
    for _ in range(40):
        size = random.uniform(16, np.minimum(110, (width - 12, height - 12)))
        x, y = random.uniform((left + 5, above + 5), np.array([left + width - 5, above + height - 5]) - size)
        (row,) = run(post, **plant(image_size, [(x, y, x + size[0], y + size[1], 0.9)]), anchor=NOBODY)[0]
        across = true_edges(frame_size[1], width, left, np.array([x, x + size[0]]))
        down = true_edges(frame_size[0], height, above, np.array([y, y + size[1]]))
        np.testing.assert_allclose(row[[0, 2, 1, 3]], [*across, *down], atol=0.05)


def reference(logits: dict[str, Floats], anchor: Floats, people: int) -> Doubles:
    """The contract of `detect` in float64, from the words of the design."""
    cells = cells_of(IMAGE)
    best = np.argsort(-logits["class_logits"][0], kind="stable")[:CANDIDATES]
    confidence = 1 / (1 + np.exp(-logits["class_logits"][0, best].astype(np.float64)))
    spread = logits["box_logits"][0][:, best].astype(np.float64).reshape(4, BINS, -1)
    weights = np.exp(spread - spread.max(1, keepdims=True))
    sides = (weights * np.arange(BINS)[None, :, None]).sum(1) / weights.sum(1) * cells[best, 2]
    x, y = cells[best, 0], cells[best, 1]
    boxes = np.stack([x - sides[0], y - sides[1], x + sides[2], y + sides[3]], 1)
    kept = greedy(boxes, confidence >= (0.25 if anchor[:4].any() else 0.08))
    boxes = (boxes - [0, 6, 0, 6]) * 4
    boxes = np.clip(boxes[kept], 0, [FRAME[1], FRAME[0]] * 2)
    rows = np.concatenate([boxes, confidence[kept, None]], 1)
    area = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
    doubtful = (rows[:, 4] < 0.25) * 1 + (rows[:, 4] < 0.15)
    rows = rows[np.lexsort((-rows[:, 4] * np.sqrt(area), doubtful))]
    rows = rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]
    if anchor.any():
        iou = overlap(np.concatenate([anchor[None, :4], rows[:, :4]]))[0, 1:]
        first = np.array([[*anchor[:4], 0]]) * (anchor[4] > 0)
        if len(iou) and iou.max() >= 0.2:
            first = rows[[iou.argmax()]]
            rows = np.delete(rows, iou.argmax(), 0)
            shared = np.prod(
                np.maximum(np.minimum(first[0, 2:4], anchor[2:4]) - np.maximum(first[0, :2], anchor[:2]), 0)
            )
            if anchor[4] >= 0.5 > first[0, 4] and shared < 0.7 * np.prod(anchor[2:4] - anchor[:2]):
                first[0, :4] = anchor[:4]
        rows = np.concatenate([first, rows])
    return np.concatenate([rows, np.zeros((people, 5))])[:people]


@pytest.mark.parametrize("people", [1, 3])
@pytest.mark.parametrize("anchored", [None, 0.0, 0.8], ids=["no anchor", "anchor", "followed anchor"])
def test_random_logits_give_the_rows_of_the_contract(
    posts: dict[int, onnxruntime.InferenceSession], people: int, anchored: float | None
) -> None:
    random = np.random.default_rng(9)
    cells = len(cells_of(IMAGE))
    for _ in range(40):
        logits = {
            "box_logits": random.normal(0, 2, (1, 4 * BINS, cells)).astype(np.float32),
            "class_logits": random.normal(random.uniform(-6, -2), 1.5, (1, cells)).astype(np.float32),
        }
        anchor = NOBODY
        if anchored is not None:
            x, y = random.uniform(0, 1000), random.uniform(0, 500)
            size = random.uniform(60, 400, 2)
            anchor = np.array([x, y, x + size[0], y + size[1], anchored], np.float32)
        (rows,) = run(posts[people], **logits, anchor=anchor)
        np.testing.assert_allclose(rows, reference(logits, anchor, people), atol=0.02)


SMALL_SURE = (100, 100, 160, 200, 0.95)
LARGE_UNSURE = (300, 100, 600, 600, 0.4)
MEDIUM, MEDIUM_LOW = (900, 200, 1020, 440, 0.7), (500, 200, 620, 440, 0.4)


def test_people_are_ordered_by_confidence_times_root_of_area(posts: dict[int, onnxruntime.InferenceSession]) -> None:
    # 0.4 * 387 = 155, 0.7 * 170 = 119, 0.95 * 77 = 74
    assert_rows(detected(posts[3], SMALL_SURE, MEDIUM, LARGE_UNSURE), LARGE_UNSURE, MEDIUM, SMALL_SURE)
    assert_rows(detected(posts[1], SMALL_SURE, MEDIUM, LARGE_UNSURE), LARGE_UNSURE)


def test_of_two_like_people_the_one_nearest_the_middle_is_first(
    posts: dict[int, onnxruntime.InferenceSession],
) -> None:
    at_edge, in_middle, between = (40, 240, 160, 480, 0.8), (580, 240, 700, 480, 0.8), (900, 240, 1020, 480, 0.8)
    assert_rows(detected(posts[3], at_edge, in_middle, between), in_middle, between, at_edge)
    assert_rows(detected(posts[1], between, at_edge, in_middle), in_middle)


@pytest.mark.parametrize("people", [1, 3])
def test_nobody_gives_rows_of_zeros(posts: dict[int, onnxruntime.InferenceSession], people: int) -> None:
    for anchor, confidence in ((NOBODY, 0.07), (np.array([300, 100, 600, 600, 0], np.float32), 0.24)):
        assert_rows(detected(posts[people], anchor=anchor), *[None] * people)
        unsure = (300, 100, 600, 600, confidence)
        assert_rows(detected(posts[people], unsure, anchor=anchor), *[None] * people)


def test_less_confidence_is_enough_while_nobody_is_followed(posts: dict[int, onnxruntime.InferenceSession]) -> None:
    doubtful = (900, 200, 1020, 440, 0.09)
    assert_rows(detected(posts[3], doubtful), doubtful, None, None)
    small, unsure = (100, 100, 120, 140, 0.26), (1000, 100, 1040, 180, 0.16)
    assert_rows(detected(posts[3], doubtful, small, MEDIUM_LOW), MEDIUM_LOW, small, doubtful)
    assert_rows(detected(posts[3], doubtful, unsure, small), small, unsure, doubtful)
    followed = np.array([*LARGE_UNSURE[:4], 0.8], np.float32)
    assert_rows(detected(posts[3], doubtful, LARGE_UNSURE, anchor=followed), LARGE_UNSURE, None, None)


def test_fewer_people_than_rows_leave_rows_of_zeros(posts: dict[int, onnxruntime.InferenceSession]) -> None:
    assert_rows(detected(posts[3], MEDIUM), MEDIUM, None, None)
    assert_rows(detected(posts[3], MEDIUM, LARGE_UNSURE), LARGE_UNSURE, MEDIUM, None)


def test_one_person_seen_twice_is_one_row(posts: dict[int, onnxruntime.InferenceSession]) -> None:
    again = (312, 110, 606, 610, 0.35)
    assert_rows(detected(posts[3], LARGE_UNSURE, again), LARGE_UNSURE, None, None)


def test_boxes_end_at_the_border_of_the_frame(posts: dict[int, onnxruntime.InferenceSession]) -> None:
    beyond = (-30, -20, 400, 800, 0.9)
    far_right = (1100, 300, 1400, 730, 0.8)
    assert_rows(detected(posts[3], beyond, far_right), (0, 0, 400, 720, 0.9), (1100, 300, 1280, 720, 0.8), None)


def test_the_anchored_person_comes_first_and_the_rest_as_before(
    posts: dict[int, onnxruntime.InferenceSession],
) -> None:
    anchor = np.array([110, 110, 170, 210, 0.6], np.float32)
    assert_rows(detected(posts[3], LARGE_UNSURE, MEDIUM, SMALL_SURE, anchor=anchor), SMALL_SURE, LARGE_UNSURE, MEDIUM)
    assert_rows(detected(posts[1], LARGE_UNSURE, MEDIUM, SMALL_SURE, anchor=anchor), SMALL_SURE)
    assert_rows(detected(posts[3], SMALL_SURE, anchor=anchor), SMALL_SURE, None, None)


def test_of_two_people_over_the_anchor_the_one_that_covers_it_best_is_first(
    posts: dict[int, onnxruntime.InferenceSession],
) -> None:
    left, right = (300, 100, 500, 500, 0.9), (400, 100, 600, 500, 0.5)
    anchor = np.array([390, 100, 590, 500, 0], np.float32)
    assert_rows(detected(posts[3], left, right, anchor=anchor), right, left, None)
    assert_rows(detected(posts[1], left, right, anchor=anchor), right)


def test_an_anchor_nobody_overlaps_leaves_the_first_row_empty(
    posts: dict[int, onnxruntime.InferenceSession],
) -> None:
    anchor = np.array([700, 500, 760, 650, 0], np.float32)
    assert_rows(detected(posts[3], SMALL_SURE, MEDIUM, LARGE_UNSURE, anchor=anchor), None, LARGE_UNSURE, MEDIUM)
    assert_rows(detected(posts[1], SMALL_SURE, MEDIUM, LARGE_UNSURE, anchor=anchor), None)


@pytest.mark.parametrize("others", [(), (MEDIUM,), (LARGE_UNSURE, MEDIUM)], ids=["nobody", "one other", "two others"])
def test_a_sure_anchor_nobody_overlaps_is_the_first_row_and_says_so(
    posts: dict[int, onnxruntime.InferenceSession], others: tuple[tuple[float, ...], ...]
) -> None:
    anchor = np.array([700, 500, 760, 650, 0.31], np.float32)
    followed = (700, 500, 760, 650, 0)
    assert_rows(detected(posts[3], *others, anchor=anchor), followed, *others, *[None] * (2 - len(others)))
    assert_rows(detected(posts[1], *others, anchor=anchor), followed)


@pytest.mark.parametrize(
    ("box", "confidence", "anchor_confidence", "bounds_stay"),
    [
        ((300, 350, 500, 500), 0.4, 0.7, True),  # the legs
        ((300, 350, 500, 500), 0.6, 0.7, False),  # the detector is sure
        ((300, 350, 500, 500), 0.4, 0.4, False),  # the keypoints are not
        ((300, 250, 500, 500), 0.4, 0.7, True),  # all but the head and shoulders
        ((300, 200, 500, 500), 0.4, 0.7, False),  # most of the body
    ],
)
def test_a_doubtful_piece_of_a_sure_anchor_does_not_replace_its_bounds(
    posts: dict[int, onnxruntime.InferenceSession],
    box: tuple[float, ...],
    confidence: float,
    anchor_confidence: float,
    bounds_stay: bool,
) -> None:
    anchor = np.array([300, 100, 500, 500, anchor_confidence], np.float32)
    row = (300, 100, 500, 500, confidence) if bounds_stay else (*box, confidence)
    assert_rows(detected(posts[3], (*box, confidence), MEDIUM, anchor=anchor), row, MEDIUM, None)
    assert is_piece(np.array([*box, confidence], np.float32), anchor) is bounds_stay, "as on a CPU"


def test_an_anchor_is_met_from_an_overlap_of_a_fifth(posts: dict[int, onnxruntime.InferenceSession]) -> None:
    person = (300, 100, 500, 500, 0.9)  # IoU with itself moved by d: (200 - d) / (200 + d), a fifth at 133.3
    nearly, barely = (np.array([300 + d, 100, 500 + d, 500, 0], np.float32) for d in (134, 132))
    assert_rows(detected(posts[1], person, anchor=nearly), None)
    assert_rows(detected(posts[1], person, anchor=barely), person)
    assert_rows(detected(posts[3], person, anchor=nearly), None, person, None)
