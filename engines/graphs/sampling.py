"""From a frame to a network's input picture, as torch modules that export to standard operators. Knows no network.

The frame is cast to float32 before anything else, as TensorRT asks. `engines/host_sampling.py` does the same with
OpenCV for a CPU; tests hold both to one NumPy reference.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from engines.geometry import CROP_HEIGHT, CROP_PADDING, CROP_WIDTH, LETTERBOX_GREY, fit_letterbox

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_DEVIATION = (58.395, 57.12, 57.375)


class LetterboxSampling(nn.Module):
    """`frame` uint8 [H, W, 3] to float32 [1, 3, h, w], BGR 0..255, shape kept, grey bars; as OpenCV's INTER_LINEAR."""

    def __init__(self, frame_size: tuple[int, int], image_size: tuple[int, int]) -> None:
        """Sizes are (height, width) in px."""
        super().__init__()
        fit = fit_letterbox(frame_size, image_size)
        self.fitted_size = (fit.height, fit.width)
        right, bottom = image_size[1] - fit.width - fit.left, image_size[0] - fit.height - fit.top
        self.bars = (fit.left, right, fit.top, bottom)

    def forward(self, frame: Tensor) -> Tensor:
        """See the class."""
        picture = functional.interpolate(frame.float().permute(2, 0, 1)[None], self.fitted_size, mode="bilinear")
        return functional.pad(picture, self.bars, value=LETTERBOX_GREY)


def crop_window(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centre px [K, 2] and width px [K] of the 3:4 window that holds each box, widened by 1.25 (HRNet's convention)."""
    centre = (boxes[:, :2] + boxes[:, 2:4]) * 0.5
    size = boxes[:, 2:4] - boxes[:, :2]
    width = torch.maximum(size[:, 0], size[:, 1] * (CROP_WIDTH / CROP_HEIGHT)) * CROP_PADDING
    return centre, width


class CropSampling(nn.Module):
    """`frame` uint8 [H, W, 3] and `boxes` float32 [K, 5] to float32 [K, 3, 256, 192], BGR 0..255, black outside.

    HRNet's affine convention, with no half-pixel offset. All people share one sampling grid, so that the frame is not
    repeated for each.
    """

    across: Tensor
    down: Tensor

    def __init__(self, frame_size: tuple[int, int], people: int) -> None:
        """`frame_size` is (height, width) in px."""
        super().__init__()
        self.frame_size, self.people = frame_size, people
        self.register_buffer("across", torch.arange(CROP_WIDTH) - CROP_WIDTH * 0.5)
        self.register_buffer("down", torch.arange(CROP_HEIGHT) - CROP_HEIGHT * 0.5)

    def forward(self, frame: Tensor, boxes: Tensor) -> Tensor:
        """See the class."""
        centre, window_width = crop_window(boxes)
        step = (window_width / CROP_WIDTH)[:, None]
        height, width = self.frame_size
        x = (self.across * step + centre[:, :1]) * (2.0 / (width - 1)) - 1  # [K, 192], -1..1 over the frame
        y = (self.down * step + centre[:, 1:]) * (2.0 / (height - 1)) - 1  # [K, 256]
        grid = torch.stack(
            [x[:, None, :].expand(-1, CROP_HEIGHT, -1), y[:, :, None].expand(-1, -1, CROP_WIDTH)], -1
        ).reshape(1, self.people * CROP_HEIGHT, CROP_WIDTH, 2)
        picture = frame.float().permute(2, 0, 1)[None]
        crops = functional.grid_sample(picture, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
        return crops.reshape(3, self.people, CROP_HEIGHT, CROP_WIDTH).permute(1, 0, 2, 3)


class ImageInput(nn.Module):
    """The cut: a picture sampled elsewhere, uint8 [N, h, w, 3], as float32 [N, 3, h, w] with the same values."""

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return image.float().permute(0, 3, 1, 2)


class Normalise(nn.Module):
    """BGR 0..255 [N, 3, h, w] to RGB, minus `mean`, over `deviation` (per RGB channel)."""

    channels: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: tuple[float, ...] = (0.0, 0.0, 0.0), deviation: tuple[float, ...] = (255.0,) * 3) -> None:
        super().__init__()
        self.register_buffer("channels", torch.tensor([2, 1, 0]))
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        """See the class."""
        return (torch.index_select(picture, 1, self.channels) - self.mean) / self.deviation
