"""A server that does what a load test must notice."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from wukong_trio.bench.plan import Protocol
from wukong_trio.protocol.wkproto import Connack, Connect, Packet, Ping, Pong, Recv, Send, Sendack
from wukong_trio.protocol.wkproto_keys import SessionKeys, agree
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

VERSION = 6
TIMESTAMP = 1_700_000_000


class Message(NamedTuple):
    """A message on its way."""

    uid: str
    number: int
    to: str
    content: Any


class User(ABC):
    """One connection, whatever it speaks."""

    uid = ""

    @abstractmethod
    async def answer(self, request: Any) -> None:
        """Acknowledges a request."""

    @abstractmethod
    async def push(self, message: Message, fault: str) -> None:
        """Delivers a message."""

    @abstractmethod
    async def part(self) -> None:
        """Ends the connection."""


class FaultyServer:
    """Acknowledges and delivers, except that the third message of each sender meets a fault."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._users: dict[str, User] = {}
        self._sent = 0
        self._kept: dict[str, list[Message]] = {}
        self._counts: dict[str, int] = {}

    async def serve_web_socket(self, request: WebSocketRequest) -> None:
        """A connection with JSON-RPC."""
        websocket = await request.accept()
        user = JsonUser(websocket)
        try:
            while True:
                frame = json.loads(await websocket.get_message())
                if frame["method"] == "connect":
                    user.uid = frame["params"]["uid"]
                    self._users[user.uid] = user
                if "id" in frame and frame["method"] != "send":
                    await user.answer(frame)
                elif frame["method"] == "send":
                    await self._take(user, frame, frame["params"]["channelId"], frame["params"]["payload"])
        except ConnectionClosed:
            pass

    async def serve_tcp(self, stream: trio.SocketStream) -> None:
        """A connection with WKProto, encrypted."""
        user, reader = PacketUser(stream), PacketReader(VERSION)
        try:
            async for data in stream:
                for packet in reader.receive(bytes(data)):
                    if isinstance(packet, Connect):
                        self._users[packet.uid] = user
                        await user.welcome(packet)
                    elif isinstance(packet, Ping):
                        await user.write(Pong())
                    elif isinstance(packet, Send):
                        content = packet.client_msg_no, user.keys.decrypt(packet.payload)
                        await self._take(user, packet, packet.channel_id, content)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _take(self, user: User, request: Any, to: str, content: Any) -> None:
        count = self._counts[user.uid] = self._counts.get(user.uid, 0) + 1
        fault = self._fault if count == 3 else ""
        if fault == "close":
            await user.part()
            return
        self._sent += 1
        message = Message(user.uid, self._sent, to, content)
        if fault != "unanswered":
            for _ in range(2 if fault == "answered_twice" else 1):
                await user.answer(request)
        if fault == "out_of_order":
            self._kept.setdefault(to, []).append(message)
            return
        if fault != "undelivered":
            for _ in range(2 if fault == "doubled" else 1):
                # What is only looked at now and then is wrong all the time.
                await self._users[to].push(message, self._fault)
        for kept in self._kept.pop(to, []):
            await self._users[to].push(kept, "")


class JsonUser(User):
    """Speaks JSON-RPC over a WebSocket."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket

    async def answer(self, request: Any) -> None:
        """Part of `User`."""
        await self._websocket.send_message(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {}}))

    async def push(self, message: Message, fault: str) -> None:
        """Part of `User`."""
        params = {"messageId": str(message.number), "messageSeq": message.number, "payload": message.content}
        await self._websocket.send_message(json.dumps({"jsonrpc": "2.0", "method": "recv", "params": params}))

    async def part(self) -> None:
        """Part of `User`."""
        await self._websocket.aclose(4000)


class PacketUser(User):
    """Speaks WKProto over TCP."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._writing = trio.Lock()
        self.keys: SessionKeys

    async def write(self, packet: Packet | bytes) -> None:
        """Sends a packet."""
        data = packet if isinstance(packet, bytes) else encode(packet, VERSION)
        async with self._writing:
            await self._stream.send_all(data)

    async def welcome(self, connect: Connect) -> None:
        """Agrees on keys."""
        self.uid = connect.uid
        server_key, salt, self.keys = agree(connect.client_key)
        await self.write(Connack(0, 1, server_key, salt, node_id=1, server_version=VERSION))

    async def answer(self, request: Any) -> None:
        """Part of `User`."""
        await self.write(Sendack(1, request.client_seq, 1, 1, request.client_msg_no))

    async def push(self, message: Message, fault: str) -> None:
        """Part of `User`."""
        client_msg_no, content = message.content
        if fault == "payload":
            content = content.replace(b"0000000", b"1000000", 1)
        payload = self.keys.encrypt(content) if fault != "ciphertext" else b"AAAA"
        number, uid = message.number, message.uid
        signed = f"{number}{number}{client_msg_no}{TIMESTAMP}{uid}{uid}1".encode() + payload
        msg_key = self.keys.sign(signed).decode()
        if fault == "msg_key":
            msg_key = msg_key[::-1]
        await self.write(Recv(number, number, uid, uid, 1, payload, client_msg_no, TIMESTAMP, msg_key=msg_key))

    async def part(self) -> None:
        """Part of `User`."""
        await self._stream.aclose()


@asynccontextmanager
async def open_faulty_server(fault: str, protocol: Protocol = "jsonrpc") -> AsyncIterator[str]:
    """Gives its URL."""
    server = FaultyServer(fault)
    async with trio.open_nursery() as nursery:
        if protocol == "jsonrpc":
            serve = partial(serve_websocket, server.serve_web_socket, "127.0.0.1", 0, ssl_context=None)
            yield f"ws://127.0.0.1:{(await nursery.start(serve)).port}"
        else:
            (listener,) = await nursery.start(partial(trio.serve_tcp, server.serve_tcp, 0, host="127.0.0.1"))
            yield f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
