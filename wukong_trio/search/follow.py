"""Bringing stored messages into the index, behind the commits.

As for webhooks, the table of messages is the queue, since ids grow. The index itself holds how far it has come, in the
transaction that puts messages in; so nothing is missed or put in twice, whenever the server ends.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from logging import getLogger
from pathlib import Path
from time import process_time, time
from typing import Final, TypeVar

import trio

from ..delivery.ids import moment_of
from ..errors import SearchUnavailableError, StoreError
from ..store.base import Store
from .index import QUERY_TIMEOUT_S, Filters, Hits, Index, IndexFailedError
from .text import Words

log = getLogger(__name__)

T = TypeVar("T")

BATCH: Final = 256
"""Messages of one transaction, and what the interpreter is taken for at a time."""
BATCH_BYTES: Final = 256 * 1024
COMPANY_S: Final = 0.25
"""How long a message waits for others."""
CALM_REST: Final = 1
"""After each batch nothing is done for so many times as long as it took."""
BUSY_REST: Final = 5
"""The same while the server uses more than half of a processor without it."""
LAG_WARNED_S: Final = 30.0
MOST_GONE: Final = 10_000
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
        """Entries of messages that do not exist any more."""
        self._failure = ""
        self._late = False

    # Figures

    @property
    def indexed(self) -> int:
        """How many messages are in the index."""
        return self._index.indexed if self._index is not None else 0

    @property
    def lag_s(self) -> float:
        """For how long the oldest message that is missing in the index has been stored, or the server has known of it;
        0 if none is."""
        reached_id = self._index.message_id if self._index is not None else 0
        if reached_id >= self._newest_id:
            return 0.0
        return max(time() - max(self._behind_since, moment_of(reached_id)), 0.0)

    @property
    def failure(self) -> str:
        """Why messages cannot be put into the index; empty while all is well."""
        return self._failure

    # Following

    def stored(self, _count: int, newest_id: int) -> None:
        """Messages were stored; never waits."""
        if self._index is None or self._index.message_id >= self._newest_id:
            self._behind_since = time()
        self._newest_id = newest_id
        self._some.set()

    def forget(self, numbers: Sequence[int]) -> None:
        """The messages of these entries do not exist any more; never waits."""
        if numbers and len(self._gone) < MOST_GONE:
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
        """Puts in what there is, and waits for more. Returns after each batch."""
        index = await self._open()
        if self._damage is not None:
            damage, self._damage = self._damage, None
            raise damage
        if index.message_id >= self._newest_id and not self._gone:
            self._some = trio.Event()
            await self._some.wait()
            await trio.sleep(COMPANY_S)
        if self._gone:
            gone, self._gone = self._gone, set()
            await self._write(partial(index.forget, list(gone)))
        began, newest_id = trio.current_time(), self._newest_id
        if index.message_id >= newest_id:
            return
        messages = await self._store.messages_after(index.message_id, BATCH, max_bytes=BATCH_BYTES)
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

    async def _open(self) -> Index:
        if self._index is not None:
            return self._index
        index = await self._write(partial(Index.open, self._path, anew=self._anew))
        if index.message_id > self._newest_id:
            # The store is another one: a backup, perhaps.
            log.warning("search: the index is ahead of the messages; it is made again from them")
            index.close()
            index = await self._write(partial(Index.open, self._path, anew=True))
        self._anew = False
        self._index = index
        self._opened.set()
        return index

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

    # The index

    async def _write(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._writing)

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
                log.error("search: the index cannot be read: %s", error)
                if error.damaged:
                    self._damage = error
                    self._some.set()
                raise SearchUnavailableError from error
        raise SearchUnavailableError

    def _find(self, filters: Filters, words: Mapping[str, Words], limit: int) -> Hits:
        if self._index is None:
            raise SearchUnavailableError
        return self._index.find(filters, words, limit)

    async def _close(self) -> None:
        self._opened = trio.Event()
        index, self._index = self._index, None
        if index is not None:
            index.interrupt()
            async with self._reading:
                await trio.to_thread.run_sync(index.close)
