"""What only a store on disk can show."""

import sqlite3
import stat
from pathlib import Path

import pytest
import trio
from samples import GROUP, append, between, message

from wukong_trio import StoreError, StoreOpenError, open_store
from wukong_trio.model import ChannelFlags, Device
from wukong_trio.store.base import ChannelChange
from wukong_trio.store.schema import VERSION
from wukong_trio.store.sqlite import SQLiteStore


async def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await append(store, [message(1, 1), message(2, 2)])
        await store.change_channel(ChannelChange(key=GROUP, flags=ChannelFlags(ban=True)))
        await store.put_device(Device(uid="ann", device_flag=1, token="t"))
        await store.change_system_uids(add=["robot"])
    assert not (tmp_path / "wukong.db-wal").exists(), "the WAL is brought in when the store is closed"
    async with open_store(tmp_path) as store:
        assert await store.last_message_id() == 2
        [record] = await store.load_channels([GROUP])
        assert (record.last_seq, record.flags) == (2, ChannelFlags(ban=True))
        assert [login.device for login in await store.load_logins([("ann", 1)])] == [
            Device(uid="ann", device_flag=1, token="t")
        ]
        assert await store.system_uids() == ["robot"]
        await append(store, [message(3, 3)])


async def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    async with open_store(tmp_path / "new" / "data") as store:
        await append(store, [message(1, 1)])
        directory = tmp_path / "new" / "data"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


async def test_a_full_database_refuses_and_recovers(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        assert isinstance(store, SQLiteStore)
        await append(store, [message(1, 1)])
        [pages] = store._writer.execute("PRAGMA page_count").fetchone()
        store._writer.execute(f"PRAGMA max_page_count = {pages}")
        big = message(2, 2, payload=bytes(100_000))
        for _ in range(3):
            with pytest.raises(StoreError, match="full"):
                await append(store, [big])
            assert "full" in store.failure
            assert (await store.load_channels([GROUP]))[0].last_seq == 1, "reads go on"
        store._writer.execute("PRAGMA max_page_count = 1000000")
        await append(store, [big])
        assert store.failure == ""
        assert (await store.load_channels([GROUP]))[0].last_seq == 2


async def test_numbers_of_rolled_back_channels_are_not_used_again(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await append(store, [message(1, 1)])
        new = GROUP._replace(channel_id="new")
        with pytest.raises(StoreError):
            await append(store, [message(2, 1, new), message(1, 2)])
        await append(store, [message(2, 1, GROUP._replace(channel_id="another"))])
        await append(store, [message(3, 1, new)])
        assert [m.message_id for m in await between(store, new, 1, 9, 9, newest=True)] == [3]


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        with pytest.raises(StoreOpenError, match="another server"):
            async with open_store(tmp_path):
                pass
    async with open_store(tmp_path):
        pass


async def test_a_database_of_this_version_is_opened_and_a_newer_one_is_not(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        pass
    for version, works in ((VERSION, True), (VERSION + 1, False)):
        database = sqlite3.connect(tmp_path / "wukong.db")
        database.execute(f"PRAGMA user_version = {version}")
        database.close()
        if works:
            async with open_store(tmp_path):
                pass
        else:
            with pytest.raises(StoreOpenError, match="newer version"):
                async with open_store(tmp_path):
                    pass


async def test_closing_waits_for_a_running_write(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_store(tmp_path) as store, trio.open_nursery() as nursery:
            nursery.start_soon(append, store, [message(n, n) for n in range(1, 5001)])
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    async with open_store(tmp_path) as store:
        assert (await store.load_channels([GROUP]))[0].last_seq == 5000


async def test_ids_that_clients_cannot_read_are_refused(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await append(store, [message(2**53 - 2, 1)])
        with pytest.raises(StoreError, match="2089"):
            await append(store, [message(2**53 - 1, 2), message(2**53, 3)])
        await append(store, [message(2**53 - 1, 2)])
        assert await store.last_message_id() == 2**53 - 1
