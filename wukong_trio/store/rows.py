"""Transactions, and writing and reading many rows with few statements.

`executemany` gives the GIL away and takes it back for every row, which costs a switch interval each while the event
loop is busy. A statement for 512 rows does it once.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

_MOST_ROWS: Final = 512


@contextmanager
def transaction(writer: sqlite3.Connection) -> Iterator[None]:
    """All that is written in a `with` block, or nothing of it."""
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
        writer.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        if writer.in_transaction:
            with suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
        raise


@cache
def _statement(table: str, columns: int, rows: int, skip_known: bool, on_conflict: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"INSERT {'OR IGNORE ' if skip_known else ''}INTO {table} VALUES {','.join([row] * rows)} {on_conflict}"


def insert_rows(
    connection: sqlite3.Connection,
    table: str,
    columns: int,
    values: Sequence[Any],
    *,
    skip_known: bool = False,
    on_conflict: str = "",
) -> None:
    """Inserts rows, in order.

    Args:
        values: the values of all rows, one row after another.
        skip_known: rows whose key is in the table already are left out.
        on_conflict: the clause that says what happens to such rows instead.
    """
    start, left, rows = 0, len(values) // columns, _MOST_ROWS
    # Powers of two: few statements for any number of rows, and few to be kept prepared.
    while left:
        while rows > left:
            rows //= 2
        stop = start + rows * columns
        connection.execute(_statement(table, columns, rows, skip_known, on_conflict), values[start:stop])
        start = stop
        left -= rows


def marks(count: int, mark: str = "?") -> str:
    """So many placeholders for a statement."""
    return ",".join([mark] * count)


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """A sequence in pieces that are not larger than `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def json_text(items: Sequence[object]) -> str:
    """A list as a parameter of a statement that reads it with `json_each`."""
    return msgspec.json.encode(items).decode()


def load_json(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[Any]:
    """The rows of a query that returns them all in one JSON array."""
    rows: list[Any] = msgspec.json.decode(connection.execute(query, values).fetchone()[0])
    return rows
