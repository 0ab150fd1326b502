"""Versions of SQLite that end concatenated bytes at a zero byte give the same messages."""

import sqlite3
from pathlib import Path

import pytest
from samples import GROUP, between, message

from wukong_trio import open_store
from wukong_trio.store import message_rows, sql


def cut_at_zero(statement: str) -> str:
    """As they would have it."""
    assert "CAST(group_concat(" in statement
    return statement.replace("CAST(group_concat(", "CAST(first_of(").replace(", '') AS BLOB)", ") AS BLOB)")


class FirstOf:
    """Concatenates up to the first zero byte."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def step(self, part: bytes | None) -> None:
        self.parts.append(part or b"")

    def finalize(self) -> bytes:
        return b"".join(self.parts).partition(b"\0")[0]


@pytest.mark.usefixtures("nothing_recent")
async def test_payloads_are_read_one_by_one_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def connected(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)  # type: ignore[call-overload]
        connection.create_aggregate("first_of", 1, FirstOf)  # type: ignore[arg-type]
        return connection

    monkeypatch.setattr(sqlite3, "connect", connected)
    for module, name in (
        (message_rows, "_READ_MESSAGES"),
        (message_rows, "_READ_WINDOWS"),
        (sql, "MESSAGES_AFTER"),
    ):
        monkeypatch.setattr(module, name, cut_at_zero(getattr(module, name)))
    payloads = [b"one", b"t\0wo", b"", b"\0", b"f" * 5000]
    async with open_store(tmp_path) as store:
        await store.append_messages([message(n, 0, payload=payload) for n, payload in enumerate(payloads, start=1)])
        for max_bytes in (60_000, 2**30):
            found = await between(store, GROUP, 1, 9, 9, newest=True, max_bytes=max_bytes)
            assert [m.payload for m in found] == payloads
        assert [m.payload for m in await store.messages_after(0, 9, max_bytes=2**30)] == payloads
