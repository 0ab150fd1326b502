"""A stored message as back-ends read it."""

from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

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


AnyJson: TypeAlias = Annotated[Raw, dict[str, Any] | list[Any] | str | float | bool | None]
"""Encoded already."""


class EventKeySummary(Struct, frozen=True, omit_defaults=True, gc=False):
    """An event key of a message."""

    event_key: str
    status: str
    last_msg_event_seq: int = 0
    snapshot: AnyJson | UnsetType = UNSET
    end_reason: int = 0
    error: str = ""


class EventMeta(Struct, frozen=True, omit_defaults=True, gc=False):
    """The events of a message as a whole."""

    has_events: bool
    completed: bool
    event_version: int = 0
    last_msg_event_seq: int = 0
    event_count: int = 0
    open_event_count: int = 0
    events: list[EventKeySummary] = []


class EventSyncHint(Struct, frozen=True, gc=False):
    """With what `/message/eventsync` gives the events of a message."""

    client_msg_no: str
    from_msg_event_seq: int


class RecordEvents(NamedTuple):
    """What a record gains if its message has events."""

    end: int = 0
    end_reason: int = 0
    error: str = ""
    stream_data: bytes = b""
    event_meta: EventMeta | None = None
    event_sync_hint: EventSyncHint | None = None


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
    end: int = 0
    end_reason: int = 0
    error: str = ""
    stream_data: bytes = b""
    event_meta: EventMeta | None = None
    event_sync_hint: EventSyncHint | None = None


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
