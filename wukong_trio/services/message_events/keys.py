"""The event keys of one message. Plain code: nothing here waits, and only what is stored is passed in as such.

    (none) ──delta, or any other event──► OPEN ──close, finish──► CLOSED
       │                                   ├─────error──────────► ERROR
       └──an end as its first event        └─────cancel─────────► CANCELLED

A key gathers what its deltas and snapshots bring. Once it has ended it takes no delta, and other events change nothing.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ...errors import EventRefusedError
from ...model import StreamStatus
from ...store.event_store import MessageName, StoredEvent
from .command import CLOSE, DELTA, ENDS, FINISH_KEY, SNAPSHOT, CheckedEvent, Payload, read_payload

MAX_KEYS: Final = 1000
"""Of a message; `__finish__` comes on top."""
KEY_BYTES: Final = 512
"""As many bytes as a key counts, besides what it holds."""
_MAX_INT64: Final = 2**63
_DIGITS: Final = 18


class _End(Struct):
    """The payload of an event that ends a key."""

    snapshot: Raw


class Gathered:
    """What a key has gathered so far: a text that grows, or any other JSON."""

    __slots__ = ("_json", "_text")

    def __init__(self, json: bytes = b"") -> None:
        self._json = json
        self._text: bytearray | None = None
        """If this is there, it is all that there is."""

    def __len__(self) -> int:
        return len(self._json) if self._text is None else len(self._text)

    def replace(self, json: bytes) -> None:
        """Takes this instead of what there was."""
        self._json, self._text = json, None

    def add(self, delta: Payload) -> None:
        """Goes on with a piece of text; anything else takes the place of what there was. No payload: nothing."""
        piece = delta.text_delta
        if piece is None:
            if delta.text:
                self.replace(delta.text)
            return
        if self._text is None:
            self._text, self._json = bytearray(self.text or b""), b""
        self._text += piece

    @property
    def text(self) -> bytes | None:
        """The text; None if it is none."""
        if self._text is not None:
            return bytes(self._text)
        return read_payload(self._json).whole_text if self._json else None

    @property
    def json(self) -> bytes:
        """All of it; empty: nothing."""
        if self._text is None:
            return self._json
        return msgspec.json.encode({"kind": "text", "text": self._text.decode()})


class EventKey:
    """One of them."""

    __slots__ = ("gathered", "has_deltas", "last_event_id", "stored")

    def __init__(self, stored: StoredEvent | None = None) -> None:
        self.stored: StoredEvent | None = None
        """Its last stored event. Its snapshot goes when it is not the same as what is gathered any more."""
        self.gathered = Gathered()
        self.has_deltas = False
        """Some of what is gathered is in memory only, or was."""
        self.last_event_id = ""
        if stored is not None:
            self.keep(stored)

    def keep(self, stored: StoredEvent) -> None:
        """Takes over an event that is stored, with all that it says."""
        self.stored = stored
        self.last_event_id = stored.event_id
        if stored.snapshot:
            self.gathered.replace(stored.snapshot)

    @property
    def status(self) -> StreamStatus:
        return StreamStatus.OPEN if self.stored is None else self.stored.status

    @property
    def msg_event_seq(self) -> int:
        """That of its last stored event, 0 if it has none."""
        return 0 if self.stored is None else self.stored.msg_event_seq

    @property
    def held_bytes(self) -> int:
        """What has been given for it and is kept."""
        return len(self.gathered) + (0 if self.stored is None else len(self.stored.error))


class EventKeys:
    """Those of one message."""

    def __init__(self, stored: Iterable[StoredEvent] = ()) -> None:
        self.by_name: dict[str, EventKey] = {event.event_key: EventKey(event) for event in stored}
        self.last_seq = max([key.msg_event_seq for key in self.by_name.values()], default=0)
        """The number of the last stored event."""
        self.held_bytes = sum([key.held_bytes for key in self.by_name.values()])
        """What has been given for all of them and is kept."""

    @property
    def size_bytes(self) -> int:
        """What they count of the memory."""
        return self.held_bytes + KEY_BYTES * len(self.by_name)

    @property
    def completed(self) -> bool:
        """A finish event has ended the message."""
        return FINISH_KEY in self.by_name

    @property
    def open_names(self) -> list[str]:
        """The keys that have not ended."""
        return [name for name, key in self.by_name.items() if key.status is StreamStatus.OPEN]

    def repeated(self, event: CheckedEvent) -> EventKey | None:
        """The key of an event that changes nothing; None if it has an effect.

        Raises:
            EventRefusedError: a delta, and the key has ended.
        """
        key = self.by_name.get(event.event_key)
        is_delta = event.kind == DELTA
        if is_delta and (self.completed or (key is not None and key.status is not StreamStatus.OPEN)):
            raise EventRefusedError("stream closed")
        if key is None:
            return None
        if is_delta:
            return key if key.last_event_id == event.command.event_id else None
        stored = key.stored
        if stored is not None and (stored.event_id == event.command.event_id or key.status is not StreamStatus.OPEN):
            return key
        return None

    def check_room(self, event: CheckedEvent, limit_bytes: int) -> None:
        """Whether there is room for what an event brings. One that brings nothing always finds it.

        Raises:
            EventRefusedError: there is none.
        """
        key = self.by_name.get(event.event_key)
        if key is None and len(self.by_name) >= MAX_KEYS and event.event_key != FINISH_KEY:
            raise EventRefusedError(f"the message has {MAX_KEYS} event keys already")
        key = key or EventKey()
        if event.kind == DELTA:
            piece = event.payload.text_delta
            growth = len(event.payload.text) - len(key.gathered) if piece is None else len(piece)
        else:
            growth = len(_replacement(event, key)) - len(key.gathered)
        if growth > 0 and self.held_bytes + growth > limit_bytes:
            raise EventRefusedError(f"the events of the message are larger than {limit_bytes} bytes")

    def add_delta(self, event: CheckedEvent) -> EventKey:
        """Takes a delta."""
        key = self.by_name.get(event.event_key) or EventKey()
        before = self._enter(event.event_key, key)
        if key.stored is not None and key.stored.snapshot:
            key.stored = replace(key.stored, snapshot=b"")
        key.gathered.add(event.payload)
        key.has_deltas = True
        key.last_event_id = event.command.event_id
        self.held_bytes += key.held_bytes - before
        return key

    def next_stored(
        self, event: CheckedEvent, message: MessageName, *, from_uid: str, message_id: int, occurred_at: int
    ) -> StoredEvent:
        """An event as it is to be stored. Nothing changes by that."""
        key = self.by_name.get(event.event_key) or EventKey()
        return StoredEvent(
            message=message,
            event_key=event.event_key,
            msg_event_seq=self.last_seq + 1,
            event_id=event.command.event_id,
            event_type=event.kind,
            visibility=event.command.visibility,
            occurred_at=occurred_at,
            status=ENDS.get(event.kind, StreamStatus.OPEN),
            end_reason=_end_reason(event),
            error=_error(event),
            snapshot=_replacement(event, key) or key.gathered.json,
            from_uid=from_uid,
            message_id=message_id,
            headers=event.headers,
        )

    def keep(self, stored: StoredEvent) -> EventKey:
        """Takes over an event that is stored by now."""
        key = self.by_name.get(stored.event_key) or EventKey()
        before = self._enter(stored.event_key, key)
        key.keep(stored)
        if stored.event_type == SNAPSHOT:
            key.has_deltas = False
        self.last_seq = stored.msg_event_seq
        self.held_bytes += key.held_bytes - before
        return key

    def _enter(self, name: str, key: EventKey) -> int:
        """Enters a key if it is new; returns what it holds so far."""
        self.by_name[name] = key
        return key.held_bytes


def _replacement(event: CheckedEvent, key: EventKey) -> bytes:
    """What an event that is stored puts in the place of what its key has gathered; empty: nothing."""
    if event.kind == SNAPSHOT:
        return event.payload.text
    if event.kind in ENDS and not key.has_deltas and event.payload.member("snapshot") is not None:
        # Whoever has lost track, by a restart for example, may say at the end what it all was.
        return bytes(msgspec.json.decode(event.payload.text, type=_End).snapshot)
    return b""


def _end_reason(event: CheckedEvent) -> int:
    reason = event.payload.member("end_reason") if event.kind == CLOSE else None
    if isinstance(reason, str) and len(reason) <= _DIGITS and reason.isascii() and reason.removeprefix("-").isdecimal():
        reason = int(reason)
    if isinstance(reason, float) and abs(reason) < _MAX_INT64:
        reason = int(reason)
    if not isinstance(reason, int) or isinstance(reason, bool) or not -_MAX_INT64 <= reason < _MAX_INT64:
        return 0
    return reason


def _error(event: CheckedEvent) -> str:
    error = event.payload.member("error") if event.kind == "stream.error" else None
    return error if isinstance(error, str) else ""
