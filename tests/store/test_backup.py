"""Copies of a database in use, and putting them back."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
import trio
from samples import GROUP, append, between, message

from wukong_trio import StoreError, open_store
from wukong_trio.store import backup
from wukong_trio.store.backup import back_up, restore
from wukong_trio.store.base import Store

PAYLOAD = bytes(3000)


async def fill(store: Store, first: int, last: int) -> None:
    await append(store, [message(n, n, payload=PAYLOAD) for n in range(first, last + 1)])


async def test_a_copy_made_beside_writes_is_the_state_of_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_STEP_PAGES", 4)
    monkeypatch.setattr(backup, "_SYNC_STEPS", 8)
    data, target, stored = tmp_path / "data", tmp_path / "copy.db", 500
    async with open_store(data) as store:
        await fill(store, 1, stored)

        async def write() -> None:
            nonlocal stored
            while True:
                await fill(store, stored + 1, stored + 1)
                stored += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            before = stored
            with trio.fail_after(30):
                copy = await trio.to_thread.run_sync(lambda: back_up(data, target, overwrite=False))
            assert stored > before, "the store was written meanwhile"
            nursery.cancel_scope.cancel()
        assert before <= copy.messages <= stored
        assert copy.last_message_id == copy.messages
    assert set(os.listdir(tmp_path)) == {"data", "copy.db"}
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    restored = restore(target, tmp_path / "new", overwrite=False)
    assert restored.messages == copy.messages
    async with open_store(tmp_path / "new") as store:
        found = await between(store, GROUP, 1, 2**62, 10**6, newest=True)
        assert [m.message_seq for m in found] == list(range(1, copy.messages + 1))
        await fill(store, copy.messages + 1, copy.messages + 1)


@pytest.mark.parametrize("overwrite", [False, True])
async def test_two_copies_to_one_place_do_not_touch_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    target, outcomes = tmp_path / "copy.db", list[str]()
    both = threading.Barrier(2)
    checked = backup._checked

    def check(part: Path, source: Path) -> backup.Copy:
        both.wait(10)
        return checked(part, source)

    def copy(n: int) -> None:
        try:
            found = back_up(tmp_path / f"data{n}", target, overwrite=overwrite)
            outcomes.append(f"{found.messages} of {100 * n}")
        except StoreError as error:
            outcomes.append(str(error))

    for n in (1, 2):
        async with open_store(tmp_path / f"data{n}") as store:
            await fill(store, 1, 100 * n)
    monkeypatch.setattr(backup, "_checked", check)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for n in (1, 2):
                nursery.start_soon(trio.to_thread.run_sync, copy, n)
    monkeypatch.undo()
    whole = [outcome for outcome in outcomes if outcome in ("100 of 100", "200 of 200")]
    assert len(whole) == 2 or "exists already" in str(outcomes)
    assert set(os.listdir(tmp_path)) == {"data1", "data2", "copy.db"}
    assert restore(target, tmp_path / "new", overwrite=False).messages in (100, 200)


async def test_a_stopped_server_can_be_backed_up_too(tmp_path: Path) -> None:
    async with open_store(tmp_path / "data") as store:
        await fill(store, 1, 3)
    assert back_up(tmp_path / "data", tmp_path / "copy.db", overwrite=False).messages == 3
    async with open_store(tmp_path / "data") as store:
        await fill(store, 4, 4)


async def test_nothing_is_replaced_unless_it_is_said(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy.db"
    async with open_store(data) as store:
        await fill(store, 1, 3)
        target.write_text("precious")
        with pytest.raises(StoreError, match="--overwrite"):
            back_up(data, target, overwrite=False)
        assert target.read_text() == "precious"
        assert back_up(data, target, overwrite=True).messages == 3
        with pytest.raises(StoreError, match="another file"):
            back_up(data, data / "wukong.db", overwrite=True)
        with pytest.raises(StoreError, match="directory"):
            back_up(data, tmp_path, overwrite=True)
        await fill(store, 4, 4)
    with pytest.raises(StoreError, match="--overwrite"):
        restore(target, data, overwrite=False)
    async with open_store(data) as store:
        assert await store.last_message_id() == 4
    (data / "search.db").write_text("of other messages")
    restore(target, data, overwrite=True)
    assert not (data / "search.db").exists()
    async with open_store(data) as store:
        assert await store.last_message_id() == 3


async def test_a_directory_in_use_is_not_restored_into(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy.db"
    async with open_store(data) as store:
        await fill(store, 1, 3)
        back_up(data, target, overwrite=False)
        with pytest.raises(StoreError, match="another server is using it"):
            restore(target, data, overwrite=True)
        await fill(store, 4, 4)


async def test_the_log_of_an_old_database_does_not_get_into_the_restored_one(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy.db"
    async with open_store(data) as store:
        await fill(store, 1, 3)
        back_up(data, target, overwrite=False)
        await fill(store, 4, 40)
        killed = tmp_path / "killed"
        killed.mkdir()
        for name in ("wukong.db", "wukong.db-wal"):
            (killed / name).write_bytes((data / name).read_bytes())
    (killed / "wukong.db").write_bytes(b"not readable any more" + bytes(5000))
    restore(target, killed, overwrite=True)
    async with open_store(killed) as store:
        assert await store.last_message_id() == 3
    assert os.listdir(killed) == ["wukong.db"]


async def test_a_database_that_another_program_reads_keeps_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "BUSY_TIMEOUT_S", 0.1)
    data, target = tmp_path / "data", tmp_path / "copy.db"
    async with open_store(data) as store:
        await fill(store, 1, 3)
        back_up(data, target, overwrite=False)
    with closing(sqlite3.connect(data / "wukong.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchone()
        with closing(sqlite3.connect(data / "wukong.db", isolation_level=None)) as writer:
            writer.execute("INSERT INTO system_uid VALUES ('ann')")
            with pytest.raises(StoreError, match="another program is reading it"):
                restore(target, data, overwrite=True)
            assert (data / "wukong.db-wal").stat().st_size
    async with open_store(data) as store:
        assert await store.system_uids() == ["ann"]
    restore(target, data, overwrite=True)
    async with open_store(data) as store:
        assert await store.system_uids() == []


@pytest.mark.parametrize("content", [b"", b"no database", bytes(8192)])
def test_what_is_no_backup_is_refused_and_leaves_everything_as_it_was(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wrong.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"wrong\.db"):
        restore(tmp_path / "wrong.db", tmp_path / "data", overwrite=False)
    assert os.listdir(tmp_path / "data") == []
    with pytest.raises(StoreError, match="no such file"):
        restore(tmp_path / "none.db", tmp_path / "data", overwrite=False)
    with pytest.raises(StoreError, match="no database"):
        back_up(tmp_path / "data", tmp_path / "copy.db", overwrite=False)


async def test_a_damaged_or_newer_backup_is_refused(tmp_path: Path) -> None:
    async with open_store(tmp_path / "data") as store:
        await fill(store, 1, 300)
    target = tmp_path / "copy.db"
    back_up(tmp_path / "data", target, overwrite=False)
    database = sqlite3.connect(target)
    [root] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'message'").fetchone()
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="not a database of this version"):
        restore(target, tmp_path / "new", overwrite=False)
    content = bytearray(target.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\x55" * 4096
    target.write_bytes(content)
    with pytest.raises(StoreError, match=r"copy\.db"):
        restore(target, tmp_path / "new", overwrite=False)
    assert os.listdir(tmp_path / "new") == []


def test_the_pace_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, slept_s = 100.0, 0.0

    def sleep(duration_s: float) -> None:
        nonlocal now_s, slept_s
        now_s += duration_s
        slept_s += duration_s

    monkeypatch.setattr(backup.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(backup.time, "sleep", sleep)
    pace = backup._Pace(1.0)
    for _ in range(10):
        now_s += 0.25
        pace.wait()
    assert now_s == pytest.approx(110.0)
    now_s += 5
    slept_s = 0
    pace.wait()
    assert slept_s == 0, "lost time is not made up for"
    pace.wait()
    assert slept_s == pytest.approx(1.0)
