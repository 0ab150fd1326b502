"""Frames that wait to be written."""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

REQUEST_BYTES: Final = 1024 * 1024
"""While so much waits, requests wait too."""
RECEIPT_BYTES: Final = 8 * 1024 * 1024
"""When so much waits, there is no room for receipts either: the server does not read."""


class Outbox:
    """One task writes, so that a caller who is cancelled never leaves half a frame behind.

    Requests wait for room. Receipts do not: the task that reads makes them, and if it waited for the server to read,
    while the server waits for it, both would wait for ever.
    """

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        """Of frames that are not written yet."""
        self._closed = False
        self._writer = trio.lowlevel.ParkingLot()
        self._callers = trio.lowlevel.ParkingLot()
        self._drainers = trio.lowlevel.ParkingLot()

    async def put(self, make: Callable[[], bytes]) -> None:
        """Adds a request when there is room, which is when it is made. After `close` none is made.

        Raises:
            Exception: whatever `make` raises. Nothing is added.
        """
        while self._bytes > REQUEST_BYTES and not self._closed:
            await self._callers.park()
        try:
            if not self._closed:
                self._add(make())
        finally:
            self._admit()

    def put_receipt(self, frame: bytes) -> bool:
        """Adds a receipt; returns whether there was room."""
        if self._bytes > RECEIPT_BYTES:
            return False
        self._add(frame)
        return True

    def close(self) -> None:
        """Nothing more will be written; nobody waits any more."""
        self._closed = True
        self._frames.clear()
        self._callers.unpark_all()
        self._drainers.unpark_all()

    async def take(self) -> bytes:
        """The next frame, for the one task that writes; it says `written` afterwards."""
        while not self._frames:
            await self._writer.park()
        return self._frames.popleft()

    def written(self, frame: bytes) -> None:
        """A frame that was taken is with the server."""
        self._bytes -= len(frame)
        self._admit()
        if not self._bytes:
            self._drainers.unpark_all()

    async def drain(self) -> None:
        """Returns when everything is written, or nothing will be any more."""
        while self._bytes and not self._closed:
            await self._drainers.park()

    def _admit(self) -> None:
        """Lets one caller in if there is room; he lets in the next. To wake all each time would cost their square."""
        if self._bytes <= REQUEST_BYTES:
            self._callers.unpark()

    def _add(self, frame: bytes) -> None:
        if not self._closed:
            self._frames.append(frame)
            self._bytes += len(frame)
            self._writer.unpark()
