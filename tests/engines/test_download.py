"""Downloads from a server on this machine that cuts short, ignores Range, lies and corrupts."""

import errno
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.error import URLError

import pytest

from engines import download as module
from engines.download import download, file_sha256
from engines.errors import EngineError

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Server:
    url: str = ""
    body: bytes = BODY
    etag: str | None = '"one"'
    cut_after: int | None = None
    ignore_range: bool = False
    wrong_content_range: bool = False
    chunked: bool = False
    status: int = 200
    ranges: list[str | None] = field(default_factory=list)


def handler_for(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.close_connection = True
            wanted = self.headers.get("Range")
            server.ranges.append(wanted)
            if server.status != 200:
                self.send_error(server.status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and not server.ignore_range else 0
            if self.headers.get("If-Range", server.etag) != server.etag:
                start = 0
            size = len(server.body)
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                first = 0 if server.wrong_content_range else start
                self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
            if server.etag:
                self.send_header("ETag", server.etag)
            if server.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n" % size + server.body[: server.cut_after])
                return
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            self.wfile.write(server.body[start : server.cut_after])

    return Handler


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(state)) as http_server:
        state.url = f"http://127.0.0.1:{http_server.server_port}/weights.pth"
        thread = threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield state
        http_server.shutdown()
        thread.join()


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_whole_file_arrives_with_progress_and_leaves_nothing_else(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "weights.pth"
    seen: list[tuple[int, int | None]] = []
    download(server.url, path, SHA256, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert file_sha256(path) == SHA256
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert left_in(path.parent) == ["weights.pth"]


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256[:8], SHA256.upper()])
def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path, sha256: str | None) -> None:
    path = tmp_path / "weights.pth"
    server.cut_after = 300_000
    with pytest.raises(EngineError, match="ended early, after 300000 bytes of 1048576; the whole file is needed"):
        download(server.url, path, sha256)
    assert part_of(path).read_bytes() == BODY[:300_000] and not path.exists()
    server.cut_after = None
    seen: list[tuple[int, int | None]] = []
    download(server.url, path, sha256, lambda done, total: seen.append((done, total)))
    assert server.ranges == [None, "bytes=300000-"]
    assert seen[0] == (300_000, len(BODY)) and seen[-1] == (len(BODY), len(BODY))
    assert path.read_bytes() == BODY and left_in(tmp_path) == ["weights.pth"]


def test_a_server_that_ignores_range_gives_the_whole_file_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    part_of(path).write_bytes(BODY[:1000])
    server.ignore_range = True
    download(server.url, path, SHA256)
    assert path.read_bytes() == BODY and server.ranges == ["bytes=1000-"]


def test_a_part_that_is_already_whole_is_checked_and_kept(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    part_of(path).write_bytes(BODY)
    download(server.url, path, SHA256)
    assert path.read_bytes() == BODY and server.ranges == [f"bytes={len(BODY)}-"]


@pytest.mark.parametrize("part", [BODY + b"more", b"other bytes"])
def test_a_part_of_another_file_is_thrown_away_and_fetched_anew(server: Server, tmp_path: Path, part: bytes) -> None:
    path = tmp_path / "weights.pth"
    part_of(path).write_bytes(part)
    download(server.url, path, SHA256)
    assert path.read_bytes() == BODY and server.ranges == [f"bytes={len(part)}-", None]


def test_a_server_that_continues_elsewhere_than_asked_is_asked_for_the_whole(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    part_of(path).write_bytes(BODY[:1000])
    server.wrong_content_range = True
    download(server.url, path, SHA256)
    assert path.read_bytes() == BODY and server.ranges == ["bytes=1000-", None]


def test_a_file_that_changed_between_two_runs_is_not_mixed_without_a_hash(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    server.cut_after = 1000
    with pytest.raises(EngineError):
        download(server.url, path)
    server.cut_after, server.body, server.etag = None, BODY[::-1] + b"longer", '"two"'
    download(server.url, path)
    assert path.read_bytes() == server.body and left_in(tmp_path) == ["weights.pth"]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_hash_and_strong_etag_a_part_is_not_resumed(server: Server, tmp_path: Path, etag: str | None) -> None:
    path = tmp_path / "weights.pth"
    server.etag = etag
    server.cut_after = 1000
    with pytest.raises(EngineError):
        download(server.url, path)
    server.cut_after = None
    download(server.url, path)
    assert path.read_bytes() == BODY and server.ranges == [None, None]


def test_a_chunked_answer_cut_short_is_not_taken_for_whole(server: Server, tmp_path: Path) -> None:
    server.chunked, server.cut_after = True, 1000
    with pytest.raises(EngineError, match="ended early, after"):
        download(server.url, tmp_path / "weights.pth")
    assert not (tmp_path / "weights.pth").exists()


def test_a_wrong_hash_is_refused_naming_both_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.body = b"corrupt" + BODY
    seen = hashlib.sha256(server.body).hexdigest()
    with pytest.raises(EngineError, match=f"gave SHA-256 {seen}; a SHA-256 that begins with {SHA256} is expected; run"):
        download(server.url, tmp_path / "weights.pth", SHA256)
    assert left_in(tmp_path) == []
    assert server.ranges == [None]


def test_a_file_already_there_survives_a_failed_download(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"old")
    server.status = 404
    with pytest.raises(EngineError):
        download(server.url, path, SHA256)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("status", "words"), [(404, "answered 404 Not Found"), (503, "answered 503 Service")])
def test_an_http_error_is_named_with_its_code(server: Server, tmp_path: Path, status: int, words: str) -> None:
    server.status = status
    with pytest.raises(EngineError, match=f"{words}.*; 200 is expected; try again later, or fetch .*--weights-dir"):
        download(server.url, tmp_path / "weights.pth")


def test_a_refused_connection_says_so(server: Server, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as unused:
        port = unused.server_port
    with pytest.raises(EngineError, match=rf"127\.0\.0\.1:{port} refused the connection; .* must be reachable; check"):
        download(f"http://127.0.0.1:{port}/weights.pth", tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), "the host example.org was not found"),
        (URLError(ssl.SSLError(1, "bad certificate")), "example.org could not prove who it is"),
        (TimeoutError("timed out"), "example.org stopped answering"),
        (ConnectionResetError("reset by peer"), "the connection to example.org failed .ConnectionResetError: reset by"),
    ],
)
def test_a_silent_or_broken_connection_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError, words: str
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(module.urllib.request, "urlopen", fail)
    with pytest.raises(EngineError, match=words):
        download("https://example.org/weights.pth", tmp_path / "weights.pth")


def test_a_full_disk_says_so_and_keeps_the_part(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_copy = module._copy

    class FullDisk:
        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            self.file.write(data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        module, "_copy", lambda url, response, file, *rest: real_copy(url, response, FullDisk(file), *rest)
    )
    with pytest.raises(EngineError, match="the disk was full while writing"):
        download(server.url, tmp_path / "weights.pth", SHA256)
    assert part_of(tmp_path / "weights.pth").read_bytes() == BODY[:1000]


def test_a_folder_that_cannot_be_made_says_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EngineError, match=r"could not be written \(.*; its folder must be writable; give"):
        download(server.url, tmp_path / "file" / "weights.pth")
