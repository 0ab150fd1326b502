"""What a message costs when much is stored, many channels are active or sessions idle, or one reader is stalled."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio
from servers import HERE, Target, bench, on_core, ours

from wukong_trio import Client, open_client
from wukong_trio.testing import open_raw_client

MESSAGES = 60_000
IDLE_S = 60
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


@asynccontextmanager
async def _idle(target: Target, connections: int) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "wukong_trio", "bench", "idle", "--url", target.ws]
    command += ["--connections", str(connections), "--seconds", str(IDLE_S)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.run_process, on_core(1, command), capture_stdout=True, check=False))
        await trio.sleep(connections / 2500 + 2)
        yield
        nursery.cancel_scope.cancel()


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
