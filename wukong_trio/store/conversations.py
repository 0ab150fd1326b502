"""What a store knows of conversations: the channels of a user, and how far he is with each.

There is no row per member and message. A conversation begins when its user becomes a member of its channel, or with the
first message of a channel whose id names him, and is written again when he has read or deleted something. Where he has
last written himself is remembered with the messages.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ..model import ChannelKey, ChannelType, Message, moment_of


class ConversationState(IntEnum):
    """GONE: the user has left the channel. COMMANDS: he gets its commands, and has no conversation to show.
    SHOWN: he has one. HIDDEN: he has deleted it, so it is shown again with the next message."""

    GONE = 0
    COMMANDS = 1
    SHOWN = 2
    HIDDEN = 3


class Conversation(Struct, frozen=True, array_like=True, gc=False):
    """A channel as one of its users has it. Positions are sequence numbers of the channel: 0 = before the first."""

    channel_id: str
    """The stored id."""
    channel_type: int
    state: ConversationState
    read_to: int
    deleted_to: int
    sent_to: int
    """His own newest message."""
    created_at: int
    """Moments are nanoseconds by the clock of the store, which goes on with each commit: what is committed later has a
    later moment. That of a message is `moment_of` its id."""
    changed_at: int
    """When its state or one of the first two positions changed last."""
    last_seq: int
    """The newest message of the channel."""
    last_id: int
    """The id of that message; 0: there is none."""
    gone: int
    """Of the messages after `read_to`, `deleted_to` and `sent_to`: how many nobody can read any more."""

    @property
    def key(self) -> ChannelKey:
        return ChannelKey(self.channel_id, self.channel_type)


class Conversations(Struct, frozen=True):
    """Those of a user, in no particular order, and the moment up to which everything is in them: what comes later has a
    later one."""

    items: list[Conversation]
    moment: int


class ConversationChange(Struct, frozen=True, kw_only=True):
    """A change of one conversation. Positions are only ever raised: repeating it changes nothing."""

    uid: str
    key: ChannelKey
    read_to: int = 0
    deleted_to: int = 0
    """Above 0, it is hidden as well."""
    commands_to: int = 0
    """A position in its command channel."""
    show: bool = False
    """It is hidden no longer."""
    create: bool = False
    """It begins if there is none; otherwise nothing happens then."""


class PendingCommands(Struct, frozen=True, array_like=True, gc=False):
    """A channel with commands that a user has not acknowledged: those after `commands_to`, up to `last_seq`."""

    channel_id: str
    """Of the channel itself, not of that in which its commands are stored."""
    channel_type: int
    commands_to: int
    last_seq: int
    oldest_id: int
    """The message id of the first of them."""

    @property
    def key(self) -> ChannelKey:
        return ChannelKey(self.channel_id, self.channel_type)


class NewestWish(Struct, frozen=True, gc=False):
    """The newest `count` messages of a channel from `low` on."""

    key: ChannelKey
    low: int
    count: int
    newest_id: int = 0
    """The id of the newest of them, if the caller knows it; later ones may then be left out."""


class ConversationStore(ABC):
    """The part of a store that keeps them.

    Who is subscribed to a channel and not on its deny list has a conversation. It begins at the end of the channel:
    neither its messages so far nor its commands are new to him; it is GONE when he leaves. Those whom the id of a
    channel names (`parties`) get theirs with its first message, which is new to all but its sender. Channels of the
    types DATA, TEMPORARY and LIVE have only commands to offer.
    """

    @abstractmethod
    async def conversations(self, uid: str, *, gone: bool = False) -> Conversations:
        """The conversations of a user; those that are GONE too if wanted, but none that is only for COMMANDS."""

    @abstractmethod
    async def change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        """Carries out changes in one transaction, in order.

        Returns:
            For each, whether the user has the channel at all.
        """

    @abstractmethod
    async def pending_commands(self, uid: str) -> list[PendingCommands]:
        """Where a user has commands to fetch, in no particular order."""

    @abstractmethod
    async def newest_messages(self, wishes: Sequence[NewestWish], *, max_bytes: int) -> list[list[Message]]:
        """For each wish its messages, the newest first. Together they have no more than `max_bytes` of payload, but the
        very first whatever its size. Where there is no room the older ones are left out, of the last wishes first, and
        then the newest of the last wishes."""


def covered(moment: int, newest_id: int) -> int:
    """Up to which moment nothing can come any more.

    Args:
        moment: that of the newest commit. It is ahead of message ids where very much has changed since the newest
            message, and these only count on because the clock was set back.
    """
    return min(moment, moment_of(newest_id + 1) - 1)


class ConversationRow(Struct):
    """What is written down of one: the fields of `Conversation` that are not the channel's."""

    state: ConversationState
    read_to: int = 0
    deleted_to: int = 0
    sent_to: int = 0
    commands_to: int = 0
    created_at: int = 0
    changed_at: int = 0


NO_CONVERSATIONS: Final = frozenset({int(ChannelType.DATA), int(ChannelType.TEMPORARY), int(ChannelType.LIVE)})
"""Channel types whose members get commands only."""


def first_state(channel_type: int, silent_types: Collection[int] = NO_CONVERSATIONS) -> ConversationState:
    """In which state a conversation begins."""
    return ConversationState.COMMANDS if channel_type in silent_types else ConversationState.SHOWN


def carry_out(change: ConversationChange, row: ConversationRow | None, moment: int) -> ConversationRow | None:
    """The row after a change, None if there is still no conversation; the same object if nothing has changed."""
    if row is None or row.state is ConversationState.GONE:
        if not change.create:
            return row
        row = ConversationRow(first_state(change.key.channel_type), created_at=moment, changed_at=moment)
    commands_to = max(row.commands_to, change.commands_to)
    if row.state is ConversationState.COMMANDS and not change.create:
        return row if commands_to == row.commands_to else replace(row, commands_to=commands_to)
    new = replace(
        row,
        state=_state_after(change, row),
        read_to=max(row.read_to, change.read_to),
        deleted_to=max(row.deleted_to, change.deleted_to),
        commands_to=commands_to,
    )
    if (new.state, new.read_to, new.deleted_to) != (row.state, row.read_to, row.deleted_to):
        new.changed_at = moment
    return row if new == row else new


def _state_after(change: ConversationChange, row: ConversationRow) -> ConversationState:
    if change.deleted_to > row.deleted_to:
        return ConversationState.HIDDEN
    if change.show or row.state is ConversationState.COMMANDS:
        return first_state(change.key.channel_type)
    return row.state
