"""The write-ahead log stays short, also while somebody always reads."""

import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from common import until
from samples import append, message

from wukong_trio import open_store
from wukong_trio.store import files, sqlite, wal
from wukong_trio.store.base import Store

PAGE_BYTES = 4096
LIMIT_BYTES = 400 * PAGE_BYTES
PAYLOAD = bytes(20_000)


@pytest.fixture
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything a hundred times smaller, so that it happens at once."""
    monkeypatch.setattr(files, "_WAL_PAGES", 100)
    monkeypatch.setattr(wal, "WAL_BYTES", LIMIT_BYTES)
    monkeypatch.setattr(sqlite, "TEND_INTERVAL_S", 0.01)


class Writer:
    """Stores messages without a pause and notes how large the log is."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.log = directory / "wukong.db-wal"
        self.stored = 0
        self.sizes: list[int] = []

    async def run(self, count: int) -> None:
        for _ in range(count):
            self.stored += 1
            await append(self.store, [message(self.stored, self.stored, payload=PAYLOAD)])
            self.sizes.append(os.stat(self.log).st_size)

    def summary(self) -> str:
        """The size over time, in pages."""
        return " ".join(str(size // PAGE_BYTES) for size in self.sizes[:: max(len(self.sizes) // 20, 1)])


@asynccontextmanager
async def readers_without_a_gap(directory: Path) -> AsyncIterator[None]:
    """Two who read by turns, each beginning before the other ends: there is no moment at which nobody reads."""
    stop = threading.Event()

    def read() -> None:
        readers = [sqlite3.connect(directory / "wukong.db", isolation_level=None) for _ in range(2)]
        while not stop.is_set():
            for reader, other in (readers, reversed(readers)):
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM system_uid").fetchone()
                if other.in_transaction:
                    other.execute("ROLLBACK")
                time.sleep(0.002)
        for reader in readers:
            reader.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read)
        try:
            yield
        finally:
            stop.set()


@pytest.mark.usefixtures("small_log")
async def test_continuous_readers_do_not_make_it_grow(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        writer = Writer(store, tmp_path)
        async with readers_without_a_gap(tmp_path):
            with trio.fail_after(60):
                await writer.run(600)
        # 3,000 pages were written. What comes in while a reader finishes is on top of the limit.
        assert max(writer.sizes) < 3 * LIMIT_BYTES, writer.summary()


@pytest.mark.usefixtures("small_log")
async def test_a_reader_from_outside_holds_it_up_for_its_own_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "PATIENCE_S", 0.01)
    async with open_store(tmp_path) as store:
        writer = Writer(store, tmp_path)
        await writer.run(10)
        outside = sqlite3.connect(tmp_path / "wukong.db", isolation_level=None)
        outside.execute("BEGIN")
        outside.execute("SELECT count(*) FROM message").fetchone()
        await writer.run(150)
        assert writer.sizes[-1] > LIMIT_BYTES
        outside.close()
        async with readers_without_a_gap(tmp_path):
            await until(lambda: os.stat(writer.log).st_size < LIMIT_BYTES)


@pytest.mark.usefixtures("small_log")
async def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        writer = Writer(store, tmp_path)
        await writer.run(3)
        for _ in range(10):
            await trio.sleep(0.01)
        assert os.stat(writer.log).st_size == writer.sizes[-1]


@pytest.mark.usefixtures("small_log")
def test_attempts_that_fail_come_more_and_more_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x-wal").write_bytes(bytes(LIMIT_BYTES + 1))
    keeper = wal.LogKeeper(tmp_path / "x")
    attempts: list[int] = []
    outcome, rounds = False, 0

    def empty(_writer: sqlite3.Connection) -> bool:
        attempts.append(rounds)
        return outcome

    monkeypatch.setattr(keeper, "_empty", empty)
    connection = sqlite3.connect(":memory:")
    while rounds < 50:
        keeper.tend(connection)
        rounds += 1
    assert attempts == [0, 2, 6, 14, 22, 30, 38, 46]
    outcome, attempts[:] = True, []
    while rounds < 70:
        keeper.tend(connection)
        rounds += 1
    assert attempts == list(range(54, 70)), "what has worked is tried again at once"
    connection.close()
