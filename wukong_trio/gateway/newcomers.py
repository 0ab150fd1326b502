"""Connections that have not authenticated: anybody can open them, so there may be only so many."""

from collections import Counter
from collections.abc import Iterator

from ..config import Limits
from .transport import Transport


class Newcomers:
    """Counts them, in total and by address. The caller closes whom `admit` refuses."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: dict[Transport, str] = {}
        self._by_host: Counter[str] = Counter()
        self.refused = 0

    def admit(self, transport: Transport, host: str) -> bool:
        """Whether one more may come; then it is counted until `discard`."""
        if len(self._hosts) >= self._limits.waiting_connections or (
            host and self._by_host[host] >= self._limits.waiting_per_address
        ):
            self.refused += 1
            return False
        self._hosts[transport] = host
        self._by_host[host] += 1
        return True

    def discard(self, transport: Transport) -> None:
        """It has authenticated, or is over."""
        host = self._hosts.pop(transport, None)
        if host is not None:
            self._by_host[host] -= 1
            if not self._by_host[host]:
                del self._by_host[host]

    def __iter__(self) -> Iterator[Transport]:
        return iter(list(self._hosts))
