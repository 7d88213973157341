"""The chain on a GPU, on a fake one: same numbers as one engine after the other, whatever order the GPU works in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines.cuda_chain import DEPTH, ChainOutput, CudaChain
from engines.cuda_memory import HOST_FRAMES
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from engines.device import ABANDONED
from engines.device_chain import DeviceChain
from engines.errors import EXIT_GPU, GpuError
from engines.execution import ChainInfo, CpuChain, Targets, read_chain
from tests.fake_device import FakeDevice, FakeEngine, RaceError, engines_on
from tests.fixtures import bright_blob, tiny_graphs, write_engines

FRAME, IMAGE, PEOPLE = (180, 320), (96, 160), 2
SCHEDULES = [IN_TURN, SIDE_BY_SIDE]
Floats = npt.NDArray[np.float32]
Frames = list[npt.NDArray[np.uint8]]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> ChainInfo:
    folder: Path = tmp_path_factory.mktemp("engines")
    write_engines(folder, tiny_graphs(FRAME, IMAGE, PEOPLE), FRAME, IMAGE, PEOPLE)
    return read_chain(folder, "bones")


@pytest.fixture(scope="module")
def engines(info: ChainInfo) -> dict[str, FakeEngine]:
    return engines_on(FakeDevice(), info)


@pytest.fixture(scope="module")
def targets() -> Targets:
    generator = np.random.default_rng(3)
    joints = generator.uniform(0.3, 1, (3, 15, 3)).astype(np.float32)
    return Targets(joints, np.ones((3, 15), np.float32), np.full(3, 0.3, np.float32))


@pytest.fixture(scope="module")
def pictures() -> Frames:
    """A blob that walks to the right."""
    return [bright_blob(FRAME, 60 + 12 * index, 90, 24) for index in range(8)]


@contextmanager
def opened(
    info: ChainInfo,
    engines: dict[str, FakeEngine],
    targets: Targets,
    device: FakeDevice,
    schedule: Schedule = IN_TURN,
    *,
    smoothing: bool = True,
    graphs: bool = True,
) -> Iterator[CudaChain]:
    for engine in engines.values():
        engine.device = device
    with CudaChain(info, device, engines, targets, smoothing=smoothing, schedule=schedule, graphs=graphs) as chain:
        yield chain


def begin(chain: CudaChain, picture: npt.NDArray[np.uint8], **how: object) -> npt.NDArray[np.uint8]:
    buffer = chain.frames.take()
    assert buffer is not None
    buffer[:] = picture
    chain.submit(buffer, seconds=0.04, **how)  # type: ignore[arg-type]
    return buffer


def through(chain: CudaChain, pictures: Frames, detect: list[bool]) -> list[ChainOutput]:
    """All pictures, two in flight, as the loop does it."""
    outputs, buffers = [], []
    for picture, looks in zip(pictures, detect, strict=True):
        if chain.in_flight == DEPTH:
            outputs.append(chain.collect())
            chain.frames.give_back(buffers.pop(0))
        buffers.append(begin(chain, picture, detect=looks))
    while chain.in_flight:
        outputs.append(chain.collect())
    return outputs


def one_by_one(
    info: ChainInfo, targets: Targets, pictures: Frames, detect: list[bool], anchor_age: int, smoothing: bool = True
) -> list[tuple[Floats, ...]]:
    """The same frames, engine after engine."""
    chain = CpuChain(info, sampling="graph", threads=1)
    nobody = np.zeros((PEOPLE, 5), np.float32)
    left, state, results = [nobody] * anchor_age, np.zeros((PEOPLE, 17, 4), np.float32), []
    for picture, looks in zip(pictures, detect, strict=True):
        boxes = chain.detect(picture, left[-anchor_age][0]) if looks else left[-1]
        pose = chain.pose(picture, boxes[:PEOPLE], state if smoothing else np.zeros_like(state), 0.04)
        encoded = chain.encode(pose.joints, targets)
        left, state = [*left, pose.next_boxes], pose.state
        results.append((boxes, pose.keypoints, pose.joints, pose.next_boxes, encoded.distance, encoded.score))
    return results


def assert_same(outputs: list[ChainOutput], wanted: list[tuple[Floats, ...]]) -> None:
    assert len(outputs) == len(wanted)
    for index, (output, numbers) in enumerate(zip(outputs, wanted, strict=True)):
        pose, encoded = output.pose, output.encoded
        seen = (
            output.boxes[: len(numbers[0])],
            pose.keypoints,
            pose.joints,
            pose.next_boxes,
            encoded.distance,
            encoded.score,
        )
        for one, other in zip(seen, numbers, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4, err_msg=f"frame {index}")


ALWAYS = [True] * 8
NOW_AND_THEN = [True, False, True, False, False, True, False, False]


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "enqueue"])
@pytest.mark.parametrize("detect", [ALWAYS, NOW_AND_THEN], ids=["always", "now and then"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_frames_give_the_numbers_of_one_engine_after_the_other(
    info: ChainInfo,
    engines: dict[str, FakeEngine],
    targets: Targets,
    pictures: Frames,
    schedule: Schedule,
    detect: list[bool],
    graphs: bool,
) -> None:
    wanted = one_by_one(info, targets, pictures, detect, schedule.anchor_age)
    assert wanted[-1][3][0].any()  # somebody is followed
    with opened(info, engines, targets, FakeDevice(seed=1), schedule, graphs=graphs) as chain:
        assert (chain.uses_graphs, chain.not_captured) == (graphs, "")
        assert_same(through(chain, pictures, detect), wanted)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_the_order_in_which_the_gpu_works_changes_nothing(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames, schedule: Schedule, seed: int
) -> None:
    wanted = one_by_one(info, targets, pictures[:4], NOW_AND_THEN[:4], schedule.anchor_age)
    with opened(info, engines, targets, FakeDevice(seed=seed), schedule) as chain:
        assert_same(through(chain, pictures[:4], NOW_AND_THEN[:4]), wanted)


def test_without_smoothing_no_frame_knows_the_one_before(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames
) -> None:
    wanted = one_by_one(info, targets, pictures[:4], ALWAYS[:4], 1, smoothing=False)
    with opened(info, engines, targets, FakeDevice(), smoothing=False) as chain:
        assert_same(through(chain, pictures[:4], ALWAYS[:4]), wanted)


def test_a_frame_is_one_launch_and_allocates_nothing(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames
) -> None:
    device = FakeDevice()
    with opened(info, engines, targets, device) as chain:
        allocated, enqueued = device.allocated, device.asked["enqueue"]
        through(chain, pictures, NOW_AND_THEN)
        assert (device.allocated, device.asked["enqueue"], device.launches) == (allocated, enqueued, len(pictures))


@pytest.mark.parametrize("reason", ["device", "engine"])
def test_what_cannot_be_captured_is_enqueued(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames, reason: str
) -> None:
    device = FakeDevice(captures=reason != "device")
    engines["pose"].is_capturable = reason != "engine"
    try:
        with opened(info, engines, targets, device) as chain:
            assert not chain.uses_graphs
            wanted = one_by_one(info, targets, pictures[:3], ALWAYS[:3], 1)
            assert_same(through(chain, pictures[:3], ALWAYS[:3]), wanted)
            assert device.launches == 0
            said = {"device": "this fake captures nothing", "engine": "pose cannot be captured"}
            assert chain.not_captured == said[reason]
    finally:
        engines["pose"].is_capturable = True


@pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "enqueue"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_each_frame_is_compared_with_the_targets_it_was_given(
    info: ChainInfo,
    engines: dict[str, FakeEngine],
    targets: Targets,
    pictures: Frames,
    schedule: Schedule,
    graphs: bool,
) -> None:
    other = Targets(targets.joints[::-1] * 0.5, targets.counts * np.float32([[1], [0], [1]]), targets.width * 2)
    given = [None, None, other, None, targets, other, targets, None]
    meant = [targets, targets, other, other, targets, other, targets, targets]
    outputs, buffers = [], []
    with opened(info, engines, targets, FakeDevice(seed=2), schedule, graphs=graphs) as chain:
        allocated = chain._device.allocated  # type: ignore[attr-defined]
        for picture, change in zip(pictures, given, strict=True):
            if chain.in_flight == DEPTH:
                outputs.append(chain.collect())
                chain.frames.give_back(buffers.pop(0))
            buffers.append(begin(chain, picture, targets=change))
        while chain.in_flight:
            outputs.append(chain.collect())
        assert chain._device.allocated == allocated  # type: ignore[attr-defined]
    cpu = CpuChain(info, sampling="graph", threads=1)
    for output, rows in zip(outputs, meant, strict=True):
        wanted = cpu.encode(output.pose.joints, rows)
        np.testing.assert_allclose(output.encoded.distance, wanted.distance, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(output.encoded.score, wanted.score, rtol=1e-4, atol=1e-3)
    assert not np.allclose(cpu.encode(outputs[0].pose.joints, other).score, outputs[0].encoded.score)


@pytest.mark.parametrize("followed", [0, 1], ids=["looked for", "followed"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
def test_the_host_can_say_whom_to_stay_with(
    info: ChainInfo,
    engines: dict[str, FakeEngine],
    targets: Targets,
    pictures: Frames,
    schedule: Schedule,
    seed: int,
    followed: int,
) -> None:
    far = np.zeros((PEOPLE, 5), np.float32)
    far[0] = 300, 10, 318, 40, followed  # nobody there: row 0 has no detection, and the blob is in row 1
    with opened(info, engines, targets, FakeDevice(seed=seed), schedule) as chain:
        for picture, override in zip(pictures[:3], (None, None, far), strict=True):
            begin(chain, picture, override=override)
            if chain.in_flight == DEPTH:
                before = chain.collect()
        last = chain.collect()
    assert before.boxes[0].any()
    assert last.boxes[0].tolist() == ([300, 10, 318, 40, 0] if followed else [0] * 5)
    assert last.boxes[1, 4] > 0 and last.pose.next_boxes[0].any() == bool(followed)


def test_a_frame_that_is_written_while_it_goes_up_is_a_race(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames
) -> None:
    """The fake sees what it is there to see."""
    with opened(info, engines, targets, FakeDevice()) as chain:
        buffer = begin(chain, pictures[0])
        chain.frames.give_back(buffer)
        with pytest.raises(RaceError):
            for _ in range(HOST_FRAMES):
                chain.frames.take()


def test_stages_side_by_side_race_without_their_events(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(info, engines, targets, FakeDevice(), SIDE_BY_SIDE) as chain:
        monkeypatch.setattr(type(chain._stages.streams[0]), "wait", lambda *_: None)
        with pytest.raises(RaceError):
            begin(chain, pictures[0])


def test_four_pinned_frames_are_lent_and_taken_back(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets
) -> None:
    with opened(info, engines, targets, FakeDevice()) as chain:
        lent = [chain.frames.take() for _ in range(HOST_FRAMES)]
        assert all(one is not None and one.shape == (*FRAME, 3) for one in lent)
        assert chain.frames.take() is None
        chain.frames.give_back(np.zeros((*FRAME, 3), np.uint8))  # not of this pool
        assert chain.frames.take() is None
        assert lent[2] is not None
        chain.frames.give_back(lent[2])
        again = chain.frames.take()
        assert again is not None and again.ctypes.data == lent[2].ctypes.data


# ---- failures


@pytest.mark.parametrize("what", ["copy", "launch", "record", "wait", "sync"])
def test_a_failing_gpu_is_one_error_with_exit_code_5_and_stays_failed(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames, what: str
) -> None:
    device = FakeDevice()
    with opened(info, engines, targets, device) as chain:
        device.fails = {what: device.asked.get(what, 0) + 2}
        with pytest.raises(GpuError) as caught:
            through(chain, pictures, ALWAYS)
        assert caught.value.exit_code == EXIT_GPU
        with pytest.raises(GpuError):
            begin(chain, pictures[0]) if chain.in_flight < DEPTH else chain.collect()
    assert device.contexts == 0


def test_a_chain_that_a_failure_leaves_is_not_closed(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames
) -> None:
    device = FakeDevice()
    with pytest.raises(GpuError), opened(info, engines, targets, device) as chain:
        device.fails = {"copy": device.asked.get("copy", 0) + 2}
        through(chain, pictures, ALWAYS)
    assert ABANDONED.pop() is chain and device.contexts > 0  # the driver would warn of each piece that it cannot free


@pytest.mark.parametrize("what", ["memory", "host_memory", "copy", "enqueue", "sync", "capture"])
def test_a_failure_while_opening_leaves_nothing_open(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, what: str
) -> None:
    device = FakeDevice(fails={what: 3})
    with pytest.raises(GpuError), opened(info, engines, targets, device):
        pass
    assert device.contexts == 0


def test_engines_one_call_at_a_time_agree_with_a_cpu_and_are_closed(
    info: ChainInfo, engines: dict[str, FakeEngine], targets: Targets, pictures: Frames
) -> None:
    device = FakeDevice()
    for engine in engines.values():
        engine.device, engine.closed = device, False
    chain = DeviceChain(info, device, engines)
    cpu = CpuChain(info, sampling="graph", threads=1)
    boxes = chain.detect(pictures[0], np.zeros(4, np.float32))
    state = np.zeros((PEOPLE, 17, 4), np.float32)
    pose, wanted = (one.pose(pictures[0], boxes[:PEOPLE], state, 0.0) for one in (chain, cpu))
    np.testing.assert_allclose(boxes, cpu.detect(pictures[0], np.zeros(4, np.float32)), rtol=1e-5)
    for one, other in zip(vars(pose).values(), vars(wanted).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
    for count in (3, 1, 3):
        rows = Targets(targets.joints[:count], targets.counts[:count], targets.width[:count])
        assert chain.encode(pose.joints, rows).score.shape == (PEOPLE, count)
    chain.close()
    assert device.closed and device.contexts == 0 and all(engine.closed for engine in engines.values())
