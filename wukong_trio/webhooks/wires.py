"""The bytes of one connection to the receiver, with TLS or without.

Trio's streams let all other tasks have a turn before a send or a receive returns, and under load a turn takes
milliseconds. These wait only when there is something to wait for, and stop the watch meanwhile.
"""

import socket
import ssl
from contextlib import suppress
from select import POLLIN, poll
from typing import Final

import trio

from .pace import Stopwatch

RECEIVE_BYTES: Final = 64 * 1024


class Wire:
    """A TCP connection.

    Cancelled in between, or after an OSError, nothing is known of what has arrived: close it.
    """

    def __init__(self, sock: socket.socket) -> None:
        """
        Args:
            sock: not blocking; closed with this.
        """
        self._sock = sock

    async def send(self, data: bytes, watch: Stopwatch) -> None:
        """Writes all of it.

        Raises:
            OSError: the connection is broken.
        """
        rest = memoryview(data)
        while True:
            with suppress(BlockingIOError):
                rest = rest[self._sock.send(rest) :]
            if not rest:
                return
            watch.stop()
            await trio.lowlevel.wait_writable(self._sock)
            watch.start()

    async def receive(self, watch: Stopwatch) -> bytes:
        """Waits for the next bytes; none: the receiver has ended the connection.

        Raises:
            OSError: the connection is broken.
        """
        while True:
            watch.stop()
            await trio.lowlevel.wait_readable(self._sock)
            watch.start()
            try:
                return self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                pass

    @property
    def is_readable(self) -> bool:
        """Something has arrived, be it the end. Between two requests that makes a connection useless."""
        readable = poll()
        readable.register(self._sock, POLLIN)
        return bool(readable.poll(0))

    def close(self) -> None:
        """Ends the connection at once."""
        self._sock.close()


class TlsWire(Wire):
    """The same with TLS. OpenSSL works between two buffers in memory."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def shake_hands(self, watch: Stopwatch) -> None:
        """Before anything else.

        Raises:
            OSError: the connection is broken, or the receiver is not who he should be.
        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._pass_on(watch)
        # Some finish by speaking.
        await super().send(self._outgoing.read(), watch)

    async def send(self, data: bytes, watch: Stopwatch) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        await super().send(self._outgoing.read(), watch)

    async def receive(self, watch: Stopwatch) -> bytes:
        """Waits for the next bytes.

        Raises:
            OSError: the connection is broken, or has ended.
        """
        while True:
            try:
                return self._tls.read(RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                await self._pass_on(watch)

    async def _pass_on(self, watch: Stopwatch) -> None:
        """Writes what OpenSSL has to say, and brings it what comes next."""
        if self._outgoing.pending:
            await super().send(self._outgoing.read(), watch)
        data = await super().receive(watch)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
