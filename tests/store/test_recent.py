"""Pages of messages that are still in memory are those that the database would give."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from samples import GROUP, between, message

from wukong_trio import ChannelKey, Message, StoreError
from wukong_trio.store import message_index, page_cache, recent, sqlite
from wukong_trio.store.conversations import NewestWish
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.lookups import NewestRead
from wukong_trio.store.page_cache import CachedPage, Wish
from wukong_trio.store.pages import NOTHING
from wukong_trio.store.sqlite import SQLiteStore

OTHER = ChannelKey("other", 2)
EACH_BYTES = recent.MESSAGE_BYTES + 10


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages cannot be read from the database."""

    def read_pages(_reader: object, _index: object, wishes: Sequence[Wish], _now_s: float) -> list[CachedPage | None]:
        return [NOTHING] * len(wishes)

    monkeypatch.setattr(sqlite, "read_pages", read_pages)
    monkeypatch.setattr(sqlite, "read_page", lambda *_: NOTHING)


def lasting(message_id: int, key: ChannelKey, payload: bytes) -> Message:
    """Messages that expire are not among them."""
    return replace(message(message_id, 0, key, payload), expire=0)


async def opened(directory: Path, messages: int, size_bytes: int = 10) -> SQLiteStore:
    store = SQLiteStore(DatabaseFiles(directory, "normal"))
    for n in range(1, messages + 1):
        await store.append_messages([lasting(2 * n, GROUP, b"%010d" % n * (size_bytes // 10))])
        await store.append_messages([lasting(2 * n + 1, OTHER, b"x" * size_bytes)])
    return store


async def pages(store: SQLiteStore) -> list[tuple[list[tuple[int, bytes]], bool]]:
    found = []
    for low, high in ((1, 2**62), (2, 5), (9, 99), (21, 22)):
        for limit in (1, 3, 4, page_cache.MAX_MESSAGES):
            for newest in (True, False):
                for max_bytes in (0, 39, 40, 2**20):
                    page = await store.messages_between(GROUP, low, high, limit, newest=newest, max_bytes=max_bytes)
                    found.append(([(m.message_seq, m.payload) for m in page.messages], page.more))
    return found


async def test_they_are_the_same_as_in_the_database(tmp_path: Path) -> None:
    store = await opened(tmp_path, 20)
    from_memory = await pages(store)
    await store.aclose()
    store = SQLiteStore(DatabaseFiles(tmp_path, "normal"))
    assert await pages(store) == from_memory
    await store.aclose()


@pytest.mark.usefixtures("unreadable")
async def test_the_newest_messages_need_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_BYTES", 10 * EACH_BYTES)
    store = await opened(tmp_path, 20)
    for _ in range(2):
        assert [m.message_seq for m in await between(store, GROUP, 16, 99, 10, newest=True)] == [16, 17, 18, 19, 20]
        assert [m.message_seq for m in await between(store, GROUP, 1, 99, 4, newest=True)] == [17, 18, 19, 20]
    assert await between(store, GROUP, 15, 99, 10, newest=True) == [], "the eleventh is gone"
    assert await between(store, GROUP, 1, 99, page_cache.MAX_MESSAGES + 1, newest=True) == []
    assert await between(store, ChannelKey("none", 2), 1, 99, 9, newest=True) == []
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await between(store, GROUP, 16, 99, 10, newest=True)


async def newest(store: SQLiteStore, *wishes: NewestWish, max_bytes: int = 2**20) -> list[list[int]]:
    lists = await store.newest_messages(wishes, max_bytes=max_bytes)
    return [[m.message_seq for m in found] for found in lists]


async def test_the_newest_messages_of_many_channels_need_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def newest_of_many(_reader: object, _index: object, wanted: Sequence[NewestRead], _now_s: float) -> object:
        reads.append(len(wanted))
        return [[[]] * len(read.wishes) for read in wanted]

    monkeypatch.setattr(sqlite, "newest_of_many", newest_of_many)
    monkeypatch.setattr(recent, "MAX_BYTES", 10 * EACH_BYTES)
    monkeypatch.setattr(recent, "MOST_NEWEST", 6)
    store = await opened(tmp_path, 20)
    for _ in range(2):
        assert await newest(store, NewestWish(GROUP, 1, 1, 40), NewestWish(OTHER, 1, 1)) == [[20], [20]]
        assert await newest(store, NewestWish(GROUP, 1, 2), NewestWish(OTHER, 19, 4, 41)) == [[20, 19], [20, 19]]
        assert await newest(store, NewestWish(GROUP, 16, 5), NewestWish(OTHER, 1, 1)) == [[20, 19, 18, 17, 16], [20]]
        assert await newest(store, NewestWish(GROUP, 1, 1), NewestWish(OTHER, 1, 1), max_bytes=20) == [[20], [20]]
    assert not reads
    assert await newest(store, NewestWish(GROUP, 1, 1), NewestWish(OTHER, 1, 1), max_bytes=19) == [[], []], "too large"
    assert await newest(store, NewestWish(GROUP, 15, 6)) == [[]], "the sixth is gone"
    assert await newest(store, NewestWish(GROUP, 16, 5), NewestWish(OTHER, 1, 2)) == [[], []], "too many"
    assert await newest(store, NewestWish(GROUP, 1, 1), NewestWish(ChannelKey("none", 2), 1, 1)) == [[], []]
    assert await newest(store, NewestWish(ChannelKey("none", 2), 1, 1, 40)) == [[]], "of another channel"
    assert reads == [1] * 5
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await newest(store, NewestWish(GROUP, 1, 1))


async def test_a_batch_that_was_not_stored_is_not_there(tmp_path: Path) -> None:
    store = await opened(tmp_path, 2)
    with pytest.raises(StoreError):
        await store.append_messages([message(100, 0), message(1, 0)])
    await store.append_messages([message(101, 0)])
    assert [m.message_id for m in await between(store, GROUP, 1, 99, 9, newest=True)] == [2, 4, 101]
    await store.aclose()


@pytest.mark.usefixtures("small_chunks")
async def test_what_has_moved_into_the_table_is_read_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MAX_BYTES", 2**20)
    store = await opened(tmp_path, 20)
    assert store._index.chunks_moved
    assert message_index.CHUNK_MESSAGES < 20
    assert [m.message_seq for m in await between(store, GROUP, 1, 99, 99, newest=True)] == list(range(1, 21))
    await store.aclose()


async def test_messages_that_expire_take_no_room(tmp_path: Path) -> None:
    store = await opened(tmp_path, 0)
    for n in range(1, 10):
        await store.append_messages([message(n, n)])
    assert len(store._recent._batches) == 0
    await store.append_messages([message(10, 10), lasting(11, OTHER, b"x")])
    assert len(store._recent._batches) == 1
    await store.aclose()
