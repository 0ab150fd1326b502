"""Sockets, as the native engine serves them once their clients have authenticated.

open (native.py)   the connection's task reads
parked             the task sleeps; the shared reader calls `read` and `write_more`
finish (native.py) the task is awake again, and the reader knows nothing of the socket any more
"""

import select
from contextlib import suppress
from time import perf_counter
from typing import Final

import trio

from ..delivery.submission import Errand
from .gateway import Gateway
from .kernel_counts import carried_bytes
from .native import GONE, NativeTransport
from .pipes import TLS_STRANGER_BYTES, ByteSocket, SocketPipe, TlsPipe
from .reader import SharedReader
from .tls_socket import TlsSocket
from .transport import DisconnectedError, Served

COST_PER_S: Final = 20_000_000
"""What serving costs, in bytes, by the time that it takes."""
_READ: Final = select.EPOLLIN if hasattr(select, "EPOLLIN") else 0
_WRITE: Final = select.EPOLLOUT if hasattr(select, "EPOLLOUT") else 0


class SocketTransport(NativeTransport):
    """A connection whose socket the shared reader serves."""

    __slots__ = ("_paused", "_shared", "_sleeper", "sock")

    def __init__(
        self, gateway: Gateway, shared: SharedReader, sock: ByteSocket, remote_address: str, *, bare: bool = False
    ) -> None:
        super().__init__(gateway, remote_address, bare=bare)
        self._shared = shared
        self.sock = sock
        self._paused = False
        """The session has too many sends under way: the socket is not read."""
        self._sleeper: trio.lowlevel.Task | None = None
        """The connection's task while it is parked."""

    @property
    def _pipe(self) -> SocketPipe:
        return SocketPipe(self.sock)

    def carried_bytes(self) -> tuple[int, int]:
        return carried_bytes(self.sock)

    # Parking

    async def carry(self, session: Served) -> None:
        # This frame stays for as long as the connection does: nothing that is not needed may hang on it.
        self._waiting = None
        if errands := self._begin(session):
            await self._gateway.router.submit(errands)
        del errands
        self._shared.add(self)
        try:
            if self.closing is None and not self.over:
                self._sleeper = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort_parking)
        finally:
            self._shared.remove(self)
        if self.closing is None:
            raise DisconnectedError(self.over)

    def _abort_parking(self, _: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            trio.lowlevel.reschedule(sleeper)
        else:
            super()._wake()

    @property
    def interest(self) -> int:
        """What the shared reader has to wait for, as epoll's bits."""
        # What is left of what was received is served when the socket takes something. So it is, at once, unless the
        # client does not take its answers.
        wanted = 0 if self._paused else _WRITE if self.unserved else _READ
        return wanted | (0 if self._stuck_since is None else _WRITE)

    # Reading

    def read(self, now: float, errands: list[Errand]) -> int:
        """Called by the shared reader when there is something to serve; returns what it cost, in bytes."""
        session = self._session
        if session is None:
            return 0
        was_unserved, start = session.unserved, perf_counter()
        cost = self.go_on(errands) if was_unserved else self._receive(now, errands)
        # Bytes say little: to decrypt them is work, and so are TLS records without content.
        cost = max(cost, int((perf_counter() - start) * COST_PER_S))
        if session.in_flight >= self.limits.sends_in_flight and not self._paused:
            self._paused = True
            self._shared.update(self)
        elif session.unserved is not was_unserved:
            self._shared.update(self)
        return cost

    def _receive(self, now: float, errands: list[Errand]) -> int:
        try:
            data = self.sock.recv(self._chunk_bytes)
        except BlockingIOError:
            return 0
        except OSError:
            self.end(GONE)
            return 0
        return self.feed(data, now, errands)

    def _end_of_stream(self) -> None:
        session = self._session
        if self.bare and session is not None and session.part_at_end():
            # The client has said all it had to say, and waits for the answers.
            self._paused = True
            self._shared.update(self)
        else:
            super()._end_of_stream()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._shared.update(self)

    # Writing

    @property
    def _stuck_since(self) -> float | None:
        """Since when the socket refuses something; None if it has taken everything."""
        return self._outbox.since

    def flush(self) -> None:
        self._touched = False
        if self.closing is not None or self.over:
            return  # `finish` writes, perhaps in this moment: two writers would mix their bytes
        outbox = self._outbox
        if not outbox.blocked:
            outbox.write(self._send, trio.current_time)
            if outbox.blocked:
                self._wait_for_room()
            return
        now = trio.current_time()
        outbox.hold(now)
        if self._is_behind(now):
            # It may have room again, and only nobody has asked yet.
            self.write_more()
            if how := self._is_behind(now):
                self._cut_off(how)

    def _wait_for_room(self) -> None:
        self._shared.update(self)
        super()._wait_for_room()

    def write_more(self) -> None:
        """Called by the shared reader when the socket takes more."""
        was_blocked = self._outbox.blocked
        self._outbox.write(self._send, trio.current_time)
        if was_blocked:
            self._note_pile()
            if not self._outbox.blocked:
                self._shared.update(self)

    def _send(self, data: bytes | memoryview) -> int:
        """Writes as much as the socket takes."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.end(GONE)
            return len(data)

    def check_writing(self, now: float) -> float | None:
        if self._is_late(now):
            self.write_more()
            if self._is_late(now):
                self._cut_off()
                return None
        since = self._stuck_since
        return None if since is None else since + self.limits.write_timeout_s

    def _is_late(self, now: float) -> bool:
        since = self._stuck_since
        return since is not None and now >= since + self.limits.write_timeout_s


class TlsTransport(SocketTransport):
    """The same with TLS, which may hold a little that is encrypted and that the socket refuses."""

    __slots__ = ("_rest_since", "_tls")

    def __init__(
        self, gateway: Gateway, shared: SharedReader, sock: TlsSocket, remote_address: str, *, bare: bool = False
    ) -> None:
        super().__init__(gateway, shared, sock, remote_address, bare=bare)
        self._tls = sock
        self._rest_since: float | None = None

    @property
    def _pipe(self) -> TlsPipe:
        if self._session is not None:
            return TlsPipe(self._tls)
        if self.closing is not None:
            # Whatever a client still sends may come, so that it gets to read what it was told last.
            return TlsPipe(self._tls, self._gateway.newcomers.turn)
        return TlsPipe(self._tls, self._gateway.newcomers.turn, limit_bytes=TLS_STRANGER_BYTES)

    async def open(self) -> str:
        try:
            await self._pipe.shake_hands()
        except OSError as error:
            raise DisconnectedError(f"no TLS: {error}") from None
        return await super().open()

    def read(self, now: float, errands: list[Errand]) -> int:
        cost = super().read(now, errands)
        if self._tls.ended and not self.unserved:
            self._end_of_stream()
        self._note_rest()
        return cost

    @property
    def _stuck_since(self) -> float | None:
        return self._rest_since if self._outbox.since is None else self._outbox.since

    def flush(self) -> None:
        super().flush()
        self._note_rest()

    def write_more(self) -> None:
        with suppress(OSError):
            self._tls.send_rest()
        super().write_more()
        self._note_rest()

    def _note_rest(self) -> None:
        if not self._tls.unsent:
            if self._rest_since is not None:
                self._rest_since = None
                self._shared.update(self)
        elif self._rest_since is None:
            self._rest_since = trio.current_time()
            self._wait_for_room()
