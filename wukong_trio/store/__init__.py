"""Durable state behind one interface.

    base     what a store is and promises
    memory   without durability, for tests
    sqlite   the embedded default; beside it its schema, files, rows, and message_index

Knows nothing of sessions or protocols: takes and returns batches of plain Structs.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import trio

from .base import Store
from .memory import MemoryStore

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
        yield store
    finally:
        with trio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            await store.aclose()
