"""HRNet: parallel resolutions, repeatedly fused, one heatmap a keypoint. Knows tensors; no files, boxes or frames.

After Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation" (2019). Submodules carry the
names of the official code, so that its `pose_hrnet_*` state dicts load as they are (see `hrnet_weights`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from engines.skeleton import FACE_KEYPOINTS


@dataclass(frozen=True)
class HRNetConfig:
    """What tells one HRNet from another.

    Attributes:
        width: channels of the finest branch; each coarser branch has twice as many.
        modules: exchange modules in stages 2, 3 and 4.
        blocks: residual blocks in each branch of a module.
        stem_width: channels of the two stride-2 convolutions.
        layer1_planes: inner channels of stage 1's bottlenecks, which give four times as many.
        layer1_blocks: bottlenecks in stage 1.
        fused_width: channels of the last fusion and after it; None: as many as the finest branch.
        refinement: residual blocks after the last fusion. The official networks have none: each cell of their heatmaps
            is read from that cell alone, to which the coarser branches bring what they see in steps of up to 8 cells.
        keypoints: heatmaps given.
        visibility: the network says by itself how sure it is of each keypoint (`hrnet_compact`); the peak of a heatmap
            then is a probability. The official networks have no such head: their peak is what their training made it.
    """

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4
    stem_width: int = 64
    layer1_planes: int = 64
    layer1_blocks: int = 4
    fused_width: int | None = None
    refinement: int = 0
    keypoints: int = 17
    visibility: bool = False


HRNET_CONFIGS = {
    "hrnet_w32": HRNetConfig(width=32),
    "hrnet_w48": HRNetConfig(width=48),
    "hrnet_compact": HRNetConfig(
        width=16,
        modules=(1, 1, 1),
        blocks=3,
        stem_width=32,
        layer1_planes=16,
        layer1_blocks=2,
        fused_width=48,  # 16 channels told 17 keypoints and their visibility apart
        refinement=1,
        visibility=True,
    ),
}
"""The networks that are known by name."""


FACE_BLUR, BODY_BLUR = 1.7, 4.9
"""Standard deviations, cells, of the Gaussians within which a place's probability counts: those of COCO's keypoint
similarity for a person who fills the window (the root of their area is 30 cells), the mean of the five points of the
face and that of the twelve joints. The highest cell then has the greatest similarity to expect."""


LEAST_WEIGHT, LEAST_PROBABILITY = 1e-12, 1e-20
"""A smaller weight of a blur is 0, and a smaller probability is this one: no product of the two is then a denormal
number, with which an Intel Xeon blurred eleven times as slowly."""


def gaussian_matrix(size: int, deviation: float, device: torch.device | None = None) -> Tensor:
    """`float32 [size, size]`: a matrix that blurs along one axis, 1 on its diagonal; nothing lies beyond the edges.

    It is made on `device`: a copy to a GPU would wait for it, and cannot be captured in a graph.
    """
    cells = torch.arange(size, dtype=torch.float32, device=device)
    weights = (-0.5 * ((cells[:, None] - cells) / deviation) ** 2).exp()
    return torch.where(weights < LEAST_WEIGHT, 0.0, weights)


def near_probability(place: Tensor) -> Tensor:
    """How probable it is that a keypoint lies near a cell: the probabilities of the places around it, blurred.

    The highest cell of this has the most probability around it, which is what a measure of nearness rewards; the
    highest cell of the places themselves may be a lone spike beside a broad hill.

    Args:
        place: `float32 [N, K, h, w]`, the softmax of the logits over a map; the first five are of the face.

    Returns:
        `float32 [N, K, h, w]`, 0..1.
    """
    points, (height, width) = len(FACE_KEYPOINTS), place.shape[2:]
    place = place.clamp_min(LEAST_PROBABILITY)
    near = []
    for part, blur in ((place[:, :points], FACE_BLUR), (place[:, points:], BODY_BLUR)):
        down, across = (gaussian_matrix(size, blur, place.device).to(place.dtype) for size in (height, width))
        near.append(down @ (part @ across))
    return torch.cat(near, 1)


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, activation: nn.Module | None = None
) -> list[nn.Module]:
    """A convolution without bias, its batch norm, and an activation if one is given."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return layers if activation is None else [*layers, activation]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; `[N, channels, h, w]` in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(channels, channels)
        self.conv2, self.bn2 = conv_bn(channels, channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, channels, h, w]` to the same."""
        y = self.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 around a shortcut; `[N, inputs, h, w]` to `[N, 4 * planes, h, w]`."""

    def __init__(self, inputs: int, planes: int) -> None:
        super().__init__()
        outputs = 4 * planes
        self.conv1, self.bn1 = conv_bn(inputs, planes, 1)
        self.conv2, self.bn2 = conv_bn(planes, planes)
        self.conv3, self.bn3 = conv_bn(planes, outputs, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = nn.Sequential(*conv_bn(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, h, w]` to `[N, 4 * planes, h, w]`."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.downsample(x) + self.bn3(self.conv3(y)))


def _fuse_layer(channels: Sequence[int], source: int, target: int, outputs: int) -> nn.Module:
    """From branch `source` to the size of branch `target`, with `outputs` channels."""
    if source == target:
        return nn.Identity() if channels[source] == outputs else nn.Conv2d(channels[source], outputs, 1, bias=False)
    if source > target:
        scale = float(2 ** (source - target))
        lift = nn.Upsample(scale_factor=scale, mode="nearest")
        return nn.Sequential(*conv_bn(channels[source], outputs, 1, activation=lift))
    steps = [
        nn.Sequential(*conv_bn(channels[source], channels[source], stride=2, activation=nn.ReLU(inplace=True)))
        for _ in range(target - source - 1)
    ]
    return nn.Sequential(*steps, nn.Sequential(*conv_bn(channels[source], outputs, stride=2)))


class ExchangeModule(nn.Module):
    """Every branch by itself, then each target branch as the sum of all, brought to its size.

    Args:
        channels: of the branches.
        blocks: in each branch.
        fused: channels of each target branch, the finest first.
    """

    def __init__(self, channels: Sequence[int], blocks: int, fused: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(width) for _ in range(blocks))) for width in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_layer(channels, source, target, outputs) for source in range(len(channels)))
            for target, outputs in enumerate(fused)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """A list of `[N, channels[i], h / 2^i, w / 2^i]` to one of `[N, fused[i], h / 2^i, w / 2^i]`."""
        branches = [layer(x) for layer, x in zip(self.branches, branches, strict=True)]
        fused = []
        for row in self.fuse_layers:
            assert isinstance(row, nn.ModuleList)
            terms: list[Tensor] = [layer(x) for layer, x in zip(row, branches, strict=True)]
            fused.append(torch.relu(reduce(torch.add, terms)))
        return fused


class HRNet(nn.Module):
    """A top-down pose network of any `HRNetConfig`."""

    def __init__(self, config: HRNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.width * 2**branch for branch in range(4)]
        self.conv1, self.bn1 = conv_bn(3, config.stem_width, stride=2)
        self.conv2, self.bn2 = conv_bn(config.stem_width, config.stem_width, stride=2)
        self.relu = nn.ReLU(inplace=True)
        wide = 4 * config.layer1_planes
        self.layer1 = nn.Sequential(
            Bottleneck(config.stem_width, config.layer1_planes),
            *(Bottleneck(wide, config.layer1_planes) for _ in range(config.layer1_blocks - 1)),
        )
        relu = nn.ReLU(inplace=True)
        self.transition1 = nn.ModuleList(
            [
                nn.Sequential(*conv_bn(wide, channels[0], activation=relu)),
                nn.Sequential(nn.Sequential(*conv_bn(wide, channels[1], stride=2, activation=relu))),
            ]
        )
        self.stage2 = self._stage(channels[:2], config.modules[0])
        self.transition2 = self._added_branch(channels[:3])
        self.stage3 = self._stage(channels[:3], config.modules[1])
        self.transition3 = self._added_branch(channels)
        fused = config.fused_width or channels[0]
        self.stage4 = self._stage(channels, config.modules[2], last=[fused])
        self.refinement = nn.Sequential(*(BasicBlock(fused) for _ in range(config.refinement)))
        self.final_layer = nn.Conv2d(fused, config.keypoints, 1)
        if config.visibility:
            self.visibility_layer = nn.Conv2d(fused, config.keypoints, 1)
            self.visibility_sharpness = nn.Parameter(torch.full((config.keypoints,), 0.5))

    def _stage(self, channels: Sequence[int], modules: int, last: Sequence[int] | None = None) -> nn.Sequential:
        fused = [channels] * (modules - 1) + [last or channels]
        return nn.Sequential(*(ExchangeModule(channels, self.config.blocks, widths) for widths in fused))

    @staticmethod
    def _added_branch(channels: Sequence[int]) -> nn.ModuleList:
        """The step to a stage with one more branch: the others pass, the new one comes from the coarsest."""
        step = conv_bn(channels[-2], channels[-1], stride=2, activation=nn.ReLU(inplace=True))
        return nn.ModuleList(
            [*(nn.Identity() for _ in channels[:-1]), nn.Sequential(nn.Sequential(*step))],
        )

    def features(self, image: Tensor) -> Tensor:
        """The fused finest branch, refined where the network has blocks for that.

        Args:
            image: `float32 [N, 3, H, W]`, RGB, ImageNet-normalised; H and W multiples of 32.

        Returns:
            `float32 [N, C, H / 4, W / 4]`, C the fused width.
        """
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.layer1(self.relu(self.bn2(self.conv2(x))))
        branches: list[Tensor] = self.stage2([layer(x) for layer in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        branches = self.stage4([*branches, self.transition3[-1](branches[-1])])
        refined: Tensor = self.refinement(branches[0])
        return refined

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `hrnet_compact` is trained on, and where its keypoints are.

        Args:
            image: as in `features`.

        Returns:
            Heatmap logits `float32 [N, K, H / 4, W / 4]`, whose softmax over the map is where the keypoint lies; the
            `near_probability` of that, without a gradient; and visibility logits `float32 [N, K]`. A keypoint's
            visibility is read where the network looks for it, and from how much probability lies near one place.
        """
        features = self.features(image)
        maps = self.final_layer(features).float()  # [N, K, h, w]
        evidence = self.visibility_layer(features).float().flatten(2)
        place = maps.detach().flatten(2).softmax(-1)
        near = near_probability(place.view(maps.shape))
        sharpness = near.amax((2, 3)).clamp_min(1e-6).log() * self.visibility_sharpness
        return maps, near, (place * evidence).sum(-1) + sharpness

    def forward(self, image: Tensor) -> Tensor:
        """Heatmaps.

        Args:
            image: `float32 [N, 3, 256, 192]`, RGB, ImageNet-normalised.

        Returns:
            `float32 [N, K, 64, 48]`; the peak is the keypoint's confidence. Pixel (x, y) of a map is (4 x, 4 y) of the
            image, without a half-pixel offset.
        """
        if not self.config.visibility:
            heatmaps: Tensor = self.final_layer(self.features(image))
            return heatmaps
        _, near, visibility = self.logits(image)
        return near / near.amax((2, 3), keepdim=True) * visibility.sigmoid()[:, :, None, None]


def hrnet(name: str) -> HRNet:
    """A network of `HRNET_CONFIGS` with fresh random weights.

    Raises:
        KeyError: the name is none of them.
    """
    return HRNet(HRNET_CONFIGS[name])
