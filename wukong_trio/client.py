"""A small client: for tests, benchmarks and programs that want to chat.

    async with open_client("ws://127.0.0.1:5200", uid="ann") as ann:
        await ann.send("bob", b'{"type":1,"content":"hi"}')
        async for message in ann:
            print(message.from_uid, message.payload)

Speaks JSON-RPC over WebSocket as the official SDKs do. Received messages are acknowledged by themselves.
"""

import math
import ssl
import time
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
import trio
from msgspec import Struct, field
from trio_websocket import ConnectionClosed as WebSocketClosed
from trio_websocket import HandshakeError, WebSocketConnection, wrap_client_stream

from .errors import ConnectionClosed, RequestError
from .groups import single_error
from .model import NO_PERSIST, RED_DOT, SYNC_ONCE, ChannelType, Message, ReasonCode, SendResult

PING_INTERVAL_S = 25.0
PING_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
QUEUED_FRAMES = 64
INBOX_MESSAGES = 1024
"""Received messages that wait to be taken. While there are more, nothing is read from the server."""


class _Header(Struct, rename="camel"):
    no_persist: bool = False
    red_dot: bool = False
    sync_once: bool = False
    dup: bool = False


class _Push(Struct, rename="camel"):
    message_id: int | str
    message_seq: int
    client_msg_no: str
    timestamp: int
    from_uid: str
    channel_id: str
    channel_type: int
    payload: bytes
    header: _Header = field(default_factory=_Header)
    expire: int = 0
    topic: str = ""
    stream_no: str = ""


class _Error(Struct):
    code: int
    message: str
    data: dict[str, Any] = field(default_factory=dict)


class _Frame(Struct):
    id: str | int | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: dict[str, Any] | None = None
    error: _Error | None = None


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_push = msgspec.json.Decoder(_Push).decode


class _Answer:
    """Where the answer to one request will be."""

    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.frame: _Frame | None = None


class Client:
    """An authenticated connection. Get one from `open_client`.

    Iterating gives the received messages as `Message`s, with `channel_id` as this user sees it: for persons the peer's
    uid. The iteration raises `ConnectionClosed` when the server ends the connection. A message is acknowledged when it
    arrives, before it is taken.
    """

    def __init__(self, websocket: WebSocketConnection, uid: str) -> None:
        self.uid = uid
        self._websocket = websocket
        self._answers: dict[str, _Answer] = {}
        self._closed: ConnectionClosed | None = None
        self._reading = trio.CancelScope()
        self._outbox, self._inbox = trio.open_memory_channel[Message](INBOX_MESSAGES)

    async def _connect(self, token: str, device_flag: int, device_id: str) -> None:
        params: dict[str, object] = {
            "uid": self.uid,
            "token": token,
            "deviceId": device_id or str(uuid.uuid4()),
            "deviceFlag": device_flag,
            "clientTimestamp": int(time.time() * 1000),
        }
        await self.request("connect", params)

    async def send(
        self,
        channel_id: str,
        payload: bytes,
        *,
        channel_type: int = ChannelType.PERSON,
        client_msg_no: str = "",
        red_dot: bool = True,
        no_persist: bool = False,
        sync_once: bool = False,
        topic: str = "",
    ) -> SendResult:
        """Sends a message.

        Args:
            channel_id: for persons the peer's uid, otherwise the id of the channel.
            payload: any bytes, by convention a JSON object with an integer `type`.
            client_msg_no: repeating a send with the same number and payload has no effect; by default a new UUID.

        Raises:
            RequestError: the server refused it.
            ConnectionClosed: the connection ended before the answer. The message may have been sent.
        """
        number = client_msg_no or str(uuid.uuid4())
        params: dict[str, object] = {
            "clientMsgNo": number,
            "channelId": channel_id,
            "channelType": int(channel_type),
            "payload": b64encode(payload).decode(),
            "header": {"redDot": red_dot, "noPersist": no_persist, "syncOnce": sync_once},
        }
        if topic:
            params |= {"topic": topic, "setting": {"topic": True}}
        result = await self.request("send", params)
        return SendResult(
            reason_code=ReasonCode.SUCCESS,
            message_id=int(result["messageId"]),
            message_seq=result["messageSeq"],
            client_msg_no=number,
            timestamp=result["timestamp"],
        )

    async def ping(self) -> None:
        """Asks the server for a sign of life.

        Raises:
            ConnectionClosed: there was none, the connection has ended.
        """
        await self.request("ping", {})

    async def request(self, method: str, params: dict[str, object]) -> dict[str, Any]:
        """Sends any request and returns its result.

        Raises:
            RequestError: the server refused it.
            ConnectionClosed: the connection ended before the answer.
        """
        id_ = str(uuid.uuid4())
        answer = self._answers[id_] = _Answer()
        try:
            await self._write({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
            await answer.arrived.wait()
        finally:
            del self._answers[id_]
        frame = answer.frame
        if frame is None:
            raise self._end()
        if frame.error is not None:
            raise RequestError(frame.error.code, frame.error.message, frame.error.data.get("reasonCode", 0))
        return frame.result or {}

    def __aiter__(self) -> "Client":
        return self

    async def __anext__(self) -> Message:
        try:
            return await self._inbox.receive()
        except trio.EndOfChannel:
            raise self._end() from None

    def _end(self) -> ConnectionClosed:
        return self._closed or ConnectionClosed(1006)

    async def _write(self, frame: dict[str, object]) -> None:
        try:
            await self._websocket.send_message(msgspec.json.encode(frame).decode())
        except WebSocketClosed as closed:
            raise _closed(closed) from None

    async def _read(self) -> None:
        """Hands out what arrives until the connection ends."""
        try:
            with self._outbox, self._reading:
                while True:
                    await self._handle(_decode_frame(await self._websocket.get_message()))
        except WebSocketClosed as closed:
            self._closed = _closed(closed)
        except ConnectionClosed as closed:
            self._closed = closed
        finally:
            for answer in self._answers.values():
                answer.arrived.set()

    async def _handle(self, frame: _Frame) -> None:
        if frame.method in ("recv", "message"):
            push = _decode_push(frame.params)
            await self._write(
                {
                    "jsonrpc": "2.0",
                    "method": "recvack",
                    "params": {"messageId": str(push.message_id), "messageSeq": push.message_seq},
                }
            )
            await self._outbox.send(_message(push))
        elif frame.id in self._answers:
            answer = self._answers[str(frame.id)]
            answer.frame = frame
            answer.arrived.set()

    async def _keep_alive(self) -> None:
        """Pings now and then; a server that does not answer is given up."""
        while self._closed is None:
            await trio.sleep(PING_INTERVAL_S)
            try:
                with trio.fail_after(PING_TIMEOUT_S):
                    await self.ping()
            except trio.TooSlowError:
                self._closed = ConnectionClosed(1006, "the server does not answer pings")
                self._reading.cancel()
            except ConnectionClosed:
                return


def _closed(closed: WebSocketClosed) -> ConnectionClosed:
    return ConnectionClosed(closed.reason.code, closed.reason.reason or "") if closed.reason else ConnectionClosed(1006)


def _message(push: _Push) -> Message:
    header = push.header
    return Message(
        message_id=int(push.message_id),
        message_seq=push.message_seq,
        channel_id=push.channel_id,
        channel_type=push.channel_type,
        from_uid=push.from_uid,
        client_msg_no=push.client_msg_no,
        timestamp=push.timestamp,
        payload=push.payload,
        flags=header.no_persist * NO_PERSIST | header.red_dot * RED_DOT | header.sync_once * SYNC_ONCE,
        expire=push.expire,
        topic=push.topic,
        stream_no=push.stream_no,
    )


@asynccontextmanager
async def open_client(
    url: str,
    *,
    uid: str,
    token: str = "",
    device_flag: int = 0,
    device_id: str = "",
    ssl_context: ssl.SSLContext | None = None,
    connect_timeout_s: float = 10.0,
) -> AsyncIterator[Client]:
    """Connects and authenticates; leaving the block closes the connection.

    Args:
        url: where the server's WebSocket listens, for example `ws://127.0.0.1:5200`.
        device_id: tells devices of a user apart; by default a new one each time.
        ssl_context: for `wss` URLs, instead of the default trust.

    Raises:
        RequestError: the server did not accept the uid or token.
        ConnectionClosed: there is no server, or it ended the connection.
    """
    connected = False
    try:
        with single_error():
            with trio.fail_after(connect_timeout_s) as deadline:
                stream = await _open_stream(url, ssl_context)
                try:
                    async with trio.open_nursery() as nursery:
                        websocket = await _shake_hands(nursery, stream, url)
                        client = Client(websocket, uid)
                        nursery.start_soon(client._read)
                        await client._connect(token, device_flag, device_id)
                        nursery.start_soon(client._keep_alive)
                        deadline.deadline = math.inf
                        connected = True
                        yield client
                        with trio.move_on_after(CLOSE_TIMEOUT_S):
                            await websocket.aclose()
                        nursery.cancel_scope.cancel()
                finally:
                    await trio.aclose_forcefully(stream)
    except (HandshakeError, OSError, trio.TooSlowError) as error:
        if connected:
            raise
        raise ConnectionClosed(1006, f"no connection to {url}: {error or type(error).__name__}") from error


_Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


async def _open_stream(url: str, ssl_context: ssl.SSLContext | None) -> _Stream:
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "wss"
    stream = await trio.open_tcp_stream(host, parts.port or (443 if secure else 80))
    if not secure:
        return stream
    context = ssl_context or ssl.create_default_context()
    return trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)


async def _shake_hands(nursery: trio.Nursery, stream: _Stream, url: str) -> WebSocketConnection:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return await wrap_client_stream(nursery, stream, parts.netloc, target, message_queue_size=QUEUED_FRAMES)
