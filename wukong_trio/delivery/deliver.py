"""The deliver stage: answers and pushes of committed batches, in commit order."""

from collections.abc import Collection
from logging import getLogger
from typing import Final

import trio
from msgspec import Struct

from .events import Events, MessageAccepted
from .flush import FlushList
from .push import Push
from .registry import SessionRegistry
from .submission import Errand, Submission

log = getLogger(__name__)

PUSHES_PER_TURN: Final = 256
"""Pushes written before other tasks get a turn."""


class RouterStatistics(Struct):
    """Counters since the start."""

    accepted: int = 0
    refused: int = 0
    repeated: int = 0
    stored: int = 0
    commits: int = 0
    delivered: int = 0


class Deliverer:
    """Hands answers to senders, and messages to everybody of their channels who is online."""

    def __init__(self, registry: SessionRegistry, flushes: FlushList, events: Events | None) -> None:
        self._registry = registry
        self._flushes = flushes
        self._events = events
        self._now = 0.0
        self.statistics = RouterStatistics()

    async def deliver(self, batch: list[Errand]) -> None:
        """Delivers a batch; everything is with the sockets, or waits for them, when this returns."""
        self._now = trio.current_time()
        pushed = 0
        for errand in batch:
            try:
                errand.finish()
                if isinstance(errand, Submission) and self._is_new(errand):
                    receivers = self._receivers(errand)
                    if len(receivers) > PUSHES_PER_TURN:
                        receivers = await self._push_slices(errand, list(receivers))
                    pushed += self._push(errand, receivers)
                    if self._events is not None and errand.message is not None:
                        self._events.emit(MessageAccepted(errand.message))
            except Exception:
                log.exception("one message was not delivered to everybody")
            if pushed >= PUSHES_PER_TURN:
                pushed = 0
                await self._give_way()
        self._flushes.flush()

    def _is_new(self, submission: Submission) -> bool:
        """Whether a send has become a message that nobody has received yet."""
        if submission.message is None:
            self.statistics.refused += 1
        elif submission.repeated:
            self.statistics.repeated += 1
        else:
            self.statistics.accepted += 1
            return True
        return False

    def _receivers(self, submission: Submission) -> Collection[str]:
        assert submission.route is not None
        return self._registry.online(submission.route.channel.members)

    async def _push_slices(self, submission: Submission, uids: list[str]) -> list[str]:
        """Pushes to many, letting other tasks run in between; returns the last of them, who are still to be served."""
        while len(uids) > PUSHES_PER_TURN:
            self._push(submission, uids[-PUSHES_PER_TURN:])
            del uids[-PUSHES_PER_TURN:]
            await self._give_way()
        return uids

    def _push(self, submission: Submission, uids: Collection[str]) -> int:
        """Pushes to all sessions of some users but the sending one; returns to how many."""
        message, route, sender = submission.message, submission.route, submission.sender
        assert message is not None
        assert route is not None
        theirs = Push(message, route.shown_to_others, self._now)
        pushed = 0
        for uid in uids:
            for session in self._registry.sessions_of(uid):
                if session is sender:
                    continue
                if uid == message.from_uid:
                    session.deliver(Push(message, route.shown_to_sender, self._now, red_dot=False))
                else:
                    session.deliver(theirs)
                pushed += 1
        self.statistics.delivered += pushed
        return pushed

    async def _give_way(self) -> None:
        """Writes what was handed out and lets other tasks run."""
        self._flushes.flush()
        await trio.lowlevel.checkpoint()
        self._now = trio.current_time()
