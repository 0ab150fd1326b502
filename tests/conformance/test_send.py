"""Statements 61-76 and 111-113: results, validation, repeated sends."""

import json
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from steps import OpenServer, group, history, online, refused, send, send_params, sent


async def test_j061_j062_the_result(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "sdk:bob") as (ann, bob):
        result = await sent(ann, "user123", number="msg-001")
        assert list(result) == ["clientMsgNo", "messageId", "messageSeq", "timestamp", "reasonCode"]
        assert result["clientMsgNo"] == "msg-001"
        assert type(result["messageId"]) is int
        assert (result["messageSeq"], result["reasonCode"]) == (1, 1)
        assert abs(result["timestamp"] - time.time()) < 2
        message_id = (await sent(bob, "user123"))["messageId"]
        assert isinstance(message_id, str)
        assert message_id.isdecimal()


async def test_j063_j064_j065_numbers(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        first, second = await sent(ann, number="1"), await sent(ann, number="2")
        assert (first["messageSeq"], second["messageSeq"]) == (1, 2)
        assert first["messageId"] < second["messageId"] <= 2**53 - 1
        await ann.ping()
        assert [(await bob.receive())["params"]["messageSeq"] for _ in range(2)] == [1, 2]
        assert (await sent(bob, "ann"))["messageSeq"] == 3
        assert (await ann.receive())["params"]["messageSeq"] == 3
        assert (await sent(ann, "cid"))["messageSeq"] == 1


MISSING = [{name: value} for name in ("clientMsgNo", "channelId", "channelType", "payload") for value in (None, ...)]


async def test_j066_j067_required_fields_and_ranges(open_server: OpenServer) -> None:
    wrong: list[dict[str, Any]] = [
        *MISSING,
        {"clientMsgNo": ""},
        {"channelId": ""},
        {"channelId": "  "},
        *({"channelType": value} for value in (0, -1, 13, 256, "1", 1.5, True)),
        {"clientMsgNo": "m" * 513},
        {"channelId": "c" * 513},
        {"topic": "t" * 513},
        {"expire": -1},
        {"expire": 2**32},
        {"expire": "1"},
        {"setting": 256},
        {"setting": "x"},
    ]
    async with open_server() as server, online(server, "ann") as (ann,):
        for change in wrong:
            params = {k: v for k, v in {**send_params(), **change}.items() if v is not ...}
            answer = await ann.call("send", params)
            assert answer["error"]["code"] == -32002, change
        assert server.statistics().stored == 0
        limits = {"number": "m" * 512, "topic": "t" * 512, "expire": 2**32 - 1, "setting": 255}
        assert (await sent(ann, "c" * 512, 1, **limits))["messageSeq"] == 1


@pytest.mark.parametrize("payload", ["@@@", "abc", 5, True, "{bad"])
async def test_j068_payloads_that_cannot_be_decoded(open_server: OpenServer, payload: object) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        assert await refused(ann, payload=payload) == (-32007, 9)
        assert server.statistics().stored == 0


@pytest.mark.parametrize(
    ("payload", "seen"),
    [
        ("", ""),
        ({"a": 1}, "eyJhIjoxfQ=="),
        ('{"a":1}', "eyJhIjoxfQ=="),
        ([1, 2], b64encode(b"[1,2]").decode()),
        ("eyJh\r\nIjoxfQ==", "eyJhIjoxfQ=="),
    ],
)
async def test_j069_j070_forms_of_payload(open_server: OpenServer, payload: object, seen: str) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await sent(ann, payload=payload)
        assert (await bob.receive())["params"]["payload"] == seen


async def test_j071_the_size_of_a_payload(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for size, outcome in ((524288, None), (524289, -32006)):
            answer = await send(ann, payload=b64encode(bytes(size)).decode())
            assert answer.get("error", {}).get("code") == outcome
        wrapped = {"x": "y" * (524288 - len('{"x":""}'))}
        assert len(json.dumps(wrapped, separators=(",", ":"))) == 524288
        assert "result" in await send(ann, payload=wrapped, number="m2")
        assert (await send(ann, payload={"x": wrapped["x"] + "y"}))["error"]["code"] == -32006
        await ann.ping()


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ({"redDot": 1}, True),
        ({"redDot": True}, True),
        ({"redDot": "yes"}, False),
        (None, True),
        ([], False),
        (5, False),
    ],
)
async def test_j072_headers(open_server: OpenServer, header: object, accepted: bool) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        answer = await send(ann, header=header)
        assert ("result" in answer) is accepted
        if not accepted:
            assert answer["error"]["code"] == -32002


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        (136, {"receipt": True, "topic": True}),
        ({"receipt": True}, {"receipt": True}),
        ({"receipt": 1, "topic": 0}, {"receipt": True}),
        ({}, None),
        (None, None),
        (0, None),
    ],
)
async def test_j073_settings(open_server: OpenServer, setting: object, seen: object) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await sent(ann, setting=setting)
        params = (await bob.receive())["params"]
        assert params.get("setting") == seen
        assert ("setting" in params) is (seen is not None)


async def test_j074_both_spellings(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob", "cid") as (ann, bob, cid):
        snake = {"client_msg_no": "m1", "channel_id": "bob", "channel_type": 1, "payload": "", "header": {"red_dot": 1}}
        assert (await ann.call("send", snake))["result"]["clientMsgNo"] == "m1"
        assert (await bob.receive())["params"]["header"]["redDot"] is True
        await ann.call("send", {**snake, "channelId": "cid", "clientMsgNo": "m2"})
        assert (await cid.receive())["params"]["clientMsgNo"] == "m2"
        await bob.ping()


async def test_j075_person_channel_ids(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "alice", "bob") as (alice, bob):
        for wrong in ("x@y", "y@x", "x#y", "x&y", "alice@bob", "@alice", "alice@"):
            assert await refused(alice, wrong) == (-32002, 16)
        assert (await sent(alice, "bob@alice"))["messageSeq"] == 1
        assert (await bob.receive())["params"]["channelId"] == "alice"
        assert (await sent(alice, "bob", number="m2"))["messageSeq"] == 2


async def test_j076_internal_channels(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for name in ("g____cmd", "systemcmdonline"):
            assert (await refused(ann, name, 2))[0] == -32002


async def test_j111_j112_j113_repeated_sends(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob", "cid") as (ann, bob, cid):
        first = await sent(ann)
        assert await sent(ann) == first
        await bob.receive()
        await bob.ping()
        assert len(await history(server, "bob")) == 1
        assert (await sent(ann, payload="e30="))["messageSeq"] == 2
        assert (await bob.receive())["params"]["payload"] == "e30="
        assert (await sent(ann, "cid"))["messageSeq"] == 1
        await cid.receive()
        assert (await sent(cid, "bob"))["messageSeq"] == 1
        assert (await sent(ann, number="np", header={"noPersist": True}))["messageSeq"] == 0
        assert (await sent(ann, number="np", header={"noPersist": True}))["messageSeq"] == 0
        assert [(await bob.receive())["params"]["clientMsgNo"] for _ in range(3)] == ["m1", "np", "np"]


async def test_a_number_sent_with_several_payloads_has_several_originals(
    open_server: OpenServer, tmp_path: Path
) -> None:
    payloads = [b64encode(b'{"a":%d}' % n).decode() for n in range(3)]
    async with open_server(data_dir=tmp_path) as server, online(server, "ann") as (ann,):
        first = [await sent(ann, payload=payload) for payload in payloads]
        assert [result["messageSeq"] for result in first] == [1, 2, 3]
        assert [await sent(ann, payload=payload) for payload in payloads] == first
        batch = [{"id": p, "method": "send", "params": send_params(payload=p)} for p in payloads[::-1]]
        await ann.send(batch)
        assert [answer["result"] for answer in await ann.receive()] == first[::-1]
    for _ in range(2):
        async with open_server(data_dir=tmp_path) as server, online(server, "ann") as (ann,):
            assert [await sent(ann, payload=payload) for payload in payloads] == first
            assert len(await history(server, "bob")) == 3


async def test_a_repetition_right_behind_the_first_send(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await ann.send([{"id": str(n), "method": "send", "params": send_params()} for n in range(3)])
        results = [answer["result"] for answer in await ann.receive()]
        assert results[0] == results[1] == results[2]
        await bob.receive()
        await bob.ping()


async def test_j111_a_refused_send_is_not_an_original(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        assert (await refused(ann, "g", 2))[0] == -32003
        await group(server, "ann")
        assert (await sent(ann, "g", 2))["messageSeq"] == 1


async def test_the_memory_for_repetitions_is_bounded(open_server: OpenServer) -> None:
    async with open_server(idempotency={"keys": 2}) as server, online(server, "ann") as (ann,):
        for number, seq in (("a", 1), ("b", 2), ("a", 1), ("c", 3), ("b", 2), ("a", 4)):
            assert (await sent(ann, number=number))["messageSeq"] == seq


async def test_j111_repetitions_are_recognised_over_a_restart(open_server: OpenServer, tmp_path: Path) -> None:
    async with open_server(data_dir=tmp_path) as server, online(server, "ann") as (ann,):
        first = await sent(ann)
    async with open_server(data_dir=tmp_path) as server, online(server, "ann") as (ann,):
        assert await sent(ann) == first
        second = await sent(ann, number="m2")
        assert second["messageSeq"] == 2
        assert second["messageId"] > first["messageId"]


async def test_rate_limit(open_server: OpenServer) -> None:
    async with open_server(limits={"rate_limit_per_s": 3}) as server, online(server, "ann", "bob") as (ann, bob):
        for n in range(3):
            await sent(ann, number=f"m{n}")
        assert await refused(ann) == (-32005, 22)
        await bob.receive()
        await ann.ping()


@pytest.mark.parametrize("flood", [300])
async def test_a_sender_with_too_many_sends_under_way_is_slowed_not_lost(open_server: OpenServer, flood: int) -> None:
    async with open_server(limits={"sends_in_flight": 4}) as server, online(server, "ann") as (ann,):
        for n in range(flood):
            await ann.send({"id": str(n), "method": "send", "params": send_params(number=f"m{n}")})
        assert [(await ann.receive())["id"] for _ in range(flood)] == [str(n) for n in range(flood)]
