"""Reads that are asked for at the same time go to a thread together, and none waits longer than it has to."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from common import until
from samples import GROUP, message

from wukong_trio import ChannelKey, StoreError
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.gathering import GatheredReads
from wukong_trio.store.readers import ReaderPool
from wukong_trio.store.sqlite import SQLiteStore


class Desk:
    """Doubles numbers, and says which came together."""

    def __init__(self, pool: ReaderPool) -> None:
        self.pool = pool
        self.batches: list[list[int]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails: BaseException | None = None
        self.reads: GatheredReads[int, int] = GatheredReads(pool, self.work, lambda wish: wish, 10)

    def work(self, reader: sqlite3.Connection, wishes: Sequence[int]) -> list[int]:
        self.batches.append(list(wishes))
        self.go_on.wait(10)
        if self.fails is not None:
            raise self.fails
        return [reader.execute("SELECT ? * 2", (wish,)).fetchone()[0] for wish in wishes]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    files = DatabaseFiles(tmp_path, "normal")
    pool = ReaderPool(files, 1)
    with trio.fail_after(10):
        yield Desk(pool)
        await pool.idle()
    pool.close()
    files.release()


async def ask(desk: Desk, *wishes: int) -> list[int]:
    """All at once."""
    answers = [0] * len(wishes)

    async def one(place: int) -> None:
        answers[place] = await desk.reads.read(wishes[place])

    async with trio.open_nursery() as nursery:
        for place in range(len(wishes)):
            nursery.start_soon(one, place)
    return answers


async def test_who_asks_at_the_same_time_comes_along(desk: Desk) -> None:
    assert await ask(desk, 1, 2, 3) == [2, 4, 6]
    assert [sorted(batch) for batch in desk.batches] == [[1, 2, 3]]
    assert await ask(desk, 4) == [8]
    assert len(desk.batches) == 2


async def test_a_batch_weighs_no_more_than_it_may_and_has_one_read_at_least(desk: Desk) -> None:
    assert await ask(desk, 5, 5) == [10, 10]
    assert desk.batches == [[5, 5]]
    desk.batches.clear()
    assert await ask(desk, 5, 6) == [10, 12]
    assert sorted(desk.batches) == [[5], [6]]
    desk.batches.clear()
    assert await ask(desk, 11) == [22]
    assert desk.batches == [[11]]


async def test_who_comes_meanwhile_joins_the_next_batch(desk: Desk) -> None:
    desk.go_on.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, desk, 1)
        await until(lambda: bool(desk.batches))
        nursery.start_soon(ask, desk, 2, 3)
        await trio.testing.wait_all_tasks_blocked()
        desk.go_on.set()
    assert [sorted(batch) for batch in desk.batches] == [[1], [2, 3]]


async def test_whoever_is_cancelled_leaves_at_once_and_the_others_get_their_answers(desk: Desk) -> None:
    desk.go_on.clear()
    scopes = [trio.CancelScope(), trio.CancelScope()]

    async def impatient(scope: trio.CancelScope, wish: int) -> None:
        with scope:
            await ask(desk, wish)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient, scopes[0], 1)
        await until(lambda: bool(desk.batches))
        nursery.start_soon(ask, desk, 4)
        async with trio.open_nursery() as others:
            others.start_soon(impatient, scopes[1], 3)
            await trio.testing.wait_all_tasks_blocked()
            scopes[1].cancel()
        scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert scopes[0].cancelled_caught, "it does not wait for the thread"
        desk.go_on.set()
    assert desk.batches == [[1], [4]], "what nobody waits for is not begun"
    assert await ask(desk, 2) == [4]


async def test_all_of_a_batch_get_its_error_and_the_next_batch_none(desk: Desk) -> None:
    for error, raised in ((sqlite3.OperationalError("disk"), StoreError), (ZeroDivisionError(), ZeroDivisionError)):
        desk.fails = error
        with pytest.RaisesGroup(raised, raised):
            await ask(desk, 1, 2)
        desk.fails = None
        assert await ask(desk, 3) == [6]


async def test_once_it_is_closed_reads_are_refused(desk: Desk) -> None:
    await desk.pool.idle()
    for _ in range(2):
        with pytest.RaisesGroup(StoreError, StoreError):
            await ask(desk, 1, 2)


@pytest.mark.usefixtures("nothing_recent")
async def test_pages_that_are_read_together_are_those_that_were_asked_for(tmp_path: Path) -> None:
    store = SQLiteStore(DatabaseFiles(tmp_path, "normal"))
    keys = [GROUP, ChannelKey("other", 2), ChannelKey("none", 2)]
    payloads = [b"", b"\x00\xff", b"x" * 4096, b"y" * 4097, b"z" * 30_000]
    await store.append_messages([message(n, 0, keys[n % 2], payloads[n % 5]) for n in range(1, 41)])
    wishes = [
        (key, low, high, limit, newest, max_bytes)
        for key in keys
        for low, high in ((1, 2**62), (3, 9), (19, 40), (21, 30))
        for limit in (1, 3, 200)
        for newest in (True, False)
        for max_bytes in (0, 4098, 60_000)
    ]
    together: dict[object, object] = {}

    async def read(*wish: object) -> None:
        together[wish] = await page(*wish)

    async def page(
        key: ChannelKey, low: int, high: int, limit: int, newest: bool, max_bytes: int
    ) -> tuple[list[tuple[int, bytes]], bool]:
        page = await store.messages_between(key, low, high, limit, newest=newest, max_bytes=max_bytes)
        return [(m.message_seq, m.payload) for m in page.messages], page.more

    async with trio.open_nursery() as nursery:
        for wish in wishes:
            nursery.start_soon(read, *wish)
    for wish in wishes:
        assert together[wish] == await page(*wish)
    await store.aclose()
