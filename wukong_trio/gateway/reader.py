"""The shared reader: one task that reads all authenticated plain sockets.

Waking a Trio task for every message costs more than serving the message. So the sockets sit in an epoll set of their
own, whose descriptor is the only thing this task waits for. One turn serves every socket that is ready, and hands all
their requests to the router as one batch.
"""

import select
from logging import getLogger
from typing import Final, Self

import trio

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_INTERNAL_ERROR
from .gateway import Gateway
from .native_socket import SocketTransport

log = getLogger(__name__)

SOCKETS_PER_TURN: Final = 256
"""Sockets served before other tasks get a turn."""


class SharedReader:
    """Owns the epoll set. Use as a context manager around `run`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._epoll = select.epoll()
        self._transports: dict[int, SocketTransport] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._epoll.close()

    def add(self, transport: SocketTransport) -> None:
        """Reads a socket from now on."""
        fd = transport.sock.fileno()
        self._transports[fd] = transport
        self._epoll.register(fd, 0 if transport.paused else select.EPOLLIN)

    def remove(self, transport: SocketTransport) -> None:
        """Stops reading a socket, which must still be open."""
        fd = transport.sock.fileno()
        del self._transports[fd]
        self._epoll.unregister(fd)

    def pause(self, transport: SocketTransport) -> None:
        """Leaves a socket unread for a while."""
        self._epoll.modify(transport.sock.fileno(), 0)

    def resume(self, transport: SocketTransport) -> None:
        """Reads it again."""
        if transport.sock.fileno() in self._transports:
            self._epoll.modify(transport.sock.fileno(), select.EPOLLIN)

    async def run(self) -> None:
        """Serves ready sockets until cancelled."""
        wait_readable = trio.lowlevel.wait_readable
        while True:
            await wait_readable(self._epoll.fileno())
            errands: list[Errand] = []
            now = trio.current_time()
            for fd, _ in self._epoll.poll(0, SOCKETS_PER_TURN):
                transport = self._transports.get(fd)
                if transport is not None:
                    try:
                        transport.read(now, errands)
                    except Exception:
                        # A bug that one client has found must not end the reading of all.
                        log.exception("%s: connection dropped", transport.remote_address)
                        transport.close(CLOSE_INTERNAL_ERROR)
            self._gateway.flushes.flush()
            if errands:
                try:
                    self._gateway.router.submit_nowait(errands)
                except trio.WouldBlock:
                    await self._gateway.router.submit(errands)
