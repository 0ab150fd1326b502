"""What every store promises of the events of messages."""

from pathlib import Path

import pytest
import trio
from samples import GROUP, event, in_slices

from wukong_trio import ChannelKey, Message, StoreError, open_store
from wukong_trio.model import SETTING_STREAM
from wukong_trio.store.base import Store
from wukong_trio.store.event_rows import _SMALL_BYTES
from wukong_trio.store.event_store import MessageName, StoredEvent
from wukong_trio.store.removals import START

M1, M2 = MessageName(GROUP, "m1"), MessageName(GROUP, "m2")
ALL = 2**40


async def loaded(store: Store, *names: MessageName, max_bytes: int = ALL) -> list[StoredEvent]:
    """In the order of their numbers."""
    events = await store.load_events(names, max_bytes=max_bytes)
    return sorted(events, key=lambda event: (event.message, event.msg_event_seq))


async def test_an_event_comes_back_as_it_was(store: Store) -> None:
    await store.save_event(event(1))
    assert await loaded(store, M1) == [event(1)]
    plain = event(2, "other", visibility="", error="", snapshot=b"", headers=b"", end_reason=0, message_id=0)
    await store.save_event(plain)
    assert await loaded(store, M1) == [event(1), plain]


async def test_a_key_has_one_event_and_saving_it_again_changes_nothing(store: Store) -> None:
    for seq, key in ((1, "main"), (2, "think"), (3, "main"), (3, "main")):
        await store.save_event(event(seq, key))
    assert await loaded(store, M1) == [event(2, "think"), event(3)]


async def test_messages_are_known_by_channel_and_number(store: Store) -> None:
    other = MessageName(ChannelKey("g", 3), "m1")
    events = [event(1), event(2, number="m2"), event(3, key=other.key)]
    for one in events:
        await store.save_event(one)
    assert await loaded(store, M1) == events[:1]
    assert await loaded(store, M2) == events[1:2]
    assert await loaded(store, other) == events[2:]
    assert await loaded(store, other, M2, M1) == events
    assert await loaded(store, MessageName(GROUP, "m3"), MessageName(ChannelKey("h", 2), "m1")) == []
    assert await loaded(store) == []


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "'\"\\", "群", " ", "%", "1", "1e5"])
async def test_names_may_be_anything(store: Store, text: str) -> None:
    key = ChannelKey(text, 2)
    saved = event(1, text, text, key, event_id=text, error=text, from_uid=text, visibility=text)
    for _ in range(2):
        await store.save_event(saved)
    assert await loaded(store, MessageName(key, text)) == [saved]
    assert await loaded(store, MessageName(key, text + "x"), MessageName(ChannelKey(text + "x", 2), text)) == []


async def test_many_messages_at_once(store: Store) -> None:
    events = [event(1, number=f"m{n:03}") for n in range(100)]
    for one in events:
        await store.save_event(one)
    assert await loaded(store, *(one.message for one in events)) == events


@pytest.mark.parametrize("size", [10, _SMALL_BYTES, _SMALL_BYTES + 1])
async def test_snapshots_beyond_a_bound_are_left_out(store: Store, size: int) -> None:
    snapshot = b'"%b"' % (b"x" * (size - 2))
    for number in ("m1", "m2"):
        await store.save_event(event(1, number=number, snapshot=snapshot))
    for max_bytes, expected in ((2 * size, [size, size]), (2 * size - 1, [size, 0]), (size - 1, [0, 0]), (0, [0, 0])):
        events = await store.load_events([M1, M2], max_bytes=max_bytes)
        by_message = {event.message: event for event in events}
        assert [len(by_message[name].snapshot) for name in (M1, M2)] == expected
        assert {event.event_id for event in events} == {"e1"}


async def test_cancelled_before_it_began_nothing_is_saved(store: Store) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.save_event(event(1))
    assert scope.cancelled_caught
    assert await loaded(store, M1) == []


async def test_they_survive_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.save_event(event(1))
    async with open_store(tmp_path) as store:
        assert await loaded(store, M1) == [event(1)]
        # The channel is the same for messages.
        assert await store.last_seq(GROUP) == 0
    with pytest.raises(StoreError):
        await store.save_event(event(2))
    with pytest.raises(StoreError):
        await store.load_events([M1], max_bytes=1)


async def test_events_leave_with_their_message(store: Store) -> None:
    key = ChannelKey("g", 2)
    drafts = [
        Message(
            message_id=n, message_seq=0, channel_id="g", channel_type=2, from_uid="bot", client_msg_no=f"s{n}",
            timestamp=1, payload=b"", setting=SETTING_STREAM if n < 3 else 0,
        )
        for n in range(1, 5)
    ]  # fmt: skip
    await store.append_messages(drafts)
    for n, message_id in ((1, 1), (1, 0), (2, 9), (3, 3)):
        await store.save_event(event(1, f"k{message_id}", f"s{n}", key, message_id=message_id))
    await in_slices(store.settle)
    await store.remove_before(START, 99, before_id=4)
    left = await store.load_events([MessageName(key, f"s{n}") for n in (1, 2, 3)], max_bytes=99)
    assert [(e.message.client_msg_no, e.event_key) for e in left] == [("s2", "k9"), ("s3", "k3")]
