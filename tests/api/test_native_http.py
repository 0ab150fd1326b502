"""How the native HTTP engine treats connections: pipelines, hand-overs, time limits, the end."""

import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from api_calls import P, SlowStore, read_all, read_until
from exchanges import connect, exchange

from wukong_trio import Server
from wukong_trio.api import native, time_limits
from wukong_trio.testing import open_test_server

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
LAST = GET % b"Connection: close\r\n"
OTHER = b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b'{"status":"ok"}'


def post(path: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST %b HTTP/%b\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (path, version, len(body), body)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    with trio.fail_after(20):
        async with open_test_server(engine="native", limits={"http_body_bytes": 5_000_000}) as server:
            yield server


async def send_for_ever(stream: trio.SocketStream, data: bytes, pause_s: float = 0) -> None:
    while True:
        await stream.send_all(data)
        await trio.sleep(pause_s)


async def test_a_thousand_pipelined_requests_are_answered_in_order(server: Server) -> None:
    requests = b"".join(post(b"/route/batch", b'["%d"]' % n) for n in range(1000))
    answers, closed = await exchange(server, requests + LAST)
    assert [answer.body.rpartition(b'"uids":')[2] for answer in answers[:-1]] == [b'["%d"]}]' % n for n in range(1000)]
    assert closed


async def test_pipelined_requests_that_wait_are_answered_in_order(server: Server) -> None:
    send = post(b"/message/send", b'{"channel_id":"g","channel_type":2,"payload":"%b"}' % P.encode())
    answers, _ = await exchange(server, (send + GET % b"") * 5 + LAST)
    for n, answer in enumerate(answers[:10:2], start=1):
        assert b'"message_seq":%d,' % n in answer.body
    assert [answer.body for answer in answers[1:10:2]] == [OK] * 5


async def test_no_answer_waits_for_the_work_on_the_next() -> None:
    store = SlowStore()
    with trio.fail_after(10):
        async with open_test_server(engine="native", store=store) as server, await connect(server) as stream:
            await stream.send_all(GET % b"" + post(b"/user/token", b'{"uid":"ann","token":"t"}') + LAST)
            await read_until(stream, OK)
            store.go_on.set()
            assert (await read_all(stream)).endswith(OK)


@pytest.mark.parametrize("data", [GET % b"", post(b"/route/batch", b'["a"]'), OTHER])
async def test_byte_by_byte(server: Server, data: bytes) -> None:
    whole = await exchange(server, data + LAST)
    assert await exchange(server, *[bytes([byte]) for byte in data + LAST]) == whole
    assert whole.answers[1].body == OK


async def test_from_a_hand_over_on_the_reference_answers(server: Server) -> None:
    answers, closed = await exchange(server, GET % b"" + OTHER + GET % b"" + OTHER + LAST)
    assert [answer.status for answer in answers] == [200, 404, 200, 404, 200]
    assert closed
    async with await connect(server) as stream:
        await stream.send_all(GET % b"")
        assert (await read_until(stream, OK)).startswith(b"HTTP/1.1 200 OK\r\n")
        await stream.send_all(OTHER)
        await read_until(stream, b"not found")
        await stream.send_all(GET % b"")
        # Hypercorn gives no reasons.
        assert (await read_until(stream, OK)).startswith(b"HTTP/1.1 200 \r\n")


async def test_100_continue_is_the_references(server: Server) -> None:
    async with await connect(server) as stream:
        head, body = post(b"/route/batch", b"[]").split(b"\r\n\r\n")
        await stream.send_all(head + b"\r\nExpect: 100-continue\r\n\r\n")
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(body)
        await read_until(stream, b'"uids":[]}]')


async def test_a_client_that_has_finished_sending_gets_its_answers(server: Server) -> None:
    async with await connect(server) as stream:
        await stream.send_all((GET % b"") * 3)
        await stream.send_eof()
        assert (await read_all(stream)).count(OK) == 3
    async with await connect(server) as stream:
        await stream.send_all(GET[:20])
        await stream.send_eof()
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400")


async def test_who_sends_too_much_can_still_read_why(server: Server) -> None:
    async with await connect(server) as stream:
        await stream.send_all(post(b"/channel", b"x" * 5_000_001) + OTHER)
        received = await read_all(stream)
    assert received.startswith(b"HTTP/1.1 413")
    assert received.endswith(b'"status":413}')
    assert b"\r\nConnection: close\r\n" in received


async def test_half_a_head_has_a_time_limit_that_more_bytes_do_not_move(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "HEAD_S", 0.5)
    async with await connect(server) as stream:
        await stream.send_all(GET % b"" + GET[:10])
        await read_until(stream, OK)
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(stream, b"X", pause_s=0.05)


@pytest.mark.parametrize(
    ("limit", "data"),
    [("KEEP_ALIVE_S", b""), ("KEEP_ALIVE_S", GET % b""), ("BODY_PAUSE_S", post(b"/channel", b"{}")[:-1])],
)
async def test_silence_has_a_time_limit(limit: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, limit, 0.2)
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server, await connect(server) as stream:
            await stream.send_all(data)
            await read_all(stream)


async def test_a_body_may_take_its_time_as_long_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "TICK_S", 0.1)
    monkeypatch.setattr(time_limits, "BODY_PAUSE_S", 0.6)
    monkeypatch.setattr(time_limits, "HEAD_S", 0.3)
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server, await connect(server) as stream:
            data = post(b"/route/batch", b'["a"]')
            await stream.send_all(data[:-5])
            for byte in data[-5:]:
                await trio.sleep(0.2)
                await stream.send_all(bytes([byte]))
            await read_until(stream, b'"uids":["a"]}]')


async def test_a_client_that_takes_nothing_is_dropped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "STALLED_S", 0.3)
    large = post(b"/route/batch", b'["' + b'","'.join([b"x" * 100] * 40_000) + b'"]')
    async with await connect(server) as stream:
        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(stream, large)


@pytest.mark.parametrize("before", [b"", OTHER], ids=["native", "handed over"])
async def test_requests_under_way_are_answered_before_the_end(before: bytes) -> None:
    store = SlowStore()
    with trio.fail_after(10):
        async with open_test_server(engine="native", store=store) as server, await connect(server) as stream:
            await stream.send_all(before)
            if before:
                await read_until(stream, b"not found")
            await stream.send_all(post(b"/user/token", b'{"uid":"ann","token":"t"}'))
            await store.begun.wait()
            server.shutdown()
            await trio.testing.wait_all_tasks_blocked()
            store.go_on.set()
            received = await read_all(stream)
    assert received.endswith(b'{"status":200}')
    assert before or b"\r\nConnection: close\r\n" in received


@pytest.mark.parametrize("data", [GET % b"", OTHER], ids=["native", "handed over"])
async def test_idle_connections_do_not_delay_the_end(data: bytes) -> None:
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server:
            stream = await connect(server)
            await stream.send_all(data)
            await stream.receive_some()
            start = trio.current_time()
        assert trio.current_time() - start < 1
        await read_all(stream)
        await stream.aclose()


async def test_a_slow_reader_that_was_handed_over_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "GRACEFUL_S", 0.3)
    large = post(b"/route/batch", b'["' + b'","'.join([b"x" * 100] * 90_000) + b'"]', version=b"1.0")
    with trio.fail_after(10):
        async with open_test_server(engine="native") as server:
            stream = await connect(server)
            await stream.send_all(large)
            await stream.receive_some(1000)
            start = trio.current_time()
        assert trio.current_time() - start < 2
        await stream.aclose()


PROOF = """
import sys, trio
from wukong_trio.testing import open_test_server

async def main():
    async with open_test_server(engine="native") as server:
        host, _, port = server.endpoints.http.rpartition("/")[2].partition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            for path in (b"/route", b"/nope"):
                await stream.send_all(b"GET %b HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % path)
                await stream.receive_some()
                print(any(name in sys.modules for name in ("quart", "hypercorn", "werkzeug")))

trio.run(main)
"""


def test_the_reference_is_loaded_when_it_is_needed() -> None:
    run = subprocess.run([sys.executable, "-c", PROOF], capture_output=True, text=True, timeout=20, check=False)
    assert (run.stdout.split(), run.stderr) == (["False", "True"], "")
