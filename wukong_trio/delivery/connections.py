"""The sessions of a server as an operator sees them: what each has carried, and sending one away."""

from collections.abc import AsyncIterator, Callable
from typing import Final

import trio

from ..model import ReasonCode
from ..services.traffic import Snapshot, Traffic
from .registry import Notice, SessionRegistry

AT_ONCE: Final = 256
"""Users whose sessions are looked at, between two turns for others."""


class Connections:
    """All authenticated connections. Looking at all of them lets others have their turns, so they may come and go."""

    def __init__(self, registry: SessionRegistry, past_traffic: Traffic) -> None:
        self._registry = registry
        self._past_traffic = past_traffic

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._registry)

    @property
    def users(self) -> int:
        """How many uids are online."""
        return self._registry.users

    def kick(self, uid: str, session_id: int) -> None:
        """Sends a connection away, and tells it so. One that is not there does nothing."""
        self._registry.dismiss(uid, session_id, Notice(ReasonCode.CONNECT_KICK, "server kick"))

    def remove(self, uid: str, session_id: int) -> None:
        """Closes a connection without a word. One that is not there does nothing."""
        self._registry.dismiss(uid, session_id, None)

    async def select(self, rank: Callable[[Snapshot], float], *, end: int, uid_part: str = "") -> list[Snapshot]:
        """The connections that rank lowest, in this order.

        Args:
            end: so many of them.
            uid_part: only of users whose uid has this in it.
        """
        lowest: list[Snapshot] = []
        async for some in self._slices(uid_part):
            # What was there is in order already, which makes this a merge.
            lowest = sorted(lowest + some, key=rank)[:end]
        return lowest

    async def totals(self) -> tuple[Traffic, int]:
        """What has passed over all connections since the server's start, and how many pushes are unacknowledged."""
        traffic, unacknowledged = Traffic(), 0
        async for some in self._slices(""):
            for snapshot in some:
                traffic.add(snapshot.traffic)
                unacknowledged += snapshot.unacknowledged
        # Last: who has left meanwhile is in it, and may be counted twice rather than not at all.
        traffic.add(self._past_traffic)
        return traffic, unacknowledged

    async def _slices(self, uid_part: str) -> AsyncIterator[list[Snapshot]]:
        uids = [uid for uid in self._registry.uids() if uid_part in uid]
        for start in range(0, len(uids), AT_ONCE):
            if start:
                await trio.lowlevel.checkpoint()
            yield [
                session.snapshot()
                for uid in uids[start : start + AT_ONCE]
                for session in self._registry.sessions_of(uid)
            ]
