"""The members of channels, in pieces: a list may hold a million uids, and nobody else shall wait for all of it.

One statement for everything would be faster, but it holds the writer, and decoding its answer holds the interpreter.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final, Literal

from . import sql
from .base import MemberChange, MemberList
from .rows import chunks, insert_rows, load_json, marks

PIECE: Final = 4096
"""Uids that are read or written with one call."""
PART_UIDS: Final = 8192
"""Uids that one transaction changes, before others get their turn."""
_COLUMNS: Final = 3
Step = Literal["remove", "add"]
_Step = Literal["look"] | Step


def change_members(
    writer: sqlite3.Connection, channel: int, change: MemberChange, changed: Callable[[Step, Sequence[str]], None]
) -> Iterator[None]:
    """Carries out a change of one list of a channel, and yields wherever the transaction may end. A small one is done
    when it yields for the first time, if it does at all. Those who are to stay never leave in between.

    Args:
        changed: called, in the same transaction, after each step that writes.
    """
    done = 0
    for kind, uids in _steps(writer, channel, change):
        if kind == "remove":
            query = sql.REMOVE_MEMBERS.format(marks(len(uids)))
            writer.execute(query, (channel, change.list.value, *uids))
            changed(kind, uids)
        elif kind == "add":
            values = [value for uid in uids for value in (channel, change.list.value, uid)]
            insert_rows(writer, "member", _COLUMNS, values, skip_known=True)
            changed(kind, uids)
        done += len(uids)
        if done >= PART_UIDS:
            yield
            done = 0


def _steps(writer: sqlite3.Connection, channel: int, change: MemberChange) -> Iterator[tuple[_Step, Sequence[str]]]:
    """What is done with which uids, piece by piece. To look at some takes its time as well, but writes nothing."""
    if change.reset or change.remove:
        staying = _gathered(chunks(change.add, PIECE))
        present = list_pieces(writer, channel, change.list) if change.reset else chunks(change.remove, PIECE)
        for piece in present:
            leaving = [uid for uid in piece if uid not in staying]
            yield ("remove", leaving) if leaving else ("look", piece)
    # In the order of the table each page is written once; in any other, a page for nearly every uid.
    runs: list[list[str]] = []
    for piece in chunks(change.add, PIECE):
        runs.append(sorted(piece))
        yield "look", piece
    in_order = merge(*runs)
    while piece := list(islice(in_order, PIECE)):
        yield "add", piece


def list_pieces(connection: sqlite3.Connection, channel: int, members: MemberList) -> Iterator[list[str]]:
    """The uids of one list, sorted, piece by piece. What was given out may be removed meanwhile."""
    start = ""
    while piece := load_json(connection, sql.LIST_PIECE, (channel, members.value, start, PIECE)):
        yield piece
        start = piece[-1] + "\0"


def load_large_list(reader: sqlite3.Connection, channel: int, members: MemberList) -> frozenset[str]:
    """All uids of a list. Inside a transaction they are those of one moment."""
    return frozenset(_gathered(list_pieces(reader, channel, members)))


def _gathered(pieces: Iterable[Iterable[str]]) -> set[str]:
    """All in one set; made in one call it would hold the interpreter for a tenth of a second."""
    found: set[str] = set()
    for piece in pieces:
        found.update(piece)
    return found
