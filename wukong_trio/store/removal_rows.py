"""Removing messages from the database.

Only what the table `message_index` has is removed, so the part of the index that is in memory never has gaps. What is
not there yet has to be moved first (`settle`).
"""

import sqlite3
from collections.abc import Iterable
from typing import Final

from ..model import ChannelKey
from . import sql
from .message_index import MessageIndex
from .removals import Position, Slice
from .rows import json_text

SETTLED: Final = 512
"""Entries of the index that one transaction moves."""
CHANNELS: Final = 256
"""Channels that one transaction looks at."""
_Entry = tuple[int, int, int]
"""Message id, channel, message_seq."""


def gone_between(reader: sqlite3.Connection, key: ChannelKey, low: int, high: int, now_s: float) -> int:
    """How many messages of a part of a channel nobody can read any more."""
    row: tuple[int, int] | None = reader.execute(sql.CHANNEL_BEGIN, key).fetchone()
    if row is None or low > high:
        return 0
    number, first_seq = row
    low_left = max(low, min(first_seq, high + 1))
    [expired] = reader.execute(sql.COUNT_EXPIRED, (number, low_left, high, now_s)).fetchone()
    return low_left - low + int(expired)


def settle(writer: sqlite3.Connection, index: MessageIndex, position: Position) -> Slice:
    """Moves a part of the index from memory into the table."""
    [newest_id] = position or (index.newest_id,)
    if _indexed_id(writer) < newest_id:
        index.write_part(writer, SETTLED)
        return Slice(0, (newest_id,))
    return Slice(0, None)


def remove_expired(writer: sqlite3.Connection, position: Position, limit: int, before_id: int, now_s: float) -> Slice:
    """A round goes by the moment at which it begins."""
    until_s, after_s, after_id = position or (int(now_s), 0, 0)
    rows = writer.execute(sql.EXPIRED, (after_s, after_id, until_s, limit)).fetchall()
    entries = [(message_id, channel, seq) for _, message_id, channel, seq in rows if message_id < before_id]
    ready = _remove(writer, entries)
    writer.execute(sql.MARK_REMOVED, (json_text(ready),))
    after = (until_s, *rows[-1][:2]) if len(rows) == limit else None
    return Slice(len(ready), after, len(ready) < len(entries))


def remove_before(writer: sqlite3.Connection, position: Position, limit: int, before_id: int) -> Slice:
    """Goes on where it has removed: the oldest messages are always the first ones."""
    entries = writer.execute(sql.OLDEST, (before_id, limit)).fetchall()
    ready = _remove(writer, entries)
    _move_begins(writer, ready)
    return Slice(len(ready), position if len(ready) == limit else None, len(ready) < len(entries))


def remove_surplus(
    writer: sqlite3.Connection, index: MessageIndex, position: Position, limit: int, kept: int, before_id: int
) -> Slice:
    """Looks at some channels, in the order of their numbers."""
    [after] = position or (0,)
    entries: list[_Entry] = []
    held_back = False
    channels = writer.execute(sql.CHANNEL_ENDS, (after, CHANNELS)).fetchall()
    for number, first_seq, indexed_seq in channels:
        high = max(index.last_seq(number), indexed_seq) - kept
        if high >= first_seq:
            held_back |= high > indexed_seq
            entries += writer.execute(sql.INDEXED_UNTIL, (number, high, before_id, limit - len(entries))).fetchall()
            if len(entries) == limit:
                break
        after = number
    ready = _remove(writer, entries)
    _move_begins(writer, ready)
    if len(ready) < len(entries):
        # The rest of this channel has to be settled; it would be found again and again.
        after = number
    over = len(entries) < limit and len(channels) < CHANNELS
    return Slice(len(ready), None if over else (after,), held_back or len(ready) < len(entries))


def _indexed_id(writer: sqlite3.Connection) -> int:
    [message_id] = writer.execute("SELECT message_id FROM indexed").fetchone()
    return int(message_id)


def _remove(writer: sqlite3.Connection, entries: Iterable[_Entry]) -> list[_Entry]:
    """Removes messages, except those that are not indexed yet; gives those that it has removed."""
    indexed_id = _indexed_id(writer)
    ready = [entry for entry in entries if entry[0] <= indexed_id]
    if ready:
        text = json_text(ready)
        for statement in (sql.KEEP_LAST_SEQS, sql.REMOVE_EVENTS, sql.REMOVE_MESSAGES, sql.REMOVE_ENTRIES):
            writer.execute(statement, (text,))
    return ready


def _move_begins(writer: sqlite3.Connection, removed: list[_Entry]) -> None:
    """Channels begin behind what was removed; it was their oldest part."""
    if removed:
        text = json_text(removed)
        writer.execute(sql.MOVE_BEGINS, (text,))
        writer.execute(sql.FORGET_EXPIRED, (text,))
        for channel, seq in {channel: seq for _, channel, seq in removed}.items():
            writer.execute(sql.TRIM_EXPIRED, (channel, seq))
