"""Databases of earlier versions become today's."""

import sqlite3
from contextlib import closing
from pathlib import Path

from wukong_trio import ChannelKey, open_store
from wukong_trio.model import person_channel_id
from wukong_trio.store import schema

PERSON = person_channel_id("ann", "bob")
CHANNELS = [
    (1, PERSON, 1), (2, "g", 2), (3, PERSON + "____cmd", 1), (4, "g____cmd", 2), (5, "bob", 1), (6, "ann|shop", 3),
    (7, "ann@bot", 11), (8, "ann", 10), (9, "live", 9), (10, "x@y____cmd", 1), (11, "g2", 2),
]  # fmt: skip
MESSAGES = [1, 2, 2, 3, 4, 4, 6, 7, 8, 1, 9, 10]
"""Of which channel each is; their ids are 1, 2, 3 and so on."""
MEMBERS = [(2, 0, "ann"), (2, 0, "eve"), (2, 1, "eve"), (9, 0, "ann"), (5, 1, "eve"), (11, 0, "carl")]


def old_database(directory: Path, version: int) -> None:
    directory.mkdir()
    with closing(sqlite3.connect(directory / "wukong.db", isolation_level=None)) as database:
        for step in schema.MIGRATIONS[:version]:
            for statement in step:
                database.execute(statement)
        seqs: dict[int, int] = {}
        for number, channel_id, channel_type in CHANNELS:
            database.execute("INSERT INTO channel VALUES (?, ?, ?, NULL)", (number, channel_id, channel_type))
        for message_id, number in enumerate(MESSAGES, start=1):
            seqs[number] = seqs.get(number, 0) + 1
            row = (message_id, number, seqs[number], "ann", "", 1, 0, 0, 0, "", "", b"")
            database.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for member in MEMBERS:
            database.execute("INSERT INTO member VALUES (?, ?, ?)", member)
        database.execute(f"PRAGMA user_version = {version}")
        database.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")


async def test_what_was_there_before_conversations_counts_as_read(tmp_path: Path) -> None:
    old_database(tmp_path / "data", 2)
    async with open_store(tmp_path / "data") as store:

        async def of(uid: str) -> dict[tuple[str, int], tuple[int, int, int]]:
            found = (await store.conversations(uid)).items
            return {c.key: (c.read_to, c.deleted_to, c.last_seq) for c in found}

        assert await of("ann") == {
            (PERSON, 1): (2, 0, 2),
            ("g", 2): (2, 0, 2),
            ("ann|shop", 3): (1, 0, 1),
            ("ann@bot", 11): (1, 0, 1),
            ("ann", 10): (1, 0, 1),
        }
        assert await of("bob") == {(PERSON, 1): (2, 0, 2)}
        assert await of("bot") == {("ann@bot", 11): (1, 0, 1)}
        assert await of("carl") == {("g2", 2): (0, 0, 0)}
        assert await of("eve") == await of("shop") == await of("x") == {}
        for uid in ("ann", "bob", "x"):
            assert await store.pending_commands(uid) == []
        assert (await store.conversations("ann")).items[0].sent_to in (0, 1, 2)
        assert await store.last_seq(ChannelKey("g", 2)) == 2
