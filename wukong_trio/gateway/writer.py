"""Writing where it has to be awaited: on streams, and through trio-websocket. One task for each connection."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from .outbox import CHUNK_BYTES, Chunk, Outbox

SECOND_LOOK_S: Final = 0.1


class Writer:
    """Writes an outbox. `run` is a task beside the connection's."""

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[Chunk], Awaitable[None]],
        *,
        timeout_s: float,
        join_bytes: int = CHUNK_BYTES,
    ) -> None:
        """A writer for the length of a connection.

        Args:
            send: writes all of it; must not raise when the client is gone.
            timeout_s: how long something may wait to be written.
            join_bytes: up to which size frames may be written together; 0 = each for itself.
        """
        self._outbox = outbox
        self._send = send
        self._timeout_s = timeout_s
        self._join_bytes = join_bytes
        self._wanted = trio.Event()
        self._written = trio.Event()
        self._written.set()
        self._sending = trio.CancelScope()
        self._late: float | None = None
        """What was late when it was looked at last."""

    def wake(self) -> None:
        """There is something to write."""
        if self._outbox.blocked and not self._wanted.is_set():
            self._written = trio.Event()
            self._wanted.set()

    def check(self, now: float) -> float | None:
        """Gives up if something waits for too long; returns when to look again, None if nothing waits.

        Only at the second look: perhaps this process slept, and the client takes it now.
        """
        since = self._outbox.since
        if since is None or now < since + self._timeout_s:
            return None if since is None else since + self._timeout_s
        if self._late == since:
            self._sending.cancel()
            return None
        self._late = since
        return now + SECOND_LOOK_S

    async def written(self) -> None:
        """Waits until nothing waits any more."""
        await self._written.wait()

    async def run(self) -> None:
        """Writes until cancelled.

        Raises:
            trio.TooSlowError: `check` has given up. Something may be half written: nothing can follow it.
        """
        try:
            while True:
                await self._wanted.wait()
                while self._outbox.blocked:
                    await self._write_next()
                self._wanted = trio.Event()
                self._written.set()
        finally:
            self._written.set()

    async def _write_next(self) -> None:
        head = self._outbox.head(join_bytes=self._join_bytes)
        with trio.CancelScope() as self._sending:
            await self._send(head)
        if self._sending.cancelled_caught:
            raise trio.TooSlowError
        # It may have been cleared meanwhile.
        if self._outbox.blocked:
            self._outbox.sent(len(head))
