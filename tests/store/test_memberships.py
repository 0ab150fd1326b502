"""Which channels are whose, in every store."""

import pytest
from samples import GROUP, append, message

from wukong_trio import ChannelKey
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList, Store

MANY = [ChannelKey(f"group{number}", 2) for number in range(1100)]


async def put(store: Store, key: ChannelKey, members: MemberList, *uids: str) -> None:
    await store.change_channel(ChannelChange(key=key, members=[MemberChange(list=members, add=uids)]))


async def test_channels_that_a_user_subscribes_to(store: Store) -> None:
    other = ChannelKey("g", 4)
    assert set(await store.channels_of("ann")) == set()
    await put(store, GROUP, MemberList.SUBSCRIBERS, "ann", "bob")
    await put(store, other, MemberList.SUBSCRIBERS, "bob")
    await put(store, other, MemberList.DENIED, "ann")
    await put(store, other, MemberList.ALLOWED, "ann")
    assert set(await store.channels_of("ann")) == {GROUP}
    assert set(await store.channels_of("bob")) == {GROUP, other}
    await store.change_channel(
        ChannelChange(key=GROUP, members=[MemberChange(list=MemberList.SUBSCRIBERS, remove=["ann"])])
    )
    assert set(await store.channels_of("ann")) == set()


@pytest.mark.parametrize("uid", ["ann", "a%", "a_", "\u5b89\u5a1c"])
async def test_channels_that_name_a_user(store: Store, uid: str) -> None:
    named = [
        ChannelKey(f"{uid}@bob", 1),
        ChannelKey(f"bob@{uid}", 1),
        ChannelKey(f"{uid}|shop", 3),
        ChannelKey(uid, 10),
    ]
    others = [
        *(ChannelKey(id_, 1) for id_ in (f"x{uid}@bob", f"bob@{uid}x", "axx@bob", "bob@axx")),
        *(ChannelKey(f"shop|{uid}", 3), ChannelKey(uid, 2)),
    ]
    for number, key in enumerate((*named, *others), start=1):
        await append(store, [message(number, 1, key)])
    assert set(await store.channels_of(uid)) == set(named)


async def test_subscribed_and_not_denied(store: Store) -> None:
    for key in MANY:
        await put(store, key, MemberList.SUBSCRIBERS, "ann")
    assert set(await store.channels_of("ann")) == set(MANY)
    assert await store.subscribed("ann", MANY) == set(MANY)
    assert await store.subscribed("ann", []) == set()
    assert await store.subscribed("bob", MANY) == set()
    await put(store, MANY[5], MemberList.DENIED, "ann", "bob")
    await put(store, MANY[6], MemberList.DENIED, "bob")
    await put(store, MANY[7], MemberList.ALLOWED, "bob")
    assert await store.subscribed("ann", MANY[4:8]) == {MANY[4], MANY[6], MANY[7]}
    assert await store.subscribed("ann", [ChannelKey("group4", 3), GROUP, MANY[4]]) == {MANY[4]}
