"""The whole loop on a fake GPU: frames in pinned memory, two in flight, every frame accounted for, failures told."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines.cuda_chain import DEPTH, CudaChain
from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from engines.device import ABANDONED
from engines.device_chain import DeviceChain
from engines.errors import EXIT_GPU, GpuError, GpuHangError
from engines.execution import ChainInfo, CpuChain, read_chain
from realtime import watchdog
from realtime.cuda_executor import CudaExecutor, device_rows
from realtime.device_tracking import DeviceTracker
from realtime.executor import CpuExecutor
from realtime.frames import Capture, Room, no_room
from realtime.opening import answering, opened_executor
from realtime.pipeline import STALE_MS, Pipeline, Shown
from realtime.pose import Target
from realtime.results import NO_PERSON, FrameResult
from realtime.scoring import target_rows
from realtime.tracking import Tracker
from realtime.verdict import Judge
from realtime.watchdog import LIMIT_SECONDS, Watchdog
from tests.fake_device import FakeDevice, FakeEngine, engines_on
from tests.fixtures import bright_blob, tiny_graphs, write_engines
from tests.realtime.fakes import FakeClock, FakeSource, finished, standing_joints, wait_for

FRAME, IMAGE = (180, 320), (96, 160)
PICTURES = [bright_blob(FRAME, 60 + 6 * index, 90, 24) for index in range(16)]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> ChainInfo:
    folder: Path = tmp_path_factory.mktemp("engines")
    write_engines(folder, tiny_graphs(FRAME, IMAGE, 1), FRAME, IMAGE, 1)
    return read_chain(folder, "bones")


@pytest.fixture(scope="module")
def engines(info: ChainInfo) -> dict[str, FakeEngine]:
    return engines_on(FakeDevice(), info)


class BlobSource(FakeSource):
    """A blob that walks."""

    def read(self, stop: threading.Event, room: Room = no_room) -> Capture | None:
        capture = super().read(stop, room)
        if capture is None:
            return None
        return Capture(PICTURES[(self.reads - 1) % len(PICTURES)], capture.seconds, capture.captured_ns)


TARGET = Target("Standing", (320, 180), standing_joints())


@pytest.fixture
def loop(info: ChainInfo, engines: dict[str, FakeEngine]) -> Callable[..., Pipeline]:
    """A pipeline over a fake GPU."""

    def opened(
        device: FakeDevice,
        source: FakeSource,
        schedule: Schedule = IN_TURN,
        target: Target | None = TARGET,
        detect_every: int | None = None,
        clock: FakeClock | None = None,
        silence_ms: float = STALE_MS,
    ) -> Pipeline:
        for engine in engines.values():
            engine.device = device
        judge = Judge(info, target)
        chain = CudaChain(info, device, engines, device_rows(judge), schedule=schedule)
        tracker = DeviceTracker(1, detect_every=detect_every)
        clock = clock or FakeClock()
        executor = CudaExecutor(chain, judge, tracker, device.attach, watchdog=Watchdog(clock))
        return Pipeline(source, executor, FRAME, clock, silence_ms=silence_ms)

    return opened


@pytest.mark.parametrize("schedule", [IN_TURN, SIDE_BY_SIDE], ids=lambda schedule: schedule.name)
def test_every_frame_of_a_file_is_shown_once_in_order_and_with_its_own_picture(
    loop: Callable[..., Pipeline], schedule: Schedule
) -> None:
    device = FakeDevice(seed=3)
    pipeline = loop(device, BlobSource(len(PICTURES)), schedule)
    shown: list[int] = []

    def work() -> None:
        for one in pipeline.run():
            assert (one.image == PICTURES[one.result.frame]).all()  # nobody has written over what is drawn
            ledger = pipeline.ledger
            assert ledger.captured == ledger.shown + ledger.dropped + ledger.in_flight
            assert ledger.in_flight <= 3
            assert one.result.keypoints is not None and one.result.stages_ms["gpu"] > 0
            shown.append(one.result.frame)

    finished(work)
    assert shown == list(range(len(PICTURES)))
    assert (pipeline.ledger.shown, pipeline.ledger.dropped, pipeline.ledger.in_flight) == (len(PICTURES), 0, 0)


def test_a_live_source_that_is_faster_than_the_caller_drops_frames_and_loses_none_from_the_books(
    loop: Callable[..., Pipeline],
) -> None:
    source = BlobSource(60, live=True)
    pipeline = loop(FakeDevice(seed=5), source)
    pictures: list[tuple[int, bool]] = []

    def work() -> None:
        for one in pipeline.run():
            before = one.image.copy()
            for _ in range(50):
                ledger = pipeline.ledger
                with pipeline._mailbox.lock:
                    assert ledger.captured == ledger.shown + ledger.dropped + ledger.in_flight
            pictures.append((one.result.frame, bool((one.image == before).all())))

    finished(work)
    ledger = pipeline.ledger
    assert ledger.captured == 60 == ledger.shown + ledger.dropped and ledger.in_flight == 0
    assert all(same for _, same in pictures)
    assert all(one < other for (one, _), (other, _) in itertools.pairwise(pictures))


def test_a_result_does_not_wait_for_a_cameras_next_frame(loop: Callable[..., Pipeline]) -> None:
    shown_first = threading.Event()

    def before_read(index: int) -> None:
        if index == 1:
            assert shown_first.wait(20), "the first result waits for the second frame"

    pipeline = loop(FakeDevice(), BlobSource(2, live=True, before_read=before_read))

    def work() -> None:
        for _ in pipeline.run():
            shown_first.set()

    finished(work)
    assert pipeline.ledger.shown == 2


@pytest.mark.parametrize("what", ["copy", "launch", "record", "wait", "sync", "attach"])
def test_a_gpu_that_fails_ends_the_loop_with_exit_code_5_and_what_was_computed_before_is_shown(
    loop: Callable[..., Pipeline], what: str
) -> None:
    device = FakeDevice()
    pipeline = loop(device, BlobSource(None))
    chain = pipeline._executor._chain  # type: ignore[attr-defined]
    device.fails = {what: device.asked.get(what, 0) + (0 if what == "attach" else 7)}
    shown: list[Shown] = []

    def work() -> None:
        with pytest.raises(GpuError) as caught:
            for one in pipeline.run():
                shown.append(one)
        assert caught.value.exit_code == EXIT_GPU

    finished(work)
    assert what == "attach" or shown
    ledger = pipeline.ledger
    assert ledger.captured == ledger.shown + ledger.dropped and ledger.in_flight == 0
    assert ledger.shown == len(shown)
    assert [one.result.frame for one in shown] == list(range(len(shown)))
    if what in ("copy", "launch"):  # the frames that were in flight, and no more, are lost with the one that failed
        assert chain._count - len(shown) <= DEPTH


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
@pytest.mark.parametrize("what", ["copy", "launch", "sync"])
def test_a_gpu_that_hangs_ends_the_loop_with_exit_code_5_and_nothing_of_it_is_closed(
    loop: Callable[..., Pipeline], what: str, live: bool
) -> None:
    device, clock, released = FakeDevice(), FakeClock(), threading.Event()
    pipeline = loop(device, BlobSource(None if live else 40, live=live, clock=clock), clock=clock, silence_ms=20)
    device.hangs = {what: device.asked.get(what, 0) + 7}
    shown: list[Shown] = []

    def hang() -> None:
        clock.advance(LIMIT_SECONDS + 0.1)
        wait_for(released)

    device.on_hang = hang

    def work() -> None:
        chain = pipeline._executor._chain  # type: ignore[attr-defined]
        with pytest.raises(GpuHangError, match=r"not answered for 5\.1 s.*--backend onnx") as caught, chain:
            shown.extend(one for one in pipeline.run() if not one.repeated)
        assert caught.value.exit_code == EXIT_GPU

    try:
        finished(work)
    finally:
        released.set()
    assert shown or live
    ledger = pipeline.ledger
    assert ledger.captured == ledger.shown + ledger.dropped and ledger.in_flight == 0
    assert ledger.shown == len(shown)
    assert device.contexts > 0  # left alone: to free anything would wait for the GPU
    assert ABANDONED.pop() is pipeline._executor._chain  # type: ignore[attr-defined]


def test_without_a_target_there_is_a_person_and_no_score(loop: Callable[..., Pipeline]) -> None:
    results = []
    pipeline = loop(FakeDevice(), BlobSource(3), target=None)
    finished(lambda: results.extend(one.result for one in pipeline.run()))
    assert [result.reason for result in results] == ["no target"] * 3
    assert all(result.score is None and result.box is not None for result in results)


def test_the_next_pose_of_a_routine_counts_from_the_next_submitted_frame_on(
    loop: Callable[..., Pipeline], info: ChainInfo
) -> None:
    looked: list[FrameResult] = []
    finished(lambda: looked.extend(one.result for one in loop(FakeDevice(), BlobSource(12)).run()))
    unseen = tuple({name for result in looked for name in result.missing})
    assert 0 < len(unseen) < 12
    joints = standing_joints()
    joints[[7, 8], 1] -= 60  # an arm up
    first_pose = Target("Standing", (320, 180), standing_joints(), ignore=unseen)
    second = Target("Arm up", (320, 180), joints, ignore=unseen, match_mirrored=True)
    pipeline = loop(FakeDevice(seed=4), BlobSource(12), target=first_pose)
    results = []

    def work() -> None:
        for one in pipeline.run():
            results.append(one.result)
            if one.result.frame == 4:
                pipeline._executor.aim(second)  # type: ignore[attr-defined]

    finished(work)
    names = [result.target for result in results]
    first = names.index("Arm up")
    assert 5 <= first <= 8  # those under way are judged by what they were compared with
    assert names == ["Standing"] * first + ["Arm up"] * (12 - first)
    cpu = CpuChain(info, sampling="graph", threads=1)
    for result in results:
        rows = target_rows(first_pose if result.target == "Standing" else second)
        assert result.joints is not None and result.score is not None
        wanted = cpu.encode(result.joints[None], rows).score[0]
        assert result.score == pytest.approx(wanted.max(), abs=1e-3)
        assert result.mirrored == bool(wanted.argmax())
    assert results[first].score != pytest.approx(results[first - 1].score, abs=0.5)


def test_another_person_is_chosen_on_the_device_too(
    loop: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = np.maximum(bright_blob(FRAME, 70, 90, 20), bright_blob(FRAME, 250, 90, 20))
    monkeypatch.setattr("tests.realtime.test_cuda_executor.PICTURES", [pair])
    pipeline = loop(FakeDevice(seed=6), BlobSource(16))
    seen: list[tuple[int, float]] = []

    def work() -> None:
        for one in pipeline.run():
            result = one.result
            assert result.box is not None
            seen.append((result.person, float(result.box[0] + result.box[2]) / 2))
            if result.frame == 5:
                far = max(result.others, key=lambda other: abs(float(other.box[0] + other.box[2]) / 2 - seen[0][1]))
                pipeline._executor.choose(far.id)  # type: ignore[attr-defined]

    finished(work)
    people = [person for person, _ in seen]
    first = next(index for index, person in enumerate(people) if person != people[0])
    assert 6 <= first <= 9 and set(people[first:]) == {people[first]}
    assert max(x for _, x in seen[first:]) - min(x for _, x in seen[first:]) < 10
    assert abs(seen[first][1] - seen[0][1]) > 60


def test_frames_that_the_detector_misses_are_the_cpus_to_the_last_number(
    loop: Callable[..., Pipeline], info: ChainInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    dim = {4, 5, 9}
    pictures = [picture // 2 if index in dim else picture for index, picture in enumerate(PICTURES)]
    monkeypatch.setattr("tests.realtime.test_cuda_executor.PICTURES", pictures)
    on_gpu: list[FrameResult] = []
    device = FakeDevice(seed=8)
    finished(lambda: on_gpu.extend(one.result for one in loop(device, BlobSource(len(pictures))).run()))
    executor = CpuExecutor(CpuChain(info, sampling="graph", threads=1), TARGET, Tracker(1, detect_every=1))
    pipeline = Pipeline(BlobSource(len(pictures)), executor, FRAME, FakeClock())
    detected = [CpuChain(info, sampling="graph", threads=1).detect(one, np.zeros(4, np.float32)) for one in pictures]
    assert {index for index, boxes in enumerate(detected) if not boxes.any()} == dim
    for index, one in enumerate(pipeline.run()):
        wanted, seen = one.result, on_gpu[index]
        assert (seen.status, seen.reason, seen.person) == (wanted.status, wanted.reason, wanted.person), index
        for name in ("box", "keypoints", "joints"):
            np.testing.assert_allclose(getattr(seen, name), getattr(wanted, name), rtol=1e-5, atol=1e-3)
        assert seen.score == wanted.score or seen.score == pytest.approx(wanted.score, abs=1e-3)


def test_nobody_in_view_is_said(loop: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.realtime.test_cuda_executor.PICTURES", [np.zeros((*FRAME, 3), np.uint8)])
    results = []
    pipeline = loop(FakeDevice(), FakeSource(3, size=(FRAME[1], FRAME[0])))
    finished(lambda: results.extend(one.result for one in pipeline.run()))
    assert [result.status for result in results] == [NO_PERSON] * 3


def test_frames_of_another_size_are_fitted_into_pinned_memory(loop: Callable[..., Pipeline]) -> None:
    shapes: list[tuple[int, ...]] = []
    pipeline = loop(FakeDevice(), FakeSource(5, size=(100, 200)))

    def work() -> None:
        for one in pipeline.run():
            shapes.append(one.image.shape)
            bars: npt.NDArray[np.uint8] = one.image[:, :10]
            assert not bars.any()
            assert (one.image[90, 160] == one.result.frame).all()

    finished(work)
    assert shapes == [(*FRAME, 3)] * 5


def test_the_detector_can_rest(loop: Callable[..., Pipeline]) -> None:
    device = FakeDevice()
    pipeline = loop(device, BlobSource(10), detect_every=5)
    finished(lambda: [None for _ in pipeline.run()])  # type: ignore[func-returns-value]
    assert pipeline.ledger.shown == 10


@pytest.mark.parametrize("when", ["warmed up", "captured", "asked for a target", "closed"])
def test_a_gpu_that_hangs_before_or_after_the_frames_ends_the_program(
    info: ChainInfo, engines: dict[str, FakeEngine], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    device, ended, released = FakeDevice(), [], threading.Event()
    for engine in engines.values():
        engine.device = device
    device.on_hang = lambda: wait_for(released)

    def end(error: GpuHangError) -> None:  # the process would be over now
        ended.append(str(error))
        released.set()

    monkeypatch.setattr(watchdog, "end_at_once", end)
    monkeypatch.setattr("realtime.opening.CLOSE_SECONDS", 0.02 if when == "closed" else 3600.0)
    chain = DeviceChain(info, device, engines)
    limits = {"asked for a target": 3600.0, "closed": 3600.0}
    if when == "asked for a target":
        device.hangs = {"sync": device.asked.get("sync", 0)}
        with answering(chain, "a target was looked for", 0.02):
            chain.detect(PICTURES[0], np.zeros(4, np.float32))
    if when in ("warmed up", "captured"):
        device.hangs = {"sync": device.asked.get("sync", 0) + 5} if when == "warmed up" else {"capture": 2}
    how = {"detect_every": None, "smoothing": True, "stills": False, "seconds": limits.get(when, 0.02)}
    with opened_executor(chain, TARGET, **how):  # type: ignore[arg-type]
        if when == "closed":
            device.hangs = {"sync": device.asked.get("sync", 0)}
    said = {"warmed up": "the engines were warmed up", "captured": "the engines were warmed up",
            "asked for a target": "a target was looked for", "closed": "the engines were closed"}[when]  # fmt: skip
    assert released.is_set() and f"has not answered for 0.02 s while {said}" in ended[0]


def test_what_runs_a_chain_on_a_gpu_closes_it_too(info: ChainInfo, engines: dict[str, FakeEngine]) -> None:
    device = FakeDevice()
    for engine in engines.values():
        engine.device, engine.closed = device, False
    chain = DeviceChain(info, device, engines)
    with opened_executor(chain, TARGET, detect_every=None, smoothing=True, stills=True) as executor:
        assert isinstance(executor, CudaExecutor) and executor.depth == 2
        pipeline = Pipeline(BlobSource(4), executor, FRAME, FakeClock())
        finished(lambda: [None for _ in pipeline.run()])  # type: ignore[func-returns-value]
        assert pipeline.ledger.shown == 4
    assert device.closed and device.contexts == 0 and all(engine.closed for engine in engines.values())
