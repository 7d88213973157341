"""Chromium without a screen, steered over its DevTools protocol: what a person at a tablet would do and see."""

import asyncio
import base64
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

DEADLINE_SECONDS = 60.0
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--hide-scrollbars", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--remote-debugging-port=0", "--remote-allow-origins=*",
    "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
"""No name leads out of this machine, and one that is not its own leads into it."""

Message = dict[str, Any]


@contextlib.contextmanager
def running_browser(folder: Path) -> Iterator[str]:
    """Chromium with its files in `folder`, and where it is steered; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    said = folder / "DevToolsActivePort"
    command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(asyncio.wait_for(started(said, browser), DEADLINE_SECONDS))
        yield f"http://127.0.0.1:{said.read_text().split()[0]}"
    finally:
        browser.terminate()
        browser.wait()


async def started(said: Path, browser: subprocess.Popen[bytes]) -> None:
    """Waits until Chromium says where it is steered."""
    while not said.exists() or not said.read_text().split():
        assert browser.poll() is None, "Chromium ended at once"
        await asyncio.sleep(0.05)


class Tab:
    """One page. Everything that it asks the network for, and every fault it has, is written down."""

    def __init__(self, channel: aiohttp.ClientWebSocketResponse) -> None:
        self._channel = channel
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self.requests: list[str] = []
        self.faults: list[object] = []
        self._count = 0

    async def hear(self) -> None:
        """Takes what the browser says, for as long as the page is open."""
        async for raw in self._channel:
            message = raw.json()
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            parameters = message.get("params", {})
            match message.get("method"):
                case "Network.requestWillBeSent":
                    self.requests.append(parameters["request"]["url"])
                case "Network.webSocketCreated":
                    self.requests.append(parameters["url"])
                case "Runtime.exceptionThrown":
                    self.faults.append(parameters["exceptionDetails"])
                case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                    self.faults.append(parameters["entry"]["text"])

    async def call(self, method: str, **parameters: object) -> Message:
        """One command of the protocol, and its result."""
        self._count += 1
        self._answers[self._count] = answer = asyncio.get_running_loop().create_future()
        await self._channel.send_json({"id": self._count, "method": method, "params": parameters})
        message = await answer
        assert "error" not in message, message
        result: Message = message["result"]
        return result

    async def value(self, script: str) -> Any:
        """What an expression of JavaScript is on the page."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Waits until an expression is true."""
        while not await self.value(script):
            await asyncio.sleep(0.02)

    async def text(self, selector: str) -> str:
        """What the first such element says."""
        said: str = await self.value(f"document.querySelector('{selector}').textContent")
        return said

    async def key(self, letter: str) -> None:
        """Presses and lets go of a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": letter} if kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=letter, **text)

    async def touch(self, selector: str) -> None:
        """Puts a finger on the middle of an element, and lifts it."""
        place = await self.value(
            f"(() => {{ const box = document.querySelector('{selector}').getBoundingClientRect();"
            " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        await self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[place])
        await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    async def size(self, width: int, height: int, *, touch: bool = True) -> None:
        """Gives the page a screen of so many px."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        await self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    async def picture(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@contextlib.asynccontextmanager
async def open_tab(browser: str, url: str = "about:blank") -> AsyncIterator[Tab]:
    """A page of its own, closed with the block."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{browser}/json/new?about:blank") as response:
            made = await response.json(content_type=None)
        async with session.ws_connect(made["webSocketDebuggerUrl"], max_msg_size=0) as channel:
            tab = Tab(channel)
            hearing = asyncio.create_task(tab.hear())
            for domain in ("Network", "Runtime", "Log", "Page"):
                await tab.call(f"{domain}.enable")
            await tab.call("Page.navigate", url=url)
            try:
                yield tab
            finally:
                hearing.cancel()
        async with session.get(f"{browser}/json/close/{made['id']}"):
            pass
