"""Stored messages, read from the database."""

import sqlite3
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

import msgspec
from msgspec import Struct

from ..model import ChannelKey, Message
from . import schema
from .base import SEARCHED_MESSAGES, Page, SentMark, Wanted, first_of
from .conversations import NewestWish
from .message_index import MessageIndex
from .rows import chunks, load_json

_SLICE: Final = 256
"""Messages read with one statement. Between two of them no snapshot is held, which would make the WAL grow."""
_SMALL_BYTES: Final = 4096
"""Payloads that are read together with others."""
_NO_BOUND: Final = 2**62
_SEARCH_SLICE: Final = 4096
"""Messages that are gone through with one statement."""
_READ_MESSAGES: Final = schema.READ_MESSAGES.format(small=_SMALL_BYTES)
_Reader = sqlite3.Connection


class _Row(Struct, array_like=True, gc=False):
    """A row of READ_MESSAGES."""

    message_id: int
    message_seq: int
    channel_id: str
    channel_type: int
    from_uid: str
    client_msg_no: str
    timestamp: int
    flags: int
    setting: int
    expire: int
    topic: str
    stream_no: str
    payload: str | None
    """In hex, None if it is not small."""

    def message(self, reader: _Reader) -> Message:
        if self.payload is not None:
            payload = bytes.fromhex(self.payload)
        else:
            [payload] = reader.execute(schema.READ_PAYLOAD, (self.message_id,)).fetchone()
        return Message(
            message_id=self.message_id,
            message_seq=self.message_seq,
            channel_id=self.channel_id,
            channel_type=self.channel_type,
            from_uid=self.from_uid,
            client_msg_no=self.client_msg_no,
            timestamp=self.timestamp,
            payload=payload,
            flags=self.flags,
            setting=self.setting,
            expire=self.expire,
            topic=self.topic,
            stream_no=self.stream_no,
        )


_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def messages_by_id(reader: _Reader, message_ids: Sequence[int]) -> Iterator[Message]:
    """Messages in the order of their ids as given; unknown ids are left out. Large payloads are read when their turn
    comes."""
    for chunk in chunks(message_ids, _SLICE):
        [text] = reader.execute(_READ_MESSAGES, (_array(chunk),)).fetchone()
        for row in _decode_rows(text):
            yield row.message(reader)


def _array(items: Sequence[int]) -> str:
    return msgspec.json.encode(items).decode()


def messages_after(reader: _Reader, message_id: int, limit: int, max_bytes: int) -> list[Message]:
    """The messages of all channels that come next, as many as fit."""
    [text] = reader.execute(schema.MESSAGES_AFTER, (message_id, limit, max_bytes)).fetchone()
    return [row.message(reader) for row in sorted(_decode_rows(text), key=attrgetter("message_id"))]


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
    found = _ids_between(reader, index, key, low, high, limit + 1, newest=newest)
    seqs = sorted(found, reverse=newest)
    wanted = [found[seq] for seq in seqs[:limit]]
    messages = first_of(messages_by_id(reader, wanted), limit, max_bytes)
    return Page(messages[::-1] if newest else messages, len(messages) < len(seqs))


def _ids_between(
    reader: _Reader, index: MessageIndex, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool
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


def find_messages(reader: _Reader, index: MessageIndex, key: ChannelKey, wanted: Wanted, max_bytes: int) -> Page:
    """Messages of a channel by their sequence numbers, ids and client_msg_nos, in this order."""
    row = reader.execute(schema.CHANNEL_NUMBER, key).fetchone()
    if row is None:
        return Page([], False)
    [channel] = row
    by_seq = _ids_of(reader, index, channel, wanted.message_seqs)
    in_channel = _those_in(reader, channel, wanted.message_ids)
    by_number = _ids_with_numbers(reader, index, key, wanted.client_msg_nos, earliest=wanted.earliest)
    found = [
        *(by_seq[seq] for seq in wanted.message_seqs if seq in by_seq),
        *(message_id for message_id in wanted.message_ids if message_id in in_channel),
        *(by_number[number] for number in wanted.client_msg_nos if number in by_number),
    ]
    messages = first_of(messages_by_id(reader, found), len(found), max_bytes)
    return Page(messages, len(messages) < len(found))


def _ids_of(reader: _Reader, index: MessageIndex, channel: int, message_seqs: Sequence[int]) -> dict[int, int]:
    """Sequence number -> message id, of those that there are."""
    found: dict[int, int] = {}
    for message_seq in message_seqs:
        found |= index.between(channel, message_seq, message_seq, 1, newest=True)
    missing = [seq for seq in message_seqs if seq not in found]
    for chunk in chunks(missing, _SLICE):
        found |= dict(load_json(reader, schema.IDS_OF, (_array(chunk), channel)))
    return found


def _those_in(reader: _Reader, channel: int, message_ids: Sequence[int]) -> set[int]:
    """Those of some messages that belong to a channel."""
    found: set[int] = set()
    for chunk in chunks(message_ids, _SLICE):
        found.update(load_json(reader, schema.IN_CHANNEL, (_array(chunk), channel)))
    return found


def _ids_with_numbers(
    reader: _Reader, index: MessageIndex, key: ChannelKey, client_msg_nos: Sequence[str], *, earliest: bool
) -> dict[str, int]:
    """Number -> id of the newest or the earliest message with it, of those that there are.

    An index of the numbers would cost every commit something; this goes backwards through the messages instead, without
    the GIL.
    """
    found: dict[str, int] = {}
    wanted, left, high = set(client_msg_nos), SEARCHED_MESSAGES, _NO_BOUND
    encoded = msgspec.json.encode(client_msg_nos).decode()
    while left and (len(found) < len(wanted) or (earliest and wanted)):
        size = min(left, _SEARCH_SLICE)
        ids = _ids_between(reader, index, key, 1, high, size, newest=True)
        seqs = sorted(ids, reverse=True)[:size]
        if not seqs:
            break
        searched = _array([ids[seq] for seq in seqs])
        for client_msg_no, message_id in load_json(reader, schema.WITH_NUMBERS, (searched, encoded)):
            if earliest or client_msg_no not in found:
                found[client_msg_no] = message_id
        high = seqs[-1] - 1
        left -= len(seqs)
    return found


def newest_messages(
    reader: _Reader, index: MessageIndex, wishes: Sequence[NewestWish], max_bytes: int
) -> list[list[Message]]:
    """The newest messages of several channels, the newest of each first."""
    found: list[list[Message]] = []
    left_bytes = max_bytes
    for wish in wishes:
        page = messages_between(
            reader, index, wish.key, wish.low, _NO_BOUND, wish.count, newest=True, max_bytes=max(left_bytes, 0)
        )
        left_bytes -= sum(len(message.payload) for message in page.messages)
        found.append(page.messages[::-1])
    return found
