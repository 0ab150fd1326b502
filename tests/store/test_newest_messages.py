"""The newest messages of many channels at once: the same as one after another, wherever their ids lie."""

import random
from pathlib import Path

import pytest
from samples import message

from wukong_trio import ChannelKey
from wukong_trio.store.conversations import NewestWish
from wukong_trio.store.files import DatabaseFiles
from wukong_trio.store.sqlite import SQLiteStore

NOW_S = 1_700_000_000
KEYS = [ChannelKey(f"g{n}", 2) for n in range(7)]


async def filled(directory: Path, messages: int) -> SQLiteStore:
    """Messages of some channels in random order."""
    store, rng = SQLiteStore(DatabaseFiles(directory, "normal")), random.Random(7)
    for message_id in range(1, messages + 1):
        payload = b"%d\x00\xff" % message_id * rng.choice((0, 1, 2000))
        await store.append_messages([message(message_id, 0, rng.choice(KEYS), payload)])
    return store


Found = list[list[tuple[str, int, int]]]


async def newest(store: SQLiteStore, wishes: list[tuple[ChannelKey, int, int]], max_bytes: int = 2**30) -> Found:
    """Channel, sequence number and size of what is found."""
    found = await store.newest_messages([NewestWish(*wish) for wish in wishes], max_bytes=max_bytes)
    return [[(m.channel_id, m.message_seq, len(m.payload)) for m in messages] for messages in found]


@pytest.mark.usefixtures("small_chunks")
async def test_many_channels_are_read_as_one_after_another(tmp_path: Path) -> None:
    store, rng = await filled(tmp_path, 150), random.Random(8)
    for _ in range(200):
        wishes = [(rng.choice(KEYS), rng.choice((1, 1, 5, 15, 30)), rng.choice((1, 2, 10, 99))) for _ in range(20)]
        for found, (key, low, count) in zip(await newest(store, wishes), wishes, strict=True):
            page = await store.messages_between(key, low, 2**62, count, newest=True, max_bytes=2**30)
            assert [found_seq for _, found_seq, _ in found] == [m.message_seq for m in page.messages[::-1]]
            assert [size for _, _, size in found] == [len(m.payload) for m in page.messages[::-1]]
    await store.aclose()


@pytest.mark.usefixtures("small_chunks")
async def test_gaps_in_the_sequence_numbers_hide_nothing(tmp_path: Path) -> None:
    store = await filled(tmp_path, 150)
    store._writer.execute("DELETE FROM message_index WHERE message_seq % 3 = 0")
    store._writer.execute("DELETE FROM message WHERE message_seq % 3 = 0 AND message_id <= 100")
    for low in (1, 3):
        for found in await newest(store, [(key, low, 8) for key in KEYS]):
            assert len(found) == 8
            assert found == sorted(found, reverse=True)
    await store.aclose()


async def test_the_bytes_of_all_lists_together_are_bounded(tmp_path: Path) -> None:
    store = SQLiteStore(DatabaseFiles(tmp_path, "normal"))
    await store.append_messages([message(n, 0, KEYS[n % 2], b"x" * 1000) for n in range(1, 7)])
    for max_bytes, counts in (
        (0, [1, 0]),
        (1999, [1, 0]),
        (2999, [1, 1]),
        (3000, [2, 1]),
        (5999, [3, 2]),
        (6000, [3, 3]),
    ):
        found = await newest(store, [(KEYS[0], 1, 9), (KEYS[1], 1, 9)], max_bytes)
        assert [len(messages) for messages in found] == counts
        assert [seq for _, seq, _ in found[0]] == [3, 2, 1][: counts[0]]
    assert await newest(store, []) == []
    await store.aclose()
