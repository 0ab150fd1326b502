"""Moving bytes while a task waits for them: to open a connection and to close it, and all the time on streams."""

import select
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import trio

from .kernel_counts import carried_bytes
from .tls_socket import TlsSocket

RECEIVE_BYTES: Final = 64 * 1024
TLS_TURN_BYTES: Final = 4 * 1024
"""After so much, encrypted, strangers take turns."""
TLS_STRANGER_BYTES: Final = 64 * 1024
"""So much, encrypted, is read of a stranger: more than all the content he may send, in records of a usual size."""
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError)


class Pipe(ABC):
    """Bytes from and to one client. Nothing is raised when the client is gone: it just says nothing any more."""

    @abstractmethod
    async def receive(self, size: int, *, wait: bool = True) -> bytes:
        """The next bytes, none at the end.

        Args:
            size: how many at most.
            wait: False if something is probably there already.
        """

    def receive_nowait(self, size: int) -> bytes | None:
        """What is there already; None: nothing, as far as that can be told without waiting."""
        return None

    @abstractmethod
    async def send_all(self, data: bytes | memoryview) -> None:
        """Writes all of it, unless the client is gone."""

    @abstractmethod
    async def half_close(self) -> None:
        """Says that nothing more will be written."""

    async def read_out(self) -> None:
        """Lets what was written last arrive: closing a socket with unread data would destroy it."""
        await self.half_close()
        while await self.receive(RECEIVE_BYTES):
            pass

    @abstractmethod
    async def aclose(self) -> None:
        """Closes at once."""

    @abstractmethod
    def has_unread(self) -> bool:
        """Whether something has arrived that was not received yet, as far as that can be told."""


class ByteSocket(Protocol):
    """A non-blocking socket, plain or TLS. Raises BlockingIOError, and another OSError when the client is gone."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...


class SocketPipe(Pipe):
    """A non-blocking socket. Holds nothing but the socket, so it may be made anew whenever a task is to wait."""

    def __init__(self, sock: ByteSocket) -> None:
        self._sock = sock

    async def receive(self, size: int, *, wait: bool = True) -> bytes:
        while True:
            if wait:
                await trio.lowlevel.wait_readable(self._sock.fileno())
            wait = True
            try:
                return self._sock.recv(size)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def receive_nowait(self, size: int) -> bytes | None:
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    async def send_all(self, data: bytes | memoryview) -> None:
        unsent = memoryview(data)
        while unsent:
            try:
                unsent = unsent[self._sock.send(unsent) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock.fileno())
            except OSError:
                return

    async def half_close(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        trio.lowlevel.notify_closing(self._sock.fileno())
        self._sock.close()

    def has_unread(self) -> bool:
        return is_readable(self._sock.fileno())


class TlsPipe(SocketPipe):
    """The same with TLS."""

    def __init__(
        self, sock: TlsSocket, turn: Callable[[], Awaitable[None]] | None = None, *, limit_bytes: float = float("inf")
    ) -> None:
        """Args:
        turn: awaited before anything that is work, for clients that nobody knows.
        limit_bytes: how much is received, encrypted; beyond that the client is as good as gone.
        """
        super().__init__(sock)
        self._tls = sock
        self._turn = turn
        self._limit_bytes = limit_bytes

    async def receive(self, size: int, *, wait: bool = True) -> bytes:
        # The end may have come together with the last bytes, the first bytes with the end of the handshake: neither is
        # announced again.
        while not self._tls.ended:
            if wait and not self._tls.unread:
                await trio.lowlevel.wait_readable(self._tls.fileno())
            wait = True
            if self._turn is not None and self._tls.received_bytes > TLS_TURN_BYTES:
                await self._turn()
                if self._tls.received_bytes > self._limit_bytes:
                    break
            try:
                return self._tls.recv(size)
            except BlockingIOError:
                continue
            except OSError:
                break
        return b""

    def has_unread(self) -> bool:
        return self._tls.unread or super().has_unread()

    async def shake_hands(self) -> None:
        """The TLS handshake. If it was cancelled, it may be called again and goes on.

        Raises:
            OSError: it failed, or the client is gone.
        """
        if self._turn is not None:
            await trio.lowlevel.wait_readable(self._tls.fileno())
            await self._turn()
        while not self._tls.shake_hands():
            if self._tls.unsent:
                await trio.lowlevel.wait_writable(self._tls.fileno())
            else:
                await trio.lowlevel.wait_readable(self._tls.fileno())

    async def send_all(self, data: bytes | memoryview) -> None:
        await super().send_all(data)
        with suppress(OSError):
            while self._tls.unsent:
                await trio.lowlevel.wait_writable(self._tls.fileno())
                self._tls.send_rest()


class StreamPipe(Pipe):
    """A Trio stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive(self, size: int, *, wait: bool = True) -> bytes:
        try:
            return bytes(await self._stream.receive_some(size))
        except _GONE:
            return b""

    async def send_all(self, data: bytes | memoryview) -> None:
        with suppress(*_GONE):
            await self._stream.send_all(data)

    async def half_close(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with suppress(*_GONE):
                await self._stream.send_eof()

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    def carried_bytes(self) -> tuple[int, int]:
        """What the kernel has counted for the socket below the stream, if there is one."""
        sock = socket_of(self._stream)
        return (0, 0) if sock is None else carried_bytes(sock)

    def has_unread(self) -> bool:
        return stream_has_unread(self._stream)


def is_readable(fd: int) -> bool:
    """Whether the kernel has something for a descriptor, an end included."""
    if fd < 0:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def socket_of(stream: trio.abc.Stream) -> trio.socket.SocketType | None:
    """The socket below a stream, if there is one."""
    inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return inner.socket if isinstance(inner, trio.SocketStream) else None


def stream_has_unread(stream: trio.abc.Stream) -> bool:
    """Whether something has arrived at the socket below a stream."""
    sock = socket_of(stream)
    return sock is not None and is_readable(sock.fileno())
