"""Bringing stored messages into the index, behind the commits.

As for webhooks, the table of messages is the queue, since ids grow. The index itself holds how far it has come, in the
transaction that puts messages in; so nothing is missed or put in twice, whenever the server ends.

Messages that have left the store are sought slice by slice and forgotten. Their terms stay; when that is most of the
index, another one is made beside it and takes its place.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from logging import getLogger
from pathlib import Path
from time import process_time, time
from typing import Final, TypeVar

import trio

from ..errors import SearchUnavailableError, StoreError
from ..model import Message, moment_of
from ..store.base import Store
from .hits import QUERY_TIMEOUT_S, Filters, Hits
from .index import Index, IndexFailedError, remove
from .text import Words

log = getLogger(__name__)

T = TypeVar("T")

BATCH: Final = 256
"""Messages of one transaction. The interpreter is held for 2 ms to find their terms."""
BATCH_BYTES: Final = 256 * 1024
COMPANY_S: Final = 0.25
"""How long a message waits for others."""
CALM_REST: Final = 1
"""After each batch nothing is done for so many times as long as it took."""
BUSY_REST: Final = 5
"""The same while the server uses more than half of a processor without it."""
LAG_WARNED_S: Final = 30.0
SWEEP_INTERVAL_S: Final = 60.0
SWEPT_AT_ONCE: Final = 10_000
"""Entries whose messages are looked for in one sweep."""
RENEWED_FROM: Final = 100_000
"""Entries without a message; there may be more if the other ones are more, too."""
MOST_GONE: Final = 100_000
FIRST_WAIT_S: Final = 1.0
LAST_WAIT_S: Final = 30.0
CLOSE_TIMEOUT_S: Final = 10.0


class Follower:
    """Owns the index. `run` it in a task; the other methods may be called meanwhile."""

    def __init__(self, store: Store, path: Path | None, newest_id: int) -> None:
        """
        Args:
            path: where the index is; None: in memory.
            newest_id: of all stored messages.
        """
        self._store = store
        self._path = path
        self._newest_id = newest_id
        self._behind_since = time()
        self._index: Index | None = None
        self._next: Index | None = None
        """The one that will take its place."""
        self._opened = trio.Event()
        self._some = trio.Event()
        self._writing = trio.CapacityLimiter(1)
        self._reading = self._writing if path is None else trio.CapacityLimiter(1)
        self._damage: IndexFailedError | None = None
        """What a search has found out."""
        self._anew = False
        """What is there is to be removed first."""
        self._rests = CALM_REST
        self._gone: set[int] = set()
        """Entries to be forgotten."""
        self._sweep_at = trio.current_time() + SWEEP_INTERVAL_S
        self._swept = 0
        """Up to which entry messages were looked for."""
        self._failure = ""
        self._late = False

    # Figures

    @property
    def indexed(self) -> int:
        """How many messages were put into the index."""
        return self._index.indexed if self._index is not None else 0

    @property
    def lag_s(self) -> float:
        """For how long the oldest message that is missing in the index has been stored, or the server has known of it;
        0 if none is."""
        if self._reached_id >= self._newest_id:
            return 0.0
        return max(time() - max(self._behind_since, moment_of(self._reached_id) / 1e9), 0.0)

    @property
    def _reached_id(self) -> int:
        return self._index.message_id if self._index is not None else 0

    # Following

    def stored(self, messages: Sequence[Message]) -> None:
        """Messages were stored; never waits."""
        if self._reached_id >= self._newest_id:
            self._behind_since = time()
        self._newest_id = messages[-1].message_id
        self._some.set()

    def forget(self, index: object, numbers: Sequence[int]) -> None:
        """The messages of these entries of an index are not in the store any more; never waits."""
        if numbers and index is self._index and len(self._gone) < MOST_GONE:
            self._gone.update(numbers)
            self._some.set()

    async def run(self) -> None:
        """Follows the store until cancelled."""
        try:
            wait_s = FIRST_WAIT_S
            while True:
                try:
                    await self._follow()
                    wait_s = FIRST_WAIT_S
                except (StoreError, IndexFailedError) as error:
                    self._note(str(error))
                    if isinstance(error, IndexFailedError) and error.damaged:
                        await self._close()
                        self._anew = True
                    await trio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LAST_WAIT_S)
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await self._close()

    async def _follow(self) -> None:
        """Does what is to be done next, or waits until there is something."""
        index = await self._open()
        if self._damage is not None:
            damage, self._damage = self._damage, None
            raise damage
        if self._gone:
            await self._forget(index)
        elif index.message_id < self._newest_id:
            await self._add_batch(index)
        elif self._next is not None:
            await self._make_next(index, self._next)
        elif trio.current_time() >= self._sweep_at:
            await self._sweep(index)
        else:
            self._some = trio.Event()
            with trio.move_on_at(self._sweep_at):
                await self._some.wait()
                await trio.sleep(COMPANY_S)

    async def _add_batch(self, index: Index) -> None:
        began, newest_id = trio.current_time(), self._newest_id
        messages = await self._store.messages_after(index.message_id, BATCH, max_bytes=BATCH_BYTES)
        # Without any, somebody has deleted them; what was stored since is another matter.
        reached_id = messages[-1].message_id if messages else newest_id
        await self._write(partial(index.add, messages, reached_id))
        self._note("")
        await self._rest(trio.current_time() - began)

    async def _rest(self, took_s: float) -> None:
        """Leaves the processor to others after a batch, and finds out how much of it they use."""
        began, used_s = trio.current_time(), process_time()
        await trio.sleep(took_s * self._rests)
        busy = process_time() - used_s > (trio.current_time() - began) / 2
        self._rests = BUSY_REST if busy else CALM_REST

    def _note(self, failure: str) -> None:
        """Remembers how it goes, and says so when that is news."""
        if failure and failure != self._failure:
            log.error("search: messages cannot be indexed: %s", failure)
        elif self._failure and not failure:
            log.warning("search: messages are indexed again")
        self._failure = failure
        late = self.lag_s > LAG_WARNED_S
        if late and not self._late:
            log.warning("search: the index is %.0f s behind", self.lag_s)
        elif self._late and not late:
            log.info("search: the index has caught up")
        self._late = late

    # What has left the store

    async def _sweep(self, index: Index) -> None:
        """Looks for the messages of some entries."""
        entries = await self._write(partial(index.entries_after, self._swept, SWEPT_AT_ONCE))
        if entries:
            there = await self._ids_between(entries[0][1], entries[-1][1])
            self.forget(index, [number for number, message_id in entries if message_id not in there])
        self._swept = entries[-1][0] if len(entries) == SWEPT_AT_ONCE else 0
        self._sweep_at = trio.current_time() + SWEEP_INTERVAL_S

    async def _ids_between(self, first_id: int, last_id: int) -> set[int]:
        """The ids of the messages that the store has, and perhaps a few behind them."""
        found: set[int] = set()
        position = first_id - 1
        while position < last_id:
            ids = await self._store.message_ids_after(position, SWEPT_AT_ONCE)
            found.update(ids)
            position = ids[-1] if ids else last_id
        return found

    async def _forget(self, index: Index) -> None:
        gone, self._gone = self._gone, set()
        await self._write(partial(index.forget, list(gone)))
        if self._next is None and index.gone > max(RENEWED_FROM, index.indexed // 2):
            log.info("search: of %d indexed messages %d are gone; the index is made again", index.indexed, index.gone)
            self._next = await self._write(partial(Index.open, self._next_path, anew=True))

    async def _make_next(self, index: Index, following: Index) -> None:
        """Lets another index follow, which takes the place of this one as soon as it has come as far."""
        if following.message_id < self._newest_id:
            await self._add_batch(following)
            return
        self._swept = 0
        if self._path is None:
            self._index, self._next = following, None
            await self._write(index.close)
            return
        # Searches wait for the moment that it takes. Until it begins, both are there to be closed by whoever ends this.
        self._opened = trio.Event()
        async with self._reading:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._index = self._next = None
            with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await self._write(partial(_replace, index, following, self._path))

    @property
    def _next_path(self) -> Path | None:
        return self._path.with_suffix(".new") if self._path is not None else None

    # The index

    async def _write(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._writing)

    async def _open(self) -> Index:
        if self._index is not None:
            return self._index
        if self._next_path is not None:
            await self._write(partial(remove, self._next_path))
        index = await self._write(partial(Index.open, self._path, anew=self._anew))
        if index.message_id > self._newest_id:
            # The store is another one: a backup, perhaps.
            log.warning("search: the index is ahead of the messages; it is made again from them")
            await self._write(index.close)
            index = await self._write(partial(Index.open, self._path, anew=True))
        self._anew = False
        self._index = index
        self._opened.set()
        return index

    async def find(self, filters: Filters, words: Mapping[str, Words], limit: int) -> Hits:
        """Asks the index.

        Raises:
            SearchUnavailableError: it could not be read, or not in time.
        """
        if self._index is None and self._failure:
            raise SearchUnavailableError
        with trio.move_on_after(QUERY_TIMEOUT_S):
            await self._opened.wait()
            try:
                return await trio.to_thread.run_sync(
                    self._find, filters, words, limit, limiter=self._reading, abandon_on_cancel=True
                )
            except IndexFailedError as error:
                if self._index is None:
                    raise SearchUnavailableError from error
                log.error("search: the index cannot be read: %s", error)
                if error.damaged:
                    self._damage = error
                    self._some.set()
                raise SearchUnavailableError from error
        log.warning("search: a search took longer than %g s", QUERY_TIMEOUT_S)
        raise SearchUnavailableError

    def _find(self, filters: Filters, words: Mapping[str, Words], limit: int) -> Hits:
        if self._index is None:
            raise SearchUnavailableError
        return self._index.find(filters, words, limit)

    async def _close(self) -> None:
        """Closes what is open. Searches wait until it is open again."""
        if self._reached_id >= self._newest_id:
            self._behind_since = time()
        self._swept = 0
        self._gone.clear()
        self._opened = trio.Event()
        open_ones = [index for index in (self._index, self._next) if index is not None]
        self._index = self._next = None
        for index in open_ones:
            index.interrupt()
            async with self._reading:
                await trio.to_thread.run_sync(index.close)


def _replace(index: Index, following: Index, path: Path) -> None:
    """Closes both, and puts the file of the second in the place of the first's."""
    index.close()
    following.move(path)
