"""Makes person crops out of whole pictures: everybody in `scenes_train` that a pose teacher can label. Trains nothing.

python -m calibration.scene_persons --teacher TINYPOSE.onnx --out runs/scene_persons [--beside runs/crop_scenes]
    [--scenes runs/photographs]

The crops are written as `train.tar` has its own (240x320, the network's window in the middle, a `.npz` beside), so that
`calibration.distill pose --more-crops runs/scene_persons` learns from both. Persons whom `train` holds already are left
out; so are the sources that share pictures with the evaluation. With `--beside`, those who stand beside the person of a
crop are labelled too: most are cut off or covered, as people in real pictures are.
"""

import json
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from calibration.crop_scenes import SCENE_SCALE, real_pixels
from calibration.crops import CROP_SIZE, WINDOW_OFFSET, WINDOW_SIZE, CropSet, FloatArray, Image
from calibration.detector_task import LEFT_OUT
from calibration.evaluate_detector import SAME_PERSON_IOU, iou_table
from calibration.evaluate_pose import Predict, decode, onnx_predict
from calibration.scenes import Scene, SceneSet, add_jpeg
from engines.errors import BadInputError
from engines.exits import documented_exits
from engines.options import OptionParser
from engines.skeleton import MIRRORED_KEYPOINT

LEAST_BOX_CONFIDENCE = 0.4
LEAST_HEIGHT_PX = 48
LEAST_KEYPOINTS = 5
"""Few: a person behind a table, or at the edge of a picture, has no more."""
SURE_KEYPOINT = 0.4
JPEG_QUALITY = 85


@dataclass(frozen=True)
class PersonCrop:
    """One person, px of the 240x320 crop.

    Attributes:
        picture: `uint8 [320, 240, 3]`, BGR; black where the scene did not reach.
        keypoints: `float32 [17, 3]`, the teacher's.
        inside: `bool [17]`, on real pixels.
        affine: `float32 [2, 3]`, scene px to crop px.
        box: `float32 [5]`, scene px, and the detector's confidence.
        scene_size: height and width of the scene, px.
        source: the data set.
        image: the scene's name there.
    """

    picture: Image
    keypoints: FloatArray
    inside: npt.NDArray[np.bool_]
    affine: FloatArray
    box: FloatArray
    scene_size: tuple[int, int]
    source: str
    image: str


def crop_affine(box: FloatArray) -> FloatArray:
    """Scene px to crop px, `float32 [2, 3]`: the box, widened to 3:4 and by 1.25, fills the crop's 192x256 middle."""
    (x1, y1, x2, y2), (width, height) = box[:4].tolist(), WINDOW_SIZE
    scale = 1 / (max((x2 - x1) / width, (y2 - y1) / height) * 1.25)
    left, top = (x1 + x2) / 2 * scale - width / 2, (y1 + y2) / 2 * scale - height / 2
    return np.array([[scale, 0, WINDOW_OFFSET[0] - left], [0, scale, WINDOW_OFFSET[1] - top]], np.float32)


def labelled(window: Image, teacher: Predict) -> FloatArray:
    """The teacher's keypoints `float32 [17, 3]` in a window `uint8 [256, 192, 3]`: maps of it and its mirror, averaged.

    The mirrored map is moved by one column, as published top-down networks do it.
    """
    maps = teacher(np.stack([window, window[:, ::-1]]))
    mirrored = maps[1][list(MIRRORED_KEYPOINT), :, ::-1].copy()
    mirrored[:, :, 1:] = mirrored[:, :, :-1].copy()
    keypoints: FloatArray = decode(((maps[0] + mirrored) / 2)[None])[0]
    return keypoints


def cropped(picture: Image, box: FloatArray) -> tuple[Image, FloatArray]:
    """The crop around a box of a picture, `uint8 [320, 240, 3]`, and its `crop_affine`."""
    affine = crop_affine(box)
    return np.asarray(cv2.warpAffine(picture, affine, CROP_SIZE, flags=cv2.INTER_LINEAR), np.uint8), affine


def looked_at(picture: Image, box: FloatArray, teacher: Predict) -> tuple[Image, FloatArray, npt.NDArray[np.float32]]:
    """The crop around a box of a picture, the teacher's keypoints in it, and how it was cut.

    Returns:
        `uint8 [320, 240, 3]`; `float32 [17, 3]`, px of the crop; `float32 [2, 3]`, picture px to crop px.
    """
    crop, affine = cropped(picture, box)
    (left, top), (width, height) = WINDOW_OFFSET, WINDOW_SIZE
    found = labelled(crop[top : top + height, left : left + width], teacher)
    found[:, :2] += WINDOW_OFFSET
    return crop, found, affine


def known_boxes(crops: CropSet) -> dict[str, list[FloatArray]]:
    """The boxes `float32 [4]` of a crop set's persons, as parts of their picture's width and height, by its name."""
    result: dict[str, list[FloatArray]] = {}
    rows = zip(crops.fields["image"], crops.fields["box_xywh"], crops.fields["image_hw"], strict=True)
    for image, (x, y, width, height), (rows_px, columns_px) in rows:
        size = np.array([columns_px, rows_px] * 2, np.float32)
        result.setdefault(str(image), []).append(np.array([x, y, x + width, y + height], np.float32) / size)
    return result


def scenes_beside(crops: CropSet, stem: Path) -> tuple[list[Scene], dict[str, list[FloatArray]]]:
    """Every crop as a scene, with the boxes that `calibration.crop_scenes` found in it, and who is known already.

    Args:
        crops: the crops that the scenes were made from.
        stem: path of those scenes, without suffix.

    Returns:
        The scenes, each with a name of its own, and the boxes of the crops' persons by that name, as `known_boxes` has
        them.
    """
    path = stem.with_suffix(".json")
    if not path.is_file():
        raise BadInputError(
            f"no file {path}", "--beside needs the crops' boxes", "run python -m calibration.crop_scenes"
        )
    of_picture = known_boxes(crops)
    scenes, known = [], {}
    for row in json.loads(path.read_text()):
        index = int(Path(row["file"]).stem)
        picture, corner = real_pixels(crops, index)
        height, width = picture.shape[:2]
        boxes = np.array(row["boxes"], np.float32).reshape(-1, 5)
        boxes[:, :4] /= SCENE_SCALE
        name = f"{row['image']}#{index}"
        scenes.append(Scene(picture, boxes, row["source"], name))
        affine = crops.fields["affine"][index].astype(np.float32)
        rows, columns = (int(size) for size in crops.fields["image_hw"][index])
        there = np.array(of_picture[row["image"]], np.float32).reshape(-1, 2, 2) * np.array([columns, rows], np.float32)
        here = (there * affine[[0, 1], [0, 1]] + affine[:, 2] - np.array(corner)) / (width, height)
        known[name] = list(np.clip(here, 0, 1).reshape(-1, 4).astype(np.float32))
    return scenes, known


def persons(scenes: Iterable[Scene], known: dict[str, list[FloatArray]], teacher: Predict) -> Iterator[PersonCrop]:
    """Everybody of whom the detector and the teacher are sure, and who is not known yet."""
    for scene in scenes:
        size = scene.picture.shape[:2]
        old = np.array(known.get(scene.image, []), np.float32).reshape(-1, 4) * np.array(size[::-1] * 2, np.float32)
        for box in scene.boxes:
            if box[4] < LEAST_BOX_CONFIDENCE or box[3] - box[1] < LEAST_HEIGHT_PX:
                continue
            if len(old) and iou_table(box[None, :4], old).max() >= SAME_PERSON_IOU:
                continue
            picture, found, affine = looked_at(scene.picture, box, teacher)
            if (found[:, 2] >= SURE_KEYPOINT).sum() < LEAST_KEYPOINTS:
                continue
            place = (found[:, :2] - affine[:, 2]) / affine[0, 0]
            inside = np.all((place >= 0) & (place < (size[1], size[0])), 1)
            yield PersonCrop(picture, found, inside, affine, box, (size[0], size[1]), scene.source, scene.image)


def write_crops(crops: Sequence[PersonCrop], stem: Path) -> None:
    """Writes `STEM.tar` and `STEM.npz`, the layout of the person crops."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    offsets = []
    with tarfile.open(stem.with_suffix(".tar"), "w") as tar:
        for index, crop in enumerate(crops):
            offsets.append(add_jpeg(tar, f"{index:05d}.jpg", crop.picture, JPEG_QUALITY))
    sources = sorted({crop.source for crop in crops})
    boxes = np.array([crop.box for crop in crops], np.float32).reshape(-1, 5)
    np.savez_compressed(
        stem.with_suffix(".npz"),
        keypoints=np.array([crop.keypoints for crop in crops], np.float32).reshape(-1, 17, 3),
        inside=np.array([crop.inside for crop in crops], bool).reshape(-1, 17),
        affine=np.array([crop.affine for crop in crops], np.float32).reshape(-1, 2, 3),
        box_xywh=np.concatenate([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]], 1),
        det_score=boxes[:, 4],
        image_hw=np.array([crop.scene_size for crop in crops], np.int32).reshape(-1, 2),
        source=np.array([sources.index(crop.source) for crop in crops], np.int16),
        sources=np.array(sources),
        image=np.array([crop.image for crop in crops]),
        offset=np.array(offsets, np.int64).reshape(-1, 2),
    )


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Labels the scenes. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.scene_persons", description=__doc__.splitlines()[0])
    options.add_argument("--crops", type=Path, default=Path("../shared/crops"), help="folder with scenes and crops")
    options.add_argument("--teacher", type=Path, required=True, help="ONNX pose network, [N,3,256,192] to heatmaps")
    options.add_argument("--out", type=Path, required=True, help="path of the .tar and .npz, without suffix")
    options.add_argument("--beside", type=Path, metavar="STEM", help="what calibration.crop_scenes wrote")
    options.add_argument(
        "--scenes", type=Path, nargs="+", metavar="STEM", help="of calibration.photographs; instead of scenes_train"
    )
    given = options.parse_args(arguments)
    crops = CropSet(given.crops / "train")
    stems = given.scenes or [given.crops / "scenes_train"]
    sets: list[Sequence[Scene]] = [SceneSet(stem, LEFT_OUT) for stem in stems]
    known = known_boxes(crops)
    if given.beside:
        more, beside = scenes_beside(crops, given.beside)
        sets, known = [*sets, more], known | beside
    count = sum(len(one) for one in sets)
    scenes = track(chain.from_iterable(sets), total=count, description="labelling")
    found = list(persons(scenes, known, onnx_predict(given.teacher)))
    write_crops(found, given.out)
    Console().print(f"{given.out}.tar: {len(found)} persons of {count} pictures", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
