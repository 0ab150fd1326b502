"""The tables of the SQLite store, and how older databases become this one."""

from typing import Final

APPLICATION_ID: Final = 0x776B7472
"""Marks the file as ours ("wktr")."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # Everything that refers to a channel does so by its number. `flags` is NULL where there is no channel record,
        # only messages or members.
        """CREATE TABLE channel (
            number INTEGER PRIMARY KEY,
            channel_id TEXT NOT NULL,
            channel_type INTEGER NOT NULL,
            flags INTEGER,
            UNIQUE (channel_id, channel_type)
        )""",
        # Ids grow, so rows are only ever appended.
        """CREATE TABLE message (
            message_id INTEGER PRIMARY KEY,
            channel INTEGER NOT NULL,
            message_seq INTEGER NOT NULL,
            from_uid TEXT NOT NULL,
            client_msg_no TEXT NOT NULL,
            timestamp INTEGER NOT NULL,
            flags INTEGER NOT NULL,
            setting INTEGER NOT NULL,
            expire INTEGER NOT NULL,
            topic TEXT NOT NULL,
            stream_no TEXT NOT NULL,
            payload BLOB NOT NULL
        )""",
        # Filled in sorted chunks behind the messages, see message_index.py; `indexed` says up to which message.
        """CREATE TABLE message_index (
            channel INTEGER NOT NULL,
            message_seq INTEGER NOT NULL,
            message_id INTEGER NOT NULL,
            PRIMARY KEY (channel, message_seq)
        ) WITHOUT ROWID""",
        "CREATE TABLE indexed (message_id INTEGER NOT NULL)",
        "INSERT INTO indexed VALUES (0)",
        """CREATE TABLE member (
            channel INTEGER NOT NULL,
            list INTEGER NOT NULL,
            uid TEXT NOT NULL,
            PRIMARY KEY (channel, list, uid)
        ) WITHOUT ROWID""",
        """CREATE TABLE device (
            uid TEXT NOT NULL,
            device_flag INTEGER NOT NULL,
            token TEXT NOT NULL,
            level INTEGER NOT NULL,
            PRIMARY KEY (uid, device_flag)
        ) WITHOUT ROWID""",
        "CREATE TABLE system_uid (uid TEXT PRIMARY KEY) WITHOUT ROWID",
    ),
    (
        # One row from the first use of webhooks on: up to which message their receiver has been told.
        "CREATE TABLE webhook_cursor (one INTEGER PRIMARY KEY CHECK (one = 1), message_id INTEGER NOT NULL)",
    ),
)
"""Step n takes a database from version n to n + 1. Steps are never changed, only added."""

VERSION: Final = len(MIGRATIONS)
TABLES: Final = ("channel", "message", "message_index", "indexed", "member", "device", "system_uid", "webhook_cursor")

# Python gives the GIL away for every row it fetches, and beside a busy event loop it takes long to get it back. So
# these give all they find in one row of JSON.
READ_MESSAGES: Final = """
    SELECT json_group_array(json_array(
        message_id, message_seq, channel_id, channel_type, from_uid, client_msg_no, timestamp, message.flags, setting,
        expire, topic, stream_no, CASE WHEN length(payload) <= {small} THEN hex(payload) END
    ))
    FROM json_each(?) AS wanted CROSS JOIN message ON message_id = wanted.value JOIN channel ON number = channel
"""
"""In the order of the ids in a JSON array; payloads that are not small have to be asked for one by one."""
READ_PAYLOAD: Final = "SELECT payload FROM message WHERE message_id = ?"
UNINDEXED: Final = """
    SELECT message_id, channel, message_seq FROM message
    WHERE message_id > (SELECT message_id FROM indexed) ORDER BY message_id
"""
INDEXED_BETWEEN: Final = """
    SELECT message_seq, message_id FROM message_index WHERE channel = ? AND message_seq BETWEEN ? AND ?
    ORDER BY message_seq {order} LIMIT ?
"""
IDS_OF: Final = """
    SELECT json_group_array(json_array(message_seq, message_id))
    FROM json_each(?) AS wanted CROSS JOIN message_index ON channel = ? AND message_seq = wanted.value
"""
WITH_NUMBERS: Final = """
    SELECT json_group_array(json_array(client_msg_no, message_id))
    FROM json_each(?) AS searched CROSS JOIN message ON message_id = searched.value
    WHERE client_msg_no IN (SELECT value FROM json_each(?))
"""
IN_CHANNEL: Final = """
    SELECT json_group_array(message_id)
    FROM json_each(?) AS wanted CROSS JOIN message ON message_id = wanted.value AND channel = ?
"""
CHANNEL_NUMBER: Final = "SELECT number FROM channel WHERE channel_id = ? AND channel_type = ?"
LAST_INDEXED: Final = "SELECT coalesce(max(message_seq), 0) FROM message_index WHERE channel = ?"
LOAD_CHANNELS: Final = """
    WITH wanted (place, id, type) AS (VALUES {})
    SELECT json_group_array(json_array(place, number, flags, (
        SELECT coalesce(max(message_seq), 0) FROM message_index WHERE channel = number
    ), (
        SELECT count(*) FROM (SELECT 1 FROM member WHERE channel = number LIMIT ?)
    )))
    FROM wanted CROSS JOIN channel ON channel_id = id AND channel_type = type
"""
LOAD_MEMBERS: Final = """
    SELECT json_group_array(json_array(channel, list, json(uids))) FROM (
        SELECT channel, list, json_group_array(uid) AS uids FROM member WHERE channel IN ({}) GROUP BY channel, list
    )
"""
CHANNELS_OF: Final = """
    SELECT json_group_array(json_array(channel_id, channel_type)) FROM channel
    WHERE number IN (SELECT channel FROM member WHERE uid = :uid AND list = 0)
       OR channel_id = :uid
       OR substr(channel_id, 1, length(:uid) + 1) IN (:uid || '@', :uid || '|')
       OR substr(channel_id, -length(:uid) - 1) = '@' || :uid
"""
SUBSCRIBED: Final = """
    SELECT json_group_array(json_array(channel_id, channel_type))
    FROM json_each(:keys) AS wanted CROSS JOIN channel
    ON channel_id = json_extract(wanted.value, '$[0]') AND channel_type = json_extract(wanted.value, '$[1]')
    WHERE EXISTS (SELECT 1 FROM member WHERE channel = number AND list = 0 AND uid = :uid)
      AND NOT EXISTS (SELECT 1 FROM member WHERE channel = number AND list = 1 AND uid = :uid)
"""
LIST_PIECE: Final = """
    SELECT json_group_array(uid) FROM (
        SELECT uid FROM member WHERE channel = ? AND list = ? AND uid >= ? ORDER BY uid LIMIT ?
    )
"""
REMOVE_MEMBERS: Final = "DELETE FROM member WHERE channel = ? AND list = ? AND uid IN ({})"
LOAD_LOGINS: Final = """
    WITH wanted (uid, flag) AS (VALUES {})
    SELECT json_group_array(json_array(wanted.uid, flag, token, level, flags, registered)) FROM (
        SELECT uid, flag, EXISTS (SELECT 1 FROM device WHERE device.uid = wanted.uid) AS registered FROM wanted
    ) AS wanted
    LEFT JOIN device ON registered AND device.uid = wanted.uid AND device_flag = flag
    LEFT JOIN channel ON channel_id = wanted.uid AND channel_type = 1
    WHERE registered OR flags IS NOT NULL
"""
MESSAGES_AFTER: Final = """
    SELECT json_group_array(json_array(
        message_id, message_seq, channel_id, channel_type, from_uid, client_msg_no, timestamp, message.flags, setting,
        expire, topic, stream_no, hex(payload)
    ))
    FROM (
        SELECT id, row_number() OVER so_far AS place, sum(size_bytes) OVER so_far AS all_bytes
        FROM (
            SELECT message_id AS id, length(payload) AS size_bytes FROM message
            WHERE message_id > ? ORDER BY message_id LIMIT ?
        )
        WINDOW so_far AS (ORDER BY id)
    ) CROSS JOIN message ON message_id = id JOIN channel ON number = channel
    WHERE all_bytes <= ? OR place = 1
"""
"""In no particular order."""
IDS_AFTER: Final = """
    SELECT json_group_array(message_id) FROM (
        SELECT message_id FROM message WHERE message_id > ? ORDER BY message_id LIMIT ?
    )
"""
MOVE_WEBHOOK_CURSOR: Final = "INSERT OR REPLACE INTO webhook_cursor VALUES (1, ?)"
RECENT_MARKS: Final = """
    SELECT channel_id, channel_type, from_uid, client_msg_no, message_id
    FROM message JOIN channel ON number = channel
    WHERE message_id >= ? ORDER BY message_id DESC LIMIT ?
"""
