"""Connections that have not authenticated: anybody can open them, so there may be only so many."""

from collections.abc import Iterator
from typing import Final, Protocol

import trio

from ..config import Limits
from ..protocol.codes import Close

HEAVY_BYTES: Final = 1024
"""What a stranger sends at once may be so large and is read without further ado."""
HEAVY_AT_ONCE: Final = 4
TOO_MANY: Final = "closed, too many connections have not authenticated"


class Newcomer(Protocol):
    """A connection as far as it matters here."""

    remote_address: str

    def close(self, why: Close) -> None:
        """Ends it."""


class Newcomers:
    """Counts them, in total and by address. The caller closes whom `admit` refuses."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: dict[Newcomer, str] = {}
        self._by_host: dict[str, int] = {}
        self.refused = 0
        self._heavy = trio.CapacityLimiter(HEAVY_AT_ONCE)

    async def turn(self) -> None:
        """Waits before something large is read: between two turns of others only a few of these have theirs."""
        async with self._heavy:
            await trio.lowlevel.checkpoint()

    def admit(self, newcomer: Newcomer) -> bool:
        """Whether one more may come; then it is counted until `discard`."""
        host = newcomer.remote_address.rpartition(":")[0]
        same_host = self._by_host.get(host, 0)
        if len(self._hosts) >= self._limits.waiting_connections or (
            host and same_host >= self._limits.waiting_per_address
        ):
            self.refused += 1
            return False
        self._hosts[newcomer] = host
        self._by_host[host] = same_host + 1
        return True

    def discard(self, newcomer: Newcomer) -> None:
        """It has authenticated, or is over."""
        host = self._hosts.pop(newcomer, None)
        if host is not None:
            left = self._by_host[host] - 1
            if left:
                self._by_host[host] = left
            else:
                del self._by_host[host]

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Newcomer]:
        return iter(list(self._hosts))
