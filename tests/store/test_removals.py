"""Messages that have expired are gone from every read at their second, and removing messages moves no number."""

import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from samples import GROUP, in_slices, message

from wukong_trio import ChannelKey, Message, open_store
from wukong_trio.store import MemoryStore, pages, removal_rows, schema, sqlite
from wukong_trio.store.base import MAX_MESSAGE_ID, Page, Store, Wanted
from wukong_trio.store.conversations import NewestWish
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.removals import START, Position, Slice
from wukong_trio.store.sqlite import SQLiteStore

OTHER = ChannelKey("other", 2)
SENT_S = 1_700_000_000
ALL = MAX_MESSAGE_ID + 1


def expiring(message_id: int, expire: int, key: ChannelKey = GROUP, payload: bytes = b"{}") -> Message:
    return replace(message(message_id, 0, key, payload), expire=expire)


class Clock:
    """The time in seconds since SENT_S."""

    def __init__(self, store: Store) -> None:
        self.s = 0.0
        store.clock = self

    def __call__(self) -> float:
        return SENT_S + self.s


@pytest.fixture
def clock(store: Store) -> Clock:
    return Clock(store)


async def remove(work: Callable[..., Awaitable[Slice]], store: Store, **options: Any) -> int:
    """A round of slices of three messages."""
    await in_slices(store.settle)
    removed, held_back = await in_slices(partial(work, limit=3, **({"before_id": ALL} | options)))
    assert not held_back
    return removed


async def seqs(
    store: Store, key: ChannelKey = GROUP, limit: int = 99, *, newest: bool = True
) -> tuple[list[int], bool]:
    page = await store.messages_between(key, 1, 2**62, limit, newest=newest, max_bytes=60_000)
    return [m.message_seq for m in page.messages], page.more


async def test_a_message_is_gone_from_every_read_at_its_second(store: Store, clock: Clock) -> None:
    await store.append_messages([expiring(1, 0), expiring(2, 30), expiring(3, 0)])
    for clock.s, found in ((29.9, [1, 2, 3]), (30, [1, 3])):
        ids = [m.message_id for m in await store.messages_by_id([1, 2, 3])]
        assert sorted(ids) == found
        assert (await seqs(store))[0] == found
        assert (await seqs(store, newest=False))[0] == found
        for wanted in (
            Wanted(message_seqs=[1, 2, 3]),
            Wanted(message_ids=[1, 2, 3]),
            Wanted(client_msg_nos=["m1", "m2", "m3"]),
        ):
            page = await store.find_messages(GROUP, wanted, max_bytes=9999)
            assert ([m.message_seq for m in page.messages], page.more) == (found, False)
    assert len(await store.messages_by_id([2], expired=True)) == 1, "repeated sends are recognised by it"
    assert [m.message_id for m in await store.messages_after(0, 9, max_bytes=999)] == [1, 2, 3], "webhooks tell of it"
    assert await store.last_seq(GROUP) == 3


async def test_what_was_removed_is_no_newest_message_although_it_is_in_memory(store: Store) -> None:
    await store.append_messages([expiring(n, 0) for n in range(1, 4)])
    assert await seqs(store) == ([1, 2, 3], False)
    wish = NewestWish(GROUP, 1, 1, newest_id=3)
    assert [[m.message_seq for m in found] for found in await store.newest_messages([wish], max_bytes=999)] == [[3]]
    assert await remove(store.remove_before, store) == 3
    assert await store.newest_messages([wish], max_bytes=999) == [[]]
    assert await store.newest_messages([NewestWish(GROUP, 1, 1)], max_bytes=999) == [[]]


async def test_pages_are_full_and_know_whether_there_are_more(store: Store, clock: Clock) -> None:
    lives = [0, 5, 5, 0, 5, 0, 0, 5, 5, 5]
    await store.append_messages([expiring(n, life) for n, life in enumerate(lives, start=1)])
    left = [1, 4, 6, 7]
    clock.s = 5
    for limit in range(1, 6):
        assert await seqs(store, limit=limit) == (left[-limit:], limit < 4)
        assert await seqs(store, limit=limit, newest=False) == (left[:limit], limit < 4)
    for low, high, found in ((2, 3, []), (8, 99, []), (2, 6, [4, 6]), (7, 10, [7])):
        for newest in (True, False):
            page = await store.messages_between(GROUP, low, high, 9, newest=newest, max_bytes=9999)
            assert ([m.message_seq for m in page.messages], page.more) == (found, False)


async def test_only_the_last_with_its_number_counts_that_has_not_expired(store: Store, clock: Clock) -> None:
    await store.append_messages([replace(expiring(n, life), client_msg_no="m") for n, life in ((1, 9), (2, 0), (3, 5))])
    for clock.s, newest, earliest in ((0, 3, 1), (5, 2, 1), (9, 2, 2)):
        for is_earliest, seq in ((False, newest), (True, earliest)):
            page = await store.find_messages(GROUP, Wanted(client_msg_nos=["m"], earliest=is_earliest), max_bytes=9)
            assert [m.message_seq for m in page.messages] == [seq]


async def test_what_is_gone_is_counted(store: Store, clock: Clock) -> None:
    await store.append_messages([expiring(n, n % 3 * 10) for n in range(1, 11)])  # 1: 10 s, 2: 20 s, 3: never ...
    await store.append_messages([expiring(20, 0, OTHER)])
    for clock.s, gone in ((9, []), (10, [1, 4, 7, 10]), (20, [1, 2, 4, 5, 7, 8, 10])):
        for low, high in ((1, 10), (2, 7), (5, 5), (8, 10), (6, 5)):
            assert await store.gone_between(GROUP, low, high) == sum(low <= seq <= high for seq in gone)
        await remove(store.remove_expired, store)
        assert await store.gone_between(GROUP, 1, 10) == len(gone), "whether they were removed or not"
    await remove(store.remove_before, store, before_id=6)
    assert await store.gone_between(GROUP, 1, 10) == 8
    assert await store.gone_between(GROUP, 3, 6) == 3
    assert await store.gone_between(OTHER, 1, 1) == 0
    assert await store.gone_between(ChannelKey("none", 2), 1, 5) == 0


async def test_expired_messages_are_removed_and_counted_once(store: Store, clock: Clock) -> None:
    await store.append_messages([expiring(n, n, (GROUP, OTHER)[n % 2]) for n in range(1, 11)])
    assert await remove(store.remove_expired, store) == 0
    clock.s = 7
    assert await remove(store.remove_expired, store, before_id=5) == 4
    assert await remove(store.remove_expired, store) == 3
    assert await remove(store.remove_expired, store) == 0
    assert await store.messages_by_id(range(1, 8), expired=True) == []
    assert await store.message_ids_after(0, 99) == [8, 9, 10]
    assert await seqs(store) == ([4, 5], False)


async def test_the_oldest_messages_are_removed(store: Store, clock: Clock) -> None:
    await store.append_messages([expiring(n, 0, (GROUP, OTHER)[n % 2]) for n in range(1, 21)])
    assert await remove(store.remove_before, store, before_id=1) == 0
    assert await remove(store.remove_before, store, before_id=12) == 11
    assert await remove(store.remove_before, store, before_id=12) == 0
    assert await seqs(store) == ([6, 7, 8, 9, 10], False)
    assert await seqs(store, OTHER) == ([7, 8, 9, 10], False)
    assert await store.messages_by_id(range(1, 12), expired=True) == []


async def test_channels_keep_the_newest_messages(store: Store, clock: Clock) -> None:
    await store.append_messages([expiring(n, 0) for n in range(1, 21)] + [expiring(99, 0, OTHER)])
    assert await remove(store.remove_surplus, store, kept=20) == 0
    assert await remove(store.remove_surplus, store, kept=6, before_id=10) == 9
    assert await remove(store.remove_surplus, store, kept=6) == 5
    assert await remove(store.remove_surplus, store, kept=6) == 0
    assert await seqs(store) == ([15, 16, 17, 18, 19, 20], False)
    assert await seqs(store, OTHER) == ([1], False)


@pytest.mark.parametrize("how", ["remove_expired", "remove_before", "remove_surplus"])
async def test_no_number_is_given_again(store: Store, clock: Clock, how: str) -> None:
    options = {"kept": 1} if how == "remove_surplus" else {}
    await store.append_messages([expiring(n, 1) for n in range(1, 6)])
    clock.s = 1
    assert await remove(getattr(store, how), store, **options) == (4 if options else 5)
    assert await store.last_seq(GROUP) == 5
    assert (await store.load_channels([GROUP]))[0].last_seq == 5
    assert await store.last_message_id() == 5
    assert await seqs(store) == ([], False)
    assert list(await store.append_messages([expiring(6, 0)])) == [6]
    assert await seqs(store) == ([6], False)


@pytest.fixture(params=["remove_expired", "remove_before", "remove_surplus"])
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_numbers_go_on_after_a_start_though_nothing_is_left(tmp_path: Path, how: str) -> None:
    options = {"kept": 1} if how == "remove_surplus" else {}
    async with open_store(tmp_path) as store:
        Clock(store).s = 1
        await store.append_messages([expiring(n, 1) for n in range(1, 6)])
        await remove(getattr(store, how), store, **options)
    async with open_store(tmp_path) as store:
        Clock(store).s = 1
        assert await store.last_message_id() == 5
        assert await store.last_seq(GROUP) == 5
        assert (await store.load_channels([GROUP]))[0].last_seq == 5
        assert list(await store.append_messages([expiring(6, 0)])) == [6]
        assert await seqs(store) == ([6], False)


async def test_the_newest_messages_are_held_back_until_they_are_indexed(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        Clock(store).s = 1
        await store.append_messages([expiring(n, 1) for n in range(1, 4)])
        works = (
            partial(store.remove_expired, limit=9, before_id=ALL),
            partial(store.remove_before, limit=9, before_id=ALL),
            partial(store.remove_surplus, limit=9, before_id=ALL, kept=1),
        )
        for work in works:
            assert await in_slices(work) == (0, True)
        assert await in_slices(store.settle) == (0, False)
        assert await in_slices(works[0]) == (3, False)


class Twins:
    """A store on disk and one in memory that have to agree."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.directory = directory
        self.disk = SQLiteStore(DatabaseFiles(directory, "normal"))
        self.model = MemoryStore()
        self.s = 0
        self.newest_id = 0
        self.share_clock()

    def share_clock(self) -> None:
        self.disk.clock = self.model.clock = lambda: SENT_S + self.s

    async def append(self) -> None:
        batch = []
        for _ in range(self.rng.choice((1, 1, 3, 12))):
            self.newest_id += self.rng.choice((1, 5))
            life = self.rng.choice((0, 0, 5, 20, 100)) + self.s
            key = self.rng.choice((GROUP, OTHER))
            payload = b"x" * self.rng.choice((2, 2, 5000))
            batch.append(expiring(self.newest_id, life if life != self.s else 0, key, payload))
        assert list(await self.disk.append_messages(batch)) == list(await self.model.append_messages(batch))

    async def time_passes(self) -> None:
        self.s += self.rng.choice((1, 4, 20))

    async def remove(self) -> None:
        kind = self.rng.choice(("remove_expired", "remove_before", "remove_surplus"))
        before_id = self.rng.randrange(self.newest_id + 2)
        if kind == "remove_before":
            before_id = max(before_id - 60, 0)
        options = {"kept": self.rng.choice((10, 40))} if kind == "remove_surplus" else {}
        counts = [
            await remove(getattr(store, kind), store, before_id=before_id, **options)
            for store in (self.disk, self.model)
        ]
        assert counts[0] == counts[1]

    async def restart(self) -> None:
        await self.disk.aclose()
        self.disk = SQLiteStore(DatabaseFiles(self.directory, "normal"))
        self.share_clock()

    async def compare(self) -> None:
        for key in (GROUP, OTHER):
            last_seq = await self.model.last_seq(key)
            assert await self.disk.last_seq(key) == last_seq
            low = self.rng.randrange(1, last_seq + 2)
            high = self.rng.choice((2**62, self.rng.randrange(low, last_seq + 2)))
            limit, newest = self.rng.choice((1, 3, 50)), self.rng.random() < 0.5
            max_bytes = self.rng.choice((0, 9000, 60_000))
            both: list[Page] = [
                await store.messages_between(key, low, high, limit, newest=newest, max_bytes=max_bytes)
                for store in (self.disk, self.model)
            ]
            assert both[0] == both[1]
            assert await self.disk.gone_between(key, low, last_seq) == await self.model.gone_between(key, low, last_seq)
            some = [self.rng.randrange(self.newest_id + 1) for _ in range(5)]
            wanted = Wanted(
                message_seqs=[self.rng.randrange(last_seq + 2) for _ in range(5)],
                message_ids=some,
                client_msg_nos=[f"m{id_}" for id_ in some],
            )
            found = [await store.find_messages(key, wanted, max_bytes=9000) for store in (self.disk, self.model)]
            assert found[0] == found[1]
        assert await self.disk.last_message_id() == await self.model.last_message_id()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("chunks", ["small_chunks", "large chunks"])
async def test_both_stores_agree_whatever_happens(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, chunks: str, seed: int
) -> None:
    if chunks == "small_chunks":
        request.getfixturevalue(chunks)
    monkeypatch.setattr(removal_rows, "SETTLED", 5)
    monkeypatch.setattr(removal_rows, "CHANNELS", 1)
    twins = Twins(tmp_path, seed)
    works = [twins.append] * 6 + [twins.time_passes] * 2 + [twins.remove] * 2 + [twins.restart]
    for _ in range(120):
        await twins.rng.choice(works)()
        await twins.compare()
    await twins.disk.aclose()


async def test_a_round_ends_though_a_chunk_of_the_index_is_on_its_way(small_chunks: None, disk: SQLiteStore) -> None:
    for n in range(1, 10):
        await disk.append_messages([message(n, 0)])
    with trio.fail_after(5):
        removed, held_back = await in_slices(partial(disk.remove_surplus, limit=1, kept=1, before_id=ALL))
    assert held_back
    assert removed == 0
    assert await remove(disk.remove_surplus, disk, kept=1) == 8


async def test_after_a_crash_between_two_slices_nothing_is_half_gone(tmp_path: Path) -> None:
    store = SQLiteStore(DatabaseFiles(tmp_path / "live", "normal"))
    Clock(store).s = 1
    await store.append_messages([expiring(n, n % 2, (GROUP, OTHER)[n % 3 % 2]) for n in range(1, 40)])
    await in_slices(store.settle)
    copies = 0
    position: Position | None = START
    while position is not None:
        _, position, _ = await store.remove_expired(position, 4, before_id=ALL)
        copies += 1
        copy = tmp_path / f"copy{copies}"
        copy.mkdir()
        for file in (tmp_path / "live").iterdir():
            if not file.name.endswith("-shm"):
                (copy / file.name).write_bytes(file.read_bytes())
    assert copies > 4
    for number in range(1, copies + 1):
        again = SQLiteStore(DatabaseFiles(tmp_path / f"copy{number}", "normal"))
        Clock(again).s = 1
        for key in (GROUP, OTHER):
            assert await seqs(again, key) == await seqs(store, key)
            last_seq = await store.last_seq(key)
            assert await again.last_seq(key) == last_seq
            assert await again.gone_between(key, 1, last_seq) == await store.gone_between(key, 1, last_seq)
        left = len(await again.messages_by_id(range(1, 40), expired=True))
        await in_slices(partial(again.remove_expired, limit=4, before_id=ALL))
        assert len(await again.messages_by_id(range(1, 40), expired=True)) == 19 <= left
        await again.aclose()
    await store.aclose()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with open_store(tmp_path) as store:
        assert isinstance(store, SQLiteStore)
        yield store


@pytest.mark.usefixtures("nothing_recent")
async def test_a_page_that_is_kept_never_has_what_is_gone(disk: SQLiteStore) -> None:
    clock = Clock(disk)
    await disk.append_messages([expiring(n, 5 if n in (2, 4) else 0) for n in range(1, 8)])
    for _ in range(3):
        assert [await seqs(disk, limit=limit) for limit in (2, 3, 9)] == [
            ([6, 7], True),
            ([5, 6, 7], True),
            ([1, 2, 3, 4, 5, 6, 7], False),
        ]
    clock.s = 5
    for _ in range(3):
        assert [await seqs(disk, limit=limit) for limit in (2, 3, 9)] == [
            ([6, 7], True),
            ([5, 6, 7], True),
            ([1, 3, 5, 6, 7], False),
        ]
    await remove(disk.remove_before, disk, before_id=5)
    for _ in range(3):
        assert await seqs(disk, limit=2) == ([6, 7], True)
        assert await seqs(disk, limit=3) == ([5, 6, 7], False), "there were more"


@pytest.mark.usefixtures("nothing_recent")
async def test_a_page_that_was_read_before_a_removal_is_not_kept_after_it(
    disk: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await disk.append_messages([expiring(n, 0) for n in range(1, 8)])
    await in_slices(disk.settle)
    assert len((await seqs(disk))[0]) == 7
    read, proceed = threading.Event(), threading.Event()

    def read_pages(*args: Any) -> Any:
        pages_read = pages.read_pages(*args)
        read.set()
        proceed.wait(10)
        return pages_read

    monkeypatch.setattr(sqlite, "read_pages", read_pages)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(seqs, disk)
        assert await trio.to_thread.run_sync(read.wait, 10)
        await disk.remove_before(START, 9, before_id=5)
        proceed.set()
    assert await seqs(disk) == ([5, 6, 7], False)


async def test_ordinary_messages_cost_no_row_more(disk: SQLiteStore) -> None:
    await disk.append_messages([expiring(n, 0) for n in range(1, 100)])
    assert disk._writer.execute("SELECT count(*) FROM expiry").fetchone() == (0,)
    await disk.append_messages([expiring(100, 7)])
    assert disk._writer.execute("SELECT * FROM expiry").fetchall() == [(1, 100, 100, SENT_S + 7)]


async def test_room_is_used_again(disk: SQLiteStore) -> None:
    Clock(disk).s = 1
    most = 0
    for turn in range(8):
        await disk.append_messages([expiring(turn * 500 + n, 1, payload=b"x" * 1000) for n in range(1, 501)])
        await remove(disk.remove_expired, disk)
        [now] = disk._writer.execute("PRAGMA page_count").fetchone()
        assert turn < 2 or now < 1.2 * most
        most = max(most, now)


async def test_rows_of_expired_messages_go_with_the_begin_of_their_channel(disk: SQLiteStore) -> None:
    Clock(disk).s = 1
    await disk.append_messages([expiring(n, n % 2) for n in range(1, 31)])
    await remove(disk.remove_expired, disk)
    assert disk._writer.execute("SELECT count(*) FROM expiry").fetchone() == (15,)
    await remove(disk.remove_before, disk, before_id=21)
    assert disk._writer.execute("SELECT count(*) FROM expiry").fetchone() == (5,)
    assert await disk.gone_between(GROUP, 1, 30) == 25


async def test_messages_of_an_older_database_expire_too(tmp_path: Path) -> None:
    step = next(n for n, statements in enumerate(schema.MIGRATIONS) if "TABLE expiry" in statements[0])
    database = sqlite3.connect(tmp_path / "wukong.db", isolation_level=None)
    for statement in [statement for statements in schema.MIGRATIONS[:step] for statement in statements]:
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {step}")
    database.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    database.execute("INSERT INTO channel (channel_id, channel_type) VALUES ('g', 2)")
    for n in range(1, 6):
        row = (n, 1, n, "ann", f"m{n}", SENT_S, 0, 0, n % 2, "", "", b"x")
        database.execute(f"INSERT INTO message VALUES ({','.join('?' * len(row))})", row)
    database.close()
    async with open_store(tmp_path) as store:
        clock = Clock(store)
        assert (await seqs(store))[0] == [1, 2, 3, 4, 5]
        clock.s = 1
        assert (await seqs(store))[0] == [2, 4]
        assert await store.gone_between(GROUP, 1, 5) == 3
        assert await remove(store.remove_expired, store) == 3
