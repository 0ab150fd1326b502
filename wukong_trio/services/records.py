"""A stored message as back-ends read it, over the API and by webhooks."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from ..contract.messages import EventMeta, EventSyncHint, MessageRecord, RecordHeader
from ..model import (
    COMMAND_CHANNEL_SUFFIX,
    NO_PERSIST,
    RED_DOT,
    SYNC_ONCE,
    SYSTEM_UID,
    ChannelType,
    Message,
)
from .addressing import peer_of

_ALL_FLAGS: Final = NO_PERSIST | RED_DOT | SYNC_ONCE
_PERSON: Final = int(ChannelType.PERSON)


class RecordEvents(NamedTuple):
    """What a record gains if its message has events."""

    end: int = 0
    end_reason: int = 0
    error: str = ""
    stream_data: bytes = b""
    event_meta: EventMeta | None = None
    event_sync_hint: EventSyncHint | None = None


_HEADERS = tuple(
    RecordHeader(
        no_persist=int(flags & NO_PERSIST != 0),
        red_dot=int(flags & RED_DOT != 0),
        sync_once=int(flags & SYNC_ONCE != 0),
    )
    for flags in range(_ALL_FLAGS + 1)
)
"""By the flags of a message."""


def records_of(messages: Iterable[Message]) -> list[MessageRecord]:
    """The records of several messages of one channel, as `record_of` makes them."""
    shown: dict[str, tuple[str, str]] = {}
    return [
        MessageRecord(
            _HEADERS[message.flags & _ALL_FLAGS],
            message.setting,
            message.message_id,
            str(message.message_id),
            message.client_msg_no,
            message.message_seq,
            # Who sends, and what the channel is called then, are found once for each sender of a page.
            (names := shown.get(message.from_uid) or _shown(shown, message))[0],
            names[1],
            message.channel_type,
            message.expire,
            message.timestamp,
            message.payload,
            message.topic,
        )
        for message in messages
    ]


def _shown(shown: dict[str, tuple[str, str]], message: Message) -> tuple[str, str]:
    record = record_of(message)
    names = shown[message.from_uid] = (record.from_uid, record.channel_id)
    return names


def record_of(message: Message, viewer: str = "", events: RecordEvents | None = None) -> MessageRecord:
    """The record of a message; the system sender is shown as nobody.

    Args:
        viewer: a person channel is shown to him as his peer; if empty, as the receiver of the message.
        events: what there is to show of its events.
    """
    uid, channel_id = message.from_uid, message.channel_id
    if message.channel_type == _PERSON:
        channel_id = peer_of(viewer or uid, channel_id.removesuffix(COMMAND_CHANNEL_SUFFIX))
    # Fifty of them are made for a page: names instead of places would take half as long again.
    return MessageRecord(
        _HEADERS[message.flags & _ALL_FLAGS],
        message.setting,
        message.message_id,
        str(message.message_id),
        message.client_msg_no,
        message.message_seq,
        "" if uid == SYSTEM_UID else uid,
        channel_id,
        message.channel_type,
        message.expire,
        message.timestamp,
        message.payload,
        message.topic,
        *(events or ()),
    )


def command_record_of(message: Message) -> MessageRecord:
    """The record of a command as it is handed out: with the channel that it is for, not that in which it is stored."""
    record = record_of(message)
    return replace(record, channel_id=record.channel_id.removesuffix(COMMAND_CHANNEL_SUFFIX))
