"""HTTP statements 86-90 and what goes with them: messages by their names, the end of a channel, many pages at once."""

from typing import Any

import httpx
import pytest
from api_calls import Api, P

from wukong_trio.api import history, lookups

GROUP = {"channel_id": "g", "channel_type": 2}
NOT_FOUND = {"status": 404}
NO_MESSAGES = {"start_message_seq": 0, "end_message_seq": 0, "more": 0, "messages": []}


async def fill(api: Api, count: int) -> list[int]:
    """Sends messages c1, c2, … to the group; returns their ids."""
    return [(await api.send("g", client_msg_no=f"c{n}", from_uid="ann"))["message_id"] for n in range(1, count + 1)]


async def found(api: Api, **names: object) -> list[int]:
    """The sequence numbers of what `/messages` gives."""
    answer = await api.post("/messages", {"login_uid": "ann", **GROUP, **names})
    assert {name: answer[name] for name in ("start_message_seq", "end_message_seq", "more")} == {
        "start_message_seq": 0,
        "end_message_seq": 0,
        "more": 0,
    }
    return [record["message_seq"] for record in answer["messages"]]


async def refused(api: Api, path: str, message: str, **query: str | int) -> None:
    answer = await api.http.get(path, params=query)
    assert (answer.status_code, answer.json()) == (400, {"msg": message, "status": 400})


async def get(api: Api, path: str, **query: str | int) -> Any:
    return await api.get(str(httpx.URL(path, params=query)))


async def test_h086_the_last_number_of_a_channel(api: Api) -> None:
    path = "/channel/max_message_seq"
    assert await get(api, path, **GROUP) == {"message_seq": 0}
    await fill(api, 3)
    await api.send("g", header={"no_persist": 1})
    await api.send("g", header={"sync_once": 1})
    assert await get(api, path, **GROUP) == {"message_seq": 3}
    assert await get(api, path, channel_id="g____cmd", channel_type=2) == {"message_seq": 1}
    assert await get(api, path, channel_id="g") == {"message_seq": 0}
    await api.ok("/channel", channel_id="empty", channel_type=2, subscribers=["ann"])
    assert await get(api, path, channel_id="empty", channel_type=2) == {"message_seq": 0}
    for _ in range(2):
        await api.send("alice", 1, from_uid="bob")
    for query in ({"channel_id": "alice", "login_uid": "bob"}, {"channel_id": "bob@alice"}):
        assert await get(api, path, channel_type=1, **query) == {"message_seq": 2}
    assert await get(api, path, channel_type=1, channel_id="alice@bob") == {"message_seq": 0}
    await refused(api, path, "channel_id不能为空", channel_type=2)
    await refused(api, path, "login_uid不能为空", channel_id="alice", channel_type=1)


async def test_h087_h088_messages_by_their_names(api: Api) -> None:
    ids = await fill(api, 5)
    other = (await api.send("other", client_msg_no="c9"))["message_id"]
    assert await found(api, message_seqs=[3, 999, 1]) == [3, 1]
    assert await found(api, message_ids=[ids[3], 12345, ids[0]]) == [4, 1]
    assert await found(api, client_msg_nos=["c5", "nosuch", "c2"]) == [5, 2]
    assert await found(api, message_seqs=[2], message_ids=[ids[3], ids[1]], client_msg_nos=["c3", "c2"]) == [
        2,
        4,
        2,
        3,
        2,
    ]
    assert await found(api, message_ids=[other, 0], client_msg_nos=["c9", ""], message_seqs=[0]) == []
    assert await found(api) == []
    assert await found(api, message_seqs=None, message_ids=None, client_msg_nos=None) == []
    unknown = {"channel_id": "unknown", "channel_type": 2, "message_seqs": [1]}
    assert await api.post("/messages", unknown) == NO_MESSAGES


async def test_h088_of_several_messages_with_one_number_the_newest(api: Api) -> None:
    for _ in range(3):
        await api.send("g", client_msg_no="same")
    assert await found(api, client_msg_nos=["same"]) == [3]
    assert (await api.post("/message", {**GROUP, "client_msg_no": "same"}))["message_seq"] == 3
    earliest = await get(api, "/message/byclientmsgno", **GROUP, client_msg_no="same")
    assert earliest["message_seq"] == 1


async def test_h088_a_person_channel_by_its_peer(api: Api) -> None:
    sent = await api.send("bob", 1, from_uid="ann", client_msg_no="p1")
    for login_uid, peer in (("ann", "bob"), ("bob", "ann")):
        ref = {"login_uid": login_uid, "channel_id": peer, "channel_type": 1}
        [record] = (await api.post("/messages", {**ref, "message_seqs": [1]}))["messages"]
        assert (record["from_uid"], record["channel_id"]) == ("ann", "bob")
        assert await api.post("/message", {**ref, "message_id": sent["message_id"]}) == record
    assert await api.post("/messages", {"channel_id": "bob", "channel_type": 1, "message_seqs": [1]}) == NO_MESSAGES


async def test_h087_refusals(api: Api) -> None:
    await api.e400("/messages", "channel_id不能为空！", channel_type=2, message_seqs=[1])
    for wrong in ({"message_seqs": [-1]}, {"message_ids": ["5"]}, {"client_msg_nos": [5]}, {"message_seqs": 1}):
        await api.e400("/messages", "数据格式有误！", **GROUP, **wrong)
    assert await found(api, message_seqs=list(range(lookups.MAX_NAMED))) == []
    text = "more than 10000 messages are asked for; ask in several calls"
    await api.e400("/messages", text, **GROUP, message_seqs=list(range(lookups.MAX_NAMED)), client_msg_nos=["c"])


async def test_h089_one_message(api: Api) -> None:
    ids = await fill(api, 3)
    record = await api.post("/message", {**GROUP, "message_id": ids[1]})
    assert (record["message_seq"], record["client_msg_no"], record["payload"]) == (2, "c2", P)
    assert await api.post("/message", {**GROUP, "client_msg_no": "c2"}) == record
    assert await api.post("/message", {**GROUP, "message_id": ids[1], "client_msg_no": "c3"}) == record
    for names in ({"message_id": 12345}, {"client_msg_no": "nosuch"}, {}, {"message_id": 12345, "client_msg_no": "c2"}):
        assert await api.post("/message", {**GROUP, **names}) == NOT_FOUND
    other = {"channel_id": "other", "channel_type": 2}
    await api.send("other")
    assert await api.post("/message", {**other, "message_id": ids[1]}) == NOT_FOUND
    await api.e400("/message", "channel_id不能为空！", channel_type=2, message_id=1)
    await api.e400("/message", "channel_type不能为0", channel_id="g", message_id=1)
    await api.e400("/message", "login_uid不能为空！", channel_id="bob", channel_type=1, message_id=1)
    await api.e400("/message", "数据格式有误！", **GROUP, message_id=str(ids[1]))


async def test_h089_by_client_number(api: Api) -> None:
    path = "/message/byclientmsgno"
    await fill(api, 2)
    await api.send("alice", 1, from_uid="bob", client_msg_no="p1")
    assert (await get(api, path, **GROUP, client_msg_no="c2"))["message_seq"] == 2
    assert await get(api, path, **GROUP, client_msg_no="nosuch") == NOT_FOUND
    ways = {"channel_id": "bob@alice"}, {"channel_id": "bob", "login_uid": "alice"}
    for way in ways:
        assert (await get(api, path, channel_type=1, client_msg_no="p1", **way))["channel_id"] == "alice"
    assert await get(api, path, channel_type=1, client_msg_no="p1", channel_id="bob") == NOT_FOUND
    await refused(api, path, "channel_id不能为空", channel_type=2, client_msg_no="c")
    await refused(api, path, "channel_type不能为0", channel_id="g", client_msg_no="c")
    await refused(api, path, "client_msg_no不能为空", **GROUP)


async def test_h090_the_last_message(api: Api) -> None:
    path = "/channel/last_message"
    assert await get(api, path, **GROUP) == NOT_FOUND
    await fill(api, 2)
    last = await get(api, path, **GROUP)
    assert (last["message_seq"], last["client_msg_no"], last["from_uid"]) == (2, "c2", "ann")
    await api.send("bob", 1, from_uid="ann")
    assert (await get(api, path, channel_id="ann", channel_type=1, login_uid="bob"))["channel_id"] == "bob"
    await refused(api, path, "channel_id不能为空")
    await refused(api, path, "login_uid不能为空", channel_id="ann@bob", channel_type=1)


async def test_pages_of_several_channels(api: Api) -> None:
    for n in range(1, 6):
        await api.send("g", client_msg_no=f"c{n}")
    await api.send("bob", 1, from_uid="ann")
    await api.send("ann", 1, from_uid="bob")
    items = [
        {**GROUP, "start_message_seq": 4, "limit": 2},
        {"channel_id": "bob", "channel_type": 1, "limit": 10},
        {"channel_id": "", "channel_type": 2},
        {"channel_id": "unknown", "channel_type": 2, "end_message_seq": 7, "pull_mode": 1},
        {**GROUP, "start_message_seq": 4, "pull_mode": 1, "limit": None},
        None,
    ]
    answer = await api.post("/channel/messagesyncbatch", {"login_uid": "ann", "items": items})
    assert [[record["message_seq"] for record in item.pop("messages")] for item in answer["items"]] == [
        *([3, 4], [1, 2], [], [], [4, 5], []),
    ]
    place = {"start_message_seq": 0, "end_message_seq": 0}
    missing = {**place, "channel_id": "", "more": 0, "error": "channel_id不能为空！"}
    assert answer["items"] == [
        {**GROUP, **place, "start_message_seq": 4, "more": 1},
        {**place, "channel_id": "bob", "channel_type": 1, "more": 0},
        {**missing, "channel_type": 2},
        {**place, "channel_id": "unknown", "channel_type": 2, "end_message_seq": 7, "more": 0},
        {**GROUP, **place, "start_message_seq": 4, "more": 0},
        {**missing, "channel_type": 0},
    ]


async def test_several_pages_show_a_person_channel_as_the_peer(api: Api) -> None:
    await api.send("bob", 1, from_uid="ann")
    await api.send("ann", 1, from_uid="bob")
    for viewer, peer in (("ann", "bob"), ("bob", "ann")):
        body = {"login_uid": viewer, "items": [{"channel_id": peer, "channel_type": 1}]}
        [item] = (await api.post("/channel/messagesyncbatch", body))["items"]
        assert [record["channel_id"] for record in item["messages"]] == [peer, peer]


async def test_several_pages_have_limits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/channel/messagesyncbatch"
    await api.e400(path, "login_uid不能为空！", items=[GROUP])
    for count, right in ((0, False), (1, True), (200, True), (201, False)):
        if right:
            assert len((await api.post(path, {"login_uid": "ann", "items": [GROUP] * count}))["items"]) == count
        else:
            await api.e400(path, "items must have 1 to 200 entries", login_uid="ann", items=[GROUP] * count)
    await api.e400(path, "数据格式有误！", login_uid="ann", items=[{**GROUP, "start_message_seq": -1}])
    await fill(api, 4)
    monkeypatch.setattr(history, "PAGE_BYTES", 25)
    answer = await api.post(path, {"login_uid": "ann", "items": [GROUP] * 3})
    assert [([m["message_seq"] for m in item["messages"]], item["more"]) for item in answer["items"]] == [
        ([3, 4], 1),
        ([4], 1),
        ([], 0),
    ]
    assert [item.get("error", "") for item in answer["items"]] == ["", "", history.ANSWER_FULL]
