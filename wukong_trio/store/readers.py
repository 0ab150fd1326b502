"""Connections that only read, each kind of look-up with its own, so that none waits for another kind."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
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

    def begin(
        self,
        work: Callable[[sqlite3.Connection], Sequence[T]],
        answer: Callable[[Sequence[T], BaseException | None], None],
    ) -> None:
        """Begins to read in a thread, for nobody in particular, and returns at once. A connection must be free.

        Args:
            answer: gets what was read, or nothing and what `read` would have raised, in Trio's thread. It must not
                raise.
        """
        token, turn = trio.lowlevel.current_trio_token(), object()

        def run() -> None:
            results: Sequence[T] = ()
            error = None
            try:
                results = self._run(work)
            except BaseException as raised:
                error = raised
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(end, results, error)

        def end(results: Sequence[T], error: BaseException | None) -> None:
            self._limiter.release_on_behalf_of(turn)
            answer(results, error)

        try:
            self._limiter.acquire_on_behalf_of_nowait(turn)
        except trio.WouldBlock:
            answer((), self._closed_error())
            return
        try:
            trio.lowlevel.start_thread_soon(run, lambda _: None)
        except RuntimeError as error:  # no more threads
            end((), error)

    def _closed_error(self) -> StoreError:
        return StoreError(f"{self._path}: the store is closed")

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise self._closed_error()
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
