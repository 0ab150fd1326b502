"""Stored messages, read from the database."""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, Final

import msgspec

from ..model import ChannelKey, Message
from . import schema
from .base import Page, SentMark, first_of
from .message_index import MessageIndex
from .rows import chunks, load_json

_SLICE: Final = 256
"""Messages read with one statement. Between two of them no snapshot is held, which would make the WAL grow."""
_Reader = sqlite3.Connection


def messages_by_id(reader: _Reader, message_ids: Sequence[int]) -> Generator[Message]:
    """Messages in the order of their ids as given; unknown ids are left out."""
    for chunk in chunks(message_ids, _SLICE):
        yield from map(_message, reader.execute(schema.READ_MESSAGES, (msgspec.json.encode(chunk).decode(),)))


def messages_after(reader: _Reader, message_id: int, limit: int, max_bytes: int) -> list[Message]:
    """The messages of all channels that come next, as many as fit."""
    messages = []
    for row in sorted(load_json(reader, schema.MESSAGES_AFTER, (message_id, limit, max_bytes))):
        row[schema.PAYLOAD] = bytes.fromhex(row[schema.PAYLOAD])
        messages.append(_message(row))
    return messages


def message_ids_after(reader: _Reader, message_id: int, limit: int) -> list[int]:
    """The ids that come next, ascending."""
    return sorted(load_json(reader, schema.IDS_AFTER, (message_id, limit)))


def messages_between(
    reader: _Reader,
    index: MessageIndex,
    key: ChannelKey,
    low: int,
    high: int,
    limit: int,
    *,
    newest: bool,
    max_bytes: int,
) -> Page:
    """A page of a channel's history; it is read message by message until it is full."""
    found = _ids_between(reader, index, key, low, high, limit + 1, newest)
    seqs = sorted(found, reverse=newest)
    wanted = [found[seq] for seq in seqs[:limit]]
    with closing(messages_by_id(reader, wanted)) as rows:
        messages = first_of(rows, limit, max_bytes)
    return Page(messages[::-1] if newest else messages, len(messages) < len(seqs))


def _ids_between(
    reader: _Reader, index: MessageIndex, key: ChannelKey, low: int, high: int, limit: int, newest: bool
) -> dict[int, int]:
    """The ids of at least the wanted messages by their sequence numbers."""
    row = reader.execute(schema.CHANNEL_NUMBER, key).fetchone()
    if row is None:
        return {}
    # First the part in memory, then the table: what moves in between is found twice, not missed.
    found = index.between(row[0], low, high, limit, newest=newest)
    query = schema.INDEXED_BETWEEN.format(order="DESC" if newest else "ASC")
    return found | dict(reader.execute(query, (row[0], low, high, limit)))


def last_message_id(reader: _Reader) -> int:
    """The highest id, 0 if there is none."""
    return int(reader.execute("SELECT coalesce(max(message_id), 0) FROM message").fetchone()[0])


def recent_marks(reader: _Reader, since_message_id: int, limit: int) -> list[SentMark]:
    """Marks of the newest messages from an id on, oldest first."""
    rows = reader.execute(schema.RECENT_MARKS, (since_message_id, limit)).fetchall()
    return [SentMark(ChannelKey(id_, type_), uid, no, message_id) for id_, type_, uid, no, message_id in rows[::-1]]


def _message(row: Sequence[Any]) -> Message:
    return Message(**dict(zip(schema.MESSAGE_FIELDS, row, strict=True)))
