"""A receiver without sockets, for tests on a clock that jumps, and messages for it."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from wukong_trio import Message
from wukong_trio.config import Webhook
from wukong_trio.model import first_id_at
from wukong_trio.store import MemoryStore
from wukong_trio.webhooks.hook import Hook
from wukong_trio.webhooks.notify import Notifications
from wukong_trio.webhooks.pace import Load, Pace, Stopwatch

URL = "http://receiver.example/hook"


def easy_pace() -> Pace:
    """Of a server that has nothing else to do, on a clock that stands still: nobody has to wait for it."""
    return Pace(Load(lambda: 0.0, lambda: 0.0, lambda: 0.0), 1.0, cpu_clock=lambda: 0.0)


class Request:
    """What the receiver was sent."""

    def __init__(self, head: bytes, content: bytes) -> None:
        start, *lines = head.decode().removesuffix("\r\n\r\n").split("\r\n")
        self.method, self.target, self.version = start.split(" ")
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.content = content


class Scripted:
    """Takes requests, and remembers when each came and what became of it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.accepted: list[Any] = []
        self.status: Callable[[], int] = lambda: 200
        self.before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    async def exchange(self, head: bytes, body: bytes, limit: trio.CancelScope, watch: Stopwatch) -> int:
        self.requests.append(Request(head, body))
        self.times.append(trio.current_time())
        watch.stop()
        await self.before()
        watch.start()
        status = self.status()
        if status == 0:
            raise OSError("the connection was closed")
        if status < 300:
            self.accepted.append(json.loads(body))
        return status

    @property
    def webhook_ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.requests]

    @property
    def told(self) -> list[int]:
        """The ids of all messages that were accepted."""
        return [record["message_id"] for records in self.accepted for record in records]


def statuses(*first: int, then: int = 200) -> Callable[[], int]:
    left = list(first)
    return lambda: left.pop(0) if left else then


def message(message_id: int, *, payload: bytes = b"{}", **more: Any) -> Message:
    fields = {"channel_id": "g", "channel_type": 2, "from_uid": "ann", "client_msg_no": f"m{message_id}"}
    return Message(message_id=message_id, message_seq=0, timestamp=1, payload=payload, **(fields | more))


class Scene:
    """A store, the notifications of it, and their receiver."""

    def __init__(self, store: MemoryStore | None = None, **settings: Any) -> None:
        self.store = store or MemoryStore()
        self.receiver, self.pace = Scripted(), easy_pace()
        self.settings = Webhook(http_addr=URL, **settings)
        self.notify: Notifications
        self.first_id = first_id_at(time.time())
        self.newest_id = 0
        """What the server believes at its start; 0: what the store says."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """A server's run of them."""
        hook = Hook("msg.notify", self.receiver, URL, "", self.pace)
        cursor, newest_id = await self.store.webhook_cursor(), self.newest_id or await self.store.last_message_id()
        self.notify = Notifications(hook, self.store, self.settings, cursor, newest_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.notify.run)
            yield
            nursery.cancel_scope.cancel()

    async def append(self, *messages: Message) -> None:
        """Stores, as the router does."""
        await self.store.append_messages(messages)
        if hasattr(self, "notify"):
            self.notify.stored(messages)

    async def send(self, count: int, *, payload: bytes = b"{}") -> list[int]:
        """Stores so many messages that are of now; returns their ids."""
        start = max(await self.store.last_message_id() + 1, self.first_id)
        ids = list(range(start, start + count))
        await self.append(*(message(id_, payload=payload) for id_ in ids))
        return ids
