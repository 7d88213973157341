"""The three graphs at float16 on a GPU against float32 on the CPU, with torch, which every build machine has."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engines.graphs.detect import DetectPost
from engines.graphs.encode import Encode
from engines.graphs.pose import PosePost
from engines.graphs.sampling import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    CropSampling,
    LetterboxSampling,
    Normalise,
)
from engines.networks.encoders import BonesEncoder
from tests.fixtures import BlobDetector, PlantedPose, bright_blob

FRAME, IMAGE, PEOPLE = (360, 480), (192, 256), 2


@pytest.fixture
def place() -> torch.device:
    """The GPU, for torch; cuda-python and TensorRT need not be there."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device that torch can use")
    return torch.device("cuda")


class Detect(nn.Module):
    """`frame`, `anchor` -> `boxes`, the network at float16."""

    def __init__(self, *, half: bool) -> None:
        super().__init__()
        self.half_precision = half
        self.before = nn.Sequential(LetterboxSampling(FRAME, IMAGE), Normalise())
        self.network = BlobDetector().half() if half else BlobDetector()
        self.post = DetectPost(FRAME, IMAGE, PEOPLE, bins=BlobDetector.bins, strides=BlobDetector.strides)

    def forward(self, frame: Tensor, anchor: Tensor) -> Tensor:
        picture = self.before(frame)
        boxes, classes = self.network(picture.half() if self.half_precision else picture)
        result: Tensor = self.post(boxes.float(), classes.float(), anchor)
        return result


class Pose(nn.Module):
    """`frame`, `boxes`, `state`, `seconds` -> keypoints and the rest, the network at float16."""

    def __init__(self, *, half: bool) -> None:
        super().__init__()
        self.half_precision = half
        self.sample = CropSampling(FRAME, PEOPLE)
        self.normalise = Normalise(IMAGENET_MEAN, IMAGENET_DEVIATION)
        self.network = PlantedPose().half() if half else PlantedPose()
        self.post = PosePost(0.3)

    def forward(self, frame: Tensor, boxes: Tensor, state: Tensor, seconds: Tensor) -> tuple[Tensor, ...]:
        picture = self.normalise(self.sample(frame, boxes))
        heatmaps = self.network(picture.half() if self.half_precision else picture)
        result: tuple[Tensor, ...] = self.post(heatmaps.float(), boxes, state, seconds)
        return result


def frame() -> Tensor:
    return torch.from_numpy(bright_blob(FRAME, 240, 180, 40))


BOXES = torch.tensor([[150.0, 60.0, 330.0, 300.0, 0.9], [10.0, 10.0, 100.0, 200.0, 0.8]])


def check_detect(place: torch.device) -> None:
    with torch.no_grad():
        wanted = Detect(half=False)(frame(), torch.zeros(5))
        got = Detect(half=True).to(place)(frame().to(place), torch.zeros(5, device=place)).cpu()
    assert wanted[0].any()
    np.testing.assert_allclose(got[0], wanted[0], atol=1.0)


def check_pose(place: torch.device) -> None:
    inputs = (frame(), BOXES, torch.zeros(PEOPLE, 17, 4), torch.ones(1))
    with torch.no_grad():
        wanted = Pose(half=False)(*inputs)
        got = [one.cpu() for one in Pose(half=True).to(place)(*(one.to(place) for one in inputs))]
    shift = torch.linalg.vector_norm((got[0] - wanted[0])[..., :2], dim=-1)
    assert shift.median() < 0.1
    np.testing.assert_allclose(got[0][..., 2], wanted[0][..., 2], atol=0.02)


def check_encode(place: torch.device) -> None:
    generator = torch.Generator().manual_seed(2)
    joints, targets = (torch.rand((count, 15, 3), generator=generator) * 0.6 + 0.4 for count in (PEOPLE, 5))
    inputs = (joints, targets, torch.ones(5, 15), torch.full((5,), 0.3))
    encode = Encode(BonesEncoder(), 0.3)
    with torch.no_grad():
        wanted = encode(*inputs)
        got = [one.cpu() for one in encode.to(place)(*(one.to(place) for one in inputs))]
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_detect_at_float16_on_the_gpu_finds_the_same_box(place: torch.device) -> None:
    check_detect(place)


def test_pose_at_float16_on_the_gpu_finds_the_same_keypoints(place: torch.device) -> None:
    check_pose(place)


def test_encode_on_the_gpu_gives_the_same_scores(place: torch.device) -> None:
    check_encode(place)
