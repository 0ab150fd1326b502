"""What TLS lets a client make the server do without saying anything: new keys, over and over.

The standard library cannot ask for them, so OpenSSL is called as it is.
"""

import ctypes
import ctypes.util
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from common import write_certificate

from wukong_trio.gateway import tls_socket
from wukong_trio.gateway.tls_socket import UNSENT_BYTES, TlsSocket

NAME = ctypes.util.find_library("ssl")
pytestmark = pytest.mark.skipif(NAME is None, reason="there is no libssl to be called: keys cannot be asked for")


class Asker(threading.Thread):
    """A client that asks for new keys until the server closes the connection, and reads nothing."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(daemon=True)
        self._sock = sock

    def run(self) -> None:
        lib = ctypes.CDLL(NAME)
        for function in (lib.TLS_client_method, lib.SSL_CTX_new, lib.SSL_new):
            function.restype = ctypes.c_void_p
        context = ctypes.c_void_p(lib.SSL_CTX_new(ctypes.c_void_p(lib.TLS_client_method())))
        tls = ctypes.c_void_p(lib.SSL_new(context))
        lib.SSL_set_fd(tls, self._sock.fileno())
        if lib.SSL_connect(tls) == 1:
            lib.SSL_write(tls, b"first words", 11)
            while lib.SSL_key_update(tls, 1) == 1 and lib.SSL_do_handshake(tls) == 1:
                pass
        lib.SSL_free(tls)
        lib.SSL_CTX_free(context)


@contextmanager
def asked(directory: Path) -> Iterator[TlsSocket]:
    """The server's side of such a connection, after the handshake."""
    write_certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    ours, theirs = socket.socketpair()
    with theirs:
        asker = Asker(theirs)
        asker.start()
        ours.setblocking(False)
        tls = TlsSocket(ours, context)
        try:
            while not tls.shake_hands():
                wait(ours)
            yield tls
        finally:
            tls.close()
            theirs.shutdown(socket.SHUT_RDWR)
            asker.join(10)


def wait(sock: socket.socket) -> None:
    sock.setblocking(True)
    sock.settimeout(10)
    sock.recv(1, socket.MSG_PEEK)
    sock.setblocking(False)


def read(tls: TlsSocket) -> bytes:
    """What one readiness brings."""
    wait(tls._sock)
    try:
        return tls.recv(64 * 1024)
    except BlockingIOError:
        return b""


def test_who_asks_for_new_keys_is_read_in_small_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_socket, "UNSENT_BYTES", 2**40)
    with asked(tmp_path) as tls:
        assert read(tls) == b"first words"
        for _ in range(100):
            assert read(tls) == b""
        before = tls.received_bytes
        for _ in range(20):
            assert read(tls) == b""
        assert tls.received_bytes - before <= 20 * 4096


def test_answers_that_nobody_takes_are_bounded(tmp_path: Path) -> None:
    most = 0

    def read_on() -> None:
        nonlocal most
        while True:
            read(tls)
            most = max(most, len(tls._unsent))

    with asked(tmp_path) as tls, pytest.raises(ConnectionAbortedError):
        read_on()
    assert 0 < most <= UNSENT_BYTES
