"""A small YOLOv5 for persons: CSP backbone, SPPF, PAN neck, three anchor-free heads. Knows tensors, no frames.

Written from the published architecture (CSPNet: Wang et al. 2019; PAN: Liu et al. 2018; distribution focal boxes: Li et
al. 2020); it shares no code and no weights with ultralytics. ReLU instead of SiLU, a 3x3 stem and one 3x3 convolution a
head, because those cost least on ONNX Runtime on a CPU (the activation is fused into the convolution).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.networks.state_dicts import fill

STRIDES = (8, 16, 32)
"""Input px between the cells of the three levels."""
LONGEST_PX = 384
"""Longest side of the picture it is given, px. It was trained on 320; of the held-back people it finds more in 384, and
fewer from 448 on (docs/compact_models.md)."""


@dataclass(frozen=True)
class YoloConfig:
    """Sizes of the network.

    Attributes:
        widths: channels at strides 2, 4, 8, 16 and 32.
        depths: residual bottlenecks in the CSP blocks at strides 4, 8, 16 and 32; the neck's have one each.
        head_width: channels of the heads' 3x3 convolution.
        reg_max: bins of each side's distance, in strides: sides reach (reg_max - 1) * stride px from the cell.
    """

    widths: tuple[int, int, int, int, int] = (16, 32, 96, 128, 256)
    depths: tuple[int, int, int, int] = (1, 3, 4, 1)
    head_width: int = 64
    reg_max: int = 8


class Conv(nn.Sequential):
    """Convolution, batch norm, ReLU; `[N, inputs, h, w]` to `[N, outputs, h / stride, w / stride]`."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolution, with a shortcut where asked for; `[N, channels, h, w]` to the same."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(channels, channels), Conv(channels, channels, 3))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """`[N, channels, h, w]` to the same."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


class CspBlock(nn.Module):
    """YOLOv5's C3: half the channels through bottlenecks, half past them; `[N, inputs, ...]` to `[N, outputs, ...]`."""

    def __init__(self, inputs: int, outputs: int, depth: int, shortcut: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        self.through = nn.Sequential(Conv(inputs, half), *(Bottleneck(half, shortcut) for _ in range(depth)))
        self.past = Conv(inputs, half)
        self.join = Conv(2 * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, h, w]` to `[N, outputs, h, w]`."""
        y: Tensor = self.join(torch.cat([self.through(x), self.past(x)], 1))
        return y


class FastPyramidPooling(nn.Module):
    """SPPF: three 5x5 poolings in a row, joined; `[N, channels, h, w]` to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow, self.join = Conv(channels, channels // 2), Conv(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, channels, h, w]` to the same."""
        levels = [self.narrow(x)]
        for _ in range(3):
            levels.append(self.pool(levels[-1]))
        y: Tensor = self.join(torch.cat(levels, 1))
        return y


class Head(nn.Module):
    """One level's logits: `[N, inputs, h, w]` to box `[N, 4 * reg_max, h, w]` and class `[N, 1, h, w]`."""

    def __init__(self, inputs: int, width: int, reg_max: int) -> None:
        super().__init__()
        self.stem = Conv(inputs, width, 3)
        self.box = nn.Conv2d(width, 4 * reg_max, 1)
        self.person = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.person.bias, -4.6)  # type: ignore[arg-type]  # one cell in a hundred at the start

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, inputs, h, w]` to box and class logits."""
        y = self.stem(x)
        return self.box(y), self.person(y)


class YoloCompact(nn.Module):
    """Finds persons.

    Box convention: the anchor point of cell (column, row) is (column + 0.5, row + 0.5) * stride; the four groups of
    `reg_max` logits are the distances to left, top, right and bottom, each the expectation of its softmax times stride.
    """

    strides = STRIDES

    def __init__(self, config: YoloConfig | None = None) -> None:
        super().__init__()
        config = config or YoloConfig()
        self.config, self.reg_max = config, config.reg_max
        c1, c2, c3, c4, c5 = config.widths
        d2, d3, d4, d5 = config.depths
        self.stage8 = nn.Sequential(
            Conv(3, c1, 3, 2), Conv(c1, c2, 3, 2), CspBlock(c2, c2, d2), Conv(c2, c3, 3, 2), CspBlock(c3, c3, d3)
        )
        self.stage16 = nn.Sequential(Conv(c3, c4, 3, 2), CspBlock(c4, c4, d4))
        self.stage32 = nn.Sequential(Conv(c4, c5, 3, 2), CspBlock(c5, c5, d5), FastPyramidPooling(c5), Conv(c5, c4))
        self.up = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.down_path16 = nn.Sequential(CspBlock(2 * c4, c4, 1, shortcut=False), Conv(c4, c3))
        self.down_path8 = CspBlock(2 * c3, c3, 1, shortcut=False)
        self.to16, self.up_path16 = Conv(c3, c3, 3, 2), CspBlock(2 * c3, c4, 1, shortcut=False)
        self.to32, self.up_path32 = Conv(c4, c4, 3, 2), CspBlock(2 * c4, c5, 1, shortcut=False)
        self.heads = nn.ModuleList(Head(width, config.head_width, config.reg_max) for width in (c3, c4, c5))

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Logits of the three levels.

        Args:
            image: `float32 [N, 3, 192, 320]`, RGB, 0..1; sides are multiples of 32.

        Returns:
            For strides 8, 16, 32: box logits `float32 [N, 4 * reg_max, h, w]` and class logits `float32 [N, 1, h, w]`.
        """
        fine = self.stage8(image)
        middle = self.stage16(fine)
        coarse = self.stage32(middle)
        joined16 = self.down_path16(torch.cat([self.up(coarse), middle], 1))
        level8 = self.down_path8(torch.cat([self.up(joined16), fine], 1))
        level16 = self.up_path16(torch.cat([self.to16(level8), joined16], 1))
        level32 = self.up_path32(torch.cat([self.to32(level16), coarse], 1))
        return [head(level) for head, level in zip(self.heads, (level8, level16, level32), strict=True)]


def load_yolov5_compact(state_dict: Mapping[str, Tensor], config: YoloConfig | None = None) -> YoloCompact:
    """A `yolov5_compact` with the given weights, in evaluation mode.

    Args:
        state_dict: as this project trains them, float32 or float16.
        config: the network they are for, the default one if None.

    Raises:
        EngineError: keys are missing or unexpected, or a shape is wrong; they are named.
    """
    network = YoloCompact(config)
    fill(network, state_dict, "yolov5_compact", "weights that calibration.distill exported fit")
    return network.eval()


class FlatYoloCompact(nn.Module):
    """The same network with its levels joined, as the detect graph takes a detector.

    `image` float32 [1, 3, h, w] RGB 0..1 -> `box_logits` [1, 4 * bins, N] and `class_logits` [1, N], N cells of the
    levels of stride 8, 16 and 32.
    """

    def __init__(self, network: YoloCompact) -> None:
        super().__init__()
        self.network = network
        self.bins, self.strides, self.longest_px = network.reg_max, network.strides, LONGEST_PX

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        levels = self.network(image)
        return torch.cat([box.flatten(2) for box, _ in levels], 2), torch.cat([one.flatten(1) for _, one in levels], 1)
