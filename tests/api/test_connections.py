"""How HTTP connections live and end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from api_calls import Api, OpenServer

from wukong_trio import Server
from wukong_trio.api import time_limits
from wukong_trio.testing import open_test_server

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n%b\r\n"


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


async def test_connections_are_kept_alive_and_pipelined(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server() as server, connection(server) as stream:
            for _ in range(3):
                await stream.send_all(GET % b"")
                assert (await answer(stream)).startswith(b"HTTP/1.1 200")
            await stream.send_all((GET % b"") * 3)
            received = b""
            while received.count(b'{"status":"ok"}') < 3:
                received += await stream.receive_some()


async def test_connection_close_is_honoured(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server() as server, connection(server) as stream:
            await stream.send_all(GET % b"Connection: close\r\n")
            await answer(stream)
            assert await stream.receive_some() == b""


async def test_an_idle_connection_does_not_delay_the_end(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with AsyncExitStack() as outliving:
            async with open_server() as server:
                stream = await outliving.enter_async_context(connection(server))
                await stream.send_all(GET % b"")
                await answer(stream)
                start = trio.current_time()
            assert trio.current_time() - start < 1
            assert await stream.receive_some() == b""


UIDS = b'["' + b'","'.join([b"x" * 100] * 40_000) + b'"]'
LARGE = b"POST /route/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(UIDS) + UIDS
"""A request with an answer of the same size, more than the kernel's buffers take."""


async def test_a_client_that_does_not_read_does_not_hold_up_the_end(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "GRACEFUL_S", 0.5)
    monkeypatch.setattr(time_limits, "STALLED_S", 1.0)
    with trio.fail_after(15):
        async with AsyncExitStack() as outliving:
            async with open_server() as server:
                stream = await outliving.enter_async_context(connection(server))
                with trio.move_on_after(0.5) as sending:
                    await stream.send_all(LARGE * 10)
                # Only a server that waits for its reader stops reading itself.
                assert sending.cancelled_caught
                start = trio.current_time()
            assert trio.current_time() - start < 3


async def test_an_answer_under_way_is_finished_before_the_end(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server() as server, connection(server) as stream:
            await stream.send_all(LARGE)
            received = bytes(await stream.receive_some(1000))
            server.shutdown()
            while not received.endswith(b"]}]"):
                data = await stream.receive_some()
                assert data, "cut off"
                received += data
            assert await stream.receive_some() == b""
    assert received.partition(b"\r\n\r\n")[2].count(b"x" * 100) == 40_000


@pytest.mark.parametrize(
    "part",
    [b"", b"GET /healthz HT", GET[:-6], b"POST /channel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
async def test_unfinished_requests_do_not_hold_up_the_end(
    open_server: OpenServer, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "GRACEFUL_S", 0.5)
    with trio.fail_after(10):
        async with AsyncExitStack() as outliving:
            async with open_server() as server:
                stream = await outliving.enter_async_context(connection(server))
                await stream.send_all(part)
                async with connection(server) as other:
                    await other.send_all(GET % b"")
                    await answer(other)
                start = trio.current_time()
            assert trio.current_time() - start < 2


async def test_what_nobody_is_at_work_on_is_ended_at_once() -> None:
    parts = (
        b"",
        b"GET /healthz HT",
        GET[:-6],
        b"POST /channel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    )
    with trio.fail_after(10):
        async with AsyncExitStack() as outliving:
            async with open_test_server(engine="native") as server:
                streams = [await outliving.enter_async_context(connection(server)) for _ in parts]
                for stream, part in zip(streams, parts, strict=True):
                    await stream.send_all(part or GET % b"")
                await answer(streams[0])
                start = trio.current_time()
            # Far less than what requests under way may take.
            assert trio.current_time() - start < time_limits.GRACEFUL_S / 3


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /route HTTP/1.1\r\n\r\n", 400),
        (b"GET /route HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /route HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 128 + b"\r\n", 431),
        (b"GET /nope HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 128 + b"\r\n", 431),
        (b"GET /route HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + b"a: b\r\n" * 126 + b"\r\n", 200),
        (b"GET /nope HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + b"a: b\r\n" * 126 + b"\r\n", 404),
        (b"POST /channel HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /channel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /channel HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
async def test_what_is_no_http_is_refused_and_the_connection_ended(
    open_server: OpenServer, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(10):
        async with open_server() as server:
            async with connection(server) as stream:
                await stream.send_all(request_)
                received = b""
                while data := await stream.receive_some():
                    received += data
                assert received.startswith(b"HTTP/1.1 %d" % status)
            async with connection(server) as stream:
                await stream.send_all(GET % b"")
                assert (await answer(stream)).startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(api: Api) -> None:
    async with connection(api.server) as stream:
        await stream.send_all(b"POST /channel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n")
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 413")


async def test_refusals_keep_the_connection(api: Api) -> None:
    async with connection(api.server) as stream:
        for path, body, status in ((b"/nope", b"", 404), (b"/channel", b"{", 400), (b"/route/batch", b"[]", 200)):
            head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path, len(body))
            await stream.send_all(head + body)
            received = b""
            while not received.endswith((b"not found", b"}", b"}]")):
                received += await stream.receive_some()
            assert received.startswith(b"HTTP/1.1 %d" % status)
        await stream.send_all(GET % b"")
        await answer(stream)


async def test_a_client_that_leaves_early_harms_nobody(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server() as server:
            for _ in range(20):
                async with connection(server) as stream:
                    await stream.send_all(GET % b"")
            async with connection(server) as stream:
                await stream.send_all(GET % b"")
                await answer(stream)
