"""Statements 40-54: the envelope after authentication."""

from contextlib import suppress
from typing import Any

import trio
from steps import OpenServer, history, online, send_params, sent

from wukong_trio.testing import RawClient


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
        wrong_ids: list[object] = [1.5, True, [], {}, "x" * 257, 2**53]
        for wrong in wrong_ids:
            assert await error_of(ann, {"id": wrong, "method": "ping"}) == (None, -32007)
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
        for method in ("subscribe", "unsubscribe"):
            assert await error_of(ann, {"id": "x", "method": method, "params": {}}) == ("x", -32601)


async def test_j050_unknown_members(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        params = send_params(header={"redDot": True, "new": [1]}, surprise={"a": None})
        await ann.send({"id": "s", "method": "send", "params": params, "meta": 1, "jsonrpc": "2.0"})
        assert (await ann.receive())["result"]["messageSeq"] == 1
        assert (await bob.receive())["params"]["header"]["redDot"] is True


async def test_j051_too_many_errors(open_server: OpenServer) -> None:
    async with open_server() as server:
        async with online(server, "ann") as (ann,):
            for _ in range(8):
                assert await error_of(ann, "{bad") == (None, -32007)
                assert await error_of(ann, {"id": "x", "method": "nosuch"}) == ("x", -32601)
            await ann.ping()
            assert await error_of(ann, "{bad") == (None, -32007)
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
        await ann.send([{"id": n, "method": "ping"} for n in range(64)])
        assert [(entry["id"], entry["result"]) for entry in await ann.receive()] == [(n, {}) for n in range(64)]
        assert await error_of(ann, [{"id": n, "method": "ping"} for n in range(65)]) == (None, -32006)
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


async def send_until_closed(client: RawClient, fragments: list[str]) -> None:
    """Sends an unfinished message; the server may hang up before it has read it all."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await client.send_fragments(*fragments, final=False)


async def test_j054_a_message_beyond_the_limit(open_server: OpenServer) -> None:
    async with open_server() as server:
        async with online(server, "ann") as (ann,):
            head, tail = '{"id":"p","method":"ping","params":"', '"}'
            fill = 2 * 1024 * 1024 - len(head) - len(tail)
            await ann.send_text(head + "x" * fill + tail)
            assert (await ann.receive())["result"] == {}
            await ann.send_text(head + "x" * (fill + 1) + tail)
            assert (await ann.wait_closed()).code == 1009
        for fragments in (["x" * 3 * 1024 * 1024], ["x" * 1024 * 1024] * 3):
            async with online(server, "ann") as (ann,), trio.open_nursery() as nursery:
                nursery.start_soon(send_until_closed, ann, fragments)
                assert (await ann.wait_closed()).code == 1009
