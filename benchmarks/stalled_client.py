"""Does a browser that stalls make the loop's frames older? Frame age while nobody looks, one stalls, one reads.

    python benchmarks/stalled_client.py [--engines DIR] [--clip CLIP --target TARGET] [--frames 1800] [--fps 15]

One run of the whole loop without a window, its clip played as a camera would; every 60 frames the client changes, so
that all three meet the same load. The clients are in a process of their own: `stalled` shakes hands and never reads nor
answers; `reading` takes every picture, as a page does. Frame age starts when the picture is due and stops when the
sinks have it; the ten frames after each change count for nobody. The ratio is that of the 95th percentiles, with its
range over odd and even frames. Exit code 1 when a stalled client makes it larger than --most (1.1).
"""

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from realtime.demo import CLIP, TARGET
from realtime.displays import Outputs
from realtime.frames import MonotonicClock
from realtime.looped import LoopedSource
from realtime.opening import engines_folder, open_chain, open_target, opened_executor
from realtime.pipeline import Pipeline
from realtime.results import FrameResult
from realtime.session import run_session
from realtime.sources import open_source
from realtime.statistics import Statistics
from realtime.web import server
from realtime.web.address import Address, bound_socket, guard_of
from realtime.web.hub import Hub, Offer
from realtime.web.words import unpacked

KINDS = ("nobody", "stalled", "reading")
BLOCK, SETTLING = 60, 10


class Client:
    """Whoever looks, in a process of their own."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, __file__, "--client", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)

    def become(self, kind: str) -> None:
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


async def be_client(url: str) -> None:
    """Is what standard input says, line by line."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with aiohttp.ClientSession() as session:
        task: asyncio.Task | None = None
        stalled: socket.socket | None = None
        while line := (await reader.readline()).decode().strip():
            if task is not None:
                task.cancel()
            if stalled is not None:
                stalled.close()
            task = asyncio.create_task(read_all(session, url)) if line == "reading" else None
            stalled = shaken_hands(url) if line == "stalled" else None


async def read_all(session: aiohttp.ClientSession, url: str) -> None:
    """Takes every picture and says that it was seen."""
    async with session.ws_connect(f"{url}/mirror", max_msg_size=0) as channel:
        async for message in channel:
            unpacked(message.data)
            await channel.send_json({"seen": True})


def shaken_hands(url: str) -> socket.socket:
    """A connection to the mirror that nobody will read from."""
    host, port = urlsplit(url).netloc.split(":")
    lines = ["GET /mirror HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    connection = socket.create_connection((host, int(port)))
    connection.sendall("\r\n".join(lines).encode())
    return connection


class Ages:
    """The ages of frames, by who looked, and the pictures that were encoded for them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.ages: dict[str, list[float]] = {kind: [] for kind in KINDS}
        self.encoded = dict.fromkeys(KINDS, 0)
        self.frames = 0
        self.kind = KINDS[0]

    def take(self, result: FrameResult) -> None:
        if self.frames % BLOCK >= SETTLING and self.frames >= BLOCK:  # the first block is warm-up
            self.ages[self.kind].append(result.age_ms)
        self.frames += 1
        if self.frames % BLOCK == 0:
            self.kind = KINDS[self.frames // BLOCK % len(KINDS)]
            self._client.become(self.kind)

    def encode(self, offer: Offer) -> bytes:
        self.encoded[self.kind] += 1
        return ENCODED(offer)


ENCODED = server.encoded


def p95(ages: list[float]) -> float:
    return sorted(ages)[int(0.95 * len(ages))]


def measured(arguments: argparse.Namespace) -> Ages:
    """Runs the loop."""
    clock = MonotonicClock()
    chain, backend = open_chain(engines_folder(arguments.engines), "graded", "auto")
    target = open_target(arguments.target, chain, ignore=(), person=None)

    def reopen():
        return open_source(str(arguments.clip), clock, pace=False, reconnect_seconds=1)

    hub, listening = Hub(), bound_socket(Address("127.0.0.1", 0))
    address = Address("127.0.0.1", listening.getsockname()[1])
    serving = server.Server(hub, listening, guard_of(address, ""))
    with contextlib.ExitStack() as stack:
        serving.start()
        stack.callback(serving.close)
        client = stack.enter_context(contextlib.closing(Client(f"http://{address}")))
        source = stack.enter_context(contextlib.closing(LoopedSource(reopen, clock, rate=arguments.fps)))
        executor = stack.enter_context(opened_executor(chain, target, stills=False, detect_every=None, smoothing=True))
        width, height = chain.info.frame_size
        pipeline = Pipeline(source, executor, (height, width), clock, max_frames=arguments.frames)
        ages = Ages(client)
        server.encoded = ages.encode

        def on_result(result: FrameResult, statistics: Statistics) -> None:
            ages.take(result)

        run_session(pipeline, source, chain.info, target, Outputs(hub=hub), smoothing=True, on_result=on_result)
    print(f"{ages.frames} frames at {arguments.fps:g} a second, {width}x{height}, {backend}")
    print(f"dropped by the loop: {pipeline.ledger.dropped}")
    return ages


def main() -> int:
    """Prints the table; 1 when a stalled client makes frames older than allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--frames", type=int, default=1800)
    parser.add_argument("--fps", type=float, default=15)
    parser.add_argument("--most", type=float, default=1.1)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        asyncio.run(be_client(arguments.client))
        return 0
    ages = measured(arguments)
    table = Table("client", "frames", "age p50 ms", "age p95 ms", "pictures encoded")
    for kind, kept in ages.ages.items():
        figures = (str(len(kept)), f"{sorted(kept)[len(kept) // 2]:.1f}", f"{p95(kept):.1f}", str(ages.encoded[kind]))
        table.add_row(kind, *figures)
    Console().print(table)
    alone = ages.ages["nobody"]
    for kind in KINDS[1:]:
        kept = ages.ages[kind]
        halves = [p95(kept[part::2]) / p95(alone[part::2]) for part in (0, 1)]
        print(
            f"p95 {kind} / nobody: {p95(kept) / p95(alone):.3f} "
            f"(odd and even frames: {min(halves):.3f} to {max(halves):.3f})"
        )
    return int(p95(ages.ages["stalled"]) / p95(alone) > arguments.most)


if __name__ == "__main__":
    sys.exit(main())
