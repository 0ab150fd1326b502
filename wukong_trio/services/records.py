"""A stored message as back-ends read it."""

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

from msgspec import Raw, Struct

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


class RecordHeader(Struct, frozen=True, gc=False):
    """Flags of a message as 0 or 1."""

    no_persist: int
    red_dot: int
    sync_once: int


class MessageRecord(Struct, frozen=True, omit_defaults=True, gc=False):
    """One message; `payload` is base64 on the wire."""

    header: RecordHeader
    setting: int
    message_id: int
    message_idstr: str
    client_msg_no: str
    message_seq: int
    from_uid: str
    channel_id: str
    channel_type: int
    expire: int
    timestamp: int
    payload: bytes
    topic: str = ""


Records: TypeAlias = Annotated[Raw, list[MessageRecord]]
"""Encoded already."""

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


def record_of(message: Message, viewer: str = "") -> MessageRecord:
    """The record of a message; the system sender is shown as nobody.

    Args:
        viewer: a person channel is shown to him as his peer; if empty, as the receiver of the message.
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
    )
