"""Pages that are read once: nobody sees an old one, and large ones are not kept."""

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace
from samples import GROUP, between, message

from wukong_trio import ChannelKey, Message, StoreError
from wukong_trio.store import lately, message_index, page_cache, pages, sqlite
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.sqlite import SQLiteStore

pytestmark = pytest.mark.usefixtures("nothing_recent")
OTHER = ChannelKey("other", 2)


def lasting(message_id: int, message_seq: int, key: ChannelKey = GROUP, payload: bytes = b"{}") -> Message:
    """Pages with messages that expire are not kept."""
    return replace(message(message_id, message_seq, key, payload), expire=0)


class Counted(SQLiteStore):
    """Counts the pages it reads."""

    reads = 0


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the one store that is open."""

    def read_pages(
        reader: object, index: object, wishes: list[page_cache.Wish], now_s: float
    ) -> list[page_cache.CachedPage | None]:
        Counted.reads += len(wishes)
        return pages.read_pages(reader, index, wishes, now_s)  # type: ignore[arg-type]

    def read_page(reader: object, index: object, wish: page_cache.Wish, now_s: float) -> page_cache.CachedPage:
        Counted.reads += 1
        return pages.read_page(reader, index, wish, now_s)  # type: ignore[arg-type]

    monkeypatch.setattr(Counted, "reads", 0)
    monkeypatch.setattr(sqlite, "read_pages", read_pages)
    monkeypatch.setattr(sqlite, "read_page", read_page)


def opened(directory: Path) -> Counted:
    return Counted(DatabaseFiles(directory, "normal"))


async def newest(store: Counted, key: ChannelKey = GROUP, limit: int = 3) -> list[int]:
    messages = await between(store, key, 1, 2**62, limit, newest=True, max_bytes=page_cache.MAX_BYTES)
    return [m.message_seq for m in messages]


async def test_a_page_that_is_asked_for_again_is_kept_until_a_message_comes(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append_messages([lasting(n, n) for n in range(1, 6)])
    for reads in (1, 2, 2, 2):
        assert await newest(store) == [3, 4, 5]
        assert store.reads == reads
    await store.append_messages([lasting(6, 1, OTHER)])
    assert await newest(store) == [3, 4, 5]
    assert store.reads == 2, "other channels do not matter"
    await store.append_messages([lasting(7, 6)])
    for _ in range(2):
        assert await newest(store) == [4, 5, 6]
    assert store.reads == 3
    assert await newest(store, limit=2) == [5, 6]
    assert await newest(store, OTHER) == [1]
    assert store.reads == 5
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await newest(store)


async def test_an_unknown_channel_is_looked_for_each_time(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert await newest(store) == []
    await store.append_messages([lasting(1, 1)])
    assert await newest(store) == [1]
    await store.aclose()


@pytest.mark.usefixtures("small_chunks")
async def test_an_old_channel_is_right_after_chunks_have_moved(tmp_path: Path) -> None:
    store = opened(tmp_path)
    seq, id_ = 0, 0

    async def others(count: int) -> None:
        nonlocal id_
        for _ in range(count):
            id_ += 1
            await store.append_messages([lasting(id_, id_ - seq, OTHER)])

    for look in (True, True, False, True, False, False):
        seq += 1
        id_ += 1
        await store.append_messages([lasting(id_, seq)])
        if look:
            assert (await newest(store))[-1] == seq
        moved = store._index.chunks_moved
        while store._index.chunks_moved < moved + 2:
            await others(1)
        assert store._index.last_seq(1) == 0, "only the table knows the channel"
        assert (await newest(store))[-1] == seq
    assert message_index.CHUNK_MESSAGES == 7
    await store.aclose()


@pytest.mark.parametrize(
    ("count", "size_bytes", "kept"),
    [
        (page_cache.MAX_MESSAGES, 1, True),
        (page_cache.MAX_MESSAGES + 1, 1, False),
        (1, page_cache.MAX_BYTES, True),
        (1, page_cache.MAX_BYTES + 1, False),
    ],
)
async def test_large_pages_are_not_kept(tmp_path: Path, count: int, size_bytes: int, kept: bool) -> None:
    store = opened(tmp_path)
    await store.append_messages([lasting(n, n, payload=b"x" * size_bytes) for n in range(1, count + 1)])
    limit = page_cache.MAX_MESSAGES if kept else 1000
    for _ in range(3):
        assert len(await newest(store, limit=limit)) == count
    assert store.reads == (2 if kept else 3)
    await store.aclose()


async def test_the_page_that_was_longest_unused_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "ROOM_BYTES", 2 * (2 * page_cache.MESSAGE_BYTES + 2))
    store = opened(tmp_path)
    await store.append_messages([lasting(n, 1, ChannelKey(str(n), 2)) for n in (1, 2, 3)])
    for n in (1, 2, 3):
        await newest(store, ChannelKey(str(n), 2))
    for n, reads in ((1, 4), (2, 5), (1, 5), (3, 6), (1, 6), (2, 7), (2, 7)):
        assert await newest(store, ChannelKey(str(n), 2)) == [1]
        assert store.reads == reads


async def test_empty_pages_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache, "ROOM_BYTES", 2 * page_cache.MESSAGE_BYTES)
    store = opened(tmp_path)
    await store.append_messages([lasting(1, 1)])

    async def nothing(high: int) -> list[Message]:
        return await between(store, GROUP, 5, high, 3, newest=True, max_bytes=page_cache.MAX_BYTES)

    for high in (5, 6, 7):
        await nothing(high)
    for high, reads in ((5, 4), (6, 5), (5, 5), (7, 6), (5, 6), (6, 7)):
        assert await nothing(high) == []
        assert store.reads == reads
    await store.aclose()


async def test_few_pages_are_remembered_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lately, "MAX_ASKED", 2)
    asked: lately.Lately[int] = lately.Lately()
    assert [asked.again(n) for n in (1, 2, 1, 2, 3, 2, 1)] == [False, False, True, True, False, True, False]


async def test_the_same_page_for_many_at_once_is_read_once(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.append_messages([lasting(n, n) for n in range(1, 6)])
    found: list[list[int]] = []

    async def ask() -> None:
        found.append(await newest(store))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert found == [[3, 4, 5]] * 20
    await store.aclose()
