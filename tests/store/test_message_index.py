"""Messages move from memory into the index table slice by slice: nobody can tell from outside, whatever happens."""

import random
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from common import until
from msgspec.structs import replace
from samples import GROUP, append, between, message

from wukong_trio import ChannelKey, StoreError
from wukong_trio.model import Message
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import Wanted
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.sqlite import SQLiteStore

KEYS = [ChannelKey(f"g{n}", 2) for n in range(6)]
pytestmark = pytest.mark.usefixtures("small_chunks")


def opened(directory: Path) -> SQLiteStore:
    return SQLiteStore(DatabaseFiles(directory, "normal"))


@contextmanager
def no_more_pages(store: SQLiteStore, spare: int) -> Iterator[None]:
    """The disk is nearly full."""
    [pages] = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages + spare}")
    yield
    store._writer.execute("PRAGMA max_page_count = 1000000")


class Twins:
    """A store on disk and one in memory that get the same calls and have to agree."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.model = MemoryStore()
        self.directory = directory
        self.disk = opened(directory / "0")
        self.opened = 0
        self.refused = self.refused_by_the_index = 0

    async def batch(self) -> list[Message]:
        """The next messages of some channels, in random order."""
        last = {record.key: record.last_seq for record in await self.model.load_channels(KEYS)}
        next_id = await self.model.last_message_id()
        batch = []
        for _ in range(self.rng.choice((1, 1, 2, 5, 20))):
            key = self.rng.choice(KEYS)
            last[key] += 1
            next_id += self.rng.choice((1, 1000))
            batch.append(message(next_id, last[key], key, b"x" * self.rng.choice((2, 2, 5000))))
        return batch

    async def append(self) -> None:
        batch = await self.batch()
        await append(self.disk, batch)
        await append(self.model, batch)

    async def append_on_a_full_disk(self) -> None:
        batch = await self.batch()
        with no_more_pages(self.disk, self.rng.randrange(3)):
            try:
                await append(self.disk, batch)
            except StoreError:
                self.refused += 1
                return
        await append(self.model, batch)

    async def append_while_the_index_fails(self) -> None:
        writer, batch = self.disk._writer, await self.batch()
        some = f"NEW.message_id % {self.rng.choice((1, 3))} = 0"
        writer.execute(
            f"CREATE TEMP TRIGGER stop BEFORE INSERT ON message_index WHEN {some} BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        try:
            await append(self.disk, batch)
        except StoreError:
            self.refused_by_the_index += 1
        else:
            await append(self.model, batch)
        writer.execute("DROP TRIGGER stop")

    async def append_wrong(self) -> None:
        batch = await self.batch()
        place = self.rng.randrange(len(batch))
        before = batch[place - 1].message_id if place else await self.model.last_message_id()
        batch[place] = replace(batch[place], message_id=before - self.rng.choice((0, 1, 10**6)))
        for store in (self.disk, self.model):
            with pytest.raises(StoreError, match="not newer"):
                await append(store, batch)

    async def reopen(self) -> None:
        await self.disk.aclose()
        self.disk = opened(self.directory / str(self.opened))

    async def crash(self) -> None:
        """The next server finds the files as they are at this moment."""
        self.opened += 1
        old, new = self.directory / str(self.opened - 1), self.directory / str(self.opened)
        new.mkdir()
        for file in ("wukong.db", "wukong.db-wal"):
            shutil.copy(old / file, new / file)
        await self.disk.aclose()
        self.disk = opened(new)

    async def read(self) -> None:
        rng, key = self.rng, self.rng.choice(KEYS)
        low, high = rng.randrange(-1, 60), rng.choice((rng.randrange(80), 2**62))
        limit, newest = rng.choice((0, 1, 3, 20, 1000)), rng.random() < 0.5
        found, expected = [
            await between(store, key, low, high, limit, newest=newest) for store in (self.disk, self.model)
        ]
        assert found == expected
        assert await self.disk.last_seq(key) == await self.model.last_seq(key)
        ids = [rng.randrange(max(await self.model.last_message_id(), 1)) for _ in range(3)]
        wanted = Wanted(
            message_seqs=[rng.randrange(80) for _ in range(3)],
            message_ids=[message.message_id for message in expected[:2]] + ids,
            client_msg_nos=[message.client_msg_no for message in expected[-2:]] + ["none"] * rng.randrange(2),
            earliest=rng.random() < 0.5,
        )
        pages = [await store.find_messages(key, wanted, max_bytes=limit * 9) for store in (self.disk, self.model)]
        assert pages[0] == pages[1]

    async def compare(self) -> None:
        for key in KEYS:
            found, expected = [
                await between(store, key, 1, 2**62, 10**6, newest=True) for store in (self.disk, self.model)
            ]
            assert found == expected
        assert await self.disk.load_channels(KEYS) == await self.model.load_channels(KEYS)
        assert await self.disk.last_message_id() == await self.model.last_message_id()
        assert await self.disk.recent_marks(0, 50) == await self.model.recent_marks(0, 50)


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_the_stores_agree(tmp_path: Path, seed: int) -> None:
    twins = Twins(tmp_path, seed)
    steps = [twins.append, twins.read, twins.append_wrong, twins.append_on_a_full_disk, twins.compare]
    steps.append(twins.append_while_the_index_fails)
    weights = [12, 12, 3, 4, 1, 4]
    for _ in range(120):
        await twins.rng.choices([*steps, twins.reopen, twins.crash], [*weights, 1, 1])[0]()
    await twins.compare()
    await twins.crash()
    await twins.compare()
    assert twins.refused, "the disk was full at least once"
    assert twins.refused_by_the_index
    [indexed] = twins.disk._writer.execute("SELECT count(*) FROM message_index").fetchone()
    assert indexed > 20, "and much went into the table"
    await twins.disk.aclose()


async def test_readers_see_whole_batches_while_slices_move(tmp_path: Path) -> None:
    store, rng = opened(tmp_path), random.Random(1)
    written = dict.fromkeys(KEYS, 0)
    ends: dict[ChannelKey, set[int]] = {key: {0} for key in KEYS}
    done = False

    async def write() -> None:
        nonlocal done
        next_id = 0
        for _ in range(120):
            last, batch = dict(written), []
            for _ in range(rng.choice((1, 3, 2000))):
                key = rng.choice(KEYS[:3])
                last[key] += 1
                next_id += 1
                batch.append(message(next_id, last[key], key))
            for key, seq in last.items():
                ends[key].add(seq)
            await append(store, batch)
            written.update(last)
        done = True

    async def read() -> None:
        while not done:
            key = rng.choice(KEYS[:3])
            before = written[key]
            low = max(1, before - 30)
            found = [m.message_seq for m in await between(store, key, low, 2**62, 10**6, newest=True)]
            assert found == list(range(low, low + len(found)))
            [record] = await store.load_channels([key])
            for last in (found[-1] if found else low - 1, record.last_seq):
                assert last >= before
                assert last in ends[key]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(2):
                    nursery.start_soon(read)
                nursery.start_soon(write)
    finally:
        sys.setswitchinterval(interval)
    await store.aclose()


async def test_numbers_continue_in_channels_that_are_not_in_memory(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await append(store, [message(n, n) for n in range(1, 11)])
    for n in range(11, 60):
        await append(store, [message(n, 1, ChannelKey(f"other{n}", 2))])
    await store.aclose()
    store = opened(tmp_path)
    await append(store, [message(100, 11), message(101, 2, ChannelKey("other11", 2)), message(102, 12)])
    await store.aclose()


async def test_a_value_that_cannot_be_stored_harms_no_other_message(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await append(store, [message(1, 1)])
    for wrong in (message(3, 1, ChannelKey("\ud800", 2)), replace(message(3, 2), timestamp=2**70)):
        with pytest.raises((UnicodeEncodeError, OverflowError)):
            await append(store, [message(2, 1, ChannelKey("new", 2)), wrong])
    await append(store, [message(2, 1, ChannelKey("another", 2)), message(3, 1, ChannelKey("new", 2))])
    await append(store, [message(4, 2)])
    assert [m.message_id for m in await between(store, GROUP, 1, 9, 9, newest=True)] == [1, 4]
    assert [m.message_id for m in await between(store, ChannelKey("new", 2), 1, 9, 9, newest=True)] == [3]
    await store.aclose()


async def test_a_chunk_never_leaves_memory_unseen(tmp_path: Path) -> None:
    store, moments = opened(tmp_path), list[tuple[int, int]]()
    index = store._index

    class Watched(type(index)):  # type: ignore[misc]
        """At the moment at which a chunk is counted as moved, another thread looks."""

        @property
        def chunks_moved(self) -> int:
            return self.__dict__.get("moved", 0)

        @chunks_moved.setter
        def chunks_moved(self, count: int) -> None:
            looker = threading.Thread(target=lambda: moments.append((self.last_seq(1), self.chunks_moved)))
            looker.start()
            looker.join(0.05)
            self.__dict__["moved"] = count

    index.__class__ = Watched
    before = index.chunks_moved
    for n in range(1, 30):
        await append(store, [message(n, 1, ChannelKey(f"g{n}", 2))])
    await until(lambda: len(moments) == index.chunks_moved)
    assert len(moments) > 1
    for last_seq, moved in moments:
        assert last_seq == 1 or moved > before, "whoever finds nothing sees that a chunk has moved"
    await store.aclose()
