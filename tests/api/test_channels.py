"""HTTP statements 35-56: channels, members, lists. What they mean for senders is in the JSON-RPC statements too."""

import pytest
import trio
from api_calls import Api
from common import reason

from wukong_trio import Client, open_client


async def nothing_came(client: Client) -> bool:
    await client.ping()
    with trio.move_on_after(0.05):
        await client.__anext__()
        return False
    return True


async def test_h035_h036_checks_of_channel(api: Api) -> None:
    for path in ("/channel", "/channel/info"):
        await api.e400(path, "频道ID不能为空！", channel_type=2)
        await api.e400(path, "频道类型错误！", channel_id="g")
        await api.e400(path, channel_id="c" * 513, channel_type=2)
    await api.e400("/channel", "频道ID不能包含特殊字符！", channel_id="a@b", channel_type=2)
    await api.e400("/channel", "不支持个人频道添加订阅者！", channel_id="a", channel_type=1, subscribers=["b"])
    await api.ok("/channel", channel_id="a", channel_type=1)
    await api.ok("/channel/info", channel_id="a@b", channel_type=1)


async def test_h037_h038_members(api: Api) -> None:
    url = api.server.endpoints.ws
    async with open_client(url, uid="u1") as u1, open_client(url, uid="u2") as u2, open_client(url, uid="u3") as u3:
        await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["u1", "", "u2", "u1"])
        await api.send("g", from_uid="u3")
        assert (await u1.__anext__()).message_seq == (await u2.__anext__()).message_seq == 1
        assert await nothing_came(u3)
        await api.ok("/channel", channel_id="g", channel_type=2, reset=1, subscribers=["u3"])
        await api.send("g", from_uid="u1")
        assert (await u3.__anext__()).message_seq == 2
        assert await nothing_came(u1)


async def test_h039_h040_h041_ban_and_delete(api: Api) -> None:
    async with open_client(api.server.endpoints.ws, uid="u1") as u1:
        await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["u1"])
        assert await reason(u1, "g") == 1
        await api.ok("/channel/info", channel_id="g", channel_type=2, ban=1)
        assert await reason(u1, "g") == 19
        await api.ok("/channel/info", channel_id="g", channel_type=2, ban=2)
        assert await reason(u1, "g") == 1
        await api.ok("/channel/delete", channel_id="g", channel_type=2)
        assert await reason(u1, "g") == 24
        assert len((await api.history("g"))["messages"]) == 2
        await api.ok("/channel/info", channel_id="g", channel_type=2)
        assert await reason(u1, "g") == 1
    await api.e400("/channel/delete", "个人频道不支持添加订阅者！", channel_id="a", channel_type=1)
    await api.ok("/channel/delete", channel_id="unknown", channel_type=2)
    assert await api.get("/channel/whitelist?channel_id=unknown&channel_type=2") == []


async def test_h042_h043_h044_adding_members(api: Api) -> None:
    add = "/channel/subscriber_add"
    async with open_client(api.server.endpoints.ws, uid="u1") as u1:
        assert await reason(u1, "g") == 5
        await api.ok(add, channel_id="g", subscribers=["u1", " "])
        assert await reason(u1, "g") == 1
        await api.ok(add, channel_id="g", reset=1, subscribers=["u2"])
        assert await reason(u1, "g") == 3
    await api.e400(add, "频道ID不能为空！", subscribers=["u1"])
    await api.e400(add, "频道ID不能包含特殊字符！", channel_id="a#b", subscribers=["u1"])
    for subscribers in ([], ["", " "]):
        await api.e400(add, "订阅者不能为空！", channel_id="g", subscribers=subscribers)
    await api.e400(add, "个人频道不支持添加订阅者！", channel_id="a", channel_type=1, subscribers=["b"])
    await api.e400(add, "新版本临时订阅者已不支持！", channel_id="g", subscribers=["u1"], temp_subscriber=1)


async def test_h046_h047_removing_members(api: Api) -> None:
    async with open_client(api.server.endpoints.ws, uid="u1") as u1:
        await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["u1", "u2"])
        await api.ok("/channel/subscriber_remove", channel_id="g", channel_type=2, subscribers=["u1", "nobody"])
        assert await reason(u1, "g") == 3
        await api.send("g")
        assert await nothing_came(u1)
        await api.ok("/channel/subscriber_add", channel_id="g", subscribers=["u1"])
        await api.ok("/channel/subscriber_remove_all", channel_id="g", channel_type=2)
        assert await reason(u1, "g") == 3
    remove_all = "/channel/subscriber_remove_all"
    await api.e400(remove_all, "channel_id不能为空！", channel_type=2)
    await api.e400(remove_all, "频道类型不能为0！", channel_id="g")
    await api.e400(remove_all, "个人频道不支持此操作！", channel_id="g", channel_type=1)
    await api.e400("/channel/subscriber_remove", "订阅者不能为空！", channel_id="g")


@pytest.mark.parametrize(("name", "refused"), [("blacklist", 4), ("whitelist", 13)])
async def test_h048_h050_h051_lists_of_groups(api: Api, name: str, refused: int) -> None:
    ref = {"channel_id": "g", "channel_type": 2}
    listed, other = ("u1", "u2") if name == "blacklist" else ("u2", "u1")
    async with open_client(api.server.endpoints.ws, uid="u1") as u1:
        await api.ok("/channel", **ref, subscribers=["u1", "u2"])
        for change, uids, expected in (
            ("add", [listed, ""], refused),
            ("remove", [listed], 1),
            ("set", [listed], refused),
            ("set", [], 1),
            ("add", [listed, "x"], refused),
            ("remove_all", None, 1),
            ("set", [other], 1),
        ):
            await api.ok(f"/channel/{name}_{change}", **ref, **({} if uids is None else {"uids": uids}))
            assert await reason(u1, "g") == expected, (change, uids)
    for change in ("add", "remove"):
        path = f"/channel/{name}_{change}"
        await api.e400(path, "channel_id不能为空！", channel_type=2, uids=["a"])
        await api.e400(path, "频道类型不能为0！", channel_id="g", uids=["a"])
        await api.e400(path, "uids不能为空！", **ref, uids=[])
    await api.e400(f"/channel/{name}_set", "频道ID不能为空！", channel_type=2)
    await api.e400(f"/channel/{name}_remove_all", "channel_id不能为空！", channel_type=2)
    if name == "whitelist":
        await api.e400(
            "/channel/whitelist_add", "频道ID不能包含特殊字符！", channel_id="a&b", channel_type=2, uids=["a"]
        )
    else:
        await api.ok("/channel/blacklist_add", channel_id="a&b", channel_type=2, uids=["a"])


async def test_h049_the_deny_list_of_a_person(api: Api) -> None:
    url = api.server.endpoints.ws
    async with open_client(url, uid="A") as a, open_client(url, uid="B") as b:
        await api.ok("/channel/blacklist_add", channel_id="B", channel_type=1, uids=["A"])
        assert await reason(a, "B", 1) == 4
        assert await reason(b, "A", 1) == 1


async def test_h052_reading_the_allow_list(api: Api) -> None:
    await api.ok("/channel/whitelist_set", channel_id="g", channel_type=2, uids=["u2", "u1"])
    entries = await api.get("/channel/whitelist?channel_id=g&channel_type=2")
    assert [entry["uid"] for entry in entries] == ["u1", "u2"]
    assert all(isinstance(entry["id"], int) for entry in entries)
    for query in ("?channel_id=unknown&channel_type=2", "?channel_id=g&channel_type=x", ""):
        assert await api.get(f"/channel/whitelist{query}") == []


async def test_h054_h056_other_rules(api: Api) -> None:
    url = api.server.endpoints.ws
    async with open_client(url, uid="u1") as u1, open_client(url, uid="u2") as u2:
        await api.ok("/channel/info", channel_id="u1", channel_type=1, send_ban=1)
        assert await reason(u1, "u2", 1) == 25
        assert await reason(u2, "u1", 1) == 1
        assert (await u1.__anext__()).from_uid == "u2"
        assert await reason(u2, "news", 6) == await reason(u2, "visitor|x", 3) == 1
