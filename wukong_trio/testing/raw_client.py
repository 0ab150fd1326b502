"""A WebSocket client that does exactly what it is told: for tests of the protocol itself.

It answers nothing by itself - no recvack, no pong, not even the closing handshake - and can break every rule.
"""

import base64
import secrets
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode

from ..errors import WukongError


class SocketClosed(WukongError):  # noqa: N818 - an event more than an error
    """The server ended the connection; `code` is that of its close frame, 1006 without one."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class RawClient:
    """One WebSocket. Get it from `open_raw_client`."""

    def __init__(self, stream: trio.abc.Stream, head: str) -> None:
        self.stream = stream
        self.head = head
        """The server's answer to the upgrade."""
        self.pongs: list[bytes] = []
        """Payloads of the pongs received so far."""
        self.fragmented = 0
        """How many messages came in more than one frame so far."""
        self._protocol = FrameProtocol(client=True, extensions=[])
        self._parts: list[Any] = []
        self._is_fragment = False
        self._messages: deque[str | bytes] = deque()
        self._closed: SocketClosed | None = None
        self._ids = 0

    # Sending

    async def send(self, frame: object) -> None:
        """A JSON value as a text frame."""
        await self.send_text(msgspec.json.encode(frame).decode())

    async def send_text(self, text: str) -> None:
        """A text frame."""
        await self.stream.send_all(self._protocol.send_data(text))

    async def send_binary(self, data: bytes) -> None:
        """A binary frame."""
        await self.stream.send_all(self._protocol.send_data(data))

    async def send_fragments(self, *parts: str | bytes, final: bool = True) -> None:
        """A text or binary message in several frames; with `final` False it stays unfinished."""
        for n, part in enumerate(parts, start=1):
            fin = final and n == len(parts)
            await self.stream.send_all(self._protocol.send_data(part, fin=fin))

    async def send_ping(self, payload: bytes = b"") -> None:
        """A ping frame."""
        await self.stream.send_all(self._protocol.ping(payload))

    async def send_close(self, code: int = 1000) -> None:
        """A close frame."""
        await self.stream.send_all(self._protocol.close(CloseReason(code)))

    async def send_bytes(self, data: bytes) -> None:
        """Anything at all."""
        await self.stream.send_all(data)

    # Receiving

    async def receive(self) -> Any:
        """The next message, decoded.

        Raises:
            SocketClosed: there is none.
        """
        return msgspec.json.decode(await self.receive_text())

    async def receive_text(self) -> str:
        """The next message as it came; a binary one is an error, because servers answer JSON in text only."""
        message = await self._receive()
        assert isinstance(message, str), "the server sent a binary frame"
        return message

    async def receive_binary(self) -> bytes:
        """The same for who speaks the binary protocol: a text message is an error."""
        message = await self._receive()
        assert isinstance(message, bytes), "the server sent a text frame"
        return message

    async def _receive(self) -> str | bytes:
        while not self._messages:
            await self._read()
        return self._messages.popleft()

    async def wait_closed(self) -> SocketClosed:
        """Waits for the end; messages that come before it are an error."""
        try:
            message = await self._receive()
        except SocketClosed as closed:
            return closed
        raise AssertionError(f"a message instead of the end: {message!r}")

    async def wait_pong(self) -> bytes:
        """Waits for the next pong."""
        while not self.pongs:
            await self._read()
        return self.pongs.pop(0)

    async def expect_quiet(self, seconds: float) -> None:
        """Fails unless this many seconds pass without a message and without an end."""
        with trio.move_on_after(seconds):
            raise AssertionError(f"not quiet: {await self.receive_text()}")

    async def _read(self) -> None:
        if self._closed is not None:
            raise self._closed
        data = await receive_some(self.stream)
        if not data:
            self._closed = SocketClosed(1006)
            raise self._closed
        self._take(data)

    def _take(self, data: bytes) -> None:
        self._protocol.receive_bytes(data)
        for frame in self._protocol.received_frames():
            payload: Any = frame.payload
            match frame.opcode:
                case Opcode.PONG:
                    self.pongs.append(bytes(payload))
                case Opcode.CLOSE:
                    code, reason = payload
                    self._closed = SocketClosed(int(code), reason or "")
                case Opcode.TEXT | Opcode.BINARY:
                    # A large frame comes in parts, as it arrives; so does a message in several frames.
                    self._parts.append(payload)
                    self._is_fragment |= frame.frame_finished and not frame.message_finished
                    if frame.message_finished:
                        self._messages.append(type(payload)().join(self._parts))
                        self.fragmented += self._is_fragment
                        self._parts, self._is_fragment = [], False

    # Protocol

    async def call(self, method: str, params: object = None, *, id_: str | int | None = None) -> Any:
        """Sends a request and returns the whole answer, which has to be the next message."""
        if id_ is None:
            self._ids += 1
            id_ = f"q{self._ids}"
        frame: dict[str, object] = {"id": id_, "method": method}
        if params is not None:
            frame["params"] = params
        await self.send(frame)
        answer = await self.receive()
        assert answer.get("id") == id_, f"not the answer to {id_}: {answer}"
        return answer

    async def connect(self, uid: str, token: str = "t", **params: object) -> Any:
        """Authenticates the way the published examples do, and returns the result."""
        answer = await self.call("connect", {"uid": uid, "token": token, **params}, id_="c")
        assert "result" in answer, f"not connected: {answer}"
        return answer["result"]

    async def sdk_connect(self, uid: str, device_id: str = "", *, token: str = "t", device_flag: int = 0) -> Any:
        """Authenticates the way the official SDKs do, and returns the result."""
        id_ = "00000000-0000-4000-8000-" + secrets.token_hex(6)
        params = {
            "uid": uid,
            "token": token,
            "deviceId": device_id or secrets.token_hex(8),
            "deviceFlag": device_flag,
            "clientTimestamp": 0,
        }
        answer = await self.call("connect", params, id_=id_)
        assert "result" in answer, f"not connected: {answer}"
        return answer["result"]

    async def ping(self) -> None:
        """A request whose answer has to be the next message: shows that nothing came before, and that all is well."""
        assert (await self.call("ping"))["result"] == {}


@asynccontextmanager
async def open_raw_client(
    url: str, *, headers: str = "", ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[RawClient]:
    """Connects and shakes hands, no more. Leaving the block closes the socket without a word.

    Args:
        headers: further request headers, each ended by CR LF.
        ssl_context: whom to trust, for `wss` URLs.

    Raises:
        SocketClosed: the server did not answer with 101.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host, port = parts.hostname or "", parts.port or 80
    stream: trio.abc.Stream
    if parts.scheme == "wss":
        stream = await trio.open_ssl_over_tcp_stream(host, port, ssl_context=ssl_context, https_compatible=True)
    else:
        stream = await trio.open_tcp_stream(host, port)
    async with stream:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        request = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        )
        await stream.send_all(request.encode())
        received = b""
        while b"\r\n\r\n" not in received:
            data = await receive_some(stream)
            if not data:
                raise SocketClosed(1006, received.decode(errors="replace"))
            received += data
        head, _, rest = received.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise SocketClosed(1006, head.decode(errors="replace"))
        client = RawClient(stream, head.decode())
        client._take(rest)
        yield client


async def receive_some(stream: trio.abc.Stream) -> bytes:
    """The next bytes; none at the end, however it came."""
    try:
        return bytes(await stream.receive_some(65536))
    except trio.BrokenResourceError:
        return b""
