"""TLS below a connection, in the shape of a plain non-blocking socket."""

import select
import socket
import ssl
from contextlib import suppress
from typing import Any

_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsSocket(ssl.SSLSocket):
    """A client's side of TLS that says what a plain socket says: BlockingIOError if it has to wait.

    OpenSSL reads one record at a time, and whoever reads has room for a whole one. So nothing stays behind that epoll
    does not tell of. What could not be written is to be offered again, with or without more behind it.
    """

    def shake_hands(self) -> int:
        """Goes on with the handshake; returns the events of epoll to wait for, none when it is done.

        Raises:
            OSError: it has failed.
        """
        try:
            self.do_handshake()
        except ssl.SSLWantReadError:
            return select.EPOLLIN
        except ssl.SSLWantWriteError:
            return select.EPOLLOUT
        return 0

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """As that of a plain socket."""
        try:
            return super().recv_into(buffer, nbytes, flags)
        except _WAITS:
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return 0

    def send(self, data: Any, flags: int = 0) -> int:
        """As that of a plain socket."""
        try:
            return super().send(data, flags)
        except _WAITS:
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """As that of a plain socket, after saying so in TLS. Reading is still possible, other than after Python's."""
        with suppress(OSError, ValueError):
            self.unwrap()
        socket.socket.shutdown(self, how)


def client_context() -> ssl.SSLContext:
    """For clients that look at no certificate: this is for load, and a server under test has any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslsocket_class = TlsSocket
    return context


def secure(sock: socket.socket, context: ssl.SSLContext) -> TlsSocket:
    """Puts TLS on a connected socket, which is used up.

    Raises:
        OSError: it is not connected any more.
    """
    secured = context.wrap_socket(sock, do_handshake_on_connect=False)
    assert isinstance(secured, TlsSocket)
    return secured
