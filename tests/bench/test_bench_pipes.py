"""TLS that behaves like a plain non-blocking socket, and what a plan's protocol and URL come to."""

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from speeches import a_plan

from wukong_trio.bench.dialect import Dialect
from wukong_trio.bench.pipes import TlsSocket, client_context, secure
from wukong_trio.bench.plan import Target

NOTHING_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


@pytest.fixture(scope="module")
def server_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    pem: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


@pytest.fixture
def ends(server_context: ssl.SSLContext) -> Iterator[tuple[TlsSocket, ssl.SSLSocket]]:
    """A client and its server, before the handshake."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    server = server_context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    with secure(ours, client_context()) as client, server:
        yield client, server


def shake_hands(client: TlsSocket, server: ssl.SSLSocket) -> None:
    while client.shake_hands():
        with suppress(*NOTHING_YET):
            server.do_handshake()
    server.do_handshake()


def read(client: TlsSocket) -> bytes:
    buffer = bytearray(100_000)
    return bytes(buffer[: client.recv_into(memoryview(buffer))])


def test_a_handshake_says_what_it_waits_for(ends: tuple[TlsSocket, ssl.SSLSocket]) -> None:
    client, server = ends
    assert client.shake_hands() == select.EPOLLIN
    shake_hands(client, server)
    assert client.shake_hands() == 0


def test_a_handshake_may_have_to_wait_for_room() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while ours.send(bytes(100_000)):
            pass
    with theirs, secure(ours, client_context()) as client:
        assert client.shake_hands() == select.EPOLLOUT


def test_what_is_not_there_yet_is_waited_for(ends: tuple[TlsSocket, ssl.SSLSocket]) -> None:
    client, server = ends
    shake_hands(client, server)
    with pytest.raises(BlockingIOError):
        read(client)
    server.send(b"hello")
    assert read(client) == b"hello"


def test_what_has_no_room_is_offered_again_with_more_behind_it(ends: tuple[TlsSocket, ssl.SSLSocket]) -> None:
    client, server = ends
    shake_hands(client, server)
    sent, piece = 0, b"x" * 50_000
    with suppress(BlockingIOError):
        while True:
            sent += client.send(piece)
    rest, got, wanted = piece + b"y", 0, sent + len(piece) + 1
    while got < wanted:
        with suppress(*NOTHING_YET):
            got += len(server.recv(100_000))
        with suppress(BlockingIOError):
            rest = rest[client.send(rest) :] if rest else rest
    assert got == wanted


def test_who_has_said_goodbye_still_reads_until_the_end(ends: tuple[TlsSocket, ssl.SSLSocket]) -> None:
    client, server = ends
    shake_hands(client, server)
    client.shutdown(socket.SHUT_WR)
    server.send(b"bye")
    assert server.recv(10) == b""
    with suppress(*NOTHING_YET):
        server.unwrap()
    assert read(client) == b"bye"
    assert read(client) == b""


@pytest.mark.parametrize(
    ("changes", "tls", "masks", "alike"),
    [
        ({"target": Target("127.0.0.1", 1, "/", "ws")}, False, True, True),
        ({"target": Target("127.0.0.1", 1, "/", "wss")}, True, True, True),
        ({"target": Target("127.0.0.1", 1, "/", "tcp"), "protocol": "wkproto"}, False, False, False),
        ({"target": Target("127.0.0.1", 1, "/", "tls"), "protocol": "wkproto", "encryption": False}, True, False, True),
        ({"target": Target("127.0.0.1", 1, "/", "wss"), "protocol": "wkproto"}, True, True, False),
    ],
)
def test_a_dialect_is_what_the_plan_says(changes: dict[str, Any], tls: bool, masks: bool, alike: bool) -> None:
    dialect = Dialect(a_plan(**changes))
    assert (dialect.tls is not None, dialect.masker is not None, dialect.alike) == (tls, masks, alike)
