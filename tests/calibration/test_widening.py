"""A larger compact network that begins as a smaller one."""

from dataclasses import replace

import pytest
import torch

from calibration.widening import joined_inputs, widened
from engines.errors import EngineError
from engines.networks.hrnet import HRNET_CONFIGS, HRNet
from engines.networks.yolov5_compact import YoloCompact, YoloConfig

SMALL = YoloConfig(widths=(8, 8, 16, 24, 32), depths=(1, 1, 1, 1), head_width=16)
WIDER = YoloConfig(widths=(8, 16, 24, 32, 48), depths=(1, 1, 1, 1), head_width=24)
DEEPER = YoloConfig(widths=SMALL.widths, depths=(1, 2, 2, 1), head_width=16)
IMAGE = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def trained(config: YoloConfig, seed: int) -> YoloCompact:
    """A network whose statistics are not those of a fresh one."""
    torch.manual_seed(seed)
    network = YoloCompact(config)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def test_weights_that_do_not_fit_are_refused() -> None:
    for other in (YoloCompact(WIDER), YoloCompact(DEEPER), torch.nn.Conv2d(3, 8, 3)):
        with pytest.raises(EngineError, match="no wider and no deeper"):
            widened(other.state_dict(), YoloCompact(SMALL))


def levels(network: YoloCompact) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([part.flatten() for level in network(IMAGE) for part in level])


def grown(config: YoloConfig) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the small network says, the large one that began with its weights, and the large one before."""
    small, large = trained(SMALL, 2), trained(config, 3)
    before = levels(large)
    large.load_state_dict(widened(small.state_dict(), large))
    return levels(small), levels(large), before


def test_a_wider_network_says_at_first_what_the_smaller_one_says() -> None:
    small, large, before = grown(WIDER)
    assert (before - small).abs().max() > 1
    torch.testing.assert_close(large, small, rtol=1e-4, atol=1e-4)


def test_a_deeper_one_says_nearly_that() -> None:
    small, large, before = grown(DEEPER)
    assert (large - small).abs().mean() < 0.1 * (before - small).abs().mean()


def test_what_a_new_channel_finds_reaches_the_old_ones_by_training() -> None:
    large = YoloCompact(WIDER)
    large.load_state_dict(widened(YoloCompact(SMALL).state_dict(), large))
    sum(box.square().sum() for box, _ in large(IMAGE)).backward()
    weight = large.stage16[0][0].weight
    new_to_old = weight.grad[: SMALL.widths[3], SMALL.widths[2] :]
    assert not weight[: SMALL.widths[3], SMALL.widths[2] :].any()
    assert new_to_old.abs().max() > 0


def test_weights_of_the_same_size_stay_as_they_are() -> None:
    network = trained(SMALL, 4)
    network.stage8[0][1].num_batches_tracked.fill_(7)
    result = widened(network.state_dict(), YoloCompact(SMALL))
    assert all(torch.equal(value, result[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("stage8.0.0.weight", 1),
        ("stage8.2.join.0.weight", 2),
        ("stage32.2.join.0.weight", 4),
        ("down_path16.0.through.0.0.weight", 2),
        ("down_path8.past.0.weight", 2),
        ("up_path32.through.1.body.1.0.weight", 1),
        ("heads.0.box.weight", 1),
    ],
)
def test_layers_take_as_many_pictures_as_the_network_joins(name: str, groups: int) -> None:
    assert name in YoloCompact().state_dict()
    assert joined_inputs(name) == groups


def test_a_pose_network_with_a_wider_fusion_says_at_first_what_the_narrower_one_says() -> None:
    torch.manual_seed(5)
    config = replace(HRNET_CONFIGS["hrnet_compact"], refinement=0)
    narrow, wide = HRNet(replace(config, fused_width=None)), HRNet(config)
    image = torch.rand(2, 3, 64, 64)
    before = wide(image)
    wide.load_state_dict(widened(narrow.state_dict(), wide))
    for network in (narrow, wide):
        network.train()  # with the batch's own statistics too
    torch.testing.assert_close(wide(image), narrow(image))
    assert not torch.allclose(wide(image), before)
    wide.logits(image)[0].square().sum().backward()
    added = wide.final_layer.weight.grad
    assert added is not None and added[:, config.width :].abs().max() > 0, "training finds the new channels"


@pytest.mark.parametrize(
    "smaller",
    [{"blocks": 1, "refinement": 0}, {"fused_width": 24}, {"blocks": 2, "fused_width": None, "refinement": 0}],
)
def test_a_larger_pose_network_says_nearly_what_the_smaller_one_says(smaller: dict[str, int | None]) -> None:
    torch.manual_seed(6)
    config = HRNET_CONFIGS["hrnet_compact"]
    shallow, deep = HRNet(replace(config, **smaller)).eval(), HRNet(config).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted, before = shallow(image), deep(image)
        deep.load_state_dict(widened(shallow.state_dict(), deep))
        after = deep(image)
    assert (after - wanted).abs().mean() < 0.2 * (before - wanted).abs().mean()


@pytest.mark.parametrize("change", [{"fused_width": None}, {"blocks": 1}, {"refinement": 0}])
def test_weights_of_a_larger_pose_network_are_refused(change: dict[str, int | None]) -> None:
    config = HRNET_CONFIGS["hrnet_compact"]
    if change.get("fused_width", 0) is None:
        config = replace(config, refinement=0)  # whose own weights would be refused
    with pytest.raises(EngineError, match="do not fit an hrnet_compact"):
        widened(HRNet(config).state_dict(), HRNet(replace(config, **change)))


def test_a_part_of_the_weights_is_no_beginning() -> None:
    for network in (HRNet(HRNET_CONFIGS["hrnet_compact"]), YoloCompact(SMALL)):
        whole = network.state_dict()
        for part in ({}, dict(list(whole.items())[:6])):
            with pytest.raises(EngineError, match="or are missing"):
                widened(part, network)
        assert widened(whole, network).keys() == whole.keys()


@pytest.mark.parametrize("change", [{"width": 8}, {"layer1_planes": 8}, {"keypoints": 16}])
def test_only_a_pose_networks_last_fusion_may_be_narrower(change: dict[str, int]) -> None:
    config = HRNET_CONFIGS["hrnet_compact"]
    with pytest.raises(EngineError, match="do not fit an hrnet_compact"):
        widened(HRNet(replace(config, **change)).state_dict(), HRNet(config))
