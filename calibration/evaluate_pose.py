"""How good a pose network is: OKS AP on human labels, PCK against the teacher. Knows crops and networks."""

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calibration.crops import WINDOW_OFFSET, WINDOW_SIZE, CropSet, FloatArray, Image, tar_pictures
from engines.download import file_sha256
from engines.errors import EngineError
from engines.geometry import top_of_parabola
from engines.graphs.sampling import IMAGENET_DEVIATION, IMAGENET_MEAN, ImageInput, Normalise
from engines.skeleton import VISIBLE_CONFIDENCE

Predict = Callable[[npt.NDArray[np.uint8]], FloatArray]
"""`uint8 [N, 256, 192, 3]` BGR windows to heatmaps `float32 [N, 17, h, w]`."""
STANDING_DEGREES = 30
SURE_LABEL = 0.4
"""As sure as the crops' own README asks of a keypoint before it counts."""
STANDING = "standing"


def decode(heatmaps: FloatArray) -> FloatArray:
    """The peak, and the top of the parabola through it and its two neighbours on each axis, as the pose graph does.

    Args:
        heatmaps: `float32 [N, K, h, w]`.

    Returns:
        `float32 [N, K, 3]`: x, y in px of the 192x256 window, and the peak.
    """
    count, keypoints, height, width = heatmaps.shape
    best = heatmaps.reshape(count, keypoints, -1).argmax(-1)
    row, column = best // width, best % width
    n, k = np.ogrid[:count, :keypoints]
    peak = heatmaps[n, k, row, column]

    def falls(step_x: int, step_y: int) -> FloatArray:
        y, x = np.clip(row + step_y, 0, height - 1), np.clip(column + step_x, 0, width - 1)
        return np.asarray(peak - heatmaps[n, k, y, x])

    x = column + top_of_parabola(falls(-1, 0), falls(1, 0), column, width)
    y = row + top_of_parabola(falls(0, -1), falls(0, 1), row, height)
    scale = WINDOW_SIZE[0] / width
    return np.stack([x * scale, y * scale, peak], -1).astype(np.float32)


def normalised(pictures: Tensor) -> Tensor:
    """`uint8 [B, h, w, 3]` BGR to `float32 [B, 3, h, w]` RGB, ImageNet-normalised, as the pose graph does it."""
    normalise = Normalise(IMAGENET_MEAN, IMAGENET_DEVIATION).to(pictures.device)
    image: Tensor = normalise(ImageInput()(pictures))
    return image


def torch_predict(network: nn.Module, device: torch.device, size: tuple[int, int] = WINDOW_SIZE) -> Predict:
    """Runs a network on windows; with a smaller `size` they are shrunk first."""

    def predict(windows: npt.NDArray[np.uint8]) -> FloatArray:
        if size != WINDOW_SIZE:
            windows = np.stack([cv2.resize(window, size, interpolation=cv2.INTER_AREA) for window in windows])
        image = normalised(torch.from_numpy(windows).to(device)).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return np.asarray(network(image).float().cpu().numpy(), np.float32)

    return predict


def onnx_predict(model: Path, threads: int = 1) -> Predict:
    """Runs an ONNX pose network of the contract [N, 3, 256, 192] -> [N, 17, 64, 48] on windows.

    Raises:
        EngineError: no such file, or another network.
    """
    from engines.onnx_runtime import cpu_session

    session = cpu_session(model, threads)
    tensors = [*session.get_inputs(), *session.get_outputs()]
    if [value.shape[1:] for value in tensors] != [[3, WINDOW_SIZE[1], WINDOW_SIZE[0]], [17, 64, 48]]:
        raise EngineError(
            f"{model} has the tensors {', '.join(f'{value.name} {value.shape}' for value in tensors)}",
            "a pose network takes [N, 3, 256, 192] and gives heatmaps [N, 17, 64, 48]",
            "name another file",
        )
    name = tensors[0].name

    def predict(windows: npt.NDArray[np.uint8]) -> FloatArray:
        rows = normalised(torch.from_numpy(windows)).numpy()
        return np.concatenate([session.run(None, {name: row[None]})[0] for row in rows]).astype(np.float32)

    return predict


def keypoints_of(predict: Predict, windows: npt.NDArray[np.uint8], batch: int = 32) -> FloatArray:
    """Keypoints `float32 [N, 17, 3]`, px of the window, of all windows."""
    return np.concatenate([decode(predict(windows[start : start + batch])) for start in range(0, len(windows), batch)])


def person_window(picture: Image, box_xywh: Sequence[float]) -> tuple[Image, npt.NDArray[np.float64]]:
    """The window around a box: widened to 3:4, then by 1.25, without a half-pixel offset.

    Returns:
        `uint8 [256, 192, 3]` and the map `float64 [2, 3]` from window px to picture px.
    """
    x, y, width, height = box_xywh
    scale = max(width / WINDOW_SIZE[0], height / WINDOW_SIZE[1]) * 1.25
    left = x + width / 2 - scale * WINDOW_SIZE[0] / 2
    top = y + height / 2 - scale * WINDOW_SIZE[1] / 2
    to_picture = np.array([[scale, 0, left], [0, scale, top]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, to_picture, WINDOW_SIZE, flags=flags), np.uint8), to_picture


def label_distances(crops: CropSet, predict: Predict, most: int = 300, sure: float = SURE_LABEL) -> FloatArray:
    """How far a network's joints lie from a set's sure labels on the picture, px of the window: `float32 [M]`.

    On crops that were trained on and on others of their kind this tells whether a network lacks data or capacity.

    Args:
        crops: any set; its teacher's keypoints are the labels, people's are not looked at.
        predict: the network.
        most: crops looked at, drawn by chance, the same ones each time.
        sure: the labels' least confidence.
    """
    chosen = np.random.default_rng(0).permutation(len(crops))[:most]
    found = keypoints_of(predict, crops.windows(chosen))
    labels = crops.keypoints[chosen]
    counted = crops.inside[chosen] & (labels[..., 2] >= sure)
    apart = np.linalg.norm(found[..., :2] + WINDOW_OFFSET - labels[..., :2], axis=-1)
    return np.asarray(apart[counted], np.float32)


def standing(keypoints: FloatArray, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which people stand, `bool [N]`: whole on the picture, with trunk, thighs and shins within 30 degrees of upright.

    Args:
        keypoints: `float32 [N, 17, 3]`: x px, y px (downwards), confidence.
        inside: `bool [N, 17]`, the joint lies on the picture.
    """
    shoulders, hips, knees, ankles = (5, 6), (11, 12), (13, 14), (15, 16)
    body = [*shoulders, *hips, *knees, *ankles]
    result = (inside & (keypoints[..., 2] >= VISIBLE_CONFIDENCE))[:, body].all(1)
    chains = [(shoulders, hips), *(((hips[side],), (knees[side],)) for side in (0, 1))]
    chains += [((knees[side],), (ankles[side],)) for side in (0, 1)]
    for upper, lower in chains:
        along = keypoints[:, lower, :2].mean(1) - keypoints[:, upper, :2].mean(1)
        result &= along[:, 1] > np.cos(np.radians(STANDING_DEGREES)) * np.linalg.norm(along, axis=1)
    return np.asarray(result)


def oks_ap(truth: dict[str, Any], results: list[dict[str, Any]], images: Sequence[int]) -> tuple[float, float]:
    """OKS AP and AP50 of `results` on the given image ids, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = truth
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(results), "keypoints")
        evaluation.params.imgIds = list(images)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


class PoseEvaluation:
    """Pictures that are never trained on: `coco_gt` with human labels, `holdout` with the teacher's.

    Args:
        crops: the folder with both.
    """

    def __init__(self, crops: Path) -> None:
        self.holdout = CropSet(crops / "holdout")
        self.windows = self.holdout.windows(range(len(self.holdout)))
        self.truth: dict[str, Any] = json.loads((crops / "coco_gt.json").read_text())
        self.hashes = self.holdout.hashes | {
            name: file_sha256(crops / name) for name in ("coco_gt.json", "coco_gt.tar")
        }
        shots = dict(tar_pictures(crops / "coco_gt.tar"))
        names = {image["id"]: image["file_name"] for image in self.truth["images"]}
        self.people = [
            person
            for person in self.truth["annotations"]
            if not person["iscrowd"] and person["num_keypoints"] > 0 and names[person["image_id"]] in shots
        ]
        windows = [person_window(shots[names[person["image_id"]]], person["bbox"]) for person in self.people]
        self.coco_windows = np.stack([window for window, _ in windows])
        self.to_picture = np.stack([matrix for _, matrix in windows])

    def coco_results(self, predict: Predict) -> list[dict[str, Any]]:
        """Predictions on true boxes, in COCO's result format; the score is the mean confidence of the joints >= 0.2."""
        keypoints = keypoints_of(predict, self.coco_windows).astype(np.float64)
        matrix = self.to_picture
        keypoints[..., :2] = keypoints[..., :2] @ matrix[:, :, :2].transpose(0, 2, 1) + matrix[:, None, :, 2]
        results = []
        for person, found in zip(self.people, keypoints, strict=True):
            sure = found[:, 2][found[:, 2] > 0.2]
            score = float(sure.mean()) if len(sure) else 0.0
            results.append(
                {"image_id": person["image_id"], "category_id": 1, "keypoints": found.ravel().tolist(), "score": score}
            )
        return results

    def image_ids(self, split: str | None = None) -> list[int]:
        """Ids of the pictures of one split (`mini_val2017`), or of all."""
        return [image["id"] for image in self.truth["images"] if split in (None, image["split"])]

    def holdout_keypoints(self, predict: Predict) -> FloatArray:
        """Keypoints of all holdout crops, `float32 [N, 17, 3]`, px of the 240x320 crop."""
        found = keypoints_of(predict, self.windows)
        found[..., :2] += WINDOW_OFFSET
        return found

    def near_teacher(self, found: FloatArray, limit: float = 0.1) -> npt.NDArray[np.bool_]:
        """Which joints `[N, 17]` lie within `limit` of the box side (256 / 1.25 px) of the teacher's place."""
        apart = np.linalg.norm(found[..., :2] - self.holdout.keypoints[..., :2], axis=-1)
        return np.asarray(apart < limit * WINDOW_SIZE[1] / 1.25)

    def pck(self, found: FloatArray) -> dict[str, float]:
        """For each holdout source, and for all who stand, the part of the joints that are near the teacher's place.

        Counted are the joints that lie on the picture and of which the teacher is sure (>= 0.3).
        """
        near = self.near_teacher(found)
        counted = self.holdout.inside & (self.holdout.keypoints[..., 2] >= VISIBLE_CONFIDENCE)
        sources = np.array(self.holdout.sources)
        groups = {str(source): sources == source for source in np.unique(sources)}
        groups[STANDING] = standing(self.holdout.keypoints, self.holdout.inside)
        return {name: float(near[group][counted[group]].mean()) for name, group in groups.items() if group.any()}

    def confidence(self, found: FloatArray) -> dict[str, float]:
        """What the visibility threshold of 0.3 does on the holdout crops.

        `kept`: of the joints rightly placed, those called visible. `refused_outside`: of the joints that lie outside
        the picture, those called invisible. `refused_wrong`: of the joints on the picture but far from the teacher's
        sure place, those called invisible.
        """
        near, visible, inside = self.near_teacher(found), found[..., 2] >= VISIBLE_CONFIDENCE, self.holdout.inside
        sure = inside & (self.holdout.keypoints[..., 2] >= VISIBLE_CONFIDENCE)
        parts = {
            "kept": visible[sure & near],
            "refused_outside": ~visible[~inside],
            "refused_wrong": ~visible[sure & ~near],
        }
        return {name: float(part.mean()) if part.size else 1.0 for name, part in parts.items()}

    def metrics(
        self, network: nn.Module, device: torch.device, size: tuple[int, int] = WINDOW_SIZE
    ) -> dict[str, float]:
        """What is watched during training."""
        network.eval()
        predict = torch_predict(network, device, size)
        results = self.coco_results(predict)
        ap, ap50 = oks_ap(self.truth, results, self.image_ids())
        val, _ = oks_ap(self.truth, results, self.image_ids("mini_val2017"))
        found = self.holdout_keypoints(predict)
        pck = {f"pck_{source}": value for source, value in self.pck(found).items()}
        return {"ap": ap, "ap50": ap50, "ap_mini_val": val, **pck, **self.confidence(found)}
