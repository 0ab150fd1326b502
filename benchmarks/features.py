"""Sends with all that a back-end may want, and with none of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import trio
from servers import Target, bench, ours, peer

SCRAPE_INTERVAL_S = 2.0


async def on(*load: str, search: bool) -> dict[str, Any]:
    """With conversations, metrics that are scraped, and webhooks of all events; the receiver shares the core of the
    load."""
    async with peer("webhook_receiver", core=1) as receiver:
        settings = {"WK_WEBHOOK_HTTPADDR": f"{receiver.http}/hook", "WK_SEARCH_ON": str(search).lower()}
        async with ours(environ=settings) as server, _scraped(server):
            return await bench(server, *load)


async def off(*load: str) -> dict[str, Any]:
    """With none of these."""
    async with ours(environ={"WK_CONVERSATION_ON": "false"}) as server:
        return await bench(server, *load)


@asynccontextmanager
async def _scraped(server: Target) -> AsyncIterator[None]:
    def scrape() -> None:
        with urlopen(f"{server.http}/metrics") as answer:
            answer.read()

    async def again_and_again() -> None:
        while True:
            await trio.sleep(SCRAPE_INTERVAL_S)
            await trio.to_thread.run_sync(scrape)

    # The first one loads a library, which is no matter afterwards.
    await trio.to_thread.run_sync(scrape)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again_and_again)
        yield
        nursery.cancel_scope.cancel()
