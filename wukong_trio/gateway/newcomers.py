"""Connections that have not authenticated: anybody can open them, so there may be only so many."""

from collections.abc import Iterator

from ..config import Limits
from .transport import Transport


class Newcomers:
    """Counts them, in total and by address. The caller closes whom `admit` refuses."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: dict[Transport, str] = {}
        self._by_host: dict[str, int] = {}
        self.refused = 0

    def admit(self, transport: Transport) -> bool:
        """Whether one more may come; then it is counted until `discard`."""
        host = transport.remote_address.rpartition(":")[0]
        same_host = self._by_host.get(host, 0)
        if len(self._hosts) >= self._limits.waiting_connections or (
            host and same_host >= self._limits.waiting_per_address
        ):
            self.refused += 1
            return False
        self._hosts[transport] = host
        self._by_host[host] = same_host + 1
        return True

    def discard(self, transport: Transport) -> None:
        """It has authenticated, or is over."""
        host = self._hosts.pop(transport, None)
        if host is not None:
            left = self._by_host[host] - 1
            if left:
                self._by_host[host] = left
            else:
                del self._by_host[host]

    def __iter__(self) -> Iterator[Transport]:
        return iter(list(self._hosts))
