"""Clients that break every rule, beside two that talk to each other and must not notice."""

import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trio
from child import ServerProcess, open_stream, run_server, tcp, tcp_of

from wukong_trio import open_client
from wukong_trio.testing import RawClient, SocketClosed, open_raw_client

LIMITS = """
limits:
  handshakeTimeout: 1500ms
  closeTimeout: 300ms
  maxHttpBody: 1000000
"""


@asynccontextmanager
async def undisturbed(server: ServerProcess) -> AsyncIterator[None]:
    """Two well-behaved users who talk during the block; each message has to arrive within a second."""

    async def talk(stop: trio.Event) -> None:
        async with open_client(server.ws, uid="good1") as one, open_client(server.ws, uid="good2") as two:
            for number in range(100_000):
                if stop.is_set():
                    return
                with trio.fail_after(1):
                    await one.send("good2", b"%d" % number)
                    assert (await two.__anext__()).payload == b"%d" % number
                await trio.sleep(0.02)

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk, stop)
        yield
        stop.set()


async def wait_gone(stream: trio.abc.Stream) -> None:
    """Waits until the server has closed the connection."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass


async def noise_instead_of_a_handshake(server: ServerProcess) -> None:
    for url in (server.ws, server.http):
        for noise in (
            os.urandom(2000),
            b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n" * 500,
            b"A" * 100_000,
            b"GET " + b"x" * 100_000,
        ):
            async with await open_stream(url) as stream:
                try:
                    await stream.send_all(noise)
                    await tcp_of(stream).send_eof()
                except trio.BrokenResourceError:
                    pass
                await wait_gone(stream)


async def half_a_handshake(server: ServerProcess) -> None:
    async with await open_stream(server.ws) as silent, await open_stream(server.ws) as slow:
        await slow.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: webso")
        await wait_gone(silent)
        await wait_gone(slow)


async def plain_http_to_the_websocket_port(server: ServerProcess) -> None:
    async with await open_stream(server.ws) as stream:
        await stream.send_all(b"GET /route HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_gone(stream)


async def broken_json(server: ServerProcess) -> None:
    for text in ("{", '{"id":', "[" * 5000, '{"a":' * 3000, '"' + "x" * 10_000):
        async with open_raw_client(server.ws) as client:
            await client.send_text(text)
            with pytest.raises(SocketClosed):
                await receive_for_ever(client)


async def wrong_types_and_unknown_methods(server: ServerProcess) -> None:
    async with open_raw_client(server.ws) as client:
        await client.connect("bad1")
        for frame in ({"id": "1", "method": 5}, {"id": "2", "method": "nosuch"}, {"id": [], "method": "ping"}):
            await client.send(frame)
            assert "error" in await client.receive()
        for params in ([], "x", {"channelId": 5}, {"payload": {}, "channelType": "1"}):
            await client.send({"id": "3", "method": "send", "params": params})
            assert (await client.receive())["error"]["code"] == -32002
        await client.ping()


async def a_very_long_uid(server: ServerProcess) -> None:
    async with open_raw_client(server.ws) as client:
        answer = await client.call("connect", {"uid": "u" * 10_000, "token": "t"})
        assert answer["error"]["code"] == -32002
        assert (await client.wait_closed()).code == 4002
    async with open_raw_client(server.ws) as client:
        with suppress(trio.BrokenResourceError):
            await client.send({"id": "c", "method": "connect", "params": {"uid": "u" * 1_000_000, "token": "t"}})
        assert (await client.wait_closed()).code in (1006, 1009)
    async with httpx.AsyncClient(base_url=server.http) as http:
        refused = await http.post("/user/token", json={"uid": "u" * 900_000, "token": "t"})
        assert refused.status_code == 400


async def messages_beyond_the_limits(server: ServerProcess) -> None:
    async with open_raw_client(server.ws) as client:
        await client.connect("bad2")
        try:
            await client.send_text('{"id":"' + "x" * 3_000_000 + '"}')
        except trio.BrokenResourceError:
            pass  # closed before everything was written: the close frame is lost
        else:
            assert (await client.wait_closed()).code == 1009
    async with await tcp(server.http) as stream:
        await stream.send_all(b"POST /message/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 413")


async def hanging_up_during_the_answer(server: ServerProcess) -> None:
    async def hang_up() -> None:
        async with await tcp(server.http) as stream:
            await stream.send_all(b"POST /message/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000001\r\n\r\n{")
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(hang_up)


async def silence(server: ServerProcess) -> None:
    async with open_raw_client(server.ws) as client:
        assert (await client.wait_closed()).code == 4001


async def half_closed(server: ServerProcess) -> None:
    async with open_raw_client(server.ws) as client:
        await client.connect("bad3")
        await tcp_of(client.stream).send_eof()
        with pytest.raises(SocketClosed):
            await client.receive()


async def nobody_reads(server: ServerProcess) -> None:
    async with open_raw_client(server.ws) as deaf, open_client(server.ws, uid="sender") as sender:
        await deaf.connect("deaf")
        payload = os.urandom(300_000)
        for _ in range(60):
            await sender.send("deaf", payload)
        await wait_offline(server, "deaf")


async def wait_offline(server: ServerProcess, uid: str) -> None:
    async with httpx.AsyncClient(base_url=server.http) as http:
        while (await http.post("/user/onlinestatus", json=[uid])).json():  # noqa: ASYNC110 - another process's event
            await trio.sleep(0.05)


async def broken_frames(server: ServerProcess) -> None:
    generator = random.Random(1)
    for _ in range(20):
        async with open_raw_client(server.ws) as client:
            await client.connect("bad4")
            try:
                await client.send_bytes(bytes([generator.choice((0x83, 0xC1, 0x01, 0x81)), 0x05]) + b"hello" * 10)
                await client.send_bytes(generator.randbytes(500))
            except trio.BrokenResourceError:
                continue
            with pytest.raises(SocketClosed):
                await receive_for_ever(client)


async def receive_for_ever(client: RawClient) -> None:
    while True:
        await client.receive()


OFFENCES = [
    noise_instead_of_a_handshake,
    half_a_handshake,
    plain_http_to_the_websocket_port,
    broken_json,
    wrong_types_and_unknown_methods,
    a_very_long_uid,
    messages_beyond_the_limits,
    hanging_up_during_the_answer,
    silence,
    half_closed,
    nobody_reads,
    broken_frames,
]


async def test_offenders_are_dealt_with_and_others_notice_nothing(tmp_path: Path, way: list[str]) -> None:
    (tmp_path / "wk.yaml").write_text(LIMITS)

    async def offend(offence: Callable[[ServerProcess], Awaitable[None]]) -> None:
        with trio.fail_after(15):
            await offence(server)

    with trio.fail_after(40):
        async with run_server(tmp_path, *way) as server, undisturbed(server):
            async with trio.open_nursery() as nursery:
                for offence in OFFENCES:
                    nursery.start_soon(offend, offence, name=offence.__name__)
            await offend(OFFENCES[-1])
    _starting, _listening, *lines = server.log.read_text().splitlines()
    whole = "\n".join(lines)
    assert "Traceback" not in whole
    for code in (1002, 1009, 4001, 4002, 4005):
        assert f"({code})" in whole or f"close_code={code} " in whole
    assert "no WebSocket handshake" in whole
    # Sessions have lines of their own.
    lines = [line for line in lines if "session opened" not in line and "session closed" not in line]
    log = "\n".join(lines)
    lines_of_peers = Counter(re.findall(r"127\.0\.0\.1:\d+", log))
    assert set(lines_of_peers.values()) == {1}, f"more than a line for an offender: {lines_of_peers.most_common(3)}"
    assert len(lines) == lines_of_peers.total()


async def test_http_clients_leave_nothing_behind(tmp_path: Path) -> None:
    """Whenever a client goes: before the answer, while it is sent, after it."""

    async def come_and_go(stay_s: float) -> None:
        async with await tcp(server.http) as stream:
            await stream.send_all(b"GET /route HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await trio.sleep(stay_s)

    with trio.fail_after(20):
        async with run_server(tmp_path) as server:
            descriptors = f"/proc/{server.process.pid}/fd"
            before = len(os.listdir(descriptors))
            for n in range(50):
                await come_and_go(n * 0.0004)
            with trio.fail_after(5):
                while len(os.listdir(descriptors)) > before:  # noqa: ASYNC110 - another process's event
                    await trio.sleep(0.05)
