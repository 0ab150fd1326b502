"""The reference WebSocket engine, on trio-websocket: each connection's task reads, another writes.

Slow but well known. trio-websocket answers pings, reassembles fragments, checks UTF-8 and limits the message size. The
opening handshake follows the rules of the native engine: trio-websocket gets to see a plain request in its place.
"""

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_server_stream

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_TOO_BIG
from .connection import errors_end_here, run_connection
from .framing import ONE_BY_ONE, Wire
from .gateway import Gateway
from .handshake import HandshakeReader, RefusedUpgrade, Upgrade
from .outbox import Chunk
from .pipes import RECEIVE_BYTES, StreamPipe, stream_has_unread
from .proxied import ProxyHeader
from .transport import Allowance, DisconnectedError, Served, Transport
from .writer import Writer

_VIOLATIONS = frozenset({1002, 1003, 1007, 1009})
"""Close codes with which trio-websocket itself ends connections whose client broke the protocol."""
QUEUED_MESSAGES = 8
"""Decoded messages trio-websocket may hold; while they are full it answers no pings, so they are taken at once."""
GREETING_BYTES = 64 * 1024
"""What a client may send altogether before it has authenticated."""


class _WatchedStream(trio.abc.Stream):
    """The stream as trio-websocket sees it, after the request was read.

    Notes when bytes arrive: trio-websocket keeps pings to itself, but they are signs of life. And counts them until the
    client has authenticated.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._request = b""
        self._rest = b""
        self._accepted = trio.Event()
        self.left_bytes: float = GREETING_BYTES
        """How much more may come."""
        self.last_inbound = trio.current_time()

    def begin(self, upgrade: Upgrade) -> None:
        """The client's request, in plain words."""
        self._request = (
            b"GET / HTTP/1.1\r\nHost: client\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n\r\n" % upgrade.key
        )
        self._rest = upgrade.rest

    def accepted(self) -> None:
        """The request was answered: what the client sent after it may follow."""
        self._accepted.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._request:
            request, self._request = self._request, b""
            return request
        await self._accepted.wait()
        data: bytes | bytearray
        if self._rest:
            data, self._rest = self._rest, b""
        else:
            data = await self._stream.receive_some(max_bytes)
        self.last_inbound = trio.current_time()
        self.left_bytes -= len(data)
        return data if self.left_bytes >= 0 else b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class TrioWebSocketTransport(Transport):
    """A connection that trio-websocket speaks for."""

    def __init__(self, gateway: Gateway, nursery: trio.Nursery, stream: trio.abc.Stream, remote_address: str) -> None:
        self._raw_stream = stream
        self._stream = _WatchedStream(stream)
        super().__init__(gateway, remote_address)
        self._nursery = nursery
        self._handshake = HandshakeReader(allowed_origins=gateway.allowed_origins)
        self._websocket: WebSocketConnection | None = None
        """None until the handshake is done."""
        self.writer = Writer(self._outbox, self._send, timeout_s=self.limits.write_timeout_s, join_bytes=0)
        self._resumed = trio.Event()
        self._text = True

    async def open(self) -> str:
        pipe, outcome = StreamPipe(self._raw_stream), None
        while outcome is None:
            data = await pipe.receive(RECEIVE_BYTES)
            if not data:
                raise DisconnectedError("connection ended")
            outcome = self._handshake.receive(data)
        if isinstance(outcome, RefusedUpgrade):
            await pipe.send_all(outcome.answer)
            await pipe.read_out()
            raise DisconnectedError(outcome.reason, violation=True)
        self._stream.begin(outcome)
        try:
            request = await wrap_server_stream(
                self._nursery,
                self._stream,
                message_queue_size=QUEUED_MESSAGES,
                max_message_size=self.limits.ws_message_bytes,
                receive_buffer_size=RECEIVE_BYTES,
            )
            self._websocket = await request.accept()
        except (HandshakeError, ConnectionClosed) as error:
            raise DisconnectedError(repr(error), violation=True) from None
        self._stream.accepted()
        return outcome.target

    @property
    def last_inbound(self) -> float:
        """When bytes last arrived."""
        return self._stream.last_inbound

    @last_inbound.setter
    def last_inbound(self, now: float) -> None:
        self._stream.last_inbound = now

    def has_unread(self) -> bool:
        return stream_has_unread(self._raw_stream)

    def carried_bytes(self) -> tuple[int, int]:
        return StreamPipe(self._raw_stream).carried_bytes()

    def _wire(self, *, text: bool) -> Wire:
        self._text = text
        return ONE_BY_ONE

    def flush(self) -> None:
        self._flush_through(self.writer)

    def check_writing(self, now: float) -> float | None:
        return self.writer.check(now)

    async def _send(self, message: Chunk) -> None:
        assert self._websocket is not None
        data = bytes(message)
        try:
            await self._websocket.send_message(data.decode() if self._text else data)
        except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            self._outbox.clear()

    async def write(self) -> None:
        """Writes until cancelled; a task beside the connection's."""
        try:
            await self.writer.run()
        except trio.TooSlowError:
            self._cut_off()
            await trio.aclose_forcefully(self._raw_stream)

    async def receive(self, allowance: Allowance | None = None) -> tuple[bytes, bool]:
        assert self._websocket is not None
        try:
            message = await self._websocket.get_message()
        except ConnectionClosed as closed:
            if self._stream.left_bytes < 0:
                self.close(CLOSE_TOO_BIG)
            code = closed.reason.code if closed.reason is not None else 1006
            raise DisconnectedError(f"connection ended ({code})", violation=code in _VIOLATIONS) from None
        text = message.encode() if isinstance(message, str) else bytes(message)
        if len(text) > self.limits.ws_message_bytes:
            # trio-websocket has counted characters.
            self.close(CLOSE_TOO_BIG)
            raise DisconnectedError("message too big")
        return text, isinstance(message, bytes)

    async def carry(self, session: Served) -> None:
        self._session = session
        self._stream.left_bytes = float("inf")
        errands: list[Errand] = []
        while self.closing is None:
            with self.awaiting():
                while session.in_flight >= self.limits.sends_in_flight:
                    self._resumed = trio.Event()
                    await self._resumed.wait()
                if session.unserved:
                    # Not faster than the answers go out.
                    await self.writer.written()
                    await trio.lowlevel.checkpoint()
                    message = b""
                else:
                    message, _ = await self.receive()
                self.in_packets += session.receive(message, errands)
            self._gateway.flushes.flush()
            if errands:
                # Outside the scope: what came before the end counts.
                await self._gateway.router.submit(errands)
                errands = []

    def resume(self) -> None:
        self._resumed.set()

    async def finish(self) -> None:
        try:
            self.flush()
            await self.writer.written()
            if self.closing is not None and self._websocket is not None:
                await self._websocket.aclose(self.closing.code, self.closing.reason)
        finally:
            await trio.aclose_forcefully(self._raw_stream)


async def serve_trio_websocket(
    gateway: Gateway, stream: trio.abc.Stream, remote_address: str, proxy_header: ProxyHeader | None = None
) -> None:
    """Serves a client on a connected stream; returns when the stream is closed."""
    with errors_end_here(remote_address):
        async with trio.open_nursery() as nursery:
            transport = TrioWebSocketTransport(gateway, nursery, stream, remote_address)
            transport.proxy_header = proxy_header
            nursery.start_soon(transport.write)
            await run_connection(gateway, transport)
            nursery.cancel_scope.cancel()
