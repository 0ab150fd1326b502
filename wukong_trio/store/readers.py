"""Connections that only read, each kind of look-up with its own, so that none waits for another kind."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

from ..errors import StoreError
from .files import DatabaseFiles

T = TypeVar("T")


class ReaderPool:
    """Some connections, each used by one thread at a time. What is asked when all are busy waits its turn."""

    def __init__(self, files: DatabaseFiles, size: int) -> None:
        """Opens the connections. Blocks.

        Raises:
            sqlite3.Error: the database cannot be read.
        """
        self._path = files.path
        self._limiter = trio.CapacityLimiter(size)
        self._all: list[sqlite3.Connection] = []
        self._closed = False
        try:
            for _ in range(size):
                self._all.append(files.open_reader())
                # Opens the log now. Later there may be another file in its place, see watch.py.
                self._all[-1].execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        except BaseException:
            self.close()
            raise
        self._free = list(self._all)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Reads in a thread. If cancelled it returns at once; the thread goes on by itself and its result is dropped.

        Raises:
            StoreError: the database could not be read, or the store is closed.
        """
        return await trio.to_thread.run_sync(self._run, work, limiter=self._limiter, abandon_on_cancel=True)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        connection = self._free.pop()
        try:
            return work(connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error
        finally:
            self._free.append(connection)

    async def idle(self) -> None:
        """Waits until no thread reads any more, abandoned ones included, and lets no other begin. Reads under way are
        interrupted; their callers, if any are left, get a StoreError."""
        self._closed = True
        for connection in self._all:
            connection.interrupt()
        turns = [object() for _ in self._all]
        held = []
        try:
            for turn in turns:
                await self._limiter.acquire_on_behalf_of(turn)
                held.append(turn)
        finally:
            for turn in held:
                self._limiter.release_on_behalf_of(turn)

    def close(self) -> None:
        """Closes the connections, of which none may be in use."""
        for connection in self._all:
            connection.close()
