"""`/message/event`, `/message/eventsync` and `/event`."""

from typing import Literal

from msgspec import Raw, Struct, field

from .fields import Byte, Int64, Seq
from .messages import AnyJson, JsonValue


class EventResult(Struct, frozen=True, kw_only=True):
    """An event that was appended, or had been before."""

    client_msg_no: str
    event_key: str
    event_id: str
    msg_event_seq: int
    """Its number among the stored events of the message; for a delta, which is not stored, that of the last one."""
    stream_status: str
    """A `StreamStatus`, or nothing where WuKongIM has none."""
    channel_id: str
    channel_type: int
    from_uid: str


class EventRequest(Struct):
    """Body of `/message/event`."""

    channel_id: str = ""
    channel_type: Byte = 0
    client_msg_no: str = ""
    event_id: str = ""
    event_type: str = ""
    event_key: str = ""
    from_uid: str = ""
    message_id: Int64 = 0
    visibility: str = ""
    occurred_at: Int64 = 0
    payload: AnyJson = field(default_factory=Raw)
    headers: dict[str, str] = field(default_factory=dict)


class EventAnswer(Struct, frozen=True):
    """An event was appended, or had been before."""

    data: EventResult
    status: Literal[200] = 200


class EventSyncRequest(Struct):
    """Body of `/message/eventsync`."""

    channel_id: str = ""
    channel_type: Byte = 0
    client_msg_no: str = ""
    from_uid: str = ""
    event_key: str = ""
    from_msg_event_seq: Seq = 0
    limit: Int64 = 0
    include_private: int = 0


class EventRecord(Struct, frozen=True):
    """The last stored event of a key, with all that the key has gathered."""

    msg_event_seq: int
    event_id: str
    event_key: str
    event_type: str
    visibility: str
    occurred_at: int
    payload: JsonValue


class EventPage(Struct, frozen=True):
    """Events of a message."""

    client_msg_no: str
    from_msg_event_seq: int
    next_msg_event_seq: int
    more: int
    events: list[EventRecord]
    filtered_by_event_key: str


class EventSyncAnswer(Struct, frozen=True):
    """Events of a message."""

    data: EventPage
    status: Literal[200] = 200


class PlainEvent(Struct):
    """An event as clients get it."""

    type: str = ""
    id: str = ""
    timestamp: Int64 = 0
    data: str = ""


class PlainEventRequest(Struct):
    """Body of `/event`."""

    client_msg_no: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    from_uid: str = ""
    event: PlainEvent = field(default_factory=PlainEvent)


class ForceQuery(Struct):
    """Parameters of `/event`."""

    force: int = 0
