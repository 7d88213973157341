"""Download of one file over HTTP: resumed, checked, put in place whole. Knows nothing of networks or of a terminal."""

import contextlib
import errno
import hashlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from engines.errors import EngineError

Progress = Callable[[int, int | None], None]
"""Called with the bytes on disk so far and the bytes of the whole file (None where the server does not say)."""

CHUNK_BYTES = 1 << 18
BY_HAND = "fetch the file on another machine and name its folder with --weights-dir"


class _Response(Protocol):
    status: int
    headers: Message

    def read(self, amount: int, /) -> bytes: ...


class _PartUnfitError(Exception):
    """The bytes kept from an earlier run do not belong to the file the server has now."""


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 lower-case hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(
    url: str,
    path: Path,
    sha256: str | None = None,
    on_progress: Progress | None = None,
    *,
    timeout_seconds: float = 30.0,
) -> None:
    """Fetches `url` into `path`, which appears only when whole and, where a hash is known, right.

    The bytes go to `path` + ".part", which stays after an interruption; the next call goes on from there with a Range
    request (RFC 9110, 14.2), where the hash or the server's ETag can show that both halves are of one file.

    Args:
        url: http or https.
        path: where the file goes; its folder is made.
        sha256: the file's SHA-256 in hex, or the first digits of it; None checks the length alone.
        on_progress: see `Progress`.
        timeout_seconds: longest silence of the server.

    Raises:
        EngineError: host not found, connection refused or lost, an HTTP error, a file cut short, a wrong hash, or a
            disk that is full or not writable.
    """
    part = path.with_name(path.name + ".part")
    etag = path.with_name(path.name + ".part.etag")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for resumed in (True, False) if _resumable(part, etag, sha256) else (False,):
            if not resumed:
                _forget(part, etag)
            try:
                _fetch(url, part, etag, on_progress, timeout_seconds)
                _check_hash(part, sha256)
                break
            except _PartUnfitError as error:
                seen = str(error)
        else:
            _forget(part, etag)
            raise EngineError(
                f"{url} gave {seen}",
                f"a SHA-256 that begins with {sha256} is expected",
                f"run the same command again, and if it repeats, {BY_HAND}",
            )
        part.replace(path)
        _forget(part, etag)
    except OSError as error:
        raise _disk_error(path, error) from error


def _resumable(part: Path, etag: Path, sha256: str | None) -> bool:
    return part.is_file() and part.stat().st_size > 0 and (sha256 is not None or etag.is_file())


def _forget(part: Path, etag: Path) -> None:
    part.unlink(missing_ok=True)
    etag.unlink(missing_ok=True)


def _fetch(url: str, part: Path, etag: Path, on_progress: Progress | None, timeout_seconds: float) -> None:
    """Adds to `part` what it lacks. Raises _PartUnfitError when it cannot be a beginning of the server's file."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "posemirror"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if etag.is_file():
            request.add_header("If-Range", etag.read_text(encoding="ascii"))
    with contextlib.ExitStack() as stack:
        try:
            response: _Response = stack.enter_context(urllib.request.urlopen(request, timeout=timeout_seconds))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 and have:
                    if _range_total(error.headers) == have:
                        return
                    raise _PartUnfitError("a part longer than the file") from None
                raise _http_error(url, error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _network_error(url, error) from error
        if have and response.status == 206 and _range_start(response.headers) != have:
            raise _PartUnfitError("a part that the server does not continue")
        if response.status != 206:
            have = 0
            _forget(part, etag)
            _remember_etag(etag, response.headers.get("ETag"))
        total = _total(response, have)
        file: BinaryIO = stack.enter_context(part.open("ab" if have else "wb"))
        done = _copy(url, response, file, have, total, on_progress)
    if total is not None and done != total:
        raise _short(url, done, total)


def _copy(
    url: str, response: _Response, file: BinaryIO, done: int, total: int | None, on_progress: Progress | None
) -> int:
    if on_progress:
        on_progress(done, total)
    while True:
        try:
            chunk = response.read(CHUNK_BYTES)
        except http.client.IncompleteRead as error:
            file.write(error.partial)
            raise _short(url, done + len(error.partial), total) from error
        except (OSError, http.client.HTTPException) as error:
            raise _network_error(url, error) from error
        if not chunk:
            return done
        file.write(chunk)
        done += len(chunk)
        if on_progress:
            on_progress(done, total)


def _total(response: _Response, have: int) -> int | None:
    if response.status == 206:
        return _range_total(response.headers)
    length = response.headers.get("Content-Length", "")
    return have + int(length) if length.isdecimal() else None


def _range_start(headers: Message) -> int | None:
    match = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _range_total(headers: Message) -> int | None:
    match = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _remember_etag(etag: Path, value: str | None) -> None:
    """Keeps a strong ETag beside the part; a weak one (W/...) does not promise the same bytes."""
    if value and value.startswith('"') and value.isascii():
        etag.write_text(value, encoding="ascii")


def _check_hash(part: Path, sha256: str | None) -> None:
    if sha256 is not None:
        seen = file_sha256(part)
        if not seen.startswith(sha256.lower()):
            raise _PartUnfitError(f"SHA-256 {seen}")


def _short(url: str, done: int, total: int | None) -> EngineError:
    return EngineError(
        f"{url} ended early, after {done} bytes" + ("" if total is None else f" of {total}"),
        "the whole file is needed",
        "run the same command again, and it goes on from there",
    )


def _http_error(url: str, error: urllib.error.HTTPError) -> EngineError:
    return EngineError(
        f"{url} answered {error.code} {error.reason}".rstrip(), "200 is expected", f"try again later, or {BY_HAND}"
    )


def _network_error(url: str, error: Exception) -> EngineError:
    host = urlsplit(url).netloc.rpartition("@")[2]
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, socket.gaierror):
        seen = f"the host {host} was not found"
    elif isinstance(cause, ConnectionRefusedError):
        seen = f"{host} refused the connection"
    elif isinstance(cause, TimeoutError):
        seen = f"{host} stopped answering"
    elif isinstance(cause, ssl.SSLError):
        seen = f"{host} could not prove who it is ({cause})"
    else:
        seen = f"the connection to {host} failed ({type(cause).__name__}: {cause})"
    return EngineError(seen, f"{url} must be reachable", f"check the network and run again, or {BY_HAND}")


def _disk_error(path: Path, error: OSError) -> EngineError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError(
            f"the disk was full while writing {path}",
            "the whole file must fit",
            "free some space and run the same command again, and it goes on from there",
        )
    return EngineError(
        f"{path} could not be written ({error.strerror or error})",
        "its folder must be writable",
        "give yourself the right to write there, or set XDG_CACHE_HOME to another folder",
    )
