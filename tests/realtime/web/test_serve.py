"""`--serve` on the command line: faults are said before the camera opens; keys, rows and pictures of a whole run."""

import asyncio
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import run_live
from realtime import live as live_wiring
from realtime import screen
from realtime.live_options import parser
from realtime.pose import read_target
from realtime.web import address, server
from realtime.web.address import Address
from realtime.web.hub import Hub
from tests.fixtures import the_sentence
from tests.realtime.fakes import (
    DEADLINE_SECONDS,
    FRAME_SIZE,
    FakeChain,
    FakeSource,
    finished,
    rows_of,
)
from tests.realtime.web.clients import close_code, connected, next_words, within_deadline


@pytest.fixture
def words(target: Path, no_display: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line for engines without networks and no display; signals stay as they are."""
    monkeypatch.setattr(live_wiring, "open_chain", lambda *_: (FakeChain(), "nothing at all"))
    monkeypatch.setattr(run_live, "end_by_exception", lambda: None)
    return ["--target", str(target), "--mute"]


@pytest.fixture
def no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_wiring, "chosen_source", lambda *_: pytest.fail("the camera was opened"))


@pytest.mark.usefixtures("no_camera")
def test_ports_in_use_are_said_before_the_camera_opens(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "NEXT_PORTS", 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert run_live.main([*words, "--serve", str(other.getsockname()[1])]) == 2
    assert "is in use" in the_sentence(capsys.readouterr().err)


@pytest.mark.usefixtures("no_camera")
def test_a_host_of_another_machine_is_said_before_the_camera_opens(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_live.main([*words, "--serve", "203.0.113.7:8080"]) == 2
    assert "no address of this machine" in the_sentence(capsys.readouterr().err)


@pytest.mark.usefixtures("no_camera")
def test_a_missing_web_library_is_said_before_the_camera_opens(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "realtime.web.server", raising=False)
    assert run_live.main([*words, "--serve", "0"]) == 2
    said = the_sentence(capsys.readouterr().err)
    assert "aiohttp" in said and "[serve]" in said


@pytest.mark.usefixtures("no_camera")
@pytest.mark.parametrize("text", ["", "port", "99999", "::1:80"])
def test_a_bad_address_is_said_before_the_camera_opens(
    words: list[str], capsys: pytest.CaptureFixture[str], text: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run_live.main([*words, "--serve", text])
    assert end.value.code == 2
    assert f"argument --serve: {text!r} is no address" in capsys.readouterr().err


@pytest.mark.usefixtures("no_camera")
@pytest.mark.parametrize("line", ["serve = 65536", 'serve = "x:y"', "serve = true"])
def test_a_bad_address_in_a_settings_file_is_one_sentence(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    (tmp_path / "station.toml").write_text(line)
    assert run_live.main([*words, "--settings", str(tmp_path / "station.toml")]) == 2
    assert "station.toml: serve" in the_sentence(capsys.readouterr().err)


def test_help_tells_of_the_mirror_in_its_group() -> None:
    text = parser().format_help().partition("screen and sound:")[2]
    assert "--serve [HOST:]PORT" in text.partition("files:")[0]
    assert parser().parse_args(["--demo", "--serve", "8080"]).serve == Address("127.0.0.1", 8080)


class Station:
    """A run of the command line in a thread, with the address that it printed."""

    def __init__(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        self.code: int | None = None
        self.said = ""
        self._capsys = capsys
        self._output: Any = sys.stdout  # capsys's own
        self._thread = threading.Thread(target=self._run, args=(words,), daemon=True)
        self._thread.start()

    def _run(self, words: list[str]) -> None:
        self.code = run_live.main(words)

    def url(self) -> str:
        """As soon as it was printed."""
        ends = time.monotonic() + DEADLINE_SECONDS
        said = ""
        while self._thread.is_alive() and time.monotonic() < ends:
            said = self._output.getvalue()  # readouterr would lose what is printed while it empties the buffer
            found = re.search(r"Browser: (http://[^/\s]+)/\S*\n", said)
            if found:
                return found[1]
            self._thread.join(0.005)
        raise AssertionError(said)

    def ended(self) -> int | None:
        """Its exit code, when it has come to its end."""
        finished(self._thread.join)
        self.said += self._capsys.readouterr().out
        return self.code


class Turns:
    """A camera and a page in turn: a frame is read when the page has the picture before, and is ready for the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._hubs: list[Hub] = []
        self._tokens = threading.Semaphore(1)
        self._over = threading.Event()
        monkeypatch.setattr(server, "Hub", lambda: self._hubs.append(Hub()) or self._hubs[-1])  # type: ignore[func-returns-value]

    def before_read(self, index: int) -> None:
        assert self._tokens.acquire(timeout=DEADLINE_SECONDS)
        while not self._hubs[-1].wanted and not self._over.wait(0.001):
            pass

    def next(self) -> None:
        """The page has its picture."""
        self._tokens.release()

    def end(self) -> None:
        """Nobody waits any more."""
        self._over.set()
        self._tokens.release(10_000)


def endless(monkeypatch: pytest.MonkeyPatch, before_read: Callable[[int], None] = lambda index: None) -> None:
    monkeypatch.setattr(live_wiring, "chosen_source", lambda *_: FakeSource(None, before_read=before_read))


def test_a_program_reads_the_rows_of_the_results_file_and_a_page_ends_the_session(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The camera waits for the page, which comes after the program, so that no row is missed."""
    turns = Turns(monkeypatch)
    endless(monkeypatch, turns.before_read)
    rows: list[str] = []
    frames: list[object] = []

    async def talk() -> None:
        url = await asyncio.to_thread(station.url)
        async with connected(url, "/results") as program:
            rows.append(await program.receive_str())
            async with connected(url, "/mirror") as page:
                for _ in range(20):
                    told = await next_words(page)
                    frames.append(told["frame"])
                    assert told["target"] == "Standing" and told["status"] == "scored"
                    turns.next()
                await page.send_json({"key": "q"})
                turns.end()
                async for message in program:
                    rows.append(message.data)

    results = tmp_path / "out.jsonl"
    station = Station([*words, "--headless", "--serve", "0", "--results", str(results)], capsys)
    try:
        within_deadline(talk)
    finally:
        turns.end()
    assert station.ended() == 0
    assert results.read_text(encoding="utf-8").splitlines() == rows
    assert [row["type"] for row in rows_of(results)] == [
        "session",
        *["frame"] * (len(rows) - 2),
        "summary",
    ]
    assert frames == list(range(20))


def test_while_nobody_looks_nothing_is_drawn(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "draw_overlay", lambda *_: pytest.fail("drawn for nobody"))
    monkeypatch.setattr(live_wiring, "chosen_source", lambda *_: FakeSource(30))
    assert run_live.main([*words, "--headless", "--serve", "0"]) == 0
    assert "30 frames shown" in capsys.readouterr().out


def test_the_pages_keys_do_what_the_windows_do(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mirror flips the picture, help is drawn, pause says so, each in a picture that comes soon after the key."""
    endless(monkeypatch)
    hints: list[object] = []

    async def talk() -> None:
        url = await asyncio.to_thread(station.url)
        async with connected(url, "/mirror") as page:
            assert (await next_words(page))["hint"] == ""
            await page.send_json({"key": " "})
            while not hints or not hints[-1]:
                hints.append((await next_words(page))["hint"])
            await page.send_json({"key": "p"})
            while hints[-1]:
                hints.append((await next_words(page))["hint"])
            await page.send_json({"key": "q"})
            await close_code(page)

    station = Station([*words, "--headless", "--serve", "0"], capsys)
    within_deadline(talk)
    assert station.ended() == 0
    assert "Paused: press space to go on" in hints and hints[-1] == ""


def test_a_touch_on_the_page_counts_down_and_captures_a_target(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    turns = Turns(monkeypatch)
    endless(monkeypatch, turns.before_read)
    monkeypatch.chdir(tmp_path)
    shown: list[object] = []

    async def talk() -> None:
        url = await asyncio.to_thread(station.url)
        async with connected(url, "/mirror") as page:
            await page.send_json({"key": "c"})
            while "Captured" not in shown:
                told = await next_words(page)
                turns.next()
                shown.append(told["countdown"] or told["hint"])
            await page.send_json({"key": "q"})
            turns.end()
            await close_code(page)

    station = Station([*words, "--headless", "--serve", "0"], capsys)
    try:
        within_deadline(talk)
    finally:
        turns.end()
    assert station.ended() == 0
    assert [one for one, _ in groupby(filter(None, shown))] == ["5", "4", "3", "2", "1", "Captured"]
    assert "Wrote captured_1.json" in station.said
    assert read_target(tmp_path / "captured_1.json").joints.shape == (15, 3)


def test_a_host_that_others_reach_comes_with_a_token_in_the_address(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_wiring, "chosen_source", lambda *_: FakeSource(1, size=FRAME_SIZE))
    said = []
    for _ in range(2):
        assert run_live.main([*words, "--headless", "--serve", "0.0.0.0:0"]) == 0
        said.append(re.search(r"Browser: http://[0-9.]+:\d+/\?token=([\w-]{22})\n", capsys.readouterr().out))
    assert said[0] and said[1] and said[0][1] != said[1][1]
