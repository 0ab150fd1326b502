"""Statements 40-60: envelope, ping, disconnect, heartbeat."""

from typing import Any

import pytest
import trio
from steps import OpenServer, history, online, receive_for_ever, send_params, sent

from wukong_trio.testing import RawClient, SocketClosed, open_raw_client


async def error_of(client: RawClient, frame: Any) -> tuple[Any, int]:
    """Sends a frame that has to be answered with an error; returns id and code."""
    if isinstance(frame, str):
        await client.send_text(frame)
    else:
        await client.send(frame)
    answer = await client.receive()
    assert "result" not in answer
    assert isinstance(answer["error"]["message"], str)
    return answer["id"], answer["error"]["code"]


async def test_j040_j041_j042_malformed_and_unknown(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        assert await error_of(ann, "{bad") == (None, -32007)
        await ann.ping()
        assert await error_of(ann, {"id": "x", "method": "nosuch"}) == ("x", -32601)
        await ann.ping()
        await ann.send({"method": "nosuch"})
        await ann.ping()
        assert await error_of(ann, "hello") == (None, -32007)
        await ann.ping()


async def test_j043_j044_sends_without_parameters_or_id(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        assert await error_of(ann, {"id": "x", "method": "send"}) == ("x", -32002)
        assert await error_of(ann, {"id": "x", "method": "send", "params": []}) == ("x", -32002)
        assert await error_of(ann, {"method": "send", "params": send_params()}) == (None, -32007)
        assert await history(server, "bob") == []


async def test_j045_j046_ids(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        assert await error_of(ann, {"id": 1.5, "method": "ping"}) == (None, -32007)
        for id_ in (5, "", "x" * 256, -(2**53) + 1):
            assert (await ann.call("ping", id_=id_))["result"] == {}


async def test_j047_j048_j049_responses_second_connect_subscribe(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        assert await error_of(ann, {"id": "x"}) == ("x", -32007)
        await ann.send({"id": "x", "result": {}})
        await ann.ping()
        for params in ({"uid": "eve", "token": "t"}, {}, None):
            assert await error_of(ann, {"id": "c", "method": "connect", "params": params}) == ("c", -32002)
        await ann.ping()
        await sent(ann)
        assert (await bob.receive())["params"]["fromUid"] == "ann"
        assert await error_of(ann, {"id": "x", "method": "subscribe", "params": {}}) == ("x", -32601)


async def test_j050_unknown_members(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        params = send_params(header={"redDot": True, "new": [1]}, surprise={"a": None})
        await ann.send({"id": "s", "method": "send", "params": params, "meta": 1, "jsonrpc": "2.0"})
        assert (await ann.receive())["result"]["messageSeq"] == 1
        assert (await bob.receive())["params"]["header"]["redDot"] is True


async def test_j051_too_many_errors(open_server: OpenServer) -> None:
    async with open_server() as server:
        async with online(server, "ann") as (ann,):
            for _ in range(16):
                await error_of(ann, "{bad")
            await ann.ping()
            await error_of(ann, "{bad")
            closed = await ann.wait_closed()
            assert (closed.code, closed.reason) == (1008, "too many errors")
        async with online(server, "ann") as (ann,):
            for _ in range(30):
                assert "error" in await ann.call("send", send_params("nogroup", 2))
            await ann.ping()


async def test_j052_j053_batches(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await ann.send([{"id": "a", "method": "ping"}, {"id": "b", "method": "ping"}])
        assert [(entry["id"], entry["result"]) for entry in await ann.receive()] == [("a", {}), ("b", {})]
        assert await error_of(ann, []) == (None, -32007)
        await ann.send([{"method": "recvack", "params": {"messageId": "1"}}])
        await ann.ping()
        await ann.send([{"id": "a", "method": "ping"}, 5])
        good, bad = await ann.receive()
        assert (good["id"], good["result"]) == ("a", {})
        assert (bad["id"], bad["error"]["code"]) == (None, -32007)
        assert await error_of(ann, [{"method": "ping"}] * 65) == (None, -32006)
        await ann.send(
            [
                {"id": "s1", "method": "send", "params": send_params(number="1")},
                {"id": "p", "method": "ping"},
                {"id": "s2", "method": "send", "params": send_params("nogroup", 2)},
                {"id": "s3", "method": "send", "params": send_params(number="3")},
            ]
        )
        answers = await ann.receive()
        assert [answer["id"] for answer in answers] == ["s1", "p", "s2", "s3"]
        assert [answers[n]["result"]["messageSeq"] for n in (0, 3)] == [1, 2]
        assert answers[2]["error"]["code"] == -32003
        assert [(await bob.receive())["params"]["messageSeq"] for _ in range(2)] == [1, 2]


async def test_answers_keep_the_order_of_requests(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for n in range(50):
            await ann.send({"id": f"s{n}", "method": "send", "params": send_params(number=f"m{n}")})
            await ann.send({"id": f"p{n}", "method": "ping"})
            await ann.send([{"id": f"b{n}", "method": "ping"}])
        for n in range(50):
            assert (await ann.receive())["id"] == f"s{n}"
            assert (await ann.receive())["id"] == f"p{n}"
            assert (await ann.receive())[0]["id"] == f"b{n}"


async def test_j054_a_message_beyond_the_limit(open_server: OpenServer) -> None:
    async with open_server() as server:
        async with online(server, "ann") as (ann,):
            head, tail = '{"id":"p","method":"ping","params":"', '"}'
            fill = 2 * 1024 * 1024 - len(head) - len(tail)
            await ann.send_text(head + "x" * fill + tail)
            assert (await ann.receive())["result"] == {}
            await ann.send_text(head + "x" * (fill + 1) + tail)
            assert (await ann.wait_closed()).code == 1009
        async with online(server, "ann") as (ann,):
            try:
                for _ in range(3):
                    await ann.send_fragments("x" * 1024 * 1024, final=False)
            except trio.BrokenResourceError:
                return
            assert (await ann.wait_closed()).code == 1009


async def test_j055_j056_ping(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for more in ({}, {"params": {}}, {"params": None}):
            await ann.send({"method": "ping", "id": "p", **more})
            assert await ann.receive_text() == '{"jsonrpc":"2.0","id":"p","result":{}}'
        await ann.send({"method": "ping"})
        await ann.ping()


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


async def test_j059_the_idle_limit(open_server: OpenServer) -> None:
    async def closed_in_time(client: RawClient, start: float) -> None:
        with pytest.raises(SocketClosed, match="4004"):
            await receive_for_ever(client)
        assert 3.0 <= trio.current_time() - start < 3.5

    async with (
        open_server(limits={"conn_idle_time_s": 3}) as server,
        online(server, "silent", "listener", "alive", "talker") as (silent, listener, alive, talker),
        trio.open_nursery() as nursery,
    ):
        start = trio.current_time()
        for client in (silent, listener):
            await client.ping()
            nursery.start_soon(closed_in_time, client, start)
        for n in range(5):
            await alive.send_ping()
            await sent(talker, "listener", number=f"m{n}")
            await trio.sleep_until(start + n + 1)
        await alive.ping()


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
