"""Pictures that are not read, or not under their name, are told from a broken target and from a video."""

import os
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import BadInputError
from realtime.file_kinds import head_of, picture_kind, refuse_other_kinds
from realtime.opening import picture_of
from realtime.pose import read_target
from tests.realtime.opened_sources import refused


def heif(major: bytes, *compatible: bytes) -> bytes:
    """The first boxes of a HEIF file, as phones write them."""
    brands = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + struct.pack(">I", 16) + b"metaheicmif1"


def encoded(ending: str) -> bytes:
    return cv2.imencode(ending, np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


HEIC = heif(b"heic", b"mif1", b"heic")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(".jpg"), "JPEG"),
        (encoded(".png"), "PNG"),
        (encoded(".webp"), "WebP"),
        (HEIC, "HEIC"),
        (heif(b"mif1", b"miaf", b"heix"), "HEIC"),
        (heif(b"mif1"), "HEIC"),
        (heif(b"avif", b"mif1", b"miaf"), "AVIF"),
        (heif(b"mif1", b"avif"), "AVIF"),
        (heif(b"isom", b"iso2", b"avc1", b"mp41"), None),
        (heif(b"qt  "), None),
        (b"RIFF\x10\x00\x00\x00AVI LIST", None),
        (b'{"people": []}', None),
        (HEIC[:6], None),
        (b"", None),
    ],
)
def test_a_kind_is_told_by_the_first_bytes(data: bytes, kind: str | None) -> None:
    assert picture_kind(data[:64]) == kind


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.heic", HEIC, "x.heic is a picture of kind HEIC; JPEG, PNG, .*; convert it to JPEG"),
        ("x.HEIF", b"cut off", "is a picture of kind HEIC; .*; convert it to JPEG"),
        ("x.avif", heif(b"avif", b"mif1"), "is a picture of kind AVIF; .*; convert it to JPEG"),
        ("pose.json", HEIC, "is a picture of kind HEIC; .*; convert it to JPEG"),
        ("my photo", encoded(".jpg"), "my photo is a picture of kind JPEG, which its name does not say; pictures are "
         "files ending in .jpg, .*; rename it to '.*/my photo.jpg'"),
        ("x.heic", encoded(".jpg"), "kind JPEG, which its name does not say; .*; rename it to .*/x.jpg"),
        ("pose.json", encoded(".png"), "kind PNG, which its name does not say; .*; rename it to .*/pose.png"),
    ],
)  # fmt: skip
def test_a_target_that_is_a_picture_of_another_kind_or_name_is_told_as_that(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInputError, match=said):
        read_target(tmp_path / name)


def test_a_picture_of_a_phone_under_the_name_of_a_jpeg_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(HEIC)
    said = f"{path} is a picture of kind HEIC"
    with pytest.raises(BadInputError, match=f"target {re.escape(said)}; .*; convert it to JPEG"):
        picture_of(path, "target")
    assert f"--source {said}; " in refused(path)


@pytest.mark.parametrize(("name", "data"), [("x.heic", HEIC), ("x.heic", b""), ("text", b"no picture")])
def test_a_source_that_is_no_video_is_named_as_the_picture_that_it_is(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert ("is a picture of kind HEIC" if data == HEIC else "holds no video") in refused(tmp_path / name)


def test_a_pipe_is_not_read_for_its_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pose")
    assert head_of(tmp_path / "pose") == head_of(tmp_path / "none") == head_of(Path("a\0b")) == b""
    refuse_other_kinds(tmp_path / "pose", "a target is needed")
