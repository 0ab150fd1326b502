"""The reference WebSocket engine, on trio-websocket: each connection's task reads, another writes while there is need.

Slow but well known. trio-websocket answers pings, reassembles fragments, checks UTF-8 and limits the message size.
"""

import ssl
from logging import getLogger

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_server_stream

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_SLOW_CONSUMER, CLOSE_TOO_BIG
from .connection import run_connection
from .gateway import Gateway
from .session import Session
from .transport import DisconnectedError, Transport

log = getLogger(__name__)

RECEIVE_BYTES = 64 * 1024
_VIOLATIONS = frozenset({1002, 1003, 1007, 1009})
"""Close codes with which trio-websocket itself ends connections whose client broke the protocol."""
QUEUED_MESSAGES = 8
"""Decoded messages trio-websocket may hold; while they are full it answers no pings, so they are taken at once."""


class _HeardStream(trio.abc.Stream):
    """Notes when bytes arrive: trio-websocket keeps pings to itself, but they are signs of life."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.last_inbound = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.last_inbound = trio.current_time()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class TrioWebSocketTransport(Transport):
    """A connection that trio-websocket speaks for."""

    def __init__(self, gateway: Gateway, nursery: trio.Nursery, stream: trio.abc.Stream, remote_address: str) -> None:
        self._stream = _HeardStream(stream)
        now = self._stream.last_inbound
        super().__init__(gateway.config.limits, gateway.flushes, remote_address=remote_address, now=now)
        self._gateway = gateway
        self._nursery = nursery
        self._websocket: WebSocketConnection
        """Set by `open`."""
        self._writing: trio.CancelScope | None = None
        self._written = trio.Event()
        self._resumed = trio.Event()

    async def open(self) -> str:
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
        return str(request.path)

    @property
    def last_inbound(self) -> float:
        """When bytes last arrived."""
        return self._stream.last_inbound

    @last_inbound.setter
    def last_inbound(self, now: float) -> None:
        self._stream.last_inbound = now

    def _write(self) -> None:
        if self._writing is None:
            self._writing = trio.CancelScope()
            self._written = trio.Event()
            self._nursery.start_soon(self._drain, self._writing)

    async def _drain(self, scope: trio.CancelScope) -> None:
        """Writes until nothing waits. A message that makes no progress for too long ends the connection."""
        try:
            with scope:
                while self._frames:
                    frame = self._frames.pop(0)
                    self._frames_bytes -= len(frame)
                    with trio.move_on_after(self.limits.write_timeout_s) as deadline:
                        await self._websocket.send_message(frame.decode())
                    if deadline.cancelled_caught:
                        # Half a message may have been written: nothing can follow it on this stream.
                        self.close(CLOSE_SLOW_CONSUMER)
                        await trio.aclose_forcefully(self._stream)
                        return
        except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            self._frames.clear()
        finally:
            self._writing = None
            self._written.set()

    async def receive(self) -> tuple[bytes, bool]:
        try:
            message = await self._websocket.get_message()
        except ConnectionClosed as closed:
            code = closed.reason.code if closed.reason is not None else 1006
            raise DisconnectedError(f"connection ended ({code})", violation=code in _VIOLATIONS) from None
        text = message.encode() if isinstance(message, str) else bytes(message)
        if len(text) > self.limits.ws_message_bytes:
            # trio-websocket has counted characters.
            self.close(CLOSE_TOO_BIG)
            raise DisconnectedError("message too big")
        return text, isinstance(message, bytes)

    async def carry(self, session: Session) -> None:
        with trio.CancelScope() as self.waiting:
            while self.closing is None:
                message, _ = await self.receive()
                errands: list[Errand] = []
                session.receive(message, errands)
                self._gateway.flushes.flush()
                if errands:
                    await self._gateway.router.submit(errands)
                    while session.in_flight >= self.limits.sends_in_flight:
                        self._resumed = trio.Event()
                        await self._resumed.wait()

    def forget_session(self) -> None:
        pass  # only `carry` knows it

    def resume(self) -> None:
        self._resumed.set()

    async def finish(self) -> None:
        try:
            self.flush()
            while self._writing is not None:
                await self._written.wait()
            if self.closing is not None:
                await self._websocket.aclose(self.closing.code, self.closing.reason)
        finally:
            await trio.aclose_forcefully(self._stream)


async def serve_trio_websocket(gateway: Gateway, stream: trio.abc.Stream, remote_address: str) -> None:
    """Serves a client on a connected stream; returns when the stream is closed."""
    try:
        async with trio.open_nursery() as nursery:
            await run_connection(gateway, TrioWebSocketTransport(gateway, nursery, stream, remote_address))
            nursery.cancel_scope.cancel()
    except* (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as group:
        log.info("%s: connection dropped: %r", remote_address, group.exceptions[0])
    except* Exception:
        log.exception("%s: connection dropped", remote_address)
