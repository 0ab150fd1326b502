"""What the HTTP API does in a second beside what `GET /route` does: reading history, sending.

No page comes again before many others, so none is answered from those that are kept. The messages of many channels were
sent since the start and are in memory, as those of busy channels are; pages from anywhere in one channel are read from
the database. Users write to all their channels, so that each of these is a conversation.
"""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random

from scale import write
from servers import Target, bench, ours

CONNECTIONS = ("--connections", "32")
CHANNELS = 1000
EACH = 60
PAGE = 50
PAGES = 10_000
"""Different ones, more than any cache keeps. Channels of EACH messages have so many of PAGE."""
BODIES = 20_000
_HISTORY = "/channel/messagesync"


async def newest(seconds: float) -> tuple[float, float]:
    """The newest pages of many channels."""
    async with ours() as server:
        await write(server, CHANNELS, (CHANNELS + 1) * EACH)
        return await _beside_route(server, _HISTORY, _newest_pages(), seconds)


async def deep(stored: int, seconds: float) -> tuple[float, float]:
    """Pages at the end of one channel in which so much is stored, beside the newest pages of many channels."""
    async with ours() as server:
        await write(server, 1, stored, senders=1)
        pages = ({**_page(0, 0), "start_message_seq": stored - n, "limit": PAGE} for n in range(PAGES))
        much = await _posted(server, _HISTORY, pages, seconds)
    async with ours() as server:
        await write(server, CHANNELS, (CHANNELS + 1) * EACH)
        return much, await _posted(server, _HISTORY, _newest_pages(), seconds)


async def old(stored: int, seconds: float) -> tuple[float, float]:
    """Pages that begin anywhere in one channel."""
    rng = Random(1)
    async with ours() as server:
        await write(server, 1, stored, senders=1)
        starts = (rng.randrange(PAGE, stored) for _ in range(BODIES))
        pages = ({**_page(0, 0), "start_message_seq": start, "limit": PAGE} for start in starts)
        return await _beside_route(server, _HISTORY, pages, seconds)


async def conversations(each: int, users: int, seconds: float) -> tuple[float, float]:
    """All conversations of a user with the newest message of each, of several users in turn."""
    async with ours() as server:
        # Some senders are faster than others.
        await write(server, users * each, 3 * users * each, senders=users)
        requests = ({"uid": f"sender{user}", "msg_count": 1} for user in range(users))
        return await _beside_route(server, "/conversation/sync", requests, seconds)


async def send_to_many(lists: int, seconds: float) -> tuple[float, float]:
    """One message to 20 receivers with one request, to so many lists of receivers in turn."""
    batches = (
        {"from_uid": "service", "payload": "eyJ0eXBlIjoxfQ==", "subscribers": [f"u{20 * n + k}" for k in range(20)]}
        for n in range(lists)
    )
    async with ours() as server:
        return await _beside_route(server, "/message/sendbatch", batches, seconds)


async def send_one(seconds: float) -> tuple[float, float]:
    """One durable message with each request."""
    async with ours() as server:
        route = await bench(server, "http", *CONNECTIONS, "--seconds", str(seconds))
        sent = await bench(server, "http", "--path", "/message/send", *CONNECTIONS, "--seconds", str(seconds))
        return sent["answered_per_s"], route["answered_per_s"]


def _newest_pages() -> Iterable[dict[str, object]]:
    """The newest of all channels, then those that begin one message earlier, and so on."""
    for earlier in range(PAGES // CHANNELS):
        for channel in range(CHANNELS):
            yield {**_page(channel % 50, channel), "start_message_seq": EACH - earlier, "limit": PAGE}


def _page(sender: int, peer: int) -> dict[str, object]:
    return {"login_uid": f"sender{sender}", "channel_id": f"p{peer}", "channel_type": 1}


async def _beside_route(
    server: Target, path: str, bodies: Iterable[dict[str, object]], seconds: float
) -> tuple[float, float]:
    posted = await _posted(server, path, bodies, seconds)
    route = await bench(server, "http", *CONNECTIONS, "--seconds", str(seconds))
    return posted, route["answered_per_s"]


async def _posted(server: Target, path: str, bodies: Iterable[dict[str, object]], seconds: float) -> float:
    """Answers per second to these bodies, in turn."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "bodies"
        file.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        load = ("http", "--path", path, "--bodies", str(file), *CONNECTIONS, "--seconds", str(seconds))
        return float((await bench(server, *load))["answered_per_s"])
