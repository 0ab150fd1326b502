"""Statements 77-86: who may send."""

from steps import OpenServer, group, online, post, refused, sent


async def test_j077_j078_unknown_groups_and_members(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        assert await refused(ann, "g", 2) == (-32003, 5)
        await group(server, "bob")
        assert await refused(ann, "g", 2) == (-32004, 3)
        await group(server, "ann", "bob")
        assert (await sent(ann, "g", 2))["messageSeq"] == 1
        await post(server, "/channel/subscriber_remove", {"channel_id": "g", "subscribers": ["ann"]})
        assert await refused(ann, "g", 2) == (-32004, 3)


async def test_j079_lists_of_a_group(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await group(server, "ann", "bob")
        ref = {"channel_id": "g", "channel_type": 2}
        await post(server, "/channel/blacklist_add", {**ref, "uids": ["ann"]})
        assert await refused(ann, "g", 2) == (-32004, 4)
        await sent(bob, "g", 2)
        assert (await ann.receive())["params"]["channelId"] == "g"
        await post(server, "/channel/blacklist_remove", {**ref, "uids": ["ann"]})
        await post(server, "/channel/whitelist_add", {**ref, "uids": ["bob"]})
        assert await refused(ann, "g", 2) == (-32004, 13)
        await post(server, "/channel/whitelist_add", {**ref, "uids": ["ann"]})
        await sent(ann, "g", 2)


async def test_j080_banned_and_disbanded(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        ref = {"channel_id": "g", "channel_type": 2}
        for ban, disband, reason in ((1, 0, 19), (0, 1, 24), (1, 1, 19)):
            await group(server, "ann", ban=ban, disband=disband)
            await post(server, "/channel/blacklist_add", {**ref, "uids": ["ann"]})
            assert await refused(ann, "g", 2) == (-32004, reason)
        await group(server, "ann")
        await post(server, "/channel/blacklist_remove_all", ref)
        await post(server, "/channel/delete", ref)
        assert await refused(ann, "g", 2) == (-32004, 24)


async def test_j081_send_ban(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await group(server, "ann", "bob")
        await post(server, "/channel/info", {"channel_id": "ann", "channel_type": 1, "send_ban": 1})
        assert await refused(ann, "g", 2) == (-32004, 25)
        assert await refused(ann, "bob") == (-32004, 25)
        await sent(bob, "ann")
        assert (await ann.receive())["params"]["fromUid"] == "bob"
        await post(server, "/channel/info", {"channel_id": "ann", "channel_type": 1})
        await group(server, "ann", "bob", send_ban=1)
        assert await refused(bob, "g", 2) == (-32004, 25)


async def test_j082_deny_list_of_a_person(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await post(server, "/channel/blacklist_add", {"channel_id": "bob", "channel_type": 1, "uids": ["ann"]})
        assert await refused(ann, "bob") == (-32004, 4)
        await sent(bob, "ann")


async def test_j083_allow_list_of_a_person(open_server: OpenServer) -> None:
    async with open_server(whitelist_off_of_person=False) as server, online(server, "ann") as (ann,):
        assert await refused(ann, "bob") == (-32004, 13)
        await post(server, "/channel/whitelist_add", {"channel_id": "bob", "channel_type": 1, "uids": ["ann"]})
        await sent(ann, "bob")
        assert await refused(ann, "cid") == (-32004, 13)
        await post(server, "/channel/info", {"channel_id": "cid", "channel_type": 1, "allow_stranger": 1})
        await sent(ann, "cid")


async def test_j083_allow_lists_of_persons_are_off_by_default(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        await post(server, "/channel/whitelist_add", {"channel_id": "bob", "channel_type": 1, "uids": ["cid"]})
        await sent(ann, "bob")


async def test_j084_system_accounts(open_server: OpenServer) -> None:
    async with open_server(whitelist_off_of_person=False) as server, online(server, "ann", "eve") as (ann, eve):
        await group(server, "bob")
        await post(server, "/channel/blacklist_add", {"channel_id": "bob", "channel_type": 1, "uids": ["ann"]})
        await post(server, "/channel/blacklist_add", {"channel_id": "ann", "channel_type": 1, "uids": ["eve"]})
        assert await refused(eve, "ann") == (-32004, 4)
        await post(server, "/user/systemuids_add", {"uids": ["ann"]})
        for channel_id, kind in (("none", 2), ("g", 2), ("bob", 1), ("cid", 1)):
            await sent(ann, channel_id, kind)
        await sent(eve, "ann")
        await ann.receive()
        await group(server, "ann", ban=1)
        assert await refused(ann, "g", 2) == (-32004, 19)
        await post(server, "/channel/info", {"channel_id": "ann", "channel_type": 1, "send_ban": 1})
        assert await refused(ann, "bob") == (-32004, 25)
        await post(server, "/channel/info", {"channel_id": "ann", "channel_type": 1})
        await post(server, "/user/systemuids_remove", {"uids": ["ann"]})
        assert await refused(ann, "none2", 2) == (-32003, 5)


async def test_j085_j086_refusals_leave_no_gap(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "eve") as (ann, eve):
        await group(server, "ann")
        assert (await sent(ann, "g", 2, number="1"))["messageSeq"] == 1
        for n in range(5):
            assert await refused(eve, "g", 2, number=f"r{n}") == (-32004, 3)
        assert (await sent(ann, "g", 2, number="2"))["messageSeq"] == 2
        await group(server, "bob")
        assert await refused(ann, "g", 2, number="r") == (-32004, 3)
        await group(server, "ann")
        assert (await sent(ann, "g", 2, number="3"))["messageSeq"] == 3


async def test_channels_open_to_all(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "agent") as (ann, agent):
        await post(server, "/channel", {"channel_id": "news", "channel_type": 6, "subscribers": ["agent"], "ban": 1})
        await sent(ann, "news", 6)
        assert (await agent.receive())["params"]["channelType"] == 6
        await sent(ann, "ann|shop", 3)
        await sent(ann, "agent", 11)
        assert (await agent.receive())["params"]["channelId"] == "agent"
        await sent(agent, "ann@agent", 11)
        assert (await ann.receive())["params"]["channelType"] == 11
        await sent(ann, "ann", 10)
        assert await refused(ann, "someone", 10) == (-32003, 5)
