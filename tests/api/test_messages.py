"""HTTP statements 57-85, 143, 146: sending and history."""

from base64 import b64encode
from typing import Any

import pytest
import trio
from api_calls import Api, P

from wukong_trio import open_client


async def test_h057_h058_h059_the_answer(api: Api) -> None:
    answer = await api.send("bob", 1, from_uid="ann", client_msg_no="c1")
    data = answer["data"]
    assert (answer["status"], answer["reason"], data["client_msg_no"], data["message_seq"]) == (200, 1, "c1", 1)
    assert type(data["message_id"]) is int
    assert answer["message_idstr"] == str(data["message_id"])
    assert answer["message_id"] == data["message_id"]
    numbers = [(await api.send("bob", 1, from_uid="ann"))["data"] for _ in range(2)]
    assert [number["message_seq"] for number in numbers] == [2, 3]
    assert numbers[0]["client_msg_no"] != numbers[1]["client_msg_no"] != ""


async def test_h060_h061_h062_refusals(api: Api) -> None:
    ref = {"channel_id": "g", "channel_type": 2}
    await api.e400("/message/send", "payload不能为空！", **ref)
    await api.e400("/message/send", "payload不能为空！")
    for payload in ("%%%", "abc", 5, [1], {"a": 1}):
        await api.e400("/message/send", "数据格式有误！", **ref, payload=payload)
    cannot = "无法处理发送消息请求！"
    await api.e400("/message/send", cannot, payload=P)
    await api.e400("/message/send", cannot, payload=P, subscribers=["u1"], header={"sync_once": 1}, **ref)
    await api.e400("/message/send", cannot, payload=P, subscribers=["u1"])
    await api.e400("/message/send", "频道ID不合法！", payload=P, channel_id="a@b", channel_type=2)
    await api.e400("/message/send", "频道ID不合法！", payload=P, channel_id="a", from_uid="x@y", channel_type=1)
    for kind in (0, 13):
        await api.e400("/message/send", "频道类型错误！", payload=P, channel_id="g", channel_type=kind)
    await api.e400("/message/send", payload=P, **ref, expire=2**32)
    await api.e400("/message/send", payload=P, **ref, from_uid="u" * 513)
    await api.e400("/message/send", payload=P, **ref, client_msg_no="n" * 513)
    half = b'{"payload":"e30=","channel_id":"g","channel_type":2,"topic":"\\ud800"}'
    await api.e400("/message/send", raw=half)
    assert (await api.send("g", payload="eyJ0\r\neXBlIjoxfQ=="))["reason"] == 1
    limit = api.server._parts.config.limits.payload_bytes
    assert (await api.send("g", payload=b64encode(bytes(limit)).decode()))["reason"] == 1
    await api.e400("/message/send", payload=b64encode(bytes(limit + 1)).decode(), **ref)


async def test_h063_h064_h065_senders(api: Api) -> None:
    async with open_client(api.server.endpoints.ws, uid="ann") as ann:
        await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["ann"])
        await api.send("g")
        assert (await ann.__anext__()).from_uid == "____system"
        await api.send("g", from_uid="stranger")
        assert (await ann.__anext__()).from_uid == "stranger"
        assert [m["from_uid"] for m in (await api.history("g"))["messages"]] == ["", "stranger"]
        for flags, code in (({"ban": 1}, 19), ({"disband": 1}, 24)):
            await api.ok("/channel/info", channel_id="g", channel_type=2, **flags)
            answer = await api.send("g")
            assert (answer["status"], answer["reason"], answer["message_seq"]) == (200, code, 0)
        await api.ok("/channel/info", channel_id="g", channel_type=2)
        assert (await api.send("g"))["message_seq"] == 3
        assert (await ann.__anext__()).message_seq == 3


async def test_h066_the_same_number_twice(api: Api) -> None:
    ids = [(await api.send("g", client_msg_no="same"))["message_id"] for _ in range(2)]
    assert ids[0] < ids[1]
    assert len((await api.history("g"))["messages"]) == 2


async def test_h067_no_persist(api: Api) -> None:
    async with open_client(api.server.endpoints.ws, uid="ann") as ann:
        assert (await api.send("ann", 1, from_uid="bob", header={"no_persist": 1}))["message_seq"] == 0
        assert (await ann.__anext__()).message_seq == 0
        assert (await api.history("bob", 1))["messages"] == []


async def test_h068_h143_commands(api: Api) -> None:
    async with open_client(api.server.endpoints.ws, uid="ann") as ann:
        await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["ann"], disband=1)
        answer = await api.send("g", header={"sync_once": 1})
        assert (answer["reason"], answer["message_seq"]) == (1, 1)
        received = await ann.__anext__()
        assert (received.channel_id, received.flags, received.message_seq) == ("g", 4, 1)
        assert (await api.history("g"))["messages"] == []
        assert (await api.send("ann", 1, from_uid="bob", header={"sync_once": 1}))["message_seq"] == 1
        assert (await ann.__anext__()).channel_id == "bob"
        assert (await api.send("ann", 1, from_uid="bob"))["message_seq"] == 1


async def test_h071_the_senders_devices_receive(api: Api) -> None:
    async with open_client(api.server.endpoints.ws, uid="ann") as ann:
        await api.send("bob", 1, from_uid="ann")
        assert (await ann.__anext__()).channel_id == "bob"


async def test_h075_h146_what_is_stored(api: Api) -> None:
    payload = b64encode(bytes(range(256))).decode()
    more = {"setting": 130, "topic": "t", "expire": 30, "header": {"red_dot": 1}, "client_msg_no": "c"}
    sent = await api.send("g", payload=payload, from_uid="ann", **more)
    [record] = (await api.history("g"))["messages"]
    assert record == {
        "header": {"no_persist": 0, "red_dot": 1, "sync_once": 0},
        "setting": 136,
        "message_id": sent["message_id"],
        "message_idstr": str(sent["message_id"]),
        "client_msg_no": "c",
        "message_seq": 1,
        "from_uid": "ann",
        "channel_id": "g",
        "channel_type": 2,
        "expire": 30,
        "timestamp": record["timestamp"],
        "payload": payload,
        "topic": "t",
    }


WINDOWS = [
    ({}, range(186, 201), 1),
    ({"start_message_seq": 100, "limit": 10}, range(91, 101), 1),
    ({"start_message_seq": 5, "limit": 10}, range(1, 6), 0),
    ({"start_message_seq": 100, "end_message_seq": 95, "limit": 10}, range(96, 101), 0),
    ({"start_message_seq": 100, "end_message_seq": 50, "limit": 10}, range(91, 101), 1),
    ({"start_message_seq": 100, "limit": 10, "pull_mode": 1}, range(100, 110), 1),
    ({"start_message_seq": 100, "end_message_seq": 105, "limit": 10, "pull_mode": 1}, range(100, 105), 0),
    ({"start_message_seq": 196, "limit": 10, "pull_mode": 1}, range(196, 201), 0),
    ({"start_message_seq": 50, "end_message_seq": 60, "limit": 10}, range(0), 0),
    ({"start_message_seq": 300, "limit": 10, "pull_mode": 1}, range(0), 0),
    ({"start_message_seq": 300, "limit": 10}, range(191, 201), 1),
    ({"start_message_seq": 10, "limit": 10}, range(1, 11), 0),
    ({"start_message_seq": 11, "limit": 10}, range(2, 12), 1),
    ({"end_message_seq": 10, "limit": 10}, range(0), 0),
    ({"end_message_seq": 10, "limit": 10, "pull_mode": 1}, range(1, 10), 0),
    ({"pull_mode": 1}, range(186, 201), 1),
    ({"limit": 0}, range(101, 201), 1),
    ({"limit": -1}, range(101, 201), 1),
    ({"limit": 100_000}, range(1, 201), 0),
]


async def test_h076_to_h083_windows_of_history(api: Api) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(api.server._parts.router.send, _command())
    for request, seqs, more in WINDOWS:
        page = await api.history("g", **({"limit": 15} | request))
        assert [m["message_seq"] for m in page["messages"]] == list(seqs), request
        assert page["more"] == more, request
        for name in ("start_message_seq", "end_message_seq", "pull_mode"):
            assert page[name] == request.get(name, 0)
    seen: list[int] = []
    start = 200
    while True:
        page = await api.history("g", start_message_seq=start, limit=30)
        seen = [m["message_seq"] for m in page["messages"]] + seen
        if not page["more"]:
            break
        start = page["messages"][0]["message_seq"] - 1
    assert seen == list(range(1, 201))
    unknown = await api.history("unknown", start_message_seq=3, end_message_seq=2)
    assert unknown == {"start_message_seq": 3, "end_message_seq": 2, "pull_mode": 0, "more": 0, "messages": []}


def _command() -> Any:
    from wukong_trio import SendCommand

    return SendCommand(from_uid="ann", channel_id="g", channel_type=2, payload=b"{}")


async def test_h084_h085_person_history(api: Api) -> None:
    sync = "/channel/messagesync"
    await api.e400(sync, "login_uid不能为空！", channel_id="A", channel_type=1)
    await api.e400(sync, "channel_id不能为空！")
    await api.e400(sync, channel_id="A", login_uid="B", channel_type=1, start_message_seq=-1)
    await api.send("B", 1, from_uid="A")
    await api.send("A", 1, from_uid="B")
    pages = [(await api.history("B", 1, "A"))["messages"], (await api.history("A", 1, "B"))["messages"]]
    assert pages[0] == pages[1]
    assert [(m["from_uid"], m["channel_id"]) for m in pages[0]] == [("A", "B"), ("B", "A")]
    await api.send("B", 1)
    [record] = (await api.history("____system", 1, "B"))["messages"]
    assert (record["from_uid"], record["channel_id"]) == ("", "B")


@pytest.mark.parametrize("alias", [{"sender_uid": "ann"}, {"from_uid": "ann"}])
async def test_aliases_of_other_versions(api: Api, alias: dict[str, str]) -> None:
    await api.send("g", **alias, sync_once=0, device_id="x", tag_key="y", stream_no="z")
    assert (await api.history("g"))["messages"][0]["from_uid"] == "ann"
