"""Writing where it has to be awaited: on streams, and through trio-websocket. One task for each connection."""

from collections.abc import Awaitable, Callable

import trio

from .outbox import CHUNK_BYTES, Chunk, Outbox


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

    def wake(self) -> None:
        """There is something to write."""
        if self._outbox.blocked and not self._wanted.is_set():
            self._written = trio.Event()
            self._wanted.set()

    async def written(self) -> None:
        """Waits until nothing waits any more."""
        await self._written.wait()

    async def run(self) -> None:
        """Writes until cancelled.

        Raises:
            trio.TooSlowError: something waited for too long. It may be half written: nothing can follow it.
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
        outbox = self._outbox
        assert outbox.since is not None
        head = outbox.head(join_bytes=self._join_bytes)
        with trio.fail_at(outbox.since + self._timeout_s):
            await self._send(head)
        # It may have been cleared meanwhile.
        if outbox.blocked:
            outbox.sent(len(head))
