"""The tests in tests/gpu, which need a GPU, pass where there is none: on the fake device, and with torch on the CPU.

So that on the day when there is a GPU they fail for its sake alone.
"""

from typing import Any

import numpy as np
import pytest
import torch

from engines.cuda_stages import IN_TURN, SIDE_BY_SIDE, Schedule
from tests.fake_device import FakeDevice
from tests.gpu import test_device as on_device
from tests.gpu import test_precision as in_torch


def test_bytes_go_up_and_come_back() -> None:
    device: Any = FakeDevice()
    on_device.test_bytes_go_up_and_come_back(device)


@pytest.mark.parametrize("schedule", [IN_TURN, SIDE_BY_SIDE], ids=lambda schedule: schedule.name)
def test_graphs_and_plain_enqueueing_give_the_same_bits_and_not_nothing(schedule: Schedule) -> None:
    pictures, results = on_device.noise(4), []
    for graphs in (True, False):
        device: Any = FakeDevice(seed=3)
        with on_device.copying_chain(device, schedule, graphs=graphs) as chain:
            assert chain.uses_graphs == graphs
            results.append(on_device.through(chain, pictures, 18))
    assert results[0] == results[1] and len(set(results[0])) > 3
    assert any(np.frombuffer(one, np.uint8).any() for one in results[0])


@pytest.mark.parametrize("check", [in_torch.check_detect, in_torch.check_pose, in_torch.check_encode])
def test_float16_agrees_with_float32(check: Any) -> None:
    check(torch.device("cpu"))
