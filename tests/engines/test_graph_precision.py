"""The real networks at float16 against float32, on real pictures, in the whole graphs."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engines.graphs.chain import Graphs, encode_graph
from engines.graphs.parts import audit_types, tensor_types
from engines.host_sampling import letterbox
from engines.networks.encoders import BonesEncoder
from tests.conftest import FRAME_SIZE
from tests.fixtures import Array, open_graph, run

PRECISIONS = ("fp32", "fp16")
FLOAT32 = 1
RealDetect = Callable[[str], Graphs]
RealPose = Callable[[str, int], Graphs]


@pytest.fixture(scope="module")
def frames(shared: Path) -> dict[str, npt.NDArray[np.uint8]]:
    """Two real pictures in the frame of the graphs."""
    pictures = {name: cv2.imread(str(shared / "media" / name)) for name in ("bus.jpg", "zidane.jpg")}
    return {name: letterbox(picture, FRAME_SIZE) for name, picture in pictures.items()}


@pytest.mark.parametrize("form", ["whole", "cut"])
def test_float16_graphs_of_the_real_networks_pass_the_audit(
    real_detect: RealDetect, real_pose: RealPose, form: str
) -> None:
    for graphs in (real_detect("fp16"), real_pose("fp16", 1)):
        model = getattr(graphs, form)
        audit_types(model, "fp16")
        types = tensor_types(model)
        outside = [node for node in model.graph.node if not node.name.startswith("network/")]
        assert sum(node.op_type == "Conv" for node in model.graph.node) > 50
        assert all(node.op_type != "Conv" for node in outside)
        assert all(types[value.name] == FLOAT32 for value in model.graph.output)


def test_float16_moves_boxes_by_less_than_half_a_pixel(
    real_detect: RealDetect, frames: dict[str, npt.NDArray[np.uint8]]
) -> None:
    graphs = {precision: open_graph(real_detect(precision).whole) for precision in PRECISIONS}
    for frame in frames.values():
        single, halved = (
            run(graphs[precision], frame=frame, anchor=np.zeros(5, np.float32))[0] for precision in PRECISIONS
        )
        assert single[0, 4] > 0.5
        np.testing.assert_allclose(halved[:, :4], single[:, :4], atol=0.5)
        np.testing.assert_allclose(halved[:, 4], single[:, 4], atol=2e-3)


def test_float16_leaves_the_usual_keypoint_and_the_score_where_they_were(
    real_detect: RealDetect, real_pose: RealPose, frames: dict[str, npt.NDArray[np.uint8]]
) -> None:
    detector = open_graph(real_detect("fp32").whole)
    graphs = {precision: open_graph(real_pose(precision, 1).whole) for precision in PRECISIONS}
    encoder = open_graph(encode_graph(BonesEncoder(), 1, 0.3).whole)
    shifts = []
    for frame in frames.values():
        (boxes,) = run(detector, frame=frame, anchor=np.zeros(5, np.float32))
        inputs: dict[str, Array] = {
            "boxes": boxes, "state": np.zeros((1, 17, 4), np.float32), "seconds": np.ones(1, np.float32)
        }  # fmt: skip
        (single, single_joints, *_), (halved, halved_joints, *_) = (
            run(graphs[precision], frame=frame, **inputs) for precision in PRECISIONS
        )
        visible = single[..., 2] >= 0.3
        shifts.append(np.linalg.norm(single[visible] - halved[visible], axis=-1))
        np.testing.assert_allclose(halved[..., 2], single[..., 2], atol=0.02)
        counts, width = np.ones((1, 15), np.float32), np.full(1, 0.3, np.float32)
        _, _, score = run(encoder, joints=halved_joints, targets=single_joints, counts=counts, width=width)
        assert score[0, 0] > 99.5
    shift_px = np.concatenate(shifts)
    assert len(shift_px) > 20 and np.median(shift_px) <= 0.1 and shift_px.max() <= 1
