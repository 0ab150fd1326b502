"""Channel records in the database."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from ..model import ChannelFlags, ChannelKey
from . import sql
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
    """What a channel's row says, and how many are on its lists, counted up to PIECE + 1."""

    number: int
    flags: int | None
    last_seq: int
    members: int


def load_channels(reader: sqlite3.Connection, index: MessageIndex, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
    """The records of these channels, in the same order."""
    heads = _load_heads(reader, index, keys)
    lists: dict[int, Lists] = {}
    for numbers in _groups(heads.values()):
        query = sql.LOAD_MEMBERS.format(marks(len(numbers)))
        for number, name, uids in load_json(reader, query, numbers):
            lists.setdefault(number, {})[MemberList(name)] = frozenset(uids)
    for head in heads.values():
        if head.members > PIECE and head.number not in lists:
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
        query = sql.LOAD_CHANNELS.format(marks(len(chunk), "(?,?,?)"))
        values = [value for place, key in chunk for value in (place, *key)]
        moved = -1
        # Once more if entries went from memory to the table in between: they may have been in neither.
        while moved != index.chunks_moved:
            moved = index.chunks_moved
            for place, number, flags, indexed, members in load_json(reader, query, (*values, PIECE + 1)):
                found[place] = _Head(number, flags, index.last_seq(number) or indexed, members)
    return found


def _groups(heads: Iterable[_Head]) -> Iterator[list[int]]:
    """The channels with members that are not too many, in groups whose members are read with one statement."""
    group: list[int] = []
    members = 0
    for head in heads:
        if 0 < head.members <= PIECE:
            if members + head.members > PIECE or len(group) == _IN_STATEMENT:
                yield group
                group, members = [], 0
            group.append(head.number)
            members += head.members
    if group:
        yield group


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
