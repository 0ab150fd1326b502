"""Conversations in dicts."""

from collections.abc import Callable, Collection, Mapping, Sequence

from ..model import ChannelKey, ChannelType, Message, command_key, moment_of, parties, plain_key
from .conversations import (
    Conversation,
    ConversationChange,
    ConversationRow,
    Conversations,
    ConversationState,
    PendingCommands,
    carry_out,
    covered,
    first_state,
)

_GONE = ConversationState.GONE
_COMMANDS = ConversationState.COMMANDS
_SHOWN = ConversationState.SHOWN


class MemoryConversations:
    """All of a `MemoryStore`, by user and channel."""

    def __init__(
        self, channels: Mapping[ChannelKey, Sequence[Message | None]], gone: Callable[[ChannelKey, int, int], int]
    ) -> None:
        """Args:
        channels: their messages, None for those that were removed.
        gone: how many messages of a part of a channel nobody can read any more.
        """
        self._channels = channels
        self._gone = gone
        self._rows: dict[str, dict[ChannelKey, ConversationRow]] = {}
        self._sent: dict[tuple[str, tuple[str, int]], int] = {}
        self._members: dict[ChannelKey, Collection[str]] = {}
        """Who has a conversation without being named by the channel's id."""
        self._moment = 0
        self._newest_id = 0

    def stored(self, message: Message, direct: Collection[str] | None, silent_types: Collection[int]) -> None:
        """A message was stored; `direct` are the users it goes to if it is a command to them."""
        uid, seq = message.from_uid, message.message_seq
        self._newest_id = message.message_id
        self._sent[uid, (message.channel_id, message.channel_type)] = seq
        if seq == 1 or direct:
            self._begin(message, direct or (), silent_types)

    def _begin(self, message: Message, direct: Collection[str], silent_types: Collection[int]) -> None:
        key = ChannelKey(message.channel_id, message.channel_type)
        uid, seq, moment = message.from_uid, message.message_seq, moment_of(message.message_id)
        plain = plain_key(*key)
        for to in direct:
            row = ConversationRow(_COMMANDS, created_at=moment, changed_at=moment)
            row.commands_to = seq if to == uid else seq - 1
            self._rows.setdefault(to, {}).setdefault(plain, row)
        if seq != 1:
            return
        for to in parties(plain):
            row = self._rows.setdefault(to, {}).setdefault(plain, ConversationRow(_COMMANDS))
            if plain == key and row.state < _SHOWN:
                row.state = first_state(key.channel_type, silent_types)
                row.created_at = row.changed_at = moment
                row.read_to = max(row.read_to, int(to == uid))
        own = self._rows.get(uid, {}).get(plain)
        if plain != key and own is not None:
            own.commands_to = max(own.commands_to, 1)

    def members_changed(
        self, key: ChannelKey, uids: Collection[str], members: Collection[str], silent_types: Collection[int]
    ) -> None:
        """The lists of a channel have changed, for these uids; `members` are subscribed to it and not denied."""
        self._members[key] = members
        named = parties(key)
        for uid in uids:
            rows = self._rows.setdefault(uid, {})
            row = rows.get(key)
            if uid in members and (row is None or row.state is _GONE):
                moment = self._tick()
                rows[key] = ConversationRow(
                    first_state(key.channel_type, silent_types),
                    read_to=self._end(key),
                    deleted_to=row.deleted_to if row is not None else 0,
                    sent_to=row.sent_to if row is not None else 0,
                    commands_to=self._last_command(key),
                    created_at=moment,
                    changed_at=moment,
                )
            elif uid not in members and uid not in named and row is not None and row.state is not _GONE:
                row.state, row.changed_at = _GONE, self._tick()

    def change(self, change: ConversationChange) -> bool:
        """Carries out a change; whether the user has the channel at all."""
        rows = self._rows.setdefault(change.uid, {})
        row = rows.get(change.key)
        new = carry_out(change, row, self._now() + 1)
        if new is None or new.state is _GONE:
            return False
        if new is not row:
            self._tick()
            rows[change.key] = new
        if (
            change.key.channel_type == ChannelType.TEMPORARY
            and 0 < change.commands_to >= self._last_command(change.key)
            and change.uid not in self._members.get(change.key, ())
        ):
            del rows[change.key]
        return True

    def of(self, uid: str, *, gone: bool) -> Conversations:
        """Those of a user."""
        return Conversations(
            [
                self._conversation(uid, key, row)
                for key, row in self._rows.get(uid, {}).items()
                if row.state >= _SHOWN or (gone and row.state is _GONE)
            ],
            covered(self._now(), self._newest_id),
        )

    def _conversation(self, uid: str, key: ChannelKey, row: ConversationRow) -> Conversation:
        sent_to, last_seq = self._sent.get((uid, key), 0), self._end(key)
        return Conversation(
            *key,
            row.state,
            row.read_to,
            row.deleted_to,
            sent_to,
            row.created_at,
            row.changed_at,
            last_seq,
            self._newest(key)[1],
            self._gone(key, max(row.read_to, row.deleted_to, sent_to) + 1, last_seq),
        )

    def channels_of(self, uid: str) -> list[ChannelKey]:
        """The channels that he has something of."""
        return [key for key, row in self._rows.get(uid, {}).items() if row.state is not _GONE]

    def pending_commands(self, uid: str) -> list[PendingCommands]:
        """Where a user has commands to fetch."""
        found: list[PendingCommands] = []
        for key, row in self._rows.get(uid, {}).items():
            last_seq, _ = self._newest(command_key(key))
            if row.state is not _GONE and last_seq > row.commands_to:
                commands = self._channels[command_key(key)][row.commands_to :]
                oldest_id = next(command.message_id for command in commands if command is not None)
                found.append(PendingCommands(*key, row.commands_to, last_seq, oldest_id))
        return found

    def _now(self) -> int:
        return max(self._moment, moment_of(self._newest_id))

    def _tick(self) -> int:
        self._moment = self._now() + 1
        return self._moment

    def _end(self, key: ChannelKey) -> int:
        """The highest sequence number that was given."""
        return len(self._channels.get(key, ()))

    def _newest(self, key: ChannelKey) -> tuple[int, int]:
        """Number and id of the newest message that is there."""
        there = (message for message in reversed(self._channels.get(key, ())) if message is not None)
        newest = next(there, None)
        return (0, 0) if newest is None else (newest.message_seq, newest.message_id)

    def _last_command(self, key: ChannelKey) -> int:
        return self._end(command_key(key))
