"""Durable state behind one interface.

    base     what a store is and promises; the facets with files of their own are
             conversations, event_store, memberships, removals
    memory   without durability, for tests; beside it memory_conversations, memory_events
    sqlite   the embedded default; beside it
             directory, files, schema              what it finds and creates at the start
             message_writer, message_index         where messages go
             readers, gathering, sql, rows         its connections and statements
             *_rows, members, message_ids, pages, lookups
                                                   what is written and read, for each kind of thing
             page_cache, recent, lately            what is in memory of it
             transactions, watch, wal              writing, and what it looks after while it runs

Knows nothing of sessions or protocols: takes and returns batches of plain Structs.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from logging import getLogger
from pathlib import Path
from typing import Literal

import trio

from .base import Store
from .memory import MemoryStore

log = getLogger(__name__)

CLOSE_TIMEOUT_S = 10.0


@asynccontextmanager
async def open_store(data_dir: Path | None, *, synchronous: Literal["full", "normal"] = "full") -> AsyncIterator[Store]:
    """The store in a directory, for the length of a `with` block.

    Args:
        data_dir: created where needed; one server at a time may use it. None: a store in memory.
        synchronous: `full` = a write that has returned survives a power failure; `normal` = the last ones may not.

    Raises:
        StoreOpenError: the directory or the database cannot be used; the text says what to do.
    """
    if data_dir is None:
        yield MemoryStore()
        return
    from .sqlite import SQLiteStore

    store = await trio.to_thread.run_sync(SQLiteStore.open, data_dir, synchronous)
    try:
        async with _beside(store.run):
            yield store
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True) as scope:
            await store.aclose()
        if scope.cancelled_caught:
            log.error("the store was not closed within %g s; the next start brings in what is left", CLOSE_TIMEOUT_S)


@asynccontextmanager
async def _beside(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs a task beside a `with` block. Errors of the block are raised as they are, not in a group."""
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield
        except BaseException as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
