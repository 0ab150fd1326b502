"""user.onlinestatus: which devices come and go, told together a moment later."""

from collections import deque
from logging import getLogger
from typing import Final
from uuid import uuid4

import msgspec
import trio

from ..delivery.registry import Receiver, SessionRegistry
from .hook import Hook, waits

log = getLogger(__name__)

QUIET_S: Final = 0.2
"""When nothing has come for so long, what there is is told."""
LONGEST_S: Final = 2.0
"""What is there is told after so long in any case."""
ENTRIES: Final = 500
"""In one request."""
MOST_WAITING: Final = 100_000
ATTEMPTS: Final = 5


class OnlineStatus:
    """The comings and goings that the receiver has not been told of."""

    def __init__(self, hook: Hook, registry: SessionRegistry, *, retry_max_count: int) -> None:
        self.hook = hook
        self._registry = registry
        self._attempts = retry_max_count or ATTEMPTS
        self._entries: deque[str] = deque()
        self._under_way = 0
        self._seen = 0
        """Entries since the start."""
        self._some, self._enough = trio.Event(), trio.Event()
        self._attempted = trio.Event()
        self._draining = False
        self.dropped = 0
        """Entries that the receiver was not told of."""

    @property
    def waiting(self) -> int:
        """Entries that are not told, those under way included."""
        return len(self._entries) + self._under_way

    def changed(self, session: Receiver, online: bool) -> None:
        """A session has begun or ended, and the registry knows; never waits."""
        uid, flag = session.uid, session.device_flag
        same_flag, total = self._registry.counts_of(uid, flag)
        self._entries.append(f"{uid}-{flag}-{online:d}-{session.session_id}-{same_flag}-{total}")
        self._seen += 1
        self._some.set()
        if len(self._entries) >= ENTRIES:
            self._enough.set()
            if len(self._entries) > MOST_WAITING:
                # Newer ones say more.
                self._entries.popleft()
                self.dropped += 1

    async def run(self) -> None:
        """Tells until cancelled."""
        while True:
            await self._gather()
            await self.hook.pace.give_way()
            await self._tell()

    async def drain(self) -> None:
        """Waits until all is told or the receiver does not accept. The caller bounds it."""
        self._draining = self.hook.pace.hurry = True
        self._enough.set()
        while (self._entries or self._under_way) and not self.hook.failing:
            await self._attempted.wait()

    async def _gather(self) -> None:
        """Returns when there are entries, and no more come or there are many."""
        if not self._entries:
            self._some = trio.Event()
            await self._some.wait()
        if len(self._entries) < ENTRIES and not self._draining:
            self._enough = trio.Event()
        with trio.move_on_after(LONGEST_S):
            seen = -1
            while seen != self._seen and not self._enough.is_set():
                seen = self._seen
                with trio.move_on_after(QUIET_S):
                    await self._enough.wait()

    async def _tell(self) -> None:
        entries = [self._entries.popleft() for _ in range(min(len(self._entries), ENTRIES))]
        body, webhook_id = msgspec.json.encode(entries), f"status-{uuid4().hex}"
        self._under_way = len(entries)
        for attempt, wait_s in enumerate(waits(), start=1):
            accepted = await self.hook.post(body, webhook_id)
            done = accepted or attempt == self._attempts
            if done:
                self._under_way = 0
            self._attempted.set()
            self._attempted = trio.Event()
            if done:
                break
            await trio.sleep(wait_s)
        if not accepted:
            self.dropped += len(entries)
            log.warning("webhook %s: entries were given up, so far %d", self.hook.event, self.dropped)
