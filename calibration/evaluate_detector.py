"""How good a person detector is on pictures it has not seen: recall and false persons. Knows scenes and networks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibration.crops import FloatArray
from calibration.detector_loss import joined
from calibration.scenes import SceneSet, letterboxed
from engines.geometry import network_size
from engines.networks.loading import load_detector
from engines.networks.state_dicts import read_state_dict
from engines.networks.yolov5_compact import LONGEST_PX, STRIDES, YoloCompact, YoloConfig, load_yolov5_compact

LIVE_SIZE = network_size((9, 16), LONGEST_PX)[::-1]
"""Width and height of the detector's input for live pictures of 16:9, px."""
WHOLE_CONFIDENCE = 0.6
"""The teacher's, from which on a person must be found."""
WHOLE_SIDE = 0.15
"""Of the picture's longer side: persons smaller than this need not be found."""
EDGE_PX = 2
SUPPRESSION_IOU = 0.5
SAME_PERSON_IOU = 0.5
FALSE_PERSONS = 0.05
"""An image; the recall that counts is the one at this rate."""
THRESHOLDS = (0.2, 0.25, 0.3, 0.4, 0.5, 0.6)


def scaled_rgb(pictures: Tensor) -> Tensor:
    """`uint8 [B, h, w, 3]` BGR to `float32 [B, 3, h, w]` RGB, 0..1."""
    return pictures.flip(-1).permute(0, 3, 1, 2).float() / 255


def overlap_table(first: FloatArray, second: FloatArray) -> FloatArray:
    """The area that every box `[M, 4]` shares with every box `[K, 4]`, px^2: `[M, K]`."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:4], second[None, :, 2:4])
    overlap: FloatArray = np.clip(high - low, 0, None).prod(-1)
    return overlap


def iou_table(first: FloatArray, second: FloatArray) -> FloatArray:
    """IoU of every box `[M, 4]` with every box `[K, 4]`: `[M, K]`."""
    overlap = overlap_table(first, second)
    areas = [(boxes[:, 2:4] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    table: FloatArray = overlap / np.maximum(areas[0][:, None] + areas[1][None] - overlap, 1e-6)
    return table


def suppressed(boxes: FloatArray, limit: float = SUPPRESSION_IOU) -> FloatArray:
    """Greedy suppression: `[M, 5]`, best first, to those that overlap no better one by more than `limit`."""
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept: list[int] = []
    table = iou_table(boxes, boxes)
    for index in range(len(boxes)):
        if not kept or table[index, kept].max() <= limit:
            kept.append(index)
    return boxes[kept]


def whole_persons(boxes: FloatArray, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Which teacher boxes `[M, 5]` are confident, whole (they touch no edge) and not tiny."""
    free = (boxes[:, :2] >= EDGE_PX).all(1) & (boxes[:, 2:4] <= np.array([width, height]) - EDGE_PX).all(1)
    large = (boxes[:, 2:4] - boxes[:, :2]).max(1) >= WHOLE_SIDE * max(height, width)
    return np.asarray(free & large & (boxes[:, 4] >= WHOLE_CONFIDENCE))


class Levels(nn.Module):
    """A detector that gives its levels joined, as the detect graph takes it, with the levels apart as `YoloCompact`.

    Attributes:
        strides: of the levels, px.
        reg_max: bins a side.
    """

    def __init__(self, flat: Callable[[Tensor], tuple[Tensor, Tensor]], strides: tuple[int, ...], bins: int) -> None:
        super().__init__()
        self.flat, self.strides, self.reg_max = flat, strides, bins

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """`float32 [N, 3, h, w]` to box logits `[N, 4 * bins, h', w']` and class logits `[N, 1, h', w']` a level."""
        box_logits, class_logits = self.flat(image)
        result, start = [], 0
        for stride in self.strides:
            shape = (image.shape[2] // stride, image.shape[3] // stride)
            cells = slice(start, start := start + shape[0] * shape[1])
            boxes, persons = box_logits[..., cells], class_logits[:, None, cells]
            result.append((boxes.unflatten(-1, shape), persons.unflatten(-1, shape)))  # type: ignore[no-untyped-call]
        return result


def onnx_levels(path: Path, strides: tuple[int, ...], bins: int) -> Levels:
    """An ONNX detector of one picture at a time, `[1, 3, h, w]` to `box_logits` and `class_logits`."""
    from engines.onnx_runtime import cpu_session

    session = cpu_session(path)
    name = session.get_inputs()[0].name

    def flat(image: Tensor) -> tuple[Tensor, Tensor]:
        rows = [session.run(None, {name: row[None]}) for row in image.contiguous().numpy()]
        box, person = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*rows, strict=True))
        return box, person

    return Levels(flat, strides, bins)


def detector_of(path: Path) -> YoloCompact | Levels:
    """The detector in a weights file: our own `.safetensors` or its `.onnx`, or a YOLOv5u `.pt` (which runs code)."""
    if path.suffix == ".onnx":
        return onnx_levels(path, STRIDES, YoloConfig().reg_max)
    if path.suffix == ".safetensors":
        return load_yolov5_compact(read_state_dict(path))
    flat = load_detector(path)
    return Levels(flat, tuple(flat.strides), flat.bins)


class TwiceSeen(nn.Module):
    """A detector that looks at the doubled picture too, as a YOLOv5u teaches: it knows people at 640 px, not at 320.

    The doubled picture's levels have the cells that the next finer ones have of the picture itself, and their boxes, in
    strides, are the same; so they stand in for those. Only the coarsest level is the picture's own.

    Args:
        detector: each of its strides twice the one before.

    Attributes:
        strides: of the levels, px of the picture.
        reg_max: bins a side.
    """

    def __init__(self, detector: YoloCompact | Levels) -> None:
        super().__init__()
        self.detector, self.strides, self.reg_max = detector, detector.strides, detector.reg_max

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        """As `Levels`; `float32 [N, 3, h, w]`, h and w multiples of the coarsest stride."""
        doubled = F.interpolate(image, scale_factor=2, mode="bilinear").contiguous(memory_format=torch.channels_last)
        return [*self.detector(doubled)[1:], self.detector(image)[-1]]


Detector = YoloCompact | Levels | TwiceSeen


class DetectorEvaluation:
    """The held-back scenes.

    Args:
        crops: the folder with `scenes_holdout`.
        size: width and height of the detector's input.
    """

    def __init__(self, crops: Path, size: tuple[int, int] = LIVE_SIZE) -> None:
        self.scenes = SceneSet(crops / "scenes_holdout")
        self.hashes = self.scenes.hashes
        fitted = [letterboxed(scene.picture, into=size) for scene in self.scenes]
        self.pictures = np.stack([picture for picture, _, _ in fitted])
        self.fits = [(scale, offset) for _, scale, offset in fitted]
        self.teacher = [self.in_input(number, scene.boxes) for number, scene in enumerate(self.scenes)]
        self.whole = [whole_persons(scene.boxes, *scene.picture.shape[:2]) for scene in self.scenes]

    def detections(
        self, network: Detector, device: torch.device, batch: int = 16, least: float = THRESHOLDS[0]
    ) -> list[FloatArray]:
        """Boxes `[M, 5]` in input px of each scene, suppressed, of at least that confidence."""
        found = []
        for start in range(0, len(self.pictures), batch):
            image = scaled_rgb(torch.from_numpy(self.pictures[start : start + batch]).to(device))
            with torch.inference_mode():
                predictions = joined(
                    network(image.contiguous(memory_format=torch.channels_last)), network.strides, network.reg_max
                )
            rows = torch.cat([predictions.boxes, predictions.person.sigmoid()[..., None]], -1).cpu().numpy()
            found += [suppressed(row[row[:, 4] >= least]) for row in rows]
        return found

    def in_scene(self, number: int, boxes: FloatArray) -> FloatArray:
        """Boxes `[M, 4]` or wider, px of the detector's input, as px of the scene."""
        scale, offset = self.fits[number]
        moved = boxes.copy()
        moved[:, :4] = (boxes[:, :4] - np.tile(offset, 2)) / scale
        return moved

    def in_input(self, number: int, boxes: FloatArray) -> FloatArray:
        """Boxes `[M, 4]` or wider, px of the scene, as px of the detector's input."""
        scale, offset = self.fits[number]
        moved = boxes.copy()
        moved[:, :4] = boxes[:, :4] * scale + np.tile(offset, 2)
        return moved

    def unknown(self, found: list[FloatArray]) -> list[npt.NDArray[np.bool_]]:
        """Which boxes of each scene no teacher box above 0.1, however doubtful, overlaps by 0.5: `bool [M]` each."""
        known = [
            (iou_table(boxes, teacher) >= SAME_PERSON_IOU).any(1)
            for boxes, teacher in zip(found, self.teacher, strict=True)
        ]
        return [np.asarray(~one) for one in known]

    def at_threshold(
        self,
        found: list[FloatArray],
        threshold: float,
        false: list[npt.NDArray[np.bool_]] | None = None,
        wanted: list[npt.NDArray[np.bool_]] | None = None,
    ) -> tuple[float, float]:
        """Recall of whole persons at IoU 0.5, and false persons an image, at one confidence.

        Args:
            found: as `detections` gives them.
            threshold: boxes of less confidence do not count.
            false: which boxes of each scene are false persons; by default those that are `unknown`.
            wanted: which of the teacher's boxes of each scene are to be found; by default the `whole` ones.
        """
        hits = people = wrong = 0
        verdicts = self.unknown(found) if false is None else false
        people_of = self.whole if wanted is None else wanted
        for boxes, verdict, teacher, whole in zip(found, verdicts, self.teacher, people_of, strict=True):
            sure = boxes[:, 4] >= threshold
            people += int(whole.sum())
            hits += int((iou_table(boxes[sure], teacher[whole]) >= SAME_PERSON_IOU).any(0).sum()) if sure.any() else 0
            wrong += int((sure & verdict).sum())
        return hits / max(people, 1), wrong / len(self.teacher)

    def at_false_persons(
        self,
        found: list[FloatArray],
        most: float = FALSE_PERSONS,
        false: list[npt.NDArray[np.bool_]] | None = None,
        least: float = THRESHOLDS[0],
    ) -> tuple[float, float]:
        """The recall at the lowest confidence, from `least` on, with fewer than `most` false persons an image, and
        that confidence.
        """
        for threshold in np.arange(least, 1, 0.01):
            recall, wrong = self.at_threshold(found, float(threshold), false)
            if wrong < most:
                return recall, float(threshold)
        return 0.0, 1.0

    def metrics(self, network: YoloCompact | Levels, device: torch.device) -> dict[str, float]:
        """Recall at the rate of false persons that is allowed; recall and false persons at each threshold."""
        network.eval()
        found = self.detections(network, device)
        rows = dict(zip(("recall", "confidence"), self.at_false_persons(found), strict=True))
        for threshold in THRESHOLDS:
            rows[f"recall_{threshold}"], rows[f"false_{threshold}"] = self.at_threshold(found, threshold)
        return rows
