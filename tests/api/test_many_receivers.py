"""HTTP statements 55, 69, 70 and 72-74: temporary channels, commands to a list of users, one payload to many."""

import json
from base64 import b64encode
from contextlib import AsyncExitStack
from typing import Any

import trio
from api_calls import Api, OpenServer, P

from wukong_trio import ChannelKey, Client, open_client
from wukong_trio.api import bodies
from wukong_trio.model import person_channel_id
from wukong_trio.services.sending import SENDS_AT_ONCE
from wukong_trio.store.memory import MemoryStore

COMMAND = {"sync_once": 1}
ONLINE = {"sync_once": 1, "no_persist": 1}


class Users:
    """Some users who are online, and what each has received."""

    def __init__(self, api: Api, stack: AsyncExitStack) -> None:
        self._api = api
        self._stack = stack
        self._clients: dict[str, Client] = {}

    async def enter(self, *uids: str) -> None:
        for uid in uids:
            self._clients[uid] = await self._stack.enter_async_context(
                open_client(self._api.server.endpoints.ws, uid=uid)
            )

    async def received(self) -> dict[str, list[Any]]:
        """What has come since the last call. A last message to each of them shows that nothing else is under way."""
        got: dict[str, list[Any]] = {}
        for uid, client in self._clients.items():
            await self._api.send(uid, 1, from_uid="end", client_msg_no="end")
            while (message := await client.__anext__()).client_msg_no != "end":
                got.setdefault(uid, []).append(message)
        return got


async def test_h055_only_those_who_were_set_receive(api: Api) -> None:
    async with AsyncExitStack() as stack:
        users = Users(api, stack)
        await users.enter("u1", "u2")
        await api.ok("/tmpchannel/subscriber_set", channel_id="t", uids=["u1", " ", "u1"])
        assert (await api.send("t", 8))["message_seq"] == 1
        got = await users.received()
        assert {uid: len(messages) for uid, messages in got.items()} == {"u1": 1}
        assert (got["u1"][0].channel_id, got["u1"][0].channel_type) == ("t", 8)
        await api.ok("/tmpchannel/subscriber_set", channel_id="t", uids=["u2"])
        assert (await api.send("t", 8))["message_seq"] == 2
        assert list(await users.received()) == ["u2"]
        assert (await api.send("t", 8, header=COMMAND))["message_seq"] == 1
        assert list(await users.received()) == ["u2"]
        await api.send("other", 8)
        assert await users.received() == {}
        assert [record["message_seq"] for record in (await api.history("t", 8))["messages"]] == [1, 2]


async def test_h055_the_channels_own_flags_hold(api: Api) -> None:
    await api.ok("/tmpchannel/subscriber_set", channel_id="t", uids=["u1"])
    await api.ok("/channel/info", channel_id="t", channel_type=8, ban=1)
    assert (await api.send("t", 8))["reason"] == 19


async def test_h055_refusals(api: Api) -> None:
    path = "/tmpchannel/subscriber_set"
    await api.e400(path, "channel_id不能为空！", uids=["u1"])
    for uids in ([], ["", " "], None):
        await api.e400(path, "uids不能为空！", channel_id="t", uids=uids)
    for channel_id in ("a@b", "a#b", "a&b"):
        await api.e400(path, "频道ID不能包含特殊字符！", channel_id=channel_id, uids=["u1"])


async def direct(api: Api, *uids: str, header: object = COMMAND, **more: object) -> Any:
    return await api.post("/message/send", {"header": header, "subscribers": list(uids), "payload": P, **more})


async def test_h069_a_command_to_a_list_of_users(api: Api) -> None:
    async with AsyncExitStack() as stack:
        users = Users(api, stack)
        await users.enter("u1", "u2", "u3", "ann")
        answer = await direct(api, "u1", "u2", "u1", "offline", from_uid="ann", client_msg_no="ignored", channel_id=" ")
        assert (answer["status"], answer["reason"], answer["message_seq"]) == (200, 1, 1)
        assert "data" not in answer
        got = await users.received()
        assert {uid: len(messages) for uid, messages in got.items()} == {"u1": 1, "u2": 1}
        [message] = got["u1"]
        assert (message.from_uid, message.flags, message.message_seq, message.channel_type) == ("ann", 4, 1, 8)
        assert message.channel_id.endswith("____cmd")
        assert message.client_msg_no == answer["client_msg_no"] != "ignored"
        # The same list is the same channel, another one is not.
        assert (await direct(api, "u1", "u2", "u1", "offline"))["message_seq"] == 2
        assert (await direct(api, "u1", "u2", "offline"))["message_seq"] == 3
        assert (await direct(api, "u2", "u1", "offline"))["message_seq"] == 1


async def test_h069_to_more_users_than_are_served_at_once(api: Api) -> None:
    uids = [f"u{n}" for n in range(300)]
    async with AsyncExitStack() as stack:
        users = Users(api, stack)
        await users.enter(*uids, "ann")
        async with trio.open_nursery() as nursery:
            for some in (uids[:290], uids[10:], ["ann"]):
                nursery.start_soon(direct, api, *some)
        counts = {uid: len(messages) for uid, messages in (await users.received()).items()}
        assert counts == {uid: 1 if n < 10 or n >= 290 else 2 for n, uid in enumerate(uids)} | {"ann": 1}


async def test_h070_online_delivery_only(api: Api) -> None:
    async with AsyncExitStack() as stack:
        users = Users(api, stack)
        await users.enter("u1", "u2", "u3")
        for uids in (("u1",), ("u2", "offline")):
            answer = await direct(api, *uids, header=ONLINE)
            assert (answer["status"], answer["reason"], answer["message_seq"]) == (200, 1, 0)
        got = await users.received()
        assert {uid: len(messages) for uid, messages in got.items()} == {"u1": 1, "u2": 1}
        [message] = got["u2"]
        assert (message.channel_id, message.channel_type, message.message_seq) == ("systemcmdonline", 8, 0)
        assert message.flags == 5
    page = await api.history("systemcmdonline", 8)
    assert page["messages"] == []


async def test_h069_refusals(api: Api) -> None:
    cannot = "无法处理发送消息请求！"
    await api.e400("/message/send", cannot, payload=P, subscribers=["", " "], header=COMMAND)
    await api.e400("/message/send", cannot, payload=P, subscribers=["u1"], header={"no_persist": 1})
    await api.e400("/message/send", "payload不能为空！", subscribers=["u1"])
    await api.e400("/message/send", "uid is longer than 512 bytes", payload=P, subscribers=["u" * 513], header=COMMAND)


async def test_h072_one_payload_to_many(api: Api) -> None:
    body = {"header": {"red_dot": 1}, "from_uid": "ann", "subscribers": ["u1", "", "u2"], "payload": P}
    assert await api.post("/message/sendbatch", body) == {"fail_uids": [], "reason": [], "status": 200}
    numbers = set()
    for uid in ("u1", "u2"):
        [record] = (await api.history("ann", 1, uid))["messages"]
        assert (record["from_uid"], record["channel_id"], record["payload"]) == ("ann", uid, P)
        assert record["header"]["red_dot"] == 1
        numbers.add(record["client_msg_no"])
    assert len(numbers) == 2
    await api.post("/message/sendbatch", {**body, "header": COMMAND})
    assert len((await api.history("ann", 1, "u1"))["messages"]) == 1


async def test_h072_to_more_than_are_sent_at_once(api: Api) -> None:
    uids = [f"u{n}" for n in range(2 * SENDS_AT_ONCE + 1)]
    bad = [f"a@{n}" for n in range(3)]
    mixed = [*bad[:1], *uids[:600], bad[1], *uids[600:], bad[2]]
    answer = await api.post("/message/sendbatch", {"from_uid": "ann", "subscribers": mixed, "payload": P})
    assert answer == {"fail_uids": bad, "reason": ["频道ID不合法！"] * 3, "status": 200}
    for uid in (uids[0], uids[599], uids[600], uids[-1]):
        assert len((await api.history("ann", 1, uid))["messages"]) == 1


async def test_h073_some_fail(api: Api) -> None:
    body = {"from_uid": "ann", "subscribers": ["u1", "a@b", "u" * 513], "payload": P}
    answer = await api.post("/message/sendbatch", body)
    assert answer["fail_uids"] == ["a@b", "u" * 513]
    assert answer["reason"] == ["频道ID不合法！", "channel_id is longer than 512 bytes"]
    assert len((await api.history("ann", 1, "u1"))["messages"]) == 1


async def test_h074_what_is_missing(api: Api) -> None:
    path, full = "/message/sendbatch", {"from_uid": "ann", "subscribers": ["u1"], "payload": P}
    await api.e400(path, "from_uid不能为空！", subscribers=[], payload="")
    await api.e400(path, "subscribers不能为空！", from_uid="ann")
    await api.e400(path, "payload不能为空！", from_uid="ann", subscribers=["u1"])
    await api.e400(path, "数据格式有误！", **{**full, "payload": "%%%"})
    await api.e400(path, "数据格式有误！", raw=b'[{"from_uid":"ann"}]')
    limit = api.server._parts.config.limits.payload_bytes
    assert (await api.post(path, {**full, "payload": b64encode(bytes(limit)).decode()}))["fail_uids"] == []
    too_large = {**full, "payload": b64encode(bytes(limit + 1)).decode()}
    await api.e400(path, f"payload is larger than {limit} bytes", **too_large)


class GatedStore(MemoryStore):
    """Stores messages when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_store = trio.Event(), trio.Event()

    async def append_messages(self, *args: Any, **more: Any) -> Any:
        self.asked.set()
        await self.may_store.wait()
        return await super().append_messages(*args, **more)


async def test_nobody_waits_for_a_long_batch(open_server: OpenServer) -> None:
    store = GatedStore()
    uids = [f"user{n:016}" for n in range(30_000)]
    assert len(json.dumps(uids)) > bodies.LARGE_BYTES
    answers: list[Any] = []

    async def send(api: Api) -> None:
        answers.append(await api.post("/message/sendbatch", {"from_uid": "ann", "subscribers": uids, "payload": P}))

    with trio.fail_after(20):
        async with open_server(store=store) as server, Api(server) as api, trio.open_nursery() as nursery:
            nursery.start_soon(send, api)
            await store.asked.wait()
            await api.ok("/channel/subscriber_add", channel_id="g", subscribers=uids)
            assert not answers
            store.may_store.set()
    assert answers == [{"fail_uids": [], "reason": [], "status": 200}]
    assert await store.last_seq(ChannelKey(person_channel_id("ann", uids[-1]), 1)) == 1
