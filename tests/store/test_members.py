"""Lists of very many members are read and changed in pieces, and nobody waits for all of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from samples import GROUP, append, message

from wukong_trio import ChannelKey, StoreError, open_store
from wukong_trio.store import channel_rows, members
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList, Store
from wukong_trio.store.sqlite import SQLiteStore

SUBSCRIBERS = MemberList.SUBSCRIBERS


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "PIECE", 4)
    monkeypatch.setattr(members, "PART_UIDS", 8)
    monkeypatch.setattr(channel_rows, "PIECE", 4)


@pytest.fixture
async def store(tmp_path: Path, small_pieces: None) -> AsyncIterator[Store]:
    async with open_store(tmp_path) as store:
        yield store


def uids(start: int, stop: int) -> list[str]:
    return [f"user{n:03}" for n in range(start, stop)]


def change(*changes: MemberChange) -> ChannelChange:
    return ChannelChange(key=GROUP, members=changes)


async def subscribers(store: Store) -> frozenset[str]:
    return (await store.load_channels([GROUP]))[0].subscribers


@pytest.mark.parametrize("size", [3, 4, 5, 7, 8, 9, 40])
async def test_lists_of_any_size(store: Store, size: int) -> None:
    add = MemberChange(list=SUBSCRIBERS, add=uids(0, size))
    denied = MemberChange(list=MemberList.DENIED, add=["a\0b", "", "a", "a\0", "\x7f", "é", "\U0001f600"])
    await store.change_channel(change(add, denied))
    [record] = await store.load_channels([GROUP])
    assert record.subscribers == frozenset(uids(0, size))
    assert record.denied == frozenset(denied.add)
    await store.change_channel(
        change(MemberChange(list=SUBSCRIBERS, remove=[*uids(1, size), "nobody"], add=["user002"]))
    )
    assert await subscribers(store) == {"user000", "user002"}
    await store.change_channel(change(MemberChange(list=SUBSCRIBERS, reset=True)))
    assert await subscribers(store) == frozenset()


async def test_other_writes_get_their_turn_and_the_list_is_never_less_than_what_stays(store: Store) -> None:
    await store.change_channel(change(MemberChange(list=SUBSCRIBERS, add=uids(0, 100))))
    seen: list[frozenset[str]] = []
    done = trio.Event()

    async def send() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await append(store, [message(number, number)])
            seen.append(await subscribers(store))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await store.change_channel(change(MemberChange(list=SUBSCRIBERS, reset=True, add=uids(50, 150))))
        done.set()
    between = [found for found in seen if found not in (frozenset(uids(0, 100)), frozenset(uids(50, 150)))]
    assert between, "messages were stored while the change was under way"
    assert all(found >= set(uids(50, 100)) for found in seen)
    assert await subscribers(store) == frozenset(uids(50, 150))


async def test_changes_do_not_overtake_each_other(store: Store) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            for changed in (
                MemberChange(list=SUBSCRIBERS, add=uids(0, 60)),
                MemberChange(list=SUBSCRIBERS, remove=uids(0, 60)),
            ):
                nursery.start_soon(store.change_channel, change(changed))
                await trio.testing.wait_all_tasks_blocked()
    assert await subscribers(store) == frozenset()


async def test_a_large_change_that_has_begun_is_finished_though_cancelled(store: Store) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.change_channel, change(MemberChange(list=SUBSCRIBERS, add=uids(0, 200))))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await subscribers(store) == frozenset(uids(0, 200))


async def test_a_large_change_that_failed_is_completed_by_repeating_it(store: Store) -> None:
    assert isinstance(store, SQLiteStore)
    store._writer.execute(
        "CREATE TEMP TRIGGER stop BEFORE INSERT ON member WHEN NEW.uid = 'user030' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    wanted = change(MemberChange(list=SUBSCRIBERS, add=uids(0, 40)))
    with pytest.raises(StoreError):
        await store.change_channel(wanted)
    store._writer.execute("DROP TRIGGER stop")
    await store.change_channel(wanted)
    assert await subscribers(store) == frozenset(uids(0, 40))


async def test_a_list_that_changes_while_it_is_read_is_that_of_one_moment(store: Store) -> None:
    halves, always = (uids(0, 2), uids(2, 4)), uids(10, 15)
    done = False

    async def swap() -> None:
        nonlocal done
        for n in range(200):
            await store.change_channel(
                change(MemberChange(list=SUBSCRIBERS, remove=halves[n % 2], add=halves[1 - n % 2]))
            )
        done = True

    await store.change_channel(change(MemberChange(list=SUBSCRIBERS, add=[*halves[0], *always])))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(swap)
        while not done:
            assert await subscribers(store) in ({*halves[0], *always}, {*halves[1], *always})


async def test_many_channels_of_all_sizes_at_once(store: Store) -> None:
    keys = [ChannelKey(f"g{n}", 2) for n in range(40)]
    for n, key in enumerate(keys):
        lists = [MemberChange(list=name, add=uids(n, n + (n * 7 + place) % 6)) for place, name in enumerate(MemberList)]
        await store.change_channel(ChannelChange(key=key, create=True, members=lists))
    for n, record in enumerate(await store.load_channels(keys)):
        for place, found in enumerate((record.subscribers, record.denied, record.allowed)):
            assert found == frozenset(uids(n, n + (n * 7 + place) % 6))
