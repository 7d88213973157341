"""What users give in place of a target, told by name and first bytes, with the way out. Decodes nothing."""

from pathlib import Path

from engines.errors import BadInputError, in_command, name_of
from realtime.frames import PICTURE_SUFFIXES, is_picture

RESULTS_SUFFIX = ".jsonl"
HEAD_BYTES = 64
ENDING_OF = {"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp"}
UNREAD_SUFFIXES = {".heic": "HEIC", ".heif": "HEIC", ".avif": "AVIF"}
BRANDS = {"AVIF": (b"avif", b"avis"), "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")}
"""Of the box `ftyp` that such a file begins with (ISO/IEC 23008-12); AVIF's files name HEIC's mif1 as well."""


def head_of(path: Path) -> bytes:
    """A file's first bytes; none of a pipe's, which could be read only once, and of what cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def picture_kind(head: bytes) -> str | None:
    """JPEG, PNG, WebP, HEIC or AVIF, by a file's first bytes; None for anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), len(head))
    named = {head[at : at + 4] for at in range(8, end, 4)}
    return next((kind for kind, brands in BRANDS.items() if named.intersection(brands)), None)


def picture_problem(path: Path) -> tuple[str, str, str] | None:
    """Why a picture is not read under its name, in the three parts of an error; None for every other file."""
    head = head_of(path)
    kind = picture_kind(head) or (UNREAD_SUFFIXES.get(path.suffix.lower()) if head else None)
    if kind is None or (kind in ENDING_OF and is_picture(path)):
        return None
    seen = f"{name_of(path)} is a picture of kind {kind}"
    if kind not in ENDING_OF:
        return seen, f"JPEG, PNG, WebP, BMP and TIFF are read, and {kind} is not", "convert it to JPEG, and give that"
    better = in_command(path.with_suffix(ENDING_OF[kind]))
    allowed = f"pictures are files ending in {', '.join(PICTURE_SUFFIXES)}"
    return f"{seen}, which its name does not say", allowed, f"rename it to {better}"


def refuse_other_kinds(path: Path, readable: str) -> None:
    """Refuses a results file, and a picture that is not read under its name; `readable` is for errors.

    Raises:
        BadInputError: it is one.
    """
    if path.suffix.lower() == RESULTS_SUFFIX and path.is_file():
        next_step = f"give it with run_live.py --replay {in_command(path)}"
        raise BadInputError(f"{name_of(path)} is a results file", readable, next_step)
    if problem := picture_problem(path):
        raise BadInputError(*problem)
