"""Messages for the tests of stores."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from wukong_trio import ChannelKey, Message
from wukong_trio.model import StreamStatus
from wukong_trio.store.base import Store
from wukong_trio.store.event_store import MessageName, StoredEvent
from wukong_trio.store.removals import START, Position, Slice

GROUP = ChannelKey("g", 2)


def message(message_id: int, message_seq: int, key: ChannelKey = GROUP, payload: bytes = b"{}") -> Message:
    return Message(
        message_id=message_id,
        message_seq=message_seq,
        channel_id=key.channel_id,
        channel_type=key.channel_type,
        from_uid="ann",
        client_msg_no=f"m{message_id}",
        timestamp=1_700_000_000,
        payload=payload,
        flags=2,
        setting=128,
        expire=2**32 - 1,
        topic="t",
        stream_no="s",
    )


def event(seq: int, event_key: str = "main", number: str = "m1", key: ChannelKey = GROUP, **fields: Any) -> StoredEvent:
    """A stored event with a value of its own in every field."""
    return StoredEvent(
        **{
            "message": MessageName(key, number),
            "event_key": event_key,
            "msg_event_seq": seq,
            "event_id": f"e{seq}",
            "event_type": "stream.error",
            "visibility": "private",
            "occurred_at": 1_700_000_000_000 + seq,
            "status": StreamStatus.ERROR,
            "end_reason": -seq,
            "error": "boom",
            "snapshot": b'{"kind":"text","text":"\xe4\xbd\xa0"}',
            "from_uid": "bot",
            "message_id": 2**53 + seq,
            "headers": b'{"a":"b"}',
            **fields,
        }
    )


async def in_slices(work: Callable[[Position], Awaitable[Slice]]) -> tuple[int, bool]:
    """A round of removals: how many messages it has removed, and whether some were held back."""
    removed, held_back = 0, False
    position: Position | None = START
    for _ in range(10_000):
        count, position, some = await work(position)
        removed += count
        held_back |= some
        if position is None:
            return removed, held_back
    raise AssertionError("it has no end")


async def append(store: Store, messages: Sequence[Message]) -> None:
    """Has messages stored, which must get the numbers that they have here."""
    numbers = await store.append_messages([replace(message, message_seq=0) for message in messages])
    assert list(numbers) == [message.message_seq for message in messages]


def with_number(n: int, client_msg_no: str) -> Message:
    """The n-th message of GROUP, with this client_msg_no."""
    return replace(message(n, n), client_msg_no=client_msg_no)


async def between(
    store: Store, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool, max_bytes: int = 2**40
) -> list[Message]:
    """The messages of a page whose size in bytes does not matter."""
    return (await store.messages_between(key, low, high, limit, newest=newest, max_bytes=max_bytes)).messages
