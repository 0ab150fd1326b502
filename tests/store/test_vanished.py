"""The files of an open database are deleted, moved or replaced: nothing is acknowledged into them."""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from common import until
from samples import GROUP, append, between, message

from wukong_trio import StoreError, StoreOpenError, open_store
from wukong_trio.store import sqlite
from wukong_trio.store.base import Store


def rename_directory(data: Path) -> None:
    data.rename(data.with_name("moved"))


def put_directory_back(data: Path) -> None:
    data.with_name("moved").rename(data)


def replace_directory(data: Path) -> None:
    rename_directory(data)
    shutil.copytree(data.with_name("moved"), data)


def put_old_directory_back(data: Path) -> None:
    shutil.rmtree(data)
    put_directory_back(data)


def rename(name: str) -> Callable[[Path], None]:
    return lambda data: (data / name).rename(data / "moved") and None


def replace(name: str) -> Callable[[Path], None]:
    def do(data: Path) -> None:
        rename(name)(data)
        shutil.copy(data / "moved", data / name)

    return do


def put_back(name: str) -> Callable[[Path], None]:
    return lambda data: (data / "moved").replace(data / name) and None


async def refused(store: Store, names: str) -> None:
    last_seq = (await store.load_channels([GROUP]))[0].last_seq
    for _ in range(3):
        with pytest.raises(StoreError, match=names):
            await append(store, [message(last_seq + 1, last_seq + 1)])
    assert names in store.failure


@pytest.mark.parametrize(
    ("harm", "mend", "names"),
    [
        (rename_directory, put_directory_back, "/data: deleted or moved"),
        (replace_directory, put_old_directory_back, "wukong.db: replaced"),
        (rename("wukong.db"), put_back("wukong.db"), "wukong.db: deleted or moved"),
        (replace("wukong.db"), put_back("wukong.db"), "wukong.db: replaced"),
        (rename("wukong.db-wal"), put_back("wukong.db-wal"), "wukong.db-wal: deleted or moved"),
        (replace("wukong.db-wal"), put_back("wukong.db-wal"), "wukong.db-wal: replaced"),
        (rename("wukong.db-shm"), put_back("wukong.db-shm"), "wukong.db-shm: deleted or moved"),
    ],
)
async def test_sends_are_refused_until_the_same_file_is_back(
    tmp_path: Path, harm: Callable[[Path], None], mend: Callable[[Path], None], names: str
) -> None:
    data = tmp_path / "data"
    async with open_store(data) as store:
        await append(store, [message(1, 1)])
        harm(data)
        await refused(store, names)
        mend(data)
        await append(store, [message(2, 2)])
        assert store.failure == ""
    async with open_store(data) as store:
        assert len(await between(store, GROUP, 1, 9, 9, newest=True)) == 2


@pytest.mark.parametrize("name", ["wukong.db", "wukong.db-wal"])
@pytest.mark.parametrize("kept", [0, 0.5])
async def test_a_file_that_has_become_shorter_takes_nothing_more(
    tmp_path: Path, name: str, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "TEND_INTERVAL_S", 0.01)
    async with open_store(tmp_path) as store:
        await append(store, [message(n, n) for n in range(1, 100)])
        size = (tmp_path / name).stat().st_size
        # Seen at the next look; and what was written before has to be seen first.
        await trio.to_thread.run_sync(store._transactions.tend)  # type: ignore[attr-defined]
        # Its length alone does not bring back what was in it.
        for length in (int(size * kept), size):
            os.truncate(tmp_path / name, length)
            await until(lambda: "has become shorter" in store.failure)
            with pytest.raises(StoreError, match=f"{name}: has become shorter"):
                await append(store, [message(100, 100)])


async def test_an_idle_store_notices_that_a_file_has_become_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "TEND_INTERVAL_S", 0.01)
    async with open_store(tmp_path) as store:
        os.truncate(tmp_path / "wukong.db", 0)
        await until(lambda: "wukong.db: has become shorter" in store.failure)


async def test_what_sqlite_cuts_off_its_log_is_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("files.WAL_KEPT_BYTES", "watch.WAL_KEPT_BYTES", "wal.WAL_BYTES"):
        monkeypatch.setattr(f"wukong_trio.store.{name}", 100_000)
    sizes = list[int]()
    async with open_store(tmp_path) as store:
        assert isinstance(store, sqlite.SQLiteStore)
        store._writer.execute("PRAGMA wal_autocheckpoint = 100")
        for n in range(1, 60):
            large = bytes(1_000_000 if n % 20 == 0 else 20_000)
            await append(store, [message(n, n, payload=large)])
            sizes.append((tmp_path / "wukong.db-wal").stat().st_size)
            if n == 50:
                await trio.to_thread.run_sync(store._transactions.tend)
                sizes.append((tmp_path / "wukong.db-wal").stat().st_size)
        assert store.failure == ""
    assert any(after < before for before, after in pairwise(sizes))
    assert 0 in sizes


async def test_a_deleted_directory_is_never_acknowledged_into(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with open_store(data) as store:
        await append(store, [message(1, 1)])
        shutil.rmtree(data)
        await refused(store, "/data: deleted or moved")
        async with open_store(data) as another:
            await append(another, [message(1, 1)])
        await refused(store, "wukong.db")
    async with open_store(data) as store:
        assert (await store.load_channels([GROUP]))[0].last_seq == 1, "the end of the first harms nothing here"


async def test_what_a_deleted_log_held_is_there_after_a_stop(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await append(store, [message(n, n) for n in range(1, 100)])
        (tmp_path / "wukong.db-wal").unlink()
        await refused(store, "wukong.db-wal")
    async with open_store(tmp_path) as store:
        assert (await store.load_channels([GROUP]))[0].last_seq == 99


async def test_what_another_program_has_changed_meanwhile_is_not_taken_back(tmp_path: Path) -> None:
    data, moved = tmp_path / "data", tmp_path / "moved"
    async with open_store(data) as store:
        await append(store, [message(1, 1)])
        data.rename(moved)
        await refused(store, "deleted or moved")
        database = sqlite3.connect(moved / "wukong.db")
        database.execute("INSERT INTO system_uid VALUES ('x')")
        database.commit()
        database.close()
        moved.rename(data)
        await refused(store, "another program has changed it")


async def test_the_lock_goes_where_the_directory_goes(tmp_path: Path) -> None:
    data, moved = tmp_path / "data", tmp_path / "moved"
    async with open_store(data):
        for file in data.iterdir():
            assert file.name.startswith("wukong.db"), "there is no lock file that could be deleted"
        data.rename(moved)
        with pytest.raises(StoreOpenError, match="another server"):
            async with open_store(moved):
                pass
        async with open_store(data):
            pass
    async with open_store(moved):
        pass


async def test_an_idle_store_notices_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "TEND_INTERVAL_S", 0.01)
    caplog.set_level(logging.INFO)
    data = tmp_path / "data"
    async with open_store(data) as store:
        for _ in range(2):
            caplog.clear()
            rename_directory(data)
            await until(lambda: bool(store.failure))
            await refused(store, "deleted or moved")
            put_directory_back(data)
            await until(lambda: not store.failure)
            assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
            assert str(data) in caplog.text


async def test_a_failed_store_recovers_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "TEND_INTERVAL_S", 0.01)
    async with open_store(tmp_path) as store:
        assert isinstance(store, sqlite.SQLiteStore)
        [pages] = store._writer.execute("PRAGMA page_count").fetchone()
        store._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            await append(store, [message(1, 1, payload=bytes(100_000))])
        await until(lambda: not store.failure)


async def test_new_directories_are_made_durable_with_their_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[tuple[int, int]] = set()

    def fsync(descriptor: int) -> None:
        found = sqlite_os.fstat(descriptor)
        synced.add((found.st_dev, found.st_ino))

    from wukong_trio.store import directory

    sqlite_os = directory.os
    monkeypatch.setattr(directory.os, "fsync", fsync)
    async with open_store(tmp_path / "a" / "b" / "data"):
        pass
    for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "data"):
        assert (path.stat().st_dev, path.stat().st_ino) in synced, path


async def test_the_file_behind_a_symbolic_link_is_missed_at_once(tmp_path: Path) -> None:
    elsewhere, data = tmp_path / "elsewhere", tmp_path / "data"
    elsewhere.mkdir()
    data.mkdir()
    (elsewhere / "real.db").touch()
    (data / "wukong.db").symlink_to(elsewhere / "real.db")
    async with open_store(data) as store:
        await append(store, [message(1, 1)])
        (elsewhere / "real.db").unlink()
        await refused(store, "wukong.db: deleted or moved")
