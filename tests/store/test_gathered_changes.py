"""Changes of conversations that wait together are one transaction, and none of them notices."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trio
import trio.testing
from samples import GROUP, message

from wukong_trio import StoreError
from wukong_trio.store import gathered_changes
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList
from wukong_trio.store.conversations import ConversationChange
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.sqlite import SQLiteStore

UIDS = [f"u{n}" for n in range(10)]


class BusyStore(SQLiteStore):
    """Notes its transactions; the writer can be held up, and then fail."""

    def __init__(self, files: DatabaseFiles) -> None:
        super().__init__(files)
        self.transactions = 0
        self.may_go_on = Event()
        self.may_go_on.set()
        self.fails = False

    def _transact(self, work: Callable[[Any], Any]) -> Any:
        self.transactions += 1
        assert self.may_go_on.wait(10)
        if self.fails:
            raise StoreError("no disk")
        return super()._transact(work)

    async def read(self, uid: str, read_to: int = 1) -> bool:
        [known] = await self.change_conversations([ConversationChange(uid=uid, key=GROUP, read_to=read_to)])
        return known

    async def positions(self) -> set[int]:
        return {(await self.conversations(uid)).items[0].read_to for uid in UIDS}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BusyStore]:
    store = BusyStore.open(tmp_path, "normal")
    members = MemberChange(list=MemberList.SUBSCRIBERS, add=UIDS)
    await store.change_channel(ChannelChange(key=GROUP, members=[members]))
    await store.append_messages([message(n, 0) for n in range(1, 4)])
    store.transactions = 0
    yield store
    store.may_go_on.set()
    await store.aclose()


async def begin(nursery: trio.Nursery, work: Callable[..., Any], *args: object) -> None:
    """Starts a call that waits for the writer, and lets it wait."""
    nursery.start_soon(work, *args)
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize(("most", "transactions"), [(256, 2), (9, 2), (8, 3), (1, 10)])
async def test_those_that_wait_are_one_transaction(
    store: BusyStore, monkeypatch: pytest.MonkeyPatch, most: int, transactions: int
) -> None:
    monkeypatch.setattr(gathered_changes, "MOST_CHANGES", most)
    known: dict[str, bool] = {}

    async def read(uid: str) -> None:
        known[uid] = await store.read(uid)

    store.may_go_on.clear()
    async with trio.open_nursery() as nursery:
        for uid in ("u0", "nobody", *UIDS[1:9]):
            await begin(nursery, read, uid)
        store.may_go_on.set()
    assert known == {"nobody": False} | dict.fromkeys(UIDS[:9], True)
    assert store.transactions == transactions
    await store.read(UIDS[9])
    assert await store.positions() == {1}


async def test_a_change_does_not_overtake_another_write(store: BusyStore) -> None:
    store.may_go_on.clear()
    async with trio.open_nursery() as nursery:
        await begin(nursery, store.read, UIDS[0])
        await begin(nursery, store.read, UIDS[1])
        await begin(nursery, store.append_messages, [message(9, 0)])
        await begin(nursery, store.read, UIDS[2])
        store.may_go_on.set()
    assert store.transactions == 4


async def test_all_of_them_hear_of_a_failure(store: BusyStore) -> None:
    failed = []

    async def read(uid: str) -> None:
        with pytest.raises(StoreError, match="no disk"):
            await store.read(uid)
        failed.append(uid)

    store.fails = True
    store.may_go_on.clear()
    async with trio.open_nursery() as nursery:
        for uid in UIDS:
            await begin(nursery, read, uid)
        store.may_go_on.set()
    assert (sorted(failed), store.transactions) == (UIDS, 2)
    store.fails = False
    for uid in UIDS:
        await store.read(uid)
    assert await store.positions() == {1}


async def test_who_is_cancelled_leaves_the_others_their_changes(store: BusyStore) -> None:
    store.may_go_on.clear()
    async with trio.open_nursery() as nursery:
        await begin(nursery, store.read, UIDS[0])
        async with trio.open_nursery() as impatient:
            # He would have been the first of his batch.
            await begin(impatient, store.read, UIDS[1])
            for uid in UIDS[2:]:
                await begin(nursery, store.read, uid)
            impatient.cancel_scope.cancel()
        store.may_go_on.set()
    await store.read(UIDS[1])
    assert await store.positions() == {1}
