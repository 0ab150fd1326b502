"""One connection of the reference engine: Hypercorn's HTTP/1.1 on a socket of ours.

Only Hypercorn's protocol is used, not its server. That would speak HTTP/2 too, shield what it sends without a limit,
and know one time limit where there are four. Here one number, the deadline of `_receiving`, says how long the client
may keep us waiting; it follows from what the client owes next.
"""

import socket
from contextlib import suppress
from math import inf
from typing import Final

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from . import time_limits
from .strict_h11 import Awaited, BodyLimit, StrictConnection

RECEIVE_BYTES: Final = 64 * 1024
HEAD_RECEIVE_BYTES: Final = 16 * 1024
"""While no body is awaited."""


class Conversation:
    """Serves one client with an ASGI app."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        body_limit: BodyLimit,
        sock: trio.socket.SocketType,
    ) -> None:
        """A connection that begins.

        Args:
            context: `context.terminated` says that the server stops; `stop` has to be called then.
        """
        self._app = app
        self._config = config
        self._context = context
        self._sock = sock
        self._h11 = StrictConnection(config.h11_max_incomplete_size, body_limit)
        self._reading = trio.CancelScope()
        self._receiving = trio.CancelScope()
        self._sending = trio.Lock()
        self._head_due: float | None = None
        """When the head that has begun must be complete."""
        self._heard_at = trio.current_time()

    async def run(self, early: bytes) -> None:
        """Serves until the connection has to be closed; the caller closes it.

        Args:
            early: what was already read from the client.

        Raises:
            OSError: the client was gone before it began.
        """
        family = self._sock.family
        client = parse_socket_addr(family, self._sock.getpeername())
        server = parse_socket_addr(family, self._sock.getsockname())
        async with TaskGroup() as tasks:
            state = ConnectionState({})
            protocol = H11Protocol(
                self._app, self._config, self._context, tasks, state, False, client, server, self._send
            )
            protocol.connection = self._h11
            with self._reading:
                if early:
                    await protocol.handle(RawData(early))
                while (data := await self._receive()) is not None:
                    self._heard_at = trio.current_time()
                    await protocol.handle(RawData(data))
                    if not data:
                        break
            await protocol.handle(Closed())
        if self._reading.cancelled_caught:
            await self._part()

    @property
    def idle_since(self) -> float:
        """When the client was last heard of; infinite while the server is at work for it, and once this is closed."""
        idle = self._sock.fileno() >= 0 and self._h11.awaited is not Awaited.NOTHING
        return self._heard_at if idle else inf

    def stop(self) -> None:
        """Ends it at once if the client has nothing under way, else after the next answer."""
        self._receiving.deadline = self._due()

    def close(self) -> None:
        """Closes the socket; `run` ends as soon as its app does."""
        self._sock.close()
        self._reading.cancel()

    async def _receive(self) -> bytes | None:
        """The next bytes, empty when the client has ended its side; None if it is gone, or over time."""
        with trio.CancelScope(deadline=self._due()) as self._receiving, suppress(OSError, trio.ClosedResourceError):
            in_body = self._h11.awaited is Awaited.BODY
            return await self._sock.recv(RECEIVE_BYTES if in_body else HEAD_RECEIVE_BYTES)
        return None

    def _due(self) -> float:
        """When the client will have kept us waiting for too long."""
        awaited = self._h11.awaited
        if awaited is Awaited.NOTHING:
            return inf
        if self._context.terminated.is_set():
            return -inf
        if awaited is Awaited.REQUEST:
            return trio.current_time() + time_limits.KEEP_ALIVE_S
        if awaited is Awaited.BODY:
            return trio.current_time() + time_limits.BODY_PAUSE_S
        if self._head_due is None:
            # Later bytes of the same head do not prolong it.
            self._head_due = trio.current_time() + time_limits.HEAD_S
        return self._head_due

    async def _send(self, event: Event) -> None:
        """What the protocol has to say."""
        if isinstance(event, RawData):
            async with self._sending:
                await self._write(memoryview(event.data))
        elif isinstance(event, Updated):
            # A request has come, or the answer to the last one is complete.
            self._head_due = None
            self._receiving.deadline = self._due()
        else:
            self._reading.cancel()

    async def _write(self, unsent: memoryview) -> None:
        try:
            while unsent:
                with trio.fail_after(time_limits.STALLED_S):
                    unsent = unsent[await self._sock.send(unsent) :]
        except (OSError, trio.ClosedResourceError, trio.TooSlowError):
            self.close()

    async def _part(self) -> None:
        """Ends our side. Closing while the client sends would destroy the answer on its way, so that is ignored for a
        while.
        """
        with trio.move_on_after(time_limits.LINGER_S), suppress(OSError, trio.ClosedResourceError):
            self._sock.shutdown(socket.SHUT_WR)
            while await self._sock.recv(RECEIVE_BYTES):
                pass
