"""The native WebSocket engine: our own frames on raw sockets.

While a client authenticates, its connection's task reads. After that the task is parked, and the socket sits in the set
of the shared reader (`reader.py`), which serves all ready sockets in one turn without waking anybody.
"""

import socket
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from logging import getLogger
from typing import TYPE_CHECKING, Final

import trio

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_SLOW_CONSUMER, Close
from ..protocol.websocket import Arrival, Failure, FrameReader, Opcode, encode_close, encode_frame, frame_head
from .connection import run_connection
from .gateway import Gateway
from .handshake import HandshakeReader, RefusedUpgrade, Upgrade
from .transport import DisconnectedError, Transport

if TYPE_CHECKING:
    from .reader import SharedReader
    from .session import Session

log = getLogger(__name__)

RECEIVE_BYTES: Final = 64 * 1024
_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY


class _Control(bytes):
    """A whole control frame in the outbox, among the JSON texts that still need a head."""


class NativeTransport(Transport):
    """What both kinds of native connections share: frames in, frames out."""

    __slots__ = ("_early", "_gateway", "_reader", "_session", "over")

    def __init__(self, gateway: Gateway, upgrade: Upgrade, remote_address: str) -> None:
        limits = gateway.config.limits
        super().__init__(limits, gateway.flushes, remote_address=remote_address, now=trio.current_time())
        self._gateway = gateway
        self._reader = FrameReader(limit_bytes=limits.ws_message_bytes)
        self._early: Sequence[Arrival | Failure] = self._reader.receive(upgrade.rest)
        """What arrived before there was a session to take it."""
        self._session: Session | None = None
        self.over = ""
        """Why nothing more will come from the client; empty while something may."""

    async def receive(self) -> tuple[bytes, bool]:
        while True:
            while self._early:
                arrival, *self._early = self._early
                if not isinstance(arrival, Failure) and arrival[0] in (Opcode.TEXT, Opcode.BINARY):
                    return arrival[1], arrival[0] is Opcode.BINARY
                self._serve_other(arrival)
            self._flushes.flush()
            if self.over or self.closing is not None:
                raise DisconnectedError(self.over)
            data = await self._receive_some()
            self.last_inbound = trio.current_time()
            self._early = self._reader.receive(data)
            self.last_inbound = trio.current_time()
            if not data:
                self.over = "connection ended"

    @abstractmethod
    async def _receive_some(self) -> bytes:
        """The next chunk, empty at the end."""

    def feed(self, data: bytes, now: float, errands: list[Errand]) -> None:
        """Serves a chunk that was received; `errands` takes what has to go through the router."""
        if not data:
            self.end("connection ended")
            return
        self.last_inbound = now
        self._serve(self._reader.receive(data), errands)

    def _serve(self, arrivals: Sequence[Arrival | Failure], errands: list[Errand]) -> None:
        session = self._session
        assert session is not None
        for arrival in arrivals:
            if not isinstance(arrival, Failure) and (arrival[0] is _TEXT or arrival[0] is _BINARY):
                session.receive(arrival[1], errands)
            else:
                self._serve_other(arrival)

    def _serve_other(self, arrival: Arrival | Failure) -> None:
        """A control frame, or the end of the protocol."""
        if isinstance(arrival, Failure):
            self.close(arrival.close)
        elif arrival[0] is Opcode.PING:
            self.offer(_Control(encode_frame(Opcode.PONG, arrival[1])))
        elif arrival[0] is Opcode.CLOSE:
            self.end("closed by the client")

    def end(self, why: str) -> None:
        """Nothing more comes from the client."""
        if not self.over:
            self.over = why
            self._wake()

    def _take_frames(self) -> bytes:
        """All waiting frames, as the bytes to write."""
        parts: list[bytes] = []
        for frame in self._frames:
            if type(frame) is not _Control:
                parts.append(frame_head(_TEXT, len(frame)))
            parts.append(frame)
        self._frames.clear()
        self._frames_bytes = 0
        return b"".join(parts)

    def _last_frame(self) -> bytes:
        """The close frame: ours, or the echo of the client's."""
        close = self.closing
        if close is None:
            close = Close(1000, "") if self.over == "closed by the client" else None
        return encode_close(close) if close is not None else b""

    async def _wait_for_end(self) -> None:
        """Reads and ignores what the client still sends."""
        while await self._receive_some():
            pass

    async def _wait_for_echo(self) -> None:
        """The client's part of the closing handshake."""
        while not self.over:
            data = await self._receive_some()
            if not data:
                return
            for arrival in self._reader.receive(data):
                if arrival[0] is Opcode.CLOSE:
                    return


class SocketTransport(NativeTransport):
    """A plain socket, served by the shared reader."""

    __slots__ = ("_drained", "_owner", "_shared", "_unsent", "paused", "sock")

    def __init__(
        self, gateway: Gateway, shared: "SharedReader", sock: socket.socket, upgrade: Upgrade, remote_address: str
    ) -> None:
        super().__init__(gateway, upgrade, remote_address)
        self._shared = shared
        self.sock = sock
        self.paused = False
        """The session has too many sends under way: the socket is out of the set."""
        self._owner: trio.lowlevel.Task | None = None
        self._unsent: memoryview | None = None
        """What the socket did not take; while there is some, a task is draining."""
        self._drained: trio.Event | None = None

    async def _receive_some(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                return self.sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    async def carry(self, session: "Session") -> None:
        self._session = session
        self.waiting = None
        early, self._early = self._early, ()
        errands: list[Errand] = []
        self._serve(early, errands)
        self._flushes.flush()
        if errands:
            await self._gateway.router.submit(errands)
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

    def read(self, now: float, errands: list[Errand]) -> None:
        """Called by the shared reader when there is something to read."""
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.feed(data, now, errands)
        if self._session is not None and self._session.in_flight >= self.limits.sends_in_flight and not self.paused:
            self.paused = True
            self._shared.pause(self)

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self._shared.resume(self)

    def _write(self) -> None:
        if self._unsent is not None:
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
        """Writes on when the socket takes more; ends when nothing waits, or nothing moves for too long."""
        assert self._drained is not None
        try:
            while self._unsent is not None:
                with trio.move_on_after(self.limits.write_timeout_s) as stalled:
                    await trio.lowlevel.wait_writable(self.sock)
                if stalled.cancelled_caught:
                    self._frames.clear()
                    self.close(CLOSE_SLOW_CONSUMER)
                    return
                sent = self._send(self._unsent)
                self._frames_bytes -= sent
                self._unsent = self._unsent[sent:] if sent < len(self._unsent) else None
                if self._unsent is None and self._frames:
                    data = self._take_frames()
                    self._unsent, self._frames_bytes = memoryview(data), len(data)
        except trio.ClosedResourceError:
            pass
        finally:
            self._drained.set()

    async def finish(self) -> None:
        try:
            self.flush()
            if self._drained is not None:
                await self._drained.wait()
            last = self._last_frame()
            if last and self._unsent is None:
                self._send(last)
                if self._reader.failed:
                    # RFC 6455, 7.1.7: the connection is failed at once. Reading on lets the close frame arrive, which
                    # closing with unread data would destroy.
                    with suppress(OSError):
                        self.sock.shutdown(socket.SHUT_WR)
                    await self._wait_for_end()
                elif self.closing is not None:
                    await self._wait_for_echo()
        finally:
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()


async def serve_socket(gateway: Gateway, shared: "SharedReader", sock: socket.socket, address: str) -> None:
    """Serves a client on a plain socket until the socket is closed. Whatever goes wrong ends here, in one log line."""
    try:
        upgrade = None
        with trio.move_on_after(gateway.config.limits.handshake_timeout_s):
            upgrade = await _shake_hands(sock)
        if isinstance(upgrade, Upgrade):
            transport, target = SocketTransport(gateway, shared, sock, upgrade, address), upgrade.target
            # This frame stays for as long as the connection does: nothing that is not needed may hang on it.
            del upgrade
            await run_connection(gateway, transport, target)
        else:
            why = upgrade.reason if upgrade is not None else "not in time"
            log.info("%s: closed, no WebSocket handshake: %s", address, why)
    except Exception:
        log.exception("%s: connection dropped", address)
    finally:
        sock.close()


async def _shake_hands(sock: socket.socket) -> Upgrade | RefusedUpgrade:
    """Reads the request and answers it."""
    reader = HandshakeReader()
    outcome = None
    while outcome is None:
        await trio.lowlevel.wait_readable(sock)
        try:
            data = sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if not data:
            return RefusedUpgrade(b"", "connection ended")
        outcome = reader.receive(data)
    # The answer is small and the first thing on this socket, so it always fits.
    with suppress(OSError):
        sock.send(outcome.answer)
    return outcome
