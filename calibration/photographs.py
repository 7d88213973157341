"""Makes labelled scenes of any folder of photographs: each of them once, none of the evaluation. Trains nothing.

python -m calibration.photographs --pictures DIR --teacher ../shared/weights/yolov5nu.pt --out runs/photographs

The scenes are written as `scenes_train` has its own (`.tar` of JPEG, `.json` of boxes), for
`calibration.distill detector --more-scenes` and `calibration.scene_persons --scenes`. A scene's source is the folder
right below DIR. Of pictures that look alike (another size, another filter, the same one in two packages) the largest is
kept, and none that is in a set named with `--known`, so that photographs can be gathered in parts; what looks like a
picture of the evaluation sets, or like the one that a held-back crop was cut from, is left out.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from calibration.crop_scenes import detections, real_pixels
from calibration.crops import CROP_SIZE, CropSet, Image, tar_pictures
from calibration.evaluate_detector import Levels, detector_of
from calibration.scenes import Scene, write_scenes
from calibration.thing_scenes import shrunk
from engines.errors import BadInputError
from engines.exits import documented_exits
from engines.networks.yolov5_compact import YoloCompact
from engines.options import OptionParser

SUFFIXES = (".jpg", ".jpeg", ".webp")
"""Photographs; PNG files are drawings and screens for the most part."""
LONGEST_SIDE = 640
LEAST_SIDE = 160
MOST_OBLONG = 2.6
"""Banners, strips and sprites are more so."""
LEAST_COLOURS = 100
"""Of 4,096: drawings with few colours are left out."""
TEACHER_SIZE = (640, 640)
MOST_DIFFERENT = 7
"""Of the bits of a hash; pictures that differ in no more are taken for one."""
SAME_SHAPE = 0.02
EVALUATION_SCENES = ("coco_gt", "scenes_holdout")
EVALUATION_CROPS = "holdout"

HASH_BITS = 64

Hash = npt.NDArray[np.bool_]


class Photograph(NamedTuple):
    """A file that looks like a photograph; its picture is read when it is asked for.

    Attributes:
        source: first part of its path below the folder searched.
        name: that path.
        path: where it is.
        pixels: how many it has.
        look: its `difference_hash`.
    """

    source: str
    name: str
    path: Path
    pixels: int
    look: Hash

    def picture(self) -> Image:
        """`uint8 [h, w, 3]`, BGR, shrunk to `LONGEST_SIDE`."""
        picture = decoded(self.path)
        assert picture is not None, f"{self.path} was a picture before"
        return shrunk(picture, LONGEST_SIDE)


def decoded(path: Path) -> Image | None:
    """The picture `uint8 [h, w, 3]`, BGR, of a file; None where it is none."""
    encoded = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
    return None if picture is None else np.asarray(picture, np.uint8)


def difference_hash(picture: Image) -> Hash:
    """Where brightness grows from left to right, on a grid of 8x8: `bool [64]`, alike for a picture in any size."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.asarray(np.diff(small, axis=1) > 0).ravel()


def alike(one: Hash, others: Hash) -> bool:
    """Whether a hash `[64]` differs little from any of the others `[N, 64]`."""
    return bool(((others != one).sum(1) <= MOST_DIFFERENT).any())


def looks_of(stem: Path) -> Hash:
    """The hashes `[N, 64]` of a set's pictures."""
    looks = [difference_hash(picture) for _, picture in tar_pictures(stem.with_suffix(".tar"))]
    return np.array(looks, np.bool_).reshape(-1, HASH_BITS)


def colours(picture: Image) -> int:
    """How many of 4,096 colours a picture has, at 128x128."""
    small = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_AREA).astype(np.int32) >> 4
    return len(np.unique((small[..., 0] << 8) | (small[..., 1] << 4) | small[..., 2]))


class HeldBack:
    """What must not be learnt from: the evaluation's pictures and crops.

    Args:
        crops: the folder of `coco_gt`, `scenes_holdout` and `holdout`.
    """

    def __init__(self, crops: Path) -> None:
        self.held = CropSet(crops / EVALUATION_CROPS)
        self.scenes = np.concatenate([looks_of(crops / name) for name in EVALUATION_SCENES])
        self.hashes = np.array([difference_hash(real_pixels(self.held, index)[0]) for index in range(len(self.held))])
        self.affines = self.held.fields["affine"].astype(np.float32)
        self.sizes = self.held.fields["image_hw"].astype(np.float32)

    def holds(self, picture: Image) -> bool:
        """Whether a picture looks like one of the evaluation's, or has a held-back crop where that was cut."""
        if alike(difference_hash(picture), self.scenes):
            return True
        height, width = picture.shape[:2]
        shapes = self.sizes[:, 1] / self.sizes[:, 0] / (width / height)
        for index in np.flatnonzero(np.abs(shapes - 1) <= SAME_SHAPE):
            scale = self.sizes[index, ::-1] / (width, height)
            affine = self.affines[index] * np.array([*scale, 1], np.float32)
            left, top, right, bottom = self.held.image_rect(int(index))
            crop = np.asarray(cv2.warpAffine(picture, affine, CROP_SIZE), np.uint8)[top:bottom, left:right]
            if alike(difference_hash(crop), self.hashes[index : index + 1]):
                return True
        return False


def found_below(folder: Path) -> list[Photograph]:
    """The photographs below a folder, the largest first."""
    found = []
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    for path in track(paths, description="reading"):
        picture = decoded(path)
        if picture is None or min(picture.shape[:2]) < LEAST_SIDE:
            continue
        if max(picture.shape[:2]) > MOST_OBLONG * min(picture.shape[:2]) or colours(picture) < LEAST_COLOURS:
            continue
        below, pixels = path.relative_to(folder), picture.shape[0] * picture.shape[1]
        look = difference_hash(shrunk(picture, LONGEST_SIDE))
        found.append(Photograph(below.parts[0], below.as_posix(), path, pixels, look))
    if not found:
        raise BadInputError(
            f"no photograph below {folder}",
            f"a photograph is a {', '.join(SUFFIXES)} file of {LEAST_SIDE} px and more a side",
            "name another folder with --pictures",
        )
    return sorted(found, key=lambda photograph: -photograph.pixels)


def each_once(photographs: Sequence[Photograph], known: Hash) -> list[Photograph]:
    """Those that look like none before them, and like none of the hashes `known` `[N, 64]`."""
    seen = np.concatenate([known, np.zeros((len(photographs), HASH_BITS), np.bool_)])
    kept: list[Photograph] = []
    for photograph in photographs:
        count = len(known) + len(kept)
        if not alike(photograph.look, seen[:count]):
            seen[count] = photograph.look
            kept.append(photograph)
    return kept


def labelled(
    photographs: Sequence[Photograph], held: HeldBack, teacher: YoloCompact | Levels
) -> Iterator[tuple[str, Scene]]:
    """Every photograph that is not held back, with the teacher's boxes, and its file name."""
    for index, photograph in enumerate(track(photographs, description="labelling")):
        picture = photograph.picture()
        if not held.holds(picture):
            boxes = detections(teacher, picture, TEACHER_SIZE)
            yield f"{index:05d}.jpg", Scene(picture, boxes, photograph.source, photograph.name)


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, chooses, labels, writes. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.photographs", description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=Path, required=True, metavar="DIR", help="searched to the bottom")
    options.add_argument("--crops", type=Path, default=Path("../shared/crops"), help="folder with what is held back")
    options.add_argument("--teacher", type=Path, required=True, help="YOLOv5u checkpoint; loading it runs its code")
    options.add_argument("--out", type=Path, required=True, help="path of the .tar and .json, without suffix")
    options.add_argument(
        "--known", type=Path, nargs="+", default=[], metavar="STEM", help="scenes that are there already"
    )
    given = options.parse_args(arguments)
    known = np.concatenate([np.zeros((0, HASH_BITS), np.bool_), *(looks_of(stem) for stem in given.known)])
    photographs = found_below(given.pictures)
    different = each_once(photographs, known)
    rows = labelled(different, HeldBack(given.crops), detector_of(given.teacher).eval())
    scenes, boxes = write_scenes(given.out, rows)
    Console().print(
        f"{given.out}.tar: {scenes} photographs, {boxes} boxes; of {len(photographs)} found "
        f"{len(photographs) - len(different)} were like another, {len(different) - scenes} like the evaluation's",
        highlight=False,
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
