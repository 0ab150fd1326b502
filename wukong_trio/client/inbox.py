"""Received messages that wait to be taken: bounded, and honest about what did not fit."""

from collections import deque
from typing import Final

import trio

from ..errors import ConnectionClosed, MessagesMissed
from ..model import Message

INBOX_MESSAGES: Final = 16_384
INBOX_BYTES: Final = 32 * 1024 * 1024
"""Of payloads. A single message that is larger is kept all the same."""


class Inbox:
    """Never makes its writer wait: a program that takes no messages must not hold up its own answers and pings.

    When it is full the oldest messages are given up, and whoever takes next is told how many.
    """

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._missed = 0
        self._closed: ConnectionClosed | None = None
        self._takers = trio.lowlevel.ParkingLot()

    def put(self, message: Message) -> None:
        """Adds a message."""
        self._messages.append(message)
        self._bytes += len(message.payload)
        while len(self._messages) > 1 and (len(self._messages) > INBOX_MESSAGES or self._bytes > INBOX_BYTES):
            self._bytes -= len(self._messages.popleft().payload)
            self._missed += 1
        self._takers.unpark()

    def close(self, closed: ConnectionClosed) -> None:
        """Nothing more will come; what is here can still be taken."""
        self._closed = closed
        self._takers.unpark_all()

    async def take(self) -> Message:
        """The oldest message, when there is one. If cancelled, none is lost.

        Raises:
            MessagesMissed: messages before the next one were given up.
            ConnectionClosed: it is closed and empty.
        """
        await trio.lowlevel.checkpoint()
        while not self._messages and self._closed is None:
            await self._takers.park()
        if self._missed:
            missed, self._missed = self._missed, 0
            raise MessagesMissed(missed)
        if self._messages:
            message = self._messages.popleft()
            self._bytes -= len(message.payload)
            return message
        assert self._closed is not None
        raise self._closed.again()
