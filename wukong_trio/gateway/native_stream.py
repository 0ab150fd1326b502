"""TLS and other streams, as the native engine serves them: the connection's task reads, another writes when needed."""

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from ..protocol.codes import CLOSE_SLOW_CONSUMER
from .gateway import Gateway
from .native import RECEIVE_BYTES, NativeTransport

if TYPE_CHECKING:
    from .session import Session

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError)


class StreamTransport(NativeTransport):
    """A connection on a Trio stream."""

    __slots__ = ("_drained", "_oldest_at", "_resumed", "_stream")

    def __init__(self, gateway: Gateway, stream: trio.abc.Stream, remote_address: str) -> None:
        super().__init__(gateway, remote_address)
        self._stream = stream
        self._drained: trio.Event | None = None
        """Set when the running drain task ends; None while there is none."""
        self._oldest_at = 0.0
        """While draining: since when the oldest frame in the outbox has been waiting, 0 if there is none."""
        self._resumed = trio.Event()

    async def _receive_some(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except _GONE:
            return b""

    async def _send_first(self, answer: bytes) -> None:
        await self._send(answer)

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except _GONE:
            self.end("connection ended")

    async def carry(self, session: "Session") -> None:
        errands = self._begin(session)
        while True:
            if errands:
                # Outside the scope: what came before the end counts, and a client may send and leave in one breath.
                await self._gateway.router.submit(errands)
                errands = []
            if self.closing is not None or self.over:
                return
            with trio.CancelScope() as self.waiting:
                while session.in_flight >= self.limits.sends_in_flight:
                    self._resumed = trio.Event()
                    await self._resumed.wait()
                self.feed(await self._receive_some(), trio.current_time(), errands)
            self._flushes.flush()

    def resume(self) -> None:
        self._resumed.set()

    def _write(self) -> None:
        if self._drained is None:
            self._drained, self._oldest_at = trio.Event(), 0.0
            self._gateway.start_soon(self._drain, self._drained)
        else:
            self._oldest_at = self._oldest_at or trio.current_time()

    async def _drain(self, drained: trio.Event) -> None:
        """Writes until nothing waits, or something has waited for too long."""
        try:
            while self._frames:
                since, self._oldest_at = self._oldest_at or trio.current_time(), 0.0
                with trio.move_on_at(since + self.limits.write_timeout_s) as patience:
                    await self._send(self._take_frames())
                if patience.cancelled_caught:
                    # Half a frame may have been written: nothing can follow it on this stream.
                    self._frames.clear()
                    self.close(CLOSE_SLOW_CONSUMER)
                    await trio.aclose_forcefully(self._stream)
        finally:
            self._drained = None
            drained.set()

    async def _half_close(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with suppress(*_GONE):
                await self._stream.send_eof()

    async def finish(self) -> None:
        try:
            self.flush()
            while self._drained is not None:
                await self._drained.wait()
            if last := self._last_frame():
                await self._send(last)
            await self._part()
        finally:
            await trio.aclose_forcefully(self._stream)
