"""Users of one conversation, each with a client of his own: the official SDKs in processes, and our JSON-RPC client."""

import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple, Protocol

import trio
from child import ServerProcess

from wukong_trio import Client
from wukong_trio.model import RED_DOT

Event = dict[str, Any]
APP, WEB, PC = 0, 1, 2
"""Device flags."""
NO_HEARTBEAT_S = 600
"""Longer than any test."""


class Channel(NamedTuple):
    """A channel as a client writes it."""

    id: str
    type: int


class Sent(NamedTuple):
    """What a sender learns of his message."""

    message_id: int
    message_seq: int
    client_msg_no: str


class Received(NamedTuple):
    """A message as a client sees it."""

    message_id: int
    message_seq: int
    client_msg_no: str
    from_uid: str
    channel_id: str
    channel_type: int
    red_dot: bool
    payload: dict[str, Any]


class User(Protocol):
    """One device of a user."""

    name: str
    uid: str

    async def send(self, channel: Channel, *texts: str) -> list[Sent]:
        """Sends texts, and returns when all are acknowledged."""

    async def receive(self) -> Received:
        """The next message."""


class SdkUser:
    """A user of an SDK in a process."""

    def __init__(self, name: str, uid: str, device_flag: int, process: trio.Process, log: Path) -> None:
        self.name, self.uid, self.device_flag = name, uid, device_flag
        self._process, self._log = process, log
        self._events: defaultdict[str, deque[Event]] = defaultdict(deque)
        self._news = trio.Event()
        self._over = False

    async def connect(
        self, server: ServerProcess, token: str = "", *, reconnect: bool = True, heartbeat_s: float = NO_HEARTBEAT_S
    ) -> None:
        """Connects. Only the Go SDK can be told not to come back by itself."""
        await self._tell(
            "connect",
            addr=server.urls["tcp"] if self.name == "go" else server.ws,
            uid=self.uid,
            token=token,
            device_flag=self.device_flag,
            reconnect=reconnect,
            heartbeat_ms=round(heartbeat_s * 1000),
        )
        await self.until("connected")

    async def until(self, status: str) -> Event:
        """Waits until the SDK reports this status."""
        while (event := await self.next("status"))["status"] != status:
            pass
        return event

    async def start_sending(self, channel: Channel, *texts: str) -> None:
        """Hands texts to the SDK."""
        await self._tell("send", channel_id=channel.id, channel_type=channel.type, texts=texts)

    async def sent(self) -> Sent:
        """The next acknowledgement, which has to be a good one."""
        event = await self.next("sent")
        assert event["reason"] == 1, f"{self.name}: {event}"
        return Sent(int(event["message_id"]), event["message_seq"], event["client_msg_no"])

    async def send(self, channel: Channel, *texts: str) -> list[Sent]:
        await self.start_sending(channel, *texts)
        return [await self.sent() for _ in texts]

    async def receive(self) -> Received:
        return _received(await self.next("message"))

    async def history(self, server: ServerProcess, channel: Channel, limit: int) -> list[Received]:
        """The newest messages, read through the SDK's hook for it; the Go SDK has none."""
        await self._tell("history", http=server.http, channel_id=channel.id, channel_type=channel.type, limit=limit)
        return [_received(event) for event in (await self.next("history"))["messages"]]

    async def next(self, kind: str) -> Event:
        """The next event of a kind."""
        while not self._events[kind]:
            assert not self._over, f"the user of {self.name} gave up: {self._log.read_text()[-2000:]}"
            await self._news.wait()
        return self._events[kind].popleft()

    def take_all(self, kind: str) -> list[Event]:
        """The events of a kind that have come so far."""
        return list(self._events.pop(kind, ()))

    def unasked(self) -> dict[str, int]:
        """How many events of each kind nobody has asked for: pytest shows it when a test fails."""
        return {kind: len(events) for kind, events in self._events.items() if events}

    async def read_events(self) -> None:
        """Takes what the process says until it ends."""
        assert self._process.stdout is not None
        rest = b""
        async for chunk in self._process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = json.loads(line)
                self._events[event["event"]].append(event)
            self._tell_news()
        self._over = True
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _tell(self, do: str, **members: object) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"do": do, **members}).encode() + b"\n")


@asynccontextmanager
async def run_user(command: list[str], name: str, uid: str, device_flag: int, log: Path) -> AsyncIterator[SdkUser]:
    """The process of a user, for as long as the block lasts; what the SDK prints goes into the log."""
    with log.open("ab") as stderr:
        process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, stderr=stderr)
    try:
        async with trio.open_nursery() as nursery:
            user = SdkUser(name, uid, device_flag, process, log)
            nursery.start_soon(user.read_events)
            try:
                yield user
            finally:
                print(f"{name} was not asked for", user.unasked())
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.move_on_after(10, shield=True):
            await process.wait()


class Sdks:
    """Ann uses two SDKs, Bob one: the uni-app SDK says it is a web client, the Go SDK an app."""

    def __init__(self, js: SdkUser, uni: SdkUser, go: SdkUser) -> None:
        self.js, self.uni, self.go = js, uni, go
        self.javascript = [js, uni]
        self.all = [js, uni, go]


class RpcUser:
    """A user of our own client. It sends one message after the other."""

    name = "rpc"

    def __init__(self, client: Client) -> None:
        self.uid = client.uid
        self._client = client

    async def send(self, channel: Channel, *texts: str) -> list[Sent]:
        sent = []
        for text in texts:
            payload = json.dumps(as_payload(text)).encode()
            result = await self._client.send(channel.id, payload, channel_type=channel.type)
            sent.append(Sent(result.message_id, result.message_seq, result.client_msg_no))
        return sent

    async def receive(self) -> Received:
        message = await self._client.__anext__()
        return Received(
            message.message_id,
            message.message_seq,
            message.client_msg_no,
            message.from_uid,
            message.channel_id,
            message.channel_type,
            bool(message.flags & RED_DOT),
            json.loads(message.payload),
        )


def as_payload(text: str) -> dict[str, Any]:
    """The payload that all clients make of a text."""
    return {"type": 1, "content": text}


def _received(event: Event) -> Received:
    members = {name: event[name] for name in Received._fields}
    return Received(**members | {"message_id": int(event["message_id"])})
