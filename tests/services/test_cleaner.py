"""The cleaner removes what the settings say, counts it, and gives way."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from wukong_trio import ChannelKey, Message, StoreError, open_store
from wukong_trio.config import Retention
from wukong_trio.model import first_id_at
from wukong_trio.services import cleaner
from wukong_trio.services.cleaner import INTERVAL_S, SLICE, SURPLUS_INTERVAL_S, Cleaner
from wukong_trio.store import MemoryStore
from wukong_trio.store.base import Store
from wukong_trio.store.removals import Position, Slice

GROUP = ChannelKey("g", 2)
NOW_S = 1_700_000_000.0


def id_of(number: int) -> int:
    """Of the messages that `fill` makes, one in each second: the last one has the number 999."""
    return first_id_at(NOW_S + number - 1000)


async def fill(store: Store, count: int, *, expire: int = 0) -> None:
    """Messages of the last `count` seconds."""
    store.clock = lambda: NOW_S
    await store.append_messages(
        [
            Message(
                message_id=id_of(number),
                message_seq=0,
                channel_id=GROUP.channel_id,
                channel_type=GROUP.channel_type,
                from_uid="ann",
                client_msg_no=f"m{number}",
                timestamp=int(NOW_S) + number - 1000,
                payload=b"x",
                expire=expire,
            )
            for number in range(1000 - count, 1000)
        ]
    )


async def seqs(store: Store) -> list[int]:
    page = await store.messages_between(GROUP, 1, 2**62, 999, newest=True, max_bytes=9999)
    return [m.message_seq for m in page.messages]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    async with open_store(None if request.param == "memory" else tmp_path) as store:
        yield store


@pytest.mark.parametrize(
    ("retention", "expire", "left", "counts"),
    [
        (Retention(), 0, range(1, 601), (0, 0, 0)),
        (Retention(), 100, range(502, 601), (501, 0, 0)),
        (Retention(max_age_s=100), 0, range(501, 601), (0, 500, 0)),
        (Retention(max_per_channel=90), 0, range(511, 601), (0, 0, 510)),
        (Retention(max_age_s=300, max_per_channel=90), 400, range(511, 601), (201, 99, 210)),
    ],
)
async def test_each_reason_is_counted(
    store: Store, retention: Retention, expire: int, left: range, counts: tuple[int, int, int]
) -> None:
    await fill(store, 600, expire=expire)
    assert 2 * SLICE < 600
    cleaner = Cleaner(store, retention)
    for _ in range(2):
        await cleaner.clean()
        assert await seqs(store) == list(left)
        assert tuple(cleaner.removed.values()) == counts
    ids = [id_of(number) for number in range(1000 - len(left), 1000)]
    assert await store.message_ids_after(0, 999) == ids, "they are not only hidden"
    assert await store.last_seq(GROUP) == 600


@pytest.mark.parametrize(
    ("retention", "expire"), [(Retention(), 1), (Retention(max_age_s=1), 0), (Retention(max_per_channel=1), 0)]
)
async def test_what_somebody_has_to_be_told_of_stays_for_now(store: Store, retention: Retention, expire: int) -> None:
    await fill(store, 20, expire=expire)
    told = id_of(985)
    cleaner = Cleaner(store, retention, lambda: told + 1)
    await cleaner.clean()
    assert await store.message_ids_after(0, 99) == [id_of(number) for number in range(986, 1000)]
    told = id_of(990)
    cleaner._surplus_due = 0
    await cleaner.clean()
    assert await store.message_ids_after(0, 99) == [id_of(number) for number in range(991, 1000)]


class Failing(MemoryStore):
    """Fails the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[float] = []

    async def remove_expired(self, position: Position, limit: int, *, before_id: int) -> Slice:
        self.calls.append(trio.current_time())
        if len(self.calls) == 1:
            raise StoreError("the disk is full")
        return await super().remove_expired(position, limit, before_id=before_id)


async def test_it_comes_again_after_a_failure(autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture) -> None:
    store = Failing()
    await fill(store, 5, expire=1)
    begin_s = trio.current_time()
    cleaner = Cleaner(store, Retention())
    with trio.move_on_after(2.5 * INTERVAL_S):
        await cleaner.run()
    assert [round(at_s - begin_s) for at_s in store.calls] == [INTERVAL_S, 2 * INTERVAL_S]
    assert cleaner.removed["expired"] == 5
    assert [record.message for record in caplog.records] == [
        "messages could not be removed, in 60 s again: the disk is full"
    ]


class Slow(MemoryStore):
    """Takes its time for a slice."""

    def __init__(self, calls: Callable[[float, float], None]) -> None:
        super().__init__()
        self._calls = calls

    async def remove_expired(self, position: Position, limit: int, *, before_id: int) -> Slice:
        begin_s = trio.current_time()
        await trio.sleep(0.5)
        self._calls(begin_s, trio.current_time())
        return await super().remove_expired(position, limit, before_id=before_id)


async def test_it_waits_twice_as_long_as_it_has_worked(
    autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaner, "SLICE", 2)
    times: list[float] = []
    store = Slow(lambda begin_s, end_s: times.extend((begin_s, end_s)))
    await fill(store, 5, expire=1)
    await Cleaner(store, Retention()).clean()
    assert [round(b - a, 3) for a, b in pairwise(times)] == [0.5, 1.0, 0.5, 1.0, 0.5]


class Counting(MemoryStore):
    """Counts the looks at all channels."""

    looks = 0

    async def remove_surplus(self, position: Position, limit: int, *, kept: int, before_id: int) -> Slice:
        self.looks += 1
        return await super().remove_surplus(position, limit, kept=kept, before_id=before_id)


async def test_channels_are_looked_at_less_often(autojump_clock: trio.abc.Clock) -> None:
    store = Counting()
    await fill(store, 5)
    with trio.move_on_after(2 * SURPLUS_INTERVAL_S + 2 * INTERVAL_S):
        await Cleaner(store, Retention(max_per_channel=2)).run()
    assert store.looks == 3
    assert await seqs(store) == [4, 5]


async def test_cancelling_it_between_slices_leaves_the_rest_for_later(store: Store) -> None:
    await fill(store, 600, expire=1)
    removing = partial(store.remove_expired)
    scope = trio.CancelScope()

    async def once(position: Position, limit: int, *, before_id: int) -> Slice:
        scope.cancel()
        return await removing(position, limit, before_id=before_id)

    store.remove_expired = once  # type: ignore[method-assign]
    with scope:
        await Cleaner(store, Retention()).clean()
    store.remove_expired = removing  # type: ignore[method-assign]
    left = len(await store.message_ids_after(0, 999))
    assert left in (600, 600 - SLICE)
    again = Cleaner(store, Retention())
    await again.clean()
    assert again.removed["expired"] == left
    assert await seqs(store) == []
