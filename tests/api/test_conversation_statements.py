"""Conversations and missed commands over HTTP; the numbers are those of the contract's checklist."""

from typing import Any

import pytest
import trio
from api_calls import OK, Api, OpenServer

from wukong_trio import open_client
from wukong_trio.api.conversations import KNOWN_BYTES
from wukong_trio.model import person_channel_id

OTHERS = {"A": "B", "B": "A"}


async def conversations(api: Api, uid: str, *, version: int = 0, msg_count: int = 2, **more: object) -> Any:
    return await api.post("/conversation/sync", {"uid": uid, "version": version, "msg_count": msg_count, **more})


async def one(api: Api, uid: str, **more: object) -> Any:
    [record] = await conversations(api, uid, **more)
    return record


async def say(api: Api, from_uid: str, to: str = "", count: int = 1, **more: object) -> None:
    """A person message of A to B, or of B to A, unless it goes to somebody else."""
    for _ in range(count):
        await api.send(to or OTHERS[from_uid], 1, from_uid=from_uid, **more)


async def clear(api: Api, uid: str, channel_id: str = "", channel_type: int = 1) -> None:
    await api.ok("/conversations/clearUnread", uid=uid, channel_id=channel_id or OTHERS[uid], channel_type=channel_type)


async def set_unread(api: Api, unread: int, uid: str = "B") -> None:
    await api.ok("/conversations/setUnread", uid=uid, channel_id=OTHERS[uid], channel_type=1, unread=unread)


async def delete(api: Api, uid: str, channel_id: str = "", channel_type: int = 1) -> None:
    await api.ok("/conversations/delete", uid=uid, channel_id=channel_id or OTHERS[uid], channel_type=channel_type)


def position(record: Any) -> tuple[int, int, int]:
    return record["unread"], record["readed_to_msg_seq"], record["last_msg_seq"]


def seqs(record: Any) -> list[int]:
    return [message["message_seq"] for message in record["recents"]]


# Members


async def test_h045_a_new_member_has_read_what_was_said_before(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["ann"])
    for _ in range(5):
        await api.send("g", from_uid="ann")
    await api.ok("/channel/subscriber_add", channel_id="g", channel_type=2, subscribers=["new"])
    assert position(await one(api, "new", msg_count=1)) == (0, 5, 5)
    await api.send("g", from_uid="ann")
    assert position(await one(api, "new", msg_count=1)) == (1, 5, 6)


async def test_h046_who_was_removed_has_no_conversation(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["ann", "bob"])
    await api.send("g", from_uid="ann")
    assert len(await conversations(api, "bob")) == 1
    await api.ok("/channel/subscriber_remove", channel_id="g", channel_type=2, subscribers=["bob"])
    await api.send("g", from_uid="ann")
    assert await conversations(api, "bob") == []
    assert len(await conversations(api, "ann")) == 1
    for uid in ("bob", "eve"):
        await clear(api, uid, "g", 2)
        await api.ok("/conversations/setUnread", uid=uid, channel_id="g", channel_type=2, unread=1)
        assert await conversations(api, uid) == []


async def test_h068_a_command_changes_no_conversation(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["ann"])
    await api.send("g", from_uid="bob")
    before = await conversations(api, "ann")
    await api.send("g", from_uid="bob", header={"sync_once": 1})
    assert await conversations(api, "ann") == before
    await api.send("ann", 1, from_uid="bob", header={"sync_once": 1})
    assert await conversations(api, "ann") == before


# Commands


async def command(api: Api, *uids: str, **more: object) -> Any:
    body = {"subscribers": list(uids), "header": {"sync_once": 1}, "payload": "e30=", **more}
    return (await api.post("/message/send", body))["message_id"]


async def commands(api: Api, uid: str, **more: object) -> Any:
    return await api.post("/message/sync", {"uid": uid, **more})


async def ids(api: Api, uid: str, **more: object) -> list[int]:
    return [record["message_id"] for record in await commands(api, uid, **more)]


async def ack(api: Api, uid: str) -> None:
    await api.ok("/message/syncack", uid=uid, last_message_seq=7)


async def test_h069_a_command_to_named_users_waits_for_them(api: Api) -> None:
    sent = await command(api, "u1", "u2")
    assert await ids(api, "u1") == await ids(api, "u2") == [sent]
    assert await ids(api, "u3") == []
    await ack(api, "u1")
    assert (await ids(api, "u1"), await ids(api, "u2")) == ([], [sent])


async def test_h070_a_command_that_is_not_stored_does_not_wait(api: Api) -> None:
    await command(api, "u1", header={"sync_once": 1, "no_persist": 1})
    assert await commands(api, "u1") == []


async def test_h092_h093_h096_commands_come_until_they_are_acknowledged(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["u1", "ann"])
    sent = [(await api.send("g", header={"sync_once": 1}))["message_id"] for _ in range(2)]
    records = await commands(api, "u1")
    assert await commands(api, "u1") == records
    assert [record["message_id"] for record in records] == sent
    assert {(record["channel_id"], record["header"]["sync_once"], record["from_uid"]) for record in records} == {
        ("g", 1, "")
    }
    assert [record["message_seq"] for record in records] == [1, 2]
    await ack(api, "u1")
    assert await commands(api, "u1") == []
    await ack(api, "u1")
    await api.send("u1", 1, from_uid="ann", header={"sync_once": 1})
    [record] = await commands(api, "u1")
    assert (record["channel_id"], record["channel_type"], record["from_uid"]) == ("u1", 1, "ann")
    assert await ids(api, "ann") == sent


async def test_h094_an_acknowledgement_without_a_fetch_loses_nothing(api: Api) -> None:
    sent = await command(api, "u1")
    await api.e400("/message/syncack", "最后一次messageSeq不能为0！", uid="u1", last_message_seq=0)
    await api.e400("/message/syncack", "用户UID不能为空！", uid=" ", last_message_seq=1)
    await ack(api, "u1")
    assert await ids(api, "u1") == [sent]


async def test_h095_commands_one_by_one(api: Api) -> None:
    sent = [await command(api, "u1"), await command(api, "u1", "u2"), await command(api, "u1")]
    for message_id in sent:
        assert await ids(api, "u1", limit=1) == [message_id]
        await ack(api, "u1")
    assert await ids(api, "u1", limit=1) == []


async def test_h092_channels_of_commands_follow_one_another(api: Api) -> None:
    first, second, third = await command(api, "u1"), await command(api, "u1", "u2"), await command(api, "u1")
    assert await ids(api, "u1") == [first, third, second]


async def test_h095_what_was_not_fetched_is_not_acknowledged(api: Api) -> None:
    first = await command(api, "u1")
    assert await ids(api, "u1") == [first]
    second, third = await command(api, "u1"), await command(api, "u1", "u2")
    await ack(api, "u1")
    assert await ids(api, "u1") == [second, third]


async def test_h096_the_limit_of_commands(api: Api) -> None:
    await api.e400("/message/sync", "limit不能为负数！", uid="u1", limit=-1)
    await api.e400("/message/sync", "用户uid不能为空！", uid="")
    sent = [await command(api, "u1") for _ in range(201)]
    assert await ids(api, "u1") == sent[:200]
    assert await ids(api, "u1", limit=10_000) == sent


async def test_h145_who_joins_later_does_not_get_earlier_commands(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["u1"])
    await api.send("g", header={"sync_once": 1})
    await api.ok("/channel/subscriber_add", channel_id="g", channel_type=2, subscribers=["u2"])
    assert await commands(api, "u2") == []
    late = (await api.send("g", header={"sync_once": 1}))["message_id"]
    assert await ids(api, "u2") == [late]
    await api.ok("/channel/subscriber_remove", channel_id="g", channel_type=2, subscribers=["u2"])
    assert await commands(api, "u2") == []


async def test_commands_can_be_switched_off(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(command_sync=False) as server, Api(server) as api:
            await command(api, "u1")
            assert await commands(api, "u1") == []
            await ack(api, "u1")


async def test_a_command_that_a_master_device_has_got_need_not_be_fetched(open_server: OpenServer) -> None:
    with trio.fail_after(20):
        async with open_server() as server, Api(server) as api:
            await api.ok("/user/token", uid="u1", token="t", device_flag=0, device_level=1)
            await api.ok("/user/token", uid="u2", token="t", device_flag=0, device_level=0)
            url = server.endpoints.ws
            async with open_client(url, uid="u1", token="t") as master, open_client(url, uid="u2", token="t") as slave:
                sent = await command(api, "u1", "u2", "u3")
                for client in (master, slave):
                    assert (await client.__anext__()).message_id == sent
                while await ids(api, "u1"):  # noqa: ASYNC110 - the server tells nobody when it is written down
                    await trio.sleep(0.01)
                assert await ids(api, "u2") == await ids(api, "u3") == [sent]
                second = await command(api, "u1", "u2", "u3")
                assert await ids(api, "u2") == [sent, second]


# Conversations


async def test_h097_h098_a_conversation_of_two(api: Api) -> None:
    await say(api, "A", count=3, client_msg_no="c")
    b, a = await one(api, "B"), await one(api, "A")
    assert (b["channel_id"], b["channel_type"], a["channel_id"]) == ("A", 1, "B")
    assert (position(b), position(a)) == ((3, 0, 3), (0, 3, 3))
    assert seqs(b) == seqs(a) == [3, 2]
    newest = b["recents"][0]
    assert b["version"] == b["timestamp"] * 10**9 == newest["timestamp"] * 10**9
    assert (b["last_client_msg_no"], b["offset_msg_seq"]) == ("c", 0)
    assert (newest["channel_id"], newest["from_uid"]) == ("B", "A")


async def test_h099_h100_what_the_client_has_is_not_sent_again(api: Api) -> None:
    await say(api, "A", count=3)
    assert await conversations(api, "B", msg_count=0) == []
    assert await conversations(api, "B", last_msg_seqs="A:1:3") == []
    assert seqs(await one(api, "B", last_msg_seqs="x|A:1:2|A:1|A:b:1|:::")) == [3]


async def test_h101_h102_h103_what_is_unread(api: Api) -> None:
    await say(api, "A", count=3)
    await clear(api, "B")
    assert position(await one(api, "B")) == (0, 3, 3)
    assert await conversations(api, "B", version=1) == []
    await say(api, "A")
    assert position(await one(api, "B", version=1)) == (1, 3, 4)
    await say(api, "B")
    assert position(await one(api, "B")) == (0, 5, 5)
    await say(api, "A")
    assert position(await one(api, "B")) == (1, 5, 6)


async def test_h104_read_messages_stay_read(api: Api) -> None:
    await say(api, "A", count=5)
    for unread, expected in ((9, (5, 0, 5)), (2, (2, 3, 5)), (4, (2, 3, 5)), (0, (0, 5, 5)), (2, (0, 5, 5))):
        await set_unread(api, unread)
        assert position(await one(api, "B")) == expected
    await api.e400(
        "/conversations/setUnread", "unread cannot be negative", uid="B", channel_id="A", channel_type=1, unread=-1
    )


async def test_h105_a_deleted_conversation_returns_with_the_next_message(api: Api) -> None:
    await say(api, "A", count=3)
    await delete(api, "B")
    assert await conversations(api, "B") == []
    assert len(await conversations(api, "A")) == 1
    assert len((await api.history("A", 1, "B"))["messages"]) == 3
    await say(api, "A")
    record = await one(api, "B", msg_count=9)
    assert (position(record), seqs(record)) == ((1, 3, 4), [4])
    await delete(api, "B", "nobody")
    assert len(await conversations(api, "B")) == 1


@pytest.mark.parametrize(
    ("path", "text"), [("clearUnread", "uid"), ("setUnread", "UID"), ("delete", "Uid"), ("activate", "uid")]
)
async def test_h106_a_conversation_is_named_by_user_and_channel(api: Api, path: str, text: str) -> None:
    await api.e400(f"/conversations/{path}", f"{text} cannot be empty", channel_id="B", channel_type=1)
    missing = "channel_id or channel_type cannot be empty"
    await api.e400(f"/conversations/{path}", missing, uid="A", channel_type=1)
    await api.e400(f"/conversations/{path}", missing, uid="A", channel_id="B")
    await api.e400(f"/conversations/{path}", uid="u" * 513, channel_id="B", channel_type=1)
    await api.ok(f"/conversations/{path}", uid="A", channel_id="never", channel_type=2)
    await api.ok(f"/conversations/{path}", uid="A", channel_id="never", channel_type=1, message_seq=3)


async def test_h107_types_may_be_left_out(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["B"])
    await api.send("g", from_uid="A")
    await say(api, "A", count=3)
    assert [c["channel_id"] for c in await conversations(api, "B", exclude_channel_types=[1])] == ["g"]
    named = await conversations(api, "B", exclude_channel_types=[1, 7], last_msg_seqs="A:1:2")
    assert [(c["channel_id"], seqs(c)) for c in named] == [("A", [3]), ("g", [1])]


async def test_h108_only_what_is_unread(api: Api) -> None:
    await say(api, "A", count=3)
    await say(api, "B", "C")
    await say(api, "D", "B")
    await say(api, "B", "D")
    assert [c["channel_id"] for c in await conversations(api, "B", only_unread=1)] == ["A"]
    await clear(api, "B")
    assert await conversations(api, "B", only_unread=1) == []


async def test_h109_pages_follow_activity(api: Api) -> None:
    for peer in ("x", "y", "z", "x"):
        await say(api, peer, "B")

    async def page(number: int, **more: object) -> list[str]:
        return [c["channel_id"] for c in await conversations(api, "B", page=number, **more)]

    assert [await page(n, page_size=2) for n in (1, 2, 3)] == [["x", "z"], ["y"], []]
    assert await page(1) == await page(1, page_size=501) == await page(0, page_size=1) == ["x", "z", "y"]
    assert await page(-1) == ["x", "z", "y"]


async def test_h110_some_types_of_channels_have_no_conversations(api: Api) -> None:
    for channel_type in (7, 8, 9):
        channel = {"channel_id": "d", "channel_type": channel_type}
        await api.ok("/channel", **channel)
        await api.ok("/channel/subscriber_add", **channel, subscribers=["B"])
        await api.send("d", channel_type, from_uid="A")
    assert await conversations(api, "B") == await conversations(api, "A") == []
    assert await api.post("/conversation/channels", {"uid": "B"}) == []


async def test_h111_conversations_of_named_channels(api: Api) -> None:
    await say(api, "A", count=3)
    await clear(api, "B")
    await say(api, "A")
    wanted = [{"channel_id": "none", "channel_type": 2}, {"channel_id": "A", "channel_type": 1}]
    none, a = await api.post("/conversation/syncByChannels", {"uid": "B", "channels": wanted})
    assert (none["channel_id"], position(none), none["recents"], none["version"]) == ("none", (0, 0, 0), [], 0)
    assert (position(a), seqs(a)) == ((1, 3, 4), [4, 3, 2, 1])
    await delete(api, "B")
    _, a = await api.post("/conversation/syncByChannels", {"uid": "B", "channels": wanted, "msg_count": 2})
    assert (a["recents"], a["unread"]) == ([], 0)
    await api.e400("/conversation/syncByChannels", "channels cannot be empty", uid="B", channels=[])
    await api.e400("/conversation/syncByChannels", "uid cannot be empty", uid="", channels=wanted)
    assert len(await api.post("/conversation/syncByChannels", {"uid": "B", "channels": wanted[:1] * 1000})) == 1000
    await api.e400("/conversation/syncByChannels", uid="B", channels=wanted[:1] * 1001)


async def test_h112_the_old_list(api: Api) -> None:
    await say(api, "A", count=3)
    [record] = await api.get("/conversations?uid=B")
    assert (record["channel_id"], record["channel_type"], record["unread"]) == ("A", 1, 3)
    assert record["last_message"]["message_seq"] == 3
    assert record["timestamp"] == record["last_message"]["timestamp"]
    assert (await api.http.get("/conversations")).status_code == 400


async def test_the_channels_of_conversations(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["B"])
    await say(api, "A")
    await api.send("A", 1, from_uid="B", header={"sync_once": 1})
    assert await api.post("/conversation/channels", {"uid": "B"}) == [
        {"channel_id": person_channel_id("A", "B"), "channel_type": 1},
        {"channel_id": "g", "channel_type": 2},
    ]


async def test_messages_of_channels(api: Api) -> None:
    for n in range(6):
        await api.send("g", from_uid="B" if n == 2 else "A")
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["B"])

    async def messages(**more: object) -> tuple[list[int], int]:
        wanted = [{"channel_id": "g", "channel_type": 2, "last_msg_seq": 2}]
        [found] = await api.post("/conversation/syncMessages", {"uid": "B", "channels": wanted, **more})
        assert (found["channel_id"], found["channel_type"]) == ("g", 2)
        return [message["message_seq"] for message in found["messages"]], found["user_last_msg_seq"]

    assert await messages() == ([2, 3, 4, 5, 6], 3)
    assert await messages(msg_count=2) == ([2, 3], 3)
    assert await messages(msg_count=2, order_by_last=1) == ([6, 5], 3)
    assert await api.post("/conversation/syncMessages", {"uid": "B", "channels": []}) == []


async def test_the_system_is_nobody_to_converse_with(api: Api) -> None:
    await api.send("B", 1)
    assert await conversations(api, "B") == []


async def test_only_so_many_conversations_are_shown(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(conversation={"user_max": 2}) as server, Api(server) as api:
            for peer in ("x", "y", "z"):
                await say(api, peer, "B")
            assert [c["channel_id"] for c in await conversations(api, "B")] == ["z", "y"]


@pytest.mark.parametrize("uid", ["", " "])
async def test_a_blank_user_has_no_conversations(api: Api, uid: str) -> None:
    for path in ("sync", "channels", "list"):
        await api.e400(f"/conversation/{path}", "uid不能为空！", uid=uid, msg_count=1)


async def test_what_the_client_has_is_bounded(api: Api) -> None:
    part = "none:2:1|"
    fits = part * (KNOWN_BYTES // len(part))
    assert await conversations(api, "B", last_msg_seqs=fits) == []
    await api.e400("/conversation/sync", uid="B", msg_count=1, last_msg_seqs=fits + part)


# The list with a cursor


async def listed(api: Api, uid: str = "B", **more: object) -> Any:
    return await api.post("/conversation/list", {"uid": uid, **more})


async def test_a_list_of_all_and_then_of_changes(api: Api) -> None:
    for peer in ("x", "y", "z"):
        await say(api, peer, "B")
    first = await listed(api, limit=2)
    assert [c["channel_id"] for c in first["conversations"]] == ["z", "y"]
    assert (first["done"], first["deletes"], first["unresolved"], first["reset_required"]) == (False, [], [], False)
    second = await listed(api, limit=2, cursor=first["next_cursor"])
    assert [c["channel_id"] for c in second["conversations"]] == ["x"]
    assert (second["done"], second["next_cursor"], second["coverage"]) == (True, "", first["coverage"])
    [x] = second["conversations"]
    assert (x["unread"], x["read_seq"], x["deleted_to_seq"], x["last_message"]["message_seq"]) == (1, 0, 0, 1)
    assert x["last_message"]["from_uid"] == "x"
    assert x["active_at"] // 10**6 == x["last_message"]["server_timestamp_ms"]
    known = first["coverage"]
    assert (await listed(api, completed_coverage=known))["conversations"] == []
    await clear(api, "B", "y")
    await say(api, "new", "B")
    await delete(api, "B", "x")
    changes = await listed(api, completed_coverage=known)
    assert [(c["channel_id"], c["unread"]) for c in changes["conversations"]] == [("new", 1), ("y", 0)]
    assert changes["deletes"] == [{"channel_id": "x", "channel_type": 1}]
    assert (await listed(api, completed_coverage=changes["coverage"]))["deletes"] == []
    everything = await listed(api)
    assert [c["channel_id"] for c in everything["conversations"]] == ["new", "z", "y"]
    assert everything["deletes"] == []


async def test_lost_membership_is_a_deletion(api: Api) -> None:
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["B", "C"])
    before = await listed(api)
    assert [(c["channel_id"], c["last_message"]) for c in before["conversations"]] == [("g", None)]
    await api.ok("/channel/subscriber_remove", channel_id="g", channel_type=2, subscribers=["B"])
    after = await listed(api, completed_coverage=before["coverage"])
    assert (after["conversations"], after["deletes"]) == ([], [{"channel_id": "g", "channel_type": 2}])
    await api.ok("/channel/subscriber_add", channel_id="g", channel_type=2, subscribers=["B"])
    again = await listed(api, completed_coverage=after["coverage"])
    assert ([c["channel_id"] for c in again["conversations"]], again["deletes"]) == (["g"], [])


async def test_what_comes_while_pages_are_read_is_in_the_next_list(api: Api) -> None:
    for n in range(6):
        await say(api, f"u{n}", "B")
    seen: list[str] = []
    page = await listed(api, limit=2)
    while True:
        seen += [c["channel_id"] for c in page["conversations"]]
        if page["done"]:
            break
        await say(api, "u0", "B")
        page = await listed(api, limit=2, cursor=page["next_cursor"])
    news = await listed(api, completed_coverage=page["coverage"])
    assert [c["channel_id"] for c in news["conversations"]] == ["u0"]
    assert sorted({*seen, "u0"}) == [f"u{n}" for n in range(6)]
    assert len(seen) == len(set(seen))


async def test_a_deleted_conversation_can_be_shown_again(api: Api) -> None:
    await say(api, "A", count=2)
    await delete(api, "B")
    hidden = await listed(api)
    assert hidden["conversations"] == []
    await api.ok("/conversations/activate", uid="B", channel_id="A", channel_type=1)
    [shown] = (await listed(api, completed_coverage=hidden["coverage"]))["conversations"]
    assert (shown["channel_id"], shown["last_message"], shown["deleted_to_seq"], shown["unread"]) == ("A", None, 2, 0)


async def test_a_coverage_of_the_future_needs_a_fresh_start(api: Api) -> None:
    await say(api, "A")
    coverage = (await listed(api))["coverage"]
    answer = await listed(api, completed_coverage=coverage + 10**12)
    assert answer["reset_required"]
    assert answer["conversations"] == []
    assert not (await listed(api, completed_coverage=coverage))["reset_required"]


@pytest.mark.parametrize("cursor", ["x", "%%%", "e30=", "WzEsMiwzXQ==", "W1swLDBdXQ==", "A" * 5000])
async def test_a_bad_cursor_is_refused(api: Api, cursor: str) -> None:
    await api.e400("/conversation/list", "cursor格式错误！", uid="B", cursor=cursor)


async def test_the_pages_of_a_list_are_bounded(api: Api) -> None:
    uids = [f"u{n:03}" for n in range(201)]
    assert await api.post("/message/sendbatch", {"from_uid": "B", "subscribers": uids, "payload": "e30="}) == {
        "fail_uids": [],
        "reason": [],
        **OK,
    }
    for limit, expected in ((0, 50), (-1, 50), (200, 200), (201, 200)):
        assert len((await listed(api, limit=limit))["conversations"]) == expected


async def test_conversations_for_whose_messages_there_is_no_room_are_not_lost(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wukong_trio.services.conversations.PAGE_BYTES", 250)
    for n in range(5):
        await api.send("B", 1, from_uid=f"u{n}", payload="x" * 136)
    records = await conversations(api, "B", msg_count=1)
    assert [record["channel_id"] for record in records] == [f"u{n}" for n in (4, 3, 2, 1, 0)]
    assert [len(record["recents"]) for record in records] == [1, 1, 0, 0, 0]
    assert {record["unread"] for record in records} == {1}
    assert all(record["timestamp"] for record in records)
    assert len(await conversations(api, "B", msg_count=1, only_unread=1)) == 5
    found, sizes, cursor = [], [], ""
    while not sizes or cursor:
        page = await api.post("/conversation/list", {"uid": "B", "cursor": cursor, "limit": 200})
        sizes.append(len(page["conversations"]))
        found += [item["channel_id"] for item in page["conversations"] if item["last_message"] and item["unread"] == 1]
        cursor = page["next_cursor"]
    assert (found, sizes) == ([f"u{n}" for n in (4, 3, 2, 1, 0)], [2, 2, 1])
