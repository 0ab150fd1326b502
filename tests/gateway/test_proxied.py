"""Taking the PROXY protocol's header off a socket, and nothing else."""

import socket
import struct
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from wukong_trio.gateway.proxied import ProxyHeader
from wukong_trio.protocol.proxy import ProxyHeaderError

LINE = b"PROXY TCP4 192.0.2.1 10.0.0.5 56324 5100\r\n"
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
BLOCK = SIGNATURE + bytes.fromhex("2111") + struct.pack("!H", 4096) + bytes([192, 0, 2, 1, 10, 0, 0, 5, 220, 4])
BLOCK = BLOCK.ljust(16 + 4096, b"\0")
BEHIND = b"\x16\x03\x01 the client's bytes"
CLIENT = ("192.0.2.1", 56324)


@pytest.fixture(params=["unix", "tcp"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The proxy's end and ours, which does not block."""
    if request.param == "unix":
        proxy, ours = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            proxy = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
    with proxy, ours:
        ours.setblocking(False)
        yield proxy, ours


Pair = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("header", [LINE, BLOCK])
async def test_what_is_behind_the_header_stays_in_the_socket(pair: Pair, header: bytes) -> None:
    proxy, ours = pair
    proxy.sendall(header + BEHIND)
    with trio.fail_after(5):
        assert await ProxyHeader(ours).read() == CLIENT
    assert ours.recv(100) == BEHIND


@pytest.mark.parametrize("header", [LINE, BLOCK[:60]])
async def test_a_header_may_come_byte_by_byte(pair: Pair, header: bytes) -> None:
    proxy, ours = pair
    read: list[object] = []

    async def reading() -> None:
        read.append(await ProxyHeader(ours).read())

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reading)
            for byte in header:
                assert not read
                proxy.sendall(bytes([byte]))
                await wait_all_tasks_blocked()
            proxy.sendall(BLOCK[60:] * (header != LINE) + BEHIND)
    assert read == [CLIENT]
    assert ours.recv(100) == BEHIND


@pytest.mark.parametrize("begun", [LINE[:-1], BLOCK[:-1], BLOCK[:13]])
async def test_who_waits_for_the_rest_does_not_turn_in_circles(pair: Pair, begun: bytes) -> None:
    proxy, ours = pair
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ProxyHeader(ours).read)
            proxy.sendall(begun)
            # Comes back only if nobody runs: what has come was taken, so the socket is not readable.
            await wait_all_tasks_blocked(0.05)
            with pytest.raises(BlockingIOError):
                ours.recv(1, socket.MSG_PEEK)
            nursery.cancel_scope.cancel()


async def test_local_keeps_the_sockets_own_address(pair: Pair) -> None:
    proxy, ours = pair
    proxy.sendall(SIGNATURE + bytes.fromhex("20000000") + BEHIND)
    with trio.fail_after(5):
        assert await ProxyHeader(ours).read() is None
    assert ours.recv(100) == BEHIND


async def test_anything_else_is_an_error_that_says_so(pair: Pair) -> None:
    proxy, ours = pair
    proxy.sendall(BEHIND)
    with trio.fail_after(5), pytest.raises(ProxyHeaderError, match="not a PROXY protocol header: it begins"):
        await ProxyHeader(ours).read()


@pytest.mark.parametrize("begun", [b"", LINE[:9], BLOCK[:99]])
async def test_an_early_end_is_an_error_that_says_so(pair: Pair, begun: bytes) -> None:
    proxy, ours = pair
    proxy.sendall(begun)
    proxy.close()
    with trio.fail_after(5), pytest.raises(ProxyHeaderError, match="ended within the PROXY protocol header"):
        await ProxyHeader(ours).read()


@pytest.mark.parametrize("pair", ["tcp"], indirect=True)
async def test_a_reset_is_an_error_that_says_so(pair: Pair) -> None:
    proxy, ours = pair
    proxy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    proxy.close()
    with trio.fail_after(5), pytest.raises(ProxyHeaderError, match=r"broke .* Connection reset"):
        await ProxyHeader(ours).read()


async def test_waiting_can_be_cancelled_and_loses_nothing(pair: Pair) -> None:
    proxy, ours = pair
    with trio.move_on_after(0.01) as scope:
        await ProxyHeader(ours).read()
    assert scope.cancelled_caught
    proxy.sendall(LINE)
    with trio.fail_after(5):
        assert await ProxyHeader(ours).read() == CLIENT
