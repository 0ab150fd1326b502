"""What every store promises."""

from itertools import count

import pytest
import trio
from samples import GROUP, append, between, message, with_number

from wukong_trio import ChannelKey, ConfigError, DeviceLevel, Message, StoreError
from wukong_trio.model import ChannelFlags, Device
from wukong_trio.store import lookups, memory
from wukong_trio.store.base import (
    ChannelChange,
    ChannelRecord,
    Login,
    MemberChange,
    MemberList,
    Page,
    SentMark,
    Store,
    Wanted,
)

OTHER = ChannelKey("bob@ann", 1)


async def test_an_empty_store(store: Store) -> None:
    assert await store.last_message_id() == 0
    assert await store.recent_marks(0, 10) == []
    assert await store.messages_by_id([1]) == []
    assert await between(store, GROUP, 1, 10, 10, newest=True) == []
    assert await store.load_channels([GROUP]) == [ChannelRecord(key=GROUP)]
    assert await store.load_logins([("ann", 0)]) == [Login()]
    assert await store.system_uids() == []
    assert await store.messages_after(0, 10, max_bytes=1) == []
    assert await store.message_ids_after(0, 10) == []
    assert await store.webhook_cursor() is None
    assert store.failure == ""


async def test_messages_come_back_as_they_were_stored(store: Store) -> None:
    payloads = [b"", b"\x00\xff\x00", "你好 \U0001f600".encode(), b"x" * 100_000]
    messages = [message(2**52 + n, n + 1, payload=payload) for n, payload in enumerate(payloads)]
    await append(store, messages)
    assert await between(store, GROUP, 1, 10, 10, newest=False) == messages
    assert await store.messages_by_id([messages[2].message_id, 5, messages[2].message_id]) == [messages[2]]
    assert await store.last_message_id() == 2**52 + 3


async def test_messages_of_all_channels_come_in_the_order_of_their_ids(store: Store) -> None:
    payloads = [b"", b"\x00\xff\x00", "\u4f60\u597d \U0001f600".encode(), b"x" * 1000, b"y"]
    keys = [
        ChannelKey("z", 2),
        OTHER,
        ChannelKey("a\x00b\"\\'", 2),
        ChannelKey("\u9891\u9053\u2028", 2),
        ChannelKey("a", 2),
    ]
    messages = [message(2**52 + n, 1, keys[n], payload) for n, payload in enumerate(payloads)]
    await append(store, messages)
    first, last = messages[0].message_id, messages[-1].message_id
    assert await store.messages_after(0, 10, max_bytes=10**6) == messages
    assert await store.messages_after(first, 10, max_bytes=10**6) == messages[1:]
    assert await store.messages_after(first, 2, max_bytes=10**6) == messages[1:3]
    assert await store.messages_after(last, 10, max_bytes=10**6) == []
    assert await store.message_ids_after(0, 10) == [m.message_id for m in messages]
    assert await store.message_ids_after(first, 2) == [first + 1, first + 2]
    assert await store.message_ids_after(last, 10) == []


async def test_messages_after_another_are_bounded_in_bytes_but_for_the_first(store: Store) -> None:
    await append(store, [message(n, n, payload=b"x" * size) for n, size in enumerate([0, 10, 30, 30], start=1)])

    async def ids(message_id: int, max_bytes: int) -> list[int]:
        return [m.message_id for m in await store.messages_after(message_id, 10, max_bytes=max_bytes)]

    assert await ids(0, 9) == [1]
    assert await ids(0, 10) == [1, 2]
    assert await ids(0, 39) == [1, 2]
    assert await ids(0, 40) == [1, 2, 3]
    assert await ids(2, 1) == [3]
    assert await ids(2, 60) == [3, 4]


async def test_the_cursor_of_webhooks_stays_where_it_was_moved(store: Store) -> None:
    assert await store.webhook_cursor() is None
    for message_id in (0, 2**53 - 1, 7):
        await store.move_webhook_cursor(message_id)
        assert await store.webhook_cursor() == message_id


async def test_channels_do_not_mix(store: Store) -> None:
    keys = [GROUP, OTHER, ChannelKey("g", 4), ChannelKey("G", 2), ChannelKey("频道", 2), ChannelKey("a\x00b", 2)]
    await append(store, [message(n, 1, key) for n, key in enumerate(keys, start=1)])
    for n, key in enumerate(keys, start=1):
        assert [m.message_id for m in await between(store, key, 1, 9, 9, newest=True)] == [n]
    records = await store.load_channels([*reversed(keys), ChannelKey("none", 2), keys[0]])
    assert [record.key for record in records] == [*reversed(keys), ChannelKey("none", 2), keys[0]]
    assert [record.last_seq for record in records] == [1] * len(keys) + [0, 1]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 64, 65, 512, 1100])
async def test_batches_of_any_size_are_stored_whole_and_in_order(store: Store, size: int) -> None:
    await append(store, [message(n, n) for n in range(1, size + 1)])
    found = await between(store, GROUP, 1, size, size, newest=True)
    assert [m.message_id for m in found] == list(range(1, size + 1))


@pytest.mark.parametrize(
    ("low", "high", "limit", "newest", "expected"),
    [
        (1, 2**62, 3, True, [8, 9, 10]),
        (1, 2**62, 3, False, [1, 2, 3]),
        (4, 6, 10, True, [4, 5, 6]),
        (4, 6, 2, True, [5, 6]),
        (4, 6, 2, False, [4, 5]),
        (0, 2, 10, False, [1, 2]),
        (10, 20, 5, False, [10]),
        (11, 20, 5, True, []),
        (6, 4, 5, True, []),
        (1, 10, 0, True, []),
    ],
)
async def test_windows_of_a_channel(
    store: Store, low: int, high: int, limit: int, newest: bool, expected: list[int]
) -> None:
    await append(store, [message(n, n) for n in range(1, 11)])
    found = await between(store, GROUP, low, high, limit, newest=newest)
    assert [m.message_seq for m in found] == expected


async def test_a_batch_that_fails_stores_nothing_and_uses_up_no_number(store: Store) -> None:
    await append(store, [message(1, 1)])
    for wrong in (message(1, 2), message(3, 2)):
        with pytest.raises(StoreError):
            await append(store, [message(2, 2), message(3, 1, OTHER), wrong])
        assert [r.last_seq for r in await store.load_channels([GROUP, OTHER])] == [1, 0]
        assert await store.last_message_id() == 1
    await append(store, [message(2, 1, OTHER), message(3, 2)])
    assert [r.last_seq for r in await store.load_channels([GROUP, OTHER])] == [2, 1]
    assert store.failure == ""


async def test_each_channel_is_numbered_by_itself_in_the_order_of_the_drafts(store: Store) -> None:
    keys = [ChannelKey(f"g{n}", 2) for n in range(5)]
    numbered: list[Message] = []
    last, next_id = dict.fromkeys(keys, 0), count(1)
    for size in (1, 7, 2, 30, 1):
        batch: list[Message] = []
        for n in range(size):
            key = keys[n * n % 5]
            last[key] += 1
            batch.append(message(next(next_id), last[key], key))
        await append(store, batch)
        numbered += batch
    for key in keys:
        expected = [m for m in numbered if m.channel_id == key.channel_id]
        assert await between(store, key, 1, 100, 100, newest=False) == expected


async def test_drafts_stay_as_they_are_whatever_number_they_have(store: Store) -> None:
    drafts = [message(1, 0), message(2, 7), message(3, 1)]
    assert list(await store.append_messages(drafts)) == [1, 2, 3]
    assert [draft.message_seq for draft in drafts] == [0, 7, 1]
    assert [m.message_seq for m in await store.messages_by_id([1, 2, 3])] == [1, 2, 3]


async def test_the_same_call_again_is_refused(store: Store) -> None:
    batch = [message(1, 1), message(2, 1, OTHER)]
    await append(store, batch)
    with pytest.raises(StoreError):
        await append(store, batch)
    await append(store, [message(3, 2), message(4, 2, OTHER)])


async def test_nothing_to_store(store: Store) -> None:
    assert list(await store.append_messages([])) == []
    await append(store, [message(1, 1)])


async def test_terms_that_only_a_store_with_several_writers_needs_change_nothing(store: Store) -> None:
    [record] = await store.load_channels([GROUP])
    assert record.version == 0, "it does not count"
    drafts = [message(1, 0), message(2, 0), message(3, 0, OTHER)]
    assert list(await store.append_messages(drafts, versions={GROUP: 5}, distinct=[1])) == [1, 2, 1]


async def test_marks_are_the_newest_messages_oldest_first(store: Store) -> None:
    await append(store, [message(n, n) for n in range(1, 6)])
    marks = await store.recent_marks(2, 3)
    assert marks == [SentMark(GROUP, "ann", f"m{n}", n) for n in (3, 4, 5)]
    assert [m.message_id for m in await store.recent_marks(4, 100)] == [4, 5]
    assert await store.recent_marks(6, 100) == []


async def test_a_channel_record_is_created_replaced_and_kept(store: Store) -> None:
    await store.change_channel(ChannelChange(key=GROUP, create=True))
    assert (await store.load_channels([GROUP]))[0].flags == ChannelFlags()
    for flags in (
        ChannelFlags(ban=True, large=True),
        ChannelFlags(disband=True, send_ban=True, allow_stranger=True),
        ChannelFlags(),
    ):
        await store.change_channel(ChannelChange(key=GROUP, flags=flags))
        await store.change_channel(ChannelChange(key=GROUP, create=True))
        await store.change_channel(ChannelChange(key=GROUP))
        assert (await store.load_channels([GROUP]))[0].flags == flags


async def test_members_without_a_record(store: Store) -> None:
    change = MemberChange(list=MemberList.DENIED, add=["eve"])
    await store.change_channel(ChannelChange(key=GROUP, members=[change]))
    assert await store.load_channels([GROUP]) == [ChannelRecord(key=GROUP, denied=frozenset({"eve"}))]


async def test_lists_are_sets_and_change_in_order(store: Store) -> None:
    subscribers, allowed = MemberList.SUBSCRIBERS, MemberList.ALLOWED
    changes = [
        MemberChange(list=subscribers, add=["ann", "bob", "ann"]),
        MemberChange(list=subscribers, remove=["bob", "nobody"], add=["cid"]),
        MemberChange(list=allowed, add=["dan"]),
        MemberChange(list=allowed, reset=True, add=["eve"]),
    ]
    for _ in range(2):
        await store.change_channel(ChannelChange(key=GROUP, members=changes))
        [record] = await store.load_channels([GROUP])
        assert record.subscribers == {"ann", "cid"}
        assert record.allowed == {"eve"}
        assert record.denied == frozenset()


async def test_large_lists_and_many_channels(store: Store) -> None:
    uids = [f"user{n}" for n in range(50_000)]
    await store.change_channel(ChannelChange(key=GROUP, members=[MemberChange(list=MemberList.SUBSCRIBERS, add=uids)]))
    assert (await store.load_channels([GROUP]))[0].subscribers == frozenset(uids)
    await store.change_channel(
        ChannelChange(key=GROUP, members=[MemberChange(list=MemberList.SUBSCRIBERS, remove=uids[1:])])
    )
    keys = [ChannelKey(f"c{n}", 2) for n in range(5_000)]
    await append(store, [message(n, 1, key) for n, key in enumerate(keys, start=1)])
    records = await store.load_channels([*keys, GROUP])
    assert [record.last_seq for record in records] == [1] * 5_000 + [0]
    assert records[-1].subscribers == {"user0"}


async def test_logins(store: Store) -> None:
    phone = Device(uid="ann", device_flag=0, token="a", level=DeviceLevel.MASTER)
    web = Device(uid="ann", device_flag=1, token="b")
    for device in (phone, web, Device(uid="ann", device_flag=1, token="c")):
        await store.put_device(device)
    await store.clear_tokens("ann", [0, 2])
    await store.clear_tokens("nobody", [0])
    bans = ChannelFlags(ban=True)
    for uid, kind in (("bob", 1), ("ann", 2)):
        await store.change_channel(ChannelChange(key=ChannelKey(uid, kind), flags=bans))
    keys = [("ann", 1), ("bob", 0), ("ann", 0), ("ann", 1), ("ann", 9), ("eve", 2)]
    assert await store.load_logins(keys) == [
        Login(Device(uid="ann", device_flag=1, token="c"), registered=True),
        Login(flags=bans),
        Login(Device(uid="ann", device_flag=0, token="", level=DeviceLevel.MASTER), registered=True),
        Login(Device(uid="ann", device_flag=1, token="c"), registered=True),
        Login(registered=True),
        Login(),
    ]
    many = [(f"user{n}", n % 3) for n in range(5_000)]
    assert await store.load_logins(many) == [Login()] * 5_000


async def test_system_uids(store: Store) -> None:
    await store.change_system_uids(add=["b", "a", "b"])
    await store.change_system_uids(add=["c"], remove=["a", "x"])
    assert await store.system_uids() == ["b", "c"]


async def test_a_write_that_has_begun_is_finished_though_cancelled(store: Store) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(append, store, [message(n, n) for n in range(1, 2001)])
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert (await store.load_channels([GROUP]))[0].last_seq == 2000
    await append(store, [message(2001, 2001)])


async def test_messages_are_stored_unless_appending_them_raises(store: Store) -> None:
    async def stored(seq: int) -> bool:
        with scope:
            await append(store, [message(seq, seq)])
            return True
        return False

    scope = trio.CancelScope()
    scope.cancel()
    assert await stored(1) is ((await store.load_channels([GROUP]))[0].last_seq == 1)
    scope, returned = trio.CancelScope(), []
    async with trio.open_nursery() as nursery:

        async def note() -> None:
            returned.append(await stored((await store.load_channels([GROUP]))[0].last_seq + 1))

        nursery.start_soon(note)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        scope.cancel()
    [record] = await store.load_channels([GROUP])
    assert returned == [record.last_seq > 0]
    await append(store, [message(9, record.last_seq + 1)])


async def test_reads_during_writes_see_whole_batches(store: Store) -> None:
    async def write() -> None:
        for batch in range(20):
            await append(store, [message(n, n) for n in range(batch * 50 + 1, batch * 50 + 51)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        last = 0
        with trio.fail_after(20):
            while last < 1000:
                [record] = await store.load_channels([GROUP])
                assert record.last_seq % 50 == 0
                assert record.last_seq >= last
                last = record.last_seq


async def test_ids_have_to_grow(store: Store) -> None:
    await append(store, [message(10, 1)])
    for wrong in ([message(9, 2)], [message(10, 2)], [message(12, 2), message(11, 3)], [message(9, 1, OTHER)]):
        with pytest.raises(StoreError):
            await append(store, wrong)
    await append(store, [message(11, 2), message(12, 1, OTHER)])
    assert await store.last_message_id() == 12


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize(
    ("limit", "max_bytes", "count", "more"),
    [
        (10, 10_000, 10, False),
        (10, 9_999, 9, True),
        (9, 10_000, 9, True),
        (100, 3_000, 3, True),
        (100, 3_999, 3, True),
        (100, 1, 1, True),
        (100, 0, 1, True),
    ],
)
async def test_a_page_is_bounded_in_bytes_and_has_at_least_one_message(
    store: Store, newest: bool, limit: int, max_bytes: int, count: int, more: bool
) -> None:
    await append(store, [message(n, n, payload=bytes(1000)) for n in range(1, 11)])
    page = await store.messages_between(GROUP, 1, 2**62, limit, newest=newest, max_bytes=max_bytes)
    seqs = range(11 - count, 11) if newest else range(1, count + 1)
    assert ([m.message_seq for m in page.messages], page.more) == (list(seqs), more)


async def test_a_message_larger_than_a_page_neither_hides_nor_draws_in_others(store: Store) -> None:
    sizes = [10, 10, 5000, 10, 10]
    await append(store, [message(n, n, payload=bytes(size)) for n, size in enumerate(sizes, start=1)])
    pages, last, more = [], 0, True
    while more:
        page = await store.messages_between(GROUP, last + 1, 2**62, 100, newest=False, max_bytes=100)
        pages.append([m.message_seq for m in page.messages])
        last, more = pages[-1][-1], page.more
    assert pages == [[1, 2], [3], [4, 5]]


async def test_one_owner_at_a_time(store: Store) -> None:
    for _ in range(2):
        with store.claim():
            with pytest.raises(ConfigError, match="another server"), store.claim():
                pass
            with pytest.raises(ConfigError, match="another server"), store.claim():
                pass


async def test_messages_by_their_names_come_in_the_order_of_the_names(store: Store) -> None:
    await store.append_messages([message(10 * n, n) for n in range(1, 6)] + [message(100, 1, OTHER)])
    wanted = Wanted(
        message_seqs=[3, 99, 1, 0, 3], message_ids=[50, 100, 7, 10], client_msg_nos=["m20", "no", "m100", "m20"]
    )
    page = await store.find_messages(GROUP, wanted, max_bytes=2**20)
    assert [m.message_seq for m in page.messages] == [3, 1, 3, 5, 1, 2, 2]
    assert page.messages[0] == message(30, 3)
    assert not page.more
    assert await store.find_messages(ChannelKey("none", 2), wanted, max_bytes=2**20) == Page([], False)
    assert await store.find_messages(GROUP, Wanted(), max_bytes=2**20) == Page([], False)


async def test_of_several_messages_with_one_number_the_newest_or_the_earliest_is_found(store: Store) -> None:
    numbers = {1: "same", 2: "same", 3: "ot\0her", 30: "same", 31: "last"}
    await store.append_messages([with_number(n, numbers.get(n, f"m{n}")) for n in range(1, 32)])
    for earliest, found in ((False, [30, 3, 31]), (True, [1, 3, 31])):
        wanted = Wanted(client_msg_nos=["same", "ot\0her", "last", "no"], earliest=earliest)
        page = await store.find_messages(GROUP, wanted, max_bytes=2**20)
        assert [m.message_seq for m in page.messages] == found


async def test_named_messages_beyond_the_bytes_of_a_page_are_left_for_the_next(store: Store) -> None:
    payloads = [b"x" * size for size in (5000, 100, 4096, 4097, 0)]
    await store.append_messages([message(n, n, payload=payload) for n, payload in enumerate(payloads, start=1)])
    for max_bytes, found in ((0, 1), (5099, 1), (5100, 2), (9196, 3), (13292, 3), (13293, 5)):
        page = await store.find_messages(GROUP, Wanted(message_seqs=range(1, 6)), max_bytes=max_bytes)
        assert [m.payload for m in page.messages] == payloads[:found]
        assert page.more is (found < 5)


async def test_numbers_are_looked_for_among_the_newest_messages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory, lookups):
        monkeypatch.setattr(module, "SEARCHED_MESSAGES", 20)
    await store.append_messages([message(n, n) for n in range(1, 23)])
    for earliest in (False, True):
        page = await store.find_messages(GROUP, Wanted(client_msg_nos=["m2", "m3"], earliest=earliest), max_bytes=9)
        assert [m.message_seq for m in page.messages] == [3]


async def test_the_last_number_of_a_channel(store: Store) -> None:
    assert await store.last_seq(GROUP) == 0
    await store.append_messages([message(n, n) for n in range(1, 21)] + [message(99, 1, OTHER)])
    assert (await store.last_seq(GROUP), await store.last_seq(OTHER)) == (20, 1)
    await store.change_channel(ChannelChange(key=ChannelKey("empty", 2), create=True))
    assert await store.last_seq(ChannelKey("empty", 2)) == 0
