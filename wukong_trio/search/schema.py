"""The tables of the search index, and what is asked of them."""

from typing import Final

APPLICATION_ID: Final = 0x776B7366
"""Marks the file as ours ("wksf")."""
VERSION: Final = 1
"""An index of another version is made again."""

TABLES: Final = (
    # Up to which message the store's messages are in here, and how many of them were put in.
    "CREATE TABLE progress (message_id INTEGER NOT NULL, indexed INTEGER NOT NULL)",
    "INSERT INTO progress VALUES (0, 0)",
    # Channels, senders and topics, which repeat, by numbers.
    "CREATE TABLE name (number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    # A small number for each message: ids take 8 bytes wherever they stand.
    """CREATE TABLE entry (
        number INTEGER PRIMARY KEY,
        message_id INTEGER NOT NULL,
        channel INTEGER NOT NULL,
        sender INTEGER NOT NULL,
        topic INTEGER NOT NULL,
        timestamp INTEGER NOT NULL,
        type INTEGER
    )""",
    # Entries that were deleted. Their terms stay.
    "CREATE TABLE gone (number INTEGER PRIMARY KEY)",
    # Each term begins with its channel, so a search costs what the user's channels hold, not what the server holds.
    # Contentless, and without positions and sizes: texts are in the store, and nothing is ranked.
    """CREATE VIRTUAL TABLE terms USING fts5(
        list, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars ':.'"
    )""",
)

CHECKS: Final = ("SELECT 1 FROM name LIMIT 1", """SELECT 1 FROM terms WHERE terms MATCH '"0:"' LIMIT 1""")
"""Fail where a table is missing that nobody reads at the start."""
PROGRESS: Final = "SELECT message_id, indexed FROM progress"
SET_PROGRESS: Final = "UPDATE progress SET message_id = ?, indexed = indexed + ?"
LAST_ENTRY: Final = "SELECT coalesce(max(number), 0) FROM entry"
ADD_NAME: Final = "INSERT OR IGNORE INTO name (text) VALUES (?)"
NUMBER: Final = "SELECT number FROM name WHERE text = ?"
ENTRY_COLUMNS: Final = 7

ADD_TERMS: Final = "terms (rowid, list)"
GONE: Final = "SELECT count(*) FROM gone"
ENTRIES: Final = """
    SELECT json_group_array(json_array(number, message_id)) FROM (
        SELECT number, message_id FROM entry WHERE number > ? ORDER BY number LIMIT ?
    )
"""
FORGET: Final = (
    "DELETE FROM entry WHERE number IN (SELECT value FROM json_each(?))",
    "INSERT OR IGNORE INTO gone SELECT value FROM json_each(?)",
)

_HITS: Final = """
    FROM json_each(:channels) AS wanted
    CROSS JOIN name AS channel ON channel.text = wanted.value
    CROSS JOIN terms ON terms MATCH replace(:query, '#', printf('%x', channel.number))
"""
_FIND: Final = """
    WITH hit AS ({hits})
    SELECT
        (SELECT count(*) FROM hit),
        (SELECT json_group_array(json_array(number, message_id)) FROM (
            SELECT entry.number, message_id FROM (SELECT number FROM hit ORDER BY number DESC LIMIT :limit) AS newest
            CROSS JOIN entry ON entry.number = newest.number
        ))
"""
# All in one row, because Python gives the GIL away for each.
FIND: Final = _FIND.format(
    hits=f"""
        SELECT terms.rowid AS number {_HITS}
        WHERE NOT EXISTS (SELECT 1 FROM gone WHERE gone.number = terms.rowid)
    """
)
"""How many messages have the terms, and the newest of them."""
FIND_FILTERED: Final = _FIND.format(
    hits=f"""
        SELECT entry.number AS number {_HITS} CROSS JOIN entry ON entry.number = terms.rowid
        WHERE (:sender IS NULL OR entry.sender = (SELECT number FROM name WHERE text = :sender))
          AND (:topic IS NULL OR entry.topic = (SELECT number FROM name WHERE text = :topic))
          AND (:types IS NULL OR entry.type IN (SELECT value FROM json_each(:types)))
          AND entry.timestamp BETWEEN :start AND :end
    """
)
"""The same of those that pass the filters, which takes some times as long."""
