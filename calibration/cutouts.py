"""Cuts the people of person crops out of their pictures, so that training can put them elsewhere. Trains nothing.

python -m calibration.cutouts --set ../shared/crops/train --out runs/cutouts_train

A segmentation teacher (MediaPipe Pose) draws each person's outline; it is kept where the teacher's own landmarks lie
where the crop's keypoints do. `calibration.distill pose|detector --cutouts runs/cutouts_train` uses them. MediaPipe is
no dependency of this project: `pip install mediapipe==0.10.14` into an environment with the base packages.
"""

import json
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from calibration.crops import CropSet, FloatArray, Image, TarPictures
from calibration.scenes import GREY, add_picture
from engines.download import file_sha256
from engines.errors import BadInputError
from engines.exits import documented_exits
from engines.options import OptionParser

Outline = Callable[[Image], tuple[FloatArray, FloatArray] | None]
"""A picture `uint8 [h, w, 3]` BGR to how much each pixel is person `float32 [h, w]`, 0..1, and the person's keypoints
`float32 [17, 2]`, px; None where nobody is seen."""
LANDMARKS = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Of MediaPipe's 33, in the order of COCO's keypoints."""
SURE_KEYPOINT = 0.5
LEAST_KEYPOINTS = 5
MOST_APART = 0.06
"""Of the person's height, for the median keypoint of both teachers."""
LEAST_HEIGHT_PX = 60
LEAST_WITHIN = 0.8
"""Of the sure keypoints must lie on the person."""
MARGIN = 0.2
"""Around a person's keypoints, of their longer side."""
EDGE_PX = 3
SOLID = 128
"""A pixel belongs to the person from this opacity on."""


@dataclass(frozen=True)
class Cutout:
    """A person without a background.

    Attributes:
        picture: `uint8 [h, w, 4]`, BGR and opacity, cut to the person's bounds.
        whole: the person did not touch the edge of the picture they come from.
    """

    picture: Image
    whole: bool


def same_person(mask: FloatArray, landmarks: FloatArray, keypoints: FloatArray) -> bool:
    """Whether an outline is that of the person whose keypoints are known.

    Args:
        mask: `float32 [h, w]`, 0..1.
        landmarks: `float32 [17, 2]`, px, found with the outline.
        keypoints: `float32 [17, 3]`: x px, y px, confidence.
    """
    sure = keypoints[keypoints[:, 2] >= SURE_KEYPOINT]
    if len(sure) < LEAST_KEYPOINTS:
        return False
    apart = np.linalg.norm(landmarks[keypoints[:, 2] >= SURE_KEYPOINT] - sure[:, :2], axis=1)
    height = max(float(np.ptp(sure[:, 1])), LEAST_HEIGHT_PX)
    columns = np.clip(sure[:, 0].astype(int), 0, mask.shape[1] - 1)
    rows = np.clip(sure[:, 1].astype(int), 0, mask.shape[0] - 1)
    return bool(np.median(apart) < MOST_APART * height and (mask[rows, columns] > 0.5).mean() > LEAST_WITHIN)


def mediapipe_outline() -> Outline:
    """MediaPipe Pose, full model, with its segmentation; the weights come with its package.

    Raises:
        BadInputError: it is not installed.
    """
    try:
        import mediapipe
    except ImportError:
        raise BadInputError(
            "the package mediapipe is not installed",
            "outlines are drawn by MediaPipe Pose",
            "run pip install mediapipe==0.10.14 in an environment of its own",
        ) from None
    pose = mediapipe.solutions.pose.Pose(static_image_mode=True, enable_segmentation=True, min_detection_confidence=0.3)

    def outline(picture: Image) -> tuple[FloatArray, FloatArray] | None:
        found = pose.process(np.ascontiguousarray(picture[..., ::-1]))
        if found.pose_landmarks is None:
            return None
        all_landmarks = found.pose_landmarks.landmark
        places = [(all_landmarks[index].x, all_landmarks[index].y) for index in LANDMARKS]
        size = np.array(picture.shape[1::-1], np.float32)
        return np.asarray(found.segmentation_mask, np.float32), np.array(places, np.float32) * size

    return outline


def alone(picture: Image, keypoints: FloatArray) -> Image:
    """A picture `uint8 [h, w, 3]` with grey around a person's keypoints `float32 [17, 3]`: without others."""
    places = keypoints[keypoints[:, 2] >= SURE_KEYPOINT, :2]
    if not len(places):
        return picture
    low, high = places.min(0), places.max(0)
    margin = MARGIN * float((high - low).max())
    (left, top), (right, bottom) = np.maximum(low - margin, 0).astype(int), np.maximum(high + margin, 1).astype(int)
    result = np.full_like(picture, GREY)
    result[top:bottom, left:right] = picture[top:bottom, left:right]
    return result


def upside_down(outline: Outline) -> Outline:
    """The same outlines, of a picture turned by 180 degrees: for who stands on their hands."""

    def turned(picture: Image) -> tuple[FloatArray, FloatArray] | None:
        found = outline(np.ascontiguousarray(picture[::-1, ::-1]))
        if found is None:
            return None
        last = np.array(picture.shape[1::-1], np.float32) - 1
        return np.ascontiguousarray(found[0][::-1, ::-1]), last - found[1]

    return turned


def masks_of(crops: CropSet, outline: Outline) -> Iterator[tuple[int, Image]]:
    """The number of each crop whose person could be cut out, and their opacity `uint8 [320, 240]`.

    Who is not found at once is looked for with the others out of sight, and then upside down.
    """
    for index in track(range(len(crops)), description="cutting out"):
        picture, keypoints = crops.picture(index), crops.keypoints[index]
        tries = ((outline, False), (outline, True), (upside_down(outline), True))
        looks = (look(alone(picture, keypoints) if without_others else picture) for look, without_others in tries)
        found = next((one[0] for one in looks if one is not None and same_person(*one, keypoints)), None)
        if found is None:
            continue
        left, top, right, bottom = crops.image_rect(index)
        mask = np.zeros(found.shape, np.uint8)
        mask[top:bottom, left:right] = np.rint(found[top:bottom, left:right] * 255)
        yield index, mask


def mask_name(index: int) -> str:
    """Of the file with the opacity of crop `index`'s person."""
    return f"{index:05d}.png"


def write_cutouts(stem: Path, crops: CropSet, masks: Iterator[tuple[int, Image]]) -> int:
    """Writes `STEM.tar`, a PNG of opacity for each crop, and `STEM.json`: which crops. Gives how many."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with tarfile.open(stem.with_suffix(".tar"), "w") as tar:
        for index, mask in masks:
            add_picture(tar, mask_name(index), mask)
            count += 1
    stem.with_suffix(".json").write_text(json.dumps({"crops_sha256": crops.hashes, "crops_key": crops.hashes_key()}))
    return count


class CutoutSet:
    """The outlines of one crop set's people, decoded on demand.

    Args:
        stem: path of the `.tar` and `.json`, without suffix.

    Attributes:
        crops_key: `CropSet.hashes_key` of the crops.
        hashes: file name -> sha256.
    """

    def __init__(self, stem: Path) -> None:
        archive, index = stem.with_suffix(".tar"), stem.with_suffix(".json")
        for path in (archive, index):
            if not path.is_file():
                raise BadInputError(
                    f"no file {path}", "cutouts are a .tar and a .json", "run python -m calibration.cutouts"
                )
        self.crops_key = str(json.loads(index.read_text())["crops_key"])
        self.hashes = {path.name: file_sha256(path) for path in (archive, index)}
        self._masks = TarPictures(archive)

    def __len__(self) -> int:
        return len(self._masks)

    def __contains__(self, index: int) -> bool:
        return mask_name(index) in self._masks

    def mask(self, index: int) -> Image | None:
        """Opacity `uint8 [320, 240]` of the person of crop `index`; None where it could not be cut out."""
        return self._masks.picture(mask_name(index), cv2.IMREAD_GRAYSCALE)


def bounds(mask: Image) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom px of what is solid in a mask `uint8 [h, w]`; None where nothing is."""
    columns, rows = np.flatnonzero((mask >= SOLID).any(0)), np.flatnonzero((mask >= SOLID).any(1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def is_whole(body: tuple[int, int, int, int], rect: tuple[int, int, int, int]) -> bool:
    """Whether a body touches no edge of the real pixels; both left, top, right, bottom, px."""
    begins = all(body[axis] >= rect[axis] + EDGE_PX for axis in (0, 1))
    return begins and all(body[axis] <= rect[axis] - EDGE_PX for axis in (2, 3))


def cutout(picture: Image, mask: Image, rect: tuple[int, int, int, int]) -> Cutout | None:
    """The person of a crop, or None where the mask is empty.

    Args:
        picture: `uint8 [320, 240, 3]`, BGR.
        mask: `uint8 [320, 240]`, opacity.
        rect: left, top, right, bottom of the crop's real pixels.
    """
    found = bounds(mask)
    if found is None:
        return None
    left, top, right, bottom = found
    seen = np.dstack([picture[top:bottom, left:right], mask[top:bottom, left:right]])
    return Cutout(np.asarray(seen, np.uint8), is_whole(found, rect))


def turned(thing: Image, degrees: float) -> Image:
    """A thing or person `uint8 [h, w, 4]` turned counterclockwise about its middle, cut to its bounds again."""
    height, width = thing.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    size = np.ceil(np.abs(matrix[:, :2]) @ (width, height) - 1e-6).astype(int)
    matrix[:, 2] += (size - (width, height)) / 2
    result = np.asarray(cv2.warpAffine(thing, matrix, (int(size[0]), int(size[1]))), np.uint8)
    found = bounds(result[..., 3])
    if found is None:
        return thing
    left, top, right, bottom = found
    return result[top:bottom, left:right]


def put(canvas: Image, thing: Image, height: int, left: int, top: int) -> Image:
    """Puts a thing or person `uint8 [h, w, 4]` on a canvas `uint8 [H, W, 3]` in place; they may reach beyond it.

    Args:
        canvas: changed.
        thing: BGR and opacity.
        height: how tall it becomes, px.
        left: where, px of the canvas.
        top: where, px of the canvas.

    Returns:
        Where it is, `uint8 [H, W]`, opacity.
    """
    covered = np.zeros(canvas.shape[:2], np.uint8)
    width = max(1, round(thing.shape[1] * height / thing.shape[0]))
    method = cv2.INTER_AREA if height < thing.shape[0] else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(thing, (width, height), interpolation=method), np.float32)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, canvas.shape[1]), min(top + height, canvas.shape[0])
    if x1 >= x2 or y1 >= y2:
        return covered
    seen = resized[y1 - top : y2 - top, x1 - left : x2 - left]
    opacity = seen[..., 3:] / 255
    canvas[y1:y2, x1:x2] = (canvas[y1:y2, x1:x2] * (1 - opacity) + seen[..., :3] * opacity).astype(np.uint8)
    covered[y1:y2, x1:x2] = seen[..., 3]
    return covered


def blended(below: Image, above: npt.NDArray[np.uint8], opacity: npt.NDArray[np.uint8]) -> Image:
    """`above` over `below`, `uint8 [h, w, 3]`, by opacity `uint8 [h, w]`."""
    part = cv2.merge([opacity] * 3).astype(np.uint16)
    mixed = below * (255 - part) + above * part
    return np.asarray((mixed + 127) // 255, np.uint8)


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Cuts out everybody of one crop set. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.cutouts", description=__doc__.splitlines()[0])
    options.add_argument("--set", type=Path, required=True, metavar="STEM", help="crops, a .tar and .npz")
    options.add_argument("--out", type=Path, required=True, help="path of the .tar and .json, without suffix")
    given = options.parse_args(arguments)
    crops = CropSet(given.set)
    count = write_cutouts(given.out, crops, masks_of(crops, mediapipe_outline()))
    Console().print(f"{given.out}.tar: {count} of {len(crops)} people cut out", highlight=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
