"""Room for new connections where descriptors are short: who has been idle for longest goes first."""

from collections.abc import Iterable
from heapq import nsmallest
from math import inf
from typing import Final, Protocol

_SHARE: Final = 64


class Closable(Protocol):
    """A connection of either engine."""

    @property
    def idle_since(self) -> float:
        """When its client was last heard of; infinite while the server is at work for it, and once it is closed."""

    def close(self) -> None:
        """Closes the socket at once."""


def close_idle(connections: Iterable[Closable]) -> bool:
    """Closes those that have been idle for longest; False if none is idle.

    Not only one, because to find it all have to be looked at: a 64th of them. Of equal ones the first given goes first.
    """
    idle = [(since, connection) for connection in connections if (since := connection.idle_since) < inf]
    for _, connection in nsmallest(1 + len(idle) // _SHARE, idle, key=lambda entry: entry[0]):
        connection.close()
    return bool(idle)
