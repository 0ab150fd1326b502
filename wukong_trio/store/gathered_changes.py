"""Changes of conversations that wait for the writer at the same time share a transaction: when a thousand users open
their chats at once, messages would wait for a thousand of them."""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from .conversations import ConversationChange

MOST_CHANGES: Final = 256
"""In a transaction, which takes some milliseconds then."""
CarryOut = Callable[[Sequence[ConversationChange]], list[bool]]


class _Batch:
    """Calls that nothing else stands between."""

    __slots__ = ("begun", "changes", "error", "known")

    def __init__(self) -> None:
        self.changes: list[ConversationChange] = []
        self.begun = False
        self.known: list[bool] = []
        self.error: Exception | None = None


class GatheredChanges:
    """Has changes carried out, together with those that wait right before and after them."""

    def __init__(self, writing: trio.CapacityLimiter, carry_out: CarryOut) -> None:
        """Args:
        writing: gives one after the other the turn to write.
        carry_out: writes changes in one transaction; blocks.
        """
        self._writing = writing
        self._carry_out = carry_out
        self._thread = trio.CapacityLimiter(1)
        self._open: _Batch | None = None

    def close(self) -> None:
        """Another write begins to wait for its turn: later changes do not overtake it."""
        self._open = None

    async def change(self, changes: Sequence[ConversationChange]) -> list[bool]:
        """Carries out changes, in order; what `ConversationStore.change_conversations` says. If cancelled before they
        have begun, they are carried out with those of others, or not at all.

        Raises:
            StoreError: nothing was changed.
        """
        batch = self._open
        if batch is None or len(batch.changes) + len(changes) > MOST_CHANGES:
            batch = self._open = _Batch()
        begin = len(batch.changes)
        batch.changes += changes
        async with self._writing:
            if not batch.begun:
                await self._write(batch)
        if batch.error is not None:
            raise batch.error
        return batch.known[begin : begin + len(changes)]

    async def _write(self, batch: _Batch) -> None:
        batch.begun = True
        if self._open is batch:
            self._open = None
        try:
            # The others have no other chance.
            with trio.CancelScope(shield=True):
                batch.known = await trio.to_thread.run_sync(self._carry_out, batch.changes, limiter=self._thread)
        except Exception as error:
            batch.error = error
