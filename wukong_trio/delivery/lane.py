"""The messages of a large channel on their way to its members.

waiting   accepted, in order
run       some of them, which everybody online gets together: one write to a socket instead of one for each message
uids      who has not got the run yet; a slice of them at a time

Events of messages wait in the same line, and make runs of their own.

A message goes to those who were members when it joined the lane and still are when its run begins: who joins meanwhile,
or leaves, does not get it. Who is online is seen when the run begins.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from ..services.directory import Channel
from .event_push import EventRun
from .push import Delivery, Push, PushRun
from .submission import EventErrand, Submission

Waiting: TypeAlias = Submission | EventErrand

RUN_MESSAGES: Final = 64
RUN_BYTES: Final = 256 * 1024
"""Payloads of a run of several messages."""


class Lane:
    """One channel's messages that not everybody has got yet. Never empty between two calls of the deliver stage."""

    __slots__ = (
        *("_waiting", "delivery", "events", "pushes", "run"),
        *("run_bytes", "senders", "submissions", "uids"),
    )

    def __init__(self) -> None:
        self._waiting: deque[tuple[Waiting, int]] = deque()
        """With the version that the channel had."""
        self.run_bytes = 0
        """Payloads of the run."""
        self.run: list[Waiting] = []
        self.events: EventRun | None = None
        """The run, if it is one of events."""
        self.submissions: list[Submission] = []
        """Otherwise: the same as what it is,"""
        self.pushes: list[Push] = []
        """as those see it who sent nothing of it,"""
        self.delivery: Delivery
        """and for writing."""
        self.senders: set[str] = set()
        self.uids: list[str] = []

    @property
    def has_waiting(self) -> bool:
        """There is more than the run."""
        return bool(self._waiting)

    def add(self, errand: Waiting) -> None:
        """Takes a message or an event, behind what came before."""
        channel = _channel_of(errand)
        if channel.joined is None:
            channel.joined = {}
        self._waiting.append((errand, channel.version))

    def begin(self, online: Callable[[Channel], list[str]], now: float) -> None:
        """Makes a run of what waits, for everybody who is online now."""
        first, version = self._waiting[0]
        channel = _channel_of(first)
        self._take(channel, version)
        self.uids = online(channel)
        assert channel.joined is not None
        if channel.version == version:
            channel.joined.clear()
        elif joined := channel.joined:
            self.uids = [uid for uid in self.uids if joined.get(uid, 0) <= version]
        if not self._waiting:
            channel.joined = None
        self.submissions = [errand for errand in self.run if isinstance(errand, Submission)]
        self.senders = {submission.command.from_uid for submission in self.submissions}
        self.pushes = [_push(submission, now) for submission in self.submissions]
        if not self.submissions:
            self.events = EventRun([errand.event for errand in self.run if isinstance(errand, EventErrand)])
        else:
            self.delivery = self.pushes[0] if len(self.pushes) == 1 else PushRun(self.pushes)

    def _take(self, channel: Channel, version: int) -> None:
        """Moves what waits into the run, as long as it is of one kind, for one state of the channel, and fits."""
        are_events = isinstance(self._waiting[0][0], EventErrand)
        while self._waiting and len(self.run) < RUN_MESSAGES:
            errand, version_then = self._waiting[0]
            if isinstance(errand, EventErrand) is not are_events:
                break
            if _channel_of(errand) is not channel or version_then != version:
                break
            size_bytes = payload_bytes(errand)
            if self.run and self.run_bytes + size_bytes > RUN_BYTES:
                break
            self.run_bytes += size_bytes
            self.run.append(errand)
            self._waiting.popleft()

    def end(self) -> list[Waiting]:
        """Everybody has got the run; returns it."""
        run, self.run, self.run_bytes, self.events = self.run, [], 0, None
        for push in self.pushes:
            push.made.clear()
        return run


def payload_bytes(errand: Waiting) -> int:
    """How much there is to be pushed."""
    if isinstance(errand, EventErrand):
        return len(errand.event.data)
    assert errand.message is not None
    return len(errand.message.payload)


def _channel_of(errand: Waiting) -> Channel:
    if isinstance(errand, EventErrand):
        assert errand.channel is not None
        return errand.channel
    assert errand.route is not None
    return errand.route.channel


def _push(submission: Submission, now: float) -> Push:
    assert submission.message is not None
    assert submission.route is not None
    return Push(submission.message, submission.route.shown_to_others, now)
