"""The stored messages that the receiver of msg.notify has not been told of, in their order.

They are all in the store. Those of late are kept in memory from their commit on, because reading them again costs more
than telling them; that is given up while too many wait, and taken up again when the rest has been read.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from ..model import Message
from ..store.base import Store, bytes_of, cut
from .pace import Pace

REQUEST_BYTES: Final = 1024 * 1024
"""Payloads of one request, unless a single message has more."""
KEPT: Final = 20_000
KEPT_BYTES: Final = 32 * 1024 * 1024
"""Payloads of messages that are kept."""
READ_AT_ONCE: Final = 1000
"""Messages, unless they are large: asking a thread for every request would cost as much again."""
READING_S: Final = 3e-6
"""What reading a message costs, more or less: it is done in a thread, whose time is not measured."""


class UntoldMessages:
    """What comes after a message, from memory or from the store."""

    def __init__(self, store: Store, pace: Pace, newest_id: int) -> None:
        """
        Args:
            pace: pays for reading.
            newest_id: of all stored messages.
        """
        self._store = store
        self._pace = pace
        self._read: deque[Message] = deque()
        self._kept: deque[Message] = deque()
        self._kept_bytes = 0
        self._after_id = newest_id
        """What is newer than this is kept."""

    def stored(self, messages: Sequence[Message], waiting: int) -> None:
        """These were stored after all others.

        Args:
            waiting: how many wait to be told, with these.
        """
        size_bytes = bytes_of(messages)
        if waiting <= KEPT and self._kept_bytes + size_bytes <= KEPT_BYTES:
            self._kept.extend(messages)
            self._kept_bytes += size_bytes
        else:
            self._kept.clear()
            self._kept_bytes = 0
            self._after_id = messages[-1].message_id

    async def after(self, message_id: int, most: int) -> list[Message]:
        """The next messages behind one that is done with, as many as a request may have; none: there are none.

        Raises:
            StoreError: they cannot be read.
        """
        if not self._read and message_id < self._after_id:
            read = await self._store.messages_after(message_id, max(most, READ_AT_ONCE), max_bytes=REQUEST_BYTES)
            self._pace.spent(len(read) * READING_S)
            self._read.extend(read)
        return cut(list(islice(self._read or self._kept, most)), most, REQUEST_BYTES)[0]

    def forget(self, message_id: int) -> None:
        """Messages up to this one are done with."""
        _drop_until(self._read, message_id)
        self._kept_bytes -= _drop_until(self._kept, message_id)


def _drop_until(messages: deque[Message], message_id: int) -> int:
    """Drops them up to an id; returns how many bytes of payloads that were."""
    size_bytes = 0
    while messages and messages[0].message_id <= message_id:
        size_bytes += len(messages.popleft().payload)
    return size_bytes
