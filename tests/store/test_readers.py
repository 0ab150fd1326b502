"""Look-ups have lanes of their own, and a store that is closed has closed everything."""

import os
import threading
from functools import partial
from pathlib import Path

import pytest
import trio
from samples import GROUP, append, between, message

from wukong_trio import StoreError, open_store
from wukong_trio.store import sqlite, transactions
from wukong_trio.store.page_cache import CachedPage
from wukong_trio.store.pages import NOTHING


def open_files(directory: Path) -> list[str]:
    """The files of a directory that this process has open."""
    found = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [path for path in found if path.startswith(str(directory))]


@pytest.mark.usefixtures("nothing_recent")
async def test_logins_and_channels_do_not_wait_for_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proceed = threading.Event()
    started = threading.Semaphore(0)

    def slow(*_args: object) -> CachedPage:
        started.release()
        proceed.wait(30)
        return NOTHING

    def slow_together(_reader: object, _index: object, wishes: list[object], _now_s: float) -> list[CachedPage]:
        return [slow()] * len(wishes)

    async with open_store(tmp_path) as store:
        await append(store, [message(1, 1)])
        monkeypatch.setattr(sqlite, "read_page", slow)
        monkeypatch.setattr(sqlite, "read_pages", slow_together)
        try:
            async with trio.open_nursery() as nursery:
                for max_bytes in (9, 2**30):
                    ask = partial(store.messages_between, GROUP, 1, 9, 9, newest=True, max_bytes=max_bytes)
                    for _ in range(24):
                        nursery.start_soon(ask)
                    assert await trio.to_thread.run_sync(started.acquire, True, 10)
                with trio.fail_after(10):
                    await store.load_logins([("ann", 0)])
                    assert (await store.load_channels([GROUP]))[0].last_seq == 1
                    assert len(await store.messages_by_id([1])) == 1
                    await append(store, [message(2, 2)])
                proceed.set()
        finally:
            proceed.set()


async def test_logins_do_not_wait_for_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proceed = threading.Event()
    async with open_store(tmp_path) as store:
        monkeypatch.setattr(sqlite, "load_channels", lambda *_: proceed.wait(30))
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(store.load_channels, [GROUP])
            await trio.testing.wait_all_tasks_blocked()
            try:
                with trio.fail_after(10):
                    await store.load_logins([("ann", 0)])
            finally:
                proceed.set()


async def test_closing_while_cancelled_reads_run_closes_everything(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        assert isinstance(store, sqlite.SQLiteStore)
        await append(store, [message(n, n) for n in range(1, 20_001)])
        for pool in store._pools:
            begun = threading.Event()

            def forever(reader: object, begun: threading.Event = begun) -> None:
                begun.set()
                reader.execute(  # type: ignore[attr-defined]
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
                ).fetchone()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(pool.read, forever)
                assert await trio.to_thread.run_sync(begun.wait, 10)
                nursery.cancel_scope.cancel()
        begin_s = trio.current_time()
    assert trio.current_time() - begin_s < 5, "what nobody waits for is interrupted"
    assert open_files(tmp_path) == []
    assert set(os.listdir(tmp_path)) == {"wukong.db"}, "the WAL was brought in"


async def test_calls_after_the_end_are_refused(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        pass
    with trio.fail_after(10):
        for call in (
            lambda: append(store, [message(1, 1)]),
            lambda: store.load_logins([("ann", 0)]),
            lambda: store.load_channels([GROUP]),
            lambda: between(store, GROUP, 1, 9, 9, newest=True),
        ):
            with pytest.raises(StoreError, match="closed"):
                await call()
        assert store.failure == ""
        assert isinstance(store, sqlite.SQLiteStore)
        await store.aclose()


async def test_errors_of_the_block_come_out_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_store(tmp_path):
            raise ZeroDivisionError
    with trio.move_on_after(0.01) as scope:
        async with open_store(tmp_path):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_the_task_that_looks_after_the_files_never_ends_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "TEND_INTERVAL_S", 0.001)
    monkeypatch.setattr(transactions.Transactions, "tend", lambda _: 1 / 0)
    with pytest.RaisesGroup(ZeroDivisionError):
        with trio.fail_after(10):
            async with open_store(tmp_path):
                await trio.sleep_forever()
