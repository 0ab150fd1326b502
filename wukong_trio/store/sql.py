"""What the SQLite store asks its tables, and what it changes in them. Which tables there are is in `schema`.

Python gives the GIL away for every row it fetches, and beside a busy event loop it takes long to get it back. So these
give all they find in one row of JSON.
"""

from typing import Final

NO_BOUND: Final = 2**62
"""More than any number that is stored."""
_MESSAGES: Final = """
    SELECT json_group_array(json_array(
        message.message_id, message.message_seq, {channel}, from_uid, client_msg_no, timestamp, flags, setting, expire,
        topic, stream_no, length(payload)
    )), CAST(group_concat({payload}, '') AS BLOB)
"""
"""Messages without their payloads, and payloads one after another, in the same order."""
_SMALL_PAYLOAD: Final = "CASE WHEN length(payload) <= {small} THEN payload END"
_ALIVE: Final = "(expire = 0 OR timestamp + expire > ?)"
"""Not expired at a moment."""
READ_MESSAGES: Final = (
    _MESSAGES.format(channel="message.channel", payload=_SMALL_PAYLOAD)
    + "FROM json_each(?) AS wanted CROSS JOIN message ON message.message_id = wanted.value WHERE "
    + _ALIVE
)
"""In the order of the ids in a JSON array; payloads that are not small have to be asked for one by one."""
READ_PAYLOAD: Final = "SELECT payload FROM message WHERE message_id = ?"
UNINDEXED: Final = """
    SELECT channel, message_seq, message_id, from_uid FROM message
    WHERE message_id > (SELECT message_id FROM indexed) ORDER BY message_id
"""
_WINDOWS: Final = """
    WITH wanted AS (
        SELECT key AS place, json_extract(value, '$[0]') AS number, json_extract(value, '$[1]') AS low,
            json_extract(value, '$[2]') AS high, json_extract(value, '$[3]') AS most,
            json_extract(value, '$[4]') AS newest
        FROM json_each(?)
    ), begun AS (
        SELECT *, CASE WHEN newest THEN (
            SELECT max(message_seq) FROM message_index WHERE channel = number AND message_seq BETWEEN low AND high
        ) ELSE (
            SELECT min(message_seq) FROM message_index WHERE channel = number AND message_seq BETWEEN low AND high
        ) END AS first
        FROM wanted
    )
    {select}
    FROM begun CROSS JOIN message_index ON message_index.channel = number AND message_index.message_seq BETWEEN
        CASE WHEN newest THEN max(low, first - most + 1) ELSE first END
        AND CASE WHEN newest THEN first ELSE min(high, first + most - 1) END
"""
"""Several windows at once, each ascending. They have to be without gaps; of one that has gaps less is found."""
INDEXED_WINDOWS: Final = _WINDOWS.format(select="SELECT json_group_array(json_array(place, message_seq, message_id))")
READ_WINDOWS: Final = _WINDOWS.format(select=_MESSAGES.format(channel="place", payload=_SMALL_PAYLOAD)) + (
    "CROSS JOIN message ON message.message_id = message_index.message_id WHERE " + _ALIVE
)
"""As READ_MESSAGES, with the place of the window instead of the channel."""
INDEXED_BETWEEN: Final = """
    SELECT json_group_array(json_array(message_seq, message_id)) FROM (
        SELECT message_seq, message_id FROM message_index WHERE channel = ? AND message_seq BETWEEN ? AND ?
        ORDER BY message_seq {order} LIMIT ?
    )
"""
IDS_OF: Final = """
    SELECT json_group_array(json_array(message_seq, message_id))
    FROM json_each(?) AS wanted CROSS JOIN message_index ON channel = ? AND message_seq = wanted.value
"""
# Not from JSON like ids: SQLite ends a text in JSON at a NUL.
WITH_NUMBERS: Final = f"""
    SELECT json_group_array(json_array(client_msg_no, message_id))
    FROM json_each(?) AS searched CROSS JOIN message ON message_id = searched.value
    WHERE client_msg_no IN ({{numbers}}) AND {_ALIVE}
"""
IN_CHANNEL: Final = """
    SELECT json_group_array(message_id)
    FROM json_each(?) AS wanted CROSS JOIN message ON message_id = wanted.value AND channel = ?
"""
CHANNEL_NUMBERS: Final = """
    WITH wanted (place, id, type) AS (VALUES {})
    SELECT json_group_array(json_array(place, number))
    FROM wanted CROSS JOIN channel ON channel_id = id AND channel_type = type
"""
CHANNEL_KEYS: Final = """
    SELECT json_group_array(json_array(number, channel_id, channel_type))
    FROM json_each(?) CROSS JOIN channel ON number = value
"""
CHANNEL_NUMBER: Final = "SELECT number FROM channel WHERE channel_id = ? AND channel_type = ?"
_LAST_SEQ: Final = """
    max(removed_seq, (SELECT coalesce(max(message_seq), 0) FROM message_index WHERE message_index.channel = number))
"""
LAST_SEQ: Final = f"SELECT {_LAST_SEQ} FROM channel WHERE number = ?"
LOAD_CHANNELS: Final = f"""
    WITH wanted (place, id, type) AS (VALUES {{}})
    SELECT json_group_array(json_array(place, number, flags, {_LAST_SEQ}, (
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
    SELECT json_group_array(json_array(channel_id, channel_type))
    FROM conversation CROSS JOIN channel ON number = channel WHERE uid = ? AND state > 0
"""
SUBSCRIBED: Final = """
    WITH who (uid) AS (VALUES (?)), wanted (id, type) AS (VALUES {})
    SELECT json_group_array(json_array(channel_id, channel_type))
    FROM who CROSS JOIN wanted CROSS JOIN channel ON channel_id = id AND channel_type = type
    WHERE EXISTS (SELECT 1 FROM member WHERE channel = number AND list = 0 AND member.uid = who.uid)
      AND NOT EXISTS (SELECT 1 FROM member WHERE channel = number AND list = 1 AND member.uid = who.uid)
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
MESSAGES_AFTER: Final = (
    _MESSAGES.format(channel="message.channel", payload="payload")
    + """FROM (
        SELECT id, row_number() OVER so_far AS place, sum(size_bytes) OVER so_far AS all_bytes
        FROM (
            SELECT message_id AS id, length(payload) AS size_bytes FROM message
            WHERE message_id > ? ORDER BY message_id LIMIT ?
        )
        WINDOW so_far AS (ORDER BY id)
    ) CROSS JOIN message ON message_id = id
    WHERE all_bytes <= ? OR place = 1
"""
)
"""In no particular order."""
IDS_AFTER: Final = """
    SELECT json_group_array(message_id) FROM (
        SELECT message_id FROM message WHERE message_id > ? ORDER BY message_id LIMIT ?
    )
"""
LAST_ID: Final = """
    SELECT max(message_id, (SELECT coalesce(max(message_id), 0) FROM message)) FROM indexed
"""
MOVE_WEBHOOK_CURSOR: Final = "INSERT OR REPLACE INTO webhook_cursor VALUES (1, ?)"
RECENT_MARKS: Final = """
    SELECT channel_id, channel_type, from_uid, client_msg_no, message_id
    FROM message JOIN channel ON number = channel
    WHERE message_id >= ? ORDER BY message_id DESC LIMIT ?
"""

CHANNEL_BEGIN: Final = "SELECT number, first_seq FROM channel WHERE channel_id = ? AND channel_type = ?"
COUNT_EXPIRED: Final = """
    SELECT count(*) FROM expiry WHERE channel = ? AND message_seq BETWEEN ? AND ? AND expires_at <= ?
"""
# These give message id, channel and message_seq of what is to be removed, EXPIRED before that when it has expired.
EXPIRED: Final = """
    SELECT expires_at, message_id, channel, message_seq FROM expiry
    WHERE message_id IS NOT NULL AND (expires_at, message_id) > (?, ?) AND expires_at <= ?
    ORDER BY expires_at, message_id LIMIT ?
"""
OLDEST: Final = """
    SELECT message_id, channel, message_seq FROM message WHERE message_id < ? ORDER BY message_id LIMIT ?
"""
INDEXED_UNTIL: Final = """
    SELECT message_id, channel, message_seq FROM message_index
    WHERE channel = ? AND message_seq <= ? AND message_id < ? ORDER BY message_seq LIMIT ?
"""
CHANNEL_ENDS: Final = f"""
    SELECT number, first_seq, {_LAST_SEQ} FROM channel WHERE number > ? ORDER BY number LIMIT ?
"""
_GIVEN: Final = """
    SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS channel, json_extract(value, '$[2]') AS seq
    FROM json_each(?)
"""
"""Such entries, from JSON."""
_GIVEN_ENDS: Final = f"SELECT channel, max(seq) AS seq FROM ({_GIVEN}) GROUP BY channel"
KEEP_LAST_SEQS: Final = f"""
    UPDATE channel SET removed_seq = max(removed_seq, seq) FROM ({_GIVEN_ENDS}) AS given WHERE number = given.channel
"""
MOVE_BEGINS: Final = f"""
    UPDATE channel SET first_seq = max(first_seq, seq + 1) FROM ({_GIVEN_ENDS}) AS given WHERE number = given.channel
"""
REMOVE_EVENTS: Final = f"""
    DELETE FROM message_event WHERE rowid IN (
        SELECT event.rowid FROM ({_GIVEN}) AS given
        CROSS JOIN message ON message.message_id = given.id AND setting & 2
        CROSS JOIN message_event AS event
            ON event.channel = message.channel AND event.client_msg_no = message.client_msg_no
            AND event.message_id IN (0, given.id)
    )
"""
"""Of messages with the stream bit; 0 is an id that nobody knew."""
REMOVE_MESSAGES: Final = f"DELETE FROM message WHERE message_id IN (SELECT id FROM ({_GIVEN}))"
REMOVE_ENTRIES: Final = f"""
    DELETE FROM message_index WHERE (channel, message_seq) IN (SELECT channel, seq FROM ({_GIVEN}))
"""
FORGET_EXPIRED: Final = f"""
    DELETE FROM expiry WHERE (channel, message_seq) IN (SELECT channel, seq FROM ({_GIVEN}))
"""
TRIM_EXPIRED: Final = """
    DELETE FROM expiry WHERE channel = ?1 AND message_seq IN (
        SELECT message_seq FROM expiry WHERE channel = ?1 AND message_seq <= ?2 LIMIT 256
    )
"""
"""What is left of messages before the begin of a channel, some at a time."""
MARK_REMOVED: Final = f"""
    UPDATE expiry SET message_id = NULL WHERE (channel, message_seq) IN (SELECT channel, seq FROM ({_GIVEN}))
"""
