"""Plain sockets, as the native engine serves them."""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_SLOW_CONSUMER
from .gateway import Gateway
from .native import RECEIVE_BYTES, ControlFrame, NativeTransport
from .transport import DisconnectedError

if TYPE_CHECKING:
    from .reader import SharedReader
    from .session import Session


class SocketTransport(NativeTransport):
    """A connection whose socket the shared reader serves once the client has authenticated."""

    __slots__ = ("_drained", "_oldest_at", "_owner", "_shared", "_unsent", "_waited", "paused", "sock")

    def __init__(self, gateway: Gateway, shared: "SharedReader", sock: socket.socket, remote_address: str) -> None:
        super().__init__(gateway, remote_address)
        self._shared = shared
        self.sock = sock
        self.paused = False
        """The session has too many sends under way: the socket is not read."""
        self._waited = False
        """The next read need not wait."""
        self._owner: trio.lowlevel.Task | None = None
        self._unsent: memoryview | None = None
        """What the socket did not take; while there is some, a task is draining."""
        self._oldest_at = 0.0
        """While draining: since when the oldest frame in the outbox has been waiting, 0 if there is none."""
        self._drained: trio.Event | None = None

    async def open(self) -> str:
        # A client sends its head right after connecting: very often it is there before this task first runs.
        self._waited = True
        return await super().open()

    async def _receive_some(self) -> bytes:
        while True:
            if not self._waited:
                await trio.lowlevel.wait_readable(self.sock)
            self._waited = False
            try:
                return self.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    async def _send_first(self, answer: bytes) -> None:
        # It is small and the first thing on this socket, so it always fits.
        with suppress(OSError):
            self.sock.send(answer)

    async def carry(self, session: "Session") -> None:
        # This frame stays for as long as the connection does: nothing that is not needed may hang on it.
        self.waiting = None
        if errands := self._begin(session):
            await self._gateway.router.submit(errands)
        del errands
        self._shared.add(self)
        try:
            if self.closing is None and not self.over:
                self._owner = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort_parking)
        finally:
            self._shared.remove(self)
        if self.closing is None:
            raise DisconnectedError(self.over)

    def _abort_parking(self, _: object) -> trio.lowlevel.Abort:
        self._owner = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            trio.lowlevel.reschedule(owner)
        else:
            super()._wake()

    def read(self, now: float, errands: list[Errand]) -> int:
        """Called by the shared reader when there is something to read; returns how many bytes it was."""
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        self.feed(data, now, errands)
        if self._session is not None and self._session.in_flight >= self.limits.sends_in_flight and not self.paused:
            self.paused = True
            self._shared.pause(self)
        return len(data)

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self._shared.resume(self)

    def _write(self) -> None:
        if self._unsent is not None:
            self._oldest_at = self._oldest_at or trio.current_time()
            return
        data = self._take_frames()
        sent = self._send(data)
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._frames_bytes = len(self._unsent)
            self._drained = trio.Event()
            self._gateway.start_soon(self._drain)

    def _send(self, data: bytes | memoryview) -> int:
        """Writes as much as the socket takes."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.end("connection ended")
            return len(data)

    async def _drain(self) -> None:
        """Writes on when the socket takes more; ends when nothing waits, or something has waited for too long."""
        assert self._drained is not None
        limit_s = self.limits.write_timeout_s
        try:
            with trio.move_on_after(limit_s) as patience:
                while self._unsent is not None:
                    await trio.lowlevel.wait_writable(self.sock)
                    sent = self._send(self._unsent)
                    self._frames_bytes -= sent
                    self._unsent = self._unsent[sent:] if sent < len(self._unsent) else None
                    if self._unsent is None and self._frames:
                        data = self._take_frames()
                        self._unsent, self._frames_bytes = memoryview(data), len(data)
                        patience.deadline = (self._oldest_at or trio.current_time()) + limit_s
                        self._oldest_at = 0.0
            if patience.cancelled_caught:
                self._frames.clear()
                self.close(CLOSE_SLOW_CONSUMER)
        except trio.ClosedResourceError:
            pass
        finally:
            self._drained.set()

    async def _half_close(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def finish(self) -> None:
        try:
            if last := self._last_frame():
                # Behind what waits: the socket may be too full to take it at once.
                self._frames.append(ControlFrame(last))
            self.flush()
            if self._drained is not None:
                await self._drained.wait()
            if self._unsent is None:
                await self._part()
        finally:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()
