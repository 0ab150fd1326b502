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
    (
        # Moments and states: see conversations.py. What users had before counts as read.
        """CREATE TABLE conversation (
            uid TEXT NOT NULL,
            channel INTEGER NOT NULL,
            state INTEGER NOT NULL,
            read_to INTEGER NOT NULL,
            deleted_to INTEGER NOT NULL,
            sent_to INTEGER NOT NULL,
            commands_to INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            changed_at INTEGER NOT NULL,
            PRIMARY KEY (uid, channel)
        ) WITHOUT ROWID""",
        "CREATE TABLE clock (moment INTEGER NOT NULL)",
        "INSERT INTO clock VALUES (0)",
        "CREATE TEMP TABLE newest AS SELECT channel, max(message_seq) AS seq FROM message GROUP BY channel",
        "CREATE UNIQUE INDEX temp.newest_channel ON newest (channel)",
        """CREATE TEMP VIEW ends AS SELECT
            number, channel_id, channel_type, coalesce(newest.seq, 0) AS last_seq, coalesce((
                SELECT commands.seq FROM channel AS stored JOIN newest AS commands ON commands.channel = stored.number
                WHERE stored.channel_id = channel.channel_id || '____cmd'
                AND stored.channel_type = channel.channel_type
            ), 0) AS last_command
            FROM main.channel LEFT JOIN newest ON newest.channel = number
        """,
        """INSERT INTO conversation
            SELECT uid, number, CASE WHEN channel_type IN (7, 8, 9) THEN 1 ELSE 2 END,
                last_seq, 0, 0, last_command, 0, 0
            FROM member JOIN ends ON number = member.channel
            WHERE list = 0 AND channel_type <> 1 AND NOT EXISTS (
                SELECT 1 FROM member AS denied
                WHERE denied.channel = member.channel AND denied.list = 1 AND denied.uid = member.uid
            )
        """,
        # Those whom the ids of channels name: a@b for persons and agents, the visitor of a customer service.
        """INSERT OR IGNORE INTO conversation
            SELECT uid, number, 2, last_seq, 0, 0, last_command, 0, 0 FROM (
                SELECT substr(channel_id, 1, instr(channel_id, '@') - 1) AS uid, * FROM ends
                WHERE channel_type IN (1, 11)
                UNION ALL SELECT substr(channel_id, instr(channel_id, '@') + 1), * FROM ends
                WHERE channel_type IN (1, 11)
                UNION ALL SELECT substr(channel_id, 1, instr(channel_id || '|', '|') - 1), * FROM ends
                WHERE channel_type = 3
                UNION ALL SELECT channel_id, * FROM ends WHERE channel_type = 10
            )
            WHERE last_seq > 0 AND substr(channel_id, -7) <> '____cmd'
            AND (channel_type NOT IN (1, 11) OR instr(channel_id, '@') > 0)
        """,
        "DROP VIEW temp.ends",
        "DROP TABLE temp.newest",
    ),
    (
        # One row for each event key of a message, with its latest state; `snapshot` and `headers` are JSON, or empty.
        # Not WITHOUT ROWID: snapshots may be long.
        """CREATE TABLE message_event (
            channel INTEGER NOT NULL,
            client_msg_no TEXT NOT NULL,
            event_key TEXT NOT NULL,
            msg_event_seq INTEGER NOT NULL,
            event_id TEXT NOT NULL,
            event_type TEXT NOT NULL,
            visibility TEXT NOT NULL,
            occurred_at INTEGER NOT NULL,
            status TEXT NOT NULL,
            end_reason INTEGER NOT NULL,
            error TEXT NOT NULL,
            snapshot BLOB NOT NULL,
            from_uid TEXT NOT NULL,
            message_id INTEGER NOT NULL,
            headers TEXT NOT NULL,
            PRIMARY KEY (channel, client_msg_no, event_key)
        )""",
    ),
    (
        # Messages with `expire`. The row stays when the message is removed, so that unread counts can leave it out;
        # then it has no message id.
        """CREATE TABLE expiry (
            channel INTEGER NOT NULL,
            message_seq INTEGER NOT NULL,
            message_id INTEGER,
            expires_at INTEGER NOT NULL,
            PRIMARY KEY (channel, message_seq)
        ) WITHOUT ROWID""",
        """INSERT INTO expiry
            SELECT channel, message_seq, message_id, timestamp + expire FROM message WHERE expire > 0
            ORDER BY channel, message_seq""",
        "CREATE INDEX expiry_due ON expiry (expires_at, message_id) WHERE message_id IS NOT NULL",
        # What is below first_seq was removed. removed_seq: the highest number that was, which is never given again.
        "ALTER TABLE channel ADD COLUMN first_seq INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE channel ADD COLUMN removed_seq INTEGER NOT NULL DEFAULT 0",
    ),
)
"""Step n takes a database from version n to n + 1. Steps are never changed, only added."""

VERSION: Final = len(MIGRATIONS)
TABLES: Final = (
    "channel",
    "message",
    "message_index",
    "indexed",
    "member",
    "device",
    "system_uid",
    "webhook_cursor",
    "conversation",
    "clock",
    "message_event",
    "expiry",
)
