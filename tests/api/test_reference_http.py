"""How the reference HTTP engine treats connections: its own, and those that the native engine hands over."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import h11
import pytest
import trio
import trio.testing
from api_calls import SlowStore, read_all, read_until
from exchanges import connect, exchange

from wukong_trio import Server
from wukong_trio.api import time_limits
from wukong_trio.api.framing import SMALL_CHUNK_BYTES
from wukong_trio.testing import open_test_server

HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz" + HOST + b"\r\n"
OTHER = b"GET /nope" + HOST + b"\r\n"
LAST = b"GET /healthz" + HOST + b"Connection: close\r\n\r\n"
OK = b'{"status":"ok"}'
BODY_LIMIT_BYTES = 1_000_000
CHUNKS = b"POST /channel" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
HALF_A_BODY = b"POST /channel" + HOST + b"Content-Length: 10\r\n\r\n{"


@pytest.fixture(params=["reference", "handed over"])
def engine(request: pytest.FixtureRequest) -> str:
    """The way to the reference engine."""
    return str(request.param)


@asynccontextmanager
async def talk(engine: str, **changes: Any) -> AsyncIterator[tuple[Server, trio.SocketStream]]:
    """A server, and a connection that its reference engine serves."""
    name = "reference" if engine == "reference" else "native"
    with trio.fail_after(15):
        limits = {"http_body_bytes": BODY_LIMIT_BYTES}
        async with open_test_server(engine=name, limits=limits, **changes) as server, await connect(server) as stream:
            if engine == "handed over":
                await stream.send_all(OTHER)
                await read_until(stream, b"not found" if "auth" not in changes else b"\r\n\r\n")
            yield server, stream


async def drip(stream: trio.SocketStream, data: bytes, pause_s: float) -> None:
    for byte in data:
        await stream.send_all(bytes([byte]))
        await trio.sleep(pause_s)


async def test_half_a_head_has_a_time_limit_that_more_bytes_do_not_move(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "HEAD_S", 0.5)
    async with talk(engine) as (_, stream):
        await stream.send_all(GET + GET[:10])
        await read_until(stream, OK)
        with pytest.raises(trio.BrokenResourceError):
            await drip(stream, b"X" * 1000, pause_s=0.05)


@pytest.mark.parametrize(("limit", "data"), [("KEEP_ALIVE_S", GET), ("BODY_PAUSE_S", HALF_A_BODY)])
async def test_silence_has_a_time_limit(engine: str, limit: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with talk(engine) as (_, stream):
        monkeypatch.setattr(time_limits, limit, 0.2)
        await stream.send_all(data)
        await read_all(stream)


async def test_a_body_may_take_its_time_as_long_as_it_comes(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "BODY_PAUSE_S", 0.6)
    monkeypatch.setattr(time_limits, "HEAD_S", 0.3)
    monkeypatch.setattr(time_limits, "KEEP_ALIVE_S", 0.3)
    async with talk(engine) as (_, stream):
        await stream.send_all(b"POST /route/batch" + HOST + b"Content-Length: 5\r\n\r\n")
        await drip(stream, b'["a"]', pause_s=0.2)
        assert (await read_all(stream)).endswith(b'"uids":["a"]}]')


async def test_a_client_that_takes_nothing_is_dropped(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "STALLED_S", 0.3)
    uids = b'["' + b'","'.join([b"x" * 100] * 9_000) + b'"]'
    large = b"POST /route/batch" + HOST + b"Content-Length: %d\r\n\r\n%b" % (len(uids), uids)
    async with talk(engine) as (_, stream):
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(large * 20)


@pytest.mark.parametrize(
    "data",
    [b"", GET[:-6], CHUNKS + b"1\r\n{\r\n", HALF_A_BODY],
    ids=["nothing", "half a head", "chunks", "half a body"],
)
async def test_who_has_nothing_under_way_does_not_delay_the_end(engine: str, data: bytes) -> None:
    async with talk(engine) as (server, stream):
        await stream.send_all(data)
        async with await connect(server) as other:
            await other.send_all(GET)
            await read_until(other, OK)
        start = trio.current_time()
        server.shutdown()
        with trio.move_on_after(time_limits.GRACEFUL_S / 2) as waiting:
            await read_all(stream)
        assert not waiting.cancelled_caught
    assert trio.current_time() - start < time_limits.GRACEFUL_S / 2


@pytest.mark.parametrize(
    "head", [b"Content-Length: %d\r\n\r\n" % BODY_LIMIT_BYTES, b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n"]
)
async def test_without_the_token_no_body_is_waited_for(engine: str, head: bytes) -> None:
    async with talk(engine, auth={"manager_token": "k"}) as (_, stream):
        await stream.send_all(b"POST /channel" + HOST + head + b"x" * 50_000)
        received = await read_all(stream)
    assert received.startswith(b"HTTP/1.1 401")
    assert b"connection: close\r\n" in received.lower()


async def test_a_body_in_chunks_has_the_same_limit(engine: str) -> None:
    chunk = b"x" * 50_000
    async with talk(engine) as (_, stream):
        await stream.send_all(CHUNKS)
        for _ in range(BODY_LIMIT_BYTES // len(chunk)):
            await stream.send_all(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await trio.testing.wait_all_tasks_blocked(0.05)
        await stream.send_all(b"1\r\nx\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", [b"/channel/info", b"/healthz"])
async def test_small_chunks_have_a_limit(engine: str, path: bytes) -> None:
    limit_bytes = BODY_LIMIT_BYTES if path != b"/healthz" else 16 * 1024
    most = limit_bytes // (SMALL_CHUNK_BYTES - 1)
    head = b"POST %b%bTransfer-Encoding: chunked\r\n\r\n" % (path, HOST)
    if path == b"/healthz":
        head = head.replace(b"POST", b"GET")
    for count, statuses in ((most, (200, 400)), (most + 1, (413,))):
        async with talk(engine) as (_, stream):
            await stream.send_all(head + b"1\r\n \r\n" * count)
            # The rest comes later, or the server would not have read all before.
            await trio.testing.wait_all_tasks_blocked(0.1)
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"0\r\n\r\n")
            assert int(bytes(await stream.receive_some()).split()[1]) in statuses


async def test_what_follows_the_last_request_is_not_kept(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    receive = h11.Connection.receive_data
    monkeypatch.setattr(
        h11.Connection, "receive_data", lambda self, data: (kept.append(len(data)), receive(self, data))[1]
    )
    store = SlowStore()
    async with talk(engine, store=store) as (_, stream):
        body = b'{"uid":"ann","token":"t"}'
        head = b"POST /user/token" + HOST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        await stream.send_all(head + body)
        await store.begun.wait()
        for _ in range(20):
            await stream.send_all(b"x" * 50_000)
        await trio.testing.wait_all_tasks_blocked(0.05)
        store.go_on.set()
        assert b"200" in bytes(await stream.receive_some(15))
    assert sum(kept) < 200_000


async def test_who_offers_http_2_writes_no_log(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    async with talk(engine) as (server, _):
        caplog.clear()
        for settings in (b"AAMAAABkAAQCAAAAAAIAAAAA", b"", b"!"):
            upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %b\r\n\r\n" % settings
            answers, _ = await exchange(server, b"GET /healthz" + HOST + upgrade + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert [answer.status for answer in answers] == [200, 505]
        assert caplog.records == []


BROKEN = {
    "nothing": b"",
    "half a head": GET[:20],
    "half a body": HALF_A_BODY,
    "half a chunk": CHUNKS + b"5\r\nab",
    "no chunk": CHUNKS + b"zz\r\n",
    "a whole request": GET,
    "many": GET * 500,
    "an error behind many": GET * 50 + b"rubbish\r\n\r\n",
    "WebSocket": b"GET /" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "expects": b"POST /channel" + HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "announced too large": b"POST /channel" + HOST + b"Content-Length: %d\r\n\r\n{" % (BODY_LIMIT_BYTES + 1),
    "a proxy": b"CONNECT x:1" + HOST + b"\r\n",
    "odd bytes": b"GET /%ff%00\xff" + HOST + b"X: \xff\r\n\r\n",
    "odd characters": b"GET /%ff%00?%ff" + HOST + b"token: \xff\r\n\r\n",
    "a length in vain": b"GET /healthz" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n",
}


@pytest.mark.parametrize("end", ["close", "half-close", "reset"])
async def test_broken_clients_leave_no_traceback(engine: str, end: str, caplog: pytest.LogCaptureFixture) -> None:
    async with talk(engine, auth={"manager_token": "k"}) as (server, _):
        for data in BROKEN.values():
            stream = await connect(server)
            await stream.send_all(data)
            await trio.testing.wait_all_tasks_blocked()
            if end == "reset":
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif end == "half-close":
                await stream.send_eof()
                await read_all(stream)
            await stream.aclose()
        assert (await exchange(server, LAST)).answers[0].status == 200
    assert [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"] == []


async def test_too_few_descriptors_are_one_line_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really_accept = socket.socket.accept

    def refuse_once(self: socket.socket) -> object:
        monkeypatch.setattr(socket.socket, "accept", really_accept)
        raise OSError(errno.EMFILE, "Too many open files")

    with trio.fail_after(10):
        async with open_test_server(engine="reference") as server:
            monkeypatch.setattr(socket.socket, "accept", refuse_once)
            assert (await exchange(server, LAST)).answers[0].status == 200
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)]
