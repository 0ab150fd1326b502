"""What a message costs when much is stored, many channels are active or sessions idle, one reader is stalled, or the
HTTP API is busy; how long a start takes when much is stored."""

import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio
from servers import HERE, Target, bench, on_core, ours

from wukong_trio import Client, open_client
from wukong_trio.testing import open_raw_client

MESSAGES = 60_000
OTHER_LOAD_S = 60
VICTIM_PAYLOAD = b"x" * 20_000
VICTIM_INTERVAL_S = 0.01


async def write(target: Target, channels: int, messages: int = MESSAGES, senders: int = 50) -> float:
    """The server's CPU time per message, in microseconds. Channels are those of sender n and p<n + k * senders>."""
    port = target.ws.rpartition(":")[2]
    script = [sys.executable, str(HERE / "writer.py"), port, str(target.pid)]
    command = on_core(1, [*script, "--channels", str(channels), "--messages", str(messages), "--senders", str(senders)])
    run = await trio.run_process(command, capture_stdout=True)
    return float(run.stdout)


async def channels() -> tuple[float, float]:
    """With 10,000 active channels, and with 100; all of them in memory."""
    async with ours() as server:
        await write(server, 10_000, 20_000)
        many = await write(server, 10_000)
    async with ours() as server:
        await write(server, 100, 20_000)
        few = await write(server, 100)
    return many, few


async def stored() -> tuple[float, float]:
    """With 1,000,000 stored messages, and with 10,000."""
    async with ours() as server:
        await write(server, 1000, 10_000)
        little = await write(server, 1000)
        await write(server, 1000, 1_000_000)
        much = await write(server, 1000)
    return much, little


async def start() -> float:
    """Seconds until a server with 1,000,000 stored messages listens to all its addresses."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        async with ours(data_dir=directory) as server:
            await write(server, 1000, 1_000_000)
        begin_s = time.monotonic()
        async with ours(data_dir=directory):
            return time.monotonic() - begin_s


@asynccontextmanager
async def _meanwhile(settle_s: float, scenario: str, *options: str) -> AsyncIterator[None]:
    """Other load, which has settled. It gives way to the load that is measured: both share a core."""
    command = on_core(1, ["nice", "-n", "19", sys.executable, "-m", "wukong_trio", "bench", scenario, *options])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.run_process, command, capture_stdout=True, check=False))
        await trio.sleep(settle_s)
        yield
        nursery.cancel_scope.cancel()


def _idle(target: Target, connections: int) -> AbstractAsyncContextManager[None]:
    load = ("--url", target.ws, "--connections", str(connections), "--seconds", str(OTHER_LOAD_S))
    return _meanwhile(connections / 2500 + 2, "idle", *load)


def _http(target: Target) -> AbstractAsyncContextManager[None]:
    """As many requests as the server answers."""
    return _meanwhile(2, "http", "--route", target.http, "--connections", "32", "--seconds", str(OTHER_LOAD_S))


async def beside_http(seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """What 100 clients see beside a busy HTTP API, and without."""
    load = ("send", "--connections", "100", "--rate", "2000", "--seconds", str(seconds))
    async with ours() as server:
        without = await bench(server, *load)
        async with _http(server):
            return await bench(server, *load), without


async def sessions() -> tuple[float, float]:
    """With 5,000 idle sessions, and with 100."""
    costs = []
    for connections in (5000, 100):
        async with ours() as server, _idle(server, connections):
            await write(server, 100, 20_000)
            costs.append(await write(server, 100))
    return costs[0], costs[1]


async def stalled(seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """What 100 busy clients see beside somebody who is written to and never reads, and while he is offline."""
    results = []
    for connected in (True, False):
        async with ours() as server, _victim(server, connected=connected):
            load = ("--connections", "100", "--in-flight", "8", "--seconds", str(seconds))
            results.append(await bench(server, "send", *load))
    return results[0], results[1]


@asynccontextmanager
async def _victim(target: Target, *, connected: bool) -> AsyncIterator[None]:
    async def write(sender: Client) -> None:
        while True:
            await sender.send("victim", VICTIM_PAYLOAD, no_persist=True)
            await trio.sleep(VICTIM_INTERVAL_S)

    async with AsyncExitStack() as stack:
        if connected:
            victim = await stack.enter_async_context(open_raw_client(target.ws))
            await victim.connect("victim")
        sender = await stack.enter_async_context(open_client(target.ws, uid="sender"))
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(write, sender)
        yield
        nursery.cancel_scope.cancel()
