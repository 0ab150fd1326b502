"""Routes are remembered; whatever changes is effective for the very next message all the same."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import trio

from wukong_trio import ChannelKey, ChannelType, Message, ReasonCode, SendCommand, Server, StoreError
from wukong_trio.services.directory import ChannelDirectory
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList
from wukong_trio.testing import RawClient, open_raw_client, open_test_server

G = {"channel_id": "g", "channel_type": 2}
BOB = {"channel_id": "bob", "channel_type": 1}
ANN = {"channel_id": "ann", "channel_type": 1}


async def post(server: Server, path: str, body: object) -> Any:
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def send(client: RawClient, channel_id: str, channel_type: int) -> tuple[int, int]:
    """The reason code and the sequence number."""
    params = {"clientMsgNo": str(trio.current_time()), "channelId": channel_id, "channelType": channel_type}
    answer = await client.call("send", {**params, "payload": "e30="})
    if "result" in answer:
        return 1, answer["result"]["messageSeq"]
    return answer["error"]["data"]["reasonCode"], 0


@pytest.mark.parametrize(
    ("target", "change", "undo", "reason"),
    [
        (G, ("subscriber_remove", {**G, "subscribers": ["ann"]}), ("subscriber_add", {**G, "subscribers": ["ann"]}), 3),
        (G, ("blacklist_add", {**G, "uids": ["ann"]}), ("blacklist_remove", {**G, "uids": ["ann"]}), 4),
        (G, ("blacklist_set", {**G, "uids": ["ann"]}), ("blacklist_remove_all", G), 4),
        (G, ("whitelist_add", {**G, "uids": ["bob"]}), ("whitelist_remove", {**G, "uids": ["bob"]}), 13),
        (G, ("info", {**G, "ban": 1}), ("info", G), 19),
        (G, ("info", {**G, "send_ban": 1}), ("info", G), 25),
        (G, ("info", {**ANN, "send_ban": 1}), ("info", ANN), 25),
        (G, ("delete", G), ("info", G), 24),
        (BOB, ("blacklist_add", {**BOB, "uids": ["ann"]}), ("blacklist_remove", {**BOB, "uids": ["ann"]}), 4),
        (BOB, ("info", {**ANN, "send_ban": 1}), ("info", ANN), 25),
    ],
)
async def test_a_change_holds_for_the_next_message(
    target: dict[str, Any], change: tuple[str, Any], undo: tuple[str, Any], reason: int
) -> None:
    where = target["channel_id"], target["channel_type"]
    with trio.fail_after(10):
        async with open_test_server() as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            await post(server, "/channel", {**G, "subscribers": ["ann", "bob"]})
            for turn in range(2):
                assert [await send(ann, *where) for _ in range(2)] == [(1, turn * 2 + 1), (1, turn * 2 + 2)]
                await post(server, f"/channel/{change[0]}", change[1])
                assert [await send(ann, *where) for _ in range(2)] == [(reason, 0)] * 2
                await post(server, f"/channel/{undo[0]}", undo[1])


async def test_system_accounts_and_members_change_for_the_next_message() -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            open_raw_client(server.endpoints.ws) as ann,
            open_raw_client(server.endpoints.ws) as cid,
        ):
            await ann.connect("ann")
            await cid.connect("cid")
            await post(server, "/channel", {**G, "subscribers": ["bob"]})
            for turn in range(2):
                assert await send(ann, "g", 2) == (3, 0)
                await post(server, "/user/systemuids_add", {"uids": ["ann"]})
                assert await send(ann, "g", 2) == (1, 2 * turn + 1)
                await cid.ping()
                await post(server, "/channel/subscriber_add", {**G, "subscribers": ["cid"]})
                assert await send(ann, "g", 2) == (1, 2 * turn + 2)
                assert (await cid.receive())["params"]["messageSeq"] == 2 * turn + 2
                await post(server, "/channel/subscriber_remove", {**G, "subscribers": ["cid"]})
                await post(server, "/user/systemuids_remove", {"uids": ["ann"]})


def command(n: int, number: int, uid: str = "ann") -> SendCommand:
    return SendCommand(from_uid=uid, channel_id=f"g{n}", channel_type=2, payload=b"{}", client_msg_no=f"{n}-{number}")


async def test_numbers_stay_right_though_hardly_a_channel_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ChannelDirectory.__init__.__kwdefaults__, "capacity", 5)
    seqs: dict[int, list[int]] = {n: [] for n in range(40)}

    async def talk(server: Server, start: int, count: int) -> None:
        for number in range(count):
            n = (start * 7 + number * 3) % 40
            result = await server.send(command(n, number, f"a{start}"))
            assert result.reason_code == ReasonCode.SUCCESS
            seqs[n].append(result.message_seq)

    with trio.fail_after(20):
        store = MemoryStore()
        uids = [f"u{n}" for n in range(500)]
        for n in range(0, 40, 4):
            members = MemberChange(list=MemberList.SUBSCRIBERS, add=uids)
            await store.change_channel(ChannelChange(key=ChannelKey(f"g{n}", 2), create=True, members=[members]))
        async with open_test_server(store=store) as server:
            # Few at a time are pushed out between the batches; many do not fit in at once.
            for talkers, count in ((2, 300), (30, 20)):
                async with trio.open_nursery() as nursery:
                    for start in range(talkers):
                        nursery.start_soon(talk, server, start, count)
    assert sum(map(len, seqs.values())) == 1200
    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in seqs.values())


class FailingStore(MemoryStore):
    broken = False

    async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
        if self.broken:
            await trio.lowlevel.checkpoint()
            raise StoreError("broken")
        return await super().append_messages(drafts, **terms)


async def test_numbers_of_a_failed_commit_are_given_again() -> None:
    store = FailingStore()
    with trio.fail_after(10):
        async with open_test_server(store=store) as server:
            for turn in range(3):
                for n in range(3):
                    assert (await server.send(command(n, turn))).message_seq == turn + 1
                store.broken = True
                for n in range(3):
                    with pytest.raises(StoreError):
                        await server.send(command(n, 100 + turn))
                store.broken = False


async def test_commands_are_numbered_apart_and_pass_where_messages_do_not() -> None:
    async def api(server: Server, *, sync_once: int) -> tuple[int, int]:
        body = {**G, "from_uid": "ann", "payload": "e30=", "header": {"sync_once": sync_once}}
        data = (await post(server, "/message/send", body))["data"]
        return data.get("reason", 1), data["message_seq"]

    with trio.fail_after(10):
        async with open_test_server() as server, open_raw_client(server.endpoints.ws) as bob:
            await bob.connect("bob")
            await post(server, "/channel", {**G, "subscribers": ["bob"]})
            for n in (1, 2):
                assert (await api(server, sync_once=0))[1] == 2 * n - 1
                assert (await api(server, sync_once=1))[1] == n
                assert (await api(server, sync_once=0))[1] == 2 * n
                pushes = [(await bob.receive())["params"] for _ in range(3)]
                assert [p["messageSeq"] for p in pushes] == [2 * n - 1, n, 2 * n]
                assert {p["channelId"] for p in pushes} == {"g"}
            await post(server, "/channel/info", {**G, "ban": 1})
            assert (await api(server, sync_once=0))[1] == 0
            assert (await api(server, sync_once=1))[1] == 3


async def test_agents_and_visitors() -> None:
    agent, visitors = int(ChannelType.AGENT), int(ChannelType.VISITORS)
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            open_raw_client(server.endpoints.ws) as ann,
            open_raw_client(server.endpoints.ws) as bot,
            open_raw_client(server.endpoints.ws) as eve,
        ):
            for client, uid in ((ann, "ann"), (bot, "bot"), (eve, "eve")):
                await client.connect(uid)
            for seq in (1, 3):
                assert await send(ann, "bot", agent) == (1, seq)
                assert (await bot.receive())["params"]["channelId"] == "bot"
                assert await send(bot, "ann@bot", agent) == (1, seq + 1)
                assert (await ann.receive())["params"]["fromUid"] == "bot"
            assert await send(ann, "ann", visitors) == (1, 1)
            assert (await send(eve, "ann", visitors))[0] == int(ReasonCode.CHANNEL_NOT_EXIST)
            ref = {"channel_id": "ann", "channel_type": visitors}
            await post(server, "/channel/subscriber_add", {**ref, "subscribers": ["eve"]})
            assert await send(eve, "ann", visitors) == (1, 2)
            assert (await ann.receive())["params"]["messageSeq"] == 2
            assert await send(ann, "ann", visitors) == (1, 3)
            assert (await eve.receive())["params"]["messageSeq"] == 3
