"""Makes labelled scenes out of the person crops: a detector's boxes of everybody in `train`. Trains nothing.

python -m calibration.crop_scenes --teacher ../shared/weights/yolov5nu.pt --out runs/crop_scenes

The scenes are written as `scenes_train` has its own (`.tar` of JPEG, `.json` of boxes), so that
`calibration.distill detector --more-scenes runs/crop_scenes` learns from both. The person whom a crop was made for is
kept as the set gives it where the detector does not find it.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from calibration.crops import CropSet, FloatArray, Image
from calibration.detector_loss import joined
from calibration.evaluate_detector import SAME_PERSON_IOU, Levels, detector_of, iou_table, scaled_rgb, suppressed
from calibration.scenes import DOUBTFUL_CONFIDENCE, Scene, write_scenes
from engines.exits import documented_exits
from engines.geometry import fit_letterbox
from engines.host_sampling import letterbox
from engines.networks.yolov5_compact import YoloCompact
from engines.options import OptionParser

TEACHER_SIZE = (320, 256)
"""Height and width of the picture that the teacher looks at, px."""
SCENE_SCALE = 0.75
LEAST_SIDE_PX = 48


def real_pixels(crops: CropSet, index: int) -> tuple[Image, tuple[int, int]]:
    """A crop without its padding, `uint8 [h, w, 3]`, and where that began: left, top."""
    left, top, right, bottom = crops.image_rect(index)
    return np.ascontiguousarray(crops.picture(index)[top:bottom, left:right]), (left, top)


def own_box(crops: CropSet, index: int) -> FloatArray:
    """The box of the person a crop was made for, `float32 [5]`, px of the crop."""
    x, y, width, height = crops.fields["box_xywh"][index].astype(np.float32)
    affine = crops.fields["affine"][index].astype(np.float32)
    low, high = (affine @ np.array([px, py, 1], np.float32) for px, py in ((x, y), (x + width, y + height)))
    return np.array([*low, *high, crops.fields["det_score"][index]], np.float32)


@torch.inference_mode()
def detections(
    teacher: YoloCompact | Levels,
    picture: Image,
    size: tuple[int, int] = TEACHER_SIZE,
    least: float = DOUBTFUL_CONFIDENCE,
) -> FloatArray:
    """The teacher's persons in a picture `uint8 [h, w, 3]`: `float32 [M, 5]`, px, suppressed.

    Args:
        teacher: the detector.
        picture: BGR.
        size: height and width that the teacher looks at, px.
        least: confidence.
    """
    image = scaled_rgb(torch.from_numpy(letterbox(picture, size)[None]))
    found = joined(teacher(image), teacher.strides, teacher.reg_max)
    rows = torch.cat([found.boxes[0], found.person[0].sigmoid()[:, None]], 1).numpy()
    rows = suppressed(rows[rows[:, 4] >= least])
    fit = fit_letterbox((picture.shape[0], picture.shape[1]), size)
    rows[:, :4] = (rows[:, :4] - [fit.left, fit.top] * 2) / fit.scale
    limits = np.array([picture.shape[1], picture.shape[0]] * 2, np.float32)
    rows[:, :4] = np.clip(rows[:, :4], 0, limits)
    return rows


def with_own(found: FloatArray, own: FloatArray, width: int, height: int) -> FloatArray:
    """The detections, with the crop's own person among them: its confidence is raised, or its box added."""
    clipped = np.concatenate([np.clip(own[:4], 0, [width, height] * 2), own[4:]]).astype(np.float32)
    overlaps = iou_table(clipped[None, :4], found[:, :4])[0]
    if len(found) and overlaps.max() >= SAME_PERSON_IOU:
        best = int(overlaps.argmax())
        found[best, 4] = max(found[best, 4], clipped[4])
        return found
    return np.concatenate([found, clipped[None]])


def labelled_crops(crops: CropSet, teacher: YoloCompact | Levels) -> Iterator[tuple[str, Scene]]:
    """Every crop as a scene, smaller, without its padding, with everybody's box; and its number as a file name."""
    for index in track(range(len(crops)), description="labelling"):
        picture, (left, top) = real_pixels(crops, index)
        if min(picture.shape[:2]) < LEAST_SIDE_PX:
            continue
        height, width = picture.shape[:2]
        own = own_box(crops, index) - np.array([left, top, left, top, 0], np.float32)
        boxes = with_own(detections(teacher, picture), own, width, height)
        small = cv2.resize(picture, None, fx=SCENE_SCALE, fy=SCENE_SCALE, interpolation=cv2.INTER_AREA)
        boxes[:, :4] *= SCENE_SCALE
        image = str(crops.fields["image"][index])
        yield f"{index:05d}.jpg", Scene(np.asarray(small, np.uint8), boxes, crops.sources[index], image)


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Labels the crops. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.crop_scenes", description=__doc__.splitlines()[0])
    options.add_argument("--crops", type=Path, default=Path("../shared/crops"), help="folder with train.npz")
    options.add_argument("--teacher", type=Path, required=True, help="YOLOv5u checkpoint; loading it runs its code")
    options.add_argument("--out", type=Path, required=True, help="path of the .tar and .json, without suffix")
    given = options.parse_args(arguments)
    crops = CropSet(given.crops / "train")
    scenes, boxes = write_scenes(given.out, labelled_crops(crops, detector_of(given.teacher).eval()))
    Console().print(f"{given.out}.tar: {scenes} crops, {boxes} boxes", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
