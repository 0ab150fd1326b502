"""Channels in memory stay true to the store, and a channel that changes all the time holds up nobody."""

from collections.abc import Sequence
from itertools import count

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio import ChannelKey, SendCommand, StoreError
from wukong_trio.model import ChannelFlags
from wukong_trio.services import directory as directory_module
from wukong_trio.services.channels import ChannelService
from wukong_trio.services.directory import Channel, ChannelDirectory
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import ChannelChange, ChannelRecord, MemberChange, MemberList
from wukong_trio.testing import open_test_server

GROUP, PERSON, SERVICE = ChannelKey("g", 2), ChannelKey("ann@bob", 1), ChannelKey("eve|shop", 3)


class WatchedStore(MemoryStore):
    """Counts look-ups, and lets tests do something between the reading of a record and its arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = 0
        self.error: StoreError | None = None

    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        self.loads += 1
        records = await super().load_channels(keys)
        await self.meanwhile()
        return records

    async def meanwhile(self) -> None:
        pass

    async def change_channel(self, change: ChannelChange) -> None:
        if self.error is not None:
            raise self.error
        await super().change_channel(change)


def kick(*args: object, **options: object) -> int:
    return 0


def add(*uids: str, key: ChannelKey = GROUP) -> ChannelChange:
    return ChannelChange(key=key, create=True, members=[MemberChange(list=MemberList.SUBSCRIBERS, add=uids)])


async def warmed(directory: ChannelDirectory, key: ChannelKey = GROUP) -> Channel:
    """The channel as a batch sees it."""
    directory.begin_batch()
    if directory.get(key) is None:
        await directory.warm([key])
    channel = directory.get(key)
    assert channel is not None
    return channel


def state(channel: Channel) -> tuple[object, ...]:
    lists = [set(uids) for uids in (channel.subscribers, channel.denied, channel.allowed, channel.members)]
    return channel.exists, channel.flags, *lists


async def test_small_changes_are_effective_without_a_look_up() -> None:
    store = WatchedStore()
    directory = ChannelDirectory(store)
    service = ChannelService(store, directory, kick)
    await service.change(add("ann"))
    channel = await warmed(directory)
    for n in range(100):
        generation = directory.generation
        await service.change(add(f"u{n}"))
        assert directory.generation > generation
        assert await warmed(directory) is channel
        assert f"u{n}" in channel.members
    assert store.loads == 1


async def test_a_large_change_is_read_again_by_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "_SMALL_CHANGE", 10)
    store = WatchedStore()
    directory = ChannelDirectory(store)
    service = ChannelService(store, directory, kick)
    channel = await warmed(directory)
    await service.change(add(*(f"u{n}" for n in range(10))))
    assert await warmed(directory) is channel
    await service.change(add(*(f"v{n}" for n in range(11))))
    assert directory.get(GROUP) is channel, "the batch under way keeps what it has"
    again = await warmed(directory)
    assert again is not channel
    assert len(again.members) == 21
    assert store.loads == 2


@pytest.mark.parametrize("size", [1, 2000])
async def test_what_changes_while_it_is_read_is_read_once(size: int) -> None:
    store = WatchedStore()
    directory = ChannelDirectory(store)
    service = ChannelService(store, directory, kick)
    turns = 0

    async def meanwhile() -> None:
        nonlocal turns
        turns += 1
        await service.change(add(*(f"{turns} {n}" for n in range(size))))

    store.meanwhile = meanwhile  # type: ignore[method-assign]
    with trio.fail_after(5):
        channel = await warmed(directory)
    assert store.loads == 1
    if size == 1:
        assert channel.members == {"1 0"}
        assert await warmed(directory) is channel
    else:
        assert len((await warmed(directory)).members) >= size
        assert store.loads == 2


async def test_a_change_that_failed_is_looked_up() -> None:
    store = WatchedStore()
    directory = ChannelDirectory(store)
    service = ChannelService(store, directory, kick)
    channel = await warmed(directory)
    store.error = StoreError("no")
    with pytest.raises(StoreError):
        await service.change(add("ann"))
    assert await warmed(directory) is not channel
    store.error = None
    channel = await warmed(directory)
    with trio.CancelScope() as scope:
        scope.cancel()
        await service.change(add("ann"))
    assert set((await warmed(directory)).members) == await stored_members(store)


async def stored_members(store: MemoryStore) -> set[str]:
    [record] = await MemoryStore.load_channels(store, [GROUP])
    return set(record.subscribers)


async def test_changes_at_the_same_time_end_as_in_the_store() -> None:
    store = MemoryStore()
    directory = ChannelDirectory(store)
    service = ChannelService(store, directory, kick)
    for _ in range(50):
        async with trio.open_nursery() as nursery:
            for n in range(3):
                nursery.start_soon(service.change, add("ann", f"u{n}"))
                removal = MemberChange(list=MemberList.SUBSCRIBERS, remove=["ann"])
                nursery.start_soon(service.change, ChannelChange(key=GROUP, members=[removal]))
            nursery.start_soon(warmed, directory)
        assert set((await warmed(directory)).members) == await stored_members(store)


uids = st.lists(st.sampled_from(["ann", "bob", "cid", "eve"]), max_size=3)
member_changes = st.builds(MemberChange, list=st.sampled_from(MemberList), reset=st.booleans(), remove=uids, add=uids)
flags = st.none() | st.builds(ChannelFlags, ban=st.booleans(), send_ban=st.booleans())


@given(
    key=st.sampled_from([GROUP, PERSON, SERVICE]),
    changes=st.lists(st.tuples(flags, st.booleans(), st.lists(member_changes, max_size=2)), max_size=6),
    read_at=st.integers(0, 6),
    told_from=st.integers(0, 6),
)
def test_applying_changes_is_the_same_as_reading_them(
    key: ChannelKey, changes: list[tuple[ChannelFlags | None, bool, list[MemberChange]]], read_at: int, told_from: int
) -> None:
    async def main() -> None:
        store = MemoryStore()
        done = [ChannelChange(key=key, flags=f, create=create, members=members) for f, create, members in changes]
        for change in done[:read_at]:
            await store.change_channel(change)
        [record] = await store.load_channels([key])
        channel = Channel(record)
        for change in done[read_at:]:
            await store.change_channel(change)
        # Some of what was read is told again: nobody knows when exactly the record was read.
        for change in done[min(told_from, read_at) :]:
            channel.apply(change)
        [record] = await store.load_channels([key])
        assert state(channel) == state(Channel(record))

    trio.run(main)


async def test_a_group_that_changes_all_the_time_stops_no_send() -> None:
    store = WatchedStore()

    async def slowly() -> None:
        await trio.sleep(0.02)

    store.meanwhile = slowly  # type: ignore[method-assign]
    await store.change_channel(add("ann"))
    newcomers, done = count(), trio.Event()

    async def grow(url: str) -> None:
        async with httpx.AsyncClient(base_url=url) as http:
            while not done.is_set():
                body = {"channel_id": "g", "channel_type": 2, "subscribers": [f"u{next(newcomers)}"]}
                assert (await http.post("/channel/subscriber_add", json=body)).status_code == 200

    with trio.fail_after(10):
        async with open_test_server(store=store) as server, trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(grow, server.endpoints.http)
            for seq in (1, 2, 3):
                for channel_id, channel_type in (("g", 2), (f"bob{seq}", 1)):
                    command = SendCommand(
                        from_uid="ann", channel_id=channel_id, channel_type=channel_type, payload=b"{}"
                    )
                    result = await server.send(command)
                    assert result.message_seq == (seq if channel_id == "g" else 1)
            done.set()
    assert next(newcomers) > 4
    assert store.loads <= 6


async def test_a_ban_that_comes_while_a_channel_is_disbanded_stays() -> None:
    store = WatchedStore()
    service = ChannelService(store, ChannelDirectory(store), kick)
    await service.change(add("ann"))
    was_read = trio.Event()

    async def meanwhile() -> None:
        was_read.set()
        await trio.testing.wait_all_tasks_blocked()

    store.meanwhile = meanwhile  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.disband, GROUP)
        await was_read.wait()
        await service.change(ChannelChange(key=GROUP, flags=ChannelFlags(ban=True)))
    store.meanwhile = WatchedStore().meanwhile  # type: ignore[method-assign]
    [record] = await store.load_channels([GROUP])
    assert record.flags is not None
    assert record.flags.ban
