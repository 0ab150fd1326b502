"""Pages of history: every line of the contract's table, and every small window against the rule in plain words."""

import itertools

import msgspec
import pytest

from wukong_trio.model import ChannelKey, Message
from wukong_trio.services.history import DEFAULT_LIMIT, MAX_LIMIT, PAGE_BYTES, History, PullMode
from wukong_trio.store.memory import MemoryStore

KEY = ChannelKey("g", 2)
DOWN, UP = PullMode.DOWN, PullMode.UP


def message(seq: int) -> Message:
    return Message(
        message_id=seq,
        message_seq=seq,
        client_msg_no=str(seq),
        from_uid="ann",
        channel_id=KEY.channel_id,
        channel_type=KEY.channel_type,
        timestamp=1,
        payload=b"{}",
    )


async def history_of(last_seq: int) -> History:
    store = MemoryStore()
    await store.append_messages([message(seq) for seq in range(1, last_seq + 1)])
    return History(store)


async def page(history: History, start: int, end: int, limit: int, mode: PullMode) -> tuple[list[int], bool]:
    found = await history.page(KEY, start=start, end=end, limit=limit, mode=mode)
    return [message.message_seq for message in found.messages], found.more


@pytest.mark.parametrize(
    ("start", "end", "limit", "modes", "seqs", "more"),
    [
        (0, 0, 15, (DOWN, UP), range(186, 201), True),
        (100, 0, 10, (DOWN,), range(91, 101), True),
        (5, 0, 10, (DOWN,), range(1, 6), False),
        (100, 95, 10, (DOWN,), range(96, 101), False),
        (100, 50, 10, (DOWN,), range(91, 101), True),
        (100, 0, 10, (UP,), range(100, 110), True),
        (100, 105, 10, (UP,), range(100, 105), False),
        (196, 0, 10, (UP,), range(196, 201), False),
        (50, 60, 10, (DOWN,), (), False),
        (300, 0, 10, (UP,), (), False),
        (300, 0, 10, (DOWN,), range(191, 201), True),
        (0, 60, 10, (DOWN,), (), False),
    ],
)
async def test_h076_to_h083_the_table(
    start: int, end: int, limit: int, modes: tuple[PullMode, ...], seqs: range, more: bool
) -> None:
    history = await history_of(200)
    for mode in modes:
        assert await page(history, start, end, limit, mode) == (list(seqs), more)


def expected(last: int, start: int, end: int, limit: int, mode: PullMode) -> tuple[list[int], bool]:
    stored = range(1, last + 1)
    if start == end == 0:
        window, newest = list(stored), True
    elif mode is UP:
        window, newest = [seq for seq in stored if seq >= start and (seq < end or end == 0)], False
    else:
        window, newest = [seq for seq in stored if end < seq <= start], True
    return (window[-limit:] if newest else window[:limit]), len(window) > limit


async def test_every_small_window() -> None:
    for last in (0, 1, 5):
        history = await history_of(last)
        for start, end, limit, mode in itertools.product(range(8), range(8), range(1, 8), PullMode):
            found = await page(history, start, end, limit, mode)
            assert found == expected(last, start, end, limit, mode), (last, start, end, limit, mode)


async def test_the_default_and_the_largest_limit() -> None:
    history = await history_of(MAX_LIMIT + 1)
    for limit, length in ((0, DEFAULT_LIMIT), (-1, DEFAULT_LIMIT), (1, 1), (MAX_LIMIT + 1, MAX_LIMIT)):
        found = await history.page(KEY, start=0, end=0, limit=limit, mode=DOWN)
        assert (len(found.messages), found.more) == (length, True)
        assert found.messages[-1].message_seq == MAX_LIMIT + 1
    found = await history.page(KEY, start=2, end=0, limit=MAX_LIMIT, mode=UP)
    assert (len(found.messages), found.more) == (MAX_LIMIT, False)


async def test_h082_walking_both_ways_meets_every_message_once() -> None:
    history = await history_of(200)
    down: list[int] = []
    start, more = 200, True
    while more:
        seqs, more = await page(history, start, 0, 30, DOWN)
        down = seqs + down
        start = seqs[0] - 1
    up: list[int] = []
    start, more = 1, True
    while more:
        seqs, more = await page(history, start, 0, 30, UP)
        up += seqs
        start = seqs[-1] + 1
    assert down == up == list(range(1, 201))


async def test_a_page_holds_a_bounded_number_of_bytes_and_walking_goes_on_behind_it() -> None:
    store = MemoryStore()
    payload = bytes(PAGE_BYTES // 4)
    await store.append_messages([msgspec.structs.replace(message(seq), payload=payload) for seq in range(1, 11)])
    history = History(store)
    assert await page(history, 0, 0, 100, DOWN) == ([7, 8, 9, 10], True)
    assert await page(history, 6, 0, 100, DOWN) == ([3, 4, 5, 6], True)
    assert await page(history, 2, 0, 100, DOWN) == ([1, 2], False)
    assert await page(history, 1, 0, 4, UP) == ([1, 2, 3, 4], True)
    assert await page(history, 7, 0, 100, UP) == ([7, 8, 9, 10], False)
