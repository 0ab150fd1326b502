"""Connections through a proxy: the header in front of the client's bytes."""

import socket

import trio

from ..protocol.proxy import MAX_HEADER_BYTES, ProxyHeaderError, ProxyHeaderReader, TcpAddress


async def read_proxy_header(sock: socket.socket) -> TcpAddress | None:
    """Takes a PROXY protocol header off a connection, and not a byte more: TLS or packets behind it stay in the kernel.

    Args:
        sock: non-blocking, of a proxy that is trusted. How long this waits is up to the caller.

    Returns:
        The client's address and port; None if the header names none and the socket's own counts.

    Raises:
        ProxyHeaderError: there is no such header. The connection can only be closed.
    """
    reader = ProxyHeaderReader()
    while not reader.done:
        await trio.lowlevel.wait_readable(sock)
        try:
            _receive(sock, reader)
        except BlockingIOError:
            pass
        except OSError as error:
            raise ProxyHeaderError(f"the connection broke within the PROXY protocol header: {error.strerror}") from None
    return reader.address


def _receive(sock: socket.socket, reader: ProxyHeaderReader) -> None:
    seen = sock.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
    if not seen:
        raise ProxyHeaderError("the connection ended within the PROXY protocol header")
    # What belongs to the header is taken at once: if it stayed, the socket would be readable all the time.
    count = reader.receive(seen)
    while count and (taken := sock.recv(count)):
        count -= len(taken)
