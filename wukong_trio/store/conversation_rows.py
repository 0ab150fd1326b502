"""Conversations in the database."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from ..model import COMMAND_CHANNEL_SUFFIX, ChannelKey, ChannelType, moment_of, parties
from .base import MemberList
from .conversations import (
    Conversation,
    ConversationChange,
    ConversationRow,
    Conversations,
    ConversationState,
    PendingCommands,
    carry_out,
    covered,
)
from .members import Step
from .message_index import MessageIndex
from .removal_rows import gone_between
from .rows import insert_rows, marks
from .sql import NO_BOUND

LIST_WEIGHT: Final = 256
"""What reading the conversations of a user costs, as messages."""
_COLUMNS: Final = 9
_NEWEST: Final = """(
    SELECT json_array(message_seq, message_id) FROM message_index WHERE message_index.channel = {number}
    ORDER BY message_seq DESC LIMIT 1
)"""
_LOAD: Final = f"""
    WITH wanted (place, uid, state) AS (VALUES {{}})
    SELECT json_group_array(json_array(
        place, number, channel_id, channel_type, conversation.state, read_to, deleted_to, sent_to, created_at,
        changed_at, json({_NEWEST.format(number="number")}), removed_seq, first_seq > read_to + 1 OR EXISTS (
            SELECT 1 FROM expiry WHERE expiry.channel = number AND message_seq > read_to AND expires_at <= ?
        )
    ))
    FROM wanted
    CROSS JOIN conversation
        ON conversation.uid = wanted.uid AND (conversation.state > 1 OR conversation.state = wanted.state)
    CROSS JOIN channel ON number = channel
"""
_LOAD_COMMANDS: Final = f"""
    SELECT json_group_array(json_array(
        stored.number, plain.channel_id, plain.channel_type, commands_to,
        json({_NEWEST.format(number="stored.number")}), (
            SELECT message_id FROM message_index
            WHERE message_index.channel = stored.number AND message_seq > commands_to ORDER BY message_seq LIMIT 1
        )
    ))
    FROM conversation
    CROSS JOIN channel AS plain ON plain.number = channel
    CROSS JOIN channel AS stored
        ON stored.channel_id = plain.channel_id || '{COMMAND_CHANNEL_SUFFIX}'
        AND stored.channel_type = plain.channel_type
    WHERE uid = ? AND state > 0
"""
_JOIN: Final = """
    WITH here (channel, state, read_to, commands_to, moment) AS (VALUES (?, ?, ?, ?, ?)), wanted (uid) AS (VALUES {})
    INSERT INTO conversation
    SELECT wanted.uid, here.channel, here.state, here.read_to, 0, 0, here.commands_to, here.moment, here.moment
    FROM here CROSS JOIN wanted
    WHERE EXISTS (SELECT 1 FROM member AS m WHERE m.channel = here.channel AND m.list = 0 AND m.uid = wanted.uid)
    AND NOT EXISTS (SELECT 1 FROM member AS m WHERE m.channel = here.channel AND m.list = 1 AND m.uid = wanted.uid)
    ON CONFLICT DO UPDATE SET state = excluded.state, read_to = excluded.read_to, commands_to = excluded.commands_to,
        created_at = excluded.created_at, changed_at = excluded.changed_at
    WHERE state = 0
"""
_LEAVE: Final = "UPDATE conversation SET state = 0, changed_at = ? WHERE channel = ? AND state > 0 AND uid IN ({})"
_BEGIN: Final = """
    ON CONFLICT DO UPDATE SET state = excluded.state, read_to = max(read_to, excluded.read_to),
        created_at = excluded.created_at, changed_at = excluded.changed_at
    WHERE state < 2
"""
_BEGIN_COMMANDS: Final = "ON CONFLICT DO UPDATE SET commands_to = max(commands_to, excluded.commands_to)"
_OWN_COMMAND: Final = "UPDATE conversation SET commands_to = max(commands_to, ?) WHERE uid = ? AND channel = ?"
_FIND: Final = """
    SELECT state, read_to, deleted_to, sent_to, commands_to, created_at, changed_at FROM conversation
    WHERE uid = ? AND channel = ?
"""
_PUT: Final = f"INSERT OR REPLACE INTO conversation VALUES ({marks(_COLUMNS)})"
_DROP_DIRECT: Final = """
    DELETE FROM conversation WHERE uid = ? AND channel = ? AND NOT EXISTS (
        SELECT 1 FROM member WHERE member.channel = conversation.channel AND member.uid = conversation.uid AND list = 0
    )
"""


class _Loaded(Struct, array_like=True, gc=False):
    """A row of _LOAD."""

    place: int
    number: int
    channel_id: str
    channel_type: int
    state: ConversationState
    read_to: int
    deleted_to: int
    sent_to: int
    created_at: int
    changed_at: int
    newest: tuple[int, int] | None
    removed_seq: int
    some_gone: int


class _LoadedCommands(Struct, array_like=True, gc=False):
    """A row of _LOAD_COMMANDS."""

    number: int
    channel_id: str
    channel_type: int
    commands_to: int
    newest: tuple[int, int] | None
    oldest_id: int | None


_decode = msgspec.json.Decoder(list[_Loaded]).decode
_decode_commands = msgspec.json.Decoder(list[_LoadedCommands]).decode
_NONE: Final = (0, 0)


class ConversationRows:
    """Reads them, and carries out in the writer's transactions what changes them."""

    def __init__(self, writer: sqlite3.Connection, index: MessageIndex) -> None:
        self._writer = writer
        self._index = index
        self._moment: int = writer.execute("SELECT moment FROM clock").fetchone()[0]
        self._next_moment: int = self._moment
        """That of the transaction under way."""
        self._begun: list[object] = []
        """Values of rows that this transaction inserts."""
        self._begun_commands: list[object] = []

    # The clock

    @property
    def moment(self) -> int:
        """That of the newest commit."""
        return max(self._moment, moment_of(self._index.newest_id))

    def _tick(self) -> int:
        """The moment of this transaction's changes."""
        moment = self._next_moment = self.moment + 1
        self._writer.execute("UPDATE clock SET moment = ?", (moment,))
        return moment

    def committed(self) -> None:
        """The transaction has succeeded."""
        self._moment = self._next_moment

    # Messages

    def first_message(
        self, channel: int, key: ChannelKey, from_uid: str, message_id: int, state: ConversationState
    ) -> None:
        """A channel has got its first message."""
        moment = moment_of(message_id)
        for uid in parties(key):
            read_to = int(uid == from_uid)
            self._begun += (uid, channel, state, read_to, 0, 0, 0, moment, moment)

    def first_command(self, channel: int, key: ChannelKey, from_uid: str, message_id: int) -> None:
        """The commands of a channel have begun. Whoever has sent this one need not fetch it."""
        moment, named = moment_of(message_id), parties(key)
        for uid in named:
            commands_to = int(uid == from_uid)
            self._begun_commands += (uid, channel, ConversationState.COMMANDS, 0, 0, 0, commands_to, moment, moment)
        if from_uid not in named:
            self._writer.execute(_OWN_COMMAND, (1, from_uid, channel))

    def direct_command(
        self, channel: int, uids: Collection[str], from_uid: str, message_seq: int, message_id: int
    ) -> None:
        """A command to these users was stored."""
        moment = moment_of(message_id)
        values: list[object] = []
        for uid in uids:
            commands_to = message_seq if uid == from_uid else message_seq - 1
            values += (uid, channel, ConversationState.COMMANDS, 0, 0, 0, commands_to, moment, moment)
        insert_rows(self._writer, "conversation", _COLUMNS, values, skip_known=True)

    def write_begun(self) -> None:
        """Inserts what has begun with the messages of this transaction."""
        if self._begun:
            begun, self._begun = self._begun, []
            insert_rows(self._writer, "conversation", _COLUMNS, begun, on_conflict=_BEGIN)
        if self._begun_commands:
            begun, self._begun_commands = self._begun_commands, []
            insert_rows(self._writer, "conversation", _COLUMNS, begun, on_conflict=_BEGIN_COMMANDS)

    def rolled_back(self) -> None:
        """The transaction has failed."""
        self._begun, self._begun_commands = [], []

    # Members

    def members_changed(
        self,
        channel: int,
        key: ChannelKey,
        members: MemberList,
        step: Step,
        uids: Sequence[str],
        state: ConversationState,
        ends: tuple[int, int],
    ) -> None:
        """Uids were added to or removed from a list.

        Args:
            state: in which the conversation of who comes in begins.
            ends: the newest message of the channel, and of its commands.
        """
        if key.channel_type == ChannelType.PERSON or members is MemberList.ALLOWED:
            return
        if (members is MemberList.SUBSCRIBERS) == (step == "add"):
            here = (channel, state, *ends, self._tick())
            self._writer.execute(_JOIN.format(marks(len(uids), "(?)")), (*here, *uids))
        else:
            named = parties(key)
            leaving = [uid for uid in uids if uid not in named] if named else uids
            self._writer.execute(_LEAVE.format(marks(len(leaving))), (self._tick(), channel, *leaving))

    # Users

    def change(self, change: ConversationChange, channel: int) -> bool:
        """Carries out a change; whether the user has the channel at all."""
        place = (change.uid, channel)
        found = self._writer.execute(_FIND, place).fetchone()
        row = None if found is None else ConversationRow(ConversationState(found[0]), *found[1:])
        new = carry_out(change, row, self.moment + 1)
        if new is None or new.state is ConversationState.GONE:
            return False
        if new is not row:
            self._tick()
            self._writer.execute(_PUT, (*place, *msgspec.structs.astuple(new)))
        return True

    def drop_direct(self, uid: str, channel: int) -> None:
        """A user has fetched all commands of a channel that was made for them; nothing of it is left for him to have,
        unless he is its member."""
        self._writer.execute(_DROP_DIRECT, (uid, channel))

    def load_many(
        self, reader: sqlite3.Connection, wishes: Sequence[tuple[str, bool]], now_s: float
    ) -> list[Conversations]:
        """Those of several users: (uid, whether those that are gone are wanted). In any thread."""
        values: list[object] = []
        for place, (uid, gone) in enumerate(wishes):
            values += (place, uid, ConversationState.GONE if gone else ConversationState.SHOWN)
        query = _LOAD.format(marks(len(wishes), "(?,?,?)"))
        while True:
            moment, moved = covered(self.moment, self._index.newest_id), self._index.chunks_moved
            [text] = reader.execute(query, (*values, now_s)).fetchone()
            rows: list[list[_Loaded]] = [[] for _ in wishes]
            for row in _decode(text):
                rows[row.place].append(row)
            numbers = [[row.number for row in own] for own in rows]
            newest = [self._index.newest_of(own) for own in numbers]
            sent = [self._index.sent_by(uid, own) for (uid, _), own in zip(wishes, numbers, strict=True)]
            # Once more if entries went from memory to the table in between: they may have been in neither.
            if moved == self._index.chunks_moved:
                break
        return [
            Conversations([_conversation(reader, row, last, said, now_s) for row in own], moment)
            for own, last, said in zip(rows, newest, sent, strict=True)
        ]

    def load_commands(self, reader: sqlite3.Connection, uid: str) -> list[PendingCommands]:
        """Where a user has commands to fetch. In any thread."""
        while True:
            moved = self._index.chunks_moved
            [text] = reader.execute(_LOAD_COMMANDS, (uid,)).fetchone()
            rows = _decode_commands(text)
            newest = self._index.newest_of([row.number for row in rows])
            if moved == self._index.chunks_moved:
                break
        found = []
        for row in rows:
            last_seq, _ = newest.get(row.number) or row.newest or _NONE
            if last_seq > row.commands_to:
                oldest_id = row.oldest_id or self._oldest_id(row.number, row.commands_to)
                found.append(PendingCommands(row.channel_id, row.channel_type, row.commands_to, last_seq, oldest_id))
        return found

    def _oldest_id(self, channel: int, after: int) -> int:
        """The id of the first message after a sequence number, of those that are in memory."""
        (ids, _), _ = self._index.part_of(channel, after + 1, NO_BOUND, 1, False)
        return ids[0] if ids else 0


def _conversation(
    reader: sqlite3.Connection,
    row: _Loaded,
    newest: Mapping[int, tuple[int, int]],
    sent: Mapping[int, int],
    now_s: float,
) -> Conversation:
    """Args:
    newest: what the index in memory knows of the newest messages of channels.
    sent: the same of the user's own.
    """
    newest_seq, last_id = newest.get(row.number) or row.newest or _NONE
    last_seq = max(newest_seq, row.removed_seq)
    sent_to = sent.get(row.number, row.sent_to)
    count = 0
    if row.some_gone:
        low = max(row.read_to, row.deleted_to, sent_to) + 1
        count = gone_between(reader, ChannelKey(row.channel_id, row.channel_type), low, last_seq, now_s)
    return Conversation(
        row.channel_id,
        row.channel_type,
        row.state,
        row.read_to,
        row.deleted_to,
        sent_to,
        row.created_at,
        row.changed_at,
        last_seq,
        last_id,
        count,
    )
