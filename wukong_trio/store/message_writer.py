"""Writing messages: the numbers that they get, and the conversations that begin with them.

Everything here is done inside a transaction of the writer's thread.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from ..errors import StoreError
from ..model import COMMAND_CHANNEL_SUFFIX, ChannelKey, Message, command_key, plain_key
from . import sql
from .base import MAX_MESSAGE_ID
from .conversation_rows import ConversationRows
from .conversations import first_state
from .message_ids import last_seq
from .message_index import MessageIndex
from .rows import insert_rows

HEADS_CACHED: Final = 200_000
_MESSAGE_COLUMNS: Final = 12
_EXPIRY_COLUMNS: Final = 4

Entry = tuple[int, int, int, str]
"""Channel, message_seq, message_id, from_uid."""


class _Head:
    """The end of a channel, as the writer knows it."""

    __slots__ = ("last_seq", "number")

    def __init__(self, number: int, last_seq: int) -> None:
        self.number = number
        self.last_seq = last_seq


class MessageWriter:
    """Counts messages on from the ends of their channels, which it keeps in memory."""

    def __init__(self, writer: sqlite3.Connection, index: MessageIndex, conversations: ConversationRows) -> None:
        self._writer = writer
        self._index = index
        self._conversations = conversations
        self._heads: dict[tuple[str, int], _Head] = {}

    def forget(self) -> None:
        """What a transaction that was rolled back has counted is not there."""
        self._heads.clear()

    def trim(self) -> None:
        """Bounds what is kept. Between two transactions."""
        if len(self._heads) > HEADS_CACHED:
            self._heads.clear()

    def write(
        self, drafts: Sequence[Message], direct: Mapping[int, Collection[str]], silent_types: Collection[int]
    ) -> list[Entry]:
        """Inserts messages, and says where they are.

        Args:
            direct: as with `Store.append_messages`.
            silent_types: types of channels of which the first message brings commands only.

        Raises:
            StoreError: an id cannot be stored.
        """
        entries = self._insert(drafts, silent_types)
        if direct:
            for (_, message_seq, message_id, from_uid), draft in zip(entries, drafts, strict=True):
                if (uids := direct.get(message_id)) is not None:
                    number = self.number_of(plain_key(draft.channel_id, draft.channel_type))
                    self._conversations.direct_command(number, uids, from_uid, message_seq, message_id)
        self._conversations.write_begun()
        self._index.write_slice(self._writer, len(drafts))
        return entries

    def _insert(self, drafts: Sequence[Message], silent_types: Collection[int]) -> list[Entry]:
        entries: list[Entry] = []
        values: list[Any] = []
        expiring: list[int] = []
        newest_id = self._index.newest_id
        for m in drafts:
            if m.message_id <= newest_id:
                raise StoreError(f"message {m.message_id} is not newer than message {newest_id}")
            newest_id = m.message_id
            head = self._head_of(m.channel_id, m.channel_type)
            head.last_seq = message_seq = head.last_seq + 1
            entries.append((head.number, message_seq, newest_id, m.from_uid))
            if message_seq == 1:
                self._begin(head, m, silent_types)
            values += (
                newest_id, head.number, message_seq, m.from_uid, m.client_msg_no,
                m.timestamp, m.flags, m.setting, m.expire, m.topic, m.stream_no, m.payload,
            )  # fmt: skip
            if m.expire:
                expiring += (head.number, message_seq, newest_id, m.timestamp + m.expire)
        if newest_id > MAX_MESSAGE_ID:
            raise StoreError("the clock is beyond 2089: message ids exceed 2^53; set it right and restart the server")
        insert_rows(self._writer, "message", _MESSAGE_COLUMNS, values)
        insert_rows(self._writer, "expiry", _EXPIRY_COLUMNS, expiring)
        return entries

    def _begin(self, head: _Head, first: Message, silent_types: Collection[int]) -> None:
        """A channel, or its commands, begin with this message."""
        if first.channel_id.endswith(COMMAND_CHANNEL_SUFFIX):
            plain = plain_key(first.channel_id, first.channel_type)
            self._conversations.first_command(self.number_of(plain), plain, first.from_uid, first.message_id)
        else:
            key = ChannelKey(first.channel_id, first.channel_type)
            state = first_state(key.channel_type, silent_types)
            self._conversations.first_message(head.number, key, first.from_uid, first.message_id, state)

    def known_number(self, key: ChannelKey) -> int | None:
        """The number of a channel if that is in memory. Any thread may ask."""
        head = self._heads.get(key)
        return head.number if head is not None else None

    def number_of(self, key: ChannelKey) -> int:
        """The number of a channel, which is entered into the table if it is new."""
        return self._head_of(*key).number

    def _head_of(self, channel_id: str, channel_type: int) -> _Head:
        key = (channel_id, channel_type)
        head = self._heads.get(key)
        if head is None:
            self._writer.execute(
                "INSERT INTO channel (channel_id, channel_type) VALUES (?, ?) ON CONFLICT DO NOTHING", key
            )
            [number] = self._writer.execute(sql.CHANNEL_NUMBER, key).fetchone()
            head = self._heads[key] = _Head(number, self._index.end_of(self._writer, number))
        return head

    def ends(self, key: ChannelKey) -> tuple[int, int]:
        """The newest message of a channel, and of its commands."""
        return self._head_of(*key).last_seq, last_seq(self._writer, self._index, command_key(key))
