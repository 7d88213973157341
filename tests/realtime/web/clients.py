"""A running server and those who speak to it, for the tests of the browser mirror."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import aiohttp
import numpy as np

from realtime.frames import Picture
from realtime.web.address import Address, bound_socket, guard_of
from realtime.web.hub import Hub, Offer
from realtime.web.server import Server
from realtime.web.words import unpacked
from tests.realtime.fakes import DEADLINE_SECONDS

SOUGHT = "127.0.0.1"


@contextlib.contextmanager
def running(token: str = "") -> Iterator[tuple[Hub, str]]:
    """A hub that is served on a free port of this machine, and its address."""
    listening = bound_socket(Address(SOUGHT, 0))
    port = listening.getsockname()[1]
    hub = Hub()
    server = Server(hub, listening, guard_of(Address("0.0.0.0" if token else SOUGHT, port), token))
    server.start()
    try:
        yield hub, f"http://{SOUGHT}:{port}"
    finally:
        server.close()


def within_deadline(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a conversation; one that hangs fails instead."""
    asyncio.run(asyncio.wait_for(work(), DEADLINE_SECONDS))


@contextlib.asynccontextmanager
async def connected(url: str, path: str, **options: object) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to the server."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url + path, max_msg_size=0, **options) as channel,  # type: ignore[arg-type]
    ):
        yield channel


async def until(condition: Callable[[], bool]) -> None:
    """Lets the other threads work until something is so."""
    while not condition():
        await asyncio.sleep(0.001)


async def next_words(channel: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    """The words of the next picture, after saying that it was seen."""
    words, jpeg = unpacked(await channel.receive_bytes())
    assert jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")
    await channel.send_json({"seen": True})
    return words


async def close_code(channel: aiohttp.ClientWebSocketResponse) -> int | None:
    """Why the server ended the conversation; what it still says is let pass."""
    async for _ in channel:
        pass
    return channel.close_code


def noise(size: tuple[int, int] = (640, 360), seed: int = 0) -> Picture:
    """A picture (width, height) that JPEG cannot make small."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def counted(encode: Callable[[Offer], bytes], counts: list[object]) -> Callable[[Offer], bytes]:
    """The same encoding, which notes the frames that it was asked for."""

    def encoding(offer: Offer) -> bytes:
        counts.append(offer.words["frame"])
        return encode(offer)

    return encoding
