"""The three graphs at float16 on a GPU against float32 on the CPU, with torch, which every build machine has."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_engine import Detect, Pose
from engines.graphs.encode import Encode
from engines.networks.encoders import BonesEncoder
from tests.fixtures import BlobDetector, PlantedPose, bright_blob

FRAME, IMAGE, PEOPLE = (360, 480), (192, 256), 2


def detect(*, half: bool) -> Detect:
    return Detect(BlobDetector(), FRAME, IMAGE, PEOPLE, half=half)


def pose(*, half: bool) -> Pose:
    return Pose(PlantedPose(), FRAME, PEOPLE, 0.3, half=half)


def frame() -> Tensor:
    return torch.from_numpy(bright_blob(FRAME, 240, 180, 40))


BOXES = torch.tensor([[150.0, 60.0, 330.0, 300.0, 0.9], [10.0, 10.0, 100.0, 200.0, 0.8]])


def check_detect(place: torch.device) -> None:
    with torch.no_grad():
        wanted = detect(half=False)(frame(), torch.zeros(5))[0]
        got = detect(half=True).to(place)(frame().to(place), torch.zeros(5, device=place))[0].cpu()
    assert wanted[0].any()
    np.testing.assert_allclose(got[0], wanted[0], atol=1.0)


def check_pose(place: torch.device) -> None:
    inputs = (frame(), BOXES, torch.zeros(PEOPLE, 17, 4), torch.ones(1))
    with torch.no_grad():
        wanted = pose(half=False)(*inputs)
        got = [one.cpu() for one in pose(half=True).to(place)(*(one.to(place) for one in inputs))]
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
