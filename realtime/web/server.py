"""The browser mirror's server: a page, a WebSocket of pictures and keys, one of rows. Draws and scores nothing.

It has a thread and an event loop of its own, and a thread that encodes pictures. It meets the loop only in the hub.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
from aiohttp import WSCloseCode, WSMsgType, web
from rich.console import Console

from realtime.web.address import Address, Guard, guard_of, listening_near, new_token, shown_url
from realtime.web.hub import Hub, Listener, Offer, Viewer
from realtime.web.page import whole_page
from realtime.web.words import packed, said

JPEG_QUALITY = 80
MOST_CLIENTS = 16
MOST_MESSAGE_BYTES = 1024
BURST, MESSAGES_PER_SECOND = 200, 150
"""More messages than this and a client is sent away: a page says two words a picture at most."""

MOST_NONSENSE = 50
SEND_SECONDS = 20.0
HEARTBEAT_SECONDS = 20.0
GOODBYE_SECONDS = 1.0
START_SECONDS = 10.0

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "posemirror",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def encoded(offer: Offer) -> bytes:
    """A picture and its words as one message."""
    jpeg = cv2.imencode(".jpg", offer.picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return packed(offer.words, jpeg.tobytes())


class Server:
    """Serves a hub. `start` and `close` are for the thread that owns it.

    Args:
        hub: where pictures, rows and keys pass.
        listening: a socket that listens; closed with the server.
        guard: who may speak to it.
    """

    def __init__(self, hub: Hub, listening: socket.socket, guard: Guard) -> None:
        self._hub, self._listening, self._guard = hub, listening, guard
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None

    def start(self) -> None:
        """Serves from now on; raises what kept it from that."""
        self._thread.start()
        self._started.wait(START_SECONDS)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Gives every listener its last rows, for a second at most, and ends."""
        if self._end is not None:
            self._call(self._end.set)
        self._thread.join(START_SECONDS)
        self._listening.close()

    def _call(self, function: Callable[[], object]) -> None:
        """Has the server's thread do something; nothing when it has ended."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # raised by `start`; later, the loop goes on without its browsers
            self._failure = error
        finally:
            self._hub.on_news = lambda: None
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        clients = Clients(self._hub, self._call)
        runner = web.AppRunner(application(clients, self._guard), access_log=None, shutdown_timeout=GOODBYE_SECONDS)
        await runner.setup()
        news, rows = asyncio.Event(), asyncio.Event()
        with ThreadPoolExecutor(1, "encode") as encoder:
            tasks = [
                asyncio.create_task(spread_pictures(self._hub, news, encoder)),
                asyncio.create_task(spread_rows(self._hub, rows)),
            ]

            def wake() -> None:
                news.set()
                rows.set()

            self._hub.on_news = lambda: self._call(wake)
            try:
                await web.SockSite(runner, self._listening).start()
                self._started.set()
                await self._end.wait()
                self._hub.spread_rows()
                await clients.dismiss()
            finally:
                for task in tasks:
                    task.cancel()
                await runner.cleanup()


async def spread_pictures(hub: Hub, news: asyncio.Event, encoder: ThreadPoolExecutor) -> None:
    """Encodes each picture once, and only when someone is ready for it."""
    while True:
        await news.wait()
        news.clear()
        offer = hub.take_offer()
        if offer is not None:
            hub.deliver(await asyncio.get_running_loop().run_in_executor(encoder, encoded, offer))


async def spread_rows(hub: Hub, news: asyncio.Event) -> None:
    """Gives rows to all who listen."""
    while True:
        await news.wait()
        news.clear()
        hub.spread_rows()


class Clients:
    """Everybody who is connected.

    Args:
        hub: where pictures, rows and keys pass.
        call: has the server's thread do something, from any thread.
    """

    def __init__(self, hub: Hub, call: Callable[[Callable[[], object]], None]) -> None:
        self._hub, self._call = hub, call
        self._sockets: set[web.WebSocketResponse] = set()
        self._listeners: set[Listener] = set()

    async def mirror(self, request: web.Request) -> web.StreamResponse:
        """Pictures to a page, keys and receipts from it."""
        news = asyncio.Event()
        viewer = Viewer(lambda: self._call(news.set))

        async def send(channel: web.WebSocketResponse) -> None:
            while True:
                await news.wait()
                news.clear()
                message = self._hub.taken(viewer)
                if message is not None:
                    async with asyncio.timeout(SEND_SECONDS):
                        await channel.send_bytes(message)

        def heard(word: str) -> None:
            if word:
                self._hub.press(ord(word))
            else:
                self._hub.seen(viewer)

        return await self._connected(request, viewer, send, heard)

    async def results(self, request: web.Request) -> web.StreamResponse:
        """Rows to a program."""
        news = asyncio.Event()
        listener = Listener(lambda: self._call(news.set))

        async def send(channel: web.WebSocketResponse) -> None:
            while True:
                await news.wait()
                news.clear()
                while (row := self._hub.taken_row(listener)) is not None:
                    async with asyncio.timeout(SEND_SECONDS):
                        await channel.send_str(row)

        self._listeners.add(listener)
        try:
            return await self._connected(request, listener, send, lambda word: None)
        finally:
            self._listeners.discard(listener)

    async def _connected(
        self,
        request: web.Request,
        one: Viewer | Listener,
        send: Callable[[web.WebSocketResponse], Coroutine[None, None, None]],
        heard: Callable[[str], None],
    ) -> web.StreamResponse:
        """One connection from its first word to its last."""
        if len(self._sockets) >= MOST_CLIENTS:
            return web.Response(status=503, text=f"{MOST_CLIENTS} are connected already.\n")
        channel = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, timeout=GOODBYE_SECONDS, max_msg_size=MOST_MESSAGE_BYTES, compress=False
        )
        with contextlib.ExitStack() as leaving:
            self._sockets.add(channel)  # before the handshake: others may come in its midst
            leaving.callback(self._sockets.discard, channel)
            await channel.prepare(request)
            self._hub.join(one)
            leaving.callback(self._hub.leave, one)
            sender = asyncio.create_task(send(channel))
            sender.add_done_callback(lambda task: hung_up(task, request))
            leaving.callback(sender.cancel)
            await listen(channel, heard)
        return channel

    async def dismiss(self) -> None:
        """Lets every listener have its last rows, and says goodbye; those who stall are left behind."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                while any(listener.waiting for listener in self._listeners):
                    await asyncio.sleep(0.01)
        farewell = [one.close(code=WSCloseCode.GOING_AWAY, message=b"the session is over") for one in self._sockets]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * GOODBYE_SECONDS):
                await asyncio.gather(*farewell, return_exceptions=True)


def hung_up(task: asyncio.Task[None], request: web.Request) -> None:
    """Cuts the connection of a client that could not be sent to."""
    if not task.cancelled() and task.exception() is not None and request.transport is not None:
        request.transport.abort()


async def listen(channel: web.WebSocketResponse, heard: Callable[[str], None]) -> None:
    """Hears a client out; one that talks nonsense, or too much, is sent away."""
    clock = asyncio.get_running_loop().time
    began, messages, nonsense = clock(), 0, 0
    async for message in channel:
        word = said(message.data) if message.type is WSMsgType.TEXT else None
        messages += 1
        nonsense += word is None
        if nonsense > MOST_NONSENSE or messages > BURST + MESSAGES_PER_SECOND * (clock() - began):
            await channel.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
            return
        if word is not None:
            heard(word)


def application(clients: Clients, guard: Guard) -> web.Application:
    """The page and both WebSockets, behind the guard."""
    page = whole_page()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        token = request.query.get("token") or request.headers.get("Authorization", "").removeprefix("Bearer ")
        problem = guard.problem(request.headers.get("Host", ""), request.headers.get("Origin"), token)
        return web.Response(status=403, text=f"Refused: {problem}.\n") if problem else await handler(request)

    async def dressed(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)
        response.headers["Content-Security-Policy"] = page.policy

    async def show_page(request: web.Request) -> web.StreamResponse:
        return web.Response(text=page.html, content_type="text/html")

    app = web.Application(middlewares=[guarded])
    app.on_response_prepare.append(dressed)
    app.add_routes([web.get("/", show_page), web.get("/mirror", clients.mirror), web.get("/results", clients.results)])
    return app


@contextlib.contextmanager
def serving(address: Address, console: Console) -> Iterator[Hub]:
    """A hub that is served at an address, or at the next free port, while the block lasts; prints what to open.

    Raises:
        BadInputError: nothing can listen there.
    """
    listening, moved = listening_near(address)
    token = "" if address.loopback else new_token()
    hub = Hub()
    server = Server(hub, listening, guard_of(address, token))
    try:
        server.start()
        if moved:
            console.print(moved)
        console.print(f"Browser: {shown_url(listening, token)}", soft_wrap=True)
        yield hub
    finally:
        server.close()
