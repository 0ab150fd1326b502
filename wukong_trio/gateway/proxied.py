"""Connections through a proxy: the header in front of the client's bytes."""

import socket

import trio

from ..protocol.proxy import MAX_HEADER_BYTES, ProxyHeaderError, ProxyHeaderReader, TcpAddress


class ProxyHeader:
    """The header that comes first on a connection of a proxy."""

    def __init__(self, sock: socket.socket) -> None:
        """Args:
        sock: non-blocking, of a proxy that is trusted.
        """
        self._sock = sock
        self._reader = ProxyHeaderReader()

    async def read(self) -> TcpAddress | None:
        """Takes the header off the connection, and not a byte more: TLS or packets behind it stay in the kernel.

        How long this waits is up to the caller. If it was cancelled, it may be called again and goes on.

        Returns:
            The client's address and port; None if the header names none and the socket's own counts.

        Raises:
            ProxyHeaderError: there is no such header. The connection can only be closed.
        """
        while not self._reader.done:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                self._receive()
            except BlockingIOError:
                pass
            except OSError as error:
                raise ProxyHeaderError(
                    f"the connection broke within the PROXY protocol header: {error.strerror}"
                ) from None
        return self._reader.address

    def _receive(self) -> None:
        seen = self._sock.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
        if not seen:
            raise ProxyHeaderError("the connection ended within the PROXY protocol header")
        # What belongs to the header is taken at once: if it stayed, the socket would be readable all the time.
        count = self._reader.receive(seen)
        while count and (taken := self._sock.recv(count)):
            count -= len(taken)
