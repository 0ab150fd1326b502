"""Messages on their way in, and as they are shown."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType, field

from ..model import NO_PERSIST, RED_DOT, SYNC_ONCE
from .fields import Byte, Seconds


class SendHeader(Struct):
    """Flags of a message; only 1 means true."""

    no_persist: int = 0
    red_dot: int = 0
    sync_once: int = 0

    @property
    def flags(self) -> int:
        """The same as one number."""
        return (
            (NO_PERSIST if self.no_persist == 1 else 0)
            | (RED_DOT if self.red_dot == 1 else 0)
            | (SYNC_ONCE if self.sync_once == 1 else 0)
        )


class SendRequest(Struct):
    """Body of `/message/send`."""

    header: SendHeader = field(default_factory=SendHeader)
    from_uid: str = ""
    sender_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    subscribers: list[str] = []
    payload: str = ""
    client_msg_no: str = ""
    expire: Seconds = 0
    is_stream: int = 0
    setting: Byte = 0
    topic: str = ""
    no_persist: int = 0
    sync_once: int = 0

    @property
    def flags(self) -> int:
        """The header as flags, and what stands beside it."""
        return (
            self.header.flags | (NO_PERSIST if self.no_persist == 1 else 0) | (SYNC_ONCE if self.sync_once == 1 else 0)
        )


class BatchRequest(Struct):
    """Body of `/message/sendbatch`."""

    header: SendHeader = field(default_factory=SendHeader)
    from_uid: str = ""
    subscribers: list[str] = []
    payload: str = ""


class MessageNames(Struct, frozen=True):
    """All by which a message is known."""

    message_id: int
    message_seq: int
    client_msg_no: str


class SendAnswer(MessageNames, frozen=True, kw_only=True):
    """What became of a message."""

    status: Literal[200]
    data: MessageNames | UnsetType = UNSET
    message_idstr: str
    reason: int


class BatchAnswer(Struct, frozen=True):
    """Whom a message was not sent to, and why: two lists of the same length."""

    fail_uids: list[str]
    reason: list[str]
    status: int = 200


class RecordHeader(Struct, frozen=True, gc=False):
    """Flags of a message as 0 or 1."""

    no_persist: int
    red_dot: int
    sync_once: int


JsonValue: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
AnyJson: TypeAlias = Annotated[Raw, JsonValue]
"""The same, encoded."""


class EventKeySummary(Struct, frozen=True, omit_defaults=True, gc=False):
    """An event key of a message."""

    event_key: str
    status: str
    last_msg_event_seq: int = 0
    snapshot: JsonValue | UnsetType = UNSET
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
