"""Serving the table over HTTP: which engine, and how every engine begins and ends."""

import socket
from collections.abc import Sequence
from typing import Protocol

import trio

from ..config import Engine
from . import time_limits
from .native import NativeEngine
from .table import ApiTable


class HttpEngine(Protocol):
    """The connections of one server."""

    async def accept(self, sockets: Sequence[socket.socket], connections: trio.Nursery) -> None:
        """Accepts until cancelled, one task of `connections` for each; then the listening sockets are closed."""

    async def finish(self) -> None:
        """Closes idle connections, and the others after their next answer; returns when none is left."""

    def abort(self) -> None:
        """Closes what is still open."""


def http_engine(table: ApiTable, name: Engine) -> HttpEngine:
    """The engine of that name."""
    if name == "native":
        return NativeEngine(table)
    # Quart takes half a second to import; nobody else need pay for it.
    from .quart_app import QuartEngine

    return QuartEngine(table)


async def serve_http(engine: HttpEngine, sockets: Sequence[socket.socket], stop: trio.Event) -> None:
    """Serves on listening sockets until `stop` is set and the requests under way are answered.

    Takes GRACEFUL_S at most after `stop`, and no time when cancelled, whatever the clients do. Closes the sockets.
    """
    for sock in sockets:
        _set_options(sock)
    async with trio.open_nursery() as connections:
        try:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(engine.accept, sockets, connections)
                await stop.wait()
                accepting.cancel_scope.cancel()
            with trio.move_on_after(time_limits.GRACEFUL_S):
                await engine.finish()
        finally:
            engine.abort()
            connections.cancel_scope.cancel()


def _set_options(sock: socket.socket) -> None:
    """Sets what the kernel passes on to every connection."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Little waits in the kernel, so a reader who has stopped is noticed early.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 16 * 1024)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The kernel itself ends the connections of clients that take nothing.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(time_limits.STALLED_S * 1000))
