"""Statements 55-60: ping, disconnect, heartbeat."""

from typing import Any

import pytest
import trio
from steps import OpenServer, OpenServers, on_each, online, send_params, sent

from wukong_trio import Server
from wukong_trio.testing import RawClient, SocketClosed, open_raw_client

IDLE_S = 3


async def test_j055_ping(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        frame = {"method": "ping", "id": "p"}
        for more in (frame, {**frame, "params": {}}, {**frame, "params": None}):
            await ann.send(more)
            assert await ann.receive_text() == '{"jsonrpc":"2.0","id":"p","result":{}}'


async def test_j056_a_ping_notification_is_not_answered(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann") as (ann,):
            await ann.send({"method": "ping"})
            await ann.expect_quiet(1)
            await ann.ping()

    async with open_servers() as servers:
        await on_each(servers, step)


@pytest.mark.parametrize("params", [{"reasonCode": 1}, {"reasonCode": 1, "reason": "x"}, None])
async def test_j057_a_disconnect_request(open_server: OpenServer, params: Any) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for n in range(5):
            await ann.send({"id": f"s{n}", "method": "send", "params": send_params(number=f"m{n}")})
        await ann.send({"id": "d", "method": "disconnect"} | ({} if params is None else {"params": params}))
        assert [(await ann.receive())["id"] for _ in range(5)] == [f"s{n}" for n in range(5)]
        assert await ann.receive() == {"jsonrpc": "2.0", "id": "d", "result": {}}
        closed = await ann.wait_closed()
        assert (closed.code, closed.reason) == (1000, "bye")


async def test_j058_a_disconnect_notification(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        await ann.send({"method": "disconnect"})
        assert (await ann.wait_closed()).code == 1000


async def closes_idle(client: RawClient, before: float, after: float, *, pushes: int = 0) -> None:
    """The client was last heard between the two moments; at least `pushes` messages come, none if that is 0."""
    received, closed = 0, None
    while closed is None:
        try:
            assert (await client.receive())["method"] == "message"
            received += 1
        except SocketClosed as end:
            closed = end
    now = trio.current_time()
    assert (closed.code, closed.reason) == (4004, "idle timeout")
    assert now - before >= IDLE_S
    assert now - after < IDLE_S + 0.5
    assert received >= pushes if pushes else not received


async def idle_limit(server: Server) -> None:
    before = trio.current_time()
    async with (
        online(server, "silent", "listener", "alive", "talker") as (silent, listener, alive, talker),
        trio.open_nursery() as nursery,
    ):
        after = trio.current_time()
        nursery.start_soon(closes_idle, silent, before, after)
        nursery.start_soon(lambda: closes_idle(listener, before, after, pushes=3))
        for n in range(5):
            await alive.send_ping()
            await sent(talker, "listener", number=f"m{n}")
            await trio.sleep_until(after + n + 1)
        await alive.ping()


async def late_connect(server: Server) -> None:
    async with open_raw_client(server.endpoints.ws) as late:
        await trio.sleep(1.5)
        before = trio.current_time()
        await late.connect("late")
        await closes_idle(late, before, trio.current_time())


async def long_message(server: Server) -> None:
    async with online(server, "slow") as (slow,):
        await slow.send_fragments('{"id":"p",', final=False)
        for _ in range(4):
            await trio.sleep(1)
            await slow.send_fragments(" ", final=False)
        await slow.send_fragments('"method":"ping"}')
        assert (await slow.receive())["result"] == {}


async def test_j059_the_idle_limit(open_servers: OpenServers) -> None:
    async with open_servers(limits={"conn_idle_time_s": IDLE_S}) as servers, trio.open_nursery() as nursery:
        for behaviour in (idle_limit, late_connect, long_message):
            nursery.start_soon(on_each, servers, behaviour)


async def test_j060_shutdown_closes_with_1001(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        online(server, "ann", "sdk:bob") as clients,
        open_raw_client(server.endpoints.ws) as stranger,
    ):
        server.shutdown()
        for client in (*clients, stranger):
            closed = await client.wait_closed()
            assert (closed.code, closed.reason) == (1001, "server shutdown")
            await client.send_close(1001)
