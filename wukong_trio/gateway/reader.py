"""The shared reader: one task that serves the sockets of all authenticated clients.

Waking a Trio task for every message costs more than serving the message. So the sockets sit in an epoll set of their
own, whose descriptor is the only thing this task waits for. One turn serves every socket that is ready, and hands all
their requests to the router as one batch. A socket that was full is written to when it takes more.
"""

import select
from logging import getLogger
from typing import Final, Protocol, Self

import trio

from ..delivery.submission import Errand
from ..protocol.codes import CLOSE_INTERNAL_ERROR, Close
from .gateway import Gateway
from .pipes import ByteSocket

log = getLogger(__name__)

SOCKETS_PER_TURN: Final = 128
COST_PER_TURN: Final = 192 * 1024
"""Other tasks get a turn after so many sockets, or when what was received and served has cost so much. Either takes
milliseconds."""


class Parked(Protocol):
    """A connection whose task sleeps."""

    sock: ByteSocket
    remote_address: str

    @property
    def unserved(self) -> bool:
        """There is more to serve of what was received."""

    @property
    def interest(self) -> int:
        """What to wait for, as epoll's bits."""

    def read(self, now: float, errands: list[Errand]) -> int:
        """Reads and serves; returns what it cost, in bytes."""

    def write_more(self) -> None:
        """Writes on."""

    def close(self, why: Close) -> None:
        """Ends it."""


class SharedReader:
    """Owns the epoll set. Use as a context manager around `run`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._epoll = select.epoll()
        self._parked: dict[int, Parked] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._epoll.close()

    def add(self, parked: Parked) -> None:
        """Serves a socket from now on."""
        fd = parked.sock.fileno()
        self._epoll.register(fd, parked.interest)
        self._parked[fd] = parked

    def remove(self, parked: Parked) -> None:
        """Serves it no more; it must still be open."""
        fd = parked.sock.fileno()
        del self._parked[fd]
        self._epoll.unregister(fd)

    def update(self, parked: Parked) -> None:
        """What it waits for has changed."""
        fd = parked.sock.fileno()
        if self._parked.get(fd) is parked:
            self._epoll.modify(fd, parked.interest)

    async def run(self) -> None:
        """Serves ready sockets until cancelled."""
        ready: list[tuple[int, int]] = []
        while True:
            if ready:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                ready = self._epoll.poll(0, SOCKETS_PER_TURN)
            errands: list[Errand] = []
            self._serve(ready, errands)
            self._gateway.flushes.flush()
            if errands:
                try:
                    self._gateway.router.submit_nowait(errands)
                except trio.WouldBlock:
                    await self._gateway.router.submit(errands)

    def _serve(self, ready: list[tuple[int, int]], errands: list[Errand]) -> None:
        """Serves sockets, and takes them off the list, until the turn is over."""
        now = trio.current_time()
        cost = 0
        while ready and cost < COST_PER_TURN:
            fd, events = ready.pop()
            parked = self._parked.get(fd)
            if parked is None:
                continue
            try:
                if events & select.EPOLLOUT:
                    parked.write_more()
                if events != select.EPOLLOUT or parked.unserved:
                    # Also when the client is gone, even if it is not to be read at the moment.
                    cost += parked.read(now, errands)
            except Exception:
                # A bug that one client has found must not end the serving of all.
                log.exception("%s: connection dropped", parked.remote_address)
                parked.close(CLOSE_INTERNAL_ERROR)
