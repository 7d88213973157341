"""A tiny set of crops and scenes in the layout of the real ones: a figure of coloured discs, one a joint."""

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np

FIGURE = np.array([
    [120, 60], [128, 54], [112, 54], [136, 58], [104, 58], [150, 100], [90, 100], [165, 140], [75, 140], [172, 180],
    [68, 180], [138, 180], [102, 180], [140, 225], [100, 225], [142, 268], [98, 268],
], np.float32)  # fmt: skip
"""Where the joints of the drawn figure lie, px of a 240x320 crop."""


def colour(joint: int) -> tuple[int, int, int]:
    return (40 + joint * 37 % 200, 40 + joint * 91 % 200, 40 + joint * 151 % 200)


def drawn(shift: np.ndarray, width: int = 240, height: int = 320) -> np.ndarray:
    picture = np.full((height, width, 3), 20, np.uint8)
    for joint, (x, y) in enumerate(FIGURE + shift):
        cv2.circle(picture, (round(float(x)), round(float(y))), 7, colour(joint), -1)
    return picture


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def write_tar(path: Path, pictures: dict[str, np.ndarray]) -> list[tuple[int, int]]:
    with tarfile.open(path, "w") as tar:
        for name, picture in pictures.items():
            content = jpeg(picture)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with tarfile.open(path) as tar:
        return [(member.offset_data, member.size) for member in tar]


def write_crops(stem: Path, count: int, seed: int) -> None:
    shifts = np.random.default_rng(seed).uniform(-12, 12, (count, 1, 2)).astype(np.float32)
    keypoints = np.concatenate([FIGURE + shifts, np.full((count, 17, 1), 0.9, np.float32)], -1)
    offsets = write_tar(stem.with_suffix(".tar"), {f"{n:05d}.jpg": drawn(shift) for n, shift in enumerate(shifts)})
    np.savez(
        stem.with_suffix(".npz"),
        keypoints=keypoints,
        inside=np.ones((count, 17), bool),
        affine=np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (count, 1, 1)),
        image_hw=np.tile(np.array([320, 240], np.int32), (count, 1)),
        source=np.arange(count, dtype=np.int16) % 2,
        sources=np.array(["first", "second"]),
        human_keypoints=np.full((count, 17, 3), np.nan, np.float32),
        offset=np.array(offsets, np.int64),
    )


def write_coco(folder: Path, count: int) -> None:
    pictures = {f"{n}.jpg": drawn(np.array([4.0 * n, 0.0])) for n in range(count)}
    write_tar(folder / "coco_gt.tar", pictures)
    people = []
    for n in range(count):
        points = np.concatenate([FIGURE + np.array([4.0 * n, 0]), np.full((17, 1), 2)], 1)
        box = [60.0 + 4 * n, 40.0, 125.0, 240.0]
        people.append(
            {"id": n + 1, "image_id": n, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "bbox": box,
             "area": box[2] * box[3], "keypoints": points.ravel().tolist()}
        )  # fmt: skip
    splits = ["mini_val2017", "mini_train2017"]
    images = [
        {"id": n, "file_name": f"{n}.jpg", "split": splits[n % 2], "width": 240, "height": 320} for n in range(count)
    ]
    categories = [{"id": 1, "name": "person"}]
    (folder / "coco_gt.json").write_text(
        json.dumps({"images": images, "annotations": people, "categories": categories})
    )


def write_scenes(stem: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures, rows = {}, []
    for n in range(count):
        picture = np.full((234, 416, 3), 40, np.uint8)
        x, y = rng.uniform(20, 250), rng.uniform(10, 60)
        width, height = rng.uniform(50, 90), rng.uniform(120, 160)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + width), int(y + height)), (200, 120, 60), -1)
        name = f"{n:05d}.jpg"
        pictures[name] = picture
        box = [x, y, x + width, y + height, 0.9]
        rows.append({"file": name, "source": "drawn", "image": name, "size": [416, 234], "boxes": [box]})
    write_tar(stem.with_suffix(".tar"), pictures)
    stem.with_suffix(".json").write_text(json.dumps(rows))
