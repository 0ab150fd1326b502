"""TLS on a non-blocking socket, in the shape of a plain one: `recv` and `send` that never wait.

OpenSSL works between two buffers in memory, so a read of the socket brings all records that have arrived, and a write
takes all that are to go, with one system call each. OpenSSL itself would make two for every record.

Reading may have something to write: session tickets, answers to key updates, alerts. What the socket did not take is
kept and goes before anything else.

A record without content costs far more than its bytes: a request for new keys takes as long as decrypting 20 KB. So
who is slow to decrypt is read in smaller pieces.
"""

import socket
import ssl
from contextlib import suppress
from time import perf_counter
from typing import Final

_PIECE_BYTES: Final = 16 * 1024
"""As much as a record holds. The buffers of OpenSSL never shrink, so they get no more than this at a time."""
_ENCRYPT_BYTES: Final = 4 * _PIECE_BYTES
"""Taken from the caller at once."""
_FEWEST_BYTES: Final = 1024
_MOST_BYTES: Final = 64 * 1024
"""Received at once: between these, so much that decrypting it takes no longer than SLOW_S."""
_SLOW_S: Final = 0.001
UNSENT_BYTES: Final = 256 * 1024
"""Who makes OpenSSL answer, and takes no answers, may let so much pile up."""


class TlsSocket:
    """A server's side of one connection. Errors are those of a socket: BlockingIOError, or another OSError at the end.

    `ssl.SSLError` is an OSError, so broken TLS looks like a broken connection.
    """

    __slots__ = ("_incoming", "_most_bytes", "_outgoing", "_sock", "_tls", "_unsent", "ended", "received_bytes")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Args:
        sock: non-blocking; closed with this.
        """
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent: bytes | memoryview = b""
        self._most_bytes = _MOST_BYTES
        """How much to receive at once."""
        self.received_bytes = 0
        """Since the handshake, encrypted."""
        self.ended = False
        """The client has said that nothing more comes, or has cut the connection."""

    def getsockopt(self, level: int, name: int, size: int, /) -> bytes:
        """Of the socket below."""
        return self._sock.getsockopt(level, name, size)

    def fileno(self) -> int:
        """The descriptor, -1 once it is closed."""
        return self._sock.fileno()

    @property
    def unsent(self) -> bool:
        """Something is encrypted and was not taken by the socket yet: `send_rest` goes on with it."""
        return bool(self._unsent)

    @property
    def unread(self) -> bool:
        """Something was taken from the socket that nobody has received yet: perhaps it came behind the handshake."""
        return self._incoming.pending > 0

    def shake_hands(self) -> bool:
        """Goes on with the handshake as far as possible; whether it is done.

        Raises:
            OSError: it has failed, or the client is gone.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.send_rest()
                try:
                    self._fill()
                except BlockingIOError:
                    return False
            except ssl.SSLError:
                # The alert says why; whether it arrives is another question.
                with suppress(OSError):
                    self.send_rest()
                raise
            else:
                self.send_rest()
                return True

    def _fill(self) -> None:
        """Takes what has arrived from the socket."""
        data = self._sock.recv(_PIECE_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def recv(self, size: int) -> bytes:
        """What has arrived, decrypted; empty at the end.

        Args:
            size: about how much at most.

        Raises:
            BlockingIOError: nothing has.
            OSError: the connection is broken.
        """
        parts: list[bytes] = []
        if self._incoming.pending:
            # Perhaps it came right behind the handshake.
            self._decrypt(parts)
        try:
            received = self._sock.recv(min(size, self._most_bytes))
        except BlockingIOError:
            if not parts:
                raise
            return b"".join(parts)
        self.received_bytes += len(received)
        start = perf_counter()
        try:
            self._take(received, parts)
        except ssl.SSLError:
            if not parts:
                raise
            # What came before counts; what is wrong is the end.
            self.ended = True
        finally:
            # An answer to what was read, or the alert that says what was wrong with it.
            with suppress(OSError):
                self.send_rest()
        if perf_counter() - start > _SLOW_S:
            self._most_bytes = max(self._most_bytes // 2, _FEWEST_BYTES)
        elif self._most_bytes < _MOST_BYTES:
            self._most_bytes *= 2
        if len(self._unsent) > UNSENT_BYTES:
            raise ConnectionAbortedError("the client does not take what TLS has to say to it")
        if parts or self.ended:
            return b"".join(parts)
        raise BlockingIOError

    def _take(self, received: bytes, parts: list[bytes]) -> None:
        for start in range(0, len(received), _PIECE_BYTES):
            self._incoming.write(received[start : start + _PIECE_BYTES])
            self._decrypt(parts)
        if not received:
            self._incoming.write_eof()
            self._decrypt(parts)

    def _decrypt(self, parts: list[bytes]) -> None:
        try:
            while part := self._tls.read(_PIECE_BYTES):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Also if the connection was cut off without a word: WebSocket has an end of its own.
            self.ended = True

    def send(self, data: bytes | memoryview) -> int:
        """Takes as much as it can; returns how much. What it has taken, the socket may take later.

        Raises:
            BlockingIOError: nothing can be taken now.
            OSError: the connection is broken.
        """
        self.send_rest()
        if self._unsent:
            raise BlockingIOError
        if len(data) <= _PIECE_BYTES:
            self._tls.write(data)
            self.send_rest()
            return len(data)
        view = memoryview(data)[:_ENCRYPT_BYTES]
        encrypted = bytearray()
        for start in range(0, len(view), _PIECE_BYTES):
            self._tls.write(view[start : start + _PIECE_BYTES])
            encrypted += self._outgoing.read()
        self._unsent = bytes(encrypted)
        self.send_rest()
        return len(view)

    def send_rest(self) -> None:
        """Writes what is encrypted, as far as the socket takes it.

        Raises:
            OSError: the connection is broken.
        """
        if self._outgoing.pending:
            fresh = self._outgoing.read()
            self._unsent = b"".join([self._unsent, fresh]) if self._unsent else fresh
        if self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except BlockingIOError:
                return
            self._unsent = memoryview(self._unsent)[sent:] if sent < len(self._unsent) else b""

    def shutdown(self, _how: int = 0) -> None:
        """Says that nothing more will be sent.

        Raises:
            OSError: the connection is broken.
        """
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self.send_rest()
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes the socket, after a last word if there is room for it."""
        if not self.ended:
            with suppress(OSError, ValueError):
                self._tls.unwrap()
            with suppress(OSError):
                self.send_rest()
        self._sock.close()
