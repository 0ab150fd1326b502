"""The deliver stage: answers and pushes of committed batches.

A batch is served at once: its answers, and its messages to channels with few people online. A message to many joins the
lane of its channel. Between two batches the lanes take turns, and one slice of a channel's receivers gets what it has
to get. So nobody waits for the whole of a large channel, and each channel's messages keep their order.
"""

from collections import deque
from collections.abc import Callable, Iterable
from logging import getLogger
from typing import Final

import trio

from ..services.directory import Channel
from .event_push import EventRun
from .events import Events, MessageAccepted
from .flush import FlushList
from .lane import Lane, Waiting, payload_bytes
from .push import Push
from .registry import Receiver, SessionRegistry
from .statistics import RouterStatistics
from .submission import Errand, EventErrand, Submission

log = getLogger(__name__)

PUSHES_PER_TURN: Final = 256
"""Pushes to small channels before other tasks get a turn, and to a slice of a large one. Those that are work count as
several."""
LOOK_UPS_PER_TURN: Final = 16 * 1024
"""Members, or users online, that are gone through to find who is both, before other tasks get a turn."""
FEW: Final = 32
"""So many members are asked for one by one, without looking first who is online."""
HEAVY_BYTES: Final = 8 * 1024
"""A push counts as one more for each so many bytes of payload."""
LANES_MESSAGES: Final = 4096
LANES_BYTES: Final = 32 * 1024 * 1024
"""What may wait in all lanes; while there is more, no further batch is taken."""


class Deliverer:
    """Hands answers to senders, and messages to everybody of their channels who is online."""

    def __init__(
        self,
        registry: SessionRegistry,
        flushes: FlushList,
        events: Events | None,
        on_delivered: Callable[[Submission], None] | None = None,
    ) -> None:
        """
        Args:
            on_delivered: called for each message that everybody online has got. It must neither wait nor raise.
        """
        self._registry = registry
        self._flushes = flushes
        self._events = events
        self._on_delivered = on_delivered
        self._told = events is not None or on_delivered is not None
        """Somebody wants to know of each message."""
        self.statistics = RouterStatistics()
        self._now = 0.0
        self._looked_up = 0
        """In this turn."""
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._turns: deque[tuple[tuple[str, int], Lane]] = deque()
        """The same, the next one first."""
        self._waiting_messages = 0
        self._waiting_bytes = 0
        """In all lanes."""

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages that wait in lanes, and the bytes of their payloads."""
        return self._waiting_messages, self._waiting_bytes

    async def run(self, inbox: trio.MemoryReceiveChannel[list[Errand]], done: Callable[[int], None]) -> None:
        """Delivers batches until the inbox has ended and all is delivered.

        Args:
            done: called with a number of errands of which everything is with the sockets, or waits for them.
        """
        ended = False
        while self._turns or not ended:
            try:
                if not self._turns:
                    done(await self._serve(await inbox.receive()))
                elif not ended and not self._too_much_waits():
                    done(await self._serve(inbox.receive_nowait()))
            except trio.WouldBlock:
                pass
            except trio.EndOfChannel:
                ended = True
            if self._turns:
                done(self._serve_lane(*self._turns.popleft()))
                await self._give_way()

    async def _serve(self, batch: list[Errand]) -> int:
        """Gives the answers, and the pushes to small channels; the rest is in its lanes when this returns.

        Returns:
            How many errands are done.
        """
        self._now = trio.current_time()
        self._time_answer(batch[0])
        done, work = len(batch), 0
        for errand in batch:
            try:
                errand.finish()
                if isinstance(errand, Submission):
                    if self._is_new(errand):
                        assert errand.route is not None
                        assert errand.message is not None
                        channel = errand.route.channel
                        uids = self._receivers(channel, len(errand.message.payload))
                        if uids is None:
                            self._queue(errand, channel)
                            done -= 1
                        else:
                            work += self._push(errand, uids)
                            if self._told:
                                self._tell(errand)
                elif isinstance(errand, EventErrand) and errand.channel is not None:
                    uids = self._receivers(errand.channel, len(errand.event.data))
                    if uids is None:
                        self._queue(errand, errand.channel)
                        done -= 1
                    else:
                        work += self._inform(EventRun([errand.event]), uids) * _weight(len(errand.event.data))
            except Exception:
                log.exception("one message was not delivered to everybody")
            if work >= PUSHES_PER_TURN or self._looked_up >= LOOK_UPS_PER_TURN:
                work = 0
                await self._give_way()
        self._flushes.flush()
        return done

    def _time_answer(self, first: Errand) -> None:
        """Notes how long the oldest of a batch has waited: every message would be too many."""
        if isinstance(first, Submission) and first.handed_in_at:
            self.statistics.answer_s.add(self._now - first.handed_in_at)

    def _is_new(self, submission: Submission) -> bool:
        """Whether a send has become a message that nobody has received yet."""
        if submission.message is None:
            self.statistics.refusals[submission.reason] += 1
        elif submission.repeated:
            self.statistics.repeated += 1
        else:
            self.statistics.accepted += 1
            return True
        return False

    def _tell(self, submission: Submission) -> None:
        if self._events is not None and submission.message is not None:
            self._events.emit(MessageAccepted(submission.message))
        if self._on_delivered is not None:
            self._on_delivered(submission)

    # Small channels

    def _receivers(self, channel: Channel, size_bytes: int) -> Iterable[str] | None:
        """Who may be online of a channel; None if there are many, or many before: then its lane has to have what is
        pushed."""
        if not self._lanes or channel.key not in self._lanes:
            weight = _weight(size_bytes)
            if len(channel.members) * weight <= FEW:
                return channel.members
            uids = self._online(channel)
            if len(uids) * weight <= PUSHES_PER_TURN:
                return uids
        return None

    def _queue(self, errand: Waiting, channel: Channel) -> None:
        """Puts something into the lane of its channel."""
        lane = self._lanes.get(channel.key)
        if lane is None:
            lane = self._lanes[channel.key] = Lane()
            self._turns.append((channel.key, lane))
        lane.add(errand)
        self._waiting_messages += 1
        self._waiting_bytes += payload_bytes(errand)

    def _online(self, channel: Channel) -> list[str]:
        self._looked_up += min(len(channel.members), self._registry.users)
        return self._registry.online(channel.members)

    def _push(self, submission: Submission, uids: Iterable[str]) -> int:
        """Pushes to all sessions of some users but the sending one; returns how much work that was."""
        message, route, sender = submission.message, submission.route, submission.sender
        assert message is not None
        assert route is not None
        theirs = Push(message, route.shown_to_others, self._now)
        pushed = work = 0
        for uid in uids:
            for session in self._registry.sessions_of(uid):
                if session is sender:
                    continue
                work += self._deliver_own(submission, session) if uid == message.from_uid else session.deliver(theirs)
                pushed += 1
        theirs.made.clear()
        self.statistics.delivered += pushed
        size_bytes = len(message.payload)
        return work if size_bytes < HEAVY_BYTES else work * _weight(size_bytes)

    def _deliver_own(self, submission: Submission, session: Receiver) -> int:
        """Pushes a message as its sender sees it on his other devices."""
        assert submission.message is not None
        assert submission.route is not None
        push = Push(submission.message, submission.route.shown_to_sender, self._now, red_dot=False)
        work = session.deliver(push)
        push.made.clear()
        return work

    def _inform(self, run: EventRun, uids: Iterable[str]) -> int:
        """Hands events to all sessions of some users; returns how much work that was."""
        sessions_of = self._registry.sessions_of
        return sum([session.inform(run) for uid in uids for session in sessions_of(uid)])

    # Large channels

    def _too_much_waits(self) -> bool:
        return self._waiting_messages > LANES_MESSAGES or self._waiting_bytes > LANES_BYTES

    def _serve_lane(self, key: tuple[str, int], lane: Lane) -> int:
        """Serves one slice; returns how many messages everybody has got with it."""
        if not lane.uids:
            lane.begin(self._online, self._now)
        work = max(PUSHES_PER_TURN // _weight(lane.run_bytes), 1)
        if lane.events is None:
            self._push_run(lane, work)
        else:
            self._inform_next(lane, lane.events, work)
        if lane.uids:
            self._turns.append((key, lane))
            return 0
        self._waiting_messages -= len(lane.run)
        self._waiting_bytes -= lane.run_bytes
        run = lane.end()
        for errand in run:
            if isinstance(errand, Submission):
                self._tell(errand)
        if lane.has_waiting:
            self._turns.append((key, lane))
        else:
            del self._lanes[key]
        return len(run)

    def _inform_next(self, lane: Lane, run: EventRun, work: int) -> None:
        """The same as `_push_run` for a run of events."""
        while lane.uids and work > 0:
            try:
                work -= max(self._inform(run, (lane.uids.pop(),)), 1)
            except Exception:
                log.exception("one event was not delivered to everybody")

    def _push_run(self, lane: Lane, work: int) -> None:
        """Pushes the run to the next receivers.

        Args:
            work: what the slice is for; it ends with the receiver who uses it up.
        """
        sessions_of, senders, delivery, uids = self._registry.sessions_of, lane.senders, lane.delivery, lane.uids
        pushed, messages = 0, len(lane.pushes)
        while uids and work > 0:
            uid = uids.pop()
            for session in sessions_of(uid):
                try:
                    if uid in senders:
                        count, done = self._push_to_sender(lane, session)
                        pushed += count
                        work -= done
                    else:
                        work -= session.deliver(delivery)
                        pushed += messages
                except Exception:
                    log.exception("one message was not delivered to everybody")
        self.statistics.delivered += pushed

    def _push_to_sender(self, lane: Lane, session: Receiver) -> tuple[int, int]:
        """Pushes the run to somebody who has written some of it, but not what this very session has sent.

        Returns:
            How many messages that were, and how much work.
        """
        others = [(n, push) for n, push in enumerate(lane.pushes) if lane.submissions[n].sender is not session]
        work = 0
        for n, push in others:
            own = push.message.from_uid == session.uid
            work += self._deliver_own(lane.submissions[n], session) if own else session.deliver(push)
        return len(others), work

    async def _give_way(self) -> None:
        """Writes what was handed out and lets other tasks run."""
        self._flushes.flush()
        await trio.lowlevel.checkpoint()
        self._now = trio.current_time()
        self._looked_up = 0


def _weight(size_bytes: int) -> int:
    """As how many small pushes one of this size counts."""
    return 1 + size_bytes // HEAVY_BYTES
