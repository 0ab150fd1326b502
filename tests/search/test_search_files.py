"""The index as a file: what it survives, and what it is made again from."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio
from common import until
from library import Library, open_library

from wukong_trio import StoreError, open_store
from wukong_trio.config import Config, Search
from wukong_trio.errors import ConfigError, SearchUnavailableError
from wukong_trio.search import follow, index, schema, search
from wukong_trio.search.index import Index
from wukong_trio.store.memory import MemoryStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


def file_of(library: Library) -> Index:
    """The open index."""
    found = library.search._follower._index
    assert found is not None
    return found


async def until_found(library: Library, text: str, *wanted: str) -> None:
    """Asks until just these texts are found, and nothing fails."""
    with trio.fail_after(10):
        while True:
            try:
                if await library.texts(text) == list(wanted):
                    return
            except SearchUnavailableError:
                pass
            await trio.sleep(0.01)


async def fill(tmp_path: Path, *texts: str) -> None:
    """Stores texts, and has them indexed."""
    async with open_store(tmp_path) as store, open_library(store) as library:
        await library.join("ann")
        await library.say(*texts)
        await library.indexed()


def puts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each transaction takes in from now on."""
    counts: list[int] = []
    add = Index.add

    def counting(self: Index, messages: list[object], message_id: int) -> None:
        counts.append(len(messages))
        add(self, messages, message_id)  # type: ignore[arg-type]

    monkeypatch.setattr(Index, "add", counting)
    return counts


async def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(tmp_path, "hello one", "hello two")
    counts = puts(monkeypatch)
    async with open_store(tmp_path) as store, open_library(store) as library:
        assert await library.texts("hello") == ["hello two", "hello one"]
        assert counts == []
        assert library.search.indexed == 2
        library.ids.advance(1_700_000_100)
        await library.say("hello three")
        assert await library.texts("hello") == ["hello three", "hello two", "hello one"]
        assert counts == [1]
        assert library.search.indexed == 3


def delete(path: Path) -> None:
    path.unlink()


def overwrite(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scratch(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\x55" * (len(data) - 4096)
    path.write_bytes(data)


def another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def without_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE terms")


def ahead(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM entry")
        connection.execute("UPDATE progress SET message_id = message_id + 1")
        connection.commit()


@pytest.mark.parametrize("harm", [delete, overwrite, empty, cut, scratch, another_version, without_table, ahead])
async def test_what_is_of_no_use_is_made_again(tmp_path: Path, path: Path, harm: Callable[[Path], None]) -> None:
    await fill(tmp_path, "hello one", "hello two", *["words " * 50] * 100)
    harm(path)
    async with open_store(tmp_path) as store, open_library(store) as library:
        await until_found(library, "hello", "hello two", "hello one")
        library.ids.advance(1_700_000_100)
        await library.say("hello three")
        await until_found(library, "hello", "hello three", "hello two", "hello one")


async def test_damage_that_only_a_search_finds(tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await fill(tmp_path, "hello one", "hello two", *[f"words {number} " * 20 for number in range(1000)])
    async with open_store(tmp_path) as store, open_library(store) as library:
        with trio.fail_after(5):
            while library.search._follower._index is None:  # noqa: ASYNC110 - there is no event
                await trio.sleep(0.01)
        harm = bytearray(os.stat(path).st_size - 4096)
        with open(path, "r+b") as file:  # noqa: ASYNC230 - a few pages
            file.seek(4096)
            file.write(harm)
        await until_found(library, "hello", "hello two", "hello one")
    assert "the index cannot be read" in caplog.text


async def test_while_nothing_can_be_written_the_rest_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_store(tmp_path) as store, open_library(store) as library:
        await library.join("ann")
        await library.say("hello one")
        await library.indexed()
        writer = file_of(library)._writer
        writer.execute("PRAGMA max_page_count = 1")  # which SQLite takes for: not one more page
        words = " ".join(f"word{number}" for number in range(2000))
        sent = await library.say(f"hello two {words}")
        assert library.search.lag_s > 0
        with trio.fail_after(5):
            while "cannot be indexed" not in caplog.text:  # noqa: ASYNC110 - there is no event
                await trio.sleep(0.01)
        found = await library.search.find(search.SearchQuery(uid="ann", payload={"content": "hello"}))
        assert [message.payload["content"] for message in found.messages] == ["hello one"]
        assert sent[0].message_id in await store.message_ids_after(0, 10)
        writer.execute("PRAGMA max_page_count = 1000000")
        assert len(await library.texts("hello")) == 2
        assert "indexed again" in caplog.text
    assert caplog.text.count("cannot be indexed") == 1


async def test_a_place_that_cannot_be_used(tmp_path: Path, path: Path) -> None:
    os.mkdir(path)
    async with open_store(tmp_path) as store, open_library(store) as library:
        await library.join("ann")
        await library.say("hello")
        with trio.fail_after(5), pytest.raises(SearchUnavailableError):
            await library.search.find(search.SearchQuery(uid="ann"))
        os.rmdir(path)
        await until_found(library, "hello", "hello")


async def test_a_store_that_fails_is_asked_again() -> None:
    class Failing(MemoryStore):
        failures = 3

        async def messages_after(self, *args: object, **more: object) -> list[object]:  # type: ignore[override]
            if self.failures:
                self.failures -= 1
                raise StoreError("no disk")
            return await super().messages_after(*args, **more)  # type: ignore[arg-type,return-value]

    async with open_library(Failing()) as library:
        await library.join("ann")
        await library.say("hello")
        assert await library.texts("hello") == ["hello"]


def lose(path: Path, keep: Callable[[int], bool]) -> None:
    """Deletes messages behind the store's back."""
    with closing(sqlite3.connect(path)) as connection:
        ids = [message_id for (message_id,) in connection.execute("SELECT message_id FROM message ORDER BY message_id")]
        connection.executemany(
            "DELETE FROM message WHERE message_id = ?", [(id_,) for number, id_ in enumerate(ids) if not keep(number)]
        )
        connection.commit()


@pytest.mark.parametrize("at_once", [7, 1000])
async def test_messages_that_are_gone_are_noticed_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(follow, "SWEEP_INTERVAL_S", 0.01)
    monkeypatch.setattr(follow, "SWEPT_AT_ONCE", at_once)
    async with open_store(tmp_path) as store, open_library(store) as library:
        await library.join("ann")
        await library.say(*[f"hello {number}" for number in range(50)])
        await library.indexed()
        lose(tmp_path / "wukong.db", lambda number: number % 2 == 0)
        await until(lambda: file_of(library).gone >= 25)
        assert (await library.find("hello")).total == 25
        assert (await library.find("hello", limit=100)).total == 25


async def test_an_index_of_messages_that_are_gone_is_made_again(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(follow, "SWEEP_INTERVAL_S", 0.01)
    monkeypatch.setattr(follow, "RENEWED_FROM", 30)
    async with open_store(tmp_path) as store, open_library(store) as library:
        await library.join("ann")
        await library.say(*[f"hello {number}" for number in range(60)])
        await library.indexed()
        old = file_of(library)
        lose(tmp_path / "wukong.db", lambda number: number >= 31)
        with trio.fail_after(10):
            while library.search._follower._index in (old, None):
                assert len((await library.search.find(search.SearchQuery(uid="ann"))).messages) == 10
                await trio.sleep(0.001)
        assert (library.search.indexed, file_of(library).gone) == (29, 0)
        await library.say("hello again")
        assert (await library.find("hello")).total == 30
    assert caplog.text.count("made again") == 1
    assert sorted(os.listdir(tmp_path)) == ["search.db", "wukong.db"]
    (tmp_path / "search.new").write_text("of a server that was killed meanwhile")
    async with open_store(tmp_path) as store, open_library(store) as library:
        assert (await library.find("hello")).total == 30
    assert sorted(os.listdir(tmp_path)) == ["search.db", "wukong.db"]


async def test_no_index_stays_open_if_the_end_comes_while_one_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "SWEEP_INTERVAL_S", 0.01)
    monkeypatch.setattr(follow, "RENEWED_FROM", 30)
    made: list[Index] = []

    class Noted(Index):
        def __init__(self, path: Path | None) -> None:
            super().__init__(path)
            made.append(self)

    monkeypatch.setattr(follow, "Index", Noted)
    async with open_store(tmp_path) as store, trio.open_nursery() as nursery:
        found = search.open_search(Config(search=Search(on=True)), store, 0)
        assert found is not None
        library = Library(store, found)
        nursery.start_soon(found.run)
        await library.join("ann")
        await library.say(*[f"hello {number}" for number in range(60)])
        await library.indexed()
        async with found._follower._reading:  # as a search that takes long
            lose(tmp_path / "wukong.db", lambda number: number >= 31)
            await until(lambda: not found._follower._opened.is_set())
            nursery.cancel_scope.cancel()
    assert len(made) == 2
    for one in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            one._writer.execute("SELECT 1")


async def test_lag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(follow, "time", lambda: now)
    monkeypatch.setattr(follow, "LAG_WARNED_S", 5.0)
    monkeypatch.setattr(follow, "BATCH", 1)
    held = trio.Event()

    async with open_store(tmp_path) as store:
        original = store.messages_after

        async def waiting(*args: object, **more: object) -> object:
            await held.wait()
            return await original(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "messages_after", waiting)
        async with open_library(store) as library:
            assert library.search.lag_s == 0
            library.ids.advance(now)
            await library.say("hello")
            assert library.search.lag_s == 0
            now += 3
            await library.say("hello")
            assert library.search.lag_s == pytest.approx(3)
            now += 30
            held.set()
            await library.indexed()
            assert library.search.lag_s == 0
            assert library.search.indexed == 2
    assert caplog.text.count("s behind") == 1


async def test_a_search_that_takes_too_long_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_STEPS", 1)
    async with open_store(tmp_path) as store, open_library(store) as library:
        await library.join("ann")
        await library.say("hello")
        await library.indexed()
        monkeypatch.setattr(index, "QUERY_TIMEOUT_S", -1.0)
        with pytest.raises(SearchUnavailableError):
            await library.find("hello")
        monkeypatch.undo()
        assert await library.texts("hello") == ["hello"]


def test_without_fts5_there_is_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "TABLES", ("CREATE VIRTUAL TABLE terms USING fts6(list)",))
    with pytest.raises(ConfigError, match=r"search\.on = true.*fts6"):
        index.check_fts5()


async def test_the_file_is_for_nobody_else(tmp_path: Path, path: Path) -> None:
    await fill(tmp_path, "hello")
    assert os.stat(path).st_mode & 0o777 == 0o600
