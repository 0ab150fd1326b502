"""What has been received and waits to be taken: bounded, and honest about what did not fit."""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Self, TypeVar

import trio

from ..errors import ConnectionClosed, MessagesMissed

INBOX_MESSAGES: Final = 16_384
INBOX_BYTES: Final = 32 * 1024 * 1024
"""Of payloads. A single message that is larger is kept all the same."""
T = TypeVar("T")


class Inbox(Generic[T]):
    """Iterating gives one after the other.

    Never makes its writer wait: a program that takes no messages must not hold up its own answers and pings. When it is
    full the oldest ones are given up, and whoever takes next is told how many.
    """

    def __init__(self, size_of: Callable[[T], int]) -> None:
        """Args:
        size_of: how many bytes one of them counts.
        """
        self._size_of = size_of
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._missed = 0
        self._closed: ConnectionClosed | None = None
        self._takers = trio.lowlevel.ParkingLot()

    def put(self, received: T) -> None:
        """Adds what was received."""
        self._waiting.append(received)
        self._bytes += self._size_of(received)
        while len(self._waiting) > 1 and (len(self._waiting) > INBOX_MESSAGES or self._bytes > INBOX_BYTES):
            self._bytes -= self._size_of(self._waiting.popleft())
            self._missed += 1
        self._takers.unpark()

    def close(self, closed: ConnectionClosed) -> None:
        """Nothing more will come; what is here can still be taken."""
        self._closed = closed
        self._takers.unpark_all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The oldest one, when there is one. If cancelled, none is lost.

        Raises:
            MessagesMissed: some before the next one were given up.
            ConnectionClosed: it is closed and empty.
        """
        await trio.lowlevel.checkpoint()
        while not self._waiting and self._closed is None:
            await self._takers.park()
        if self._missed:
            missed, self._missed = self._missed, 0
            raise MessagesMissed(missed)
        if self._waiting:
            received = self._waiting.popleft()
            self._bytes -= self._size_of(received)
            return received
        assert self._closed is not None
        raise self._closed.again()
