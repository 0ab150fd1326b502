"""Bytes of a connection, as the kernel counts them."""

import socket
import sys

import pytest

from wukong_trio.gateway import kernel_counts
from wukong_trio.gateway.kernel_counts import carried_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts")
def test_bytes_that_came_and_went() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            assert carried_bytes(server) == (0, 0)
            client.sendall(b"x" * 1000)
            assert server.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
            server.sendall(b"y" * 300)
            assert client.recv(300, socket.MSG_WAITALL) == b"y" * 300
            assert carried_bytes(server) == (1000, 300)
        assert carried_bytes(server) == (0, 0), "closed"


def test_what_is_no_tcp_socket_has_none() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert carried_bytes(other) == (0, 0)


def test_a_system_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    class Short:
        def getsockopt(self, level: int, name: int, size: int, /) -> bytes:
            return bytes(size - 1)

    assert carried_bytes(Short()) == (0, 0)
    monkeypatch.setattr(kernel_counts, "_INFO", None)
    with socket.socket() as unconnected:
        assert carried_bytes(unconnected) == (0, 0)
