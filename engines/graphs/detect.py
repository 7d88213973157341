"""After the detector network: from its raw levels to the people to look at, as a torch module. Knows no picture.

The network is any anchor-free YOLO head with distribution focal loss: per cell 4 x `bins` logits for the distances to
the left, top, right and bottom side, and one logit for "person" (YOLOv5u's convention, cut to one class).
"""

import torch
from torch import Tensor, nn

from engines.bodies import BESIDE_SHARE, LEAST_CONFIDENCE, NEWCOMERS_SHARE
from engines.geometry import PIECE_SHARE, SURE_CONFIDENCE, Size, fit_letterbox

CANDIDATES = 64
SUPPRESSION_ROUNDS = 16
SUPPRESSION_IOU = 0.6
DOUBTFUL_RANK = 1e-4
"""What the order of a box below `LEAST_CONFIDENCE` is multiplied with, and once more of one below `BESIDE_SHARE` of
it: whoever is surer comes first, however small."""
LEAST_ANCHOR_IOU = 0.2


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Area shared by boxes `[N, 4+]` and `[M, 4+]`, px^2: [N, M]."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:4], second[None, :, 2:4])
    side = (high - low).clamp(min=0)
    return side[..., 0] * side[..., 1]


def area(boxes: Tensor) -> Tensor:
    """Area of boxes `[N, 4+]`, px^2: [N]."""
    side = (boxes[:, 2:4] - boxes[:, :2]).clamp(min=0)
    return side[:, 0] * side[:, 1]


class Suppression(nn.Module):
    """Greedy non-maximum suppression without data-dependent shapes: boxes [N, 4] in falling order -> 1 to keep, 0 not.

    A box goes when a kept box before it covers more than `iou` of their union. Each round settles at least one more
    link of every chain of overlaps; 16 rounds equal the greedy loop on every set tried.
    """

    earlier: Tensor

    def __init__(self, count: int = CANDIDATES, iou: float = SUPPRESSION_IOU) -> None:
        super().__init__()
        self.iou = iou
        self.register_buffer("earlier", torch.tril(torch.ones(count, count), -1))

    def forward(self, boxes: Tensor, alive: Tensor) -> Tensor:
        """`alive` [N] is 1 for boxes that take part. Returns float32 [N]."""
        shared = intersection(boxes, boxes)
        areas = area(boxes)
        covered = (shared > self.iou * (areas[:, None] + areas[None] - shared)).float() * self.earlier
        keep = alive
        for _ in range(SUPPRESSION_ROUNDS):
            keep = alive * (1 - (covered * keep[None]).amax(1))
        return keep


class DetectPost(nn.Module):
    """`box_logits` [1, 4*bins, N], `class_logits` [1, N] and `anchor` [5] -> `boxes` float32 [K, 5] in frame px.

    Without an anchor (zeros): by confidence x sqrt(area), nearest the middle on ties; after all others also those of
    less than `LEAST_CONFIDENCE` (`NEWCOMERS_SHARE` of it), the least sure last. With one: row 0 is the detection
    of highest IoU with it if that is at least 0.2; the rest as before. A doubtful detection that is but a piece of a
    sure anchor, an arm or the legs, does not replace its bounds. Where there is no detection, an anchor of any
    confidence is followed: it is row 0 itself, with confidence 0, which no detection has. One of confidence 0 leaves
    zeros there, as do people who are fewer than rows.
    """

    scale: Tensor
    points: Tensor
    strides: Tensor
    bins: Tensor
    offset: Tensor
    limit: Tensor
    middle: Tensor
    positions: Tensor

    def __init__(
        self,
        frame_size: Size,
        image_size: Size,
        people: int,
        *,
        bins: int,
        strides: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.people, self.bin_count = people, bins
        height, width = frame_size
        fit = fit_letterbox(frame_size, image_size)
        # both axes share one scale, but each is rounded to whole px: map back by what was really drawn
        self.register_buffer("scale", torch.tensor([fit.width / width, fit.height / height] * 2))
        self.register_buffer("offset", torch.tensor([fit.left, fit.top] * 2, dtype=torch.float32))
        self.register_buffer("limit", torch.tensor([width, height] * 2, dtype=torch.float32))
        self.register_buffer("middle", torch.tensor([width / 2, height / 2]))
        points, point_strides = cell_centres(image_size, strides)
        self.register_buffer("points", points)
        self.register_buffer("strides", point_strides)
        self.register_buffer("bins", torch.arange(bins, dtype=torch.float32))
        self.register_buffer("positions", torch.arange(CANDIDATES, dtype=torch.float32))
        self.suppression = Suppression()

    def forward(self, box_logits: Tensor, class_logits: Tensor, anchor: Tensor) -> Tensor:
        """See the class."""
        boxes, confidence = self.candidates(box_logits[0], class_logits[0])
        anchored = (area(anchor[None]) > 0).float()  # [1]
        least = LEAST_CONFIDENCE * (anchored + NEWCOMERS_SHARE * (1 - anchored))
        confidence = confidence * self.suppression(boxes, (confidence >= least).float())
        boxes = torch.minimum(((boxes - self.offset) / self.scale).clamp(min=0), self.limit)
        rows = torch.cat([boxes, confidence[:, None]], 1)
        order = confidence * area(boxes).sqrt()
        distance = torch.linalg.vector_norm((boxes[:, :2] + boxes[:, 2:]) * 0.5 - self.middle, dim=1)
        order = order * (1 - 1e-4 * distance / torch.linalg.vector_norm(self.middle))
        for share in (1.0, BESIDE_SHARE):
            order = order * torch.where(confidence >= share * LEAST_CONFIDENCE, 1.0, DOUBTFUL_RANK)
        return self.with_anchor(rows, order, anchor, anchored)

    def candidates(self, box_logits: Tensor, class_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The 64 most confident cells, in falling order: boxes [64, 4] in px of the network's picture, confidence."""
        logits, cells = torch.topk(class_logits, CANDIDATES)
        spread = torch.index_select(box_logits, 1, cells).t().reshape(CANDIDATES, 4, self.bin_count)
        sides = (spread.softmax(-1) * self.bins).sum(-1) * torch.index_select(self.strides, 0, cells)
        points = torch.index_select(self.points, 0, cells)
        return torch.cat([points - sides[:, :2], points + sides[:, 2:]], 1), logits.sigmoid()

    def with_anchor(self, rows: Tensor, order: Tensor, anchor: Tensor, anchored: Tensor) -> Tensor:
        """The K rows to report, the anchored person first if there is an anchor (`anchored` [1] is 1, else 0)."""
        shared = intersection(rows, anchor[None])[:, 0]
        iou = shared / (area(rows) + area(anchor[None]) - shared).clamp(min=1e-6) * (order > 0).float()
        best_iou, best = torch.topk(iou, 1)
        matched = (best_iou >= LEAST_ANCHOR_IOU).float()
        nothing = torch.zeros(1, device=anchor.device)
        followed = torch.cat([anchor[:4], nothing])[None] * (anchor[4:] > 0).float()
        found = torch.index_select(rows, 0, best)
        doubtful = (anchor[4:] >= SURE_CONFIDENCE).float() * (found[0, 4:] < SURE_CONFIDENCE).float()
        piece = doubtful * (torch.index_select(shared, 0, best) < PIECE_SHARE * area(anchor[None])).float()
        bounds = torch.cat([anchor[:4], found[0, 4:]])[None]
        first = (bounds * piece + found * (1 - piece)) * matched + followed * (1 - matched)
        is_first = (self.positions == best.float()).float() * matched * anchored
        rank, chosen = torch.topk(order * (1 - is_first), self.people)
        others = torch.index_select(rows, 0, chosen) * (rank > 0).float()[:, None]
        with_first = torch.cat([first, others[: self.people - 1]])
        return with_first * anchored + others * (1 - anchored)


def cell_centres(image_size: Size, strides: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Centres [N, 2] (x, y in px of the network's picture) and strides [N, 1] of all cells, level after level."""
    points, point_strides = [], []
    for stride in strides:
        y, x = torch.meshgrid(
            torch.arange(image_size[0] // stride), torch.arange(image_size[1] // stride), indexing="ij"
        )
        level = (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * stride
        points.append(level)
        point_strides.append(torch.full((len(level), 1), float(stride)))
    return torch.cat(points), torch.cat(point_strides)
