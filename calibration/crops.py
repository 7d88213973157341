"""Reads the person crops a pose network is distilled from, and says what to learn from them. Knows no network.

A crop is 240 wide and 320 high around a person; the network's window of 192x256 (the box widened by 1.25) is its
middle, `crop[32:288, 24:216]`. Beside it lie a teacher's keypoints and, for some, human ones.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engines.download import file_sha256
from engines.errors import BadInputError

CROP_SIZE = (240, 320)
WINDOW_SIZE = (192, 256)
WINDOW_OFFSET = (24, 32)
HUMAN_SHARE = 0.6
"""How much of a joint's target is the human label, where there is one; the rest is the teacher's."""

FloatArray = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PoseLabels:
    """What is to be learnt from N crops; px of the 240x320 crop.

    Attributes:
        places: `float32 [N, 2, 17, 2]`, where the teacher (0) and a human (1) put the joint.
        shares: `float32 [N, 2, 17]` >= 0, how much each counts; zeros where there is nothing to learn.
        visible: `float32 [N, 17]`, how sure a network should be of the joint, 0..1.
    """

    places: FloatArray
    shares: FloatArray
    visible: FloatArray


def pose_labels(keypoints: FloatArray, inside: npt.NDArray[np.bool_], human: FloatArray | None = None) -> PoseLabels:
    """Joins a teacher's keypoints and human ones.

    A teacher's guess outside the picture is an extrapolation: its place is not learnt, and it is not visible. A guess
    of low confidence counts little. Where a human labelled the joint both places count, the human's more.

    Args:
        keypoints: `float32 [N, 17, 3]`, the teacher's x px, y px, confidence.
        inside: `bool [N, 17]`, the teacher's place lies on real pixels.
        human: `float32 [N, 17, 3]` or None; NaN where not labelled.
    """
    teacher_share = np.clip((keypoints[..., 2] - 0.15) / 0.45, 0, 1) * inside
    visible = np.clip(keypoints[..., 2], 0, 1) * inside
    places = np.stack([keypoints[..., :2], keypoints[..., :2]], 1)
    human_share = np.zeros_like(teacher_share)
    if human is not None:
        labelled = np.isfinite(human[..., 0])
        places[:, 1][labelled] = human[..., :2][labelled]
        human_share[labelled] = HUMAN_SHARE
        teacher_share = np.where(labelled, teacher_share * (1 - HUMAN_SHARE), teacher_share)
        visible = np.where(labelled, np.maximum(visible, 0.8), visible)
    shares = np.stack([teacher_share, human_share], 1)
    return PoseLabels(places.astype(np.float32), shares.astype(np.float32), visible.astype(np.float32))


class CropSet:
    """N crops of one `.npz` and `.tar` pair, decoded on demand.

    Attributes:
        fields: the arrays of the `.npz`, as the data's README describes them.
        labels: what to learn from each crop.
        hashes: file name -> sha256.
    """

    def __init__(self, stem: Path) -> None:
        archive, index = stem.with_suffix(".tar"), stem.with_suffix(".npz")
        for path in (archive, index):
            if not path.is_file():
                raise BadInputError(
                    f"no file {path}",
                    "crops are a .npz and a .tar of one name",
                    "name the folder or the path where both lie",
                )
        with np.load(index, allow_pickle=False) as loaded:
            self.fields: dict[str, npt.NDArray[np.generic]] = {name: loaded[name] for name in loaded.files}
        self.keypoints = self.fields["keypoints"].astype(np.float32)
        self.inside = self.fields["inside"].astype(np.bool_)
        human = self.fields.get("human_keypoints")
        self.labels = pose_labels(self.keypoints, self.inside, None if human is None else human.astype(np.float32))
        self.sources = [str(self.fields["sources"][index]) for index in self.fields["source"].astype(np.int64)]
        self.hashes = {path.name: file_sha256(path) for path in (archive, index)}
        self._bytes = np.memmap(archive, np.uint8, "r")
        self._offsets = self.fields["offset"].astype(np.int64)

    def __len__(self) -> int:
        return len(self._offsets)

    def picture(self, index: int) -> Image:
        """Crop `index`, `uint8 [320, 240, 3]`, BGR; black where the picture did not reach."""
        start, length = (int(value) for value in self._offsets[index])
        picture = cv2.imdecode(np.asarray(self._bytes[start : start + length]), cv2.IMREAD_COLOR)
        if picture is None:
            raise BadInputError(f"crop {index} is no JPEG", "every crop is one", "fetch the crops again")
        return np.asarray(picture, np.uint8)

    def windows(self, indices: Iterable[int]) -> npt.NDArray[np.uint8]:
        """What a pose network sees of these crops, `uint8 [N, 256, 192, 3]`, BGR."""
        (left, top), (width, height) = WINDOW_OFFSET, WINDOW_SIZE
        return np.stack([self.picture(int(index))[top : top + height, left : left + width] for index in indices])

    def image_rect(self, index: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the real pixels in crop `index`, px; outside it is padding."""
        affine = self.fields["affine"][index].astype(np.float64)
        height, width = (int(value) for value in self.fields["image_hw"][index])
        left, top = max(0.0, affine[0, 2]), max(0.0, affine[1, 2])
        right = min(float(CROP_SIZE[0]), affine[0, 0] * width + affine[0, 2])
        bottom = min(float(CROP_SIZE[1]), affine[1, 1] * height + affine[1, 2])
        return int(np.ceil(left)), int(np.ceil(top)), int(right), int(bottom)

    def cached(self, cache: Path) -> npt.NDArray[np.uint8]:
        """All crops decoded, `uint8 [N, 320, 240, 3]`, in a memory-mapped file made on first use (230 kB a crop)."""
        path = cache / f"{self.hashes_key()}.u8"
        shape = (len(self), CROP_SIZE[1], CROP_SIZE[0], 3)
        if not path.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            store = np.memmap(partial, np.uint8, "w+", shape=shape)

            def decode(index: int) -> None:
                store[index] = self.picture(index)

            with ThreadPoolExecutor() as pool:  # OpenCV decodes without Python's lock
                list(pool.map(decode, range(len(self))))
            store.flush()
            partial.replace(path)
        return np.memmap(path, np.uint8, "r", shape=shape)

    def hashes_key(self) -> str:
        """A short name for exactly these files."""
        return hashlib.sha256("".join(self.hashes.values()).encode()).hexdigest()[:16]


def tar_pictures(archive: Path) -> Iterator[tuple[str, Image]]:
    """Every picture of a tar file: name, `uint8 [H, W, 3]` BGR."""
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            picture = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
            if picture is not None:
                yield member.name, np.asarray(picture, np.uint8)


class TarPictures:
    """The pictures of a tar file, decoded on demand.

    Args:
        archive: its path.
    """

    def __init__(self, archive: Path) -> None:
        self._bytes = np.memmap(archive, np.uint8, "r")
        with tarfile.open(archive) as tar:
            self._places = {one.name: (one.offset_data, one.size) for one in tar if one.isfile()}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def picture(self, name: str, flags: int = cv2.IMREAD_COLOR) -> Image | None:
        """The picture of that name, as OpenCV's `flags` say; None where there is none."""
        start, length = self._places.get(name, (0, 0))
        picture = cv2.imdecode(np.asarray(self._bytes[start : start + length]), flags) if length else None
        return None if picture is None else np.asarray(picture, np.uint8)
