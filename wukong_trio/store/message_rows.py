"""Stored messages, read from the database by their ids."""

import sqlite3
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from ..model import ChannelKey, Message
from . import schema
from .base import SentMark
from .message_ids import channel_keys, json_text
from .rows import chunks, load_json

_SLICE: Final = 1024
"""Messages read with one statement. Between two of them no snapshot is held, which would make the WAL grow."""
SMALL_BYTES: Final = 4096
"""Payloads that are read together with others."""
_READ_MESSAGES: Final = schema.READ_MESSAGES.format(small=SMALL_BYTES)
_Reader = sqlite3.Connection
_Row = tuple[int, int, int, str, str, int, int, int, int, str, str, int]
_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def messages_by_id(
    reader: _Reader, message_ids: Sequence[int], names: dict[int, ChannelKey] | None = None
) -> Iterator[Message]:
    """Messages in the order of their ids as given; unknown ids are left out. Large payloads are read when their turn
    comes.

    Args:
        names: channels that are known already, by their numbers.
    """
    names = {} if names is None else names
    for chunk in chunks(message_ids, _SLICE):
        text, payloads = reader.execute(_READ_MESSAGES, (json_text(chunk),)).fetchone()
        yield from _messages(reader, text, payloads, SMALL_BYTES, names)


def _messages(
    reader: _Reader, text: str, payloads: bytes | None, small_bytes: int, names: dict[int, ChannelKey]
) -> Iterator[Message]:
    """The messages that a statement has found; payloads above `small_bytes` are not there yet."""
    rows = _decode_rows(text)
    names |= channel_keys(reader, {row[2] for row in rows} - names.keys())
    place = 0
    for id_, seq, channel, from_uid, client_msg_no, timestamp, flags, setting, expire, topic, stream_no, size in rows:
        if size <= small_bytes:
            assert payloads is not None
            payload = payloads[place : place + size]
            place += size
        else:
            [payload] = reader.execute(schema.READ_PAYLOAD, (id_,)).fetchone()
        channel_id, channel_type = names[channel]
        yield Message(
            message_id=id_,
            message_seq=seq,
            channel_id=channel_id,
            channel_type=channel_type,
            from_uid=from_uid,
            client_msg_no=client_msg_no,
            timestamp=timestamp,
            payload=payload,
            flags=flags,
            setting=setting,
            expire=expire,
            topic=topic,
            stream_no=stream_no,
        )


def messages_after(reader: _Reader, message_id: int, limit: int, max_bytes: int) -> list[Message]:
    """The messages of all channels that come next, as many as fit."""
    text, payloads = reader.execute(schema.MESSAGES_AFTER, (message_id, limit, max_bytes)).fetchone()
    found = _messages(reader, text, payloads, schema.NO_BOUND, {})
    return sorted(found, key=attrgetter("message_id"))


def message_ids_after(reader: _Reader, message_id: int, limit: int) -> list[int]:
    """The ids that come next, ascending."""
    return sorted(load_json(reader, schema.IDS_AFTER, (message_id, limit)))


def last_message_id(reader: _Reader) -> int:
    """The highest id, 0 if there is none."""
    return int(reader.execute("SELECT coalesce(max(message_id), 0) FROM message").fetchone()[0])


def recent_marks(reader: _Reader, since_message_id: int, limit: int) -> list[SentMark]:
    """Marks of the newest messages from an id on, oldest first."""
    rows = reader.execute(schema.RECENT_MARKS, (since_message_id, limit)).fetchall()
    return [SentMark(ChannelKey(id_, type_), uid, no, message_id) for id_, type_, uid, no, message_id in rows[::-1]]
