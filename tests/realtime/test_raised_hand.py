"""Asking to be scored by a raised hand: which poses count, for how long, and what the station makes of it."""

import numpy as np
import numpy.typing as npt
import pytest

from engines.execution import PoseOutput
from engines.skeleton import JOINT_INDEX
from realtime.executor import CpuExecutor
from realtime.frames import Frame
from realtime.raised_hand import RAISED_SECONDS, Look, RaisedHands, raised_side
from realtime.results import Bystander
from realtime.routine import single
from realtime.station import Station
from realtime.tracking import Tracker
from tests.realtime.fakes import FRAME_SIZE, FakeChain, result_of, standing_joints, standing_target

Floats = npt.NDArray[np.float32]

PICTURE = np.full((FRAME_SIZE[1], FRAME_SIZE[0], 3), 128, np.uint8)
OTHER = (210, 20, 300, 170)


def raising(*sides: str, by: float = 0.35, confidence: float = 0.9) -> Floats:
    """The standing person with hands above the head, by a part of their height."""
    joints = standing_joints(OTHER, 0.9)
    for side in sides:
        joints[JOINT_INDEX[f"{side}_wrist"]] = (*joints[JOINT_INDEX["head"], :2] - (0, by * 150), confidence)
    return joints


@pytest.mark.parametrize(
    ("joints", "side"),
    [
        (raising("left"), "left"),
        (raising("right"), "right"),
        (raising(), ""),
        (raising("left", "right"), ""),
        (raising("left", by=0.02), ""),
        (raising("left", confidence=0.1), ""),
    ],
    ids=["left", "right", "none", "both", "at the ear", "unseen"],
)
def test_one_hand_clearly_above_the_head_counts(joints: Floats, side: str) -> None:
    assert raised_side(joints, 0.3) == side


def test_a_hand_counts_after_two_seconds_and_says_how_far_it_is() -> None:
    hands, shares = RaisedHands(0.3), []
    for tenth in range(21):
        bids, done = hands.update(tenth / 10, [Look(7, raising("left"), tenth / 10)], None)
        shares.append(bids[0].share)
        assert bids[0].person == 7
        assert done == (7 if tenth == 20 else None)
    assert shares[0] == 0 and shares[10] == pytest.approx(0.5) and shares[20] == 1


def test_a_hand_that_comes_down_has_to_begin_again() -> None:
    hands = RaisedHands(0.3)
    for tenth in range(60):
        joints = raising() if tenth % 18 >= 10 else raising("left")
        assert hands.update(tenth / 10, [Look(1, joints, tenth / 10)], None)[1] is None


def test_a_hand_that_is_unseen_for_a_moment_goes_on() -> None:
    hands = RaisedHands(0.3)
    looks = [Look(1, raising("left"), t) for t in (0, 0.5, 1.0, 1.1, 1.6, 2.0)]
    done = [hands.update(look.seconds, [look] if look.seconds != 1.0 else [], None)[1] for look in looks]
    assert done == [None] * 5 + [1]


def test_one_look_at_a_hand_is_no_request_however_often_it_is_told() -> None:
    hands, look = RaisedHands(0.3), Look(1, raising("left"), 0.0)
    bids = [hands.update(tenth / 10, [look], None) for tenth in range(60)]
    assert all(done is None for _, done in bids)
    assert [len(shown) for shown, _ in bids] == [1] * 8 + [0] * 52


def test_a_request_is_complete_with_a_hand_seen_up_after_two_seconds() -> None:
    hands = RaisedHands(0.3)
    seen = {time: Look(1, raising("left"), time) for time in (0.0, 0.5, 1.0, 1.5, 1.9, 2.4)}
    done = []
    for tenth in range(25):
        last = seen[max(time for time in seen if time <= tenth / 10)]
        done.append(hands.update(tenth / 10, [last], None)[1])
    assert done == [None] * 24 + [1]


def test_a_hand_that_the_target_raises_too_is_no_request() -> None:
    """Whoever does the exercise beside the locked person does not take their place."""
    hands, target = RaisedHands(0.3), raising("left")
    assert all(
        hands.update(tenth / 10, [Look(1, raising("left"), tenth / 10)], target) == ((), None) for tenth in range(40)
    )
    bids, _ = hands.update(5.0, [Look(1, raising("right"), 5.0)], target)
    assert len(bids) == 1


def scene(joints: Floats, seconds: float, *, locked: bool = False) -> tuple[list[int | None], list[int]]:
    """Who was chosen, and how many rings were shown at each frame, while somebody holds `joints`."""
    chosen: list[int | None] = []
    station = Station(single(standing_target()), FRAME_SIZE, 0.3, choose=chosen.append)
    rings = []
    for tenth in range(round(seconds * 10) + 1):
        others = () if locked else (Bystander(4, np.array(OTHER, np.float32), joints, tenth / 10),)
        result = result_of(tenth, seconds=tenth / 10, others=others, **({"joints": joints} if locked else {}))
        result = station.take(result, PICTURE)
        rings.append(len(station.view(result, "")[1].bids))
    return chosen, rings


def test_the_station_locks_whoever_holds_a_hand_up_and_shows_a_ring_until_then() -> None:
    chosen, rings = scene(raising("right"), RAISED_SECONDS)
    assert chosen == [4] and set(rings) == {1}


def test_a_hand_raised_by_the_locked_person_changes_nothing() -> None:
    assert scene(raising("right"), 4, locked=True) == ([], [0] * 41)


def test_a_key_asks_for_the_next_person() -> None:
    chosen: list[int | None] = []
    station = Station(single(standing_target()), FRAME_SIZE, 0.3, choose=chosen.append)
    for key in "o\t":
        station.press(ord(key))
    assert chosen == [None, None]


class Row(FakeChain):
    """Five people side by side, engines for one; the last one holds a hand up in a span of seconds."""

    def __init__(self, up: tuple[float, float]) -> None:
        super().__init__(1)
        self._boxes = [(20 + 62 * index, 80, 44 + 62 * index, 170, 0.9 - 0.01 * index) for index in range(5)]
        self._up, self.now = up, 0.0

    def detect(self, frame: Floats, anchor: Floats) -> Floats:
        result = np.zeros((8, 5), np.float32)
        result[:5] = self._boxes
        return result

    def pose(self, frame: Floats, boxes: Floats, state: Floats, seconds: float) -> PoseOutput:
        seen = super().pose(frame, boxes, state, seconds)
        if self._up[0] <= self.now < self._up[1] and abs(boxes[0, 0] - self._boxes[-1][0]) < 20:
            seen.joints[0, JOINT_INDEX["left_wrist"], :2] = seen.joints[0, JOINT_INDEX["head"], :2] - (0, 50)
        return seen


@pytest.mark.parametrize(("fps", "detect_every"), [(30, None), (20, None), (15, None), (10, 5)])
@pytest.mark.parametrize(("up", "locks"), [((2.0, 2.2), False), ((2.0, 9.0), True)])
def test_among_four_others_a_hand_counts_while_it_is_up(
    up: tuple[float, float], locks: bool, fps: int, detect_every: int | None
) -> None:
    chain = Row(up)
    executor = CpuExecutor(chain, standing_target(), Tracker(1, detect_every=detect_every))
    chosen: list[float] = []

    def choose(person: int | None) -> None:
        chosen.append(chain.now)
        executor.choose(person)

    station = Station(single(standing_target()), FRAME_SIZE, 0.3, choose=choose)
    for index in range(fps * 9):
        chain.now = index / fps
        executor.submit(Frame(PICTURE, index, chain.now, 0), wait_ms=0)
        station.take(executor.collect(), PICTURE)
    assert len(chosen) == locks
    assert not chosen or up[0] + RAISED_SECONDS <= chosen[0] <= up[1]
