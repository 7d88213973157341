"""Makes scenes without people: cut-out things before backgrounds, so that not all that stands out is a person.

python -m calibration.thing_scenes --pictures DIR [DIR ...] --teacher YOLOV5NU.pt --out runs/thing_scenes

Pictures with transparent parts are things, all others backgrounds. They are files, or lie whole within Qt's resource
files (.rcc). What the teacher takes for a person, even with doubt, is left out, before and after it is put before a
background. The scenes are written as `scenes_train` has its own, with the teacher's doubtful boxes, for
`calibration.distill detector --more-scenes`. Trains nothing.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from calibration.crop_scenes import detections
from calibration.crops import Image
from calibration.cutouts import put
from calibration.evaluate_detector import Levels, detector_of
from calibration.scenes import GREY, Scene, write_scenes
from engines.errors import BadInputError
from engines.exits import documented_exits
from engines.networks.yolov5_compact import YoloCompact
from engines.options import OptionParser

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
RESOURCES = ".rcc"
SCENE_SIZE = (416, 234)
"""Width and height of a scene, px."""
THING_SIDE = 320
"""Things are kept at this size or smaller, px."""
LEAST_SIDE = 32
MOST_TRANSPARENT = 0.97
THING_HEIGHT = (0.2, 1.0)
"""Lowest and highest part of the scene's height that a thing has."""
MOST_THINGS = 4
PLAIN = 0.3
"""Of the scenes are before a plain colour."""
LEAST_BACKGROUND_PART = 0.3
"""Of a background's sides, that a scene shows."""
MOST_PERSON_CONFIDENCE = 0.25
"""A scene in which the teacher is surer of a person is left out."""


def shrunk(picture: Image, longest: int) -> Image:
    """The picture `[h, w, c]` with its longer side at most `longest` px."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def within(content: bytes) -> Iterator[bytes]:
    """The pictures that lie whole within a file: WebP says how long it is, JPEG where it ends."""
    start = 0
    while (start := content.find(b"RIFF", start)) >= 0:
        length = int.from_bytes(content[start + 4 : start + 8], "little") + 8
        is_webp = content[start + 8 : start + 12] == b"WEBP"
        if is_webp:
            yield content[start : start + length]
        start += length if is_webp else 4
    start = 0
    while (start := content.find(b"\xff\xd8\xff", start)) >= 0:
        end = content.find(b"\xff\xd9", start) + 2
        if end < 2:
            return
        yield content[start:end]
        start = end


def encoded_pictures(folders: Sequence[Path]) -> Iterator[bytes]:
    """All picture files below the folders, and those within resource files, in the order of their paths."""
    allowed = (*SUFFIXES, RESOURCES)
    paths = sorted({path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in allowed})
    for path in track(paths, description="reading"):
        content = path.read_bytes()
        yield from within(content) if path.suffix.lower() == RESOURCES else [content]


def read_pictures(folders: Sequence[Path]) -> tuple[list[Image], list[Image]]:
    """All pictures below the folders, in the order of their paths: things and backgrounds.

    Returns:
        Things `uint8 [h, w, 4]` (BGR and opacity), cut to what is seen of them, and backgrounds `uint8 [h, w, 3]`.
    """
    things: list[Image] = []
    backgrounds: list[Image] = []
    for encoded in encoded_pictures(folders):
        picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.dtype != np.uint8 or picture.ndim != 3 or min(picture.shape[:2]) < LEAST_SIDE:
            continue
        if picture.shape[2] == 4 and (picture[..., 3] < 128).any():
            rows, columns = np.nonzero(picture[..., 3] >= 128)
            if len(rows) < (1 - MOST_TRANSPARENT) * picture[..., 3].size:
                continue
            part = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            things.append(shrunk(np.asarray(part, np.uint8), THING_SIDE))
        else:
            backgrounds.append(shrunk(np.asarray(picture[..., :3], np.uint8), 4 * SCENE_SIZE[0]))
    if not things:
        raise BadInputError(
            f"no cut-out picture below {', '.join(map(str, folders))}",
            "things are pictures with transparent parts (PNG, WebP)",
            "name other folders with --pictures",
        )
    return things, backgrounds


def on_grey(thing: Image) -> Image:
    """A thing alone in the middle of a grey scene."""
    width, height = SCENE_SIZE
    canvas = np.full((height, width, 3), GREY, np.uint8)
    tall = min(round(0.8 * height), round(0.9 * width * thing.shape[0] / thing.shape[1]))
    put(canvas, thing, max(tall, 1), (width - round(thing.shape[1] * tall / thing.shape[0])) // 2, (height - tall) // 2)
    return canvas


def background(backgrounds: Sequence[Image], rng: np.random.Generator) -> Image:
    """Some part of some background, or a plain colour, of a scene's size."""
    width, height = SCENE_SIZE
    if not backgrounds or rng.random() < PLAIN:
        return np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    picture = backgrounds[int(rng.integers(len(backgrounds)))]
    part = rng.uniform(LEAST_BACKGROUND_PART, 1, 2) * picture.shape[:2]
    top, left = (int(rng.uniform(0, whole - used)) for whole, used in zip(picture.shape[:2], part, strict=True))
    seen = picture[top : top + max(int(part[0]), 1), left : left + max(int(part[1]), 1)]
    return np.asarray(cv2.resize(seen, SCENE_SIZE, interpolation=cv2.INTER_AREA), np.uint8)


def composed(things: Sequence[Image], backgrounds: Sequence[Image], rng: np.random.Generator) -> Image:
    """One to four things before a background, `uint8 [234, 416, 3]`; half of the things are mirrored."""
    width, height = SCENE_SIZE
    canvas = background(backgrounds, rng)
    for _ in range(int(rng.integers(1, MOST_THINGS + 1))):
        thing = things[int(rng.integers(len(things)))]
        if rng.random() < 0.5:
            thing = thing[:, ::-1]
        tall = min(int(rng.uniform(*THING_HEIGHT) * height), int(1.2 * width * thing.shape[0] / thing.shape[1]) + 1)
        wide = thing.shape[1] * tall / thing.shape[0]
        left, top = rng.uniform(-0.3 * wide, width - 0.7 * wide), rng.uniform(-0.2 * tall, height - 0.8 * tall)
        put(canvas, thing, tall, int(left), int(top))
    return canvas


def thing_scenes(
    things: Sequence[Image],
    backgrounds: Sequence[Image],
    teacher: YoloCompact | Levels,
    count: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Scene]]:
    """Up to `count` scenes in which the teacher sees nobody for sure, and their file names."""
    for index in track(range(count), description="composing"):
        picture = composed(things, backgrounds, rng)
        boxes = detections(teacher, picture)
        if not (boxes[:, 4] >= MOST_PERSON_CONFIDENCE).any():
            yield f"{index:05d}.jpg", Scene(picture, boxes, "things")


@documented_exits()
def main(arguments: Sequence[str] | None = None) -> int:
    """Reads, chooses, composes, writes. Returns the exit code."""
    options = OptionParser(prog="python -m calibration.thing_scenes", description=__doc__.splitlines()[0])
    options.add_argument(
        "--pictures", type=Path, nargs="+", required=True, metavar="DIR", help="searched to the bottom"
    )
    options.add_argument("--teacher", type=Path, required=True, help="YOLOv5u checkpoint; loading it runs its code")
    options.add_argument("--out", type=Path, required=True, help="path of the .tar and .json, without suffix")
    options.add_argument("--count", type=int, default=3000, help="scenes to compose")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    things, backgrounds = read_pictures(given.pictures)
    teacher = detector_of(given.teacher).eval()
    kept = [thing for thing in track(things, description="choosing") if not len(detections(teacher, on_grey(thing)))]
    backgrounds = [picture for picture in backgrounds if not len(detections(teacher, picture))]
    rng = np.random.default_rng(given.seed)
    scenes, boxes = write_scenes(given.out, thing_scenes(kept, backgrounds, teacher, given.count, rng))
    Console().print(
        f"{given.out}.tar: {scenes} scenes, {boxes} doubtful boxes; {len(kept)} of {len(things)} things, "
        f"{len(backgrounds)} backgrounds",
        highlight=False,
        soft_wrap=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
