"""Reads that are asked for at the same time share a thread: under load the way there costs more than reading."""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import trio

from .readers import ReaderPool

W = TypeVar("W")
R = TypeVar("R")


class _Place(Generic[W, R]):
    """One caller, who waits."""

    __slots__ = ("answered", "error", "result", "waits", "wish")

    def __init__(self, wish: W) -> None:
        self.wish = wish
        self.waits = True
        self.answered = trio.Event()
        self.result: R
        self.error: BaseException | None = None


class GatheredReads(Generic[W, R]):
    """Has reads done, one batch after another. Whoever comes while one is under way joins the next."""

    def __init__(
        self,
        pool: ReaderPool,
        work: Callable[[sqlite3.Connection, Sequence[W]], Sequence[R]],
        weight: Callable[[W], int],
        most: int,
    ) -> None:
        """Args:
        pool: has a connection for each of these that use it, and nobody else uses it.
        work: does some reads, in a thread; returns their results, in the same order.
        weight: of a read.
        most: what a batch may weigh; it has one read at least.
        """
        self._pool = pool
        self._work = work
        self._weight = weight
        self._most = most
        self._waiting: deque[_Place[W, R]] = deque()
        self._busy = False

    async def read(self, wish: W) -> R:
        """Does one read. If cancelled it returns at once; what has begun goes on by itself, and its result is dropped.

        Raises:
            StoreError: the database could not be read, or the store is closed.
        """
        place: _Place[W, R] = _Place(wish)
        self._waiting.append(place)
        if not self._busy:
            self._busy = True
            # In the next turn: whoever asks in this one comes along.
            trio.lowlevel.current_trio_token().run_sync_soon(self._begin)
        try:
            await place.answered.wait()
        finally:
            place.waits = False
        if place.error is not None:
            raise place.error
        return place.result

    def _begin(self) -> None:
        batch: list[_Place[W, R]] = []
        weight = 0
        while self._waiting and (not batch or weight + self._weight(self._waiting[0].wish) <= self._most):
            place = self._waiting.popleft()
            if place.waits:
                weight += self._weight(place.wish)
                batch.append(place)
        self._busy = bool(batch)
        if batch:
            wishes = [place.wish for place in batch]
            self._pool.begin(lambda reader: self._work(reader, wishes), lambda *result: self._answer(batch, *result))

    def _answer(self, batch: list[_Place[W, R]], results: Sequence[R], error: BaseException | None) -> None:
        for place, result in zip(batch, results, strict=False):
            place.result = result
        for place in batch:
            place.error = error
            place.answered.set()
        self._begin()
