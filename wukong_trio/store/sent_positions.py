"""Who has last written what in which channel, without a write per message.

What users have written themselves is not unread for them. Their newest own messages are remembered in memory, and go
into their conversations together with the chunk of the message index that holds these messages.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from .rows import chunks, marks

_IN_STATEMENT: Final = 512
# Not from JSON: SQLite ends a text in JSON at a NUL.
_RAISE: Final = """
    WITH own (uid, channel, seq) AS (VALUES {})
    UPDATE conversation SET sent_to = max(sent_to, own.seq)
    FROM own WHERE conversation.uid = own.uid AND conversation.channel = own.channel
"""

Own = tuple[str, int, int]
"""uid, channel, message_seq."""


class SentPositions:
    """The part in memory, and its way into the table. Belongs to a `MessageIndex`, which knows about threads and
    transactions."""

    def __init__(self) -> None:
        self._fresh: dict[tuple[int, str], int] = {}
        self._frozen: dict[tuple[int, str], int] = {}
        self._rest: Iterator[Own] = iter(())
        self._slice: list[Own] = []
        """Written in the transaction under way; written again if it fails."""

    def add(self, channel: int, uid: str, message_seq: int) -> None:
        """Somebody has sent a message."""
        self._fresh[channel, uid] = message_seq

    def freeze(self) -> None:
        """A chunk is full, and all before it are written."""
        self._frozen, self._fresh = self._fresh, {}
        self._rest = iter(sorted((uid, channel, seq) for (channel, uid), seq in self._frozen.items()))

    def write_slice(self, writer: sqlite3.Connection, size: int) -> None:
        """Moves some into the table; a chunk has no more of them than messages."""
        self._slice += islice(self._rest, max(size - len(self._slice), 0))
        for chunk in chunks(self._slice, _IN_STATEMENT):
            values = [value for own in chunk for value in own]
            writer.execute(_RAISE.format(marks(len(chunk), "(?,?,?)")), values)

    def committed(self) -> None:
        """The slice is in the table."""
        self._slice = []

    def thaw(self) -> None:
        """All of the chunk is in the table."""
        self._frozen = {}

    def of(self, uid: str, channels: Iterable[int]) -> dict[int, int]:
        """A user's newest own messages, of those channels where the table does not know it."""
        found: dict[int, int] = {}
        for channel in channels:
            seq = self._fresh.get((channel, uid)) or self._frozen.get((channel, uid))
            if seq is not None:
                found[channel] = seq
        return found
