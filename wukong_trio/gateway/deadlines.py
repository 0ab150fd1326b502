"""Time limits of sessions: one task and a table of time slots instead of a timer each."""

import math
from heapq import heappop, heappush
from logging import getLogger
from time import perf_counter
from typing import Final, Protocol

import trio

log = getLogger(__name__)

RESOLUTION_S: Final = 0.1
CALLS_PER_TURN: Final = 64
TURN_S: Final = 0.002
"""Other tasks get a turn after so many sessions were asked, or so much time: some have much to repeat."""


class Watched(Protocol):
    """A session as the table sees it."""

    slot: int | None
    """The time slot it waits in; only the table changes it."""

    def check_deadlines(self, now: float) -> float | None:
        """Does what is due; returns when to look again, None if never."""


class DeadlineTable:
    """Calls sessions when something of theirs may be due, up to RESOLUTION_S late.

    Deadlines that move on with every message are not tracked here: the session is asked at the earliest possible moment
    and names the next one.
    """

    def __init__(self) -> None:
        self._slots: dict[int, set[Watched]] = {}
        self._times: list[int] = []
        self._changed = trio.Event()

    def watch(self, session: Watched, due: float) -> None:
        """Makes sure that the session is asked at `due` (Trio's clock) or earlier."""
        slot = int(due / RESOLUTION_S) + 1
        if session.slot is not None:
            if session.slot <= slot:
                return
            self._slots[session.slot].discard(session)
        session.slot = slot
        waiting = self._slots.get(slot)
        if waiting is None:
            waiting = self._slots[slot] = set()
            heappush(self._times, slot)
            if self._times[0] == slot:
                self._changed.set()
        waiting.add(session)

    def forget(self, session: Watched) -> None:
        """The session has ended."""
        if session.slot is not None:
            self._slots[session.slot].discard(session)
            session.slot = None

    async def run(self) -> None:
        """Watches the clock until cancelled."""
        while True:
            self._changed = trio.Event()
            wake_at = self._times[0] * RESOLUTION_S if self._times else math.inf
            with trio.move_on_at(wake_at) as sleep:
                await self._changed.wait()
            # A clock may read a hair less than the deadline that has just passed.
            await self._call_due(max(trio.current_time(), wake_at if sleep.cancelled_caught else 0.0))

    async def _call_due(self, now: float) -> None:
        called, turn_ends_at = 0, perf_counter() + TURN_S
        while self._times and self._times[0] * RESOLUTION_S <= now:
            # It stays in the table until it is empty: sessions may end meanwhile.
            slot = heappop(self._times)
            waiting = self._slots[slot]
            while waiting:
                called += 1
                if called % CALLS_PER_TURN == 0 or perf_counter() > turn_ends_at:
                    await trio.lowlevel.checkpoint()
                    turn_ends_at = perf_counter() + TURN_S
                    if not waiting:
                        break
                session = waiting.pop()
                session.slot = None
                try:
                    due = session.check_deadlines(now)
                except Exception:
                    # A bug that one session has found must not stop the clock of all.
                    log.exception("a session was not looked after and has no time limits any more")
                    continue
                if due is not None:
                    self.watch(session, due)
            del self._slots[slot]
