"""Which messages a channel has: ids by sequence numbers, from the index in memory and its table."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ..model import ChannelKey
from . import sql
from .message_index import Found, MessageIndex
from .rows import chunks, json_text, load_json, marks

_IN_STATEMENT: Final = 256
_Reader = sqlite3.Connection


class Window(NamedTuple):
    """The newest, or the oldest, of a channel's messages from `low` to `high`, at most `limit` (from 1 on)."""

    channel: int
    low: int
    high: int
    limit: int
    newest: bool


def channel_number(connection: sqlite3.Connection, key: ChannelKey) -> int | None:
    """The number of a channel; None if the store has never heard of it."""
    row: tuple[int] | None = connection.execute(sql.CHANNEL_NUMBER, key).fetchone()
    return None if row is None else row[0]


def last_seq(connection: sqlite3.Connection, index: MessageIndex, key: ChannelKey) -> int:
    """The highest sequence number that a channel ever had, 0 if none."""
    number = channel_number(connection, key)
    return 0 if number is None else index.end_of(connection, number)


def channel_numbers(reader: _Reader, keys: Sequence[ChannelKey]) -> dict[ChannelKey, int]:
    """The numbers of those channels that the store has heard of."""
    found: dict[ChannelKey, int] = {}
    for chunk in chunks(keys, _IN_STATEMENT):
        query = sql.CHANNEL_NUMBERS.format(marks(len(chunk), "(?,?,?)"))
        values = [value for place, key in enumerate(chunk) for value in (place, *key)]
        for place, number in load_json(reader, query, values):
            found[chunk[place]] = number
    return found


def channel_keys(reader: _Reader, numbers: Iterable[int]) -> dict[int, ChannelKey]:
    """The channels that have these numbers."""
    found: dict[int, ChannelKey] = {}
    for chunk in chunks(list(numbers), _IN_STATEMENT):
        for number, channel_id, channel_type in load_json(reader, sql.CHANNEL_KEYS, (json_text(chunk),)):
            found[number] = ChannelKey(channel_id, channel_type)
    return found


def ids_in(reader: _Reader, index: MessageIndex, windows: Sequence[Window]) -> list[Found]:
    """The messages in each window, descending where the newest are wanted. Several windows cost hardly more than
    one."""
    found: list[Found] = []
    elsewhere: dict[int, Window] = {}
    # First the part in memory, then the table: what moves in between is found twice, not missed.
    for place, window in enumerate(windows):
        part, rest = index.part_of(*window)
        found.append(part)
        if rest is not None:
            low, high, limit = rest
            elsewhere[place] = Window(window.channel, low, high, limit, window.newest)
    for place, older in _indexed(reader, elsewhere).items():
        found[place] = _combined(windows[place], found[place], older)
    return found


def _combined(window: Window, memory: Found, older: Found) -> Found:
    """What memory has, and what the table has beside it, which is older."""
    if not older.ids or not memory.ids:
        return older if older.ids else memory
    if window.newest:
        return Found(memory.ids + older.ids, older.end_seq)
    surplus = len(memory.ids) + len(older.ids) - window.limit
    if surplus <= 0:
        return Found(older.ids + memory.ids, memory.end_seq)
    kept = memory.ids[:-surplus]
    return Found(older.ids + kept, memory.end_seq - surplus if kept else older.end_seq)


def _indexed(reader: _Reader, windows: dict[int, Window]) -> dict[int, Found]:
    """What the table has of some windows."""
    if len(windows) < 2:
        return {place: _indexed_alone(reader, window) for place, window in windows.items()}
    entries: dict[int, list[tuple[int, int]]] = {place: [] for place in windows}
    for chunk in chunks(list(windows), _IN_STATEMENT):
        wanted = json_text([windows[place] for place in chunk])
        for place, message_seq, message_id in load_json(reader, sql.INDEXED_WINDOWS, (wanted,)):
            entries[chunk[place]].append((message_seq, message_id))
    found = {}
    for place, window in windows.items():
        found[place] = _in_order(entries[place], window)
        end_seq = window.low if window.newest else window.high
        if 0 < len(found[place].ids) < window.limit and found[place].end_seq != end_seq:
            # There is more if the sequence numbers have a gap.
            found[place] = _indexed_alone(reader, window)
    return found


def _indexed_alone(reader: _Reader, window: Window) -> Found:
    query = sql.INDEXED_BETWEEN.format(order="DESC" if window.newest else "ASC")
    return _in_order(load_json(reader, query, window[:4]), window)


def _in_order(entries: list[tuple[int, int]], window: Window) -> Found:
    entries.sort(reverse=window.newest)
    return Found([message_id for _, message_id in entries], entries[-1][0] if entries else 0)


def ids_of(reader: _Reader, index: MessageIndex, channel: int, message_seqs: Sequence[int]) -> dict[int, int]:
    """Sequence number -> message id, of those that there are."""
    found: dict[int, int] = {}
    missing: list[int] = []
    for message_seq in message_seqs:
        part, rest = index.part_of(channel, message_seq, message_seq, 1, newest=True)
        if part.ids:
            found[message_seq] = part.ids[0]
        elif rest is not None:
            missing.append(message_seq)
    for chunk in chunks(missing, _IN_STATEMENT):
        found |= dict(load_json(reader, sql.IDS_OF, (json_text(chunk), channel)))
    return found
