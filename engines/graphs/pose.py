"""After the pose network: from heatmaps to smoothed keypoints and the paper's joints, as a torch module.

Knows no network: heatmaps are [K, 17, 64, 48] of any top-down network in HRNet's crop convention.
"""

import math

import torch
from torch import Tensor, nn

from engines.bodies import FRAMED_PART
from engines.geometry import HEATMAP_HEIGHT, HEATMAP_WIDTH, LEAST_FALL
from engines.graphs.sampling import crop_window
from engines.skeleton import FACE_KEYPOINTS, JOINT_SOURCES, LEAST_KEYPOINTS, MIRRORED_KEYPOINT

MIN_CUTOFF_HZ = 1.0
SPEED_CUTOFF_HZ = 3.0
CUTOFF_PER_SPEED = 20.0
"""Hz of cutoff gained per person height a second of speed (the filter's beta)."""
STILL_SPEED = 0.06
"""Person heights a second that do not count: what a camera's noise makes of a body at rest."""
FASTEST_SPEED = 8.0
"""Person heights a second that no joint moves at. Of the moves that people labelled in Penn Action, golf swings and
pitches among them, 0.02 % are faster (`benchmarks/smoothing.py`): what seems so is a keypoint that was misplaced."""
DOUBTED_CUTOFF_HZ = 2.0
"""Such a keypoint is followed this slowly: a mistake of one frame is hardly seen, a true move gets there in 0.1 s."""
PARTNER_CUTOFF_HZ = 0.5
"""A keypoint that jumps to where its partner is, the left knee to the right one's place, is followed as slowly as this:
seen from the side both have a hill at both places, and any noise says which is the higher."""
LEAST_APART = 0.1
"""Of the person's longer side: partners nearer to each other than this may change places."""
NEAR_PARTNER = 0.3
"""Of the way between the partners: a keypoint has jumped to a place, or has stayed in its own, when it is this near."""
SAME_HILL = 0.12
"""Of the person's longer side: a hill whose top is this near to where the keypoint was is the one that it was on."""
STAYING_SHARE = 0.6
"""A keypoint stays on its hill as long as that is this high beside the highest one. Noise alone makes now one and now
the other the highest where a body is seen from the side; a true move leaves no such hill behind."""
LEAST_SECONDS = 1e-3
FAR = 1e6


def decode(heatmaps: Tensor, boxes: Tensor, state: Tensor) -> Tensor:
    """Heatmaps [K, 17, 64, 48] of `boxes` [K, 5] to keypoints [K, 17, 3] in frame px, confidence 0..1.

    The top of the highest hill, or of the one that the keypoint was on, by `state` [K, 17, 4], while that is nearly as
    high. The confidence is that of the highest.

    HRNet's crop convention: cells times 4, no half-pixel offset. Within a cell, the top of the parabola through the
    highest cell and its two neighbours on each axis, where both exist. HRNet's own step, a quarter cell toward the
    larger neighbour, jumps by half a cell where two cells are equally high, so that any rounding before it moves the
    keypoint; measured in docs/gpu.md.
    """
    cells = heatmaps.flatten(2)
    peak = cells.amax(-1)
    reach = near_last_place(boxes, state)
    near = (cells * reach).argmax(-1)
    height, falls = around(cells, near)
    known = (state.abs().sum(-1) > 0) & (torch.gather(reach, 2, near[..., None])[..., 0] > 0)  # and in the window
    stays = known & (height >= STAYING_SHARE * peak) & (falls.amin(-1) >= 0)  # no top has a higher neighbour
    best = torch.where(stays, near, cells.argmax(-1))
    _, falls = around(cells, best)
    row = torch.div(best, HEATMAP_WIDTH, rounding_mode="floor")
    column = best - row * HEATMAP_WIDTH
    x = column.float() + top_of_parabola(falls[..., 0], falls[..., 1], column, HEATMAP_WIDTH) - HEATMAP_WIDTH * 0.5
    y = row.float() + top_of_parabola(falls[..., 2], falls[..., 3], row, HEATMAP_HEIGHT) - HEATMAP_HEIGHT * 0.5
    centre, width = crop_window(boxes)
    step = (width / HEATMAP_WIDTH)[:, None]
    return torch.stack([x * step + centre[:, :1], y * step + centre[:, 1:], peak.clamp(0, 1)], -1)


def around(cells: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
    """The height of the `best` [K, 17] of `cells` [K, 17, 3072], and how far that is above its neighbours [K, 17, 4].

    Those are the left, the right, the upper and the lower one.
    """
    last = HEATMAP_HEIGHT * HEATMAP_WIDTH - 1
    neighbours = torch.stack([best - 1, best + 1, best - HEATMAP_WIDTH, best + HEATMAP_WIDTH], -1).clamp(0, last)
    height = torch.gather(cells, 2, best[..., None])
    return height[..., 0], height - torch.gather(cells, 2, neighbours)


def near_last_place(boxes: Tensor, state: Tensor) -> Tensor:
    """Which cells of heatmaps of `boxes` [K, 5] are near the keypoints of `state` [K, 17, 4]: 1 or 0, [K, 17, 3072]."""
    centre, width = crop_window(boxes)
    step = (width / HEATMAP_WIDTH)[:, None]
    columns = torch.arange(HEATMAP_WIDTH, device=boxes.device) - HEATMAP_WIDTH * 0.5
    rows = torch.arange(HEATMAP_HEIGHT, device=boxes.device) - HEATMAP_HEIGHT * 0.5
    across = (centre[:, :1] + columns * step)[:, None] - state[..., :1]  # [K, 17, 48] px
    down = (centre[:, 1:] + rows * step)[:, None] - state[..., 1:2]
    reach = SAME_HILL * (boxes[:, 2:4] - boxes[:, :2]).amax(1)[:, None, None, None]
    near: Tensor = (down[..., :, None] ** 2 + across[..., None, :] ** 2 <= reach**2).float().flatten(2)
    return near


def top_of_parabola(before: Tensor, after: Tensor, cell: Tensor, cells: int) -> Tensor:
    """See `engines.geometry.top_of_parabola`."""
    inside = ((cell > 0) & (cell < cells - 1)).float()
    return inside * 0.5 * (before - after) / (before + after).clamp(min=LEAST_FALL)


def bounds(points: Tensor, counts: Tensor) -> Tensor:
    """x1, y1, x2, y2 [K, 4] of those `points` [K, N, 2] whose `counts` [K, N] is 1; far inverted where none is."""
    out = ((1 - counts) * FAR)[..., None]
    return torch.cat([(points + out).amin(1), (points - out).amax(1)], 1)


def smoothing_factor(cutoff_hz: Tensor | float, seconds: Tensor) -> Tensor:
    """The share of the new value in an exponential filter of `cutoff_hz` after `seconds`."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * seconds))


class PosePost(nn.Module):
    """`heatmaps`, `boxes`, `state` [K, 17, 4], `seconds` [1] -> `keypoints`, `joints`, `next_boxes`, `state`.

    Smoothing is the One Euro filter (Casiez et al. 2012) on each keypoint, its speed measured in person heights a
    second, less what noise alone makes of a body at rest. A keypoint that seems to move faster than a body can, or
    that takes its partner's place while the partner stays or takes its own, is followed slowly, and its speed is not
    believed. The filter starts anew for a keypoint that was not visible, and for a row whose box does not overlap its
    last keypoints, or most of whose keypoints seem to move so fast. A state of zeros therefore switches it off.
    """

    def __init__(self, visible_confidence: float, partners: tuple[int, ...] = MIRRORED_KEYPOINT) -> None:
        super().__init__()
        self.visible_confidence, self.partners = visible_confidence, partners

    def forward(
        self, heatmaps: Tensor, boxes: Tensor, state: Tensor, seconds: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the class."""
        size = boxes[:, 2:4] - boxes[:, :2]
        there = ((size[:, 0] > 0) & (size[:, 1] > 0)).float()[:, None]  # [K, 1]
        raw = decode(heatmaps, boxes, state)
        visible = (raw[..., 2] >= self.visible_confidence).float() * there  # [K, 17]
        position, speed = self.smooth(raw[..., :2], boxes, state, seconds.clamp(min=LEAST_SECONDS))
        keypoints = torch.cat([position, raw[..., 2:]], -1) * there[..., None]
        next_state = torch.cat([position, speed], -1) * visible[..., None]
        framed = (raw[..., 2] >= FRAMED_PART * self.visible_confidence).float() * there
        return keypoints, self.joints(keypoints), self.next_boxes(keypoints, visible, framed), next_state

    def smooth(self, raw: Tensor, boxes: Tensor, state: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
        """Smoothed positions [K, 17, 2] px and speeds [K, 17, 2] px a second."""
        last, last_speed = state[..., :2], state[..., 2:]
        known = (state.abs().sum(-1) > 0).float()
        last_box = bounds(last, known)
        low, high = torch.maximum(boxes[:, :2], last_box[:, :2]), torch.minimum(boxes[:, 2:4], last_box[:, 2:])
        overlaps = ((high - low).amin(1, keepdim=True) >= 0).float()  # a lone keypoint has bounds of no area
        goes_on = (known * overlaps)[..., None]
        seen_speed = (raw - last) / seconds
        size = (boxes[:, 2:4] - boxes[:, :2]).clamp(min=1)
        height, longest = size[:, 1][:, None, None], size.amax(1)[:, None, None]  # those who lie are long, not high
        possible = (torch.linalg.vector_norm(seen_speed, dim=-1, keepdim=True) <= FASTEST_SPEED * longest).float()
        jumped = (goes_on * (1 - possible)).sum(1, keepdim=True) > 0.5 * goes_on.sum(1, keepdim=True)
        goes_on = goes_on * (1 - jumped.float())  # where most keypoints jump it is somebody else
        swapped = self.at_partners_place(raw, last, goes_on, LEAST_APART * longest)
        believed = possible * (1 - swapped)
        speed = last_speed + (seen_speed - last_speed) * smoothing_factor(SPEED_CUTOFF_HZ, seconds) * believed
        heights_a_second = torch.linalg.vector_norm(speed, dim=-1, keepdim=True) / height
        motion = (heights_a_second - STILL_SPEED).clamp(min=0)
        doubted = DOUBTED_CUTOFF_HZ * (1 - swapped) + PARTNER_CUTOFF_HZ * swapped
        cutoff = (MIN_CUTOFF_HZ + CUTOFF_PER_SPEED * motion) * believed + doubted * (1 - believed)
        factor = smoothing_factor(cutoff, seconds)
        smoothed = last + (raw - last) * factor
        return smoothed * goes_on + raw * (1 - goes_on), speed * goes_on

    def at_partners_place(self, raw: Tensor, last: Tensor, goes_on: Tensor, least_apart: Tensor) -> Tensor:
        """Which keypoints [K, 17, 1] seem to have jumped to where their partner is: 1, or 0.

        Args:
            raw: [K, 17, 2] px.
            last: where they were, [K, 17, 2] px.
            goes_on: which of those the filter goes on from, [K, 17, 1], 1 or 0.
            least_apart: px between partners from which on that is told, [K, 1, 1].
        """
        others_raw, others_last, others_go_on = (self.pick(one, self.partners) for one in (raw, last, goes_on))
        apart: Tensor = torch.linalg.vector_norm(last - others_last, dim=-1, keepdim=True)

        def near(first: Tensor, second: Tensor) -> Tensor:
            way: Tensor = torch.linalg.vector_norm(first - second, dim=-1, keepdim=True)
            return (way <= NEAR_PARTNER * apart).float()

        others = torch.maximum(near(others_raw, others_last), near(others_raw, last))
        told = (apart > least_apart).float() * goes_on * others_go_on
        swapped: Tensor = near(raw, others_last) * others * told
        return swapped

    def joints(self, keypoints: Tensor) -> Tensor:
        """The paper's 15 joints [K, 15, 3]; see `engines.skeleton.joints_from_keypoints`."""
        ends = JOINT_SOURCES[:-1]  # of one keypoint or two
        first, second = (self.pick(keypoints, tuple(sources[end] for sources in ends)) for end in (0, -1))
        middle = (first[..., :2] + second[..., :2]) * 0.5
        body = torch.cat([middle, torch.minimum(first[..., 2:], second[..., 2:])], -1)
        face = self.pick(keypoints, FACE_KEYPOINTS)
        visible = (face[..., 2:] >= self.visible_confidence).float()
        count = visible.sum(1)
        position = (face[..., :2] * visible).sum(1) / count.clamp(min=1)
        lowest = (face[..., 2:] * visible + FAR * (1 - visible)).amin(1) * (count > 0).float()
        return torch.cat([body, torch.cat([position, lowest], -1)[:, None]], 1)

    @staticmethod
    def pick(keypoints: Tensor, indices: tuple[int, ...]) -> Tensor:
        """Some of the keypoints [K, 17, N], in the given order."""
        return torch.index_select(keypoints, 1, torch.tensor(indices, device=keypoints.device))

    @staticmethod
    def next_boxes(keypoints: Tensor, visible: Tensor, framed: Tensor) -> Tensor:
        """Bounds of the keypoints to be framed, and the mean confidence of the visible ones [K, 5].

        Zeros when fewer than 5 are visible. `visible` and `framed` are [K, 17], 1 or 0.
        """
        count = visible.sum(1, keepdim=True)
        confidence = (keypoints[..., 2] * visible).sum(1, keepdim=True) / count.clamp(min=1)
        enough = (count >= LEAST_KEYPOINTS).float()
        return torch.cat([bounds(keypoints[..., :2], framed) * enough, confidence * enough], 1)
