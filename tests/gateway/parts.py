"""The parts that connections need, put together without listening sockets, and frames by hand."""

import math
from collections.abc import Sequence
from typing import Any

import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from wukong_trio import Message
from wukong_trio.delivery.decide import Decider
from wukong_trio.delivery.dedup import SentMarks
from wukong_trio.delivery.deliver import Deliverer
from wukong_trio.delivery.flush import FlushList
from wukong_trio.delivery.ids import MessageIds
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.delivery.router import Router
from wukong_trio.gateway.connection import run_connection
from wukong_trio.gateway.gateway import Gateway
from wukong_trio.gateway.native_stream import serve_stream
from wukong_trio.gateway.transport import Transport
from wukong_trio.services.auth import Authentication
from wukong_trio.services.directory import ChannelDirectory
from wukong_trio.services.users import SystemAccounts
from wukong_trio.store import MemoryStore
from wukong_trio.testing import RawClient, config_for_tests

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONNECT = b'{"id":"c","method":"connect","params":{"uid":"%b","token":"t"}}'


def frame(text: bytes, opcode: int = 1) -> bytes:
    size = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + size + bytes(4) + text


def send_frame(number: int, to: str = "bob") -> bytes:
    params = f'{{"clientMsgNo":"{number}","channelId":"{to}","channelType":1,"payload":"e30="}}'
    return frame(f'{{"id":"s{number}","method":"send","params":{params}}}'.encode())


class SlowStore(MemoryStore):
    """Stores when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_store = trio.Event()
        self.may_store.set()

    async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
        await self.may_store.wait()
        return await super().append_messages(drafts, **terms)


class Scene:
    """The parts that connections need, without sockets."""

    def __init__(self, nursery: trio.Nursery, **changes: Any) -> None:
        config, flushes = config_for_tests(**changes), FlushList()
        self.store, self.registry, self.nursery = SlowStore(), SessionRegistry(), nursery
        marks, accounts = SentMarks(config.idempotency), SystemAccounts(self.store)
        directory = ChannelDirectory(self.store)
        decider = Decider(self.store, directory, MessageIds(0), marks, config, system_accounts=accounts)
        self.router = Router(
            self.store,
            decider,
            Deliverer(self.registry, flushes, None),
            payload_limit_bytes=config.limits.payload_bytes,
        )
        authentication = Authentication(self.store, config.auth, None, hook_timeout_s=1)
        self.gateway = Gateway(
            config, self.router, self.registry, authentication, flushes, None, lambda uid, message: None
        )
        for part in (self.router.run, authentication.run, self.gateway.deadlines.run):
            nursery.start_soon(part)
        self.ended = math.nan

    def open(self, *, lockstep: bool = False) -> trio.abc.HalfCloseableStream:
        """The client's side of a new connection."""
        ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
        self.nursery.start_soon(serve_stream, self.gateway, ours, "a test")
        return theirs

    async def run(self, transport: Transport) -> None:
        """Serves a connection, and notes when it ended."""
        await run_connection(self.gateway, transport)
        self.ended = trio.current_time()

    async def upgraded(self, *, lockstep: bool = False) -> RawClient:
        """A client that has not authenticated."""
        stream = self.open(lockstep=lockstep)
        await stream.send_all(UPGRADE)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
        return RawClient(stream, "")

    async def connected(self, uid: str, *, lockstep: bool = False) -> RawClient:
        client = await self.upgraded(lockstep=lockstep)
        await client.connect(uid)
        return client
