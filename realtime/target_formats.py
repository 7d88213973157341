"""Foreign pose files (OpenPose, COCO, MediaPipe) as COCO keypoints. Knows their layouts, not what a target is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engines.errors import BadInputError
from engines.skeleton import KEYPOINTS
from realtime.json_values import MAX_PIXELS, fields, items, number, read_json, shown, size_px

MAX_NORMALISED = 100
MAX_CONFIDENCE = 1_000_000
COCO_FLAG_CONFIDENCE = (0.0, 0.5, 1.0)
"""Confidence of COCO's v: 0 not labelled, 1 labelled but hidden (a person still saw where it is), 2 labelled."""

OPENPOSE_BODY_25 = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
"""For each COCO keypoint its index among OpenPose's BODY_25 (OpenPose, doc/02_output.md)."""

OPENPOSE_COCO_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""For each COCO keypoint its index among OpenPose's COCO-18."""

MEDIAPIPE_33 = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""For each COCO keypoint its index among MediaPipe's 33 pose landmarks (BlazePose)."""

MEDIAPIPE_KEYS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark")
READABLE = "a target is a pose.json, a picture, or a file of OpenPose, COCO or MediaPipe keypoints"


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a foreign file.

    Args:
        keypoints: `float32 [17, 3]`, COCO order, x px, y px in the person's picture, confidence 0..1.
        image_size: width and height in px, None where the file does not say.
        image: which picture of the file the person is in; None where there is only one.
    """

    keypoints: npt.NDArray[np.float32]
    image_size: tuple[int, int] | None
    image: int | str | None = None


def read_target_json(path: Path) -> object:
    """The JSON of a target's file, of whatever format; raises as `realtime.json_values.read_json`."""
    return read_json(path, READABLE)


def read_people(document: object, source: str) -> list[Person]:
    """The persons of an OpenPose, COCO or MediaPipe document, in the order of the file.

    Args:
        document: what `read_target_json` gave.
        source: the file, as errors name it.

    Raises:
        BadInputError: none of the three formats, or one of them with a field that does not fit, which is named.
    """
    if isinstance(document, dict):
        if "people" in document:
            return _openpose(document, source)
        if "annotations" in document:
            return _coco_annotations(document, source)
        if any(key in document for key in MEDIAPIPE_KEYS):
            return _mediapipe(document, source)
        seen = f"{source} is an object with the keys {shown(' '.join(document))}"
    elif isinstance(document, list) and document:
        first = document[0]
        if isinstance(first, dict) and "keypoints" in first:
            return _coco_results(document, source)
        if isinstance(first, list) or (isinstance(first, dict) and "x" in first):
            return _mediapipe({"landmarks": document}, source)
        seen = f"{source} is a list that begins with {shown(first)}"
    else:
        seen = f"{source} holds {shown(document)}"
    raise BadInputError(seen, READABLE, "give such a file, or make one with run_live.py --capture-target")


def _openpose(document: dict[str, object], source: str) -> list[Person]:
    """OpenPose's `people[].pose_keypoints_2d`, px (its --keypoint_scale 0); a point at confidence 0 was not found."""
    size = _size_of(document, source)
    persons = []
    for index, person in enumerate(items(document["people"], f"{source}: people")):
        where = f"{source}: people[{index}]"
        values = fields(person, where).get("pose_keypoints_2d")
        where += ".pose_keypoints_2d"
        orders = {75: OPENPOSE_BODY_25, 54: OPENPOSE_COCO_18}
        if not isinstance(values, list) or len(values) not in orders:
            raise BadInputError(
                f"{where} is {shown(values)}",
                "it must be a list of 75 numbers (BODY_25) or 54 (COCO-18)",
                "write the file with OpenPose's BODY_25 or COCO model",
            )
        points = _triples(values, where)
        seen = points[:, 2] > 0
        if seen.any() and np.abs(points[seen, :2]).max() <= 1:
            raise BadInputError(
                f"{where} has no coordinate above 1",
                "coordinates must be in pixels",
                "write the file with OpenPose's --keypoint_scale 0",
            )
        persons.append(Person(points[list(orders[len(values)])], size))
    return persons


def _coco_annotations(document: dict[str, object], source: str) -> list[Person]:
    """An annotations file: `annotations[].keypoints` with flags, and the pictures' sizes in `images`."""
    sizes: dict[int | str | None, tuple[int, int]] = {}
    for index, image in enumerate(items(document.get("images", []), f"{source}: images")):
        where = f"{source}: images[{index}]"
        entry = fields(image, where)
        if "width" in entry or "height" in entry:
            sizes[_image_of(entry, "id", where)] = size_px([entry.get("width"), entry.get("height")], f"{where} size")
    persons = []
    for index, annotation in enumerate(items(document["annotations"], f"{source}: annotations")):
        where = f"{source}: annotations[{index}]"
        entry = fields(annotation, where)
        points = _triples(items(entry.get("keypoints"), f"{where}.keypoints", 51), f"{where}.keypoints", flags=True)
        image_id = _image_of(entry, "image_id", where)
        persons.append(Person(points, sizes.get(image_id), image_id))
    return persons


def _coco_results(document: list[object], source: str) -> list[Person]:
    """A results list; the third number is a confidence, or COCO's flag where a person has a 2 and whole numbers."""
    persons = []
    for index, result in enumerate(document):
        where = f"{source}: [{index}]"
        entry = fields(result, where)
        values = items(entry.get("keypoints"), f"{where}.keypoints", 51)
        flags = 2 in values[2::3] and all(value in (0, 1, 2) for value in values[2::3])
        points = _triples(values, f"{where}.keypoints", flags=flags)
        persons.append(Person(points, None, _image_of(entry, "image_id", where)))
    return persons


def _mediapipe(document: dict[str, object], source: str) -> list[Person]:
    """33 landmarks {x, y, z, visibility} of one person, or a list of such lists; x and y are parts of width, height."""
    key = next(key for key in MEDIAPIPE_KEYS if key in document)
    value, where = document[key], f"{source}: {key}"
    if isinstance(value, dict):
        value = value.get("landmark", value.get("landmarks"))
    several = items(value, where)
    if not (several and isinstance(several[0], list)):
        several = [several]
    size = _size_of(document, source)
    if size is None:
        raise BadInputError(
            f"{source} has no image_size",
            "MediaPipe's landmarks are parts of the picture's width and height, so its size must be known",
            'write the file as {"image_size": [WIDTH, HEIGHT], "landmarks": [...]}',
        )
    return [Person(_landmarks(person, f"{where}[{index}]", size), size) for index, person in enumerate(several)]


def _landmarks(person: object, where: str, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    points = np.zeros((len(KEYPOINTS), 3), np.float32)
    landmarks = items(person, where, 33)
    for keypoint, index in enumerate(MEDIAPIPE_33):
        entry = fields(landmarks[index], f"{where}[{index}]")
        for axis, side in enumerate(("x", "y")):
            part = number(entry.get(side), f"{where}[{index}].{side}", -MAX_NORMALISED, MAX_NORMALISED)
            points[keypoint, axis] = part * size[axis]
        points[keypoint, 2] = number(entry.get("visibility"), f"{where}[{index}].visibility", 0, 1)
    return points


def _triples(values: list[object], where: str, flags: bool = False) -> npt.NDArray[np.float32]:
    """`float32 [N, 3]` from a flat list x, y, c, ...; networks that give confidences above 1 are cut to 1."""
    points = np.zeros((len(values) // 3, 3), np.float32)
    for index, value in enumerate(values):
        point, axis = divmod(index, 3)
        if axis < 2:
            points[point, axis] = number(value, f"{where}[{index}]", -MAX_PIXELS, MAX_PIXELS)
        elif flags:
            flag = number(value, f"{where}[{index}]", 0, 2)
            if not flag.is_integer():
                raise BadInputError(f"{where}[{index}] is {flag}", "COCO's v is 0, 1 or 2", "correct that value")
            points[point, 2] = COCO_FLAG_CONFIDENCE[int(flag)]
        else:
            points[point, 2] = min(number(value, f"{where}[{index}]", 0, MAX_CONFIDENCE), 1.0)
    return points


def _image_of(entry: dict[str, object], key: str, where: str) -> int | str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, int | str):
        raise BadInputError(f"{where}.{key} is {shown(value)}", "it must be a number or a text", "correct that value")
    return value


def _size_of(document: dict[str, object], source: str) -> tuple[int, int] | None:
    if "image_size" in document:
        return size_px(document["image_size"], f"{source}: image_size")
    if "image_width" in document or "image_height" in document:
        sides = [document.get("image_width"), document.get("image_height")]
        return size_px(sides, f"{source}: image_width, image_height")
    return None
