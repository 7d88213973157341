"""WebSocket or MJPEG? How long a picture takes from the loop's hand-over until a browser has it on its page.

    python benchmarks/browser_delay.py [--seconds 10] [--fps 30] [--slow-mbit 12]

Frames of the demo clip at 1280x720, each with its number in it as black and white squares, are handed to the browser
mirror's hub at a steady rate; Chromium without a screen reads the number off its own page at every repaint. Delay
starts when a picture is handed over and stops at the first repaint that has it. `websocket` is the mirror as it is (a
picture is sent when the last one is shown); `mjpeg` is the same JPEG in a multipart response that drops
pictures while its connection is full. Both once directly, and once through a connection of --slow-mbit Mbit/s. Needs
Chromium.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from aiohttp import web
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from realtime.demo import CLIP
from realtime.overlay import View
from realtime.web import server
from realtime.web.address import Address, bound_socket, guard_of
from realtime.web.hub import Hub, Viewer
from realtime.web.words import page_words, unpacked
from tests.realtime.fakes import result_of
from tests.realtime.web.browser import open_tab, running_browser

BITS, SQUARE = 16, 40
MJPEG_PAGE = "<!doctype html><body style='margin:0'><img id=picture src=/stream style='width:100%'>"
READ = """
window.seen = [];
(() => {
  const small = document.createElement("canvas"); small.width = 1280; small.height = 1;
  const pen = small.getContext("2d", {willReadFrequently: true});
  function look() {
    const source = document.querySelector("#picture");
    if (source && (source.naturalWidth || source.width) === 1280) {
      pen.drawImage(source, 0, 700, 1280, 1, 0, 0, 1280, 1);
      const row = pen.getImageData(0, 0, 1280, 1).data;
      let number = 0;
      for (let bit = 0; bit < BITS; bit++) number = number * 2 + (row[4 * (bit * SQUARE + SQUARE / 2)] > 127 ? 1 : 0);
      if (!seen.length || seen.at(-1)[0] !== number) seen.push([number, performance.timeOrigin + performance.now()]);
    }
    requestAnimationFrame(look);
  }
  requestAnimationFrame(look);
})();
""".replace("BITS", str(BITS)).replace("SQUARE", str(SQUARE))


class Camera:
    """Hands numbered pictures to a hub, and knows when it did."""

    def __init__(self, hub: Hub, fps: float) -> None:
        self._hub, self._fps = hub, fps
        video = cv2.VideoCapture(str(CLIP))
        self._pictures = [cv2.resize(video.read()[1], (1280, 720)) for _ in range(60)]
        self.handed_over: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        while not self._ended.wait(max(0.0, began + number / self._fps - time.monotonic())):
            number += 1
            picture = self._pictures[number % len(self._pictures)].copy()
            for bit in range(BITS):
                picture[680:, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (number >> (BITS - 1 - bit) & 1)
            self.handed_over[number] = time.time() * 1e3
            self._hub.offer(picture, page_words(View("Delay"), result_of(number)))

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


async def mjpeg(hub: Hub, listening) -> web.AppRunner:
    """The same pictures as a multipart response; one that its connection is too slow for gives way to the next."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        await response.prepare(request)
        news, loop = asyncio.Event(), asyncio.get_running_loop()
        viewer = Viewer(lambda: loop.call_soon_threadsafe(news.set))
        hub.join(viewer)
        try:
            while True:
                await news.wait()
                news.clear()
                message = hub.taken(viewer)
                if message is not None:
                    jpeg = unpacked(message)[1]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    await response.write(head.encode() + jpeg + b"\r\n")
                    hub.seen(viewer)
        except ConnectionError:
            return response
        finally:
            hub.leave(viewer)

    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text=MJPEG_PAGE, content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/stream", stream), web.get("/", page)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner


class Proxy:
    """A connection of so many bytes a second towards the browser."""

    def __init__(self, port: int, bytes_per_second: float) -> None:
        self._port, self._rate = port, bytes_per_second

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._pass, "127.0.0.1", 0, limit=16384)
        return self.server.sockets[0].getsockname()[1]

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port, limit=16384)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._copy(reader, there_writer, None), self._copy(there_reader, writer, self._rate))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float | None) -> None:
        free_at = time.monotonic()
        while data := await reader.read(8192):
            writer.write(data)
            await writer.drain()
            if rate:
                free_at = max(free_at, time.monotonic()) + len(data) / rate
                await asyncio.sleep(free_at - time.monotonic())
        writer.close()


async def delays(browser: str, url: str, camera: Camera, seconds: float) -> list[float]:
    """Delays in ms of all pictures that a page showed, without its first second."""
    async with open_tab(browser) as tab:
        await tab.size(1280, 720, touch=False)
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=READ)
        await tab.call("Page.navigate", url=url)
        await tab.until("window.seen && seen.length > 2")
        await asyncio.sleep(1)
        await tab.value("seen.length = 0")
        await asyncio.sleep(seconds)
        seen = await tab.value("seen")
    return [at - camera.handed_over[number] for number, at in seen if number in camera.handed_over]


async def measured(browser: str, arguments: argparse.Namespace, kind: str, slow: bool) -> list[float]:
    """One way, over one connection."""
    hub, listening = Hub(), bound_socket(Address("127.0.0.1", 0))
    port = listening.getsockname()[1]
    serving = server.Server(
        hub,
        listening if kind == "websocket" else bound_socket(Address("127.0.0.1", 0)),
        guard_of(Address("127.0.0.1", port), ""),
    )
    serving.start()
    runner = await mjpeg(hub, listening) if kind == "mjpeg" else None
    camera = await asyncio.to_thread(Camera, hub, arguments.fps)
    proxy = Proxy(port, arguments.slow_mbit * 1e6 / 8)
    try:
        place = await proxy.start() if slow else port
        return await delays(browser, f"http://127.0.0.1:{place}/", camera, arguments.seconds)
    finally:
        await asyncio.to_thread(camera.close)
        if slow:
            proxy.server.close()
        if runner:
            await runner.cleanup()
        await asyncio.to_thread(serving.close)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--fps", type=float, default=30)
    parser.add_argument("--slow-mbit", type=float, default=12)
    arguments = parser.parse_args()
    table = Table("connection", "way", "pictures shown", "delay p50 ms", "p95 ms", "max ms")
    with tempfile.TemporaryDirectory() as folder, running_browser(Path(folder)) as browser:
        for slow in (False, True):
            for kind in ("websocket", "mjpeg"):
                found = asyncio.run(measured(browser, arguments, kind, slow))
                figures = [f"{np.percentile(found, at):.0f}" for at in (50, 95, 100)]
                table.add_row(f"{arguments.slow_mbit:g} Mbit/s" if slow else "direct", kind, str(len(found)), *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
