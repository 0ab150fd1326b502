"""Statements 1-15: transport and the two-second rule."""

import re
from contextlib import suppress
from typing import Any

import pytest
import trio
from steps import CONNECT, OpenServer, OpenServers, on_each, online, send_params

from wukong_trio import Server
from wukong_trio.testing import RawClient, open_raw_client


@pytest.mark.parametrize("path", ["/", "/ws", "/x/y?z=1", ""])
async def test_j001_any_path(open_server: OpenServer, path: str) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws + path) as client:
        assert (await client.connect("ann"))["reasonCode"] == 1


@pytest.mark.parametrize(
    ("number", "header", "absent"),
    [
        (2, "Sec-WebSocket-Protocol: foo\r\n", "sec-websocket-protocol"),
        (3, "Sec-WebSocket-Extensions: permessage-deflate\r\n", "sec-websocket-extensions"),
    ],
)
async def test_j002_j003_no_subprotocol_no_extension(
    open_server: OpenServer, number: int, header: str, absent: str
) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws, headers=header) as client:
        assert absent not in client.head.lower()
        await client.connect("ann")


async def test_j004_a_binary_connect_is_answered_in_text(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        await client.send_binary(b'{"id":"c","method":"connect","params":{"uid":"ann","token":"t"}}')
        assert (await client.receive())["result"]["reasonCode"] == 1


async def test_j005_j006_fragments_and_leading_white_space(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        await client.send_fragments('\n  {"id":"c","method":', '"connect","params"', ':{"uid":"ann","token":"t"}}')
        assert (await client.receive())["result"]["reasonCode"] == 1
        await client.send_text('\r\n\t {"id":"p","method":"ping"} \n')
        assert (await client.receive())["result"] == {}


async def test_j007_a_ping_frame_is_answered_with_its_bytes(open_server: OpenServer) -> None:
    async with open_server() as server, open_raw_client(server.endpoints.ws) as client:
        await client.send_ping(b"\x00\xff123")
        assert await client.wait_pong() == b"\x00\xff123"
        await client.connect("ann")
        await client.send_ping(b"again")
        assert await client.wait_pong() == b"again"


async def test_j008_what_is_not_json_is_the_binary_protocol(open_server: OpenServer) -> None:
    async with open_server() as server:
        for message in (b"hello", b"\x10\x00"):
            async with open_raw_client(server.endpoints.ws) as client:
                await client.send_binary(message)
                assert (await client.wait_closed()).code == 1002


async def test_j009_j010_every_frame_is_json_rpc_without_nulls(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "sdk:bob") as (ann, bob):
        for frame in (
            {"id": "1", "method": "ping"},
            {"id": "2", "method": "send", "params": send_params()},
            {"id": "3", "method": "send", "params": send_params("g", 2)},
            {"id": "4", "method": "nosuch"},
            [{"id": "5", "method": "ping"}],
        ):
            await ann.send(frame)
            text = await ann.receive_text()
            assert re.match(r'\[?\{"jsonrpc":"2\.0",', text), text
            assert "null" not in text
        text = await bob.receive_text()
        assert text.startswith('{"jsonrpc":"2.0","method":"recv"')
        assert "null" not in text


async def closed_by_the_deadline(client: RawClient, before: float, after: float) -> None:
    """The upgrade was somewhere between the two moments."""
    closed = await client.wait_closed()
    now = trio.current_time()
    assert (closed.code, closed.reason) == (4001, "authentication timeout")
    assert now - before >= 2.0
    assert now - after < 2.5


async def pings(client: RawClient) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for _ in range(10):
            await trio.sleep(0.5)
            await client.send_ping()


async def two_second_rule(server: Server) -> None:
    before = trio.current_time()
    async with (
        open_raw_client(server.endpoints.ws) as silent,
        open_raw_client(server.endpoints.ws) as pinging,
        open_raw_client(server.endpoints.ws) as unfinished,
        open_raw_client(server.endpoints.ws) as late,
        online(server, "quiet") as (quiet,),
        trio.open_nursery() as nursery,
    ):
        after = trio.current_time()
        await unfinished.send_fragments('{"id":"c","met', final=False)
        for client in (silent, pinging, unfinished):
            nursery.start_soon(closed_by_the_deadline, client, before, after)
        nursery.start_soon(pings, pinging)
        await trio.sleep_until(before + 1.8)
        await late.connect("ann")
        await trio.sleep_until(after + 5)
        await late.ping()
        await trio.sleep_until(after + 10)
        await quiet.ping()


async def test_j011_j012_j013_j014_j015_the_two_second_rule(open_servers: OpenServers) -> None:
    async with open_servers() as servers:
        await on_each(servers, two_second_rule)


async def test_the_deadline_is_a_setting_and_blank_messages_do_not_extend_it(open_server: OpenServer) -> None:
    async with open_server(auth={"auth_timeout_s": 0.3}) as server, open_raw_client(server.endpoints.ws) as client:
        start = trio.current_time()
        for _ in range(5):
            await client.send_text("  ")
        assert (await client.wait_closed()).code == 4001
        assert 0.3 <= trio.current_time() - start < 0.8


async def test_a_slow_upgrade_is_cut_off(open_server: OpenServer) -> None:
    async with open_server(limits={"handshake_timeout_s": 0.2}) as server:
        port = int(server.endpoints.ws.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            assert await stream.receive_some() == b""


@pytest.mark.parametrize("message", [CONNECT, [CONNECT]])
async def test_a_client_that_vanishes_leaves_no_session(open_server: OpenServer, message: Any) -> None:
    async with open_server() as server:
        async with open_raw_client(server.endpoints.ws) as client:
            await client.send(message)
        with pytest.raises(trio.ClosedResourceError):
            await client.send({})
        while server.statistics().sessions:  # noqa: ASYNC110 - the server tells nobody when a session ends
            await trio.sleep(0.01)
