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

SOCKETS_PER_TURN: Final = 128
BYTES_PER_TURN: Final = 128 * 1024
"""Other tasks get a turn after so many sockets, or when so much was received and served. Either takes milliseconds."""


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
        ready: list[int] = []
        while True:
            if ready:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                ready = [fd for fd, _ in self._epoll.poll(0, SOCKETS_PER_TURN)]
            errands: list[Errand] = []
            self._serve(ready, errands)
            self._gateway.flushes.flush()
            if errands:
                try:
                    self._gateway.router.submit_nowait(errands)
                except trio.WouldBlock:
                    await self._gateway.router.submit(errands)

    def _serve(self, ready: list[int], errands: list[Errand]) -> None:
        """Reads sockets, and takes them off the list, until the turn is over."""
        now = trio.current_time()
        received_bytes = 0
        while ready and received_bytes < BYTES_PER_TURN:
            transport = self._transports.get(ready.pop())
            if transport is None:
                continue
            try:
                received_bytes += transport.read(now, errands)
            except Exception:
                # A bug that one client has found must not end the reading of all.
                log.exception("%s: connection dropped", transport.remote_address)
                transport.close(CLOSE_INTERNAL_ERROR)
