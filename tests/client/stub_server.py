"""Servers that do what a client must survive, in both protocols."""

import json
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from wukong_trio import Address, Listeners, Server
from wukong_trio.protocol.wkproto import LATEST_VERSION, PONG, Connack, Connect, Disconnect, Packet, Recv, Send, Sendack
from wukong_trio.protocol.wkproto_keys import SessionKeys, agree, recv_sign_text
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import open_test_server


class Heard(NamedTuple):
    """What a client has said."""

    what: str
    """`send`, `recvack`, `ping`."""
    key: Any
    """For who answers it."""


class Peer(ABC):
    """A client that has connected, as the server sees it."""

    @abstractmethod
    async def hear(self) -> Heard:
        """The next of what it says."""

    @abstractmethod
    async def answer(self, heard: Heard) -> None:
        """Grants it."""

    @abstractmethod
    async def push(self, number: int) -> None:
        """Sends it a message with this id and sequence number."""

    @abstractmethod
    async def notice(self, reason_code: int, reason: str) -> None:
        """Says that this is the end, without ending it."""

    @abstractmethod
    async def say(self, raw: str | bytes) -> None:
        """Sends it anything."""


Behaviour = Callable[[Peer], Awaitable[None]]
Conversation = Callable[[trio.SocketStream], Awaitable[None]]


class JsonPeer(Peer):
    """It speaks JSON-RPC, on a WebSocket."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket

    async def hear(self) -> Heard:
        frame = json.loads(await self.websocket.get_message())
        return Heard(frame["method"], frame.get("id"))

    async def answer(self, heard: Heard) -> None:
        await self.say(json.dumps({"jsonrpc": "2.0", "id": heard.key, "result": {}}))

    async def push(self, number: int) -> None:
        await self.say(push(number))

    async def notice(self, reason_code: int, reason: str) -> None:
        params = {"reasonCode": reason_code, "reason": reason}
        await self.say(json.dumps({"jsonrpc": "2.0", "method": "disconnect", "params": params}))

    async def say(self, raw: str | bytes) -> None:
        await self.websocket.send_message(raw)


class PacketPeer(Peer):
    """It speaks WKProto."""

    def __init__(self, receive: Callable[[], Awaitable[bytes]], send: Callable[[bytes], Awaitable[None]]) -> None:
        """Args:
        receive: gives what arrives, nothing at the end.
        send: writes; a WebSocket message each.
        """
        self.receive = receive
        self.send = send
        self.keys: SessionKeys | None = None
        self.version = LATEST_VERSION
        self._reader = PacketReader()
        self._packets: list[Packet] = []

    async def next_packet(self) -> Packet:
        """The next packet it sends."""
        while not self._packets:
            data = await self.receive()
            if not data:
                raise trio.BrokenResourceError
            self._packets = self._reader.receive(data)
            assert self._reader.failure is None
        return self._packets.pop(0)

    async def accept(self, **fields: Any) -> None:
        """Answers CONNECT; `fields` are those of the CONNACK that are otherwise than they should be."""
        connect = await self.next_packet()
        assert isinstance(connect, Connect)
        server_key = salt = ""
        if connect.client_key:
            server_key, salt, self.keys = agree(connect.client_key)
        right: dict[str, Any] = {"time_diff": 0, "reason_code": 1, "server_version": LATEST_VERSION}
        right |= {"server_key": server_key, "salt": salt}
        connack = Connack(**right | fields)
        await self.say(encode(connack, LATEST_VERSION))
        self.version = self._reader.version = connack.server_version or LATEST_VERSION

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[bytearray]:
        """What is said in the block is sent in one piece, at its end; the piece may be changed before."""
        send, piece = self.send, bytearray()

        async def keep(data: bytes) -> None:
            piece.extend(data)

        self.send = keep
        yield piece
        self.send = send
        await send(bytes(piece))

    async def hear(self) -> Heard:
        packet = await self.next_packet()
        return Heard(type(packet).__name__.lower(), packet)

    async def answer(self, heard: Heard) -> None:
        await self.refuse(heard, 1)

    async def refuse(self, heard: Heard, reason_code: int) -> None:
        """Answers with any reason."""
        packet = heard.key
        answer = Sendack(0, packet.client_seq, 0, reason_code) if isinstance(packet, Send) else PONG
        await self.say(encode(answer, self.version))

    async def push(self, number: int) -> None:
        await self.say(self.recv(number))

    def recv(self, number: int, **fields: Any) -> bytes:
        """A RECV as it should be, but for some fields."""
        ids: dict[str, Any] = {"message_id": number, "message_seq": number, "client_msg_no": "", "timestamp": 0}
        ids |= {"from_uid": "bob", "channel_id": "bob", "channel_type": 1}
        right = ids | {"payload": b"hi"}
        if self.keys is not None:
            sealed = self.keys.encrypt(b"hi")
            text = recv_sign_text(Recv(**ids, payload=sealed))
            right |= {"payload": sealed, "msg_key": self.keys.sign(text).decode()}
        return encode(Recv(**right | fields), self.version)

    async def notice(self, reason_code: int, reason: str) -> None:
        await self.say(encode(Disconnect(reason_code, reason), self.version))

    async def say(self, raw: str | bytes) -> None:
        assert isinstance(raw, bytes)
        await self.send(raw)


@asynccontextmanager
async def open_stub_server(behave: Behaviour, protocol: str = "jsonrpc") -> AsyncIterator[str]:
    """Accepts a client that speaks JSON-RPC on a WebSocket or WKProto on TCP, then behaves; gives its URL."""
    if protocol == "wkproto":
        async with open_packet_server(_accepting(behave)) as url:
            yield url
    else:

        async def serve(websocket: WebSocketConnection) -> None:
            peer = JsonPeer(websocket)
            await peer.answer(await peer.hear())
            await behave(peer)

        async with _open_websockets(serve) as url:
            yield url


def _accepting(behave: Behaviour) -> Callable[[PacketPeer], Awaitable[None]]:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await behave(peer)

    return serve


@asynccontextmanager
async def open_packet_server(serve: Callable[[PacketPeer], Awaitable[None]], scheme: str = "tcp") -> AsyncIterator[str]:
    """Serves a client that is going to say CONNECT, on TCP or a WebSocket; gives its URL."""

    async def serve_stream(stream: trio.SocketStream) -> None:
        await serve(PacketPeer(stream.receive_some, stream.send_all))

    async def serve_socket(websocket: WebSocketConnection) -> None:
        async def receive() -> bytes:
            message = await websocket.get_message()
            assert isinstance(message, bytes)
            return message

        await serve(PacketPeer(receive, websocket.send_message))

    if scheme == "tcp":
        async with open_port(serve_stream) as place:
            yield f"tcp://{place}"
    else:
        async with _open_websockets(serve_socket) as url:
            yield url


@asynccontextmanager
async def _open_websockets(serve: Callable[[WebSocketConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async def handle(request: WebSocketRequest) -> None:
        with suppress(ConnectionClosed):
            await serve(await request.accept())

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None))
        yield f"ws://127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_port(converse: Conversation) -> AsyncIterator[str]:
    """Accepts and talks as told; gives its host and port."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                await converse(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def deaf(peer: Peer) -> None:
    """Reads and never answers."""
    while True:
        await peer.hear()


def push(number: int, payload: bytes = b"hi") -> str:
    """A message as servers of JSON-RPC send it."""
    params = {"messageId": str(number), "messageSeq": number, "clientMsgNo": "", "timestamp": 0, "fromUid": "bob"}
    params |= {"channelId": "bob", "channelType": 1, "payload": b64encode(payload).decode()}
    return json.dumps({"jsonrpc": "2.0", "method": "recv", "params": params})


def url_of(server: Server, protocol: str) -> str:
    """Where a client of a real server speaks that protocol without asking for it."""
    return {"jsonrpc": server.endpoints.ws, "wkproto": server.endpoints.tcp}[protocol]


@asynccontextmanager
async def open_secure_server(path: Path) -> AsyncIterator[Server]:
    """A real server with `wss` and `tls`; who trusts `ca.pem` in this directory trusts it."""
    cert, key = path / "cert.pem", path / "key.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(path / "ca.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    any_port = Address("127.0.0.1", 0)
    listeners = Listeners(
        http=any_port, tcp=None, tls=any_port, ws=any_port, wss=any_port, cert_file=cert, key_file=key
    )
    async with open_test_server(listeners=listeners) as server:
        yield server
