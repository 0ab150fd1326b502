"""Messages for the tests of stores."""

from collections.abc import Callable, Sequence

import trio
from msgspec.structs import replace

from wukong_trio import ChannelKey, Message
from wukong_trio.store.base import Store

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


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await trio.sleep(0.01)
