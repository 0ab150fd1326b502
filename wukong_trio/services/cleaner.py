"""Removing messages that have expired or are too old or too many, beside everything else that the store has to do."""

from collections.abc import Awaitable, Callable
from functools import partial
from logging import getLogger
from typing import Final, Literal

import trio

from ..config import Retention
from ..errors import StoreError
from ..model import first_id_at
from ..store.base import MAX_MESSAGE_ID, Store
from ..store.removals import START, Position, Slice

log = getLogger(__name__)

SLICE: Final = 128
"""Messages removed in one transaction, which takes some milliseconds."""
INTERVAL_S: Final = 60.0
"""Between two rounds."""
SURPLUS_INTERVAL_S: Final = 300.0
"""Between two looks at the lengths of all channels."""
PAUSE_S: Final = 0.001
Reason = Literal["expired", "outdated", "surplus"]
_Work = Callable[[Position], Awaitable[Slice]]


class Cleaner:
    """Removes slice by slice. After each one it waits twice as long as that took: most of the store's time is for
    sends."""

    def __init__(self, store: Store, retention: Retention, kept_from: Callable[[], int] | None = None) -> None:
        """Args:
        kept_from: messages from this id on must stay for now: somebody has still to be told of them.
        """
        self._store = store
        self._retention = retention
        self._kept_from = kept_from
        self._surplus_due = 0.0
        self.removed: dict[Reason, int] = {"expired": 0, "outdated": 0, "surplus": 0}
        """How many messages: those that had expired, were too old, or too many in their channels."""

    async def run(self) -> None:
        """Cleans until cancelled."""
        while True:
            await trio.sleep(INTERVAL_S)
            try:
                await self.clean()
            except StoreError as error:
                log.warning("messages could not be removed, in %g s again: %s", INTERVAL_S, error)

    async def clean(self) -> None:
        """One round.

        Raises:
            StoreError: the store could not be written. What was removed before is removed.
        """
        store, kept_s, kept = self._store, self._retention.max_age_s, self._retention.max_per_channel
        before_id = self._kept_from() if self._kept_from is not None else MAX_MESSAGE_ID + 1
        await self._remove("expired", partial(store.remove_expired, limit=SLICE, before_id=before_id))
        if kept_s:
            least_id = min(before_id, first_id_at(store.clock() - kept_s))
            await self._remove("outdated", partial(store.remove_before, limit=SLICE, before_id=least_id))
        if kept and trio.current_time() >= self._surplus_due:
            remove = partial(store.remove_surplus, limit=SLICE, kept=kept, before_id=before_id)
            await self._remove("surplus", remove)
            self._surplus_due = trio.current_time() + SURPLUS_INTERVAL_S

    async def _remove(self, reason: Reason, work: _Work) -> None:
        """All that can be removed."""
        if await self._in_slices(reason, work):
            await self._in_slices(reason, self._store.settle)
            await self._in_slices(reason, work)

    async def _in_slices(self, reason: Reason, work: _Work) -> bool:
        """Whether something has to be settled before it can be removed."""
        held_back = False
        position: Position | None = START
        while position is not None:
            begin_s = trio.current_time()
            count, position, some_held_back = await work(position)
            self.removed[reason] += count
            held_back |= some_held_back
            await trio.sleep(max(2 * (trio.current_time() - begin_s), PAUSE_S))
        return held_back
