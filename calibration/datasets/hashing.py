"""Hashes of data files, for run records. Knows nothing of what the files hold."""

import hashlib
from pathlib import Path


def file_hash(path: Path) -> str:
    """The file's sha256, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
