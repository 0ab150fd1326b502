"""Turning the look-ups of many tasks into few calls of the store."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

K = TypeVar("K")
V = TypeVar("V")

MAX_BATCH = 500


class _Wish(Generic[K, V]):
    """One task's look-up."""

    __slots__ = ("done", "error", "key", "value")

    def __init__(self, key: K) -> None:
        self.key = key
        self.done = trio.Event()
        self.value: V | None = None
        self.error: Exception | None = None


class Coalescer(Generic[K, V]):
    """Collects keys while a look-up runs, and looks them all up with the next one.

    A hop to a thread costs more than reading a row, so when thousands of clients connect at once this is what counts.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Sequence[V]]]) -> None:
        """Args:
        load: gives the values of keys, in the same order.
        """
        self._load = load
        self._wishes: list[_Wish[K, V]] = []
        self._wished = trio.Event()

    async def get(self, key: K) -> V:
        """The value of a key. Raises what `load` raises."""
        wish: _Wish[K, V] = _Wish(key)
        self._wishes.append(wish)
        self._wished.set()
        await wish.done.wait()
        if wish.error is not None:
            raise wish.error
        assert wish.value is not None
        return wish.value

    async def run(self) -> None:
        """Looks up until cancelled."""
        while True:
            await self._wished.wait()
            batch, self._wishes = self._wishes[:MAX_BATCH], self._wishes[MAX_BATCH:]
            if not self._wishes:
                self._wished = trio.Event()
            await self._serve(batch)

    async def _serve(self, batch: list[_Wish[K, V]]) -> None:
        try:
            for wish, value in zip(batch, await self._load([wish.key for wish in batch]), strict=True):
                wish.value = value
        except Exception as error:
            for wish in batch:
                wish.error = error
        for wish in batch:
            wish.done.set()
