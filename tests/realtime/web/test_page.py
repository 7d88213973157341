"""The page in Chromium: what it shows, what it asks the network for, and what keys and fingers do."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from realtime.gauges import draw_help
from realtime.keys import BROWSER_KEYS
from realtime.web.address import Address, bound_socket, guard_of
from realtime.web.hub import Hub, Words
from realtime.web.server import Server
from tests.realtime.web.browser import DEADLINE_SECONDS, Tab, open_tab, running_browser
from tests.realtime.web.clients import running, until

COLOUR = (200, 120, 40)
"""BGR of the pictures."""

WORDS: Words = {
    "frame": 0, "status": "scored", "phase": "hold", "target": "Árvore <b>木</b>", "score": 87, "pass_score": 80,
    "moves": ["Raise left arm", "Bend right knee"], "hint": "", "cue": "Hold still", "countdown": "", "hold": 0.4,
    "inside": "3", "lines": ["Pose 1 of 3", "Round 1 of 2"],
}  # fmt: skip
SIZES = {"wide": (1280, 720), "tablet": (800, 1280), "phone": (360, 640), "phone on its side": (640, 360)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_browser(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@contextlib.contextmanager
def pictured(hub: Hub, size: tuple[int, int] = (320, 180), **changes: object) -> Iterator[None]:
    """Pictures of a size (width, height) come as from a camera, each with its number, until the block ends."""
    ended = threading.Event()
    picture = np.full((size[1], size[0], 3), COLOUR, np.uint8)

    def feed() -> None:
        frame = 0
        while not ended.wait(0.03):
            frame += 1
            hub.offer(picture, {**WORDS, "frame": frame, **changes})

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield
    finally:
        ended.set()
        feeder.join()


def talk(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), DEADLINE_SECONDS))


async def coloured_share(tab: Tab, size: tuple[int, int]) -> float:
    """How much of the screen (width, height) the picture covers."""
    screen = cv2.imdecode(np.frombuffer(await tab.picture(), np.uint8), cv2.IMREAD_COLOR)
    assert screen.shape == (size[1], size[0], 3)
    return float((np.abs(screen.astype(int) - COLOUR).max(2) <= 6).mean())


CENTRE = "[...document.querySelector('#picture').getContext('2d').getImageData(160, 90, 1, 1).data].slice(0, 3)"


def test_the_page_shows_the_picture_and_what_the_overlay_says_and_asks_nobody_else(browser: str) -> None:
    async def work() -> None:
        async with open_tab(browser, url) as tab:
            await tab.until("window.posemirror && posemirror.pictures > 3")
            assert np.abs(np.array(await tab.value(CENTRE)) - COLOUR[::-1]).max() <= 4
            said = {name: await tab.text(f"#{name}") for name in ("target", "score", "inside", "say", "lines")}
            assert said == {
                "target": "Árvore <b>木</b>",
                "score": "87",
                "inside": "3",
                "say": "Hold still",
                "lines": "Pose 1 of 3 · Round 1 of 2",
            }
            assert (
                await tab.value("[...document.querySelectorAll('#moves li')].map(one => one.textContent)")
                == WORDS["moves"]
            )
            assert await tab.value("document.querySelector('#score').className") == "good"
            assert await tab.value("document.querySelector('#hold').style.strokeDasharray") == "40, 100"
            await tab.until("!document.body.classList.contains('waiting')")
            assert set(tab.requests) == {f"{url}/", "data:,", f"{url.replace('http', 'ws')}/mirror"} - (
                set() if "data:," in tab.requests else {"data:,"}
            )
            assert tab.faults == []

    with running() as (hub, url), pictured(hub):
        talk(work)


@pytest.mark.parametrize("name", SIZES)
def test_everything_fits_on_the_screen_and_can_be_touched(browser: str, name: str) -> None:
    width, height = SIZES[name]

    async def work() -> None:
        async with open_tab(browser) as tab:
            await tab.size(width, height)
            await tab.call("Page.navigate", url=url)
            await tab.until("window.posemirror && posemirror.pictures > 3")
            boxes = await tab.value(
                "[...document.querySelectorAll('button, #picture')].map(one => {"
                " const box = one.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]; })"
            )
            assert len(boxes) == 11
            for left, top, right, bottom in boxes:
                assert left >= 0 and top >= 0 and right <= width + 0.5 and bottom <= height + 0.5
                assert right - left >= 44 and bottom - top >= 44
            assert await tab.value("document.documentElement.scrollWidth") <= width
            shown = await tab.value("document.querySelector('#panel').getBoundingClientRect().height")
            assert (shown > 150) == (height > width), "the figures stand below the picture on a tall screen"
            large = min(1, width / height) ** 2 * 9 / 16 / 2
            while await coloured_share(tab, (width, height)) < large:  # a busy machine's page may be waiting just now
                pass

    with running() as (hub, url), pictured(hub):
        talk(work)


def test_the_help_ends_above_the_row_of_buttons(browser: str) -> None:
    canvas = np.full((720, 1280, 3), COLOUR, np.uint8)
    draw_help(canvas, BROWSER_KEYS, 1.0)
    bottom = np.flatnonzero((canvas != COLOUR).any((1, 2)))[-1]

    async def work() -> None:
        async with open_tab(browser) as tab:
            for size in ((1280, 720), (1920, 1080)):
                await tab.size(*size, touch=False)
                await tab.call("Page.navigate", url=url)
                await tab.until("window.posemirror && posemirror.pictures > 0")
                top = await tab.value("document.querySelector('#keys').getBoundingClientRect().top")
                assert bottom * size[1] / 720 < top

    with running() as (hub, url), pictured(hub):
        talk(work)


LONG_NAME = ("Warrior two with the left arm raised " * 4)[:120]


MUCH = {
    "a long text": {"hint": f"Well held. Rest 3 s, then {LONG_NAME}", "moves": [], "target": LONG_NAME},
    "three moves": {"cue": "", "moves": ["Raise left arm", "Bend right knee", "Tilt head to your right"]},
}


@pytest.mark.parametrize("said", MUCH)
@pytest.mark.parametrize("picture", [(320, 180), (320, 240), (180, 320)], ids=str)
def test_whatever_is_said_leaves_room_for_what_stands_below_it(
    browser: str, picture: tuple[int, int], said: str
) -> None:
    async def work() -> None:
        async with open_tab(browser) as tab:
            await tab.size(360, 640)
            await tab.call("Page.navigate", url=url)
            for width, height in ((360, 640), (320, 568), (800, 1280)):
                await tab.size(width, height)
                await tab.until(f"window.posemirror && posemirror.pictures > 3 && innerHeight === {height}")
                say, lines, keys = await tab.value(
                    f"['{'say' if said == 'a long text' else 'moves'}', 'lines', 'keys'].map(id => {{"
                    " const box = part(id).getBoundingClientRect(); return [box.top, box.bottom]; })"
                )
                assert say[0] < say[1] <= lines[0] < lines[1] <= keys[0] + 4
                if said == "a long text":
                    assert await tab.value("part('say').scrollHeight > part('say').clientHeight")
                    line = await tab.value("parseFloat(getComputedStyle(part('say')).lineHeight)")
                    count = (say[1] - say[0]) / line
                    assert count >= 0.9 and count == pytest.approx(round(count), abs=0.1), "a line is cut through"

    with running() as (hub, url), pictured(hub, picture, **MUCH[said]):
        talk(work)


def test_keys_do_what_the_windows_do(browser: str) -> None:
    pressed: list[int] = []

    async def work() -> None:
        async with open_tab(browser, url) as tab:
            await tab.until("window.posemirror && posemirror.pictures > 0")
            for letter in "hlmnrco p":
                await tab.key(letter)
            await tab.key("x")
            for _ in range(2):
                await tab.key("q")
            await until(lambda: pressed.extend(hub.keys()) or len(pressed) == 10)  # type: ignore[func-returns-value]

    with running() as (hub, url), pictured(hub):
        talk(work)
    assert bytes(pressed) == b"hlmnrco pq"


def test_the_key_to_leave_asks_once_more_and_a_key_held_down_is_no_answer(browser: str) -> None:
    pressed: list[int] = []

    async def work() -> None:
        async with open_tab(browser, url) as tab:
            await tab.until("window.posemirror && posemirror.pictures > 0")
            await tab.key("q")
            assert await tab.text("#leave") == "Leave?"
            await tab.call("Input.dispatchKeyEvent", type="keyDown", key="q", text="q", autoRepeat=True)
            await tab.key("h")
            await until(lambda: pressed.extend(hub.keys()) or len(pressed) == 1)  # type: ignore[func-returns-value]
            assert bytes(pressed) == b"h" and await tab.text("#leave") == "Leave?"
            await tab.until("document.querySelector('#leave').textContent === 'Leave'")
            await tab.key("q")
            await tab.key("q")
            await until(lambda: pressed.extend(hub.keys()) or len(pressed) == 2)  # type: ignore[func-returns-value]

    with running() as (hub, url), pictured(hub):
        talk(work)
    assert bytes(pressed) == b"hq"


def test_fingers_do_what_keys_do_and_leave_only_when_sure(browser: str) -> None:
    pressed: list[int] = []

    async def work() -> None:
        async with open_tab(browser) as tab:
            await tab.size(800, 1280)
            await tab.call("Page.navigate", url=url)
            await tab.until("window.posemirror && posemirror.pictures > 0")
            for letter in " nrcomlh":
                await tab.touch(f'button[data-key="{letter}"]')
            await until(lambda: pressed.extend(hub.keys()) or len(pressed) == 8)  # type: ignore[func-returns-value]
            await tab.touch("#leave")
            await tab.until("document.querySelector('#leave').textContent === 'Leave?'")
            assert hub.keys() == []
            await tab.touch("#leave")
            await until(lambda: pressed.extend(hub.keys()) or len(pressed) == 9)  # type: ignore[func-returns-value]
            assert await tab.text("#leave") == "Leave"
            assert tab.faults == []

    with running() as (hub, url), pictured(hub):
        talk(work)
    assert bytes(pressed) == b" nrcomlhq"


def test_an_old_picture_is_never_shown_as_if_it_were_live(browser: str) -> None:
    waiting = "document.body.classList.contains('waiting') && document.querySelector('#notice').textContent"

    async def work() -> None:
        async with open_tab(browser, url) as tab:
            with pictured(hub):
                await tab.until(
                    "window.posemirror && posemirror.pictures > 0 && !document.body.className.includes('waiting')"
                )
            await tab.until(f"({waiting}) === 'Waiting for the picture'")
            await tab.until("getComputedStyle(document.querySelector('#picture')).opacity < 0.5")
            with pictured(hub):
                await tab.until("!document.body.classList.contains('waiting')")

    with running() as (hub, url):
        talk(work)


def test_the_page_says_that_the_session_is_over_and_comes_back_with_the_next(browser: str) -> None:
    listening = bound_socket(Address("127.0.0.1", 0))
    address = Address("127.0.0.1", listening.getsockname()[1])
    first, second = Hub(), Hub()

    async def work() -> None:
        server = Server(first, listening, guard_of(address, ""))
        server.start()
        async with open_tab(browser, f"http://{address}/") as tab:
            with pictured(first):
                await tab.until("window.posemirror && posemirror.pictures > 0")
                await asyncio.to_thread(server.close)
            await tab.until("document.querySelector('#notice').textContent === 'The session is over'")
            server = Server(second, bound_socket(address), guard_of(address, ""))
            server.start()
            try:
                with pictured(second, score=12):
                    await tab.until("document.querySelector('#score').textContent === '12'")
                    assert await tab.value("document.querySelector('#score').className") == "poor"
            finally:
                await asyncio.to_thread(server.close)

    talk(work)


def test_a_name_of_another_site_that_leads_here_is_refused(browser: str) -> None:
    """DNS rebinding: in this browser evil.example is 127.0.0.1."""

    async def work() -> None:
        port = url.rpartition(":")[2]
        async with open_tab(browser, f"http://evil.example:{port}/") as tab:
            await tab.until("document.body && document.body.textContent.includes('is no name of this machine')")
            assert not hub._viewers

    with running() as (hub, url):
        talk(work)


class Stranger(BaseHTTPRequestHandler):
    """Another site, with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>stranger</title>")

    def log_message(self, *_: object) -> None: ...


def test_a_page_of_another_site_can_neither_look_nor_press_keys(browser: str) -> None:
    async def work() -> None:
        async with open_tab(browser, f"http://evil.example:{stranger.server_port}/") as tab:
            await tab.until("document.title === 'stranger'")
            for path in ("mirror", "results"):
                said = await tab.value(
                    f"new Promise(done => {{ const one = new WebSocket('{url.replace('http', 'ws')}/{path}');"
                    " one.onopen = () => done('open'); one.onclose = (event) => done(event.code); })"
                )
                assert said == 1006
            assert any("403" in str(fault) for fault in tab.faults)
            assert not hub._viewers and not hub._listeners and hub.keys() == []

    with running() as (hub, url), ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        try:
            talk(work)
        finally:
            stranger.shutdown()
