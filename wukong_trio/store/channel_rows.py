"""Channel records in the database."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from ..model import ChannelFlags, ChannelKey
from . import schema
from .base import ChannelRecord, MemberList
from .members import PIECE, load_large_list
from .message_index import MessageIndex
from .rows import chunks, load_json, marks

_IN_STATEMENT: Final = 1000
"""Channels asked for in one statement."""
_FLAG_BITS: Final = {"large": 1, "ban": 2, "disband": 4, "send_ban": 8, "allow_stranger": 16}
_NOBODY: Final[frozenset[str]] = frozenset()

Lists = dict[MemberList, frozenset[str]]


class _Head(Struct, frozen=True, gc=False):
    """What a channel's row says, and whether its lists are too long to be read with others."""

    number: int
    flags: int | None
    last_seq: int
    crowded: bool


def load_channels(reader: sqlite3.Connection, index: MessageIndex, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
    """The records of these channels, in the same order."""
    heads = _load_heads(reader, index, keys)
    lists = _load_small_lists(reader, [head.number for head in heads.values() if not head.crowded])
    for head in heads.values():
        if head.crowded and head.number not in lists:
            with _one_moment(reader):
                lists[head.number] = {name: load_large_list(reader, head.number, name) for name in MemberList}
    return [_record(key, heads.get(place), lists) for place, key in enumerate(keys)]


def _record(key: ChannelKey, head: _Head | None, lists: dict[int, Lists]) -> ChannelRecord:
    if head is None:
        return ChannelRecord(key=key)
    own = lists.get(head.number, {})
    return ChannelRecord(
        key=key,
        flags=flags_of(head.flags),
        subscribers=own.get(MemberList.SUBSCRIBERS, _NOBODY),
        denied=own.get(MemberList.DENIED, _NOBODY),
        allowed=own.get(MemberList.ALLOWED, _NOBODY),
        last_seq=head.last_seq,
    )


def _load_heads(reader: sqlite3.Connection, index: MessageIndex, keys: Sequence[ChannelKey]) -> dict[int, _Head]:
    """The heads of those channels that exist, by their place in `keys`."""
    found: dict[int, _Head] = {}
    for chunk in chunks(list(enumerate(keys)), _IN_STATEMENT):
        query = schema.LOAD_CHANNELS.format(marks(len(chunk), "(?,?,?)"))
        values = [value for place, key in chunk for value in (place, *key)]
        moved = -1
        # Once more if entries went from memory to the table in between: they may have been in neither.
        while moved != index.chunks_moved:
            moved = index.chunks_moved
            for place, number, flags, indexed, members in load_json(reader, query, (*values, PIECE + 1)):
                found[place] = _Head(number, flags, index.last_seq(number) or indexed, members > PIECE)
    return found


def _load_small_lists(reader: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Lists]:
    lists: dict[int, Lists] = {}
    for chunk in chunks(numbers, _IN_STATEMENT):
        for number, name, uids in load_json(reader, schema.LOAD_MEMBERS.format(marks(len(chunk))), chunk):
            lists.setdefault(number, {})[MemberList(name)] = frozenset(uids)
    return lists


@contextmanager
def _one_moment(reader: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is the state of one moment."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        reader.execute("ROLLBACK")


def flag_bits(flags: ChannelFlags) -> int:
    """The flags as a number for the table."""
    return sum(bit for name, bit in _FLAG_BITS.items() if getattr(flags, name))


def flags_of(bits: int | None) -> ChannelFlags | None:
    """The flags that `flag_bits` made a number; None stays None."""
    if bits is None:
        return None
    return ChannelFlags(**{name: bits & bit != 0 for name, bit in _FLAG_BITS.items()})
