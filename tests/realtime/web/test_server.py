"""The server in its own thread, spoken to over real sockets."""

import asyncio
import json
import struct

import aiohttp
import pytest
from aiohttp import web

from realtime.web import server
from tests.realtime.fakes import DEADLINE_SECONDS, result_of
from tests.realtime.web.clients import (
    close_code,
    connected,
    counted,
    next_words,
    noise,
    running,
    until,
    within_deadline,
)

PICTURE = noise()


def test_the_page_comes_with_a_policy_that_lets_nothing_else_in() -> None:
    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200 and "<title>posemirror</title>" in await response.text()
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert "Access-Control-Allow-Origin" not in response.headers
        async with aiohttp.ClientSession() as session:
            for method, path, status in (("GET", "/x", 404), ("GET", "/../run_live.py", 404), ("POST", "/", 405)):
                async with session.request(method, url + path) as response:
                    assert response.status == status

    with running() as (_, url):
        within_deadline(lambda: talk(url))


REFUSED = [
    ({"Host": "evil.example"}, "is no name of this machine"),
    ({"Origin": "http://evil.example"}, "are not taken"),
    ({"Authorization": "Bearer wrong"}, "the token is missing or wrong"),
    ({"Authorization": ""}, "the token is missing or wrong"),
]


@pytest.mark.parametrize("path", ["/", "/mirror", "/results", "/nowhere"])
@pytest.mark.parametrize(("headers", "said"), REFUSED)
def test_strangers_get_a_sentence_and_nothing_else(path: str, headers: dict[str, str], said: str) -> None:
    async def talk(url: str) -> None:
        whole = {"Authorization": "Bearer secret"} | headers
        async with aiohttp.ClientSession() as session:
            async with session.get(url + path, headers=whole) as response:
                text = await response.text()
                assert response.status == 403 and said in text and "secret" not in text
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url + path, headers=whole)
            assert refused.value.status == 403

    with running("secret") as (hub, url):
        within_deadline(lambda: talk(url))
        assert not hub.wanted


def test_the_token_opens_page_mirror_and_results_by_address_or_header() -> None:
    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/?token=secret") as response:
            assert response.status == 200
        async with connected(url, "/mirror?token=secret"), connected(url, "/results?token=secret"):
            pass
        async with connected(url, "/results", headers={"Authorization": "Bearer secret"}):
            pass

    with running("secret") as (_, url):
        within_deadline(lambda: talk(url))


def test_each_picture_is_encoded_once_however_many_look_and_never_when_nobody_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames: list[object] = []
    monkeypatch.setattr(server, "encoded", counted(server.encoded, frames))

    async def talk() -> None:
        for frame in range(50):
            hub.offer(PICTURE, {"frame": frame})
        async with (
            connected(url, "/mirror") as one,
            connected(url, "/mirror") as two,
            connected(url, "/mirror") as three,
        ):
            await until(lambda: len(hub._viewers) == 3)
            for frame in range(50, 100):
                await until(lambda: all(viewer.ready for viewer in hub._viewers))
                hub.offer(PICTURE, {"frame": frame})
                for viewer in (one, two, three):
                    assert await next_words(viewer) == {"frame": frame}
        await until(lambda: not hub.wanted)
        for frame in range(100, 150):
            hub.offer(PICTURE, {"frame": frame})

    with running() as (hub, url):
        within_deadline(talk)
    assert frames == list(range(50, 100))


@pytest.mark.parametrize("lying", [False, True], ids=["one who is silent", "one who says that all was seen"])
def test_a_client_that_reads_nothing_never_slows_another(lying: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stalled one holds one picture; the other gets each of 150, and after it left nothing is encoded any more."""
    frames: list[object] = []
    monkeypatch.setattr(server, "encoded", counted(server.encoded, frames))

    async def talk() -> None:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        handshake = ["GET /mirror HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        handshake += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
        writer.write("\r\n".join(handshake).encode())
        await until(lambda: len(hub._viewers) == 1)
        (stalled,) = hub._viewers
        async with connected(url, "/mirror") as quick:
            await until(lambda: len(hub._viewers) == 2)
            (reading,) = hub._viewers - {stalled}
            for frame in range(150):
                if lying and frame < 75:
                    writer.write(masked(b'{"seen": true}'))
                await until(lambda: reading.ready)
                hub.offer(PICTURE, {"frame": frame})
                assert await next_words(quick) == {"frame": frame}
        await until(lambda: len(hub._viewers) == 1)
        assert frames == list(range(150))
        if not lying:
            assert (stalled.given, hub.wanted) == (1, False)
        writer.transport.abort()
        await until(lambda: not hub._viewers)

    with running() as (hub, url):
        within_deadline(talk)


def masked(text: bytes) -> bytes:
    """A WebSocket text frame from a client."""
    return b"\x81" + struct.pack("B", 0x80 | len(text)) + b"\0\0\0\0" + text


def test_keys_reach_the_loop_in_order() -> None:
    kept: list[int] = []

    async def talk() -> None:
        async with connected(url, "/mirror") as channel:
            for key in "hm q":
                await channel.send_json({"key": key})
            await until(lambda: kept.extend(hub.keys()) or len(kept) == 4)  # type: ignore[func-returns-value]

    with running() as (hub, url):
        within_deadline(talk)
    assert kept == [ord(key) for key in "hm q"]


FLOODS = {
    "no JSON": "x",
    "binary": b"\x00\xff" * 100,
    "deep": "[" * 900,
    "another key": '{"key": "%"}',
    "a good key too often": '{"key": "h"}',
    "seen too often": '{"seen": true}',
}


@pytest.mark.parametrize("path", ["/mirror", "/results"])
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_messages_ends_that_client_and_no_other(path: str, flood: str) -> None:
    async def talk() -> None:
        async with connected(url, "/mirror") as good, connected(url, path) as bad:
            await until(lambda: len(hub._viewers) + len(hub._listeners) == 2)
            message = FLOODS[flood]
            for _ in range(2000):
                try:
                    await (bad.send_bytes(message) if isinstance(message, bytes) else bad.send_str(message))
                except ConnectionError:
                    break
            assert await close_code(bad) in (aiohttp.WSCloseCode.POLICY_VIOLATION, 1006)
            await until(lambda: len(hub._viewers) + len(hub._listeners) == 1)
            for frame in range(5):
                await until(lambda: hub.wanted)
                hub.offer(PICTURE, {"frame": frame})
                assert await next_words(good) == {"frame": frame}

    with running() as (hub, url):
        within_deadline(talk)
        assert len(hub.keys()) <= 32


def test_a_message_that_is_too_long_ends_its_client() -> None:
    async def talk() -> None:
        async with connected(url, "/mirror") as bad:
            await bad.send_str("x" * 100_000)
            assert await close_code(bad) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    with running() as (_, url):
        within_deadline(talk)


def test_only_so_many_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CLIENTS", 1)

    async def talk() -> None:
        async with connected(url, "/results"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connected(url, "/mirror"):
                    pass
            assert refused.value.status == 503
        await until(lambda: not hub._listeners)
        async with connected(url, "/mirror"):
            pass

    with running() as (hub, url):
        within_deadline(talk)


def test_of_many_who_come_at_once_no_more_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """None has shaken hands before all are let in or refused."""
    monkeypatch.setattr(server, "MOST_CLIENTS", 2)
    prepare, shaking, said = web.WebSocketResponse.prepare, [], []

    async def held_up(channel: web.WebSocketResponse, request: web.Request) -> object:
        shaking.append(request)
        await until(lambda: len(shaking) + said.count(503) == 5)
        return await prepare(channel, request)

    async def come(path: str) -> None:
        try:
            async with connected(url, path):
                said.append(101)
                await until(lambda: len(said) == 5)
        except aiohttp.WSServerHandshakeError as refused:
            said.append(refused.status)

    async def talk() -> None:
        await asyncio.gather(*map(come, ("/results", "/mirror", "/results", "/mirror", "/results")))

    monkeypatch.setattr(web.WebSocketResponse, "prepare", held_up)
    with running() as (_, url):
        within_deadline(talk)
    assert sorted(said) == [101, 101, 503, 503, 503]


def test_a_handshake_that_fails_takes_nobodys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CLIENTS", 1)

    async def talk() -> None:
        async with aiohttp.ClientSession() as session:
            for path in ("/results", "/mirror"):
                async with session.get(url + path) as response:
                    assert response.status == 400
        async with connected(url, "/mirror"):
            pass

    with running() as (_, url):
        within_deadline(talk)


def test_a_listener_gets_every_row_and_a_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine: a second is for clients that stall."""
    monkeypatch.setattr(server, "GOODBYE_SECONDS", DEADLINE_SECONDS)
    rows: list[dict[str, object]] = []

    async def talk() -> None:
        context = running()
        hub, url = context.__enter__()
        hub.begin({"type": "session"})
        async with connected(url, "/results") as channel, connected(url, "/mirror") as page:
            rows.append(await channel.receive_json())
            goodbye = asyncio.create_task(close_code(page))
            for frame in range(200):
                hub.publish(result_of(frame))
            hub.publish({"type": "summary"})
            ended = asyncio.get_running_loop().run_in_executor(None, context.__exit__, None, None, None)
            async for message in channel:
                rows.append(json.loads(message.data))
            assert channel.close_code == aiohttp.WSCloseCode.GOING_AWAY
            assert await goodbye == aiohttp.WSCloseCode.GOING_AWAY
            await ended

    within_deadline(talk)
    assert [row["type"] for row in rows] == ["session", *["frame"] * 200, "summary"]
    assert [row["frame"] for row in rows[1:-1]] == list(range(200))
