"""Connections on streams, as TLS brings them: exact times on a clock that jumps, and what TLS itself adds."""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from parts import CONNECT, UPGRADE, Scene, frame, send_frame
from trio.testing import MockClock, wait_all_tasks_blocked

from wukong_trio import Address, Listeners, SendCommand, open_client
from wukong_trio.gateway import native
from wukong_trio.testing import RawClient, SocketClosed, open_raw_client, open_test_server


async def test_the_handshake_has_five_seconds(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene, start = Scene(nursery), trio.current_time()
    stream = scene.open()
    await stream.send_all(UPGRADE[:-1])
    assert await stream.receive_some() == b""
    assert trio.current_time() - start == pytest.approx(5)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("upgrade_after", "connect_after", "accepted"), [(4.99, 1.99, True), (0.0, 2.01, False)])
async def test_authentication_has_two_seconds_from_the_handshake_on(
    upgrade_after: float, connect_after: float, accepted: bool, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(nursery)
    stream = scene.open()
    await trio.sleep(upgrade_after)
    await stream.send_all(UPGRADE)
    await stream.receive_some()
    start, client = trio.current_time(), RawClient(stream, "")
    if accepted:
        await trio.sleep(connect_after)
        await client.connect("ann")
        await trio.sleep(10)
        await client.ping()
    else:
        assert (await client.wait_closed()).code == 4001
        assert trio.current_time() - start == pytest.approx(2)
        # The client does not answer the close frame.
        assert await stream.receive_some() == b""
        assert trio.current_time() - start == pytest.approx(3)
    nursery.cancel_scope.cancel()


async def test_the_idle_limit_counts_from_the_last_sign_of_life(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(nursery, limits={"conn_idle_time_s": 30})
    client = await scene.connected("ann")
    for _ in range(3):
        await trio.sleep(29.9)
        await client.send_ping()
        await client.wait_pong()
    start = trio.current_time()
    assert (await client.wait_closed()).code == 4004
    assert 30 <= trio.current_time() - start <= 30.2
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "end", [frame(b"\x03\xe8", 8), b"\x81\x02no", frame(b'{"method":"disconnect"}')], ids=["close", "wrong", "bye"]
)
async def test_what_is_sent_right_before_the_end_counts(
    end: bytes, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    for early in (True, False):
        scene = Scene(nursery)
        bob = await scene.connected("bob")
        stream = scene.open()
        await stream.send_all(UPGRADE + frame(CONNECT % b"ann") + (send_frame(1) + end) * early)
        await wait_all_tasks_blocked()
        if not early:
            await stream.send_all(send_frame(1) + end)
        assert (await bob.receive())["params"]["messageSeq"] == 1
        await trio.sleep(3)
        assert len(scene.registry) == 1
    nursery.cancel_scope.cancel()


async def test_byte_by_byte(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene(nursery)
    bob = await scene.connected("bob")
    stream = scene.open(lockstep=True)
    client = RawClient(stream, "")

    async def write() -> None:
        for byte in UPGRADE + frame(CONNECT % b"ann") + send_frame(1) + frame(b"x", 9) + send_frame(2):
            await stream.send_all(bytes((byte,)))

    nursery.start_soon(write)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    assert [(await client.receive())["id"] for _ in range(3)] == ["c", "s1", "s2"]
    assert client.pongs == [b"x"]
    assert [(await bob.receive())["params"]["messageSeq"] for _ in range(2)] == [1, 2]
    nursery.cancel_scope.cancel()


async def test_a_fast_sender_is_not_read_any_more(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "CHUNK_BYTES", 300)
    scene = Scene(nursery, limits={"sends_in_flight": 4})
    client = await scene.connected("ann")
    scene.store.may_store = trio.Event()
    await client.send_bytes(b"".join(map(send_frame, range(50))))
    await wait_all_tasks_blocked()
    [session] = scene.registry.sessions_of("ann")
    assert 4 <= session.in_flight <= 6  # type: ignore[attr-defined]
    scene.store.may_store.set()
    assert [(await client.receive())["id"] for _ in range(50)] == [f"s{n}" for n in range(50)]
    nursery.cancel_scope.cancel()


async def test_a_reader_who_stops_is_cut_off_in_time(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene(nursery, limits={"write_timeout_s": 7})
    deaf = await scene.connected("deaf", lockstep=True)
    ann = await scene.connected("ann")
    start = trio.current_time()
    await ann.send_bytes(send_frame(1, "deaf"))
    await trio.sleep(1)
    await ann.send_bytes(send_frame(2, "deaf"))
    await trio.sleep(5)
    assert (await deaf.receive())["params"]["messageSeq"] == 1
    while len(scene.registry) > 1:  # noqa: ASYNC110 - no event tells
        await trio.sleep(0.01)
    # It took the first message in time, but not the second, which waited from the first second on.
    assert 8 <= trio.current_time() - start < 10
    nursery.cancel_scope.cancel()


async def test_a_client_that_dies_and_a_server_that_stops(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    scene = Scene(nursery)
    ann, bob = await scene.connected("ann"), await scene.connected("bob")
    await ann.stream.aclose()
    await wait_all_tasks_blocked()
    assert [session.uid for session in scene.registry] == ["bob"]
    await scene.gateway.drain()
    scene.gateway.send_home()
    assert (await bob.wait_closed()).code == 1001
    await bob.send_close(1001)
    await wait_all_tasks_blocked()
    assert len(scene.registry) == 0
    nursery.cancel_scope.cancel()


async def test_who_is_accepted_in_the_last_moment_does_not_delay_a_stop(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene, start = Scene(nursery), trio.current_time()
    await scene.gateway.drain()
    scene.gateway.send_home()
    stream = scene.open()
    assert await stream.receive_some() == b""
    assert trio.current_time() - start < 1
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("too_many", [False, True])
async def test_so_many_frames_may_come_before_connect_and_no_more(
    too_many: bool, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    scene = Scene(nursery)
    stream = scene.open()
    most = native.GREETING_BYTES // native.FRAME_COST_BYTES
    others = frame(b" ") * (most - 100 + too_many) + frame(b"x", 9) * 100
    await stream.send_all(UPGRADE + others + frame(CONNECT % b"ann"))
    assert (await stream.receive_some(129)).startswith(b"HTTP/1.1 101")
    client = RawClient(stream, "")
    if too_many:
        assert (await client.wait_closed()).code == 1009
    else:
        assert (await client.receive())["id"] == "c"
        assert len(client.pongs) == 100
    nursery.cancel_scope.cancel()


# TLS


@asynccontextmanager
async def secure_server(directory: Path, engine: str, **changes: Any) -> AsyncIterator[tuple[Any, ssl.SSLContext]]:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    issued, port = authority.issue_cert("127.0.0.1"), Address("127.0.0.1", 0)
    cert, key = directory / "cert.pem", directory / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    listeners = Listeners(http=None, tcp=None, ws=None, wss=port, cert_file=cert, key_file=key)
    with trio.fail_after(20):
        async with open_test_server(engine=engine, listeners=listeners, **changes) as server:
            yield server, trust


@pytest.mark.parametrize("engine", ["native", "reference"])
async def test_tls_that_never_begins_or_is_none(tmp_path: Path, engine: str) -> None:
    limits = {"handshake_timeout_s": 0.3}
    async with secure_server(tmp_path, engine, limits=limits) as (server, trust):
        port = int(server.endpoints.wss.rpartition(":")[2])
        start = trio.current_time()
        for first in (b"", b"\x16\x03\x01", UPGRADE, os.urandom(500)):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                if first:
                    await stream.send_all(first)
                with trio.fail_after(3):
                    try:
                        while await stream.receive_some():
                            pass
                    except trio.BrokenResourceError:
                        pass
            if not first:
                assert trio.current_time() - start >= 0.3
        async with open_raw_client(server.endpoints.wss, ssl_context=trust) as ann:
            await ann.connect("ann")
            await ann.send_fragments('{"id":"p",', '"method"', ':"ping"}')
            assert (await ann.receive())["id"] == "p"


@pytest.mark.parametrize("engine", ["native", "reference"])
async def test_over_tls_too_a_client_that_reads_gets_a_burst(tmp_path: Path, engine: str) -> None:
    payload = os.urandom(400_000)
    command = SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=payload)
    async with (
        secure_server(tmp_path, engine) as (server, trust),
        open_raw_client(server.endpoints.wss, ssl_context=trust) as bob,
        trio.open_nursery() as nursery,
    ):
        await bob.connect("bob")
        for _ in range(30):
            nursery.start_soon(server.send, command)
        for n in range(1, 31):
            assert (await bob.receive())["params"]["messageSeq"] == n
        await bob.ping()


@pytest.mark.parametrize("engine", ["native", "reference"])
async def test_over_tls_too_a_deaf_a_deaf_client_is_dropped_and_a_slow_one_served(tmp_path: Path, engine: str) -> None:
    limits = {"write_timeout_s": 0.5, "close_timeout_s": 0.3}
    async with secure_server(tmp_path, engine, limits=limits) as (server, trust):
        url = server.endpoints.wss
        async with (
            open_raw_client(url, ssl_context=trust) as deaf,
            open_raw_client(url, ssl_context=trust) as reader,
            open_client(url, uid="ann", ssl_context=trust) as ann,
        ):
            await deaf.connect("deaf")
            await reader.connect("reader")
            payload = os.urandom(300_000)
            for n in range(12):
                await ann.send("reader", payload)
                assert (await reader.receive())["params"]["messageSeq"] == n + 1
                await ann.send("deaf", payload, no_persist=True)
            while server.statistics().sessions > 2:  # noqa: ASYNC110 - the server tells nobody when a session ends
                await trio.sleep(0.02)
            with suppress(SocketClosed):
                while True:
                    await deaf.receive_text()
            await reader.ping()
