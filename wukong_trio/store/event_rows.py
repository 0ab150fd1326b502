"""Events of messages in the database: one row for each event key."""

import sqlite3
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from ..model import StreamStatus
from .event_store import MessageName, StoredEvent
from .rows import chunks, load_json, marks

_SAVE: Final = """
    INSERT INTO message_event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (channel, client_msg_no, event_key) DO UPDATE SET
        msg_event_seq = excluded.msg_event_seq, event_id = excluded.event_id, event_type = excluded.event_type,
        visibility = excluded.visibility, occurred_at = excluded.occurred_at, status = excluded.status,
        end_reason = excluded.end_reason, error = excluded.error, snapshot = excluded.snapshot,
        from_uid = excluded.from_uid, message_id = excluded.message_id, headers = excluded.headers
"""
_SMALL_BYTES: Final = 4096
"""Snapshots that are read together with others."""
# json_each would not do for the names: it ends a text at a NUL.
_LOAD: Final = f"""
    WITH wanted (place, id, type, number) AS (VALUES {{names}})
    SELECT json_group_array(json_array(
        place, message_event.rowid, length(snapshot),
        CASE WHEN length(snapshot) <= {_SMALL_BYTES} THEN CAST(snapshot AS TEXT) END,
        event_key, msg_event_seq, event_id, event_type, visibility, occurred_at, status, end_reason, error, from_uid,
        message_id, headers
    ))
    FROM wanted
    CROSS JOIN channel ON channel_id = id AND channel_type = type
    CROSS JOIN message_event ON channel = channel.number AND client_msg_no = wanted.number
"""
_MESSAGES_IN_STATEMENT: Final = 32
"""A message has some MiB of events at the worst."""


def save_event(writer: sqlite3.Connection, channel: int, event: StoredEvent) -> None:
    """Keeps the state of an event key.

    Args:
        channel: the number of the event's channel.
    """
    row = (
        channel, event.message.client_msg_no, event.event_key, event.msg_event_seq, event.event_id, event.event_type,
        event.visibility, event.occurred_at, event.status, event.end_reason, event.error, event.snapshot,
        event.from_uid, event.message_id, event.headers.decode(),
    )  # fmt: skip
    writer.execute(_SAVE, row)


def load_events(reader: sqlite3.Connection, messages: Sequence[MessageName], max_bytes: int) -> list[StoredEvent]:
    """The event keys of messages, with as many of their snapshots as fit."""
    return list(_events(reader, messages, max_bytes))


def _events(reader: sqlite3.Connection, messages: Sequence[MessageName], left_bytes: int) -> Iterator[StoredEvent]:
    for chunk in chunks(messages, _MESSAGES_IN_STATEMENT):
        query = _LOAD.format(names=marks(len(chunk), "(?,?,?,?)"))
        values = [value for place, name in enumerate(chunk) for value in (place, *name.key, name.client_msg_no)]
        for place, rowid, size_bytes, small, *row in sorted(load_json(reader, query, values), key=itemgetter(0, 1)):
            snapshot = b""
            if size_bytes <= left_bytes:
                snapshot = small.encode() if small is not None else _large_snapshot(reader, rowid)
                left_bytes -= len(snapshot)
            yield _event(chunk[place], snapshot, row)


def _large_snapshot(reader: sqlite3.Connection, rowid: int) -> bytes:
    # It may be a later one than the row was read with: nothing is held between two statements.
    row = reader.execute("SELECT snapshot FROM message_event WHERE rowid = ?", (rowid,)).fetchone()
    return b"" if row is None else bytes(row[0])


def _event(message: MessageName, snapshot: bytes, row: Sequence[Any]) -> StoredEvent:
    (event_key, msg_event_seq, event_id, event_type, visibility, occurred_at, status, end_reason, error, from_uid,
     message_id, headers) = row  # fmt: skip
    return StoredEvent(
        message=message,
        event_key=event_key,
        msg_event_seq=msg_event_seq,
        event_id=event_id,
        event_type=event_type,
        visibility=visibility,
        occurred_at=occurred_at,
        status=StreamStatus(status),
        end_reason=end_reason,
        error=error,
        snapshot=snapshot,
        from_uid=from_uid,
        message_id=message_id,
        headers=headers.encode(),
    )
