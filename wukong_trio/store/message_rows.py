"""Stored messages, read from the database by their ids."""

import sqlite3
from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Final

import msgspec
from msgspec.structs import replace

from ..model import ChannelKey, Message
from . import sql
from .base import SentMark
from .message_ids import Window, channel_keys, ids_in
from .message_index import MessageIndex
from .rows import chunks, json_text, load_json

_SLICE: Final = 1024
"""Messages read with one statement. Between two of them no snapshot is held, which would make the WAL grow."""
_MOST_IDS: Final = 4096
SMALL_BYTES: Final = 4096
"""Payloads that are read together with others."""
_READ_MESSAGES: Final = sql.READ_MESSAGES.format(small=SMALL_BYTES)
_READ_WINDOWS: Final = sql.READ_WINDOWS.format(small=SMALL_BYTES)
_Reader = sqlite3.Connection
_Row = tuple[int, int, int, str, str, int, int, int, int, str, str, int]
_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def messages_by_id(
    reader: _Reader,
    message_ids: Sequence[int],
    now_s: float,
    names: Mapping[int, ChannelKey] | None = None,
    *,
    places: Mapping[int, ChannelKey] | None = None,
) -> Iterator[Message]:
    """Messages in the order of their ids as given; unknown ids are left out, and what has expired. Large payloads are
    read when their turn comes.

    Args:
        now_s: seconds since 1970; 0: nothing has expired.
        names: all the channels that they belong to, by their numbers, if that is known.
        places: the same by the ids of the messages.
    """
    for chunk in chunks(message_ids, _SLICE):
        messages, large = small_messages(reader, chunk, now_s, names, places)
        yield from completed(reader, messages, large)


def small_messages(
    reader: _Reader,
    message_ids: Sequence[int],
    now_s: float,
    names: Mapping[int, ChannelKey] | None,
    places: Mapping[int, ChannelKey] | None = None,
) -> tuple[list[Message], set[int]]:
    """The same from one statement, and the ids of those whose payloads are not small, and left out."""
    text, payloads = reader.execute(_READ_MESSAGES, (json_text(message_ids), now_s)).fetchone()
    rows = _decode_rows(text)
    if places is not None:
        names = {row[2]: places[row[0]] for row in rows}
    return _messages(reader, rows, payloads, SMALL_BYTES, names)


def live_messages(
    reader: _Reader, index: MessageIndex, window: Window, now_s: float, names: Mapping[int, ChannelKey] | None
) -> Iterator[Message]:
    """All messages of a window in order, however many between them have expired or were removed.

    Args:
        window: its limit is how many are read at first; the next time twice as many.
    """
    while True:
        [(ids, end_seq)] = ids_in(reader, index, [window])
        yield from messages_by_id(reader, ids, now_s, names)
        if len(ids) < window.limit:
            return
        size = min(2 * window.limit, _MOST_IDS)
        if window.newest:
            window = window._replace(high=end_seq - 1, limit=size)
        else:
            window = window._replace(low=end_seq + 1, limit=size)


def indexed_messages(
    reader: _Reader, windows: Sequence[Window], now_s: float, keys: Sequence[ChannelKey]
) -> tuple[list[list[Message]], set[int]]:
    """The same of the messages in each window, ascending, as far as the table has them without a gap.

    Args:
        keys: the channels of the windows.
    """
    text, payloads = reader.execute(_READ_WINDOWS, (json_text(windows), now_s)).fetchone()
    rows = _decode_rows(text)
    messages, large = _messages(reader, rows, payloads, SMALL_BYTES, dict(enumerate(keys)))
    places = [row[2] for row in rows]
    ends = [bisect_right(places, place) for place in range(len(windows))]
    return [messages[begin:end] for begin, end in pairwise([0, *ends])], large


def completed(reader: _Reader, messages: list[Message], large: Container[int]) -> Iterable[Message]:
    """Messages with their payloads; large ones are read when their turn comes."""
    return _completed(reader, messages, large) if large else messages


def _completed(reader: _Reader, messages: list[Message], large: Container[int]) -> Iterator[Message]:
    for message in messages:
        if message.message_id not in large:
            yield message
        elif row := reader.execute(sql.READ_PAYLOAD, (message.message_id,)).fetchone():
            yield replace(message, payload=row[0])


def _messages(
    reader: _Reader, rows: list[_Row], payloads: bytes | None, small_bytes: int, names: Mapping[int, ChannelKey] | None
) -> tuple[list[Message], set[int]]:
    if names is None:
        names = channel_keys(reader, {row[2] for row in rows})
    messages: list[Message] = []
    large: set[int] = set()
    begin = 0
    for id_, seq, channel, from_uid, client_msg_no, timestamp, flags, setting, expire, topic, stream_no, size in rows:
        end = begin
        if size <= small_bytes:
            end += size
        else:
            large.add(id_)
        channel_id, channel_type = names[channel]
        messages.append(
            Message(
                message_id=id_,
                message_seq=seq,
                channel_id=channel_id,
                channel_type=channel_type,
                from_uid=from_uid,
                client_msg_no=client_msg_no,
                timestamp=timestamp,
                payload=payloads[begin:end] if payloads else b"",
                flags=flags,
                setting=setting,
                expire=expire,
                topic=topic,
                stream_no=stream_no,
            )
        )
        begin = end
    if begin != len(payloads or b""):
        # Old versions of SQLite end what they concatenate at its first zero byte.
        large.update([message.message_id for message in messages])
    return messages, large


def messages_after(reader: _Reader, message_id: int, limit: int, max_bytes: int) -> list[Message]:
    """The messages of all channels that come next, as many as fit."""
    text, payloads = reader.execute(sql.MESSAGES_AFTER, (message_id, limit, max_bytes)).fetchone()
    messages, large = _messages(reader, _decode_rows(text), payloads, sql.NO_BOUND, None)
    return sorted(completed(reader, messages, large), key=attrgetter("message_id"))


def message_ids_after(reader: _Reader, message_id: int, limit: int) -> list[int]:
    """The ids that come next, ascending."""
    return sorted(load_json(reader, sql.IDS_AFTER, (message_id, limit)))


def last_message_id(reader: _Reader) -> int:
    """The highest id that there ever was, 0 if there was none."""
    return int(reader.execute(sql.LAST_ID).fetchone()[0])


def recent_marks(reader: _Reader, since_message_id: int, limit: int) -> list[SentMark]:
    """Marks of the newest messages from an id on, oldest first."""
    rows = reader.execute(sql.RECENT_MARKS, (since_message_id, limit)).fetchall()
    return [SentMark(ChannelKey(id_, type_), uid, no, message_id) for id_, type_, uid, no, message_id in rows[::-1]]
