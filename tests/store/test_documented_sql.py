"""The statements in docs/operating.md do what is said there."""

import re
import sqlite3
from pathlib import Path

import pytest
from samples import GROUP, append, message

from wukong_trio import ChannelKey, StoreOpenError, open_store
from wukong_trio.store.sqlite import SQLiteStore

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
READING, REMOVING = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
pytestmark = pytest.mark.usefixtures("small_chunks")


async def test_a_channel_is_read_whole_wherever_its_messages_are(tmp_path: Path) -> None:
    team, other = ChannelKey("team", 2), ChannelKey("team", 4)
    async with open_store(tmp_path) as store:
        for n in range(1, 60):
            await append(store, [message(2 * n, n, team), message(2 * n + 1, n, other)])
        database = sqlite3.connect(tmp_path / "wukong.db")
        [indexed] = database.execute("SELECT count(*) FROM message_index").fetchone()
        assert 0 < indexed < 118, "some are in the index, others are not"
        assert [seq for seq, _, _ in database.execute(READING)] == list(range(1, 60))
        database.close()


async def test_reading_a_channel_uses_indexes_only(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        database = sqlite3.connect(tmp_path / "wukong.db")
        plan = [step for *_, step in database.execute(f"EXPLAIN QUERY PLAN {READING}")]
        database.close()
    tables = [step for step in plan if re.search(r"\b(message|message_index|channel)\b", step)]
    assert len(tables) >= 5
    assert all(step.startswith("SEARCH") for step in tables), plan


async def test_ids_beyond_what_clients_read_are_refused_until_they_are_removed(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        assert isinstance(store, SQLiteStore)
        await append(store, [message(n, n) for n in range(1, 10)])
        # As an earlier version would have stored it.
        store._writer.execute(
            "INSERT INTO message SELECT 9007199254740992, channel, 10, from_uid, client_msg_no, timestamp, flags,"
            " setting, expire, topic, stream_no, payload FROM message WHERE message_id = 1"
        )
        store._writer.execute(
            "INSERT INTO expiry SELECT channel, 10, 9007199254740992, 4000000000 FROM message LIMIT 1"
        )
    with pytest.raises(StoreOpenError, match=r"2089.*docs/operating\.md"):
        async with open_store(tmp_path):
            pass
    database = sqlite3.connect(tmp_path / "wukong.db")
    database.executescript(REMOVING)
    database.close()
    async with open_store(tmp_path) as store:
        await append(store, [message(2**53 - 1, 10)])
        assert (await store.load_channels([GROUP]))[0].last_seq == 10
    async with open_store(tmp_path):
        pass
