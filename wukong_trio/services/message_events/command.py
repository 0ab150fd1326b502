"""What may be appended to a message, whoever wants it: a back-end or the embedding program."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from ...errors import InvalidArgumentError
from ...model import MessageEvent, StreamStatus
from ..arguments import check_id, check_not_blank, check_number, wrong_type

DELTA: Final = "stream.delta"
SNAPSHOT: Final = "stream.snapshot"
CLOSE: Final = "stream.close"
FINISH: Final = "stream.finish"
ENDS: Final = {
    CLOSE: StreamStatus.CLOSED,
    "stream.error": StreamStatus.ERROR,
    "stream.cancel": StreamStatus.CANCELLED,
    FINISH: StreamStatus.CLOSED,
}
"""The types that end an event key, and how."""
MAIN_KEY: Final = "main"
FINISH_KEY: Final = "__finish__"
"""Of `stream.finish`, which ends the message itself."""
PUBLIC: Final = ("", "public")
VISIBILITIES: Final = (*PUBLIC, "private", "restricted")
MAX_HEADERS_BYTES: Final = 4096
MAX_DEPTH: Final = 64
"""Of arrays and objects in a payload."""
_NONE: Final = (b"", b"null")


class EventCommand(Struct, frozen=True, kw_only=True):
    """An event to be appended. The four ids that have no default must not be blank."""

    channel_id: str
    """For persons the uid of the receiver, or of the peer."""
    channel_type: int
    client_msg_no: str
    """That of the message."""
    event_id: str
    """The same id as the last one of its key: it is the same event once more, which changes nothing."""
    event_type: str
    """`stream.delta`, `stream.close` and so on, in any case; or a type of your own."""
    event_key: str = ""
    """Empty: `main`."""
    from_uid: str = ""
    """Empty: the sender of the message as long as that is known, then the system."""
    message_id: int = 0
    """0: that of the message, as long as it is known."""
    visibility: str = ""
    """`public`, `private` or `restricted`; empty: public. `read` shows what is not public only to who asks for it."""
    occurred_at: int = 0
    """Milliseconds since 1970; 0: now."""
    payload: bytes = b""
    """A JSON text; empty: none."""
    headers: Mapping[str, str] = {}
    """Stored with the event, up to 4096 bytes."""


class Payload(NamedTuple):
    """What an event carries."""

    text: bytes
    """The JSON as it was given; empty: there is none."""
    value: Any
    """The same, decoded."""

    @property
    def text_delta(self) -> bytes | None:
        """The piece of text of a delta; None if it is something else."""
        return self._text_member("delta")

    @property
    def whole_text(self) -> bytes | None:
        """The text of a snapshot; None if it is something else."""
        return self._text_member("text")

    def _text_member(self, name: str) -> bytes | None:
        value = self.value
        if not isinstance(value, dict) or value.get("kind") != "text" or not isinstance(value.get(name), str):
            return None
        return str(value[name]).encode()

    def member(self, name: str) -> Any:
        """A member of an object; None if there is none."""
        return self.value.get(name) if isinstance(self.value, dict) else None


class CheckedEvent(NamedTuple):
    """A command that keeps the rules."""

    command: EventCommand
    kind: str
    """The type as it counts: in lower case."""
    event_key: str
    payload: Payload
    headers: bytes
    """As JSON; empty: none."""


def read_payload(text: bytes) -> Payload:
    """Raises ValueError or RecursionError if the text is no JSON."""
    return Payload(b"", None) if text in _NONE else Payload(text, msgspec.json.decode(text))


def _too_deep(payload: Payload) -> bool:
    """Whether it is nested deeper than MAX_DEPTH, so that somebody might not be able to read it."""
    if payload.text.count(b"{") + payload.text.count(b"[") <= MAX_DEPTH:
        return False
    level = [payload.value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return any(isinstance(value, dict | list) for value in level)


def check_event(command: EventCommand, *, payload_limit_bytes: int) -> CheckedEvent:
    """The rules for what does not depend on the message.

    Raises:
        InvalidArgumentError: it breaks one.
    """
    for name in ("channel_id", "client_msg_no", "event_id", "event_type"):
        check_not_blank(name, getattr(command, name))
    for name in ("client_msg_no", "event_id", "event_type", "event_key", "from_uid"):
        check_id(name, getattr(command, name))
    for name in ("message_id", "occurred_at"):
        check_number(name, getattr(command, name))
    if command.visibility not in VISIBILITIES:
        raise InvalidArgumentError("visibility", f"is one of {', '.join(VISIBILITIES[1:])}, or empty")
    if len(command.payload) > payload_limit_bytes:
        raise InvalidArgumentError("payload", f"is larger than {payload_limit_bytes} bytes")
    kind = command.event_type.strip().lower()
    event_key = command.event_key if command.event_key.strip() else MAIN_KEY
    if kind == FINISH:
        event_key = FINISH_KEY
    elif event_key == FINISH_KEY:
        raise InvalidArgumentError("event_key", f"{FINISH_KEY} is for {FINISH} only")
    try:
        payload = read_payload(command.payload)
    except (ValueError, RecursionError):
        raise InvalidArgumentError("payload", "is not JSON") from None
    if _too_deep(payload):
        raise InvalidArgumentError("payload", f"is nested deeper than {MAX_DEPTH}")
    try:
        headers = msgspec.json.encode(command.headers) if command.headers else b""
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError("headers", f"cannot be JSON: {error}") from None
    if len(headers) > MAX_HEADERS_BYTES:
        raise InvalidArgumentError("headers", f"are larger than {MAX_HEADERS_BYTES} bytes")
    return CheckedEvent(command, kind, event_key, payload, headers)


def check_pushed(event: MessageEvent, *, payload_limit_bytes: int) -> None:
    """The rules for what is pushed as it is.

    Raises:
        InvalidArgumentError: it breaks one.
    """
    if problem := wrong_type(event, MessageEvent):
        raise InvalidArgumentError("event", problem)
    check_id("event_id", event.event_id)
    check_id("event_type", event.type)
    check_number("timestamp", event.timestamp)
    if problem := wrong_type(event.data, bytes):
        raise InvalidArgumentError("data", problem)
    if len(event.data) > payload_limit_bytes:
        raise InvalidArgumentError("data", f"is larger than {payload_limit_bytes} bytes")
