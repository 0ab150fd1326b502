"""How HTTP connections live and end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from wukong_trio import Server
from wukong_trio.testing import open_test_server

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n%b\r\n"


@asynccontextmanager
async def connection(server: Server) -> AsyncIterator[trio.SocketStream]:
    port = int(server.endpoints.http.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield stream


async def answer(stream: trio.SocketStream) -> bytes:
    """Reads one answer to GET."""
    received = b""
    while not received.endswith(b'{"status":"ok"}'):
        data = await stream.receive_some()
        assert data, received
        received += data
    return received


async def test_connections_are_kept_alive_and_pipelined() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, connection(server) as stream:
            for _ in range(3):
                await stream.send_all(GET % b"")
                assert (await answer(stream)).startswith(b"HTTP/1.1 200")
            await stream.send_all((GET % b"") * 3)
            received = b""
            while received.count(b'{"status":"ok"}') < 3:
                received += await stream.receive_some()


async def test_connection_close_is_honoured() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, connection(server) as stream:
            await stream.send_all(GET % b"Connection: close\r\n")
            await answer(stream)
            assert await stream.receive_some() == b""


async def test_an_idle_connection_does_not_delay_the_end() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, connection(server) as stream:
            await stream.send_all(GET % b"")
            await answer(stream)
            start = trio.current_time()
            server.shutdown()
            assert await stream.receive_some() == b""
            assert trio.current_time() - start < 1
        assert trio.current_time() - start < 2


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    with trio.fail_after(30):
        async with open_test_server() as server:
            body = b'["%b"]' % b",".join([b"x" * 100] * 40_000).replace(b",", b'","')
            request = b"POST /route/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            async with connection(server) as stream:
                with trio.move_on_after(2):
                    for _ in range(10):
                        await stream.send_all(request + body)
                start = trio.current_time()
                server.shutdown()
                await trio.sleep(1)
        assert trio.current_time() - start < 15


async def test_a_client_that_leaves_early_harms_nobody() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            for _ in range(20):
                async with connection(server) as stream:
                    await stream.send_all(GET % b"")
            async with connection(server) as stream:
                await stream.send_all(GET % b"")
                await answer(stream)
